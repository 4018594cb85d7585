//! The examples as their users see them, and the packages of all crates, a module a subject.

mod command;
mod packages;
mod trees;
mod words;

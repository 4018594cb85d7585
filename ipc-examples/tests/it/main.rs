//! The examples as their users see them, a module a subject.

mod command;
mod trees;
mod words;

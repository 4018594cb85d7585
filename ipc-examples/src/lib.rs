#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod runner;
pub mod scenarios;
mod system;
pub mod tour;
pub mod wordcount;

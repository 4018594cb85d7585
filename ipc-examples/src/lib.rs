#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod runner;
pub mod scenarios;
mod system;
pub mod tour;
pub mod wordcount;

/// The example of the front page is run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct FrontPage;

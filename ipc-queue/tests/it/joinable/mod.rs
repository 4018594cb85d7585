//! The contract of `JoinableQueue`. Every test is named after the property that it proves.

mod crash;
mod hostile;
mod joining;
mod kills;
mod memory;
mod model;
mod redelivery;
mod stress;
mod verbs;

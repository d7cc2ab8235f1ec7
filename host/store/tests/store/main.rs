//! The rules of the store, tested from outside; one binary, because linking costs more than running.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first failure")]
#![allow(unreachable_pub, missing_docs, reason = "nobody depends on a test")]

mod audit;
mod blobs;
mod crash;
mod damage;
mod kit;
mod lanes;
mod model;
mod sealing;
mod transactions;
mod upgrade;

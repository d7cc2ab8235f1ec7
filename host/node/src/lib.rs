//! The process: roles, gate, routes, outbox, configuration and command line.

pub mod admin_token;
mod administrators;
pub mod bench;
mod chat;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod conformance;
pub mod demo;
pub mod file;
pub mod password;
pub mod platform;
pub mod reply;
pub mod request;
pub mod route;
pub mod server;
pub mod shipped;
pub mod telemetry;
pub mod token;
pub mod totp;
mod web;

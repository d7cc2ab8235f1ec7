//! `isthmus demo` and `isthmus bench`: both drive processes of this binary from outside.

use std::io::Write;

use super::error::CliError;
use super::role::quiet;
use super::target::block_on_many;
use crate::{bench, demo};

pub(super) fn demo(args: &demo::DemoArgs, json: bool) -> Result<(), CliError> {
    let args = demo::DemoArgs { json: args.json || json, ..args.clone() };
    quiet()?;
    let went_well = block_on_many(async { demo::run(&args).await.map_err(|error| CliError::chain(&error)) })?;
    if went_well { Ok(()) } else { Err(CliError::Failed("the demo did not go as it should; see above".into())) }
}

pub(super) fn bench(args: &bench::BenchArgs, json: bool) -> Result<(), CliError> {
    let args = bench::BenchArgs { json: args.json || json, ..args.clone() };
    quiet()?;
    let report = block_on_many(async { bench::run(&args).await.map_err(|error| CliError::chain(&error)) })?;
    let text = if args.json {
        serde_json::to_string_pretty(&report).map_err(|error| CliError::chain(&error))?
    } else {
        report.table()
    };
    writeln!(std::io::stdout().lock(), "{}", text.trim_end()).map_err(|error| CliError::chain(&error))?;
    if report.is_clean() {
        Ok(())
    } else {
        Err(CliError::Failed("not every message arrived once and in order; see the figures".into()))
    }
}

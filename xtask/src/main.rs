//! The project's own commands: `cargo xtask help` lists them.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool speaks on its standard streams")]

mod browser;
mod demo;
mod gate;
mod openapi;
mod plugins;
mod shell;
mod tools;

use std::process::ExitCode;

use shell::Outcome;

const HELP: &str = "\
The project's own commands.

Usage: cargo xtask COMMAND

  plugins          build the plugins into target/plugins, once per change; installs into target/tools what the
                   examples in JavaScript, Python and C need
  demo [ARGS…]     build everything and run `isthmus demo ARGS…` (try `cargo xtask demo --help`);
                   with --release as the first argument, optimised
  test             the gate: formats, lints, documentation, licences, fuzzing, benches, all tests
  browser          only the gate's step that tests the web client in a real browser
  openapi          only the gate's step that lets schemathesis loose on running servers
  bench [ARGS…]    the benches, measured; ARGS go to criterion
  help             this text

Environment:
  ISTHMUS_WASM_TOOLCHAIN   rustup or debian: take this WebAssembly toolchain and no other
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next();
    let rest: Vec<String> = args.collect();
    match carry_out(command.as_deref(), &rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(command: Option<&str>, rest: &[String]) -> Outcome {
    match (command, rest) {
        (Some("plugins"), []) => plugins::all(),
        (Some("demo"), args) => demo::run(args),
        (Some("test"), []) => gate::test(),
        (Some("openapi"), []) => openapi::check(),
        (Some("browser"), []) => browser::check(|_| ()),
        (Some("bench"), args) => gate::bench(args),
        (None | Some("help" | "--help" | "-h"), _) => {
            print!("{HELP}");
            Ok(())
        }
        (Some("plugins" | "test" | "openapi" | "browser"), [unknown, ..]) => {
            Err(format!("what is `{unknown}`? This command takes no arguments").into())
        }
        (Some(unknown), _) => Err(format!("there is no command `{unknown}`\n\n{HELP}").into()),
    }
}

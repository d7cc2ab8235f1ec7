//! Asks WASI for all that a guest could use to reach out, and tells what it got.

use isthmus_plugin::{Access, Call, Decision, Plugin, Reason, export_plugin};
use serde::Deserialize;

mod bindings {
    #![allow(missing_docs, unsafe_code, unreachable_pub, clippy::all, reason = "generated code")]
    wit_bindgen::generate!({ path: "wit", world: "greedy", generate_all });
}

use bindings::wasi::{cli, clocks, filesystem, random, sockets};

/// What it does after it has looked around.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    then: Then,
    /// It prints in `init` already, and keeps the stream.
    early: bool,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Then {
    #[default]
    Tell,
    Trap,
    Exit,
    /// Wants more randomness than there is.
    Gulp,
}

struct Greedy {
    then: Then,
    kept: Option<bindings::wasi::io::streams::OutputStream>,
}

impl Plugin for Greedy {
    type Settings = Settings;
    const SCHEMA: &'static str = "";

    fn init(settings: Settings) -> Result<Self, String> {
        let kept = settings.early.then(cli::stdout::get_stdout);
        if let Some(stream) = &kept {
            stream.blocking_write_and_flush(b"early\n").map_err(|error| format!("{error:?}"))?;
        }
        Ok(Self { then: settings.then, kept })
    }
}

impl Access for Greedy {
    fn decide(&self, _: &Call) -> Decision {
        let told = told();
        print(&cli::stdout::get_stdout(), b"on standard output\n");
        print(&cli::stderr::get_stderr(), b"on standard error\n");
        if let Some(kept) = &self.kept {
            let _ = kept.blocking_write_and_flush(b"late\n");
        }
        match self.then {
            Then::Tell => {}
            Then::Trap => unreachable!("as it was told"),
            Then::Exit => cli::exit::exit(Ok(())),
            Then::Gulp => drop(random::random::get_random_bytes(1 << 30)),
        }
        Decision::Deny(Reason::new("greedy", told))
    }
}

fn print(stream: &bindings::wasi::io::streams::OutputStream, text: &[u8]) {
    if stream.check_write().is_ok_and(|room| room >= text.len() as u64) {
        let _ = stream.blocking_write_and_flush(text);
    }
}

fn told() -> String {
    let network = sockets::instance_network::instance_network();
    let socket =
        sockets::tcp_create_socket::create_tcp_socket(sockets::network::IpAddressFamily::Ipv4).err().map(|e| e.name());
    let name = sockets::ip_name_lookup::resolve_addresses(&network, "example.org").err().map(|e| e.name());
    let read = cli::stdin::get_stdin().blocking_read(10).map_err(|_| "closed");
    clocks::monotonic_clock::subscribe_duration(3_600_000_000_000).block();
    let now = clocks::wall_clock::now();
    [
        format!("environment {:?}", cli::environment::get_environment()),
        format!("arguments {:?}", cli::environment::get_arguments()),
        format!("folder {:?}", cli::environment::initial_cwd()),
        format!("files {}", filesystem::preopens::get_directories().len()),
        format!("input {read:?}"),
        format!("socket {socket:?}"),
        format!("name {name:?}"),
        format!("time {}.{:09}", now.seconds, now.nanoseconds),
        format!("clock {}", clocks::monotonic_clock::now()),
        format!("random {:x}", random::random::get_random_u64()),
        format!("bytes {:x?}", random::random::get_random_bytes(2)),
    ]
    .join("; ")
}

export_plugin!(Greedy: access);

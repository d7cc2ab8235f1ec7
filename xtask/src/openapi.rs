//! schemathesis over the interfaces' descriptions (`docs/openapi`): requests made up from the documents, good ones and bad
//! ones, to servers that really run. No 5xx, no status, media type or body that is not described, no method but those
//! described.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::shell::{Outcome, at, cargo, root, run, target};
use crate::tools;

/// What is asked of every answer. That bad data get a 4xx is not: what reached the rules is HTTP 200 with a code (R4).
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,unsupported_method,allow_header_conformance";

/// One document against one listener.
struct Round {
    document: &'static str,
    /// Of the ground: where the listener is, and what it is trusted by.
    url: &'static str,
    ca: &'static str,
    seconds: u32,
    more: &'static [&'static str],
}

const MANAGEMENT: &str = "management (§7.5)";

const ROUNDS: [Round; 3] = [
    Round { document: "client.json", url: "CLIENT_URL", ca: "CLIENT_CA", seconds: 60, more: &[] },
    Round {
        document: "sns.json",
        url: "SERVER_URL",
        ca: "INTERCONNECT_CA",
        seconds: 60,
        more: &["--exclude-tag", MANAGEMENT],
    },
    Round {
        document: "sns.json",
        url: "PLATFORM_URL",
        ca: "INTERCONNECT_CA",
        seconds: 20,
        more: &["--include-tag", MANAGEMENT],
    },
];

/// Starts the ground, lets schemathesis loose on it, and looks at what is left behind.
pub(crate) fn check() -> Outcome {
    let schemathesis = tools::SCHEMATHESIS.provide()?;
    let ground = Ground::start()?;
    let rounds: Vec<Outcome> = ROUNDS.iter().map(|round| ground.withstand(round, &schemathesis)).collect();
    ground.stop()?;
    rounds.into_iter().collect()
}

/// A platform and a server at work (`tests/it/ground.rs`).
struct Ground {
    process: Child,
    /// What it says; to be read to its end, or it could not say it.
    words: Lines<BufReader<ChildStdout>>,
    facts: HashMap<String, String>,
}

impl Ground {
    fn start() -> Outcome<Ground> {
        let mut command = cargo();
        command.args(["test", "--quiet", "--locked", "--workspace", "--test", "it", "--"]);
        command.args(["--ignored", "--exact", "ground::ground", "--nocapture"]);
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = spawned.map_err(|wrong| format!("the ground did not start: {wrong}"))?;
        let mut facts = HashMap::new();
        let mut words = BufReader::new(process.stdout.take().ok_or("the ground has no output")?).lines();
        for line in words.by_ref() {
            let line = line.map_err(|wrong| format!("the ground cannot be read: {wrong}"))?;
            match line.split_once('=') {
                Some((name, value)) => drop(facts.insert(name.to_owned(), value.to_owned())),
                None if line == "READY" => return Ok(Ground { process, words, facts }),
                None => {}
            }
        }
        let status = process.wait().map_err(|wrong| format!("the ground was lost: {wrong}"))?;
        Err(format!("the ground ended before it was ready: {status}").into())
    }

    fn fact(&self, name: &str) -> &str {
        self.facts.get(name).map_or("", String::as_str)
    }

    fn withstand(&self, round: &Round, schemathesis: &std::path::Path) -> Outcome {
        let document = root().join("docs/openapi").join(round.document);
        let scratch = target().join("schemathesis");
        std::fs::create_dir_all(&scratch).map_err(at(&scratch))?;
        let mut command = Command::new(schemathesis);
        command.current_dir(&scratch).arg("run").arg(document).args(["--url", self.fact(round.url)]);
        command.args([
            "--tls-verify",
            self.fact(round.ca),
            "--checks",
            CHECKS,
            "--phases",
            "examples,coverage,fuzzing",
        ]);
        command.args(["--max-time", &round.seconds.to_string(), "--generation-database", "none", "--no-color"]);
        command.args(round.more);
        command.env("SCHEMATHESIS_HOOKS", root().join("tests/openapi/hooks.py")).envs(&self.facts);
        if round.url != "CLIENT_URL" {
            command.args([
                "--request-cert",
                self.fact("WEST_CERTIFICATE"),
                "--request-cert-key",
                self.fact("WEST_KEY"),
            ]);
        }
        run(&mut command)
    }

    /// Its end looks for faults, for letters that nobody took and at the audit log.
    fn stop(mut self) -> Outcome {
        drop(self.process.stdin.take());
        self.words.by_ref().map_while(Result::ok).for_each(|line| println!("{line}"));
        match self.process.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("something was left behind on the ground: {status}").into()),
            Err(wrong) => Err(format!("the ground was lost: {wrong}").into()),
        }
    }
}

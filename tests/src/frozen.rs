//! Single threads of another process, made to stand still as if the machine had forgotten them: what no signal can do.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Linux lets one program stop another's thread by `ptrace` alone; this asks for it by way of Python, which the gate needs anyway.
const FREEZER: &str = r#"
import ctypes, os, sys
SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes, ptrace.restype = [ctypes.c_long] * 4, ctypes.c_long

def ask(request, thread):
    if ptrace(request, thread, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")

tasks, held = "/proc/%s/task" % sys.argv[1], {}
for thread in map(int, os.listdir(tasks)):
    with open("%s/%d/comm" % (tasks, thread)) as comm:
        name = comm.read().strip()
    if name in sys.argv[2:]:
        try:
            ask(SEIZE, thread)
        except PermissionError:
            print("forbidden", flush=True)
            sys.exit()
        ask(INTERRUPT, thread)
        os.waitpid(thread, WALL)
        held.setdefault(name, []).append(thread)
print(" ".join(sorted(held)), flush=True)
for line in sys.stdin:
    for thread in held.pop(line.strip()):
        ask(DETACH, thread)
    print("thawed", flush=True)
"#;

/// Threads that stand still until they are thawed, at the latest when this is dropped.
pub struct Frozen {
    freezer: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Frozen {
    /// Stops the process's threads of these names (15 bytes of them are kept by Linux). None where this machine lets nobody do
    /// so.
    #[must_use]
    pub fn threads(process: u32, names: &[&str]) -> Option<Frozen> {
        let mut command = Command::new("python3");
        command.args(["-c", FREEZER, &process.to_string()]).args(names);
        let mut freezer = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (ask, answers) = (freezer.stdin.take(), BufReader::new(freezer.stdout.take().unwrap()));
        let mut frozen = Frozen { freezer, ask, answers };
        let held = frozen.answer();
        if held == "forbidden" {
            return None;
        }
        let mut expected = names.to_vec();
        expected.sort_unstable();
        assert_eq!(held, expected.join(" "), "the threads that were found");
        Some(frozen)
    }

    /// Lets the threads of this name go on.
    pub fn thaw(&mut self, name: &str) {
        writeln!(self.ask.as_mut().unwrap(), "{name}").unwrap();
        assert_eq!(self.answer(), "thawed", "{name}");
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        drop(self.ask.take());
        let _ = self.freezer.wait();
    }
}

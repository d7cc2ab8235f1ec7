//! What the demo prints: colours and ticks for a person at a terminal, plain lines for a log, JSON lines for a program.

use std::io::{IsTerminal, Write};

use serde_json::json;

/// The narrator. A reader that went away silences it and never stops the demo.
pub struct Say {
    shape: Shape,
    into: Box<dyn Write + Send>,
    steps: usize,
    failed: usize,
    open: Option<(String, String)>,
}

/// How it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Colours.
    Terminal,
    /// The same without escape sequences.
    Plain,
    /// One JSON object a line.
    Json,
}

impl Say {
    /// To standard output; `json` as the option says, colours if a person watches and has not set `NO_COLOR`.
    #[must_use]
    pub fn to_stdout(json: bool) -> Say {
        let out = std::io::stdout();
        let colours = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let shape = match (json, colours) {
            (true, _) => Shape::Json,
            (false, true) => Shape::Terminal,
            (false, false) => Shape::Plain,
        };
        Say::new(shape, Box::new(out))
    }

    /// To anywhere.
    #[must_use]
    pub fn new(shape: Shape, into: Box<dyn Write + Send>) -> Say {
        Say { shape, into, steps: 0, failed: 0, open: None }
    }

    /// Steps whose outcome was not the expected one.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// Steps told.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// A line on what is being set up.
    pub fn progress(&mut self, text: &str) {
        match self.shape {
            Shape::Json => self.line(&json!({"progress": text}).to_string()),
            Shape::Terminal => self.line(&format!("\x1b[2m  · {text}\x1b[0m")),
            Shape::Plain => self.line(&format!("  - {text}")),
        }
    }

    /// An object for programs; nothing for people.
    pub fn event(&mut self, object: &serde_json::Value) {
        if self.shape == Shape::Json {
            self.line(&object.to_string());
        }
    }

    /// A paragraph for people; nothing for programs.
    pub fn text(&mut self, text: &str) {
        if self.shape != Shape::Json {
            self.line(text);
        }
    }

    /// A heading for people; nothing for programs.
    pub fn heading(&mut self, text: &str) {
        match self.shape {
            Shape::Json => {}
            Shape::Terminal => self.line(&format!("\n\x1b[1m{text}\x1b[0m")),
            Shape::Plain => self.line(&format!("\n{text}")),
        }
    }

    /// Something that went wrong beside the steps.
    pub fn warn(&mut self, text: &str) {
        match self.shape {
            Shape::Json => self.line(&json!({"warning": text}).to_string()),
            Shape::Terminal => self.line(&format!("\x1b[33m  ! {text}\x1b[0m")),
            Shape::Plain => self.line(&format!("  ! {text}")),
        }
    }

    /// Begins a step: what is done, and what should come of it.
    pub fn step(&mut self, done: &str, expected: &str) {
        self.steps += 1;
        let number = self.steps;
        match self.shape {
            Shape::Json => {}
            Shape::Terminal => self.line(&format!("\n\x1b[1m{number:>2}. {done}\x1b[0m")),
            Shape::Plain => self.line(&format!("\n{number:>2}. {done}")),
        }
        if self.shape != Shape::Json {
            self.line(&format!("    expected  {expected}"));
        }
        self.open = Some((done.to_owned(), expected.to_owned()));
    }

    /// Ends the step: what happened. `Err`: it was not what should.
    pub fn outcome(&mut self, happened: Result<&str, &str>) {
        let (done, expected) = self.open.take().unwrap_or_default();
        let (ok, text) = match happened {
            Ok(text) => (true, text),
            Err(text) => (false, text),
        };
        self.failed += usize::from(!ok);
        let sign = if ok { "✓" } else { "✗" };
        let line = match self.shape {
            Shape::Json => json!({
                "step": self.steps, "done": done, "expected": expected, "happened": text, "ok": ok
            })
            .to_string(),
            Shape::Terminal if ok => format!("    \x1b[32mhappened  {text} {sign}\x1b[0m"),
            Shape::Terminal => format!("    \x1b[31mhappened  {text} {sign}\x1b[0m"),
            Shape::Plain => format!("    happened  {text} {sign}"),
        };
        self.line(&line);
    }

    /// The end of a story.
    pub fn verdict(&mut self) {
        let (steps, failed) = (self.steps, self.failed);
        let text = match failed {
            0 => format!("All {steps} steps went as they should."),
            _ => format!("{failed} of {steps} steps did not go as they should."),
        };
        match self.shape {
            Shape::Json => {
                self.line(&json!({"steps": steps, "failed": failed, "ok": failed == 0}).to_string());
            }
            Shape::Terminal | Shape::Plain => self.heading(&text),
        }
    }

    fn line(&mut self, text: &str) {
        let _ = writeln!(self.into, "{text}").and_then(|()| self.into.flush());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn told(shape: Shape) -> (String, usize) {
        let page = Page::default();
        let mut say = Say::new(shape, Box::new(page.clone()));
        say.progress("ready");
        say.step("a knocks", "b opens");
        say.outcome(Ok("b opened"));
        say.step("a knocks again", "b opens");
        say.outcome(Err("b slept"));
        say.verdict();
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        (text, say.failed())
    }

    #[test]
    fn a_log_gets_no_escape_sequences_and_each_outcome_its_sign() {
        let (text, failed) = told(Shape::Plain);
        assert!(!text.contains('\x1b'));
        assert!(text.contains("b opened ✓") && text.contains("b slept ✗"));
        assert!(text.contains("1 of 2 steps"));
        assert_eq!(failed, 1);
    }

    #[test]
    fn a_program_gets_one_object_a_line() {
        let (text, _) = told(Shape::Json);
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[1]["expected"], "b opens");
        assert_eq!(lines[2]["ok"], false);
        assert_eq!(lines[3]["failed"], 1);
    }
}

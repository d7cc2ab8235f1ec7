//! The capabilities, as plugins call them. Each call is counted before it does anything.

use wasmtime::Result;
use wasmtime::component::Resource;

use super::counters::Bucket;
use super::now_ms;
use super::state::{State, count};
use crate::bindings::isthmus::policy::{clock, counters, directory, lists, log, message, metrics, settings, types};
use crate::call::OpenBody;

/// Longer log lines are cut.
const LOG_LINE_BYTES: usize = 2_048;
/// What Rust adds to a panic's message, which it is no part of.
const ADVICE: &str = "note: run with `RUST_BACKTRACE";
/// What one read of a body yields at most.
const READ_BYTES: u32 = 64 * 1024;

/// The longest prefix of at most `bytes` bytes that is still text.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

impl State {
    /// A snapshot depends on the lists that `init` has seen.
    fn note_read(&mut self, list: String) {
        if let Some(reads) = &mut self.reads {
            reads.insert(list);
        }
    }
}

impl types::Host for State {}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> Result<()> {
        self.spend_host_call()?;
        let line = cut(&message, LOG_LINE_BYTES).replace(char::is_control, " ");
        if matches!(level, log::Level::Error) && !line.starts_with(ADVICE) {
            self.budget.last_error = Some(line.clone());
        }
        let Some(left) = self.budget.log_lines.checked_sub(1) else {
            return Ok(());
        };
        self.budget.log_lines = left;
        if !self.host.log_window.admit(now_ms()) {
            return Ok(());
        }
        let plugin = &*self.host.name;
        if self.host.rehearsal {
            tracing::debug!(target: "isthmus::rehearsal", plugin, "{line}");
            return Ok(());
        }
        match level {
            log::Level::Debug => tracing::debug!(target: "isthmus::plugin", plugin, "{line}"),
            log::Level::Info => tracing::info!(target: "isthmus::plugin", plugin, "{line}"),
            log::Level::Warn => tracing::warn!(target: "isthmus::plugin", plugin, "{line}"),
            log::Level::Error => tracing::error!(target: "isthmus::plugin", plugin, "{line}"),
        }
        Ok(())
    }
}

impl clock::Host for State {
    fn now_ms(&mut self) -> Result<u64> {
        self.spend_host_call()?;
        Ok(self.host.services.now_ms())
    }
}

impl settings::Host for State {
    fn read(&mut self) -> Result<String> {
        self.spend_host_call()?;
        Ok(self.host.settings.clone())
    }
}

impl lists::Host for State {
    fn known(&mut self, name: String) -> Result<bool> {
        self.spend_host_call()?;
        let known = self.host.lists.get(&name).is_some();
        self.note_read(name);
        Ok(known)
    }

    fn contains(&mut self, name: String, entry: String) -> Result<bool> {
        self.spend_host_call()?;
        let holds = self.host.lists.get(&name).is_some_and(|list| list.contains(&entry));
        self.note_read(name);
        Ok(holds)
    }

    fn entries(&mut self, name: String) -> Result<Vec<String>> {
        self.spend_host_call()?;
        let entries = self.host.lists.get(&name).map(|list| list.entries().to_vec()).unwrap_or_default();
        self.note_read(name);
        Ok(entries)
    }
}

impl directory::Host for State {
    fn is_friend(&mut self, user: String, other: String) -> Result<Option<bool>> {
        self.spend_host_call()?;
        Ok(self.host.services.is_friend(&user, &other))
    }

    fn same_group(&mut self, user: String, other: String) -> Result<Option<bool>> {
        self.spend_host_call()?;
        Ok(self.host.services.same_group(&user, &other))
    }

    fn server_area(&mut self, server: String) -> Result<Option<String>> {
        self.spend_host_call()?;
        Ok(self.host.services.server_area(&server))
    }

    fn user_attribute(&mut self, user: String, name: String) -> Result<Option<String>> {
        self.spend_host_call()?;
        Ok(self.host.services.user_attribute(&user, &name))
    }
}

impl counters::Host for State {
    fn add(&mut self, key: String, amount: u32, window_ms: u32) -> Result<u64> {
        self.spend_host_call()?;
        Ok(self.host.counters.add(&self.host.name, &key, amount, window_ms, self.host.services.now_ms()))
    }

    fn sum(&mut self, key: String, window_ms: u32) -> Result<u64> {
        self.spend_host_call()?;
        Ok(self.host.counters.sum(&self.host.name, &key, window_ms, self.host.services.now_ms()))
    }

    fn take(&mut self, key: String, tokens: u32, burst: u32, fill_ms: u32) -> Result<u64> {
        self.spend_host_call()?;
        let bucket = Bucket { burst, fill_ms };
        Ok(self.host.counters.take(&self.host.name, &key, tokens, bucket, self.host.services.now_ms()))
    }
}

impl metrics::Host for State {
    fn count(&mut self, name: String, amount: u64) -> Result<()> {
        self.spend_host_call()?;
        let mut counted = self.host.figures.counted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        count(&mut counted, name, amount);
        Ok(())
    }
}

impl message::Host for State {}

/// There is one body a call, so the handle says nothing; it is lent, never given.
impl message::HostBody for State {
    fn size(&mut self, _: Resource<OpenBody>) -> Result<u64> {
        self.spend_host_call()?;
        Ok(self.body.as_ref().map_or(0, |body| body.size()))
    }

    fn read(&mut self, _: Resource<OpenBody>, offset: u64, len: u32) -> Result<Vec<u8>> {
        self.spend_host_call()?;
        let len = len.min(READ_BYTES);
        let mut bytes = self.body.as_ref().map(|body| body.read(offset, len)).unwrap_or_default();
        bytes.truncate(len as usize);
        Ok(bytes)
    }

    fn drop(&mut self, _: Resource<OpenBody>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_line_is_still_text() {
        for (text, bytes, expected) in [("abc", 2, "ab"), ("abc", 9, "abc"), ("a王b", 2, "a"), ("a王b", 4, "a王")] {
            assert_eq!(cut(text, bytes), expected);
        }
    }
}

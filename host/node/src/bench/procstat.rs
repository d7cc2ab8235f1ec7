//! What a process has cost so far, from `/proc` (Linux).

use std::io;
use std::time::Duration;

/// USER_HZ: the kernel's unit for CPU times in `/proc`, 100 on every architecture that Rust's std supports.
const TICKS_PER_SECOND: u64 = 100;

/// CPU time and memory of one process at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time of all its threads, those that ended included; in steps of 10 ms.
    pub cpu: Duration,
    /// Resident memory.
    pub rss_kib: u64,
    /// The most it ever was.
    pub peak_kib: u64,
}

/// Reads the usage of the process `pid`.
///
/// # Errors
/// The system's, for a process that is gone; `InvalidData` for what is not Linux's format.
pub fn usage(pid: u32) -> io::Result<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let odd = || io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat has an unknown format"));
    Ok(Usage {
        cpu: cpu(&stat).ok_or_else(odd)?,
        rss_kib: kib(&status, "VmRSS:").unwrap_or_default(),
        peak_kib: kib(&status, "VmHWM:").unwrap_or_default(),
    })
}

/// utime + stime, fields 14 and 15 of proc(5). The name in field 2 may hold spaces and brackets, so the last bracket counts.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND))
}

fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_a_name_with_spaces_and_brackets() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 7 7 20 0 4 0 100 1000 10";
        assert_eq!(cpu(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu("42 (short) S 1"), None);
    }

    #[test]
    fn memory_is_read_in_kib() {
        let status = "Name:\tisthmus\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n";
        assert_eq!((kib(status, "VmRSS:"), kib(status, "VmHWM:")), (Some(1024), Some(2048)));
    }

    #[test]
    fn this_process_has_a_usage_and_a_process_that_never_was_has_none() {
        assert!(usage(std::process::id()).unwrap().rss_kib > 0);
        assert!(usage(u32::MAX).is_err());
    }
}

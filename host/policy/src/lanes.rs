//! What every call touches, some times over: cores that judge at the same time would otherwise wait for each other's
//! cache lines, which costs more than a plugin's answer.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Threads beyond share lanes: right, and only a little slower.
const LANES: usize = 8;

/// Apart from its neighbours: processors fetch lines of 64 bytes in pairs.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Apart<T>(pub(crate) T);

/// One `T` for each few threads.
#[derive(Default)]
pub(crate) struct Lanes<T>([Apart<T>; LANES]);

fn own_lane() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static LANE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % LANES);
    LANE.with(|lane| *lane)
}

impl<T> Lanes<T> {
    pub(crate) fn of(make: impl Fn() -> T) -> Self {
        Self(std::array::from_fn(|_| Apart(make())))
    }

    /// This thread's.
    pub(crate) fn own(&self) -> &T {
        &self.0[own_lane()].0
    }

    /// All of them, this thread's first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        let own = own_lane();
        self.0[own..].iter().chain(&self.0[..own]).map(|lane| &lane.0)
    }
}

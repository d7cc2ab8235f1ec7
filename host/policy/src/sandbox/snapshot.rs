//! Snapshots: a component that starts where `init` left it.
//!
//! `wasmtime-wizer` instruments a component so that its globals and memories can be read, and
//! writes what was read into a new component. Its own driver needs async, threads and a garbage
//! collector in the engine; this one is synchronous and needs none of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wasmtime::Store;
use wasmtime::component::{Instance, Lift, WasmList};
use wasmtime_wizer::{ComponentContext, ComponentInstanceState, Wizer};

use super::state::State;

/// A component prepared for being read.
pub(crate) struct Instrumented<'a> {
    wizer: Wizer,
    context: ComponentContext<'a>,
    pub(crate) wasm: Vec<u8>,
}

impl<'a> Instrumented<'a> {
    /// # Errors
    /// Why this component cannot be snapshotted, in words.
    pub(crate) fn new(wasm: &'a [u8]) -> Result<Self, String> {
        let wizer = Wizer::new();
        let (context, wasm) = quietly(|| wizer.instrument_component(wasm))?.map_err(|error| format!("{error:#}"))?;
        Ok(Self { wizer, context, wasm })
    }

    /// The component as `instance` is now.
    ///
    /// # Errors
    /// Why it could not be read or written, in words.
    pub(crate) fn snapshot(&self, store: &mut Store<State>, instance: Instance) -> Result<Vec<u8>, String> {
        let mut reader = Reader { store, instance, failed: None };
        let written = quietly(|| {
            let future = pin!(self.wizer.snapshot_component(&self.context, &mut reader));
            match future.poll_now() {
                Poll::Ready(written) => written.map_err(|error| format!("{error:#}")),
                Poll::Pending => Err("the snapshot waited for something".to_owned()),
            }
        });
        match reader.failed {
            Some(failed) => Err(failed),
            None => written?,
        }
    }
}

/// wizer asserts where it cannot go on, and components come from outside.
fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| "the snapshot tool does not understand this component".to_owned())
}

/// Nothing in here ever waits.
trait PollNow: Future {
    fn poll_now(self: std::pin::Pin<&mut Self>) -> Poll<Self::Output> {
        self.poll(&mut Context::from_waker(Waker::noop()))
    }
}

impl<F: Future> PollNow for F {}

struct Reader<'a> {
    store: &'a mut Store<State>,
    instance: Instance,
    /// The trait has no errors: the first one is kept here and voids the snapshot.
    failed: Option<String>,
}

impl Reader<'_> {
    fn call<R: Lift + Send + Sync + 'static>(&mut self, interface: &str, function: &str) -> Option<R> {
        let called = self.try_call(interface, function);
        match called {
            Ok(value) => Some(value),
            Err(error) => {
                self.failed.get_or_insert_with(|| format!("{error:#}"));
                None
            }
        }
    }

    fn try_call<R: Lift + Send + Sync + 'static>(&mut self, interface: &str, function: &str) -> wasmtime::Result<R> {
        let missing = || wasmtime::format_err!("the instrumented component lacks {interface}#{function}");
        let outer = self.instance.get_export_index(&mut *self.store, None, interface).ok_or_else(missing)?;
        let inner = self.instance.get_export_index(&mut *self.store, Some(&outer), function).ok_or_else(missing)?;
        let function = self.instance.get_typed_func::<(), (R,)>(&mut *self.store, inner)?;
        self.store.set_epoch_deadline(1);
        Ok(function.call(&mut *self.store, ())?.0)
    }
}

impl ComponentInstanceState for Reader<'_> {
    async fn call_func_ret_list_u8(&mut self, instance: &str, func: &str, contents: impl FnOnce(&[u8]) + Send) {
        match self.call::<WasmList<u8>>(instance, func) {
            Some(list) => contents(list.as_le_slice(&*self.store)),
            None => contents(&[]),
        }
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.call(instance, func).unwrap_or_default()
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.call(instance, func).unwrap_or_default()
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.call::<f32>(instance, func).unwrap_or_default().to_bits()
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.call::<f64>(instance, func).unwrap_or_default().to_bits()
    }
}

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
use super::wrapped::{self, Part, Wrapper};

/// What wizer adds to a component: the instance that reads its state.
const ACCESS: &str = "wasmtime:wizer/access";

/// A component prepared for being read.
pub(crate) struct Instrumented<'a> {
    wizer: Wizer,
    original: &'a [u8],
    parts: Vec<ComponentContext<'a>>,
    /// If its modules lie in components of its own.
    wrapper: Option<(Wrapper, Vec<Part<'a>>)>,
    pub(crate) wasm: Vec<u8>,
}

impl<'a> Instrumented<'a> {
    /// # Errors
    /// Why this component cannot be snapshotted, in words.
    pub(crate) fn new(original: &'a [u8]) -> Result<Self, String> {
        let wizer = Wizer::new();
        let refused = match instrument(&wizer, original) {
            Ok((context, wasm)) => return Ok(Self { wizer, original, parts: vec![context], wrapper: None, wasm }),
            Err(said) => said,
        };
        let wrapper = Wrapper::of(original)?.ok_or(refused)?;
        let parts = wrapper.parts(original)?;
        let instrumented = parts.iter().map(|part| instrument(&wizer, part.wasm));
        let (contexts, bytes): (_, Vec<_>) = instrumented.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        let mut component = wrapper.with(original, &parts, &bytes);
        wrapper.export(&mut component, &parts, ACCESS);
        let wasm = component.finish();
        Ok(Self { wizer, original, parts: contexts, wrapper: Some((wrapper, parts)), wasm })
    }

    /// The component as `instance` is now.
    ///
    /// # Errors
    /// Why it could not be read or written, in words.
    pub(crate) fn snapshot(&self, store: &mut Store<State>, instance: Instance) -> Result<Vec<u8>, String> {
        let Some((wrapper, parts)) = &self.wrapper else {
            return self.read(&self.parts[0], Reader { store, instance, access: ACCESS, failed: None });
        };
        let mut bytes = Vec::with_capacity(parts.len());
        for (at, context) in self.parts.iter().enumerate() {
            let access = wrapped::name(at);
            bytes.push(self.read(context, Reader { store, instance, access: &access, failed: None })?);
        }
        Ok(wrapper.with(self.original, parts, &bytes).finish())
    }

    fn read(&self, context: &ComponentContext<'_>, mut reader: Reader<'_>) -> Result<Vec<u8>, String> {
        let written = quietly(|| {
            let future = pin!(self.wizer.snapshot_component(context, &mut reader));
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

fn instrument<'a>(wizer: &Wizer, wasm: &'a [u8]) -> Result<(ComponentContext<'a>, Vec<u8>), String> {
    quietly(|| wizer.instrument_component(wasm))?.map_err(|error| format!("{error:#}"))
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
    /// The name of the instance that reads the state.
    access: &'a str,
    /// The trait has no errors: the first one is kept here and voids the snapshot.
    failed: Option<String>,
}

impl Reader<'_> {
    fn call<R: Lift + Send + Sync + 'static>(&mut self, function: &str) -> Option<R> {
        let called = self.try_call(function);
        match called {
            Ok(value) => Some(value),
            Err(error) => {
                self.failed.get_or_insert_with(|| format!("{error:#}"));
                None
            }
        }
    }

    fn try_call<R: Lift + Send + Sync + 'static>(&mut self, function: &str) -> wasmtime::Result<R> {
        let interface = self.access;
        let missing = || wasmtime::format_err!("the instrumented component lacks {interface}#{function}");
        let outer = self.instance.get_export_index(&mut *self.store, None, interface).ok_or_else(missing)?;
        let inner = self.instance.get_export_index(&mut *self.store, Some(&outer), function).ok_or_else(missing)?;
        let function = self.instance.get_typed_func::<(), (R,)>(&mut *self.store, inner)?;
        self.store.set_epoch_deadline(1);
        Ok(function.call(&mut *self.store, ())?.0)
    }
}

impl ComponentInstanceState for Reader<'_> {
    async fn call_func_ret_list_u8(&mut self, _: &str, func: &str, contents: impl FnOnce(&[u8]) + Send) {
        match self.call::<WasmList<u8>>(func) {
            Some(list) => contents(list.as_le_slice(&*self.store)),
            None => contents(&[]),
        }
    }

    async fn call_func_ret_s32(&mut self, _: &str, func: &str) -> i32 {
        self.call(func).unwrap_or_default()
    }

    async fn call_func_ret_s64(&mut self, _: &str, func: &str) -> i64 {
        self.call(func).unwrap_or_default()
    }

    async fn call_func_ret_f32(&mut self, _: &str, func: &str) -> u32 {
        self.call::<f32>(func).unwrap_or_default().to_bits()
    }

    async fn call_func_ret_f64(&mut self, _: &str, func: &str) -> u64 {
        self.call::<f64>(func).unwrap_or_default().to_bits()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use std::sync::Arc;
    use std::time::Duration;

    use wasmtime::component::{Component, Linker};

    use super::*;
    use crate::plugin;
    use crate::sandbox::Instant;
    use crate::sandbox::engine::Sandbox;
    use crate::sandbox::state::{Limits, PluginHost};
    use crate::sandbox::wrapped::tests::WRAPPED;

    pub(crate) fn store(sandbox: &Sandbox) -> Store<State> {
        let host = PluginHost {
            name: "it".into(),
            limits: Limits::default(),
            settings: String::new(),
            wasi: crate::sandbox::wasi::Grants::default(),
            lists: Arc::default(),
            services: Arc::new(crate::NoServices),
            counters: Arc::default(),
            figures: Arc::default(),
            log_window: Arc::default(),
            rehearsal: false,
            window: Duration::ZERO,
        };
        let mut store = plugin::store(sandbox, &Arc::new(host), Instant::now());
        store.data_mut().prepare();
        store
    }

    fn started(sandbox: &Sandbox, wasm: &[u8]) -> (Store<State>, Instance) {
        let mut store = store(sandbox);
        let component = Component::new(&sandbox.engine, wasm).unwrap();
        let instance = Linker::new(&sandbox.engine).instantiate(&mut store, &component).unwrap();
        (store, instance)
    }

    fn next((store, instance): &mut (Store<State>, Instance)) -> i32 {
        store.set_epoch_deadline(1);
        let next = instance.get_typed_func::<(), (i32,)>(&mut *store, "next").unwrap();
        next.call(&mut *store, ()).unwrap().0
    }

    #[test]
    fn a_component_made_of_others_starts_where_all_of_them_were_left() {
        let sandbox = Sandbox::shared().unwrap();
        let wasm = wat::parse_str(WRAPPED).unwrap();
        let counted = |calls: i32| (100 + 1_000 * calls) + (1 + calls) + 10 * calls;
        assert_eq!(next(&mut started(sandbox, &wasm)), counted(1));

        let instrumented = Instrumented::new(&wasm).unwrap();
        let (mut store, instance) = {
            let mut live = started(sandbox, &instrumented.wasm);
            (1..=3).for_each(|calls| assert_eq!(next(&mut live), counted(calls)));
            live
        };
        store.data_mut().lend_memory(1 << 20);
        let snapshot = instrumented.snapshot(&mut store, instance).unwrap();
        for _ in 0..2 {
            let mut live = started(sandbox, &snapshot);
            assert_eq!([next(&mut live), next(&mut live)], [counted(4), counted(5)]);
        }
        let component = Component::new(&sandbox.engine, &snapshot).unwrap().component_type();
        let exports: Vec<_> = component.exports(&sandbox.engine).map(|(name, _)| name.to_owned()).collect();
        assert_eq!(exports, ["next"], "what read it is gone");
    }
}

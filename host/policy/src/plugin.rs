//! A prepared plugin: compiled, initialised once, snapshotted, ready to be asked.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre, Resource};

use crate::answer::{self, Decision, Treated, Treatment};
use crate::bindings::exports::isthmus::policy::packed_access_hook::Ruling;
use crate::bindings::exports::isthmus::policy::{audit_hook, content_hook, lifecycle};
use crate::bindings::isthmus::policy::types;
use crate::breaker::Failures;
use crate::call::{Body, Call, Event, Item};
use crate::fault::PluginFault;
use crate::hooks::{Form, Guests, Hooks, load};
use crate::lanes::Lanes;
use crate::lower::{self, Packing};
use crate::outcome::Verdict;
use crate::sandbox::Instant;
use crate::sandbox::engine::Sandbox;
use crate::sandbox::state::{PluginHost, State};

/// A reused instance serves so many calls before a fresh one takes over.
const CALLS_AN_INSTANCE: u32 = 1_000;
/// Reused instances that a plugin keeps in a lane while idle, if they are small; more than threads that judge is never
/// useful.
const IDLE_INSTANCES: usize = 4;
/// Slower than this on average, or over its limit once, and a plugin is suspect …
const SLOW_MICROS: u32 = 1_000;
/// … until it has behaved for so long.
const SUSPECT_FOR: Duration = Duration::from_secs(30);
/// Handles of resources an instance may hold: one body, and some slack.
const HANDLES: usize = 64;

/// One instance with its store. After any failure it is dropped, never used again.
struct Live {
    store: Store<State>,
    instance: Instance,
    guests: Guests,
    packing: Packing,
    calls: u32,
}

/// A prepared plugin of a generation.
pub(crate) struct Plugin {
    pub(crate) name: Arc<str>,
    /// As `policy.toml` names it.
    pub(crate) component: String,
    /// blake3 of the component, hex.
    pub(crate) digest: String,
    pub(crate) imports: Vec<String>,
    pub(crate) reuse: bool,
    pub(crate) hooks: Hooks,
    pub(crate) host: Arc<PluginHost>,
    pub(crate) pre: InstancePre<State>,
    /// False: `init` runs in each new instance.
    pub(crate) snapshot: bool,
    /// Lists that went into the snapshot.
    pub(crate) reads: Vec<String>,
    /// Granted `message`: bodies are lent to it.
    pub(crate) lends: bool,
    pub(crate) sandbox: &'static Sandbox,
    pub(crate) lanes: Lanes<Lane>,
    pub(crate) health: Arc<Health>,
}

/// What a call by one thread touches of a plugin, apart from what the others do.
pub(crate) struct Lane {
    /// Instances that wait for a call, the last used on top.
    idle: Mutex<Vec<LiveBox>>,
    /// For steps: the plugin's name, and the first 16 digits of its digest.
    pub(crate) name: Arc<str>,
    pub(crate) short: Arc<str>,
}

impl Lane {
    pub(crate) fn some(name: &str, digest: &str) -> Lanes<Self> {
        Lanes::of(|| Self { idle: Mutex::default(), name: name.into(), short: digest[..16].into() })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<LiveBox>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opaque to the rest of the crate.
struct LiveBox(Box<Live>);

/// An answer with the wall time it took, in microseconds.
pub(crate) struct Timed<R> {
    pub(crate) answer: Result<R, PluginFault>,
    pub(crate) micros: u32,
}

/// A store with this plugin's limits, its clock running from `started`.
pub(crate) fn store(sandbox: &Sandbox, host: &Arc<PluginHost>, started: Instant) -> Store<State> {
    let mut store = Store::new(&sandbox.engine, State::new(host.clone(), started));
    store.limiter(|state| state);
    store.epoch_deadline_callback(State::on_tick);
    store.set_epoch_deadline(1);
    store.set_hostcall_fuel((host.limits.output_kib as usize) << 10);
    store.set_max_component_handles(HANDLES);
    store
}

impl Plugin {
    /// The same code for another host: compiled and initialised already, with no instance yet.
    pub(crate) fn beside(&self, host: PluginHost, health: Arc<Health>) -> Plugin {
        Plugin {
            name: self.name.clone(),
            component: self.component.clone(),
            digest: self.digest.clone(),
            imports: self.imports.clone(),
            reuse: self.reuse,
            hooks: self.hooks.clone(),
            host: Arc::new(host),
            pre: self.pre.clone(),
            snapshot: self.snapshot,
            reads: self.reads.clone(),
            lends: self.lends,
            sandbox: self.sandbox,
            lanes: Lane::some(&self.name, &self.digest),
            health,
        }
    }

    /// Whether it can see lists at all.
    pub(crate) fn sees_lists(&self) -> bool {
        self.imports.iter().any(|import| import == "lists")
    }

    /// Asks the access hook.
    pub(crate) fn decide(&self, call: &Call) -> Timed<Decision> {
        let more = &self.hooks.more;
        self.run(None, answer::decision, |live| {
            let Live { store, instance, guests, packing, .. } = live;
            match guests.access.of(self.hooks.access.as_ref(), store, instance)? {
                Form::Plain(hook) => hook.call_decide(store, lower::call(call, &lower::pairs(&call.attributes))),
                Form::Packed(hook) => Ok(match hook.call_decide(&mut *store, packing.pack(call, &[], &[]))? {
                    Ruling::Allow => types::Decision::Allow,
                    Ruling::Deny => {
                        types::Decision::Deny(load(more.reason.as_ref(), store, instance)?.call_why(store)?)
                    }
                    Ruling::Abstain => types::Decision::Abstain,
                }),
            }
        })
    }

    /// Asks the content hook about an item whose text is now `text`.
    pub(crate) fn judge(&self, call: &Call, item: &Item, text: &str) -> Timed<(Verdict, Vec<String>)> {
        let body = item.body.as_ref().filter(|_| self.lends);
        let more = &self.hooks.more;
        self.run(body, answer::judgement, |live| {
            let Live { store, instance, guests, packing, .. } = live;
            let lent = body.map(|_| Resource::new_borrow(0));
            match guests.content.of(self.hooks.content.as_ref(), store, instance)? {
                Form::Plain(hook) => {
                    let (attributes, facts) = (lower::pairs(&call.attributes), lower::pairs(&item.attributes));
                    let item = content_hook::Item { kind: &item.kind, text, attributes: &facts };
                    hook.call_judge(store, lower::call(call, &attributes), item, lent)
                }
                Form::Packed(hook) => {
                    let packed = packing.pack(call, &[&item.kind, text], &item.attributes);
                    match hook.call_passes(&mut *store, packed, lent)? {
                        true => Ok(types::Judgement { verdict: types::Verdict::Pass, labels: Vec::new() }),
                        false => load(more.judgement.as_ref(), store, instance)?.call_judged(store),
                    }
                }
            }
        })
    }

    /// Asks the audit hook.
    pub(crate) fn treat(&self, event: &Event) -> Timed<Treatment> {
        let (more, believe) = (&self.hooks.more, |said| answer::treatment(said, event));
        self.run(None, believe, |live| {
            let Live { store, instance, guests, packing, .. } = live;
            match guests.audit.of(self.hooks.audit.as_ref(), store, instance)? {
                Form::Plain(hook) => {
                    let (attributes, fields) = (lower::pairs(&event.call.attributes), lower::pairs(&event.fields));
                    let call = lower::call(&event.call, &attributes);
                    let event = audit_hook::Event { call, outcome: &event.outcome, code: event.code, fields: &fields };
                    hook.call_treat(store, event).map(Treated::Plain)
                }
                Form::Packed(hook) => {
                    let packed = packing.pack(&event.call, &[&event.outcome], &event.fields);
                    let marks = hook.call_treat(&mut *store, packed, event.code)?;
                    let sinks = match marks.sinks {
                        true => load(more.sinks.as_ref(), store, instance)?.call_sinks(store)?,
                        false => Vec::new(),
                    };
                    Ok(Treated::Packed(marks, sinks))
                }
            }
        })
    }

    fn run<R, S>(
        &self,
        body: Option<&Arc<dyn Body>>,
        believe: impl FnOnce(R) -> Result<S, PluginFault>,
        ask: impl FnOnce(&mut Live) -> wasmtime::Result<R>,
    ) -> Timed<S> {
        let started = Instant::now();
        let answer = self.answer(started, body, believe, ask);
        let micros = u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX);
        self.health.note(micros, answer.as_ref().err());
        if answer.as_ref().is_err_and(PluginFault::blames_plugin) {
            // This call is counted after its answer.
            self.health.failures.count(self.host.window, self.host.figures.calls() + 1, std::time::Instant::now());
        }
        Timed { answer, micros }
    }

    fn answer<R, S>(
        &self,
        started: Instant,
        body: Option<&Arc<dyn Body>>,
        believe: impl FnOnce(R) -> Result<S, PluginFault>,
        ask: impl FnOnce(&mut Live) -> wasmtime::Result<R>,
    ) -> Result<S, PluginFault> {
        if !self.sandbox.ticker.alive(started) {
            return Err(PluginFault::Clock);
        }
        let mut live = self.take(started)?;
        live.0.store.data_mut().body = body.cloned();
        match ask(&mut live.0) {
            Ok(answer) => {
                let believed = believe(answer)?;
                self.put_back(live);
                Ok(believed)
            }
            Err(error) => Err(PluginFault::classify(&error, live.0.store.data())),
        }
    }

    fn take(&self, started: Instant) -> Result<LiveBox, PluginFault> {
        if self.reuse
            && let Some(mut live) = self.lanes.all().find_map(|lane| lane.idle().pop())
        {
            live.0.store.data_mut().refill(started);
            live.0.store.set_epoch_deadline(1);
            return Ok(live);
        }
        self.instantiate(started)
    }

    fn put_back(&self, live: LiveBox) {
        self.keep(live, self.lanes.own());
    }

    fn keep(&self, mut live: LiveBox, lane: &Lane) {
        if !self.reuse {
            return;
        }
        live.0.store.data_mut().body = None;
        live.0.packing.rest();
        live.0.calls += 1;
        if live.0.calls < CALLS_AN_INSTANCE {
            let mut idle = lane.idle();
            if idle.len() < if self.sandbox.is_large() { 1 } else { IDLE_INSTANCES } {
                idle.push(live);
            }
        }
    }

    fn instantiate(&self, started: Instant) -> Result<LiveBox, PluginFault> {
        self.start_in(store(self.sandbox, &self.host, started))
    }

    fn start_in(&self, mut store: Store<State>) -> Result<LiveBox, PluginFault> {
        store.data_mut().room = self.sandbox.room().ok_or(PluginFault::Busy)?;
        let instance = match self.pre.instantiate(&mut store) {
            Ok(instance) => instance,
            Err(error) => return Err(starting(PluginFault::classify(&error, store.data()))),
        };
        if let Some(lifecycle) = &self.hooks.lifecycle {
            self.initialise(&mut store, instance, lifecycle)?;
        }
        Ok(LiveBox(Box::new(Live {
            store,
            instance,
            guests: Guests::default(),
            packing: Packing::default(),
            calls: 0,
        })))
    }

    /// For a component that could not be snapshotted: its `init` has its own time, as at activation.
    fn initialise(
        &self,
        store: &mut Store<State>,
        instance: Instance,
        lifecycle: &lifecycle::GuestIndices,
    ) -> Result<(), PluginFault> {
        store.data_mut().prepare();
        let called =
            lifecycle.load(&mut *store, &instance).and_then(|guest| guest.call_init(&mut *store, &self.host.settings));
        match called {
            Ok(Ok(())) => {
                store.data_mut().refill(Instant::now());
                store.set_epoch_deadline(1);
                Ok(())
            }
            Ok(Err(said)) => Err(PluginFault::Start(said)),
            Err(error) => Err(starting(PluginFault::classify(&error, store.data()))),
        }
    }

    /// Starts instances as calls will, and checks every export's type: callers find them warm. The first start, which
    /// touches everything for the first time, is still preparation and has its time.
    pub(crate) fn warm(&self, instances: usize) -> Result<(), PluginFault> {
        let mut started = Vec::with_capacity(instances);
        for _ in 0..instances {
            let mut store = store(self.sandbox, &self.host, Instant::now());
            store.data_mut().prepare();
            let mut live = self.start_in(store)?;
            let Live { store, instance, guests, .. } = &mut *live.0;
            guests.load(&self.hooks, store, instance).map_err(|error| PluginFault::Start(format!("{error:#}")))?;
            started.push(live);
        }
        started.into_iter().zip(self.lanes.all()).for_each(|(live, lane)| self.keep(live, lane));
        Ok(())
    }
}

/// What goes wrong before the plugin is asked is no invalid answer.
fn starting(fault: PluginFault) -> PluginFault {
    if let PluginFault::Invalid(said) = fault { PluginFault::Start(said) } else { fault }
}

/// Whether a plugin can be trusted to be quick.
pub(crate) struct Health {
    born: Instant,
    /// Moving average of the wall time, in sixteenths of a microsecond.
    average: AtomicU32,
    /// Milliseconds after `born` until which it is suspect.
    suspect_until: AtomicU64,
    last_fault: Mutex<Option<PluginFault>>,
    pub(crate) failures: Failures,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            born: Instant::now(),
            average: AtomicU32::new(0),
            suspect_until: AtomicU64::new(0),
            last_fault: Mutex::new(None),
            failures: Failures::default(),
        }
    }
}

impl Health {
    fn note(&self, micros: u32, fault: Option<&PluginFault>) {
        let before = self.average.load(Ordering::Relaxed);
        let sample = micros.min(u32::MAX / 32);
        let average = before - before / 16 + sample;
        // Mostly it stays what it is: then other threads keep what they have read of it.
        if average != before {
            self.average.store(average, Ordering::Relaxed);
        }
        if average / 16 > SLOW_MICROS || matches!(fault, Some(PluginFault::Timeout { .. })) {
            self.suspect_until.store(self.age() + SUSPECT_FOR.as_millis() as u64, Ordering::Relaxed);
        }
        if let Some(fault) = fault {
            *self.last_fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault.clone());
        }
    }

    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn suspect(&self) -> bool {
        let until = self.suspect_until.load(Ordering::Relaxed);
        until != 0 && self.age() < until
    }

    pub(crate) fn last_fault(&self) -> Option<PluginFault> {
        self.last_fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_plugin_is_suspect_and_a_quick_one_is_not() {
        let health = Health::default();
        (0..100).for_each(|_| health.note(50, None));
        health.note(4_000, None);
        assert!(!health.suspect(), "one slow call is the machine's fault");
        (0..100).for_each(|_| health.note(2_000, None));
        assert!(health.suspect());
    }

    #[test]
    fn one_timeout_makes_suspect() {
        let health = Health::default();
        health.note(10_000, Some(&PluginFault::Timeout { limit_ms: 10 }));
        assert!(health.suspect());
        assert_eq!(health.last_fault(), Some(PluginFault::Timeout { limit_ms: 10 }));
    }
}

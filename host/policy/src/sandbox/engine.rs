//! The engines: Cranelift, epochs; no threads, no garbage collector, no async. The usual one has pooled instances;
//! components that are too large for a place in the pool (languages with an interpreter) run in one of their own, which
//! allocates each instance by itself and costs nothing until there is one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::state::{State, TABLE_ELEMENTS};
use super::ticker::{Clock, Ticker};

/// Instances alive at once in the process: each thread that judges has one, pools have some.
const INSTANCES: u32 = 1_000;
/// A component may have so many core modules: its own, and the adapters that the tools add.
pub(crate) const CORE_INSTANCES: u32 = 8;
/// Instances alive at once in the engine for large components.
const LARGE_INSTANCES: usize = 64;
/// No memory limit in a bundle can be higher.
pub(crate) const MAX_MEMORY_MIB: u32 = 512;
/// Of a trap: enough to see past the machinery of a panic.
const FRAMES: usize = 32;
/// What stays mapped of a freed instance, so that the next one starts without page faults.
const KEEP_RESIDENT: usize = 1 << 20;

static LARGE: OnceLock<Result<Sandbox, String>> = OnceLock::new();

/// The engine with everything that depends on it.
pub(crate) struct Sandbox {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<State>,
    pub(crate) ticker: Arc<Ticker>,
    /// Changes whenever compiled code of another build could not be loaded.
    pub(crate) compatibility: [u8; 32],
    /// Instances alive where the engine does not count them itself.
    places: Option<Arc<AtomicUsize>>,
}

/// The right to one instance in an engine that does not count them itself.
#[derive(Debug)]
pub(crate) struct Room(Arc<AtomicUsize>);

impl Drop for Room {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Sandbox {
    /// The process has one: address space for pooled memories is reserved once.
    pub(crate) fn shared() -> Result<&'static Self, String> {
        static SHARED: OnceLock<Result<Sandbox, String>> = OnceLock::new();
        let pooled = || {
            let configs = [INSTANCES, INSTANCES / 4, INSTANCES / 16].map(|instances| {
                let mut config = config();
                config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(instances)));
                config
            });
            Self::new(&configs, None)
        };
        SHARED.get_or_init(pooled).as_ref().map_err(Clone::clone)
    }

    /// The one for components that are too large for the pool.
    pub(crate) fn large() -> Result<&'static Self, String> {
        let on_demand = || {
            let mut config = config();
            config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
            Self::new(&[config], Some(Arc::default()))
        };
        LARGE.get_or_init(on_demand).as_ref().map_err(Clone::clone)
    }

    /// How the clocks fare: its own, and that of the engine for large components once there is one.
    pub(crate) fn clock(&self) -> Clock {
        let large = LARGE.get().and_then(|large| large.as_ref().ok());
        large.into_iter().map(|large| large.ticker.health()).fold(self.ticker.health(), |one, other| Clock {
            ticking: one.ticking && other.ticking,
            restarts: one.restarts + other.restarts,
        })
    }

    /// Whether its instances are large: fewer of them are kept.
    pub(crate) fn is_large(&self) -> bool {
        self.places.is_some()
    }

    /// Room for one more instance: none of its own where the pool counts them, nothing where all is taken.
    pub(crate) fn room(&self) -> Option<Option<Room>> {
        let Some(places) = &self.places else { return Some(None) };
        let room = Room(places.clone());
        (places.fetch_add(1, Ordering::Relaxed) < LARGE_INSTANCES).then_some(Some(room))
    }

    fn new(configs: &[Config], places: Option<Arc<AtomicUsize>>) -> Result<Self, String> {
        let engine = configs
            .iter()
            .map(Engine::new)
            .reduce(|first, next| first.or(next))
            .ok_or("no configuration")?
            .map_err(|error| format!("{error:#}"))?;
        let mut linker = Linker::new(&engine);
        crate::bindings::Plugins::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut State| state)
            .map_err(|error| format!("{error:#}"))?;
        let ticking = engine.clone();
        let ticker = Ticker::start(move || ticking.increment_epoch()).map_err(|error| error.to_string())?;
        let compatibility = compatibility(&engine);
        Ok(Self { engine, linker, ticker, compatibility, places })
    }

    /// One of its own, whose clock stands as long as `stopped` holds, however often it is started anew.
    #[cfg(test)]
    pub(crate) fn that_stops(stopped: Arc<std::sync::atomic::AtomicBool>) -> Result<&'static Self, String> {
        let mut sandbox = Self::new(&[config()], None)?;
        let ticking = sandbox.engine.clone();
        let tick = move || {
            while stopped.load(Ordering::Relaxed) {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            ticking.increment_epoch();
        };
        sandbox.ticker = Ticker::start(tick).map_err(|error| error.to_string())?;
        Ok(Box::leak(Box::new(sandbox)))
    }

    /// Compiles a component. Takes tens of milliseconds.
    pub(crate) fn compile(&self, wasm: &[u8]) -> wasmtime::Result<Component> {
        Component::new(&self.engine, wasm)
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .concurrency_support(false)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(FRAMES))
        .memory_init_cow(true);
    config
}

fn pool(instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances * CORE_INSTANCES)
        .total_memories(instances)
        .total_tables(instances * 4)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(2)
        .max_tables_per_component(8)
        .max_memory_size((MAX_MEMORY_MIB as usize) << 20)
        .max_component_instance_size(1 << 20)
        .max_core_instance_size(1 << 20)
        .table_elements(TABLE_ELEMENTS)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(64 * 1024)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// A blake3 digest of what wasmtime calls the compatibility of compiled code.
fn compatibility(engine: &Engine) -> [u8; 32] {
    struct Blake(blake3::Hasher);
    impl std::hash::Hasher for Blake {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }
    let mut hasher = Blake(blake3::Hasher::new());
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut hasher);
    *hasher.0.finalize().as_bytes()
}

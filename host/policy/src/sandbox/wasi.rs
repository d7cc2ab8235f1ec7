//! WASI 0.2 for guests whose language cannot do without it, and nothing in it: no files, no network, no environment, no
//! arguments, no input. What can fail says that access is denied, what is listed is empty. Output goes to the
//! plugin's log if it was granted `log`. Time stands still without the grant `clock`; randomness is the same in each
//! instance without the grant `random`.
//!
//! The answers follow from the types of what a component imports, so that an interface or a version that comes
//! later is denied as well. A guest holds nothing of the host's: all handles are of one inert kind.

use aws_lc_rs::rand::SecureRandom as _;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{Component, Linker, Resource, ResourceAny, ResourceType, Val};
use wasmtime::{Result, StoreContextMut, format_err};

use super::state::State;
use crate::bindings::isthmus::policy::log;
use crate::fault::PluginFault;

/// All of WASI begins so.
const PACKAGES: &str = "wasi:";
/// The version that is known here; later ones are asynchronous.
const VERSION: &str = "0.2.";
/// Bytes that a guest may write at once.
const WRITE_BYTES: u64 = 4_096;
/// Random bytes that a guest may ask for at once.
const RANDOM_BYTES: u64 = 64 << 10;
/// A line of output is cut here.
const LINE_BYTES: usize = 2_048;

/// What all handles are of.
struct Inert;
/// Handles that say where output goes.
const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// What a guest was granted that WASI has too.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Grants {
    log: bool,
    clock: bool,
    random: bool,
}

impl Grants {
    pub(crate) fn of(grants: &[String]) -> Self {
        let has = |name: &str| grants.iter().any(|grant| grant == name);
        Self { log: has("log"), clock: has("clock"), random: has("random") }
    }
}

/// What one instance does with WASI.
#[derive(Default)]
pub(crate) struct Wasi {
    /// Lines that have begun, of standard output and of standard error.
    begun: [Vec<u8>; 2],
    /// Random numbers drawn.
    drawn: u64,
    /// Handles that the guest holds: a snapshot would not hold them.
    pub(crate) handles: u32,
}

impl Wasi {
    /// Nothing of one call's output is left for the next.
    pub(crate) fn begin(&mut self) {
        self.begun.iter_mut().for_each(Vec::clear);
    }
}

/// Whether an import is WASI's, and in a version that this host answers to.
pub(crate) fn imported(name: &str) -> Option<bool> {
    let rest = name.strip_prefix(PACKAGES)?;
    Some(rest.split_once('@').is_some_and(|(_, version)| version.starts_with(VERSION)))
}

/// Gives the linker what this component imports of WASI.
pub(crate) fn provide(linker: &mut Linker<State>, component: &Component) -> Result<()> {
    let engine = component.engine();
    for (name, import) in component.component_type().imports(engine) {
        let (Some(true), ComponentItem::ComponentInstance(interface)) = (imported(name), import.ty) else { continue };
        let mut instance = linker.instance(name)?;
        let (package, _) = name.split_once('@').unwrap_or((name, ""));
        for (export, item) in interface.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(_) => {
                    let answer = Answer::of(package, export);
                    instance.func_new(export, move |store, ty, params, results| {
                        answer.give(Asked { store, ty }, params, results)
                    })?;
                }
                ComponentItem::Resource(_) => {
                    instance.resource(export, ResourceType::host::<Inert>(), |mut store, _| {
                        let wasi = &mut store.data_mut().wasi;
                        wasi.handles = wasi.handles.saturating_sub(1);
                        Ok(())
                    })?;
                }
                ComponentItem::CoreFunc(_)
                | ComponentItem::Module(_)
                | ComponentItem::Component(_)
                | ComponentItem::ComponentInstance(_)
                | ComponentItem::Type(_) => {}
            }
        }
    }
    Ok(())
}

/// What a function of WASI does here.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// Access is denied, or there is nothing, as the type allows.
    Nothing,
    Stream(u32),
    MayWrite,
    Write,
    Written,
    Ready,
    PollAll,
    WallTime,
    Nanoseconds,
    Resolution,
    Random,
    Exit,
}

impl Answer {
    fn of(interface: &str, function: &str) -> Self {
        match (interface, function) {
            ("wasi:cli/stdout", _) => Self::Stream(STDOUT),
            ("wasi:cli/stderr", _) => Self::Stream(STDERR),
            ("wasi:cli/exit", _) => Self::Exit,
            ("wasi:io/streams", "[method]output-stream.check-write") => Self::MayWrite,
            ("wasi:io/streams", "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush") => {
                Self::Write
            }
            (
                "wasi:io/streams",
                "[method]output-stream.flush"
                | "[method]output-stream.blocking-flush"
                | "[method]output-stream.write-zeroes"
                | "[method]output-stream.blocking-write-zeroes-and-flush",
            ) => Self::Written,
            ("wasi:io/poll", "[method]pollable.ready") => Self::Ready,
            ("wasi:io/poll", "poll") => Self::PollAll,
            ("wasi:clocks/wall-clock", "now") => Self::WallTime,
            ("wasi:clocks/monotonic-clock", "now") => Self::Nanoseconds,
            ("wasi:clocks/wall-clock" | "wasi:clocks/monotonic-clock", "resolution") => Self::Resolution,
            ("wasi:random/random" | "wasi:random/insecure" | "wasi:random/insecure-seed", _) => Self::Random,
            _ => Self::Nothing,
        }
    }

    fn give(self, mut asked: Asked<'_>, params: &[Val], results: &mut [Val]) -> Result<()> {
        asked.store.data_mut().spend_host_call()?;
        let mut handles = Vec::new();
        params.iter().try_for_each(|param| asked.take(param, &mut handles))?;
        let Some(result) = results.first_mut() else {
            return if let Self::Exit = self { Err(ended()) } else { Ok(()) };
        };
        *result = match self {
            Self::Nothing => asked.nothing()?,
            Self::Stream(stream) => asked.handle(stream)?,
            Self::MayWrite => fine(Some(Val::U64(WRITE_BYTES))),
            Self::Write => {
                let stream = handles.first().copied().unwrap_or_default();
                asked.store.data_mut().output(stream, params.last())?;
                fine(None)
            }
            Self::Written => fine(None),
            Self::Ready => Val::Bool(true),
            Self::PollAll => Val::List((0..).zip(&handles).map(|(at, _)| Val::U32(at)).collect()),
            Self::WallTime => moment(asked.store.data().wasi_ms()),
            Self::Nanoseconds => Val::U64(asked.store.data().wasi_ms().saturating_mul(1_000_000)),
            Self::Resolution => asked.resolution(),
            Self::Random => asked.random(params)?,
            Self::Exit => return Err(ended()),
        };
        Ok(())
    }
}

fn fine(value: Option<Val>) -> Val {
    Val::Result(Ok(value.map(Box::new)))
}

fn ended() -> wasmtime::Error {
    wasmtime::Error::new(PluginFault::Trap("it ended itself (exit)".to_owned()))
}

fn moment(ms: u64) -> Val {
    let nanoseconds = u32::try_from(ms % 1_000 * 1_000_000).unwrap_or(0);
    time(ms / 1_000, nanoseconds)
}

fn time(seconds: u64, nanoseconds: u32) -> Val {
    Val::Record(vec![("seconds".to_owned(), Val::U64(seconds)), ("nanoseconds".to_owned(), Val::U32(nanoseconds))])
}

/// One call of a function of WASI.
struct Asked<'a> {
    store: StoreContextMut<'a, State>,
    ty: ComponentFunc,
}

impl Asked<'_> {
    /// Takes the handles out of a parameter.
    fn take(&mut self, param: &Val, handles: &mut Vec<u32>) -> Result<()> {
        if let Val::Resource(handle) = param {
            let owned = handle.owned();
            handles.push(handle.try_into_resource::<Inert>(&mut self.store)?.rep());
            let wasi = &mut self.store.data_mut().wasi;
            wasi.handles = wasi.handles.saturating_sub(u32::from(owned));
        }
        if let Val::List(items) = param {
            items
                .iter()
                .filter(|item| matches!(item, Val::Resource(_)))
                .try_for_each(|item| self.take(item, handles))?;
        }
        if let Val::Option(Some(inner)) = param {
            self.take(inner, handles)?;
        }
        Ok(())
    }

    fn handle(&mut self, rep: u32) -> Result<Val> {
        self.store.data_mut().wasi.handles += 1;
        let handle = Resource::<Inert>::new_own(rep);
        Ok(Val::Resource(ResourceAny::try_from_resource(handle, &mut self.store)?))
    }

    fn result(&self) -> Result<Type> {
        self.ty.results().next().ok_or_else(|| format_err!("a function of WASI has no result"))
    }

    fn nothing(&mut self) -> Result<Val> {
        let ty = self.result()?;
        self.least(&ty)
    }

    /// The value of this type that gives least: an error where there can be one, none, empty, zero.
    fn least(&mut self, ty: &Type) -> Result<Val> {
        Ok(match ty {
            Type::Bool => Val::Bool(false),
            Type::S8 => Val::S8(0),
            Type::U8 => Val::U8(0),
            Type::S16 => Val::S16(0),
            Type::U16 => Val::U16(0),
            Type::S32 => Val::S32(0),
            Type::U32 => Val::U32(0),
            Type::S64 => Val::S64(0),
            Type::U64 => Val::U64(0),
            Type::Float32 => Val::Float32(0.0),
            Type::Float64 => Val::Float64(0.0),
            Type::Char => Val::Char(' '),
            Type::String => Val::String(String::new()),
            Type::List(_) => Val::List(Vec::new()),
            Type::Map(_) => Val::Map(Vec::new()),
            Type::Option(_) => Val::Option(None),
            Type::Flags(_) => Val::Flags(Vec::new()),
            Type::Own(_) => self.handle(0)?,
            Type::Result(result) => Val::Result(Err(self.boxed(result.err())?)),
            Type::Record(record) => {
                let fields: Vec<_> = record.fields().map(|field| (field.name.to_owned(), field.ty)).collect();
                let value = fields.into_iter().map(|(name, ty)| Ok((name, self.least(&ty)?)));
                Val::Record(value.collect::<Result<_>>()?)
            }
            Type::Tuple(tuple) => {
                let types: Vec<Type> = tuple.types().collect();
                Val::Tuple(types.iter().map(|ty| self.least(ty)).collect::<Result<_>>()?)
            }
            Type::Enum(names) => Val::Enum(denial(names.names()).unwrap_or_default().to_owned()),
            Type::Variant(variant) => {
                let name = denial(variant.cases().map(|case| case.name)).unwrap_or_default().to_owned();
                let payload = variant.cases().find(|case| case.name == name).and_then(|case| case.ty);
                Val::Variant(name, self.boxed(payload)?)
            }
            Type::Borrow(_) | Type::Future(_) | Type::Stream(_) | Type::ErrorContext | Type::FixedLengthList(_) => {
                return Err(format_err!("WASI gives nothing here, not even of this type"));
            }
        })
    }

    fn boxed(&mut self, ty: Option<Type>) -> Result<Option<Box<Val>>> {
        ty.map(|ty| self.least(&ty).map(Box::new)).transpose()
    }

    /// A millisecond, in the clock's own terms.
    fn resolution(&self) -> Val {
        match self.result() {
            Ok(Type::U64) => Val::U64(1_000_000),
            _ => time(0, 1_000_000),
        }
    }

    /// As many random bits as the function's type says.
    fn random(&mut self, params: &[Val]) -> Result<Val> {
        let ty = self.result()?;
        let state = self.store.data_mut();
        Ok(match (&ty, params.first()) {
            (Type::List(_), Some(Val::U64(len))) if *len <= RANDOM_BYTES => {
                let mut bytes = vec![0; usize::try_from(*len).unwrap_or_default()];
                state.fill_random(&mut bytes)?;
                Val::List(bytes.into_iter().map(Val::U8).collect())
            }
            (Type::List(_), _) => {
                return Err(format_err!("asks for more than {} KiB of random bytes at once", RANDOM_BYTES >> 10));
            }
            (Type::Tuple(_), _) => Val::Tuple(vec![Val::U64(state.random()?), Val::U64(state.random()?)]),
            _ => Val::U64(state.random()?),
        })
    }
}

/// How an error that has several says that access is denied.
fn denial<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const DENIED: [&str; 6] =
        ["access", "access-denied", "not-permitted", "closed", "HTTP-request-denied", "unsupported"];
    let names: Vec<&str> = names.collect();
    DENIED.into_iter().find(|denied| names.contains(denied)).or(names.first().copied())
}

impl State {
    /// What the clocks of WASI show, in milliseconds since 1970 UTC: without the grant they stand at 1970.
    fn wasi_ms(&self) -> u64 {
        if self.host.wasi.clock { self.host.services.now_ms() } else { 0 }
    }

    fn random(&mut self) -> Result<u64> {
        let mut bytes = [0; 8];
        self.fill_random(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// The system's randomness; without the grant the same bytes in each instance of a plugin.
    fn fill_random(&mut self, bytes: &mut [u8]) -> Result<()> {
        if self.host.wasi.random {
            let failed = |_| format_err!("the system gave no randomness");
            return aws_lc_rs::rand::SystemRandom::new().fill(bytes).map_err(failed);
        }
        self.wasi.drawn += 1;
        let mut hasher = blake3::Hasher::new_derive_key("isthmus policy wasi randomness v1");
        hasher.update(&self.wasi.drawn.to_le_bytes());
        hasher.finalize_xof().fill(bytes);
        Ok(())
    }

    /// Output becomes lines of the log, those of standard error as errors.
    fn output(&mut self, stream: u32, bytes: Option<&Val>) -> Result<()> {
        let (Some(Val::List(bytes)), STDOUT | STDERR, true) = (bytes, stream, self.host.wasi.log) else {
            return Ok(());
        };
        let which = usize::from(stream == STDERR);
        for byte in bytes {
            let Val::U8(byte) = byte else { continue };
            let begun = &mut self.wasi.begun[which];
            if *byte != b'\n' && begun.len() < LINE_BYTES {
                begun.push(*byte);
            } else if *byte == b'\n' {
                let line = std::mem::take(begun);
                let level = if stream == STDERR { log::Level::Error } else { log::Level::Info };
                log::Host::write(self, level, String::from_utf8_lossy(&line).into_owned())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_version_that_is_known_is_answered_to() {
        for (name, expected) in [
            ("wasi:cli/environment@0.2.0", Some(true)),
            ("wasi:cli/environment@0.2.12", Some(true)),
            ("wasi:cli/environment@0.3.0", Some(false)),
            ("wasi:cli/environment", Some(false)),
            ("isthmus:policy/log@1.0.0", None),
        ] {
            assert_eq!(imported(name), expected, "{name}");
        }
    }

    #[test]
    fn an_error_says_that_access_is_denied_where_it_can() {
        for (names, expected) in [
            (vec!["unknown", "access-denied", "not-supported"], Some("access-denied")),
            (vec!["access", "bad-descriptor"], Some("access")),
            (vec!["last-operation-failed", "closed"], Some("closed")),
            (vec!["would-block", "in-progress"], Some("would-block")),
            (vec![], None),
        ] {
            assert_eq!(denial(names.into_iter()), expected);
        }
    }
}

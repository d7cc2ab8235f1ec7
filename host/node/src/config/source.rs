//! The layers of a configuration: defaults, file, environment, flags, each above the one before.
//!
//! The defaults are the documented file in `config/`, so they are also the list of known keys and of their types: whatever a
//! layer names that the defaults do not is refused, and so is a value of another type.

use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::de::DeserializeOwned;

use super::known::{Known, kind_of};
use super::problem::{ConfigError, Problem};

/// Variables begin with this: `ISTHMUS_STORE__QUEUE` is `store.queue`.
pub const ENVIRONMENT_PREFIX: &str = "ISTHMUS_";

/// Where a configuration comes from, lowest layer first; the defaults are always below.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file of `--config`.
    pub file: Option<PathBuf>,
    /// Names and values of the environment; only those with the prefix count.
    pub environment: Vec<(String, String)>,
    /// Dotted keys and values of `--set key=value` and of tests.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// The file and this process's environment.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>) -> Sources {
        Sources { file, environment: std::env::vars().collect(), flags: Vec::new() }
    }

    /// One value on the highest layer.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "callers pass literals and what they just made")]
    pub fn set(mut self, key: &str, value: impl ToString) -> Sources {
        self.flags.push((key.to_owned(), value.to_string()));
        self
    }
}

/// One layer: its name in messages, the folder that its relative paths count from, its values.
#[derive(Debug, Clone)]
struct Layer {
    name: String,
    file: Option<PathBuf>,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        let metadata = Metadata::named(self.name.clone());
        match &self.file {
            Some(file) => metadata.source(file.as_path()),
            None => metadata,
        }
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// All layers, merged and checked for unknown keys and wrong types.
pub(super) struct Layers {
    figment: Figment,
}

impl Layers {
    /// Merges `defaults`, file, environment and flags.
    pub(super) fn merge(role: &str, defaults: &str, sources: &Sources) -> Result<Layers, ConfigError> {
        let defaults = defaults_layer(role, defaults)?;
        let known = Known::of(&defaults.values);
        let mut problems = Vec::new();
        let mut layers = Vec::new();
        if let Some(path) = &sources.file {
            layers.push(file_layer(path, role)?);
        }
        layers.extend(environment_layers(&known, &sources.environment));
        layers.extend(sources.flags.iter().map(|(key, text)| flag_layer(&known, key, text)));
        let mut figment = Figment::from(defaults);
        for layer in layers {
            known.check(&layer.values, &layer.name, &mut problems);
            figment = figment.merge(layer);
        }
        if problems.is_empty() { Ok(Layers { figment }) } else { Err(ConfigError { problems }) }
    }

    /// The raw configuration.
    pub(super) fn extract<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        self.figment.extract().map_err(|error| {
            let problems = error.into_iter().map(|error| of_figment(&error)).collect();
            ConfigError { problems }
        })
    }

    /// The layer that decided a key, in words.
    pub(super) fn name_of(&self, key: &str) -> String {
        let metadata = self.figment.find_metadata(key);
        metadata.map_or_else(|| "not set".to_owned(), |found| found.name.to_string())
    }

    /// The folder that relative paths of this key count from: its file's, else the working directory.
    pub(super) fn folder_of(&self, key: &str) -> PathBuf {
        let metadata = self.figment.find_metadata(key);
        let file = metadata.and_then(|found| found.source.as_ref()?.file_path()?.parent());
        file.map(Path::to_owned).unwrap_or_default()
    }
}

fn of_figment(error: &figment::Error) -> Problem {
    let source = error.metadata.as_ref().map_or("not set", |found| found.name.as_ref());
    Problem {
        key: error.path.join("."),
        source: source.to_owned(),
        what: format!("is wrong: {}", error.kind),
        remedy: "write one of the values that the documented file in config/ names".to_owned(),
    }
}

fn defaults_layer(role: &str, text: &str) -> Result<Layer, ConfigError> {
    let name = format!("default of {role}.toml");
    let values = Toml::from_str(text).map_err(|error| broken(&name, &error.to_string()))?;
    Ok(Layer { name, file: None, values })
}

fn file_layer(path: &Path, role: &str) -> Result<Layer, ConfigError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        ConfigError::one(Problem {
            key: String::new(),
            source: name.clone(),
            what: format!("the file cannot be read ({error})"),
            remedy: format!("name an existing file with --config; config/{role}.toml shows every key"),
        })
    })?;
    let values = Toml::from_str(&text).map_err(|error| broken(&name, &error.to_string()))?;
    Ok(Layer { name, file: Some(path.to_owned()), values })
}

fn broken(name: &str, error: &str) -> ConfigError {
    ConfigError::one(Problem {
        key: String::new(),
        source: name.to_owned(),
        what: format!("this is not TOML: {}", error.trim_end()),
        remedy: "mend that line".to_owned(),
    })
}

/// Variables of this prefix that are not configuration: settings of the command line and of the build.
const NOT_CONFIGURATION: &[&str] = &["CONFIG", "URL", "TOKEN", "CA", "PLUGINS", "PASSWORD", "DEMO_DATA"];

/// One layer per variable, so that a message can name it.
///
/// A name without a section that is no key at the top is left alone unless it looks like a misspelt one: orchestrators set
/// variables such as `ISTHMUS_SERVICE_HOST` by themselves.
fn environment_layers<'a>(known: &'a Known, environment: &'a [(String, String)]) -> impl Iterator<Item = Layer> + 'a {
    environment.iter().filter_map(move |(name, text)| {
        let rest = name.strip_prefix(ENVIRONMENT_PREFIX)?;
        let key = rest.to_lowercase().replace("__", ".");
        let ours = key.contains('.') || known.contains(&key) || known.resembles_top_level(&key);
        if NOT_CONFIGURATION.contains(&rest) || !ours {
            return None;
        }
        Some(layer(known, format!("environment variable {name}"), &key, text))
    })
}

fn flag_layer(known: &Known, key: &str, text: &str) -> Layer {
    layer(known, format!("flag --set {key}={text}"), key, text)
}

fn layer(known: &Known, name: String, key: &str, text: &str) -> Layer {
    let mut value = typed(known.get(key), text);
    let mut parts: Vec<&str> = key.split('.').collect();
    let first = parts.remove(0).to_owned();
    for part in parts.into_iter().rev() {
        value = Value::from(Dict::from([(part.to_owned(), value)]));
    }
    Layer { name, file: None, values: Dict::from([(first, value)]) }
}

/// Text read as the type that the default has: a mobile number stays text with its zeros, a list may leave its brackets out.
fn typed(default: Option<&Value>, text: &str) -> Value {
    let plain = || Value::from(text);
    match default {
        Some(Value::Array(..)) if !text.trim_start().starts_with('[') => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::from(items.map(Value::from).collect::<Vec<_>>())
        }
        Some(value) if kind_of(value) != "text" => {
            let parsed = Toml::from_str::<Dict>(&format!("value = {text}"));
            parsed.ok().and_then(|mut dict| dict.remove("value")).unwrap_or_else(plain)
        }
        _ => plain(),
    }
}

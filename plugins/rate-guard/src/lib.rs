//! How often: token buckets per other server, user and operation, kept by the host, so that they hold for all
//! threads and survive a swap of the policy.
//!
//! Every limit that fits a call takes one token of its bucket; if one has none, the call is denied. A limit `per` user
//! says nothing of a call without one, and a limit `per` peer nothing of a local call.

use std::hash::{DefaultHasher, Hash, Hasher};

use isthmus_plugin::{
    Access, Call, Decision, Diagnostic, Direction, Patterns, Plugin, Reason, counters, export_plugin, lists,
};
use serde::{Deserialize, Deserializer, de::Error};

/// Longer keys the host does not keep.
const KEY_BYTES: usize = 200;
const TOO_OFTEN: &str = "too many requests";

/// `[plugin.settings]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    limits: Vec<Limit>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    operations: Option<Vec<String>>,
    direction: Option<Way>,
    #[serde(default)]
    per: Vec<Part>,
    rate: Rate,
    burst: Option<u32>,
    except: Option<String>,
    reason: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Way {
    Inbound,
    Outbound,
    Internal,
}

/// What has a bucket of its own.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Part {
    Peer,
    User,
    Operation,
}

/// `20/minute`
#[derive(Clone, Copy, Debug)]
struct Rate {
    tokens: u32,
    unit_ms: u32,
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let text = String::deserialize(reader)?;
        let read = || {
            let (tokens, unit) = text.split_once('/')?;
            let unit_ms = match unit.trim() {
                "second" => 1_000,
                "minute" => 60_000,
                "hour" => 3_600_000,
                "day" => 86_400_000,
                _ => return None,
            };
            let tokens = tokens.trim().parse().ok().filter(|tokens| *tokens > 0)?;
            Some(Self { tokens, unit_ms })
        };
        read().ok_or_else(|| D::Error::custom(format!("`{text}` is no rate like `20/minute`")))
    }
}

/// The limits, ready to be asked.
pub struct RateGuard {
    limits: Vec<Bucket>,
}

struct Bucket {
    operations: Option<Patterns>,
    direction: Option<Way>,
    per: Vec<Part>,
    burst: u32,
    fill_ms: u32,
    except: Patterns,
    reason: String,
}

impl Plugin for RateGuard {
    type Settings = Settings;
    const SCHEMA: &'static str = include_str!("schema.json");

    fn check(settings: &Settings) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for (index, limit) in settings.limits.iter().enumerate() {
            let here = |key: &str| format!("/limits/{index}/{key}");
            found.extend(limit.except.iter().filter_map(|list| lists::must_exist(list, here("except"))));
            if limit.fill_ms().is_none() {
                found.push(Diagnostic::error(
                    here("burst"),
                    "a bucket of this size would take more than 49 days to fill",
                ));
            }
        }
        found
    }

    fn init(settings: Settings) -> Result<Self, String> {
        Ok(Self { limits: settings.limits.into_iter().map(Bucket::from).collect() })
    }
}

impl Access for RateGuard {
    fn decide(&self, call: &Call) -> Decision {
        for (number, limit) in self.limits.iter().enumerate() {
            let Some(key) = limit.key(number, call) else { continue };
            let wait_ms = counters::take(&key, 1, limit.burst, limit.fill_ms);
            if wait_ms > 0 {
                let seconds = wait_ms.div_ceil(1_000);
                let told = format!("{}; try again in {seconds} s", limit.reason);
                return Decision::Deny(Reason::new("rate", told).by(format!("/limits/{number}")));
            }
        }
        Decision::Abstain
    }
}

impl Limit {
    fn burst(&self) -> u32 {
        self.burst.unwrap_or(self.rate.tokens).max(1)
    }

    /// How long an empty bucket takes to fill.
    fn fill_ms(&self) -> Option<u32> {
        let fill_ms = u64::from(self.burst()) * u64::from(self.rate.unit_ms) / u64::from(self.rate.tokens);
        u32::try_from(fill_ms.max(1)).ok()
    }
}

impl Bucket {
    /// The bucket of this call; none if the limit does not speak of it.
    fn key(&self, number: usize, call: &Call) -> Option<String> {
        let fits = self.operations.as_ref().is_none_or(|wanted| wanted.matches(call.operation))
            && self.direction.is_none_or(|way| way.is(call.direction));
        let peer = call.peer.as_ref().map(|peer| peer.id).unwrap_or_default();
        if !fits || self.except.matches(call.actor) || self.except.matches(peer) {
            return None;
        }
        let mut key = number.to_string();
        for part in &self.per {
            let (name, value) = match part {
                Part::Peer => ("peer", peer),
                Part::User => ("user", call.actor),
                Part::Operation => ("operation", call.operation),
            };
            if value.is_empty() {
                return None;
            }
            key.extend(["\0", name, "\0"]);
            // R13: IDs that differ only in case are one.
            key.push_str(&value.to_lowercase());
        }
        Some(if key.len() > KEY_BYTES { short(&key) } else { key })
    }
}

fn short(key: &str) -> String {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let mut kept = key.to_owned();
    kept.truncate(key.floor_char_boundary(KEY_BYTES - 20));
    format!("{kept}\0{:016x}", hasher.finish())
}

impl Way {
    fn is(self, direction: Direction) -> bool {
        match self {
            Self::Inbound => direction == Direction::Inbound,
            Self::Outbound => direction == Direction::Outbound,
            Self::Internal => direction == Direction::Internal,
        }
    }
}

impl From<Limit> for Bucket {
    fn from(limit: Limit) -> Self {
        Self {
            burst: limit.burst(),
            // What does not fit was refused by `check`.
            fill_ms: limit.fill_ms().unwrap_or(u32::MAX),
            operations: limit.operations.map(Patterns::from_iter),
            direction: limit.direction,
            per: limit.per,
            except: limit.except.as_deref().map(lists::entries).unwrap_or_default().into_iter().collect(),
            reason: limit.reason.unwrap_or_else(|| TOO_OFTEN.to_owned()),
        }
    }
}

export_plugin!(RateGuard: access);

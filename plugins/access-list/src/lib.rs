//! White and black lists: which servers, users, areas and product types may do what, which way,
//! and when.
//!
//! The order is fixed and short. This server itself is always admitted. Then any black rule that
//! fits denies, whatever else is said; so does `strangers = "deny"` a message between two users who
//! are not friends. Then, in the mode `listed-only`, another server needs a white rule. What no rule
//! speaks of is left to the next plugin.
//!
//! A denial names the rule, or the entry of a list, that decided it.
//!
//! The entries of `black_list` and `white_list` are servers, or users where they hold an `@`.
//!
//! A condition that is left out holds for all; an empty one (`servers = []`, an empty list file)
//! holds for none. So an empty black list denies nobody and an empty white list admits nobody.

use isthmus_plugin::{
    Access, Call, Decision, Diagnostic, Direction, Patterns, Plugin, Reason, Server, directory, export_plugin, lists,
};
use serde::Deserialize;

mod hours;

use hours::{Hours, Offset};

const UNWANTED: &str = "this server is not admitted here";
const REFUSED: &str = "this is not admitted here";
const STRANGER: &str = "only friends may write to each other here";

/// `[plugin.settings]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    mode: Mode,
    rules: Vec<Rule>,
    black_list: Option<String>,
    white_list: Option<String>,
    own: Option<String>,
    utc_offset: Offset,
    strangers: Strangers,
}

/// Whether who is no friend may write. Friendship can be asked for either way.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Strangers {
    #[default]
    Allow,
    Deny,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    #[default]
    Open,
    ListedOnly,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum List {
    Black,
    White,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Way {
    Inbound,
    Outbound,
    #[default]
    Any,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    list: List,
    servers: Option<Vec<String>>,
    users: Option<Vec<String>>,
    areas: Option<Vec<String>>,
    products: Option<Vec<String>>,
    operations: Option<Vec<String>>,
    #[serde(default)]
    direction: Way,
    hours: Option<Hours>,
    reason: Option<String>,
}

/// The lists, ready to be asked.
pub struct AccessList {
    own: Patterns,
    listed_only: bool,
    black: Vec<Entry>,
    white: Vec<Entry>,
    offset: Offset,
    friends_only: bool,
}

/// A rule with its patterns built; `None` is a condition left out.
#[derive(Default)]
struct Entry {
    servers: Option<Patterns>,
    users: Option<Patterns>,
    areas: Option<Patterns>,
    products: Option<Patterns>,
    operations: Option<Patterns>,
    direction: Way,
    hours: Option<Hours>,
    reason: Option<String>,
    /// Where it stands in the settings; for a list, with the places of its entries.
    pointer: String,
    places: Vec<usize>,
}

impl Plugin for AccessList {
    type Settings = Settings;
    const SCHEMA: &'static str = include_str!("schema.json");

    fn check(settings: &Settings) -> Vec<Diagnostic> {
        let named = [("/black_list", &settings.black_list), ("/white_list", &settings.white_list)];
        let missing = |(pointer, list): (&str, &Option<String>)| lists::must_exist(list.as_deref()?, pointer);
        let mut found: Vec<_> = named.into_iter().filter_map(missing).collect();
        let lists_servers = |rule: &Rule| rule.list == List::White;
        if settings.mode == Mode::ListedOnly
            && settings.white_list.is_none()
            && !settings.rules.iter().any(lists_servers)
        {
            let message = "listed-only without a white rule or a white_list admits no other server";
            found.push(Diagnostic::warning("/mode", message));
        }
        for (index, rule) in settings.rules.iter().enumerate() {
            if rule.says_nothing() && rule.list == List::Black {
                let message = "a black rule without any condition denies everything";
                found.push(Diagnostic::warning(format!("/rules/{index}"), message));
            }
        }
        found
    }

    fn init(settings: Settings) -> Result<Self, String> {
        let (mut black, mut white) = (Vec::new(), Vec::new());
        black.extend(settings.black_list.as_deref().into_iter().flat_map(|list| Entry::of_list(list, "/black_list")));
        white.extend(settings.white_list.as_deref().into_iter().flat_map(|list| Entry::of_list(list, "/white_list")));
        for (number, rule) in settings.rules.into_iter().enumerate() {
            let list = if rule.list == List::Black { &mut black } else { &mut white };
            list.push(Entry { pointer: format!("/rules/{number}"), ..rule.into() });
        }
        Ok(Self {
            own: Patterns::from_iter(settings.own),
            listed_only: settings.mode == Mode::ListedOnly,
            black,
            white,
            offset: settings.utc_offset,
            friends_only: settings.strangers == Strangers::Deny,
        })
    }
}

impl Access for AccessList {
    fn decide(&self, call: &Call) -> Decision {
        let peer = call.peer.as_ref();
        if peer.is_some_and(|peer| self.own.matches(peer.id)) {
            return Decision::Allow;
        }
        let fits = |entry: &&Entry| entry.fits(call, peer, self.offset);
        if let Some(entry) = self.black.iter().find(fits) {
            return Decision::Deny(entry.denial(call, peer));
        }
        if self.friends_only && is_from_a_stranger(call) {
            return Decision::Deny(Reason::new("stranger", STRANGER).by("/strangers"));
        }
        if self.white.iter().any(|entry| fits(&entry)) {
            return Decision::Allow;
        }
        if self.listed_only && peer.is_some() {
            return Decision::Deny(Reason::new("not-listed", UNWANTED).by("/mode"));
        }
        Decision::Abstain
    }
}

/// A message to a user whose friend the sender is not. Whom the host does not know as either is not judged; a recall takes
/// back what was admitted, and in a group nobody is a stranger.
fn is_from_a_stranger(call: &Call) -> bool {
    let says =
        |name: &str, value: &str| call.attributes.iter().any(|(n, v)| *n == name && v.eq_ignore_ascii_case(value));
    call.operation == "message.send"
        && !says("chatScene", "group")
        && !says("messageType", "repeal")
        && call.actor != call.target
        && directory::is_friend(call.actor, call.target) == Some(false)
}

impl Entry {
    /// One of the bundle's lists: what holds an `@` is a user, all else a server.
    fn of_list(list: &str, pointer: &str) -> [Self; 2] {
        let entries = lists::entries(list).into_iter().enumerate();
        let (users, servers): (Vec<_>, Vec<_>) = entries.partition(|(_, entry)| entry.contains('@'));
        let part = |entries: Vec<(usize, String)>| {
            let (places, entries): (_, Vec<_>) = entries.into_iter().unzip();
            (Some(Patterns::from_iter(entries)), Self { pointer: pointer.to_owned(), places, ..Self::default() })
        };
        let ((servers, of_servers), (users, of_users)) = (part(servers), part(users));
        [Self { servers, ..of_servers }, Self { users, ..of_users }]
    }

    /// Whether every condition holds. One about the other server fails where there is none.
    fn fits(&self, call: &Call, peer: Option<&Server>, offset: Offset) -> bool {
        let holds = |wanted: &Option<Patterns>, value: Option<&str>| match wanted {
            Some(patterns) => value.is_some_and(|value| patterns.matches(value)),
            None => true,
        };
        self.direction.fits(call.direction)
            && holds(&self.servers, peer.map(|peer| peer.id))
            && holds(&self.areas, peer.map(|peer| peer.area))
            && holds(&self.products, peer.map(|peer| peer.product))
            && holds(&self.users, Some(call.actor))
            && holds(&self.operations, Some(call.operation))
            && self.hours.is_none_or(|hours| hours.contain(call.time_ms, offset))
    }

    fn denial(&self, call: &Call, peer: Option<&Server>) -> Reason {
        let usual = if peer.is_some() { UNWANTED } else { REFUSED };
        let reason = Reason::new("blacklisted", self.reason.as_deref().unwrap_or(usual));
        let server = self.servers.as_ref().zip(peer).and_then(|(servers, peer)| servers.find(peer.id));
        let found = server.or_else(|| self.users.as_ref()?.find(call.actor));
        match found.and_then(|found| self.places.get(found as usize)) {
            Some(place) => reason.by(format!("{}/{place}", self.pointer)),
            None => reason.by(&self.pointer),
        }
    }
}

impl Way {
    fn fits(self, direction: Direction) -> bool {
        match self {
            Self::Any => true,
            Self::Inbound => direction == Direction::Inbound,
            Self::Outbound => direction == Direction::Outbound,
        }
    }
}

impl Rule {
    fn says_nothing(&self) -> bool {
        let lists = [&self.servers, &self.users, &self.areas, &self.products, &self.operations];
        lists.iter().all(|list| list.is_none()) && self.direction == Way::Any && self.hours.is_none()
    }
}

impl From<Rule> for Entry {
    fn from(rule: Rule) -> Self {
        let patterns = |list: Option<Vec<String>>| list.map(Patterns::from_iter);
        Self {
            servers: patterns(rule.servers),
            users: patterns(rule.users),
            areas: patterns(rule.areas),
            products: patterns(rule.products),
            operations: patterns(rule.operations),
            direction: rule.direction,
            hours: rule.hours,
            reason: rule.reason,
            ..Self::default()
        }
    }
}

export_plugin!(AccessList: access);

#[cfg(test)]
mod tests;

//! Personal numbers of China in texts: resident IDs (GB 11643, with region, birthday and check digit), bank cards (by
//! Luhn), mobile numbers. Masked, held or rejected; what only looks alike is left alone.
//!
//! Digits may be wide (`１`) and in groups (`138 1234 5678`). Where numbers of several sorts are found, the gravest
//! action counts: reject before hold before mask.

use isthmus_plugin::{Body, Call, Content, Item, Judgement, Patterns, Plugin, Reason, Verdict, export_plugin};
use serde::Deserialize;

mod number;

use number::{Found, Sort, numbers};

const PERSONAL: &str = "the text contains personal numbers that must not be sent";

/// `[plugin.settings]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    resident_id: Option<Action>,
    bank_card: Option<Action>,
    mobile: Option<Action>,
    kinds: Option<Vec<String>>,
    reason: Option<String>,
}

/// From mild to grave.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
enum Action {
    Mask,
    Hold,
    Reject,
}

/// What to look for, and what then.
pub struct DlpCn {
    resident_id: Option<Action>,
    bank_card: Option<Action>,
    mobile: Option<Action>,
    kinds: Option<Patterns>,
    reason: String,
}

impl Plugin for DlpCn {
    type Settings = Settings;
    const SCHEMA: &'static str = include_str!("schema.json");

    fn init(settings: Settings) -> Result<Self, String> {
        Ok(Self {
            resident_id: settings.resident_id,
            bank_card: settings.bank_card,
            mobile: settings.mobile,
            kinds: settings.kinds.map(Patterns::from_iter),
            reason: settings.reason.unwrap_or_else(|| PERSONAL.to_owned()),
        })
    }
}

impl Content for DlpCn {
    fn judge(&self, _call: &Call, item: &Item, _body: Option<Body<'_>>) -> Judgement {
        if self.kinds.as_ref().is_some_and(|kinds| !kinds.matches(item.kind)) {
            return Judgement::pass();
        }
        let mut found = numbers(item.text);
        found.retain(|number| self.action(number.sort).is_some());
        let gravest = found.iter().filter_map(|number| Some((self.action(number.sort)?, number.sort)));
        let Some((action, sort)) = gravest.max_by_key(|(action, _)| *action) else {
            return Judgement::pass();
        };
        let reason = || Reason::new("personal-number", &self.reason).by(sort.setting());
        let verdict = match action {
            Action::Reject => Verdict::Reject(reason()),
            Action::Hold => Verdict::Hold(reason()),
            Action::Mask => Verdict::Rewrite(masked(item.text, &found)),
        };
        let mut labels: Vec<String> = found.iter().map(|number| number.sort.label().to_owned()).collect();
        labels.sort();
        labels.dedup();
        Judgement { verdict, labels }
    }
}

impl DlpCn {
    fn action(&self, sort: Sort) -> Option<Action> {
        match sort {
            Sort::ResidentId => self.resident_id,
            Sort::BankCard => self.bank_card,
            Sort::Mobile => self.mobile,
        }
    }
}

/// As much of each number left as people need to recognise their own.
fn masked(text: &str, found: &[Found]) -> String {
    let mut hidden = found.iter().flat_map(Found::hidden).peekable();
    text.char_indices().map(|(at, c)| if hidden.next_if_eq(&at).is_some() { '*' } else { c }).collect()
}

export_plugin!(DlpCn: content);

//! Short forms for what hooks answer.

use crate::{Judgement, Reason, Verdict};

impl Reason {
    /// `code` is for machines and stays the same; `text` is for the people refused and tells
    /// nothing of the policy's content.
    pub fn new(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into() }
    }

    /// Names the setting that decided, as a JSON pointer into the plugin's settings: it stands behind a `#` in the code, where
    /// `isthmus policy explain` shows it to administrators. Those who are refused never see a code.
    ///
    /// ```
    /// use isthmus_plugin::Reason;
    /// let reason = Reason::new("blacklisted", "not admitted here").by("/rules/0");
    /// assert_eq!(reason.code, "blacklisted#/rules/0");
    /// ```
    #[must_use]
    pub fn by(mut self, pointer: impl AsRef<str>) -> Self {
        self.code.extend(["#", pointer.as_ref()]);
        self
    }
}

impl Judgement {
    /// Nothing to object to, nothing to remark.
    pub fn pass() -> Self {
        Verdict::Pass.into()
    }
}

impl From<Verdict> for Judgement {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, labels: Vec::new() }
    }
}

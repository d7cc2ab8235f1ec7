//! What others learn of a local user (§7.2.2, R14): name, words of its own, portrait; its phone number only if they are
//! friends; and nothing by search if it hides.

use isthmus_store::{Reader, StoreError, Tx};
use isthmus_wire::{Code, MediaId, ServerId, UserId, UserInfo};

use crate::account::{self, User};
use crate::error::Error;
use crate::media::sight;

/// The longest name, in characters.
pub const NAME_MAX: usize = 128;
/// The longest words of a user's own, in characters.
pub const REMARK_MAX: usize = 512;
/// Digits of a phone number with `00` and country code.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=20;

/// Who looks at a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eyes {
    /// A friend: the phone number too.
    Friend,
    /// Anybody else.
    Stranger,
}

/// What is to be changed. What is left out stays; an empty text removes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// For people; cannot be removed.
    pub name: Option<String>,
    /// With country code, as 0086… or +86….
    pub phone_number: Option<String>,
    /// What the user says of itself.
    pub remark: Option<String>,
    /// The portrait's file.
    pub portrait: Option<Option<MediaId>>,
    /// Whether search finds the user.
    pub hidden: Option<bool>,
}

impl User {
    /// `userInfo` (§7.2.2) as those eyes see it.
    #[must_use]
    pub fn info(&self, eyes: Eyes) -> UserInfo {
        UserInfo {
            user_id: self.id.clone(),
            name: self.name.clone(),
            phone_number: self.phone_number.clone().filter(|_| eyes == Eyes::Friend),
            remark: self.remark.clone(),
            portrait: self.portrait.clone(),
        }
    }
}

pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    if name.trim().is_empty() {
        return Err(Error::field(Code::MissingField, "name", "is missing or empty"));
    }
    if name.chars().count() > NAME_MAX || name.chars().any(char::is_control) {
        return Err(Error::field(Code::InvalidField, "name", "is too long or contains a control character"));
    }
    Ok(())
}

/// The one spelling of a phone number, `00` before the country code and digits alone; none for an empty one.
pub(crate) fn phone_number(text: &str) -> Result<Option<String>, Error> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = "must be digits with the country code before them, as 008613800138000 or +86 138 0013 8000";
    let invalid = || Error::field(Code::InvalidField, "phoneNumber", wrong);
    let number = plain_number(text).filter(|n| n.starts_with("00") && DIGITS.contains(&n.len()));
    number.map(Some).ok_or_else(invalid)
}

/// Digits alone, `+` written as `00`; none if there is anything else but what people put between digits.
pub(crate) fn plain_number(text: &str) -> Option<String> {
    let (mut number, rest) = match text.strip_prefix('+') {
        Some(rest) => ("00".to_owned(), rest),
        None => (String::new(), text),
    };
    for c in rest.chars() {
        match c {
            '0'..='9' => number.push(c),
            ' ' | '-' | '(' | ')' | '.' => {}
            _ => return None,
        }
    }
    (!number.is_empty()).then_some(number)
}

fn check_remark(remark: &str) -> Result<Option<String>, Error> {
    let odd = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    if remark.chars().count() > REMARK_MAX || remark.chars().any(odd) {
        return Err(Error::field(Code::InvalidField, "remark", "is too long or contains a control character"));
    }
    Ok((!remark.is_empty()).then(|| remark.to_owned()))
}

/// Changes a local user's profile.
///
/// # Errors
/// 1002 or 1003, naming the field, for what will not do, 1004 if there is no such user or the portrait is no upload of the
/// user's, 1402 if it is no picture.
pub fn change(tx: &mut Tx<'_>, id: &UserId, change: Change, audit: Vec<u8>) -> Result<User, Error> {
    change.name.as_deref().map(check_name).transpose()?;
    let phone = change.phone_number.as_deref().map(phone_number).transpose()?;
    let remark = change.remark.as_deref().map(check_remark).transpose()?;
    if let Some(portrait) = &change.portrait {
        // Whoever may see the profile may see it: every server.
        sight::publish(tx, id, &format!("portrait {id}"), portrait.as_ref())?;
    }
    let user = account::change(tx, id, |user| {
        user.name = change.name.unwrap_or_else(|| std::mem::take(&mut user.name));
        user.phone_number = phone.unwrap_or_else(|| user.phone_number.take());
        user.remark = remark.unwrap_or_else(|| user.remark.take());
        user.portrait = change.portrait.unwrap_or_else(|| user.portrait.take());
        user.hidden = change.hidden.unwrap_or(user.hidden);
    })?;
    tx.audit(audit);
    Ok(user)
}

/// `userInfo` of an enabled local user (§7.6.6); none if there is none. Hiding from search hides from nothing else.
///
/// # Errors
/// If storage fails.
pub fn details(
    reader: &(impl Reader + ?Sized),
    own: &ServerId,
    id: &UserId,
    eyes: Eyes,
) -> Result<Option<UserInfo>, StoreError> {
    let Some(id) = account::local_id(own, id) else { return Ok(None) };
    let user = account::find_user(reader, &id)?.filter(|user| !user.disabled);
    Ok(user.map(|user| user.info(eyes)))
}

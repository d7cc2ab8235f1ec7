//! The tolerant reader (R1): bounded depth, numbers also as decimal strings, unknown fields ignored,
//! `null` as absent, and every complaint names its field.
//!
//! A body is parsed once into borrowed values; [`Fields`] then answers for one object of it. A *known*
//! field that stands there twice is refused: two readers of one body must not see two messages.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::code::{Code, Refusal};
use crate::id::Id;

/// The deepest nesting of arrays and objects that is read.
pub const DEPTH_MAX: usize = 64;
/// The longest name-like text (names, e-mail, addresses), in bytes.
pub const NAME_MAX: usize = 512;
/// The longest free text (remarks, reasons), in bytes.
pub const REMARK_MAX: usize = 4096;

/// What was wrong with a body: 1001, 1002 or 1003 and the field.
pub type ReadError = Refusal;

/// A structure that the tolerant reader can read out of one JSON object.
pub trait Read: Sized {
    /// Reads it from the object's fields.
    ///
    /// # Errors
    /// 1002 for a mandatory field that is missing or empty, 1003 for a wrong value.
    fn read(fields: &Fields<'_>) -> Result<Self, ReadError>;
}

/// A JSON value, borrowed from the body where it can be.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A whole number within 64 bits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Json<'a>>),
    /// An object, in its own order, duplicates and all.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Reads a whole body as one `T`.
///
/// # Errors
/// 1001 if it is no JSON object, else what `T` finds wrong.
pub fn read<T: Read>(bytes: &[u8]) -> Result<T, ReadError> {
    read_with(bytes, T::read)
}

/// As [`read`], with a closure for the fields.
///
/// # Errors
/// As [`read`].
pub fn read_with<T>(bytes: &[u8], take: impl FnOnce(&Fields<'_>) -> Result<T, ReadError>) -> Result<T, ReadError> {
    match parse(bytes)? {
        Json::Object(members) => take(&Fields::root(&members)),
        Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) | Json::Text(_) | Json::List(_) => {
            Err(malformed("the body must be a JSON object"))
        }
    }
}

/// Parses a body.
///
/// # Errors
/// 1001: not UTF-8, not JSON, deeper than [`DEPTH_MAX`], or something after the value.
pub fn parse(bytes: &[u8]) -> Result<Json<'_>, ReadError> {
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("the body is not UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Seed(DEPTH_MAX).deserialize(&mut reader).map_err(|e| malformed(&format!("not JSON: {e}")))?;
    reader.end().map_err(|e| malformed(&format!("not JSON: {e}")))?;
    Ok(value)
}

/// Writes strictly: what the type says, nothing else.
#[must_use]
pub fn write<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    serde_json::to_writer(&mut out, value).expect("our types have string keys and no failing serializers");
    out
}

fn malformed(what: &str) -> ReadError {
    Refusal::new(Code::Malformed, what)
}

#[derive(Clone, Copy)]
struct Seed(usize);

impl Seed {
    fn deeper<E: serde::de::Error>(self) -> Result<Seed, E> {
        match self.0.checked_sub(1) {
            Some(left) => Ok(Seed(left)),
            None => Err(E::custom(format_args!("nested deeper than {DEPTH_MAX}"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Json<'de>;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Json<'de>, D::Error> {
        d.deserialize_any(self)
    }
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Cow<'de, str>, D::Error> {
        d.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(v))
    }
    fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(v.to_owned()))
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Json<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, v: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Json<'de>, E> {
        Ok(Json::Int(v))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Json<'de>, E> {
        #[allow(clippy::cast_precision_loss, reason = "beyond i64 it is refused as an int anyway")]
        Ok(i64::try_from(v).map_or(Json::Float(v as f64), Json::Int))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Json<'de>, E> {
        Ok(Json::Float(v))
    }
    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(v)))
    }
    fn visit_str<E>(self, v: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(v.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Json::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut members = Vec::with_capacity(8);
        while let Some(name) = map.next_key_seed(Key)? {
            members.push((name, map.next_value_seed(inner)?));
        }
        if members.len() > MEMBERS_MAX {
            return Err(A::Error::custom("an object has too many members"));
        }
        Ok(Json::Object(members))
    }
}

/// The most members of one object: fields are found by going through them.
const MEMBERS_MAX: usize = 4096;

/// The fields of one object, and where it stands in the body.
pub struct Fields<'v> {
    members: &'v [(Cow<'v, str>, Json<'v>)],
    name: &'v str,
    index: Option<usize>,
    parent: Option<&'v Fields<'v>>,
}

impl<'v> Fields<'v> {
    /// The outermost object.
    #[must_use]
    pub fn root(members: &'v [(Cow<'v, str>, Json<'v>)]) -> Self {
        Self { members, name: "", index: None, parent: None }
    }

    /// The dotted path of a field of this object.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        let mut parts = vec![name.to_owned()];
        let mut at = Some(self);
        while let Some(fields) = at {
            match fields.index {
                _ if fields.name.is_empty() => {}
                Some(index) => parts.push(format!("{}[{index}]", fields.name)),
                None => parts.push(fields.name.to_owned()),
            }
            at = fields.parent;
        }
        parts.reverse();
        parts.join(".")
    }

    /// 1002 for a field of this object.
    #[must_use]
    pub fn missing(&self, name: &str) -> ReadError {
        Refusal::field(Code::MissingField, self.path(name), "is missing or empty")
    }

    /// 1003 for a field of this object; `what` reads after the field's name and a colon.
    pub fn invalid(&self, name: &str, what: impl fmt::Display) -> ReadError {
        Refusal::field(Code::InvalidField, self.path(name), what)
    }

    /// The value, if there is one that is not `null`.
    ///
    /// # Errors
    /// 1001 if the field stands there twice.
    pub fn value(&self, name: &str) -> Result<Option<&'v Json<'v>>, ReadError> {
        let mut found = self.members.iter().filter(|(n, _)| n == name);
        let first = found.next();
        if found.next().is_some() {
            return Err(Refusal::field(Code::Malformed, self.path(name), "stands there twice"));
        }
        Ok(first.map(|(_, value)| value).filter(|value| **value != Json::Null))
    }

    fn raw_text(&self, name: &str, max: usize) -> Result<Option<&'v str>, ReadError> {
        match self.value(name)? {
            None => Ok(None),
            Some(Json::Text(text)) if text.is_empty() => Ok(None),
            Some(Json::Text(text)) if text.len() > max => {
                Err(self.invalid(name, format_args!("is longer than {max} bytes")))
            }
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) | Json::List(_) | Json::Object(_)) => {
                Err(self.invalid(name, "must be a string"))
            }
        }
    }

    /// A line of text without control characters; empty counts as absent.
    ///
    /// # Errors
    /// 1003 if it is no string, too long or has control characters.
    pub fn optional_text(&self, name: &str, max: usize) -> Result<Option<&'v str>, ReadError> {
        let text = self.raw_text(name, max)?;
        if text.is_some_and(|t| t.chars().any(char::is_control)) {
            return Err(self.invalid(name, "contains a control character"));
        }
        Ok(text)
    }

    /// As [`Fields::optional_text`], mandatory.
    ///
    /// # Errors
    /// 1002 if missing or empty, 1003 as there.
    pub fn text(&self, name: &str, max: usize) -> Result<&'v str, ReadError> {
        self.optional_text(name, max)?.ok_or_else(|| self.missing(name))
    }

    /// Text that may have several lines: tabs and line ends are allowed.
    ///
    /// # Errors
    /// As [`Fields::optional_text`].
    pub fn optional_prose(&self, name: &str, max: usize) -> Result<Option<&'v str>, ReadError> {
        let text = self.raw_text(name, max)?;
        let odd = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
        if text.is_some_and(|t| t.chars().any(odd)) {
            return Err(self.invalid(name, "contains a control character"));
        }
        Ok(text)
    }

    /// As [`Fields::optional_prose`], mandatory.
    ///
    /// # Errors
    /// As [`Fields::text`].
    pub fn prose(&self, name: &str, max: usize) -> Result<&'v str, ReadError> {
        self.optional_prose(name, max)?.ok_or_else(|| self.missing(name))
    }

    /// `int64`: a number or its decimal string (R1).
    ///
    /// # Errors
    /// 1003 if it is neither.
    pub fn optional_int64(&self, name: &str) -> Result<Option<i64>, ReadError> {
        let value = match self.value(name)? {
            None => return Ok(None),
            Some(Json::Int(number)) => Some(*number),
            Some(Json::Text(text)) if text.trim().is_empty() => return Ok(None),
            Some(Json::Text(text)) => text.trim().parse().ok(),
            Some(Json::Null | Json::Bool(_) | Json::Float(_) | Json::List(_) | Json::Object(_)) => None,
        };
        value.map(Some).ok_or_else(|| self.invalid(name, "must be a whole number"))
    }

    /// As [`Fields::optional_int64`], mandatory.
    ///
    /// # Errors
    /// 1002 or 1003.
    pub fn int64(&self, name: &str) -> Result<i64, ReadError> {
        self.optional_int64(name)?.ok_or_else(|| self.missing(name))
    }

    /// `int`, 32 bits (§7.1.2).
    ///
    /// # Errors
    /// 1003 if it is none.
    pub fn optional_int(&self, name: &str) -> Result<Option<i32>, ReadError> {
        let Some(wide) = self.optional_int64(name)? else {
            return Ok(None);
        };
        i32::try_from(wide).map(Some).map_err(|_| self.invalid(name, "does not fit 32 bits"))
    }

    /// As [`Fields::optional_int`], mandatory.
    ///
    /// # Errors
    /// 1002 or 1003.
    pub fn int(&self, name: &str) -> Result<i32, ReadError> {
        self.optional_int(name)?.ok_or_else(|| self.missing(name))
    }

    /// One of a choice of numbers, such as 1 yes, 2 no.
    ///
    /// # Errors
    /// 1002 or 1003.
    pub fn choice(&self, name: &str, range: std::ops::RangeInclusive<i32>) -> Result<i32, ReadError> {
        let number = self.int(name)?;
        if range.contains(&number) {
            return Ok(number);
        }
        Err(self.invalid(name, format_args!("must be from {} to {}", range.start(), range.end())))
    }

    /// An identifier.
    ///
    /// # Errors
    /// 1003 if it is none.
    pub fn optional_id<T: Id>(&self, name: &str) -> Result<Option<T>, ReadError> {
        let Some(text) = self.raw_text(name, usize::MAX)? else {
            return Ok(None);
        };
        T::parse(text).map(Some).map_err(|e| self.invalid(name, e))
    }

    /// As [`Fields::optional_id`], mandatory.
    ///
    /// # Errors
    /// 1002 or 1003.
    pub fn id<T: Id>(&self, name: &str) -> Result<T, ReadError> {
        self.optional_id(name)?.ok_or_else(|| self.missing(name))
    }

    /// The text at a dotted path below this object (`messageInfo.sendID`); none where any part of it is not there or is
    /// something else: whoever reads the structure complains of that.
    #[must_use]
    pub fn text_at(&self, path: &str) -> Option<&'v str> {
        let mut members = self.members;
        let mut parts = path.split('.').peekable();
        while let Some(part) = parts.next() {
            let (_, value) = members.iter().find(|(name, _)| name == part)?;
            match value {
                Json::Text(text) if parts.peek().is_none() => return Some(text),
                Json::Object(inner) => members = inner,
                Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) | Json::Text(_) | Json::List(_) => {
                    return None;
                }
            }
        }
        None
    }

    /// A structure within this one, read by a closure.
    ///
    /// # Errors
    /// 1003 if it is no object, else what the closure finds.
    pub fn optional_object<T>(
        &self,
        name: &str,
        take: impl FnOnce(&Fields<'_>) -> Result<T, ReadError>,
    ) -> Result<Option<T>, ReadError> {
        match self.value(name)? {
            None => Ok(None),
            Some(Json::Object(members)) => take(&Fields { members, name, index: None, parent: Some(self) }).map(Some),
            Some(Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) | Json::Text(_) | Json::List(_)) => {
                Err(self.invalid(name, "must be an object"))
            }
        }
    }

    /// A structure within this one.
    ///
    /// # Errors
    /// 1003 if it is no object, else what `T` finds.
    pub fn optional_record<T: Read>(&self, name: &str) -> Result<Option<T>, ReadError> {
        self.optional_object(name, T::read)
    }

    /// As [`Fields::optional_record`], mandatory.
    ///
    /// # Errors
    /// 1002, 1003.
    pub fn record<T: Read>(&self, name: &str) -> Result<T, ReadError> {
        self.optional_record(name)?.ok_or_else(|| self.missing(name))
    }

    /// An array, each item read by a closure that gets this object, the item and its index; `None` if
    /// it is left out.
    ///
    /// # Errors
    /// 1003 if it is no array, else what the closure finds.
    pub fn optional_list<T>(
        &self,
        name: &str,
        mut take: impl FnMut(Item<'_>) -> Result<T, ReadError>,
    ) -> Result<Option<Vec<T>>, ReadError> {
        match self.value(name)? {
            None => Ok(None),
            Some(Json::List(items)) => {
                let item = |(index, value)| take(Item { fields: self, name, index, value });
                items.iter().enumerate().map(item).collect::<Result<_, _>>().map(Some)
            }
            Some(Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) | Json::Text(_) | Json::Object(_)) => {
                Err(self.invalid(name, "must be an array"))
            }
        }
    }

    /// An array that must have at least one item.
    ///
    /// # Errors
    /// 1002 if missing or empty, 1003 as [`Fields::optional_list`].
    pub fn list<T>(&self, name: &str, take: impl FnMut(Item<'_>) -> Result<T, ReadError>) -> Result<Vec<T>, ReadError> {
        let items = self.optional_list(name, take)?.unwrap_or_default();
        if items.is_empty() { Err(self.missing(name)) } else { Ok(items) }
    }
}

/// One item of an array.
pub struct Item<'v> {
    fields: &'v Fields<'v>,
    name: &'v str,
    index: usize,
    value: &'v Json<'v>,
}

impl Item<'_> {
    fn invalid(&self, what: impl fmt::Display) -> ReadError {
        self.fields.invalid(&format!("{}[{}]", self.name, self.index), what)
    }

    /// Its text, if it is a string.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Json::Text(text) = self.value { Some(text) } else { None }
    }

    /// An identifier.
    ///
    /// # Errors
    /// 1003 if it is none.
    pub fn id<T: Id>(&self) -> Result<T, ReadError> {
        let text = self.as_text().ok_or_else(|| self.invalid("must be a string"))?;
        T::parse(text).map_err(|e| self.invalid(e))
    }

    /// A structure.
    ///
    /// # Errors
    /// 1003 if it is no object, else what `T` finds.
    pub fn record<T: Read>(&self) -> Result<T, ReadError> {
        let Json::Object(members) = self.value else {
            return Err(self.invalid("must be an object"));
        };
        T::read(&Fields { members, name: self.name, index: Some(self.index), parent: Some(self.fields) })
    }
}

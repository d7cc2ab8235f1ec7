//! What a `serverInfo` must be like beyond having its fields (§7.2.1).

use isthmus_wire::{Address, Code, ServerInfo};

use crate::error::Error;

fn invalid(field: &str, what: impl std::fmt::Display) -> Error {
    Error::field(Code::InvalidField, &format!("serverInfo.{field}"), what)
}

pub(crate) fn address(text: &str) -> Result<String, Error> {
    Address::parse(text).map_err(|e| invalid("serverAddress", e))?;
    Ok(text.strip_suffix('/').unwrap_or(text).to_owned())
}

pub(crate) fn email(text: &str) -> Result<(), Error> {
    let plain = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c == '@');
    match text.split_once('@') {
        Some((local, host)) if text.len() <= 254 && plain(local) && plain(host) => Ok(()),
        _ => Err(invalid("contactEmail", "must be an e-mail address")),
    }
}

pub(crate) fn mobile(text: &str) -> Result<(), Error> {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let tail = text.strip_prefix('+').unwrap_or(text);
    let legal = tail.bytes().all(|b| b.is_ascii_digit() || matches!(b, b' ' | b'-' | b'(' | b')'));
    if legal && (5..=20).contains(&digits) {
        Ok(())
    } else {
        Err(invalid("contactMobile", "must be a telephone number"))
    }
}

/// Checks address, e-mail and telephone number; gives the address back as it is kept, without a trailing slash.
///
/// # Errors
/// 1003 naming the field.
pub fn server_info(info: &ServerInfo) -> Result<String, Error> {
    email(&info.contact_email)?;
    mobile(&info.contact_mobile)?;
    address(&info.server_address)
}

//! Formats by content (R9): what a file is, its first bytes say, not its name.

use isthmus_wire::{Code, MessageType};

use super::{Kind, Media};
use crate::error::Error;

/// A file of no format that the standard names.
pub const ANY: &str = "application/octet-stream";

/// Brands of the ISO container that are no mp4: still pictures and QuickTime.
const OTHER_BRANDS: [&[u8; 4]; 7] = [b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis", b"qt  "];

/// The media type of a file that begins so; [`ANY`] for what the standard does not name.
#[must_use]
pub fn media_type(beginning: &[u8]) -> &'static str {
    let brand = beginning.get(8..12).unwrap_or_default();
    match beginning {
        [0xFF, 0xD8, 0xFF, ..] => "image/jpeg",
        [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => "image/png",
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => "image/gif",
        _ if beginning.starts_with(b"#!AMR\n") => "audio/amr",
        _ if beginning.starts_with(b"#!AMR-WB\n") => "audio/amr-wb",
        _ if beginning.get(4..8) == Some(b"ftyp") && !OTHER_BRANDS.iter().any(|other| *other == brand) => "video/mp4",
        _ => ANY,
    }
}

/// Whether a file may be what it claims to be: `media_type` is what its content says.
///
/// # Errors
/// 1402, naming the formats allowed.
pub(crate) fn check(kind: Kind, name: &str, media_type: &str) -> Result<(), Error> {
    let (fits, wanted) = match kind {
        Kind::Image | Kind::Portrait | Kind::Icon => {
            (media_type.starts_with("image/"), "a picture must be jpg, png or gif")
        }
        Kind::Voice => (media_type.starts_with("audio/"), "a voice recording must be amr"),
        // R8: a video travels as a file.
        Kind::File if is_video(name) => (media_type == "video/mp4", "a file named *.mp4 must be an mp4 video"),
        Kind::File => (true, ""),
    };
    if fits { Ok(()) } else { Err(Error::refused(Code::TypeNotAllowed, format!("{wanted}; its content is not"))) }
}

fn is_video(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, end)| end.eq_ignore_ascii_case("mp4"))
}

/// Whether a file may go into a message of this type.
///
/// # Errors
/// 1402.
pub(super) fn check_message(media: &Media, kind: MessageType) -> Result<(), Error> {
    let kind = match kind {
        MessageType::Image => Kind::Image,
        MessageType::Voice => Kind::Voice,
        MessageType::File => Kind::File,
        MessageType::Text | MessageType::Repeal => return Ok(()),
    };
    check(kind, &media.name, &media.media_type)
}

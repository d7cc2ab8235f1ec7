//! What a file is by its content, whatever its name says, and what a text file says.

use isthmus_plugin::Body;

/// Bytes that tell.
const HEAD: u32 = 512;

/// Beginnings by type; `ftyp` and the like stand further in.
const MAGIC: &[(usize, &[u8], &str)] = &[
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"MZ", "application/vnd.microsoft.portable-executable"),
    (0, b"\x7fELF", "application/x-executable"),
    (0, b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\xca\xfe\xba\xbe", "application/java-vm"),
    (0, b"\0asm", "application/wasm"),
    (0, b"#!", "text/x-script"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (4, b"ftyp", "video/mp4"),
    (8, b"WAVE", "audio/wav"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"OggS", "audio/ogg"),
    (0, b"#!AMR", "audio/amr"),
];

/// At most so many bytes of a file of text, decoded: UTF-8, or UTF-16 with its mark. None for what is no text.
pub(crate) fn text(body: &Body<'_>, up_to: u32) -> Option<String> {
    let head = body.read(0, HEAD);
    let wide = head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff");
    if !wide && !kind(body).starts_with("text/") {
        return None;
    }
    let mut bytes = Vec::new();
    while bytes.len() < up_to as usize {
        let piece = body.read(bytes.len() as u64, up_to - u32::try_from(bytes.len()).unwrap_or(up_to));
        if piece.is_empty() {
            break;
        }
        bytes.extend_from_slice(&piece);
    }
    if !wide {
        return Some(String::from_utf8_lossy(&bytes).into_owned());
    }
    let little = head[0] == 0xff;
    let units = bytes[2..].chunks_exact(2).map(|pair| {
        let pair = [pair[0], pair[1]];
        if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
    });
    Some(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}

/// A media type; `text/plain` for text that is nothing else, `application/octet-stream` for the rest.
pub(crate) fn kind(body: &Body<'_>) -> &'static str {
    let head = body.read(0, HEAD);
    // The longest that fits: `#!AMR` is no script.
    let fits = MAGIC.iter().filter(|(at, magic, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    match fits.max_by_key(|(_, magic, _)| magic.len()) {
        Some((_, _, name)) => name,
        None if head.iter().all(|byte| *byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r')) => "text/plain",
        None => "application/octet-stream",
    }
}

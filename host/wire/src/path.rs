//! Paths with and without a trailing slash are one route (R2).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters.
pub(crate) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The one form in which paths are compared: without a trailing slash. The root stays `/`.
#[must_use]
pub fn normalise(path: &str) -> &str {
    match path.strip_suffix('/') {
        Some("") | None => path,
        Some(shorter) => shorter,
    }
}

/// A path segment, percent-encoded.
#[must_use]
pub fn encode(segment: &str) -> String {
    utf8_percent_encode(segment, RESERVED).to_string()
}

/// A path segment, decoded; none if it is not UTF-8.
#[must_use]
pub fn decode(segment: &str) -> Option<String> {
    percent_decode_str(segment).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r2_a_trailing_slash_makes_no_other_path() {
        let cases = [
            ("/sns/chat/", "/sns/chat"),
            ("/sns/chat", "/sns/chat"),
            ("/", "/"),
            ("", ""),
            ("/sns/chat//", "/sns/chat/"),
            ("/sns//chat", "/sns//chat"),
        ];
        for (path, normal) in cases {
            assert_eq!(normalise(path), normal, "{path}");
        }
    }

    #[test]
    fn a_segment_survives_encoding() {
        for id in ["alice@north", "张三/李四", "a%2Fb?c=d&e", "😀"] {
            assert!(!encode(id).contains('/'));
            assert_eq!(decode(&encode(id)).as_deref(), Some(id));
        }
        assert_eq!(decode("%ff"), None);
    }
}

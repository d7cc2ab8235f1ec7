//! The web pages that the binary carries (`host/node/web`): files, served as they are, with headers that let nothing run in
//! them but themselves.
//!
//! No page has an inline script or style, and none makes HTML from text: the policy below forbids both, so that what another
//! user wrote cannot run even where a page has a mistake.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::reply::{Reply, whole};

include!(concat!(env!("OUT_DIR"), "/web.rs"));

/// Every file's headers. Scripts, styles and calls from here alone; pictures and sound also from memory; no frames, no forms, no
/// strings taken for code.
const HEADERS: [(HeaderName, &str); 8] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
    (HeaderName::from_static("permissions-policy"), "microphone=(self), camera=(), geolocation=(), payment=(), usb=()"),
    // Asked again each time, answered 304: a new binary's pages are there at once.
    (header::CACHE_CONTROL, "no-cache"),
];

/// The file at a path, if there is one; `start` is what stands at `/`.
pub(crate) fn serve(start: &str, method: &Method, path: &str, headers: &HeaderMap) -> Option<Reply> {
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    let name = if path == "/" { start } else { path.strip_prefix("/web/")? };
    let (_, media_type, etag, body) = FILES.iter().find(|(file, ..)| *file == name)?;
    let mut reply = if knows(headers, etag) { whole(304, media_type, &[][..]) } else { whole(200, media_type, *body) };
    if reply.status() == StatusCode::NOT_MODIFIED {
        reply.headers_mut().remove(header::CONTENT_TYPE);
    }
    let of_reply = reply.headers_mut();
    of_reply.insert(header::ETAG, HeaderValue::from_static(etag));
    for (name, value) in HEADERS {
        of_reply.insert(name, HeaderValue::from_static(value));
    }
    Some(reply)
}

/// Whether the caller has this very file already (RFC 9110 §13.1.2).
fn knows(headers: &HeaderMap, etag: &str) -> bool {
    let offered = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    offered.flat_map(|list| list.split(',')).any(|one| one.trim().trim_start_matches("W/") == etag)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const START: &str = "client/index.html";

    fn get(path: &str, headers: &HeaderMap) -> Option<Reply> {
        serve(START, &Method::GET, path, headers)
    }

    #[test]
    fn a_page_lets_nothing_run_but_its_own_files() {
        let page = get("/", &HeaderMap::new()).unwrap();
        let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, ..) in FILES {
            let reply = get(&format!("/web/{name}"), &HeaderMap::new()).unwrap();
            assert_eq!(reply.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{name}");
            assert_eq!(reply.headers()[header::CONTENT_SECURITY_POLICY], policy.as_str(), "{name}");
        }
    }

    #[test]
    fn no_page_holds_a_script_or_a_style_of_its_own() {
        for (name, _, _, bytes) in FILES.iter().filter(|(name, ..)| name.ends_with(".html")) {
            let text = std::str::from_utf8(bytes).unwrap();
            assert!(!text.contains("style="), "{name}");
            assert!(text.split("<script").skip(1).all(|rest| rest.contains("></script>")), "{name}");
            assert!(!text.contains("<style"), "{name}");
        }
    }

    #[test]
    fn no_script_makes_html_from_text() {
        for (name, _, _, bytes) in
            FILES.iter().filter(|(name, ..)| name.ends_with(".js") && !name.starts_with("vendor/"))
        {
            let text = std::str::from_utf8(bytes).unwrap();
            for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage"] {
                assert!(!text.contains(sink), "{name} has {sink}");
            }
        }
    }

    #[test]
    fn a_file_that_the_browser_has_is_not_sent_again() {
        let first = get("/", &HeaderMap::new()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(get("/", &headers).unwrap().status(), StatusCode::NOT_MODIFIED);
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"other\""));
        assert_eq!(get("/", &headers).unwrap().status(), StatusCode::OK);
    }

    #[test]
    fn nothing_but_the_pages_is_found() {
        for path in ["/web/", "/web/../Cargo.toml", "/web/client/nothing.js", "/client/index.html", ""] {
            assert!(get(path, &HeaderMap::new()).is_none(), "{path}");
        }
        assert!(serve(START, &Method::POST, "/", &HeaderMap::new()).is_none());
    }
}

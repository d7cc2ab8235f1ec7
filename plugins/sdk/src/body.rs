//! Content too large to be handed over whole, read piece by piece.

use crate::bindings::imports::isthmus::policy::message;

/// A body in the host's keeping, for the time of one call. At most 64 KiB come with one read.
///
/// ```
/// use isthmus_plugin::Body;
/// let body = Body::from(b"%PDF-1.7".as_slice());
/// assert_eq!((body.size(), body.read(0, 4)), (8, b"%PDF".to_vec()));
/// ```
#[derive(Debug)]
pub struct Body<'a>(Source<'a>);

#[derive(Debug)]
enum Source<'a> {
    Host(&'a message::Body),
    #[cfg(not(target_arch = "wasm32"))]
    Bytes(&'a [u8]),
}

impl Body<'_> {
    /// Bytes.
    pub fn size(&self) -> u64 {
        match &self.0 {
            Source::Host(body) => body.size(),
            #[cfg(not(target_arch = "wasm32"))]
            Source::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// At most `len` bytes (and at most 64 KiB) from `offset` on; empty at the end.
    pub fn read(&self, offset: u64, len: u32) -> Vec<u8> {
        match &self.0 {
            Source::Host(body) => body.read(offset, len),
            #[cfg(not(target_arch = "wasm32"))]
            Source::Bytes(bytes) => {
                let rest = usize::try_from(offset).ok().and_then(|at| bytes.get(at..));
                let rest = rest.unwrap_or_default();
                rest[..rest.len().min(len.min(64 * 1024) as usize)].to_vec()
            }
        }
    }
}

impl<'a> From<&'a message::Body> for Body<'a> {
    fn from(body: &'a message::Body) -> Self {
        Self(Source::Host(body))
    }
}

/// For tests on the developer's machine.
#[cfg(not(target_arch = "wasm32"))]
impl<'a> From<&'a [u8]> for Body<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(Source::Bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_bounded_by_its_length_the_end_and_64_kib() {
        let bytes = vec![7; 100_000];
        let body = Body::from(bytes.as_slice());
        assert_eq!(body.size(), 100_000);
        for (offset, len, got) in [(0, 10, 10), (0, 90_000, 65_536), (99_999, 10, 1), (100_000, 1, 0), (u64::MAX, 1, 0)]
        {
            assert_eq!(body.read(offset, len).len(), got, "{offset} {len}");
        }
    }
}

//! Letters: folded for the search, masked for the result.

/// The text with every character of a hit (byte ranges) replaced by `*` or, as wide, `＊`.
pub(crate) fn masked(text: &str, mut hits: Vec<std::ops::Range<usize>>) -> String {
    hits.sort_by_key(|hit| hit.start);
    let mut hits = hits.into_iter().peekable();
    let (mut result, mut end) = (String::with_capacity(text.len()), 0);
    for (at, shown) in text.char_indices() {
        while let Some(hit) = hits.next_if(|hit| hit.start <= at) {
            end = end.max(hit.end);
        }
        result.push(match shown {
            kept if at >= end => kept,
            narrow if narrow.is_ascii() => '*',
            _ => '＊',
        });
    }
    result
}

/// Whether there is any letter that the automaton does not take in either case by itself. Mostly
/// there is none, and the text need not be copied.
pub(crate) fn changes_by_folding(text: &str) -> bool {
    !is_ascii(text) && text.chars().any(|c| !c.is_ascii() && lower(c) != c)
}

/// As the standard library says it, for less: in WebAssembly that looks at four bytes at a time.
fn is_ascii(text: &str) -> bool {
    let (blocks, rest) = text.as_bytes().as_chunks::<8>();
    let all = blocks.iter().fold(0, |all, block| all | u64::from_le_bytes(*block));
    all & 0x8080_8080_8080_8080 == 0 && rest.is_ascii()
}

/// Lower case, character by character.
pub(crate) fn folded(text: &str) -> String {
    text.chars().map(lower).collect()
}

/// For each byte of the folded text, and its end, where the character stood in the original.
pub(crate) fn places(text: &str, folded: &str) -> Vec<usize> {
    let mut places = Vec::with_capacity(folded.len() + 1);
    for ((at, _), c) in text.char_indices().zip(folded.chars()) {
        places.extend(std::iter::repeat_n(at, c.len_utf8()));
    }
    places.push(text.len());
    places
}

fn lower(c: char) -> char {
    match c {
        '\0'..='\x7f' => c.to_ascii_lowercase(),
        // Chinese, Japanese and Korean writing has no case: the bulk of what is seen here.
        '\u{2e80}'..='\u{a63f}' | '\u{ac00}'..='\u{d7ff}' => c,
        _ => {
            let mut lower = c.to_lowercase();
            match (lower.next(), lower.next()) {
                (Some(simple), None) => simple,
                _ => c,
            }
        }
    }
}

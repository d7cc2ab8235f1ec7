//! What a terminal may be given of what others wrote: their text, and nothing that commands it.
//!
//! Everything from a server passes here when it arrives; [`sweep`](super::view::sweep) looks again at what is about to be drawn.

use unicode_width::UnicodeWidthChar;

/// More marks than this on one character are no language's.
const MARKS: usize = 4;

/// Is this no character at all, but an order: to the terminal, or to the direction in which text runs?
pub(super) fn commands(c: char) -> bool {
    c.is_control() || invisible(c)
}

/// Marks that change how the text around them is laid out, or hide in it. Joiners and variation selectors, of which emoji and
/// scripts are made, are none of them.
fn invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// As one line: breaks and tabs are spaces.
pub(super) fn line(text: &str) -> String {
    block(text).replace('\n', " ").trim().to_owned()
}

/// With its line breaks; a control character shows as U+FFFD, an invisible order is left out.
pub(super) fn block(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut marks = 0;
    for c in text.replace("\r\n", "\n").chars() {
        marks = if c.width() == Some(0) { marks + 1 } else { 0 };
        match c {
            '\n' | '\r' | '\u{2028}' | '\u{2029}' => clean.push('\n'),
            '\t' => clean.push_str("    "),
            c if invisible(c) || (marks > MARKS && !c.is_control()) => {}
            c if c.is_control() => clean.push('\u{fffd}'),
            c => clean.push(c),
        }
    }
    clean.truncate(clean.trim_end_matches('\n').len());
    clean
}

/// As the name of a file in a folder of this machine: never a path, never hidden.
pub(super) fn file_name(text: &str) -> String {
    let name: String =
        line(text).chars().map(|c| if matches!(c, '/' | '\\' | ':' | '\u{fffd}') { '_' } else { c }).collect();
    let name = name.trim_start_matches(['.', ' ', '-']).trim_end();
    let mut end = name.len().min(200);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    if end == 0 { "file".to_owned() } else { name[..end].to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_order_to_the_terminal_passes() {
        fn check(text: &str, shown: &str) {
            assert_eq!(block(text), shown, "{text:?}");
            assert!(!block(text).chars().any(|c| c != '\n' && commands(c)), "{text:?}");
        }
        check("plain, 中文, é, 👩‍👩‍👧", "plain, 中文, é, 👩‍👩‍👧");
        check("\u{1b}[2J\u{1b}]0;owned\u{7}", "\u{fffd}[2J\u{fffd}]0;owned\u{fffd}");
        check("\u{9b}31m red", "\u{fffd}31m red");
        check("a\r\nb\rc\n\n", "a\nb\nc");
        check("a\tb\u{8}\u{7f}", "a    b\u{fffd}\u{fffd}");
        check("exe\u{202e}gnp.\u{2066}x\u{2069}", "exegnp.x");
        check("hid\u{200b}\u{e0041}den\u{feff}", "hidden");
        check("\u{2028}two", "\ntwo");
        check(&format!("e{}", "\u{301}".repeat(900)), &format!("e{}", "\u{301}".repeat(MARKS)));
        assert_eq!(line("a\n b\u{0}"), "a  b\u{fffd}");
    }

    #[test]
    fn the_name_of_a_file_stays_in_its_folder() {
        for (name, kept) in [
            ("notes.txt", "notes.txt"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("..", "file"),
            ("", "file"),
            (".bashrc", "bashrc"),
            ("-rf", "rf"),
            ("a\u{0}b\nc", "a_b c"),
            ("猫.png", "猫.png"),
        ] {
            assert_eq!(file_name(name), kept, "{name:?}");
        }
        assert!(file_name(&"猫".repeat(400)).len() <= 200);
    }
}

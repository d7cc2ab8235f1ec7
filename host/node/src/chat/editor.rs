//! The input: a text and a place in it, moved by whole characters as people see them.

use unicode_segmentation::UnicodeSegmentation;

/// What is typed may be as long as a message may be (64 KiB).
const LONGEST: usize = 64 * 1024;

/// A text being written.
#[derive(Debug, Clone, Default)]
pub(super) struct Editor {
    text: String,
    /// In bytes, at the boundary of a character.
    at: usize,
}

impl Editor {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What stands before the cursor.
    pub(super) fn before(&self) -> &str {
        &self.text[..self.at]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Another text; the cursor at its end.
    pub(super) fn set(&mut self, text: &str) {
        self.text.clear();
        self.at = 0;
        self.insert(text);
    }

    /// The text, which is gone from here then.
    pub(super) fn take(&mut self) -> String {
        self.at = 0;
        std::mem::take(&mut self.text)
    }

    /// At the cursor; what would be too long is left out.
    pub(super) fn insert(&mut self, text: &str) {
        let clean = super::clean::block(text);
        let ends_line = text.ends_with('\n');
        let clean = if ends_line { format!("{clean}\n") } else { clean };
        if self.text.len() + clean.len() <= LONGEST {
            self.text.insert_str(self.at, &clean);
            self.at += clean.len();
        }
    }

    pub(super) fn left(&mut self) {
        self.at = self.previous();
    }

    pub(super) fn right(&mut self) {
        self.at += self.text[self.at..].graphemes(true).next().map_or(0, str::len);
    }

    pub(super) fn home(&mut self) {
        self.at = self.before().rfind('\n').map_or(0, |at| at + 1);
    }

    pub(super) fn end(&mut self) {
        self.at = self.text[self.at..].find('\n').map_or(self.text.len(), |more| self.at + more);
    }

    pub(super) fn backspace(&mut self) {
        let from = self.previous();
        self.cut(from);
    }

    pub(super) fn delete(&mut self) {
        let next = self.text[self.at..].graphemes(true).next().map_or(0, str::len);
        self.text.replace_range(self.at..self.at + next, "");
    }

    /// Removes the word before the cursor.
    pub(super) fn delete_word(&mut self) {
        let before = self.before().trim_end_matches(' ');
        let from = before.rfind([' ', '\n']).map_or(0, |at| at + 1);
        self.cut(from);
    }

    /// Removes all before the cursor on its line.
    pub(super) fn delete_line(&mut self) {
        let from = self.before().rfind('\n').map_or(0, |at| at + 1);
        self.cut(from);
    }

    /// Puts `text` in place of what stands between `from` and the cursor.
    pub(super) fn complete(&mut self, from: usize, text: &str) {
        self.cut(from);
        self.insert(text);
    }

    fn cut(&mut self, from: usize) {
        self.text.replace_range(from..self.at, "");
        self.at = from;
    }

    fn previous(&self) -> usize {
        self.before().grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_goes_by_whole_characters() {
        let mut input = Editor::default();
        input.insert("a中👩‍👧e\u{301}");
        input.left();
        assert_eq!(input.before(), "a中👩‍👧");
        input.backspace();
        assert_eq!(input.text(), "a中e\u{301}");
        input.delete();
        assert_eq!(input.text(), "a中");
        input.left();
        input.left();
        input.left();
        input.insert("x");
        assert_eq!((input.text(), input.before()), ("xa中", "x"));
        input.right();
        input.right();
        input.right();
        assert_eq!(input.before(), "xa中");
    }

    #[test]
    fn words_and_lines_are_removed_and_lines_walked() {
        let mut input = Editor::default();
        input.set("one two\nthree four");
        input.delete_word();
        assert_eq!(input.text(), "one two\nthree ");
        input.delete_line();
        assert_eq!(input.text(), "one two\n");
        input.left();
        input.home();
        assert_eq!(input.before(), "");
        input.end();
        assert_eq!(input.before(), "one two");
    }

    #[test]
    fn nothing_typed_or_pasted_commands_the_terminal_and_the_length_is_bounded() {
        let mut input = Editor::default();
        input.insert("a\u{1b}[31mb");
        assert_eq!(input.text(), "a\u{fffd}[31mb");
        input.insert(&"x".repeat(LONGEST));
        assert_eq!(input.text().len(), "a\u{fffd}[31mb".len());
    }
}

//! A chat's messages as rows of the screen: days between them, names, wrapped texts, what became of them.

use jiff::Timestamp;
use ratatui_core::style::{Color, Modifier, Style};
use ratatui_core::text::{Line, Span};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::app::{App, Body, Chat, FileBody, Message, State, Transfer};
use super::words::fill;

/// Below this many columns there is no list of chats beside the messages.
pub(super) const WIDE: u16 = 70;
/// Columns of that list, with its border.
pub(super) const SIDE: u16 = 24;
/// `12:30 `.
const MARGIN: usize = 6;

pub(super) const DIM: Style = Style::new().add_modifier(Modifier::DIM);
pub(super) const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const BAD: Style = Style::new().fg(Color::Red);

/// Columns for messages in a terminal of this size.
pub(super) fn width((columns, _): (u16, u16)) -> usize {
    usize::from(if columns >= WIDE { columns - SIDE } else { columns }).max(10)
}

/// Columns that a text takes.
pub(super) fn columns(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// All rows of a chat, the oldest first.
pub(super) fn all(app: &App, chat: &Chat, width: usize) -> Vec<Line<'static>> {
    let mut rows = Vec::new();
    if chat.older_dropped {
        rows.push(middle(app.words().older_dropped, width, ' '));
    }
    let mut day = None;
    for message in &chat.lines {
        let this = day_of(app, message.at_ms);
        if day.as_ref() != Some(&this) {
            rows.push(middle(&this, width, '-'));
            day = Some(this);
        }
        rows.extend(lines(app, message, width));
    }
    rows
}

/// The last `height` rows above `scroll` rows from the end.
pub(super) fn window(app: &App, chat: &Chat, width: usize, height: usize) -> Vec<Line<'static>> {
    let wanted = height + chat.scroll;
    let mut taken: Vec<Line<'static>> = Vec::new();
    let mut newer = chat.lines.iter().rev().peekable();
    while let Some(message) = newer.next() {
        let mut rows = lines(app, message, width);
        let day = day_of(app, message.at_ms);
        if newer.peek().is_none_or(|older| day_of(app, older.at_ms) != day) {
            rows.insert(0, middle(&day, width, '-'));
        }
        taken.extend(rows.into_iter().rev());
        if taken.len() >= wanted {
            break;
        }
    }
    if taken.len() < wanted && chat.older_dropped {
        taken.push(middle(app.words().older_dropped, width, ' '));
    }
    let mut shown: Vec<_> = taken.into_iter().skip(chat.scroll).take(height).collect();
    shown.reverse();
    shown
}

/// Rows that a message takes.
pub(super) fn rows(app: &App, message: &Message, width: usize) -> usize {
    lines(app, message, width).len()
}

fn lines(app: &App, message: &Message, width: usize) -> Vec<Line<'static>> {
    let words = app.words();
    let room = width.saturating_sub(MARGIN).max(4);
    let mut pieces: Vec<(Style, String)> = Vec::new();
    let name = format!("{}: ", app.person(&message.from));
    match &message.body {
        Body::Notice(told) => pieces.push((DIM.add_modifier(Modifier::ITALIC), format!("* {told}"))),
        Body::Recalled => {
            let told = fill(words.recalled, &[&app.person(&message.from)]);
            pieces.push((DIM.add_modifier(Modifier::ITALIC), format!("* {told}")));
        }
        Body::Text(text) => pieces.extend([(who(app, message), name), (Style::new(), text.clone())]),
        Body::File(file) => {
            pieces.extend([(who(app, message), name), (Style::new().fg(Color::Cyan), file_words(app, file))])
        }
    }
    if let Some((style, told)) = state(app, message) {
        pieces.push((style, format!("  [{told}]")));
    }
    if let Some(trouble) = &message.trouble {
        pieces.push((BAD, format!("  [{}]", fill(words.file_failed, &[trouble]))));
    }
    let time = Span::styled(format!("{:<MARGIN$}", clock(app, message.at_ms)), DIM);
    let blank = Span::raw(" ".repeat(MARGIN));
    let rows = wrap(&pieces, room).into_iter().enumerate();
    rows.map(|(at, row)| {
        let margin = if at == 0 { time.clone() } else { blank.clone() };
        Line::from_iter(std::iter::once(margin).chain(row))
    })
    .collect()
}

fn who(app: &App, message: &Message) -> Style {
    if message.from == app.me { DIM } else { BOLD.fg(Color::Green) }
}

/// A file by name, size and the command that fetches it.
fn file_words(app: &App, file: &FileBody) -> String {
    let words = app.words();
    let kind = match file.kind.as_str() {
        "image" => words.picture,
        "voice" => words.voice,
        _ => words.file,
    };
    let length = file.duration.map(|s| format!(", {}", fill(words.seconds, &[&s.to_string()]))).unwrap_or_default();
    format!("{kind} {} ({}{length}) {}", file.name, size(file.size), fill(words.save_hint, &[&file.number.to_string()]))
}

fn state(app: &App, message: &Message) -> Option<(Style, String)> {
    let words = app.words();
    Some(match &message.state {
        State::Nothing => return None,
        State::Sending => (DIM, words.sending.to_owned()),
        State::Kept => (DIM, words.kept.to_owned()),
        State::Waiting => (DIM, words.waiting.to_owned()),
        State::Delivered => (DIM, words.delivered.to_owned()),
        State::Held => (Style::new().fg(Color::Yellow), words.held.to_owned()),
        State::Refused(why) => (BAD, fill(words.refused, &[why])),
        State::Dropped(why) => (BAD, fill(words.dropped, &[why])),
        State::Expired => (BAD, words.expired.to_owned()),
    })
}

/// A file on its way, in one line.
pub(super) fn transfer(app: &App, number: u64, transfer: &Transfer) -> String {
    let words = app.words();
    if let Some(why) = &transfer.broke {
        return format!("#{number} {}", fill(words.resuming, &[&transfer.name, why]));
    }
    let told = if transfer.up { words.uploading } else { words.downloading };
    let told = fill(told, &[&transfer.name, &size(transfer.done), &size(transfer.size)]);
    let percent = transfer.done.saturating_mul(100).checked_div(transfer.size).unwrap_or_default();
    format!("#{number} {told} ({percent}%)")
}

/// Bytes as people read them.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let (mut tenths, mut unit) = (bytes / 100, 0);
    while tenths >= 10_000 && unit < UNITS.len() - 1 {
        (tenths, unit) = (tenths / 1000, unit + 1);
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

fn clock(app: &App, ms: u64) -> String {
    zoned(app, ms).map(|at| at.strftime("%H:%M").to_string()).unwrap_or_default()
}

/// Day and time.
pub(super) fn moment(app: &App, ms: u64) -> String {
    zoned(app, ms).map(|at| at.strftime("%Y-%m-%d %H:%M").to_string()).unwrap_or_default()
}

fn day_of(app: &App, ms: u64) -> String {
    let Some(at) = zoned(app, ms) else { return String::new() };
    let weekday = usize::try_from(at.weekday().to_monday_zero_offset()).unwrap_or_default();
    format!("{} {}", at.strftime("%Y-%m-%d"), app.words().days.get(weekday).copied().unwrap_or_default())
}

fn zoned(app: &App, ms: u64) -> Option<jiff::ZonedDateTime> {
    let at = Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
    Some(at.to_zoned_datetime(app.zone.clone()))
}

fn middle(text: &str, width: usize, with: char) -> Line<'static> {
    let free = width.saturating_sub(columns(text) + 2);
    let side = |n: usize| with.to_string().repeat(n);
    Line::styled(format!("{} {text} {}", side(free / 2), side(free - free / 2)), DIM)
}

/// Breaks styled texts into rows of at most `room` columns: at spaces and between wide characters, else where it must be.
pub(super) fn wrap(pieces: &[(Style, String)], room: usize) -> Vec<Vec<Span<'static>>> {
    let mut rows: Vec<Vec<(Style, &str)>> = vec![Vec::new()];
    let mut used = 0;
    // Where the row may be broken: after so many of its characters.
    let mut gap = 0;
    for (style, grapheme) in pieces.iter().flat_map(|(style, text)| text.graphemes(true).map(|g| (*style, g))) {
        if grapheme == "\n" {
            rows.push(Vec::new());
            (used, gap) = (0, 0);
            continue;
        }
        let wide = columns(grapheme);
        let row_at = rows.len() - 1;
        if wide > 1 {
            gap = rows[row_at].len();
        }
        if used + wide > room && !rows[row_at].is_empty() {
            if grapheme == " " {
                continue;
            }
            let at = if gap > 0 { gap } else { rows[row_at].len() };
            let moved = rows[row_at].split_off(at);
            used = moved.iter().map(|(_, g)| columns(g)).sum();
            gap = 0;
            rows.push(moved);
        }
        let row_at = rows.len() - 1;
        rows[row_at].push((style, grapheme));
        used += wide;
        if grapheme == " " || wide > 1 {
            gap = rows[row_at].len();
        }
    }
    rows.into_iter().map(joined).collect()
}

/// Neighbours of one style as one span.
fn joined(row: Vec<(Style, &str)>) -> Vec<Span<'static>> {
    let mut spans: Vec<Span<'static>> = Vec::new();
    for (style, grapheme) in row {
        match spans.last_mut().filter(|span| span.style == style) {
            Some(span) => span.content.to_mut().push_str(grapheme),
            None => spans.push(Span::styled(grapheme.to_owned(), style)),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, room: usize, expected: &[&str]) {
        let rows = wrap(&[(Style::new(), text.to_owned())], room);
        let rows: Vec<String> = rows.iter().map(|row| row.iter().map(|span| span.content.as_ref()).collect()).collect();
        assert_eq!(rows, expected, "{text:?} in {room}");
        assert!(rows.iter().all(|row| columns(row.trim_end()) <= room), "{rows:?}");
    }

    #[test]
    fn texts_are_wrapped_by_columns_at_spaces_and_between_wide_characters() {
        check("one two three", 8, &["one two ", "three"]);
        check("abcdefghij", 4, &["abcd", "efgh", "ij"]);
        check("你好世界", 5, &["你好", "世界"]);
        check("ab你好 cd", 4, &["ab你", "好 ", "cd"]);
        check("a\n\nb", 4, &["a", "", "b"]);
        check("exact four", 5, &["exact", "four"]);
        check("👩‍👩‍👧👩‍👩‍👧", 3, &["👩‍👩‍👧", "👩‍👩‍👧"]);
        assert_eq!(wrap(&[(Style::new(), "中文".to_owned())], 1).len(), 2, "what has no room is shown all the same");
    }

    #[test]
    fn sizes_are_told_as_people_read_them() {
        for (bytes, told) in
            [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (5_000_000_000, "5.0 GB")]
        {
            assert_eq!(size(bytes), told);
        }
    }
}

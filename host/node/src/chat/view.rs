//! The screen: a bar, the chats (where there is room), the open chat, the input. Works from 40 columns on.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::{Constraint, Layout, Position, Rect};
use ratatui_core::style::{Modifier, Style};
use ratatui_core::terminal::Frame;
use ratatui_core::text::{Line, Span, Text};
use ratatui_widgets::block::Block;
use ratatui_widgets::borders::Borders;
use ratatui_widgets::clear::Clear;
use ratatui_widgets::paragraph::Paragraph;
use unicode_segmentation::UnicodeSegmentation;

use super::app::{App, ChatId, Link, Sheet};
use super::clean::commands;
use super::flow::{self, BOLD, DIM, SIDE, WIDE, columns};
use super::words::fill;

const BAR: Style = Style::new().add_modifier(Modifier::REVERSED);
/// Rows that the input may take.
const INPUT_ROWS: usize = 5;

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App) {
    let typed = input_rows(app, frame.area().width);
    let height = u16::try_from(typed.len().clamp(1, INPUT_ROWS)).unwrap_or(1);
    let rows = [Constraint::Length(1), Constraint::Min(1), Constraint::Length(1), Constraint::Length(height)];
    let [bar, body, note, input] = Layout::vertical(rows).areas(frame.area());
    draw_bar(frame, app, bar);
    let body = if frame.area().width >= WIDE {
        let [side, body] = Layout::horizontal([Constraint::Length(SIDE), Constraint::Min(1)]).areas(body);
        draw_chats(frame, app, side);
        body
    } else {
        body
    };
    draw_chat(frame, app, body);
    if let Some(sheet) = &app.sheet {
        draw_sheet(frame, app, sheet, body);
    }
    draw_note(frame, app, note);
    draw_input(frame, app, typed, input);
    sweep(frame.buffer_mut());
}

/// The last look before anything reaches the terminal: no cell holds an order to it.
pub(super) fn sweep(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if cell.symbol().chars().any(commands) {
            cell.set_symbol("\u{fffd}");
        }
    }
}

/// As much of a text as fits into so many columns.
fn cut(text: &str, room: usize) -> String {
    if columns(text) <= room {
        return text.to_owned();
    }
    let mut short = String::new();
    for grapheme in text.graphemes(true) {
        if columns(&short) + columns(grapheme) + 1 > room {
            break;
        }
        short.push_str(grapheme);
    }
    if room > 0 {
        short.push('~');
    }
    short
}

fn draw_bar(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let words = app.words();
    let link = match &app.link {
        Link::Connecting => words.connecting.to_owned(),
        Link::CatchingUp => words.catching_up.to_owned(),
        Link::Live => words.live.to_owned(),
        Link::Away { retry_s, why } => fill(words.away, &[&retry_s.to_string(), why]),
    };
    let unread = app.unread_elsewhere();
    let mut right = if unread > 0 { format!("({unread}) {link}") } else { link };
    if app.waiting() > 0 {
        right = format!("{} · {right}", fill(words.waiting_requests, &[&app.waiting().to_string()]));
    }
    let chat = app.open.as_ref().map(|id| format!(" > {}", app.title(id))).unwrap_or_default();
    let room = usize::from(area.width);
    let right = cut(&right, room * 2 / 3);
    let left = cut(&format!("{}{chat}", super::clean::line(&app.me)), room.saturating_sub(columns(&right) + 1));
    let gap = " ".repeat(room.saturating_sub(columns(&left) + columns(&right)));
    frame.render_widget(Line::styled(format!("{left}{gap}{right}"), BAR), area);
}

fn draw_chats(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let block = Block::new().borders(Borders::RIGHT).border_style(DIM);
    let room = usize::from(block.inner(area).width).saturating_sub(1);
    let row = |id: &ChatId| {
        let unread = app.chats.get(id).map_or(0, |chat| chat.unread);
        let count = match unread {
            0 => String::new(),
            1..=99 => format!(" {unread}"),
            100.. => " 99+".to_owned(),
        };
        let mark = if matches!(id, ChatId::Group(_)) { "#" } else { "" };
        let title = cut(&format!("{mark}{}", app.title(id)), room.saturating_sub(columns(&count)));
        let gap = " ".repeat(room.saturating_sub(columns(&title) + columns(&count)));
        let style = match (app.open.as_ref() == Some(id), unread > 0) {
            (true, _) => BAR,
            (false, true) => BOLD,
            (false, false) => Style::new(),
        };
        Line::styled(format!("{title}{gap}{count}"), style)
    };
    let chats = app.by_time();
    let height = usize::from(area.height);
    let at = app.open.as_ref().and_then(|open| chats.iter().position(|id| *id == open)).unwrap_or_default();
    let from = (at + 1).saturating_sub(height);
    let rows: Vec<Line<'_>> = chats.into_iter().skip(from).take(height).map(row).collect();
    frame.render_widget(Paragraph::new(rows).block(block), area);
}

fn draw_chat(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let rows = match app.opened() {
        None => plain(app.words().no_chat, width),
        Some((_, chat)) if chat.lines.is_empty() => plain(app.words().nothing_said, width),
        Some((_, chat)) => flow::window(app, chat, width, height),
    };
    let first = area.height.saturating_sub(u16::try_from(rows.len()).unwrap_or(u16::MAX));
    let area = Rect { y: area.y + first, height: area.height - first, ..area };
    frame.render_widget(Text::from(rows), area);
}

fn plain(text: &str, width: usize) -> Vec<Line<'static>> {
    flow::wrap(&[(DIM, text.to_owned())], width.max(1)).into_iter().map(Line::from).collect()
}

fn draw_sheet(frame: &mut Frame<'_>, app: &App, sheet: &Sheet, area: Rect) {
    frame.render_widget(Clear, area);
    let block =
        Block::bordered().title(format!(" {} ", sheet.title)).title_bottom(format!(" {} ", app.words().sheet_hint));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let (room, height) = (usize::from(inner.width), usize::from(inner.height).max(1));
    let mut rows: Vec<Line<'_>> = Vec::new();
    let mut last = 0;
    for (at, row) in sheet.rows.iter().enumerate() {
        let style = if at == sheet.chosen { BAR } else { Style::new() };
        let wrapped = flow::wrap(&[(style, row.text.clone())], room.max(1));
        rows.extend(wrapped.into_iter().map(Line::from));
        if at == sheet.chosen {
            last = rows.len();
        }
    }
    let from = last.saturating_sub(height);
    frame.render_widget(Text::from_iter(rows.into_iter().skip(from).take(height)), inner);
}

/// One line: what the client has to say, else files under way, else what is new below.
fn draw_note(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let below = app.opened().map_or(0, |(_, chat)| chat.below);
    let offers = app.completion.as_ref().map(|completion| {
        let shown = completion.offers.iter().enumerate();
        shown
            .map(|(at, o)| if at == completion.at { format!("[{}]", o.trim()) } else { o.trim().to_owned() })
            .collect::<Vec<_>>()
            .join(" ")
    });
    let text = match (offers, below, app.transfers.iter().next_back()) {
        (Some(offers), _, _) => offers,
        (None, _, _) if !app.note.is_empty() => app.note.clone(),
        (None, _, Some((number, transfer))) => flow::transfer(app, *number, transfer),
        (None, 1.., None) => fill(app.words().new_below, &[&below.to_string()]),
        (None, 0, None) => String::new(),
    };
    frame.render_widget(Line::styled(cut(&text, usize::from(area.width)), DIM), area);
}

/// What is typed, in rows, and the cursor's place in it.
fn input_rows(app: &App, width: u16) -> Vec<String> {
    let room = usize::from(width).saturating_sub(3).max(1);
    rows_of(app.input.text(), room)
}

fn rows_of(text: &str, room: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    for grapheme in text.graphemes(true) {
        let row = rows.len() - 1;
        if grapheme == "\n" {
            rows.push(String::new());
        } else if columns(&rows[row]) + columns(grapheme) > room {
            rows.push(grapheme.to_owned());
        } else {
            rows[row].push_str(grapheme);
        }
    }
    rows
}

fn draw_input(frame: &mut Frame<'_>, app: &App, rows: Vec<String>, area: Rect) {
    let room = usize::from(area.width).saturating_sub(3).max(1);
    let before = rows_of(app.input.before(), room);
    let (row, column) = (before.len() - 1, before.last().map_or(0, |row| columns(row)));
    let height = usize::from(area.height).max(1);
    let from = (row + 1).saturating_sub(height);
    let lines = rows
        .into_iter()
        .enumerate()
        .skip(from)
        .take(height)
        .map(|(at, row)| Line::from_iter([Span::styled(if at == 0 { "> " } else { "  " }, BOLD), Span::raw(row)]));
    frame.render_widget(Text::from_iter(lines), area);
    if let Some(line) = app.typed.last().filter(|_| app.mistaken && app.input.is_empty()) {
        let hint = fill(app.words().line_back, &[&super::clean::line(line)]);
        let beside = Rect { x: area.x + 2.min(area.width), width: area.width.saturating_sub(2), ..area };
        frame.render_widget(Line::styled(cut(&hint, room), DIM), beside);
    }
    let place = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    let cursor = Position::new(area.x.saturating_add(place(column + 2)), area.y.saturating_add(place(row - from)));
    if area.contains(cursor) {
        frame.set_cursor_position(cursor);
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;

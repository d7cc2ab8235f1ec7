//! The line that is typed.

use super::*;

#[test]
fn a_draft_stays_with_its_chat() {
    let mut app = alice();
    type_line(&mut app, "/to carol@south");
    app.input.set("half a thou");
    event(&mut app, 1, message("bob@north", "alice@north", "m1", "hi"));
    update(&mut app, Event::Key(KeyEvent::new(KeyCode::Char('n'), KeyModifiers::CONTROL)), nothing);
    assert_eq!((app.open.as_ref().unwrap().id(), app.input.text()), ("bob@north", ""));
    update(&mut app, Event::Key(KeyEvent::new(KeyCode::Char('n'), KeyModifiers::CONTROL)), nothing);
    assert_eq!(app.input.text(), "half a thou");
}

#[test]
fn what_cannot_be_carried_out_is_told_leaves_the_line_and_is_brought_back_by_an_arrow() {
    let mut app = alice();
    type_line(&mut app, "/to carol@south");
    for (line, told) in [
        ("/too bob", "there is no /too; did you mean /to?"),
        ("/frobnicate", "there is no /frobnicate; /help"),
        ("/to nobody at all", "nobody known is called"),
    ] {
        assert_eq!(type_line(&mut app, line), []);
        assert!(app.note.contains(told), "{line}: {}", app.note);
        assert!(app.input.is_empty() && app.mistaken, "{line}: the next line begins empty");
        key(&mut app, KeyCode::Up);
        assert_eq!((app.input.text(), app.mistaken), (line, false), "to be mended");
        key(&mut app, KeyCode::Down);
    }
    let (_, body) = said(&type_line(&mut app, "hello"));
    assert_eq!((&body["text"], app.mistaken), (&json!("hello"), false), "nothing is put behind a mistake");
    for expected in ["hello", "/to nobody at all", "/frobnicate", "/too bob"] {
        key(&mut app, KeyCode::Up);
        assert_eq!(app.input.text(), expected);
    }
}

#[test]
fn tab_turns_through_what_fits() {
    let mut app = alice();
    for c in "/re".chars() {
        key(&mut app, KeyCode::Char(c));
    }
    for expected in ["/requests", "/remove ", "/recall ", "/requests"] {
        key(&mut app, KeyCode::Tab);
        assert_eq!(app.input.text(), expected);
    }
    key(&mut app, KeyCode::BackTab);
    assert_eq!(app.input.text(), "/recall ");
}

#[test]
fn control_c_empties_the_line_first_and_leaves_then() {
    let mut app = alice();
    app.input.set("text");
    let control_c = || Event::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    assert_eq!(update(&mut app, control_c(), nothing), []);
    assert!(app.input.is_empty());
    assert_eq!(update(&mut app, control_c(), nothing), [Act::Quit]);
}

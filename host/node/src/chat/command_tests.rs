#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use jiff::tz::TimeZone;

use super::super::app::{Group, Person, Stand};
use super::super::words::Lang;
use super::*;

fn read_line(line: &str) -> Result<Command, String> {
    parse(line, Lang::En.words())
}

#[test]
fn a_line_is_said_unless_it_begins_with_one_slash() {
    assert_eq!(read_line("hello /to"), Ok(Command::Say("hello /to".into())));
    assert_eq!(read_line("//etc is a folder"), Ok(Command::Say("/etc is a folder".into())));
    assert_eq!(read_line("/to carol@south"), Ok(Command::To("carol@south".into())));
}

#[test]
fn commands_are_read_with_what_they_take() {
    fn check(line: &str, expected: Command) {
        assert_eq!(read_line(line), Ok(expected), "{line}");
    }
    check("/to Tea party", Command::To("Tea party".into()));
    check("/search carol", Command::Search("carol".into(), "all".into()));
    check("/search carol @here", Command::Search("carol".into(), "local".into()));
    check("/search ca rol @south", Command::Search("ca rol".into(), "server:south".into()));
    check("/friend carol@south It is  Alice.", Command::Friend("carol@south".into(), "It is  Alice.".into()));
    check("/friend carol@south", Command::Friend("carol@south".into(), String::new()));
    check("/accept carol", Command::Answer("carol".into(), true));
    check("/decline g-1@north", Command::Answer("g-1@north".into(), false));
    check("/invite a b  c@south", Command::Invite(vec!["a".into(), "b".into(), "c@south".into()]));
    check("/file ~/my cat.png", Command::File("~/my cat.png".into()));
    check("/save", Command::Save(None, None));
    check("/save 2", Command::Save(Some(2), None));
    check("/save #2 /tmp/x y", Command::Save(Some(2), Some("/tmp/x y".into())));
    check("/recall", Command::Recall(1));
    check("/recall 3", Command::Recall(3));
    check("/cancel 7", Command::Cancel(7));
    check("/lang ZH", Command::Lang(Lang::Zh));
    check("/q", Command::Quit);
    check("/group Tea", Command::NewGroup("Tea".into()));
}

#[test]
fn what_is_wrong_is_told_with_what_is_wanted() {
    assert!(read_line("/frobnicate").unwrap_err().contains("/help"));
    assert!(read_line("/").is_err());
    assert_eq!(read_line("/re").unwrap_err(), "/re may be: /requests /remove /recall");
    for (typed, meant) in [("/too", "/to?"), ("/hlep", "/help?"), ("/QUIT", "/quit?"), ("/freind carol", "/friend?")] {
        assert!(read_line(typed).unwrap_err().contains(meant), "{typed}: {:?}", read_line(typed));
    }
    for line in ["/to", "/friend", "/recall x", "/recall 0", "/cancel", "/lang fr", "/file "] {
        assert!(read_line(line).unwrap_err().contains("wants"), "{line}");
    }
}

fn app() -> App {
    let mut app = App::new("alice@north", Lang::En, TimeZone::UTC, "t");
    for (id, name, stand) in [
        ("bob@north", "Bob", Stand::Friends),
        ("carol@south", "卡罗尔", Stand::Friends),
        ("cy@south", "Cy", Stand::Asks),
    ] {
        app.people.insert(id.into(), Person { name: name.into(), stand, remark: String::new() });
    }
    app.people
        .insert("evil\u{202e}@south".into(), Person { name: "c".into(), stand: Stand::Asks, remark: String::new() });
    app.groups.insert("g-1@north".into(), Group { name: "Tea".into(), rank: 3, members: 2, by: String::new() });
    app.groups.insert("g-2@south".into(), Group { name: "Go".into(), rank: 0, members: 2, by: String::new() });
    app
}

fn offers(line: &str) -> Vec<String> {
    let list = |folder: &str| match folder {
        "" => vec!["notes.txt".into(), "pictures/".into(), ".hidden".into(), "no\u{1b}te".into()],
        "pictures/" => vec!["cat.png".into()],
        _ => Vec::new(),
    };
    complete(&app(), line, list).map(|completion| completion.offers).unwrap_or_default()
}

#[test]
fn tab_completes_commands_names_and_paths() {
    assert_eq!(offers("/in"), ["/invite "]);
    assert_eq!(offers("/re"), ["/requests", "/remove ", "/recall "]);
    assert_eq!(offers("/to c"), ["carol@south", "cy@south"]);
    assert_eq!(offers("/to 卡"), ["carol@south"], "by name");
    assert_eq!(offers("/to t"), ["Tea"]);
    assert_eq!(offers("/accept "), ["cy@south", "g-2@south"], "who waits for an answer; nothing that hides an order");
    assert_eq!(offers("/invite bob@north ca"), ["carol@south "]);
    assert_eq!(offers("/file n"), ["notes.txt"]);
    assert_eq!(offers("/file pictures/"), ["pictures/cat.png"]);
    assert_eq!(offers("/file ."), [".hidden"]);
    assert_eq!(offers("/lang "), ["en", "zh"]);
    assert_eq!(offers("/friend bob@north he"), [""; 0], "words are the user's");
    assert_eq!(offers("hello"), [""; 0]);
}

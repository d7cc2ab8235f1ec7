//! What holds for any sequence of events.

use std::collections::HashMap;

use isthmus_domain::inbox;
use isthmus_domain::message::Received;
use isthmus_domain::{AuditRecord, TimeId};
use isthmus_wire::Code;
use proptest::prelude::*;

use crate::place::{Place, refused, user};

fn few() -> ProptestConfig {
    ProptestConfig { cases: 12, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(few())]

    /// However readers cut the stream, they see every event once and in order.
    #[test]
    fn an_inbox_read_in_any_steps_is_the_whole_inbox(
        steps in proptest::collection::vec((0..3_usize, 0..3_usize), 1..25),
        limits in proptest::collection::vec(1..5_usize, 1..5),
    ) {
        let place = Place::north();
        let people = ["alice@north", "bob@north", "carol@south"];
        for (number, (from, to)) in steps.iter().enumerate() {
            let (from, to, words) = (people[*from], people[*to], number.to_string());
            match (from, to) {
                ("carol@south", "carol@south") => {}
                ("carol@south", to) => { place.get("south", from, to, &words, &words).unwrap(); }
                _ => { place.send(from, &words, to, &words).unwrap(); }
            }
        }
        for person in ["alice@north", "bob@north"] {
            let whole = place.inbox(person);
            prop_assert!(whole.windows(2).all(|w| w[0].cursor < w[1].cursor));
            let (view, mut cursor, mut seen) = (place.view(), 0, Vec::new());
            for limit in limits.iter().cycle() {
                let page = inbox::read(&view, &user(person), cursor, *limit).unwrap();
                let Some(last) = page.last() else { break };
                cursor = last.cursor;
                seen.extend(page);
            }
            prop_assert_eq!(cursor, inbox::head(&view, &user(person)).unwrap());
            prop_assert_eq!(seen, whole);
        }
    }

    /// A peer that repeats itself at will: each key is kept once with its first content.
    #[test]
    fn each_key_is_kept_once_with_what_it_first_said(
        tries in proptest::collection::vec((0..3_u8, 0..3_u8), 1..30),
    ) {
        let place = Place::north();
        let mut first: HashMap<u8, u8> = HashMap::new();
        for (key, said) in tries {
            let answer = place.get("south", "carol@south", "alice@north", &key.to_string(), &said.to_string());
            match first.get(&key) {
                None => {
                    prop_assert!(matches!(answer.unwrap(), Received::Kept(done) if done.deliveries.len() == 1));
                    first.insert(key, said);
                }
                Some(before) if *before == said => prop_assert!(matches!(answer.unwrap(), Received::Duplicate)),
                Some(_) => prop_assert_eq!(refused(answer).0, Code::AlreadyExists),
            }
        }
        prop_assert_eq!(place.inbox("alice@north").len(), first.len());
        prop_assert_eq!(place.audited(), first.len());
    }

    #[test]
    fn an_audit_record_comes_back_as_it_was_written(
        actor in ".{0,40}", name in "[a-z]{1,8}", value in ".{0,200}", code in any::<i32>(), bytes in any::<[u8; 16]>(),
    ) {
        let record = AuditRecord::new(TimeId(bytes), 7, "message.send", "inbound")
            .actor(actor).target("bob@north").peer("south").outcome("rejected", code).severity("notice")
            .generation(3).field(name, value);
        let json = record.to_json();
        prop_assert_eq!(AuditRecord::parse(&json).unwrap(), record);
    }
}

#[test]
fn time_ids_sort_by_their_time() {
    let noise = |byte: u8| move |out: &mut [u8]| out.fill(byte);
    let early = TimeId::mint(1_700_000_000_000, &mut noise(0xff));
    let late = TimeId::mint(1_700_000_000_001, &mut noise(0));
    assert!(early < late && early.to_string() < late.to_string());
    assert_eq!(TimeId::parse(&early.to_string()), Some(early));
    assert_eq!(early.to_string().as_bytes()[14], b'7', "UUID version 7");
}

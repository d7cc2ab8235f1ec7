//! Letters wait in order, lane by lane.

use crate::kit::Place;
use isthmus_store::{
    Store, StoreError,
    lane::{self, LetterId},
};

fn enqueue(store: &Store, peer: &'static str, conversation: &'static str, letter: &'static str) -> LetterId {
    store.write_blocking(move |tx| lane::enqueue(tx, peer, conversation.as_bytes(), letter.as_bytes())).unwrap()
}

fn remove(store: &Store, id: &LetterId) {
    let id = id.clone();
    store
        .write_blocking(move |tx| {
            lane::remove(tx, &id);
            Ok::<_, StoreError>(())
        })
        .unwrap();
}

#[test]
fn letters_of_a_lane_come_in_the_order_they_were_put_in() {
    let place = Place::new();
    let store = place.open();
    let first = enqueue(&store, "south", "a-b", "1");
    enqueue(&store, "south", "a-c", "other");
    enqueue(&store, "south", "a-b", "2");
    enqueue(&store, "south", "a-b", "3");
    let letters = |from| store.read(|v| lane::of_lane(v, &first.lane, from, 2)).unwrap();
    let bodies: Vec<_> = letters(0).into_iter().map(|l| l.body).collect();
    assert_eq!(bodies, [b"1", b"2"]);
    let bodies: Vec<_> = letters(first.seq + 1).into_iter().map(|l| l.body).collect();
    assert_eq!(bodies, [b"2", b"3"]);
    assert_eq!(store.read(|v| lane::depth(v, &first.lane, 100)).unwrap(), 3);
}

#[test]
fn after_a_restart_every_lane_shows_its_head_and_peer() {
    let place = Place::new();
    let store = place.open();
    for (peer, conversation) in [("south", "a"), ("s", "a"), ("west", "b"), ("south", "b")] {
        enqueue(&store, peer, conversation, "head");
        enqueue(&store, peer, conversation, "tail");
    }
    store.close();
    let store = place.open();
    let heads = store.read(lane::all).unwrap();
    assert_eq!(heads.len(), 4);
    assert!(heads.iter().all(|l| l.body == b"head"));
    let mut peers: Vec<_> = heads.iter().map(|l| &*l.id.lane.peer).collect();
    peers.sort_unstable();
    assert_eq!(peers, ["s", "south", "south", "west"]);
    assert_eq!(store.read(|v| lane::of_peer(v, "south")).unwrap().len(), 2);
    assert_eq!(store.read(|v| lane::of_peer(v, "north")).unwrap().len(), 0);
}

#[test]
fn a_removed_letter_is_gone_and_its_number_never_returns() {
    let place = Place::new();
    let store = place.open();
    let first = enqueue(&store, "south", "a", "1");
    remove(&store, &first);
    assert!(store.read(lane::all).unwrap().is_empty());
    let second = enqueue(&store, "south", "a", "2");
    assert!(second.seq > first.seq);
    remove(&store, &first);
    assert_eq!(store.read(|v| lane::get(v, &second)).unwrap().unwrap().body, b"2");
}

#[test]
fn a_replaced_letter_keeps_its_place() {
    let place = Place::new();
    let store = place.open();
    let first = enqueue(&store, "south", "a", "1");
    enqueue(&store, "south", "a", "2");
    let id = first.clone();
    store
        .write_blocking(move |tx| {
            lane::replace(tx, &id, b"changed");
            Ok::<_, StoreError>(())
        })
        .unwrap();
    assert_eq!(store.read(lane::all).unwrap()[0].body, b"changed");
}

//! Users, log-ins, tokens.

use std::sync::atomic::Ordering;

use isthmus_domain::account::{self, NewUser, User};
use isthmus_domain::session::{self, Grant, Rotation, Session};
use isthmus_domain::{Error, TimeId};
use isthmus_wire::Code;

use crate::place::{Place, refused, user};

const LIFE: u64 = 1_000;

fn grant(place: &Place, byte: u8, life: u64) -> Grant {
    Grant { sha256: [byte; 32], expires_ms: place.now.load(Ordering::Relaxed) + life }
}

fn create(place: &Place, local: &str, name: &str) -> Result<User, Error> {
    let new = NewUser {
        local: local.into(),
        name: name.into(),
        password_hash: Some("$argon2id$…".into()),
        phone_number: None,
    };
    place.write(|tx, scene| account::create_user(tx, scene, new))
}

/// Access token `byte`, refresh token `byte + 1`.
fn log_in(place: &Place, id: &str, byte: u8) -> Result<Session, Error> {
    let (id, access, refresh) = (user(id), grant(place, byte, LIFE), grant(place, byte + 1, 10 * LIFE));
    place.write(move |tx, scene| session::log_in(tx, scene, &id, "phone\n📱", &access, &refresh))
}

fn rotate(place: &Place, old: u8, new: u8) -> Rotation {
    let (access, refresh) = (grant(place, new, LIFE), grant(place, new + 1, 10 * LIFE));
    place.write(move |tx, scene| session::rotate(tx, scene, &[old; 32], &access, &refresh)).unwrap()
}

fn who(place: &Place, byte: u8) -> Option<TimeId> {
    let now = place.now.load(Ordering::Relaxed);
    session::authenticate(&place.view(), &[byte; 32], now).unwrap().map(|s| s.device)
}

#[test]
fn r11_we_mint_local_at_server_id() {
    let place = Place::empty("North");
    let long = "a".repeat(65);
    let cases = [
        ("alice", None),
        ("a.b_c-1", None),
        ("张三", None),
        (&long[..64], None),
        ("", Some((Code::MissingField, "local"))),
        (long.as_str(), Some((Code::InvalidField, "local"))),
        ("Alice", Some((Code::InvalidField, "local"))),
        ("a@b", Some((Code::InvalidField, "local"))),
        ("a b", Some((Code::InvalidField, "local"))),
        ("a\u{0}", Some((Code::InvalidField, "local"))),
        ("😀", Some((Code::InvalidField, "local"))),
        ("alice", Some((Code::AlreadyExists, "local"))),
    ];
    for (local, wrong) in cases {
        let created = create(&place, local, "Name");
        match wrong {
            None => assert_eq!(created.unwrap().id.as_str(), format!("{local}@North")),
            Some((code, field)) => assert_eq!(refused(created), (code, Some(field.to_owned())), "{local}"),
        }
    }
    for (name, code) in [("", Code::MissingField), (" ", Code::MissingField), ("a\tb", Code::InvalidField)] {
        assert_eq!(refused(create(&place, "new", name)), (code, Some("name".to_owned())), "{name:?}");
    }
    assert_eq!(account::list_users(&place.view()).unwrap().len(), 4);
    assert!(account::find_user(&place.view(), &user("alice@NORTH")).unwrap().is_some());
    assert!(account::find_user(&place.view(), &user("ALICE@North")).unwrap().is_none());
}

#[test]
fn an_access_token_names_its_user_until_it_expires() {
    let place = Place::north();
    let one = log_in(&place, "alice@north", 10).unwrap();
    assert_eq!(who(&place, 10), Some(one.device));
    assert_eq!((who(&place, 11), who(&place, 99)), (None, None), "a refresh token opens nothing");
    place.now.fetch_add(LIFE, Ordering::Relaxed);
    assert_eq!(who(&place, 10), None);
    assert_eq!(refused(log_in(&place, "nobody@north", 20)).0, Code::NoIdentity);
}

#[test]
fn each_log_in_is_a_device_of_its_own_and_is_revoked_alone() {
    let place = Place::north();
    let (one, two) = (log_in(&place, "alice@north", 10).unwrap(), log_in(&place, "alice@north", 20).unwrap());
    let names: Vec<_> = session::devices(&place.view(), &one.user).unwrap().into_iter().map(|d| d.name).collect();
    assert_eq!(names, ["phone📱", "phone📱"]);
    let (id, device) = (one.user.clone(), one.device);
    assert!(place.write(move |tx, _| session::revoke(tx, &id, &device)).unwrap());
    assert_eq!((who(&place, 10), who(&place, 20)), (None, Some(two.device)));
    assert_eq!(rotate(&place, 11, 30), Rotation::Invalid);
    let id = one.user.clone();
    assert_eq!(place.write(move |tx, _| session::revoke_all(tx, &id)).unwrap(), [two.device]);
    assert_eq!(who(&place, 20), None);
}

#[test]
fn a_refresh_token_is_good_once_and_its_reuse_revokes_the_device() {
    let place = Place::north();
    let one = log_in(&place, "alice@north", 10).unwrap();
    let other = log_in(&place, "alice@north", 50).unwrap();
    place.now.fetch_add(LIFE, Ordering::Relaxed);
    let Rotation::Renewed(renewed) = rotate(&place, 11, 20) else { panic!() };
    assert_eq!((renewed.device, who(&place, 20)), (one.device, Some(one.device)));
    assert_eq!(rotate(&place, 20, 60), Rotation::Invalid, "an access token refreshes nothing");
    let Rotation::Reused(session) = rotate(&place, 11, 30) else { panic!() };
    assert_eq!(session.device, one.device);
    assert_eq!((who(&place, 20), who(&place, 30)), (None, None));
    assert_eq!(rotate(&place, 21, 40), Rotation::Invalid, "the thief's newer token is dead too");
    assert!(matches!(rotate(&place, 51, 70), Rotation::Renewed(s) if s.device == other.device));
}

#[test]
fn an_expired_refresh_token_is_invalid() {
    let place = Place::north();
    log_in(&place, "alice@north", 10).unwrap();
    place.now.fetch_add(10 * LIFE, Ordering::Relaxed);
    assert_eq!(rotate(&place, 11, 20), Rotation::Invalid);
    assert_eq!(rotate(&place, 99, 20), Rotation::Invalid);
}

#[test]
fn disabling_a_user_or_a_new_password_logs_out_everywhere() {
    let place = Place::north();
    log_in(&place, "alice@north", 10).unwrap();
    place.write(|tx, _| account::set_password_hash(tx, &user("alice@north"), "$new".into())).unwrap();
    assert_eq!(who(&place, 10), None);
    log_in(&place, "alice@north", 20).unwrap();
    place.write(|tx, _| account::set_disabled(tx, &user("alice@north"), true)).unwrap();
    assert_eq!((who(&place, 20), refused(log_in(&place, "alice@north", 30)).0), (None, Code::NoIdentity));
    place.write(|tx, _| account::set_disabled(tx, &user("alice@north"), false)).unwrap();
    assert_eq!(who(&place, 20), None, "enabling revives no token");
    let found = account::find_user(&place.view(), &user("alice@north")).unwrap().unwrap();
    assert_eq!(found.password_hash.as_deref(), Some("$new"));
    let nobody = place.write(|tx, _| account::set_disabled(tx, &user("x@north"), true));
    assert_eq!(refused(nobody).0, Code::NotFound);
}

#[test]
fn sweeping_in_steps_removes_dead_tokens_and_devices_only() {
    let place = Place::north();
    for byte in (10..40).step_by(10) {
        log_in(&place, "alice@north", byte).unwrap();
    }
    place.now.fetch_add(5 * LIFE, Ordering::Relaxed);
    let live = log_in(&place, "bob@north", 100).unwrap();
    place.now.fetch_add(5 * LIFE, Ordering::Relaxed);
    let Rotation::Renewed(_) = rotate(&place, 101, 110) else { panic!() };
    let mut from = None;
    loop {
        from = place.write(move |tx, scene| session::sweep(tx, scene.now_ms, from, 2)).unwrap();
        if from.is_none() {
            break;
        }
    }
    assert!(session::devices(&place.view(), &user("alice@north")).unwrap().is_empty());
    assert_eq!(who(&place, 110), Some(live.device));
    assert!(matches!(rotate(&place, 111, 120), Rotation::Renewed(_)));
    assert!(matches!(rotate(&place, 101, 130), Rotation::Reused(_)), "used tokens stay known while they live");
}

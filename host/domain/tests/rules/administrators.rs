//! Administrators' accounts (§5.2).

use isthmus_domain::Error;
use isthmus_domain::administrator::{self, Administrator, Role, Secret, Totp};
use isthmus_wire::Code;

use crate::place::{Place, refused};

fn appointed(place: &Place) -> Administrator {
    place
        .write(|tx, scene| {
            administrator::appoint(tx, "ada", Role::Audit, "00".into(), scene.now_ms);
            Ok::<_, Error>(())
        })
        .unwrap();
    now(place)
}

fn now(place: &Place) -> Administrator {
    administrator::find(&place.view(), "ada").unwrap().unwrap()
}

fn let_in(place: &Place, seen: &Administrator, step: Option<u64>) -> Result<(), Error> {
    let seen = seen.clone();
    place.write(move |tx, _| administrator::let_in(tx, &seen, step))
}

#[test]
fn who_has_a_one_time_password_is_new_until_one_of_its_own_is_set() {
    let place = Place::north();
    let ada = appointed(&place);
    assert!(ada.is_new());
    let set = place.write(|tx, scene| administrator::set_password(tx, "ada", "$argon2id$…".into(), scene.now_ms));
    set.unwrap();
    assert_eq!(now(&place).secret, Secret::Password("$argon2id$…".into()));
    assert!(!now(&place).is_new());
    let nobody = place.write(|tx, scene| administrator::set_password(tx, "bea", String::new(), scene.now_ms));
    assert_eq!(refused(nobody).0, Code::NotFound);
}

#[test]
fn what_was_proved_of_an_account_that_has_changed_since_lets_nobody_in() {
    let place = Place::north();
    let seen = appointed(&place);
    let_in(&place, &seen, None).unwrap();
    place.write(|tx, scene| administrator::set_password(tx, "ada", "other".into(), scene.now_ms)).unwrap();
    assert_eq!(refused(let_in(&place, &seen, None)).0, Code::NoIdentity);
}

#[test]
fn no_code_of_a_second_factor_serves_twice_and_none_before_the_latest() {
    let place = Place::north();
    appointed(&place);
    let own = Totp { secret: [7; 20], step: 40 };
    place.write(move |tx, _| administrator::set_totp(tx, "ada", Some(own))).unwrap();
    let seen = now(&place);
    assert_eq!(refused(let_in(&place, &seen, None)).0, Code::NoIdentity);
    assert_eq!(refused(let_in(&place, &seen, Some(40))).0, Code::NoIdentity);
    let_in(&place, &seen, Some(42)).unwrap();
    assert_eq!(refused(let_in(&place, &seen, Some(42))).0, Code::NoIdentity);
    assert_eq!(refused(let_in(&place, &seen, Some(41))).0, Code::NoIdentity);
    let_in(&place, &seen, Some(43)).unwrap();
}

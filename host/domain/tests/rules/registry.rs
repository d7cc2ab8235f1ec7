//! The platform: applications, review, servers, queries.

use std::sync::atomic::Ordering;

use isthmus_domain::administrator::Role;
use isthmus_domain::registry::notice::{self, Ending, Event};
use isthmus_domain::registry::{self, Application, Approve, Change, Issued, Registration};
use isthmus_domain::{Error, TimeId};
use isthmus_wire::call::registry::{ApplicationState, Changes, Nodes, Register, Update};
use isthmus_wire::{Code, ServerInfo, ServerStatus};

use crate::place::{Place, info, refused, server};

const TICKET: [u8; 32] = [7; 32];

fn platform() -> Place {
    Place::empty("platform")
}

fn issued(serial: &str, place: &Place) -> Issued {
    let not_after_ms = place.now.load(Ordering::Relaxed) + 1_000;
    Issued {
        chain: format!("chain {serial}"),
        serial: serial.into(),
        not_after_ms,
        key_algorithm: "ecdsa-p256".into(),
        signature_algorithm: "ecdsa-p256-sha256".into(),
    }
}

fn apply(place: &Place, server_info: ServerInfo) -> Result<Application, Error> {
    let asked = Register { server_info, owner_id: "owner".into(), csr: "-----BEGIN".into() };
    place.write(|tx, scene| registry::apply_register(tx, scene, asked, TICKET, b"apply".to_vec()))
}

fn approve(place: &Place, id: TimeId, with: Option<Issued>) -> Result<(Application, Registration), Error> {
    let (application, registration) = say_yes(place, id, ("root", Role::System), 1, with)?;
    Ok((application, registration.unwrap()))
}

fn say_yes(
    place: &Place,
    id: TimeId,
    (by, role): (&str, Role),
    reviewers: usize,
    issued: Option<Issued>,
) -> Result<(Application, Option<Registration>), Error> {
    let reason = Some(format!("{by} has called them"));
    let approve = Approve { id, by: by.to_owned(), role, reason, reviewers, issued };
    place.write(move |tx, scene| registry::approve(tx, scene, approve, b"approve".to_vec()))
}

fn reject(place: &Place, id: TimeId, why: &'static str) -> Result<Application, Error> {
    place.write(move |tx, scene| registry::reject(tx, scene, &id, "root", why, b"reject".to_vec()))
}

fn registered(place: &Place, id: &str) -> Registration {
    let application = apply(place, info(id)).unwrap();
    approve(place, application.id, Some(issued(&format!("{id}-1"), place))).unwrap().1
}

fn set(place: &Place, id: &'static str, change: Change) -> Result<Registration, Error> {
    place.write(move |tx, scene| registry::set_status(tx, scene, &server(id), change, b"set".to_vec()))
}

fn all(owner: &str) -> Nodes {
    Nodes { node_ids: None, owner_id: server(owner), server_name: None, domain: None }
}

fn nodes(place: &Place, caller: &str, query: &Nodes) -> Result<Vec<String>, Error> {
    let found = registry::nodes(&place.view(), &server(caller), query)?;
    Ok(found.into_iter().map(|i| i.server_id.as_str().to_owned()).collect())
}

#[test]
fn r15_an_application_is_followed_up_with_its_ticket_only() {
    let place = platform();
    let id = apply(&place, info("north")).unwrap().id.to_string();
    let answer = registry::follow_up(&place.view(), &id, TICKET).unwrap();
    assert_eq!((answer.state, answer.certificate), (ApplicationState::Pending, None));
    let wrong = refused(registry::follow_up(&place.view(), &id, [8; 32]));
    assert_eq!(wrong.0, Code::NotFound);
    for unknown in ["", "x", "0190b1de-0000-7000-8000-000000000000"] {
        let refusal = registry::follow_up(&place.view(), unknown, TICKET);
        assert_eq!(refused(refusal), wrong, "not told apart");
    }
}

#[test]
fn an_approved_server_is_registered_with_its_certificate() {
    let place = platform();
    let lying = ServerInfo {
        server_status: ServerStatus::Suspended,
        server_address: "https://north.example:8443/".into(),
        ..info("north")
    };
    let application = apply(&place, lying).unwrap();
    assert_eq!(registry::list(&place.view(), Some(ApplicationState::Pending)).unwrap().len(), 1);
    assert_eq!(refused(approve(&place, application.id, None)).0, Code::MissingField);
    approve(&place, application.id, Some(issued("AB", &place))).unwrap();
    let answer = registry::follow_up(&place.view(), &application.id.to_string(), TICKET).unwrap();
    assert_eq!((answer.state, answer.certificate.as_deref()), (ApplicationState::Approved, Some("chain AB")));
    let found = registry::find(&place.view(), &server("NORTH")).unwrap().unwrap();
    assert_eq!(found.info, info("north"), "the applicant's status is not believed, the trailing slash is cut");
    assert_eq!(registry::of_serial(&place.view(), "ab").unwrap(), Some(server("north")));
    assert!(registry::list(&place.view(), Some(ApplicationState::Pending)).unwrap().is_empty());
    let again = approve(&place, application.id, Some(issued("CD", &place)));
    assert_eq!(refused(again).0, Code::AlreadyExists);
    assert_eq!(refused(reject(&place, application.id, "late")).0, Code::AlreadyExists);
    assert_eq!(place.audited(), 2);
}

#[test]
fn a_rejected_applicant_is_told_why_and_may_apply_again() {
    let place = platform();
    let id = apply(&place, info("north")).unwrap().id;
    assert_eq!(refused(reject(&place, id, " ")), (Code::MissingField, Some("reason".to_owned())));
    reject(&place, id, "who are you?").unwrap();
    let answer = registry::follow_up(&place.view(), &id.to_string(), TICKET).unwrap();
    assert_eq!((answer.state, answer.reason.as_deref()), (ApplicationState::Rejected, Some("who are you?")));
    apply(&place, info("north")).unwrap();
    assert_eq!(registry::list(&place.view(), None).unwrap().len(), 2);
    assert_eq!(registry::list(&place.view(), Some(ApplicationState::Rejected)).unwrap().len(), 1);
    assert_eq!(refused(reject(&place, TimeId([0; 16]), "x")).0, Code::NotFound);
}

#[test]
fn a_server_id_applied_for_in_use_or_used_up_is_1201_in_any_case() {
    let place = platform();
    let expected = (Code::AlreadyExists, Some("serverInfo.serverId".to_owned()));
    let first = apply(&place, info("north")).unwrap();
    assert_eq!(refused(apply(&place, info("North"))), expected, "applied for");
    approve(&place, first.id, Some(issued("1", &place))).unwrap();
    assert_eq!(refused(apply(&place, info("NORTH"))), expected, "in use");
    set(&place, "north", Change::Suspend).unwrap();
    assert_eq!(refused(apply(&place, info("north"))), expected, "suspended");
    set(&place, "north", Change::Deregister).unwrap();
    assert_eq!(refused(apply(&place, info("nortH"))), expected, "used up");
}

#[test]
fn what_is_no_address_email_or_telephone_number_is_1003() {
    let place = platform();
    type Spoil = fn(&mut ServerInfo, &str);
    let cases: [(&str, Spoil, &[&str]); 3] = [
        (
            "serverAddress",
            |i, v| i.server_address = v.into(),
            &["http://a", "https://a/x", "a.example", "https://a:99999"],
        ),
        ("contactEmail", |i, v| i.contact_email = v.into(), &["a", "a@", "@b", "a@b@c", "a b@c"]),
        (
            "contactMobile",
            |i, v| i.contact_mobile = v.into(),
            &["1234", "abc123456", "+86+13800138000", "123456789012345678901"],
        ),
    ];
    for (field, set, values) in cases {
        for value in values {
            let mut wrong = info("north");
            set(&mut wrong, value);
            let expected = (Code::InvalidField, Some(format!("serverInfo.{field}")));
            assert_eq!(refused(apply(&place, wrong)), expected, "{value}");
        }
    }
    assert_eq!(place.audited(), 0);
}

#[test]
fn nodes_tells_a_registered_server_what_it_asks_for() {
    let place = platform();
    for id in ["south", "north", "East"] {
        registered(&place, id);
    }
    assert_eq!(nodes(&place, "north", &all("North")).unwrap(), ["East", "north", "south"]);
    let ids = |ids: &[&str]| Nodes { node_ids: Some(ids.iter().map(|i| server(i)).collect()), ..all("north") };
    assert_eq!(nodes(&place, "north", &ids(&["EAST", "west", "east", "south"])).unwrap(), ["East", "south"]);
    assert_eq!(nodes(&place, "north", &ids(&[])).unwrap(), Vec::<String>::new());
    let named = Nodes { server_name: Some("ER SOU".into()), ..all("north") };
    assert_eq!(nodes(&place, "north", &named).unwrap(), ["south"], "R16");
    let domain = Nodes { domain: Some("th.example".into()), ..all("north") };
    assert_eq!(nodes(&place, "north", &domain).unwrap(), ["north", "south"], "R16");
    let expected = (Code::MayNotActFor, Some("ownerID".to_owned()));
    assert_eq!(refused(nodes(&place, "north", &all("south"))), expected);
    assert_eq!(refused(nodes(&place, "west", &all("west"))).0, Code::NotFound);
}

#[test]
fn a_suspended_server_is_told_nothing_and_others_are_told_that_it_is() {
    let place = platform();
    registered(&place, "north");
    registered(&place, "south");
    set(&place, "south", Change::Suspend).unwrap();
    assert_eq!(refused(set(&place, "south", Change::Suspend)).0, Code::AlreadyExists);
    assert_eq!(refused(nodes(&place, "south", &all("south"))).0, Code::WrongState);
    let told = registry::nodes(&place.view(), &server("north"), &all("north")).unwrap();
    assert_eq!(told[1].server_status, ServerStatus::Suspended);
    set(&place, "south", Change::Resume).unwrap();
    assert_eq!(refused(set(&place, "south", Change::Resume)).0, Code::AlreadyExists);
    assert_eq!(nodes(&place, "south", &all("south")).unwrap().len(), 2);
    assert_eq!(refused(set(&place, "west", Change::Suspend)).0, Code::NotFound);
}

#[test]
fn deregistration_is_applied_for_final_and_revokes_every_certificate() {
    let place = platform();
    registered(&place, "north");
    let renewed = issued("n-2", &place);
    place.write(|tx, scene| registry::renew(tx, scene, &server("north"), renewed, b"renew".to_vec())).unwrap();
    let asked = |tx: &mut isthmus_store::Tx<'_>, scene: &mut isthmus_domain::Scene<'_>| {
        registry::apply_deregister(tx, scene, &server("north"), "closing".into(), TICKET, vec![])
    };
    let application = place.write(asked).unwrap();
    assert_eq!(refused(place.write(asked)).0, Code::AlreadyExists, "one at a time");
    let (_, registration) = approve(&place, application.id, None).unwrap();
    assert_eq!(registration.info.server_status, ServerStatus::Deregistered);
    let now = place.now.load(Ordering::Relaxed);
    let serials: Vec<_> = registry::revoked(&place.view(), now).unwrap().into_iter().map(|c| c.serial).collect();
    assert_eq!(serials, ["north-1", "n-2"]);
    assert!(registry::revoked(&place.view(), now + 1_000).unwrap().is_empty(), "expired ones need no list");
    for change in [Change::Suspend, Change::Resume, Change::Deregister] {
        assert_eq!(refused(set(&place, "north", change)).0, Code::WrongState);
    }
    let again = issued("n-3", &place);
    let renewal = place.write(|tx, scene| registry::renew(tx, scene, &server("north"), again, vec![]));
    assert_eq!(refused(renewal).0, Code::WrongState);
}

#[test]
fn a_change_takes_effect_when_it_is_approved_and_touches_nothing_else() {
    let place = platform();
    registered(&place, "north");
    let update = |id: Option<&str>, changes: Changes| {
        let asked = Update { server_id: id.map(server), changes };
        place.write(|tx, scene| registry::apply_update(tx, scene, &server("north"), asked, TICKET, vec![]))
    };
    let moved = Changes {
        server_address: Some("https://new.example/".into()),
        area: Some("上海".into()),
        ..Changes::default()
    };
    assert_eq!(refused(update(Some("south"), moved.clone())).0, Code::MayNotActFor);
    let wrong = Changes { contact_email: Some("x".into()), ..Changes::default() };
    assert_eq!(refused(update(None, wrong)).1.as_deref(), Some("serverInfo.contactEmail"));
    let application = update(Some("NORTH"), moved).unwrap();
    assert_eq!(registry::find(&place.view(), &server("north")).unwrap().unwrap().info, info("north"));
    let (application, registration) = approve(&place, application.id, Some(issued("n-2", &place))).unwrap();
    assert_eq!(application.certificate.as_deref(), Some("chain n-2"));
    let expected =
        ServerInfo { server_address: "https://new.example".into(), area: Some("上海".into()), ..info("north") };
    assert_eq!(registration.info, expected);
    assert_eq!(registration.certificates.len(), 2, "the old certificate stays valid until it expires");
}

#[test]
fn where_two_reviewers_are_asked_for_one_alone_decides_nothing_but_may_reject() {
    let place = platform();
    let [ada, token, bea] = [("ada", Role::System), ("system", Role::System), ("bea", Role::Security)];
    let id = apply(&place, info("north")).unwrap().id;
    let (application, registration) = say_yes(&place, id, ada, 2, None).unwrap();
    assert_eq!((application.state, registration), (ApplicationState::Pending, None));
    for again in [ada, token] {
        assert_eq!(refused(say_yes(&place, id, again, 2, None)).0, Code::AlreadyExists, "twice is not two");
    }
    assert!(registry::find(&place.view(), &server("north")).unwrap().is_none());
    let (application, registration) = say_yes(&place, id, bea, 2, Some(issued("n-1", &place))).unwrap();
    assert_eq!(registration.unwrap().info.server_id, server("north"));
    let reasons: Vec<_> = application.approvals.iter().filter_map(|a| a.reason.as_deref()).collect();
    assert_eq!(reasons, ["ada has called them", "bea has called them"]);
    let id = apply(&place, info("south")).unwrap().id;
    say_yes(&place, id, ada, 2, None).unwrap();
    assert_eq!(reject(&place, id, "no").unwrap().state, ApplicationState::Rejected);
}

#[test]
fn a_change_is_kept_with_what_was_there_before() {
    let place = platform();
    registered(&place, "north");
    let changes = Changes { server_name: Some("Nord".into()), ..Changes::default() };
    let asked = Update { server_id: None, changes };
    let applied =
        place.write(|tx, scene| registry::apply_update(tx, scene, &server("north"), asked, TICKET, vec![])).unwrap();
    let registry::Asked::Update { before, .. } = applied.asked else { panic!("an update") };
    assert_eq!(*before.unwrap(), info("north"));
}

#[test]
fn every_change_that_others_must_hear_of_has_a_greater_serial_and_none_is_missed() {
    let place = platform();
    let since = |serial: u64, limit: usize| {
        let (found, upto) = registry::since(&place.view(), serial, limit).unwrap();
        (found.into_iter().map(|i| i.server_id.to_string()).collect::<Vec<_>>(), upto)
    };
    assert_eq!(since(0, 10), (vec![], 0));
    for id in ["north", "south", "west"] {
        registered(&place, id);
    }
    let latest = registry::latest(&place.view()).unwrap();
    assert_eq!(since(0, 10), (["north", "south", "west"].map(str::to_owned).to_vec(), latest));
    let (first, upto) = since(0, 2);
    assert_eq!((first.len(), since(upto, 2)), (2, (vec!["west".to_owned()], latest)), "page by page");
    assert_eq!(since(latest, 10), (vec![], latest));
    set(&place, "north", Change::Suspend).unwrap();
    let (found, upto) = since(latest, 10);
    assert!(found == ["north"] && upto > latest);
    let again = issued("s-2", &place);
    place.write(|tx, scene| registry::renew(tx, scene, &server("south"), again, vec![])).unwrap();
    assert_eq!(registry::latest(&place.view()).unwrap(), upto, "a renewal is nobody else's business");
    let touched = place.write(|tx, scene| Ok::<_, Error>(registry::touch(tx, scene.now_ms)?)).unwrap();
    assert_eq!(since(upto, 10), (vec![], touched));
    // Whoever heard of all has what the digest says.
    let (all, _) = registry::since(&place.view(), 0, 10).unwrap();
    let mut digest = [0; 32];
    all.iter().for_each(|info| registry::mix(&mut digest, registry::hash(info)));
    assert_eq!(registry::digest(&place.view()).unwrap(), digest);
}

#[test]
fn an_end_of_the_platforms_own_is_told_again_when_half_of_the_time_left_has_passed() {
    let place = platform();
    let day = 24 * 3_600_000;
    let begin = place.now.load(Ordering::Relaxed);
    let look = |days: u64, end_days: u64| {
        place.now.store(begin + days * day, Ordering::Relaxed);
        let not_after_ms = begin + end_days * day;
        let ending = Ending { event: Event::IssuerExpiring, not_after_ms, remedy: "bring the root back".into() };
        place.write(move |tx, scene| Ok(notice::queue_ending(tx, scene, &ending, 100)?)).unwrap()
    };
    let told: Vec<u64> = (0..100).filter(|days| look(*days, 80)).collect();
    assert_eq!(told, [0, 40, 60, 70, 75, 78, 79], "down to a day");
    assert!(look(100, 120) && !look(101, 120), "another certificate is another matter");
    let (_, first) = place.store.read(notice::first).unwrap().unwrap();
    assert_eq!(
        (first.event, first.server, first.remedy.as_deref()),
        (Event::IssuerExpiring, None, Some("bring the root back"))
    );
}

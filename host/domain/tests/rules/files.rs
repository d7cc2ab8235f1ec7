//! Files of messages: uploads, who may see and pull them, what waits for them, and their collection.

use isthmus_domain::held::Hold;
use isthmus_domain::media::pull::{self, Waiter};
use isthmus_domain::media::sight::{self, Viewer};
use isthmus_domain::media::{self, Bounds, Found, Kind, Media, MediaKey, NewMedia, OPEN_MAX, Report, format};
use isthmus_domain::message::{Accepted, Disposition, Incoming, Received};
use isthmus_domain::outbox::{self, Load};
use isthmus_domain::{Digest, Done, Error, Event, Refusal, TimeId, held, peer};
use isthmus_store::blob::BlobId;
use isthmus_wire::message::FileContent;
use isthmus_wire::{ChatScene, Code, Content, MediaId, MessageType, ServerInfo};

use crate::place::{Place, info, refused, server, user};

const MIB: u64 = 1 << 20;
const MD5: &str = "9e107d9d372bb6826bd81d3542a419d6";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

fn new(kind: Kind, name: &str) -> NewMedia {
    NewMedia { kind, name: name.into(), size: 100, md5: Some(MD5.to_uppercase()) }
}

fn found(number: u8, beginning: &[u8]) -> Found {
    Found { blob: BlobId([number; 32]), size: 100, md5: MD5.into(), media_type: format::media_type(beginning) }
}

fn begin(place: &Place, owner: &str, new: NewMedia) -> Result<(MediaKey, MediaId), Error> {
    let owner = user(owner);
    let bounds = Bounds { file: MIB, user: u64::MAX };
    place.write(move |tx, scene| media::begin(tx, scene, &owner, new, bounds)).map(|begun| (begun.key, begun.media_id))
}

fn complete(place: &Place, key: MediaKey, found: Found) -> Result<Media, Error> {
    place.write(move |tx, scene| media::complete(tx, scene, &key, &found))
}

/// A ready upload.
fn upload(place: &Place, owner: &str, kind: Kind, name: &str, found: Found) -> (MediaKey, MediaId) {
    let (key, id) = begin(place, owner, new(kind, name)).unwrap();
    complete(place, key, found).unwrap();
    (key, id)
}

/// A ready picture.
pub(crate) fn picture(place: &Place, owner: &str) -> (MediaKey, MediaId) {
    upload(place, owner, Kind::Image, "a.png", found(1, PNG))
}

fn offer(place: &Place, from: &str, kind: MessageType, id: &MediaId) -> Result<media::Offer, Error> {
    media::offer(&place.view(), &place.home, &user(from), kind, id, Some(3))
}

fn send(place: &Place, from: &str, client: &str, to: &str, id: &MediaId) -> Result<Accepted, Error> {
    let offer = offer(place, from, MessageType::Image, id)?;
    let mut submission = place.submission(from, client, to, "");
    submission.digest = Digest::of(&place.view(), ChatScene::User, &submission.recv_id, &offer.content);
    (submission.content, submission.media) = (offer.content, Some(offer.key));
    place.accept(submission)
}

fn sees(place: &Place, who: &str, id: &MediaId) -> bool {
    media::sight::find(&place.view(), &place.home, &user(who), id, None).is_ok()
}

fn pulls(place: &Place, who: &str, id: &MediaId) -> Result<MediaKey, Error> {
    sight::pullable(&place.view(), &server(who), id).map(|(key, _)| key)
}

fn sent_id(accepted: &Accepted) -> MediaId {
    let Event::Sent { message, .. } = &accepted.deliveries[0].entry.event else { panic!() };
    message.info().unwrap().content.file().unwrap().media_id.clone()
}

#[test]
fn an_upload_is_announced_written_and_checked_at_its_end() {
    let place = Place::north();
    let (key, id) = begin(&place, "alice@north", new(Kind::Image, "a.png")).unwrap();
    assert!(id.as_str().len() >= 34, "128 bits and more");
    assert_eq!(media::uploading(&place.view(), &user("alice@north"), &id).unwrap().0, key);
    assert_eq!(refused(media::uploading(&place.view(), &user("bob@north"), &id)).0, Code::NotFound);
    let short = Found { size: 99, ..found(1, PNG) };
    assert_eq!(refused(complete(&place, key, short)).0, Code::ContentMismatch);
    let other = Found { md5: "0".repeat(32), ..found(1, PNG) };
    assert_eq!(refused(complete(&place, key, other)).0, Code::ContentMismatch);
    assert_eq!(refused(complete(&place, key, found(1, b"BM a bitmap"))).0, Code::TypeNotAllowed);
    assert!(!sees(&place, "alice@north", &id), "nothing of it counts before");
    assert_eq!(complete(&place, key, found(1, PNG)).unwrap().media_type, "image/png");
    assert!(sees(&place, "alice@north", &id) && !sees(&place, "bob@north", &id));
}

#[test]
fn what_is_announced_must_make_sense() {
    let place = Place::north();
    let check = |new: NewMedia, code: Code, field: &str| {
        assert_eq!(refused(begin(&place, "alice@north", new)), (code, Some(field.to_owned())));
    };
    check(new(Kind::File, " "), Code::MissingField, "name");
    check(new(Kind::File, "a\nb"), Code::InvalidField, "name");
    check(new(Kind::File, &"x".repeat(2000)), Code::InvalidField, "name");
    check(NewMedia { size: MIB + 1, ..new(Kind::File, "a") }, Code::InvalidField, "size");
    check(NewMedia { md5: Some("0".repeat(31)), ..new(Kind::File, "a") }, Code::InvalidField, "md5");
    assert_eq!(refused(begin(&place, "nobody@north", new(Kind::File, "a"))).0, Code::NoIdentity);
    begin(&place, "alice@north", new(Kind::File, "../../etc/passwd")).unwrap();
}

#[test]
fn what_a_user_has_uploaded_is_bounded_and_what_is_gone_counts_no_more() {
    let place = Place::north();
    let begin = |owner: &str, size: u64, user_bytes: u64| {
        let (owner, new) = (user(owner), NewMedia { size, md5: None, ..new(Kind::File, "a.txt") });
        let bounds = Bounds { file: MIB, user: user_bytes };
        place.write(move |tx, scene| media::begin(tx, scene, &owner, new, bounds))
    };
    let used = |owner: &str| media::used(&place.view(), &user(owner)).unwrap();
    let first = begin("alice@north", 100, 250).unwrap();
    complete(&place, first.key, found(1, b"text")).unwrap();
    let second = begin("alice@north", 150, 250).unwrap();
    assert_eq!(used("alice@north"), 250, "what is under way counts");
    let (code, field, words) = match begin("alice@north", 1, 250) {
        Err(Error::Refused(refusal)) => (refusal.code, refusal.field, refusal.message),
        other => panic!("{other:?}"),
    };
    assert_eq!((code, field.as_deref()), (Code::WrongState, Some("size")));
    assert!(words.contains("250 of 250 bytes") && words.contains("media.user_quota_mib"), "the remedy: {words}");
    begin("alice@north", 0, 250).unwrap();
    begin("bob@north", 250, 250).unwrap();
    place.write(move |tx, _| media::abandon(tx, &second.key).map_err(Error::from)).unwrap();
    assert_eq!(used("alice@north"), 100);
    // bob is sent the file and passes it on: its bytes are there already.
    send(&place, "alice@north", "c1", "bob@north", &picture(&place, "alice@north").1).unwrap();
    let before = (used("alice@north"), used("bob@north"));
    let id = sent_id(&send(&place, "alice@north", "c2", "bob@north", &picture(&place, "alice@north").1).unwrap());
    send(&place, "bob@north", "c3", "alice@north", &id).unwrap();
    assert_eq!((used("alice@north"), used("bob@north")), (before.0 + 100, before.1));
    // What nothing refers to is collected.
    place.write(|tx, _| media::sweep::sweep(tx, u64::MAX, None, 100).map(|_| ())).unwrap();
    assert_eq!((used("alice@north"), used("bob@north")), (200, 0), "the two pictures that were sent");
}

#[test]
fn a_user_has_a_bounded_number_of_open_uploads() {
    let place = Place::north();
    let begun: Vec<_> =
        (0..OPEN_MAX).map(|_| begin(&place, "alice@north", new(Kind::Image, "a.png")).unwrap().0).collect();
    assert_eq!(refused(begin(&place, "alice@north", new(Kind::File, "a"))).0, Code::TooManyRequests);
    begin(&place, "bob@north", new(Kind::File, "a")).unwrap();
    complete(&place, begun[0], found(1, PNG)).unwrap();
    let second = begun[1];
    place.write(move |tx, _| Ok(media::abandon(tx, &second)?)).unwrap();
    begin(&place, "alice@north", new(Kind::File, "a")).unwrap();
    begin(&place, "alice@north", new(Kind::File, "a")).unwrap();
    assert!(begin(&place, "alice@north", new(Kind::File, "a")).is_err());
}

#[test]
fn r9_a_file_is_what_its_first_bytes_say() {
    let place = Place::north();
    let cases: [(&[u8], &str); 8] = [
        (b"\xFF\xD8\xFF\xE0", "image/jpeg"),
        (PNG, "image/png"),
        (b"GIF87a..", "image/gif"),
        (b"#!AMR\n<", "audio/amr"),
        (b"\0\0\0\x18ftypisom", "video/mp4"),
        (b"\0\0\0\x18ftypheic", format::ANY),
        (b"%PDF-1.7", format::ANY),
        (b"", format::ANY),
    ];
    for (beginning, expected) in cases {
        assert_eq!(format::media_type(beginning), expected);
        for (kind, name) in [(Kind::Image, "x"), (Kind::Portrait, "x"), (Kind::Voice, "x"), (Kind::File, "x.MP4")] {
            let (key, _) = begin(&place, "alice@north", new(kind, name)).unwrap();
            let wanted = match kind {
                Kind::Image | Kind::Portrait | Kind::Icon => "image/",
                Kind::Voice => "audio/",
                Kind::File => "video/",
            };
            let fits = expected.starts_with(wanted);
            assert_eq!(complete(&place, key, found(1, beginning)).is_ok(), fits, "{expected} as {kind:?}");
            place.write(move |tx, _| Ok(media::abandon(tx, &key)?)).unwrap();
        }
        upload(&place, "bob@north", Kind::File, "anything.bin", found(1, beginning));
    }
}

#[test]
fn a_message_carries_a_ready_upload_of_the_right_format() {
    let place = Place::north();
    let (_, image) = picture(&place, "alice@north");
    let (_, file) = upload(&place, "alice@north", Kind::File, "a.pdf", found(2, b"%PDF-1.7"));
    let (_, voice) = upload(&place, "alice@north", Kind::Voice, "a.amr", found(3, b"#!AMR\n"));
    let (_, open) = begin(&place, "alice@north", new(Kind::Image, "b.png")).unwrap();
    let content = offer(&place, "alice@north", MessageType::Image, &image).unwrap().content;
    let expected =
        FileContent { size: 100, name: "a.png".into(), media_id: image.clone(), md5: MD5.into(), duration: None };
    assert_eq!(content, Content::Image(expected));
    offer(&place, "alice@north", MessageType::File, &image).unwrap();
    let voiced = offer(&place, "alice@north", MessageType::Voice, &voice).unwrap().content;
    assert_eq!(voiced.file().unwrap().duration, Some(3));
    let without = media::offer(&place.view(), &place.home, &user("alice@north"), MessageType::Voice, &voice, None);
    assert_eq!(refused(without), (Code::MissingField, Some("duration".into())));
    for (kind, id) in [(MessageType::Image, &file), (MessageType::Voice, &image), (MessageType::Voice, &file)] {
        assert_eq!(refused(offer(&place, "alice@north", kind, id)).0, Code::TypeNotAllowed);
    }
    for id in [&open, &MediaId::parse("nothing").unwrap()] {
        assert_eq!(refused(offer(&place, "alice@north", MessageType::Image, id)).0, Code::NotFound);
    }
    assert_eq!(refused(offer(&place, "bob@north", MessageType::Image, &image)).0, Code::NotFound, "not bob's");
}

#[test]
fn only_who_was_sent_a_file_sees_it_and_only_that_server_pulls_it() {
    let place = Place::north();
    place.create("eve");
    let (_, id) = picture(&place, "alice@north");
    assert_eq!(refused(pulls(&place, "south", &id)).0, Code::MayNotActFor, "not sent yet");
    send(&place, "alice@north", "c1", "bob@north", &id).unwrap();
    assert!(sees(&place, "bob@north", &id) && !sees(&place, "eve@north", &id));
    assert_eq!(refused(pulls(&place, "south", &id)).0, Code::MayNotActFor, "only sent within north");
    send(&place, "alice@north", "c2", "carol@south", &id).unwrap();
    pulls(&place, "south", &id).unwrap();
    pulls(&place, "SOUTH", &id).unwrap();
    for other in ["east", "gone", "north"] {
        assert_eq!(refused(pulls(&place, other, &id)), (Code::MayNotActFor, Some("mediaID".into())), "{other}");
    }
    assert_eq!(refused(pulls(&place, "south", &MediaId::parse("m-guess").unwrap())).0, Code::NotFound);
}

#[test]
fn who_passes_a_file_on_sends_it_under_an_id_of_their_own() {
    let place = Place::north();
    let (_, id) = picture(&place, "alice@north");
    send(&place, "alice@north", "c1", "bob@north", &id).unwrap();
    let passed = send(&place, "bob@north", "c1", "carol@south", &id).unwrap();
    let again = sent_id(&passed);
    assert_ne!(again, id);
    assert!(sees(&place, "bob@north", &again) && !sees(&place, "alice@north", &again));
    pulls(&place, "south", &again).unwrap();
    assert_eq!(refused(pulls(&place, "south", &id)).0, Code::MayNotActFor);
}

#[test]
fn recall_takes_back_what_the_message_alone_allowed() {
    let place = Place::north();
    let (key, id) = picture(&place, "alice@north");
    let first = send(&place, "alice@north", "c1", "bob@north", &id).unwrap();
    let second = send(&place, "alice@north", "c2", "bob@north", &id).unwrap();
    let away = send(&place, "alice@north", "c3", "carol@south", &id).unwrap();
    let recall = |accepted: &Accepted| {
        let Event::Sent { message, .. } = accepted.deliveries[0].entry.event.clone() else { panic!() };
        place
            .write(move |tx, scene| Ok(sight::recalled(tx, scene.home, &message.info().unwrap(), &message.id)?))
            .unwrap();
    };
    recall(&first);
    assert!(sees(&place, "bob@north", &id), "the second message still shows it");
    recall(&second);
    assert!(!sees(&place, "bob@north", &id) && sees(&place, "alice@north", &id), "its owner keeps it");
    pulls(&place, "south", &id).unwrap();
    recall(&away);
    assert_eq!(refused(pulls(&place, "south", &id)).0, Code::MayNotActFor);
    assert_eq!(key, media::key_of(&place.view(), None, &id));
}

#[test]
fn a_held_message_shows_its_file_to_nobody_until_it_is_released() {
    let place = Place::north();
    let (_, id) = picture(&place, "alice@north");
    let offer = offer(&place, "alice@north", MessageType::Image, &id).unwrap();
    for (client, to) in [("c1", "bob@north"), ("c2", "carol@south")] {
        let mut submission = place.submission("alice@north", client, to, "");
        (submission.content, submission.media) = (offer.content.clone(), Some(offer.key));
        submission.disposition = Disposition::Hold(hold());
        let record = submission.id;
        place.accept(submission).unwrap();
        assert!(!sees(&place, "bob@north", &id) || client == "c2");
        assert!(pulls(&place, "south", &id).is_err());
        place.write(move |tx, scene| held::release(tx, scene, &record, scene.now_ms + 5, vec![])).unwrap();
    }
    assert!(sees(&place, "bob@north", &id));
    pulls(&place, "south", &id).unwrap();
}

fn hold() -> Hold {
    Hold { code: "odd".into(), text: "to be looked at".into(), plugin: "p".into() }
}

fn incoming(place: &Place, from: &str, message: &str, media: &str, name: &str) -> Incoming {
    let peer = from.rsplit('@').next().unwrap();
    let mut incoming = place.incoming(peer, from, "bob@north", message, "");
    incoming.info.content = Content::Image(FileContent {
        size: 100,
        name: name.into(),
        media_id: MediaId::parse(media).unwrap(),
        md5: MD5.into(),
        duration: None,
    });
    incoming.digest = Digest::of_message(&place.view(), &incoming.info);
    incoming
}

/// Receives a picture from carol; its record and its media key.
fn arrive(place: &Place, message: &str, media: &str) -> (TimeId, MediaKey) {
    let incoming = incoming(place, "carol@south", message, media, "a.png");
    let record = incoming.id;
    let Received::Kept(done) = place.receive(incoming).unwrap() else { panic!() };
    assert_eq!(done, Done::default(), "kept, and not shown");
    (record, media::key_of(&place.view(), Some(&server("south")), &MediaId::parse(media).unwrap()))
}

fn fetched(place: &Place, key: MediaKey, found: Found) -> Result<Media, Error> {
    place.write(move |tx, scene| pull::fetched(tx, scene, &key, &found))
}

fn hand_over(place: &Place, key: MediaKey, record: TimeId, how: Disposition) -> Result<Done, Error> {
    place.write(move |tx, scene| pull::hand_over(tx, scene, &key, &record, how, b"file".to_vec()))
}

fn give_up(place: &Place, key: MediaKey, record: TimeId) -> Done {
    let why = Refusal::new(Code::ContentMismatch, "md5 differs");
    place.write(move |tx, scene| pull::give_up(tx, scene, &key, &record, &why, b"file".to_vec())).unwrap()
}

fn due(place: &Place) -> Vec<MediaKey> {
    pull::next(&place.view(), 100).unwrap().into_iter().map(|(_, key)| key).collect()
}

#[test]
fn a_message_that_names_a_file_is_kept_at_once_and_shown_when_the_file_is_here() {
    let place = Place::north();
    let (record, key) = arrive(&place, "m1", "pic");
    assert_eq!((place.inbox("bob@north").len(), due(&place)), (0, vec![key]));
    assert_eq!(pull::waiters(&place.view(), &key, 9).unwrap(), [Waiter { record, judged: false }]);
    assert!(matches!(
        place.receive(incoming(&place, "carol@south", "m1", "pic", "a.png")).unwrap(),
        Received::Duplicate
    ));
    assert!(!sees(&place, "bob@north", &MediaId::parse("pic").unwrap()));
    fetched(&place, key, found(1, PNG)).unwrap();
    assert!(!sees(&place, "bob@north", &MediaId::parse("pic").unwrap()), "here, but not shown yet");
    let done = hand_over(&place, key, record, Disposition::Deliver).unwrap();
    assert_eq!(place.inbox("bob@north"), [done.deliveries[0].entry.clone()]);
    assert!(matches!(&done.deliveries[0].entry.event, Event::Message(message) if message.id == record));
    assert!(sees(&place, "bob@north", &MediaId::parse("pic").unwrap()));
    assert!(!sees(&place, "alice@north", &MediaId::parse("pic").unwrap()));
    assert_eq!(hand_over(&place, key, record, Disposition::Deliver).unwrap(), Done::default(), "once");
    assert!(due(&place).is_empty() && pull::find(&place.view(), &key).unwrap().is_none());
}

#[test]
fn servers_that_choose_the_same_media_id_do_not_get_in_each_others_way() {
    let place = Place::north();
    place
        .write(|tx, scene| {
            peer::put(tx, &info("west"), scene.now_ms);
            Ok(())
        })
        .unwrap();
    let (south, ours) = arrive(&place, "m1", "pic");
    let other = incoming(&place, "wei@west", "m1", "pic", "a.png");
    let west = other.id;
    place.receive(other).unwrap();
    let theirs = media::key_of(&place.view(), Some(&server("west")), &MediaId::parse("pic").unwrap());
    assert_ne!(ours, theirs);
    for (key, record, number) in [(ours, south, 1), (theirs, west, 2)] {
        fetched(&place, key, found(number, PNG)).unwrap();
        hand_over(&place, key, record, Disposition::Deliver).unwrap();
    }
    let pic = MediaId::parse("pic").unwrap();
    for (from, number) in [("carol@south", 1), ("wei@west", 2)] {
        let (_, media) = sight::find(&place.view(), &place.home, &user("bob@north"), &pic, Some(&user(from))).unwrap();
        assert_eq!(media.blob, Some(BlobId([number; 32])), "{from}");
    }
}

#[test]
fn several_messages_wait_for_one_file_and_each_is_checked_against_it() {
    let place = Place::north();
    let (first, key) = arrive(&place, "m1", "pic");
    let (second, again) = arrive(&place, "m2", "pic");
    assert_eq!(key, again);
    let mut lying = incoming(&place, "carol@south", "m3", "pic", "a.png");
    let Content::Image(file) = &mut lying.info.content else { panic!() };
    file.size = 101;
    let third = lying.id;
    place.receive(lying).unwrap();
    let mut voice = incoming(&place, "carol@south", "m4", "pic", "a.png");
    let Content::Image(file) = voice.info.content.clone() else { panic!() };
    voice.info.content = Content::Voice(FileContent { duration: Some(1), ..file });
    let fourth = voice.id;
    place.receive(voice).unwrap();
    fetched(&place, key, found(1, PNG)).unwrap();
    for record in [first, second] {
        hand_over(&place, key, record, Disposition::Deliver).unwrap();
    }
    assert_eq!(refused(hand_over(&place, key, third, Disposition::Deliver)).0, Code::ContentMismatch);
    assert_eq!(refused(hand_over(&place, key, fourth, Disposition::Deliver)).0, Code::TypeNotAllowed);
    assert_eq!(pull::waiters(&place.view(), &key, 9).unwrap().len(), 2, "they wait until they are given up");
    give_up(&place, key, third);
    give_up(&place, key, fourth);
    assert!(due(&place).is_empty());
    assert!(sees(&place, "bob@north", &MediaId::parse("pic").unwrap()), "the others keep it");
}

#[test]
fn a_file_that_is_not_what_was_announced_is_not_taken() {
    let place = Place::north();
    let (_, key) = arrive(&place, "m1", "pic");
    for wrong in [Found { size: 99, ..found(1, PNG) }, Found { md5: "0".repeat(32), ..found(1, PNG) }] {
        assert_eq!(refused(fetched(&place, key, wrong)).0, Code::ContentMismatch);
    }
    assert_eq!(due(&place), [key]);
}

#[test]
fn a_file_that_cannot_be_had_is_told_to_both_users() {
    let place = Place::north();
    let (record, key) = arrive(&place, "m1", "pic");
    let done = give_up(&place, key, record);
    let Event::News(news) = &done.deliveries[0].entry.event else { panic!() };
    assert_eq!(news.kind, "file.failed");
    let said = |name: &str| news.body[name].clone();
    assert_eq!((said("messageID"), said("sendID"), said("code")), ("m1".into(), "carol@south".into(), 1401.into()));
    assert_eq!(place.story("bob@north"), ["news file.failed"]);
    let Load::Errand(errand) = &done.letters[0].load else { panic!() };
    assert_eq!((&*errand.call, &*errand.path), ("file.report", "/isthmus/v1/file/report"));
    assert!(due(&place).is_empty() && media::get(&place.view(), &key).unwrap().is_none());
    assert_eq!(give_up(&place, key, record), Done::default(), "once");
    let (next, _) = arrive(&place, "m2", "pic");
    assert_eq!(pull::waiters(&place.view(), &key, 9).unwrap(), [Waiter { record: next, judged: false }], "begins anew");
}

#[test]
fn only_a_server_of_our_make_gets_a_report() {
    let place = Place::north();
    let other = ServerInfo { server_type: Some("other".into()), ..info("south") };
    place
        .write(move |tx, scene| {
            peer::put(tx, &other, scene.now_ms);
            Ok(())
        })
        .unwrap();
    let (record, key) = arrive(&place, "m1", "pic");
    assert!(give_up(&place, key, record).letters.is_empty());
    assert!(outbox::heads(&place.view()).unwrap().is_empty());
}

#[test]
fn a_report_is_taken_from_the_server_that_was_sent_the_file_and_only_once() {
    let place = Place::north();
    let (_, id) = picture(&place, "alice@north");
    let accepted = send(&place, "alice@north", "c1", "carol@south", &id).unwrap();
    let report = |from: &str| {
        let report = Report {
            message_id: accepted.message_id.clone(),
            user_id: user("carol@south"),
            code: 1102,
            msg: "not here".into(),
        };
        let from = server(from);
        place.write(move |tx, scene| media::reported(tx, scene, &from, &report, b"report".to_vec()))
    };
    assert_eq!(refused(report("east")).0, Code::MayNotActFor);
    let done = report("south").unwrap();
    let Event::News(news) = &done.deliveries[0].entry.event else { panic!() };
    assert_eq!((news.kind.as_str(), &news.body["code"]), ("file.failed", &1102.into()));
    assert_eq!(done.deliveries[0].user, user("alice@north"));
    assert_eq!(refused(report("south")).0, Code::MayNotActFor, "it needs the file no more");
    assert!(pulls(&place, "south", &id).is_err());
}

#[test]
fn content_policy_may_hold_a_file_and_an_administrator_releases_it_unjudged() {
    let place = Place::north();
    let (record, key) = arrive(&place, "m1", "pic");
    fetched(&place, key, found(1, PNG)).unwrap();
    hand_over(&place, key, record, Disposition::Hold(hold())).unwrap();
    assert!(place.inbox("bob@north").is_empty() && due(&place).is_empty());
    place.write(move |tx, scene| held::release(tx, scene, &record, scene.now_ms + 5, vec![])).unwrap();
    assert_eq!(pull::waiters(&place.view(), &key, 9).unwrap(), [Waiter { record, judged: true }]);
    hand_over(&place, key, record, Disposition::Deliver).unwrap();
    assert_eq!(place.inbox("bob@north").len(), 1);
}

#[test]
fn the_next_attempt_of_a_pull_is_kept() {
    let place = Place::north();
    let (_, key) = arrive(&place, "m1", "pic");
    place.write(move |tx, _| Ok(pull::defer(tx, &key, 5_000_000_000_000, true)?)).unwrap();
    let kept = pull::find(&place.view(), &key).unwrap().unwrap();
    assert_eq!((kept.tries, kept.next_ms), (1, 5_000_000_000_000));
    assert_eq!(pull::next(&place.view(), 9).unwrap(), [(5_000_000_000_000, key)]);
    arrive(&place, "m2", "pic");
    assert_eq!(pull::next(&place.view(), 9).unwrap(), [(5_000_000_000_000, key)], "one message more changes nothing");
}

fn sweep(place: &Place, age_ms: u64) -> media::sweep::Swept {
    place.write(move |tx, scene| media::sweep::sweep(tx, scene.now_ms + 1 - age_ms, None, 100)).unwrap()
}

fn later(place: &Place, ms: u64) {
    place.now.fetch_add(ms, std::sync::atomic::Ordering::Relaxed);
}

#[test]
fn what_nobody_ended_or_used_is_collected_after_its_time() {
    let place = Place::north();
    let (open, _) = begin(&place, "alice@north", new(Kind::File, "open")).unwrap();
    let (_, unused) = upload(&place, "alice@north", Kind::Image, "a.png", found(1, PNG));
    let (_, used) = upload(&place, "alice@north", Kind::Image, "b.png", found(2, PNG));
    let (going_on, _) = begin(&place, "alice@north", new(Kind::File, "slow")).unwrap();
    let accepted = send(&place, "alice@north", "c1", "bob@north", &used).unwrap();
    let (_, shared) = upload(&place, "bob@north", Kind::Image, "b.png", found(2, PNG));
    let (waiting, _) = arrive(&place, "m1", "pic");
    assert_eq!(sweep(&place, 1000), media::sweep::Swept::default(), "too young");
    later(&place, 1001);
    place.write(move |tx, scene| Ok(media::touch(tx, scene, &going_on)?)).unwrap();
    let swept = sweep(&place, 1000);
    assert_eq!((swept.drafts, swept.blobs), (vec![open.draft()], vec![BlobId([1; 32])]), "bob's copy is alice's blob");
    assert!(!sees(&place, "alice@north", &unused) && !sees(&place, "bob@north", &shared));
    assert!(sees(&place, "bob@north", &used));
    assert_eq!(due(&place).len(), 1, "{waiting} still waits");
    let Event::Sent { message, .. } = accepted.deliveries[0].entry.event.clone() else { panic!() };
    place.write(move |tx, scene| Ok(sight::recalled(tx, scene.home, &message.info().unwrap(), &message.id)?)).unwrap();
    assert_eq!(sweep(&place, 1000).blobs, [BlobId([2; 32])], "the last reference is gone");
    assert!(!media::is_used(&place.view(), &BlobId([2; 32])).unwrap());
    begin(&place, "alice@north", new(Kind::File, "x")).unwrap();
}

#[test]
fn a_portrait_is_for_everybody_as_long_as_it_is_in_its_place() {
    let place = Place::north();
    let (_, first) = picture(&place, "alice@north");
    let (_, second) = picture(&place, "alice@north");
    let (_, file) = upload(&place, "alice@north", Kind::File, "a.pdf", found(2, b"%PDF-1.7"));
    let publish = |who: &str, id: Option<&MediaId>| {
        let (who, id) = (user(who), id.cloned());
        place.write(move |tx, _| sight::publish(tx, &who, "portrait of alice", id.as_ref()))
    };
    publish("alice@north", Some(&first)).unwrap();
    assert!(sees(&place, "bob@north", &first));
    pulls(&place, "south", &first).unwrap();
    publish("alice@north", Some(&second)).unwrap();
    assert!(!sees(&place, "bob@north", &first) && sees(&place, "bob@north", &second));
    assert_eq!(refused(publish("bob@north", Some(&second))).0, Code::NotFound, "not bob's");
    assert_eq!(refused(publish("alice@north", Some(&file))).0, Code::TypeNotAllowed);
    assert!(sees(&place, "bob@north", &second), "a refused change changes nothing");
    publish("alice@north", None).unwrap();
    assert!(!sees(&place, "bob@north", &second) && pulls(&place, "south", &second).is_err());
}

#[test]
fn a_group_shows_a_file_to_its_members_only() {
    let place = Place::north();
    let (key, id) = picture(&place, "alice@north");
    let accepted = send(&place, "alice@north", "c1", "carol@south", &id).unwrap();
    let Event::Sent { message, .. } = accepted.deliveries[0].entry.event.clone() else { panic!() };
    let group = isthmus_wire::GroupId::parse("g-1@north").unwrap();
    place
        .write(move |tx, scene| {
            let (info, viewer) = (message.info().unwrap(), Viewer::Group(&group));
            Ok(sight::show_message(tx, scene.home, &info, &message.id, &viewer)?)
        })
        .unwrap();
    assert!(!sees(&place, "bob@north", &id), "bob is in no such group");
    assert!(media::get(&place.view(), &key).unwrap().is_some());
}

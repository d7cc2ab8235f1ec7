//! A server's store with users and a clock that stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use isthmus_domain::inbox::{self, Entry, Event};
use isthmus_domain::message::{self, Accepted, Disposition, Incoming, Received, Submission};
use isthmus_domain::{Digest, Error, Scene, TimeId, account, outbox, peer};
use isthmus_store::{Options, Store, Tx, View};
use isthmus_wire::{ChatScene, Code, Content, MessageId, MessageInfo, ServerId, ServerInfo, ServerStatus, UserId};

pub(crate) struct Place {
    pub(crate) store: Store,
    pub(crate) home: ServerId,
    pub(crate) now: Arc<AtomicU64>,
    noise: Arc<AtomicU64>,
    _dirs: (tempfile::TempDir, tempfile::TempDir),
}

pub(crate) fn server(id: &str) -> ServerId {
    ServerId::parse(id).unwrap()
}

pub(crate) fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

pub(crate) fn text(words: &str) -> Content {
    Content::Text { message: words.to_owned() }
}

pub(crate) fn info(id: &str) -> ServerInfo {
    ServerInfo {
        server_id: server(id),
        server_name: format!("Server {id}"),
        server_address: format!("https://{id}.example:8443"),
        server_status: ServerStatus::Normal,
        contact_name: "Li Si".into(),
        contact_email: "li@example.cn".into(),
        contact_mobile: "+86 138-0013-8000".into(),
        server_type: Some("isthmus".into()),
        area: None,
    }
}

/// The code and field of a refusal.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> (Code, Option<String>) {
    match result {
        Err(Error::Refused(refusal)) => (refusal.code, refusal.field),
        other => panic!("not refused: {other:?}"),
    }
}

impl Place {
    /// An empty store.
    pub(crate) fn empty(home: &str) -> Place {
        let dirs = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let options = Options::new(dirs.0.path(), dirs.1.path().join("keys"), home, "test/isthmus");
        let (now, noise) = (Arc::new(AtomicU64::new(1_700_000_000_000)), Arc::new(AtomicU64::new(0)));
        Place { store: Store::open(&options).unwrap(), home: server(home), now, noise, _dirs: dirs }
    }

    /// `north` with alice and bob, knowing `south` (normal), `east` (suspended), `gone` (deregistered), and that `nowhere`
    /// is not registered.
    pub(crate) fn north() -> Place {
        let place = Place::empty("north");
        place.create("alice");
        place.create("bob");
        let write = place.write(|tx, scene| {
            peer::put(tx, &info("south"), scene.now_ms);
            peer::put(tx, &ServerInfo { server_status: ServerStatus::Suspended, ..info("east") }, scene.now_ms);
            peer::put(tx, &ServerInfo { server_status: ServerStatus::Deregistered, ..info("gone") }, scene.now_ms);
            peer::put_absent(tx, &server("nowhere"), scene.now_ms);
            Ok(())
        });
        write.unwrap();
        place
    }

    pub(crate) fn create(&self, local: &str) -> UserId {
        let new = account::NewUser {
            local: local.into(),
            name: local.to_uppercase(),
            password_hash: None,
            phone_number: None,
        };
        self.write(|tx, scene| account::create_user(tx, scene, new)).unwrap().id
    }

    pub(crate) fn write<T: Send + 'static>(
        &self,
        rule: impl FnOnce(&mut Tx<'_>, &mut Scene<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (home, now_ms, noise) = (self.home.clone(), self.now.load(Ordering::Relaxed), Arc::clone(&self.noise));
        let rule = move |tx: &mut Tx<'_>| {
            let mut random = |out: &mut [u8]| {
                let number = noise.fetch_add(1, Ordering::Relaxed);
                let mut stream = noise_of(number);
                out.fill_with(&mut stream);
            };
            rule(tx, &mut Scene { now_ms, random: &mut random, home: &home })
        };
        Ok(self.store.write_blocking(rule)?)
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, ms: u64) {
        self.now.fetch_add(ms, Ordering::Relaxed);
    }

    pub(crate) fn view(&self) -> View {
        self.store.view().unwrap()
    }

    /// How many audit records there are.
    pub(crate) fn audited(&self) -> usize {
        self.store.audit_records(0, 10_000).unwrap().len()
    }

    pub(crate) fn mint(&self) -> TimeId {
        self.write(|_, scene| Ok(scene.mint())).unwrap()
    }

    pub(crate) fn submission(&self, from: &str, client: &str, to: &str, words: &str) -> Submission {
        let (recv_id, content) = (user(to), text(words));
        Submission {
            id: self.mint(),
            sender: user(from),
            client_msg_id: client.into(),
            chat_scene: ChatScene::User,
            digest: Digest::of(&self.view(), ChatScene::User, &recv_id, &content),
            recv_id,
            content,
            media: None,
            expires_ms: self.now.load(Ordering::Relaxed) + 1000,
            disposition: Disposition::Deliver,
            audit: b"accept".to_vec(),
        }
    }

    pub(crate) fn accept(&self, submission: Submission) -> Result<Accepted, Error> {
        self.write(|tx, scene| message::accept(tx, scene, submission))
    }

    pub(crate) fn send(&self, from: &str, client: &str, to: &str, words: &str) -> Result<Accepted, Error> {
        self.accept(self.submission(from, client, to, words))
    }

    pub(crate) fn incoming(&self, peer: &str, from: &str, to: &str, id: &str, words: &str) -> Incoming {
        let info = MessageInfo {
            send_id: user(from),
            recv_id: user(to),
            chat_scene: ChatScene::User,
            message_id: MessageId::parse(id).unwrap(),
            content: text(words),
        };
        let digest = Digest::of_message(&self.view(), &info);
        Incoming {
            id: self.mint(),
            peer: server(peer),
            info,
            digest,
            expires_ms: self.now.load(Ordering::Relaxed) + 1000,
            disposition: Disposition::Deliver,
            recall_within_ms: 1000,
            audit: b"receive".to_vec(),
        }
    }

    pub(crate) fn receive(&self, incoming: Incoming) -> Result<Received, Error> {
        self.write(|tx, scene| message::receive(tx, scene, incoming))
    }

    pub(crate) fn get(&self, peer: &str, from: &str, to: &str, id: &str, words: &str) -> Result<Received, Error> {
        self.receive(self.incoming(peer, from, to, id, words))
    }

    pub(crate) fn inbox(&self, user_id: &str) -> Vec<Entry> {
        inbox::read(&self.view(), &user(user_id), 0, 10_000).unwrap()
    }

    /// The inbox in short words.
    pub(crate) fn story(&self, user_id: &str) -> Vec<String> {
        self.inbox(user_id).iter().map(|entry| words(&entry.event)).collect()
    }

    /// peer and text of each lane's letters, in order.
    pub(crate) fn letters(&self) -> Vec<(String, String)> {
        let view = self.view();
        let mut found = Vec::new();
        for head in outbox::heads(&view).unwrap() {
            for letter in outbox::of_lane(&view, &head.id.lane, 0, 1000).unwrap() {
                let info = letter.message(&view).unwrap().unwrap().info().unwrap();
                found.push((letter.id.lane.peer.to_string(), info.content.text().unwrap().to_owned()));
            }
        }
        found
    }
}

pub(crate) fn words(event: &Event) -> String {
    if let Event::Message(message) | Event::Sent { message, .. } = event
        && message.recalled
    {
        return "recalled".into();
    }
    let said = |m: &isthmus_domain::Stored| m.info().unwrap().content.text().unwrap().to_owned();
    match event {
        Event::Message(message) => format!("got {}", said(message)),
        Event::Sent { message, state } => format!("sent {} {}", said(message), state.as_str()),
        Event::Receipt { state, .. } => format!("receipt {}", state.as_str()),
        Event::News(news) => format!("news {}", news.kind),
        Event::Gone => "gone".into(),
    }
}

/// Bytes that differ from call to call.
fn noise_of(seed: u64) -> impl FnMut() -> u8 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    }
}

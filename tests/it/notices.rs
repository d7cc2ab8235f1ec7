//! Notices of the platform: what happens to applications and servers is told to the operator's receiver, signed, in order, once.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::{HeaderMap, Request};
use hyper::body::Incoming;
use isthmus_net::http::read_body;
use isthmus_net::{Ca, ClientAuth, Connections, Credentials, Limits, Listener, ServerTls, Transport, serve};
use isthmus_tests::peer::json_answer;
use isthmus_tests::world::{Plan, free_port};
use isthmus_tests::{Role, World, until};
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};

const SECRET: &str = "thirty-two random characters, or more";

/// What came: headers and body, as they were.
type Heard = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// The operator's program. It answers with the statuses it was given, then with 200.
struct Receiver {
    heard: Heard,
    stop: oneshot::Sender<()>,
    running: tokio::task::JoinHandle<()>,
}

impl Receiver {
    async fn start(at: SocketAddr, ca: &Ca, answers: &[u16]) -> Receiver {
        let listener = Listener::bind(at, "the receiver").await.unwrap();
        let own = ca.issue_listener(&["127.0.0.1".to_owned()], SystemTime::now(), 2).unwrap();
        let credentials = Credentials::from_pem(&own.issued.chain_pem, &own.key_pem).unwrap();
        let tls = ServerTls { credentials, client_auth: ClientAuth::None, tls12: false };
        let (keep, settings) = watch::channel(tls.build().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let (heard, answers) = (Heard::default(), Arc::new(Mutex::new(answers.to_vec())));
        let of = heard.clone();
        let running = tokio::spawn(async move {
            let service = move |request: Request<Incoming>, _| {
                let (heard, answers) = (of.clone(), answers.clone());
                async move {
                    let (head, body) = request.into_parts();
                    let body = read_body(body, 1 << 20, Duration::from_secs(10)).await.unwrap();
                    heard.lock().unwrap().push((head.headers, body));
                    let mut answers = answers.lock().unwrap();
                    let status = if answers.is_empty() { 200 } else { answers.remove(0) };
                    json_answer(status, json!({}).to_string())
                }
            };
            let stopped = async {
                let _ = stopped.await;
            };
            let limits = Limits { grace: Duration::from_millis(200), ..Limits::default() };
            serve(listener, Transport::Tls(settings), limits, Connections::new(), service, stopped).await;
            drop(keep);
        });
        Receiver { heard, stop, running }
    }

    fn heard(&self) -> Vec<(HeaderMap, Bytes)> {
        self.heard.lock().unwrap().clone()
    }

    /// What came with its signature checked, each once: event and body.
    fn told(&self) -> Vec<(String, Value)> {
        let mut told: Vec<(String, Value)> = Vec::new();
        for (headers, body) in self.heard() {
            verify(&headers, &body);
            let notice: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(notice["id"], headers["isthmus-notice"].to_str().unwrap());
            if told.iter().all(|(_, known)| known["id"] != notice["id"]) {
                told.push((notice["event"].as_str().unwrap().to_owned(), notice));
            }
        }
        told
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        self.running.await.unwrap();
    }
}

/// As docs/platform.md tells receivers to.
fn verify(headers: &HeaderMap, body: &Bytes) {
    let signature = headers["isthmus-signature"].to_str().unwrap();
    let (time, mac) = signature.split_once(",v1=").unwrap();
    let mut signed = time.strip_prefix("t=").unwrap().as_bytes().to_vec();
    signed.push(b'.');
    signed.extend_from_slice(body);
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::verify(&key, &signed, &hex::decode(mac).unwrap()).unwrap();
    let other = hmac::Key::new(hmac::HMAC_SHA256, b"another secret");
    assert!(hmac::verify(&other, &signed, &hex::decode(mac).unwrap()).is_err());
}

fn waiting(status: &Value) -> u64 {
    status["notices"]["waiting"].as_u64().unwrap()
}

async fn status(world: &World) -> Value {
    world.platform_admin(Role::System).get("/admin/v1/status").await.unwrap()
}

/// Who wants to be told: where, by whose word it is them, and a world whose platform knows that.
struct Operator {
    ca: Ca,
    at: SocketAddr,
    plan: Plan,
    _scratch: tempfile::TempDir,
}

impl Operator {
    fn new() -> Operator {
        let scratch = tempfile::tempdir().unwrap();
        let ca = Ca::in_memory("operator.example", SystemTime::now()).unwrap();
        let roots = scratch.path().join("operator.pem");
        std::fs::write(&roots, ca.roots_pem()).unwrap();
        let plan = World::plan()
            .platform("webhook.secret", SECRET)
            .platform("webhook.ca", roots.display())
            .platform("webhook.backoff_min_ms", 20)
            .platform("webhook.backoff_max_ms", 100);
        let at = format!("127.0.0.1:{}", free_port()).parse().unwrap();
        Operator { ca, at, plan, _scratch: scratch }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_while_the_receiver_is_down_is_told_when_it_is_up_in_order_once_and_signed() {
    let Operator { ca, at, plan, _scratch } = Operator::new();
    let plan = plan
        .platform("webhook.url", format!("https://{at}/notices?from=platform"))
        .platform("webhook.allow_private_addresses", true)
        // Every certificate is about to expire then.
        .platform("webhook.expiry_hours", 24 * 8);
    let mut world = plan.start().await;
    let west = world.enrolled_peer("west").await;
    world.change_standing("west", "suspend").await;
    until("the failure is told", async || {
        let status = status(&world).await;
        (waiting(&status) >= 3 && status["notices"]["failure"].is_string()).then_some(())
    })
    .await;
    // What waits outlives a restart.
    world.stop_platform().await;
    world.start_platform().await;
    assert!(waiting(&status(&world).await) >= 3);

    let receiver = Receiver::start(at, &ca, &[500, 302, 503]).await;
    world.change_standing("west", "resume").await;
    let (_, applied) = world.apply("east", "https://127.0.0.1:9").await;
    let reject = format!("/admin/v1/applications/{}/reject", applied["applicationId"].as_str().unwrap());
    let why = json!({"reason": "nobody answers the telephone"});
    world.platform_admin(Role::System).post(&reject, &why).await.unwrap();
    let all = ["application.received", "application.approved", "server.suspended", "server.resumed"];
    let all = [all.as_slice(), &["application.received", "application.rejected"]].concat();
    let told = until("all is told", async || {
        let told = receiver.told();
        let without = told.iter().filter(|(event, _)| event != "certificate.expiring").count();
        (without >= all.len() && waiting(&status(&world).await) == 0).then_some(told)
    })
    .await;
    let told: Vec<_> = told.into_iter().filter(|(event, _)| event != "certificate.expiring").collect();
    assert_eq!(told.iter().map(|(event, _)| event.as_str()).collect::<Vec<_>>(), all);
    assert!(receiver.heard().len() >= told.len() + 3, "what was not taken came again");
    let (_, first) = &told[0];
    assert_eq!((&first["server"]["serverId"], &first["platform"]), (&json!("west"), &json!("im.example")), "{first}");
    assert_eq!(first["server"]["contactEmail"], "ada@example.org", "{first}");
    assert_eq!(told[2].1["reason"], "a test");
    assert_eq!((&told[5].1["reason"], &told[5].1["application"]["kind"]), (&why["reason"], &json!("register")));
    assert_eq!(status(&world).await["notices"], json!({"waiting": 0}));

    // The look at the start finds west's certificate, if it was not suspended then: once a certificate, whatever the number of starts.
    world.stop_platform().await;
    world.start_platform().await;
    until("the certificate's end is told", async || {
        receiver
            .told()
            .iter()
            .any(|(event, notice)| event == "certificate.expiring" && notice["notAfterMs"].is_u64())
            .then_some(())
    })
    .await;
    drop(west);
    receiver.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_is_not_sent_into_a_private_network_nor_kept_for_ever_nor_in_any_number() {
    let Operator { ca, at, plan, _scratch } = Operator::new();
    let receiver = Receiver::start(at, &ca, &[]).await;
    let plan = plan
        .platform("webhook.url", format!("https://localhost:{}/", at.port()))
        .platform("webhook.queue", 2)
        .platform("webhook.expire_s", 2);
    let world = plan.start().await;
    world.enrolled_peer("west").await;
    let recorded = async |operation: &str| {
        let path = format!("/admin/v1/audit?operation={operation}");
        let found = world.platform_admin(Role::Audit).get(&path).await.unwrap();
        !found["records"].as_array().unwrap().is_empty()
    };
    until("more come than there is room for, and none may leave", async || {
        for change in ["suspend", "resume"] {
            world.change_standing("west", change).await;
        }
        let status = status(&world).await;
        assert!(waiting(&status) <= 2, "{status}");
        let refused = status["notices"]["failure"].as_str().is_some_and(|words| words.contains("private network"));
        (refused && recorded("notice.dropped").await).then_some(())
    })
    .await;
    until("they are given up", async || (waiting(&status(&world).await) == 0).then_some(())).await;
    assert!(recorded("notice.expired").await);
    assert!(receiver.heard().is_empty());
    receiver.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_platforms_own_issuer_is_told_in_time_and_the_remedy_helps() {
    let Operator { ca, at, plan, _scratch } = Operator::new();
    let plan = plan.platform("webhook.url", format!("https://{at}/")).platform("webhook.allow_private_addresses", true);
    let mut world = plan.start().await;
    assert!(status(&world).await["expiring"].is_null(), "a fresh issuer has years");
    // An authority of three years ago, but for ten days, whose root is kept elsewhere.
    world.stop_platform().await;
    let folder = world.ca_folder();
    std::fs::remove_dir_all(&folder).unwrap();
    let then = SystemTime::now() - Duration::from_secs((1096 - 10) * 86_400);
    Ca::open_platform(&folder, "im.example", None, then).unwrap();
    let root = Ca::export_root(&folder).unwrap();
    Ca::remove_root_key(&folder).unwrap();
    world.start_platform().await;
    let receiver = Receiver::start(at, &ca, &[503]).await;
    let (event, notice) = until("it is told", async || receiver.told().pop()).await;
    assert_eq!((event.as_str(), &notice["platform"]), ("issuer.expiring", &json!("im.example")));
    let shown = status(&world).await;
    let ending = &shown["expiring"][0];
    assert_eq!((&ending["event"], &ending["notAfterMs"]), (&notice["event"], &shown["ca"]["issuerNotAfterMs"]));
    assert_eq!((&ending["notAfterMs"], &ending["remedy"]), (&notice["notAfterMs"], &notice["remedy"]), "{notice}");
    assert!(
        notice["server"].is_null() && ending["remedy"].as_str().unwrap().contains("platform ca import"),
        "{notice}"
    );
    let left = notice["notAfterMs"].as_u64().unwrap() - notice["atMs"].as_u64().unwrap();
    assert_eq!(left.div_ceil(86_400_000), 10);
    until("it is taken", async || (waiting(&status(&world).await) == 0).then_some(())).await;
    // The next start does not tell it again.
    world.stop_platform().await;
    world.start_platform().await;
    Ca::import_root(&folder, "im.example", &root).unwrap();
    until("the issuer is signed anew", async || status(&world).await["expiring"].is_null().then_some(())).await;
    assert_eq!((receiver.told().len(), waiting(&status(&world).await)), (1, 0));
    receiver.stop().await;
    world.finish().await;
}

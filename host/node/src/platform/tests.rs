#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by panicking")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use isthmus_net::csr::new_key_and_csr;
use isthmus_net::{ClientTls, Credentials, PeerAddress, PeerClient, PeerLimits, Trust};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Platform, Running};
use crate::admin_token::{Role, read_plain};
use crate::client::{Api, ClientError};
use crate::config::{PlatformConfig, Sources};

const REGISTER: &str = "/sns/managernode/register";
const APPLICATION: &str = "/sns/managernode/application";
const NODES: &str = "/sns/managernode/nodes";

struct Ground {
    dir: tempfile::TempDir,
    running: Running,
}

fn config(dir: &Path) -> PlatformConfig {
    let sources = Sources::default()
        .set("domain", "im.example")
        .set("data_dir", dir.join("data").display())
        .set("listen.api", "127.0.0.1:0")
        .set("listen.admin", "127.0.0.1:0")
        .set("registry.allow_private_addresses", true)
        .set("registry.max_pending", 3);
    PlatformConfig::load(&sources).unwrap()
}

impl Ground {
    async fn new() -> Ground {
        let dir = tempfile::tempdir().unwrap();
        let running = Platform::start(config(dir.path())).await.unwrap();
        Ground { dir, running }
    }

    fn admin(&self, role: Role) -> Api {
        let token = read_plain(&self.dir.path().join("data/admin-tokens.json"), role).unwrap();
        Api::new(&self.running.admin_url(), self.running.ca_pem()).unwrap().with_token(&token)
    }

    /// A caller with or without a certificate.
    fn caller(&self, credentials: Option<Credentials>) -> Caller {
        let roots = std::fs::read_to_string(self.running.ca_pem()).unwrap();
        let trust = Trust::from_pem(&roots).unwrap().with_domain("im.example");
        let (keep, tls) = watch::channel(ClientTls::new(&trust, credentials, false).unwrap());
        let client = PeerClient::new(tls, PeerLimits::default());
        Caller { client, to: PeerAddress::platform(&self.running.api_url()).unwrap(), _keep: keep }
    }

    /// Applies, is approved, and calls with its certificate from then on.
    async fn enrolled(&self, id: &str) -> Caller {
        let (key, csr) = new_key_and_csr(id).unwrap();
        let anonymous = self.caller(None);
        let (_, applied) = anonymous.post(REGISTER, &registration(id, &csr)).await;
        let path = format!("/admin/v1/applications/{}/approve", applied["applicationId"].as_str().unwrap());
        self.admin(Role::System).post(&path, &json!({})).await.unwrap();
        let (_, answer) = anonymous.post(APPLICATION, &applied).await;
        self.caller(Some(Credentials::from_pem(answer["certificate"].as_str().unwrap(), &key).unwrap()))
    }

    async fn audit_is_whole(self) {
        let data = self.dir.path().join("data");
        self.running.stop().await;
        let report = isthmus_store::audit::verify(&data.join("audit"), Some(&self.dir.path().join("data.keyring")));
        let report = report.unwrap();
        assert!(report.problems.is_empty(), "{:?}", report.problems);
    }
}

struct Caller {
    client: PeerClient,
    to: PeerAddress,
    _keep: watch::Sender<Arc<ClientTls>>,
}

impl Caller {
    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let body = Bytes::from(body.to_string());
        let answer = self.client.send(&self.to, Method::POST, path, body, HeaderMap::new()).await.unwrap();
        (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap())
    }
}

fn registration(id: &str, csr: &str) -> Value {
    json!({"ownerId": "owner-1", "csr": csr, "serverInfo": {
        "serverId": id, "serverName": format!("Server {id}"), "serverAddress": "https://127.0.0.1:7443",
        "serverStatus": "2", "contactName": "Ada", "contactEmail": "ada@example.org", "contactMobile": "008613800000000",
        "area": "CN-BJ"}})
}

fn refused(result: Result<Value, ClientError>) -> (u16, i64) {
    match result {
        Err(ClientError::Refused { status, code, .. }) => (status, code),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_server_applies_is_approved_and_asks_for_addresses_with_its_certificate() {
    let ground = Ground::new().await;
    let (key, csr) = new_key_and_csr("north").unwrap();
    let anonymous = ground.caller(None);
    let (status, applied) = anonymous.post(REGISTER, &registration("north", &csr)).await;
    assert_eq!((status, &applied["code"]), (200, &json!(0)), "{applied}");
    assert_eq!(anonymous.post(APPLICATION, &applied).await.1["state"], "pending");

    let system = ground.admin(Role::System);
    let pending = system.get("/admin/v1/applications?state=pending").await.unwrap();
    assert_eq!(pending["applications"][0]["serverInfo"]["serverId"], "north");
    let id = applied["applicationId"].as_str().unwrap();
    assert_eq!(pending["applications"][0]["applicationId"], id);
    let approve = format!("/admin/v1/applications/{id}/approve");
    assert_eq!(system.post(&approve, &json!({})).await.unwrap()["serverId"], "north");
    assert_eq!(refused(system.post(&approve, &json!({})).await), (200, 1201), "a decision is final");

    let (_, answer) = anonymous.post(APPLICATION, &applied).await;
    assert_eq!(answer["state"], "approved");
    let credentials = Credentials::from_pem(answer["certificate"].as_str().unwrap(), &key).unwrap();
    assert_eq!(credentials.facts().unwrap().domain, "im.example");
    let north = ground.caller(Some(credentials));
    let (_, found) = north.post(NODES, &json!({"ownerID": "NORTH"})).await;
    assert_eq!(found["code"], 0, "{found}");
    assert_eq!(found["serverInfos"][0]["serverStatus"], "0", "an applicant's own status is not believed");
    let servers = system.get("/admin/v1/servers").await.unwrap();
    assert_eq!(servers["servers"][0]["ownerId"], "owner-1");
    ground.audit_is_whole().await;
}

#[tokio::test]
async fn addresses_are_told_to_registered_servers_in_their_own_name_only() {
    let ground = Ground::new().await;
    let (status, answer) = ground.caller(None).post(NODES, &json!({"ownerID": "north"})).await;
    assert_eq!((status, &answer["code"]), (401, &json!(1101)));
    let north = ground.enrolled("north").await;
    let (status, answer) = north.post(NODES, &json!({"ownerID": "south"})).await;
    assert_eq!((status, &answer["code"]), (200, &json!(1104)), "R12");
    let (_, answer) = north.post(NODES, &json!({"ownerID": "north", "nodeIDs": ["nobody"]})).await;
    assert_eq!((&answer["code"], &answer["serverInfos"]), (&json!(0), &json!([])));
    let audit = ground.admin(Role::Audit);
    let found = audit.get("/admin/v1/audit?operation=address.query&user=north&outcome=denied").await.unwrap();
    assert_eq!(
        (&found["records"][0]["code"], &found["records"][0]["peer"]),
        (&json!(1104), &json!("north")),
        "{found}"
    );
    assert_eq!(refused(ground.admin(Role::System).get("/admin/v1/audit").await), (403, 1101), "roles are kept apart");
    ground.audit_is_whole().await;
}

#[tokio::test]
async fn a_rejected_applicant_is_told_why_and_an_id_is_taken_once() {
    let ground = Ground::new().await;
    let (_, csr) = new_key_and_csr("north").unwrap();
    let anonymous = ground.caller(None);
    let (_, applied) = anonymous.post(REGISTER, &registration("north", &csr)).await;
    let (_, again) = anonymous.post(REGISTER, &registration("North", &csr)).await;
    assert_eq!(again["code"], 1201, "IDs that differ only in case are one ID");
    let id = applied["applicationId"].as_str().unwrap();
    let reject = format!("/admin/v1/applications/{id}/reject");
    let system = ground.admin(Role::System);
    assert_eq!(refused(system.post(&reject, &json!({})).await), (200, 1002), "a reason is owed");
    system.post(&reject, &json!({"reason": "the contact does not answer"})).await.unwrap();
    let (_, answer) = anonymous.post(APPLICATION, &applied).await;
    assert_eq!((&answer["state"], &answer["reason"]), (&json!("rejected"), &json!("the contact does not answer")));
    let (_, wrong) = anonymous.post(APPLICATION, &json!({"applicationId": id, "ticket": "isk_guess"})).await;
    assert_eq!(wrong["code"], 1004, "the ticket is the applicant's only proof");
    ground.audit_is_whole().await;
}

#[tokio::test]
async fn what_could_not_be_certified_or_waits_in_too_great_number_is_refused_at_once() {
    let ground = Ground::new().await;
    let anonymous = ground.caller(None);
    let (_, csr) = new_key_and_csr("x").unwrap();
    let cases = [
        ("csr", registration("a", "no PEM"), 1003),
        (
            "serverAddress",
            {
                let mut body = registration("a", &csr);
                body["serverInfo"]["serverAddress"] = json!("https://platform.im.example");
                body
            },
            1003,
        ),
        (
            "contactEmail",
            {
                let mut body = registration("a", &csr);
                body["serverInfo"]["contactEmail"] = json!("nobody");
                body
            },
            1003,
        ),
    ];
    for (field, body, code) in cases {
        let (_, answer) = anonymous.post(REGISTER, &body).await;
        assert_eq!(answer["code"], code, "{answer}");
        assert!(answer["msg"].as_str().unwrap().contains(field), "{answer}");
    }
    for id in ["a", "b", "c"] {
        assert_eq!(anonymous.post(REGISTER, &registration(id, &csr)).await.1["code"], 0);
    }
    let (status, answer) = anonymous.post(REGISTER, &registration("d", &csr)).await;
    assert_eq!((status, &answer["code"]), (503, &json!(1302)));
    ground.audit_is_whole().await;
}

#[tokio::test]
async fn each_administrator_may_do_only_what_the_role_allows() {
    let ground = Ground::new().await;
    let approve = "/admin/v1/applications/00000000-0000-0000-0000-000000000000/approve";
    assert_eq!(refused(ground.admin(Role::System).post(approve, &json!({})).await), (200, 1004));
    for role in [Role::Security, Role::Audit] {
        assert_eq!(refused(ground.admin(role).post(approve, &json!({})).await), (403, 1101));
        ground.admin(role).get("/admin/v1/servers").await.unwrap();
    }
    let nobody = Api::new(&ground.running.admin_url(), ground.running.ca_pem()).unwrap();
    assert_eq!(refused(nobody.get("/admin/v1/servers").await), (401, 1101));
    nobody.get("/healthz").await.unwrap();
    nobody.get("/readyz").await.unwrap();
    assert_eq!(refused(nobody.get("/admin/v2").await), (404, 1004));
    let (status, answer) = nobody.call(Method::DELETE, "/admin/v1/servers", None).await.unwrap();
    assert_eq!((status, answer["msg"].as_str().unwrap()), (405, "this path takes GET"));
    ground.audit_is_whole().await;
}

#[tokio::test]
async fn a_suspended_server_is_refused_at_once_and_a_deregistered_one_for_good() {
    let ground = Ground::new().await;
    let north = ground.enrolled("north").await;
    let south = ground.enrolled("south").await;
    let system = ground.admin(Role::System);
    let ask = json!({"ownerID": "north"});
    system.post("/admin/v1/servers/north/suspend", &json!({"reason": "spam"})).await.unwrap();
    let (status, answer) = north.post(NODES, &ask).await;
    assert_eq!((status, &answer["code"]), (403, &json!(1101)), "{answer}");
    let (_, seen) = south.post(NODES, &json!({"ownerID": "south", "nodeIDs": ["north"]})).await;
    assert_eq!(seen["serverInfos"][0]["serverStatus"], "1", "others learn of it");
    system.post("/admin/v1/servers/north/resume", &json!({})).await.unwrap();
    assert_eq!(north.post(NODES, &ask).await.1["code"], 0);
    let certificates = async || system.get("/admin/v1/certificates").await.unwrap()["certificates"].clone();
    let before = certificates().await;
    assert!(before.as_array().unwrap().iter().all(|one| one["revokedMs"].is_null()), "{before}");
    system.post("/admin/v1/servers/north/deregister", &json!({"reason": "gone"})).await.unwrap();
    let after = certificates().await;
    let revoked = |server: &str| {
        let found = after.as_array().unwrap().iter().find(|one| one["serverId"] == server).unwrap();
        found["revokedMs"].is_u64()
    };
    assert!(revoked("north") && !revoked("south"), "{after}");
    let body = Bytes::from(ask.to_string());
    let revoked = north.client.send(&north.to, Method::POST, NODES, body, HeaderMap::new()).await;
    assert!(revoked.is_err() || revoked.is_ok_and(|a| a.status == 403), "the certificate is revoked");
    let (_, csr) = new_key_and_csr("north").unwrap();
    let (_, again) = ground.caller(None).post(REGISTER, &registration("north", &csr)).await;
    assert_eq!(again["code"], 1201, "a used ID is never used again");
    ground.audit_is_whole().await;
}

#[tokio::test]
async fn a_server_changes_its_data_renews_its_certificate_and_leaves_by_application() {
    let ground = Ground::new().await;
    let north = ground.enrolled("north").await;
    let system = ground.admin(Role::System);
    let update = json!({"serverInfo": {"serverName": "Nord"}, "fields": ["serverName"]});
    let (_, applied) = north.post("/sns/managernode/update", &update).await;
    let approve =
        |applied: &Value| format!("/admin/v1/applications/{}/approve", applied["applicationId"].as_str().unwrap());
    system.post(&approve(&applied), &json!({})).await.unwrap();
    let servers = system.get("/admin/v1/servers").await.unwrap();
    assert_eq!(servers["servers"][0]["serverName"], "Nord");

    let (key, csr) = new_key_and_csr("north").unwrap();
    let (_, renewed) = north.post("/sns/managernode/renew", &json!({"csr": csr})).await;
    let fresh = ground.caller(Some(Credentials::from_pem(renewed["certificate"].as_str().unwrap(), &key).unwrap()));
    assert_eq!(fresh.post(NODES, &json!({"ownerID": "north"})).await.1["code"], 0);

    let (_, applied) = fresh.post("/sns/managernode/deregister", &json!({"reason": "moving on"})).await;
    system.post(&approve(&applied), &json!({})).await.unwrap();
    let servers = system.get("/admin/v1/servers").await.unwrap();
    assert_eq!(servers["servers"][0]["serverStatus"], "2");
    ground.audit_is_whole().await;
}

#[tokio::test]
async fn a_platform_remembers_everything_over_a_restart_and_a_taken_port_is_named() {
    let ground = Ground::new().await;
    let north = ground.enrolled("north").await;
    drop(north);
    let root = std::fs::read_to_string(ground.running.ca_pem()).unwrap();
    let Ground { dir, running } = ground;
    let taken = running.admin();
    let mut second = config(dir.path());
    second.data_dir = dir.path().join("other");
    second.keyring = dir.path().join("other.keyring");
    second.ca.dir = dir.path().join("other.ca");
    second.admin_tokens = dir.path().join("other-tokens.json");
    second.listen.admin = taken;
    let error = Platform::start(second).await.err().unwrap().to_string();
    assert!(error.contains(&taken.port().to_string()) && error.contains("listen.admin"), "{error}");
    let locked = Platform::start(config(dir.path())).await.err().unwrap().to_string();
    assert!(locked.contains("in use by another process"), "{locked}");
    running.stop().await;

    let running = Platform::start(config(dir.path())).await.unwrap();
    let ground = Ground { dir, running };
    assert_eq!(std::fs::read_to_string(ground.running.ca_pem()).unwrap(), root);
    let servers = ground.admin(Role::Audit).get("/admin/v1/servers").await.unwrap();
    assert_eq!(servers["servers"][0]["serverId"], "north");
    let metrics = ground.admin(Role::Audit).fetch(Method::GET, "/metrics", None).await.unwrap();
    assert_eq!(metrics.0, 200);
    ground.audit_is_whole().await;
}

#[tokio::test]
async fn two_reviewers_say_why_and_see_what_changes_and_certificates_are_for_whom_the_application_names() {
    let dir = tempfile::tempdir().unwrap();
    let mut two = config(dir.path());
    two.registry.reviewers = 2;
    let running = Platform::start(two).await.unwrap();
    let ground = Ground { dir, running };
    // The request names another server: of it only the key is taken.
    let (key, csr) = new_key_and_csr("south").unwrap();
    let anonymous = ground.caller(None);
    let (_, applied) = anonymous.post(REGISTER, &registration("north", &csr)).await;
    assert_eq!(anonymous.post(REGISTER, &registration("north", &csr)).await.1["code"], 1201, "a replay");
    let approve = format!("/admin/v1/applications/{}/approve", applied["applicationId"].as_str().unwrap());
    let (system, security) = (ground.admin(Role::System), ground.admin(Role::Security));
    let first = system.post(&approve, &json!({"reason": "their office answers"})).await.unwrap();
    assert_eq!(first["state"], "pending");
    assert_eq!(refused(system.post(&approve, &json!({})).await), (200, 1201), "twice is not two");
    assert_eq!(security.post(&approve, &json!({"reason": "so does mine"})).await.unwrap()["state"], "approved");
    let (_, answer) = anonymous.post(APPLICATION, &applied).await;
    let credentials = Credentials::from_pem(answer["certificate"].as_str().unwrap(), &key).unwrap();
    assert_eq!(credentials.facts().unwrap().identity.to_string(), "server north");
    let north = ground.caller(Some(credentials));
    let update = json!({"serverInfo": {"serverName": "Nord"}, "fields": ["serverName"]});
    north.post("/sns/managernode/update", &update).await;
    let pending = system.get("/admin/v1/applications?state=pending").await.unwrap();
    let changes = &pending["applications"][0]["changes"];
    assert_eq!(*changes, json!([{"field": "serverName", "old": "Server north", "new": "Nord"}]));
    // An approved server renews as itself, whatever its request says.
    let (key, csr) = new_key_and_csr("south").unwrap();
    let (_, renewed) = north.post("/sns/managernode/renew", &json!({"csr": csr})).await;
    let renewed = Credentials::from_pem(renewed["certificate"].as_str().unwrap(), &key).unwrap();
    assert_eq!(renewed.facts().unwrap().identity.to_string(), "server north");
    for id in ["../north", "a'; DROP TABLE servers;--", "a/b", "%2e%2e"] {
        assert_eq!(anonymous.post(REGISTER, &registration(id, &csr)).await.1["code"], 1003, "{id}");
    }
    let enormous = "x".repeat(70_000);
    let (_, answer) = anonymous.post(REGISTER, &registration("west", &enormous)).await;
    assert_eq!(answer["code"], 1003, "{answer}");
    ground.audit_is_whole().await;
}

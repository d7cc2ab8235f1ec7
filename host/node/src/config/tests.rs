#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by panicking")]

use super::{ConfigError, PlatformConfig, ServerConfig, Sources};

fn complete() -> Sources {
    Sources::default()
        .set("data_dir", "/srv/north")
        .set("server.id", "north")
        .set("server.address", "https://north.example:7443/")
        .set("server.contact_name", "Ada")
        .set("server.contact_email", "ada@example.org")
        .set("server.contact_mobile", "008613800000000")
        .set("platform.url", "https://platform.example:6443")
        .set("platform.ca", "/etc/isthmus/ca.pem")
}

fn problem(result: Result<ServerConfig, ConfigError>) -> String {
    result.map(|_| ()).unwrap_err().to_string()
}

fn check(sources: &Sources, parts: &[&str]) {
    let text = problem(ServerConfig::load(sources));
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

fn file(text: &str) -> (tempfile::TempDir, Sources) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server.toml");
    std::fs::write(&path, text).unwrap();
    (dir, Sources { file: Some(path), ..complete() })
}

#[test]
fn the_documented_files_are_the_defaults() {
    let server = ServerConfig::load(&complete()).unwrap();
    assert_eq!(server.delivery.expire_s, 604_800);
    assert_eq!(server.server.name, "north");
    assert_eq!(server.server.address, "https://north.example:7443");
    assert_eq!(server.keyring.to_str(), Some("/srv/north.keyring"));
    let asked = Sources::default().set("domain", "IM.example").set("data_dir", "/srv/platform");
    assert_eq!(PlatformConfig::load(&asked).unwrap().domain, "im.example");
}

#[test]
fn flags_stand_above_the_environment_and_that_above_the_file() {
    let (_dir, mut sources) = file("[store]\nqueue = 1\nmax_batch = 1\ncache_mib = 1\n");
    for (name, value) in [("ISTHMUS_STORE__QUEUE", "2"), ("ISTHMUS_STORE__MAX_BATCH", "2")] {
        sources.environment.push((name.to_owned(), value.to_owned()));
    }
    let store = ServerConfig::load(&sources.set("store.queue", 3)).unwrap().store;
    assert_eq!((store.queue, store.max_batch, store.cache_mib), (3, 2, 1));
}

#[test]
fn an_unknown_key_is_refused_naming_the_nearest_known_one_and_its_file() {
    let (_dir, sources) = file("[stroe]\nqueue = 1\n");
    check(&sources, &["`stroe.queue`", "server.toml", "did you mean `store.queue`?"]);
    let (_dir, sources) = file("[limits]\nfoo = 1\n");
    check(&sources, &["`limits.foo`", "max_body_kib"]);
    let (_dir, sources) = file("data_dri = \"x\"\n");
    check(&sources, &["did you mean `data_dir`?"]);
}

#[test]
fn an_unknown_variable_is_refused_and_one_of_an_orchestrator_left_alone() {
    let variable = |name: &str| {
        let mut sources = complete();
        sources.environment.push((name.to_owned(), "7".to_owned()));
        sources
    };
    check(&variable("ISTHMUS_STORE__QUEU"), &["ISTHMUS_STORE__QUEU", "`store.queue`"]);
    check(&variable("ISTHMUS_DATADIR"), &["did you mean `data_dir`?"]);
    assert!(ServerConfig::load(&variable("ISTHMUS_SERVICE_HOST")).is_ok());
}

#[test]
fn a_wrong_type_names_key_value_source_and_remedy() {
    let (_dir, sources) = file("[store]\nqueue = \"many\"\n");
    check(&sources, &["`store.queue`", "server.toml", "\"many\"", "a whole number", "= 4096"]);
    check(&complete().set("store.queue", "-3"), &["-3", "flag --set store.queue=-3"]);
    check(&complete().set("tls.allow_tls12", "maybe"), &["true or false"]);
    check(&complete().set("log.format", "xml"), &["`log.format`", "xml"]);
    let (_dir, sources) = file("store = 3\n");
    check(&sources, &["`store`", "it is a section", "[store]"]);
}

#[test]
fn all_problems_are_told_at_once() {
    check(
        &Sources::default().set("audit.retention_days", 30).set("listen.client", "8443"),
        &["`server.id`", "`platform.url`", "`data_dir`", "183 or more", "`listen.client`"],
    );
}

#[test]
fn a_mobile_number_keeps_its_zeros_and_a_list_needs_no_brackets() {
    let key = "00".repeat(32);
    let config = ServerConfig::load(&complete().set("policy.trusted_keys", key)).unwrap();
    assert_eq!(config.server.contact_mobile, "008613800000000");
    assert_eq!(config.policy.trusted_keys, [[0; 32]]);
}

#[test]
fn keys_inside_the_data_folder_are_refused() {
    check(&complete().set("keyring", "/srv/north/keys"), &["`keyring`", "outside of data_dir"]);
}

#[test]
fn secrets_lie_beside_the_data_folder_however_that_is_written() {
    let asked = |dir: &str| Sources::default().set("domain", "im.example").set("data_dir", dir);
    for dir in ["/srv/platform", "/srv/platform/", "/srv/./platform//"] {
        let config = PlatformConfig::load(&asked(dir)).unwrap();
        assert_eq!(config.keyring.to_str(), Some("/srv/platform.keyring"), "{dir}");
        assert_eq!(config.ca.dir.to_str(), Some("/srv/platform.ca"), "{dir}");
    }
    assert!(PlatformConfig::load(&asked("/srv/p").set("ca.dir", "/srv/p/ca")).is_err());
    assert!(PlatformConfig::load(&asked(".")).unwrap().data_dir.is_absolute());
}

#[test]
fn relative_paths_count_from_the_folder_of_their_file() {
    let (dir, mut sources) = file("data_dir = \"data\"\n[policy]\ndir = \"policy\"\n");
    sources.flags.retain(|(key, _)| key != "data_dir");
    let config = ServerConfig::load(&sources).unwrap();
    assert_eq!(config.data_dir, dir.path().join("data"));
    assert_eq!(config.policy.dir, Some(dir.path().join("policy")));
}

#[test]
fn a_missing_file_and_broken_toml_say_so() {
    let missing = Sources { file: Some("/nowhere/server.toml".into()), ..complete() };
    check(&missing, &["/nowhere/server.toml", "--config"]);
    let (_dir, sources) = file("[store\n");
    check(&sources, &["server.toml", "not TOML", "line 1"]);
}

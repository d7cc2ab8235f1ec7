//! What a visitor of the demo can open and try.

use std::path::Path;

use serde_json::json;

use super::cast::Cast;
use super::record::{DemoRecord, ServerRecord};
use super::say::Say;

impl Say {
    /// Says that the demo stands, and what to do with it.
    pub(super) fn announce(&mut self, cast: &Cast) {
        let path = cast.folder.record();
        self.event(&json!({"ready": path}));
        self.heading("Ready");
        self.text(&format!("  everything a program needs is in {}", path.display()));
        for line in users(&cast.record) {
            self.text(&line);
        }
        let [north, south] = [&cast.record.servers[0], &cast.record.servers[1]];
        let isthmus = std::env::current_exe().map_or_else(|_| "isthmus".to_owned(), |path| path.display().to_string());
        self.heading("Try");
        for (what, lines) in tips(&isthmus, &path, north, south) {
            self.text(&format!("  {what}"));
            for line in lines {
                self.text(&format!("    {line}"));
            }
        }
        self.heading("Ctrl-C stops everything.");
    }
}

fn users(record: &DemoRecord) -> Vec<String> {
    let row = |server: &ServerRecord| {
        let users = server.users.iter().map(|u| format!("{}  password {}", u.user_id, u.password));
        users.map(|user| format!("  {user}  at {}", server.client)).collect::<Vec<_>>()
    };
    record.servers.iter().flat_map(row).collect()
}

/// Commands that work as they stand, by what they show.
fn tips(isthmus: &str, record: &Path, north: &ServerRecord, south: &ServerRecord) -> Vec<(&'static str, Vec<String>)> {
    let ca = north.ca.display();
    let (alice, carol) = (&north.users[0], &south.users[0]);
    let login = |server: &ServerRecord, user: &super::record::UserRecord, name: &str| {
        format!(
            "{name}=$(curl -s --cacert {ca} {}/client/v1/login -d '{}' | sed 's/.*\"accessToken\":\"\\([^\"]*\\)\".*/\\1/')",
            server.client,
            json!({"userID": user.user_id, "password": user.password})
        )
    };
    let of = |server: &ServerRecord| format!("--config {}", server.data_dir.with_file_name("server.toml").display());
    let message = json!({"clientID": "try-1", "recvID": carol.user_id, "text": "the plan is secret"});
    vec![
        (
            "in a browser, each in a window of its own (the certificates are the demo's: the browser asks once)",
            vec![
                format!("{}   as {}, password {}", north.client, alice.user_id, alice.password),
                format!("{}   as {}, password {}", south.client, carol.user_id, carol.password),
            ],
        ),
        (
            "south's console, as sysadmin, secadmin or auditadmin (the one-time passwords are to be changed at once)",
            vec![south.admin.clone(), format!("cat {}/admin-passwords.json", south.data_dir.display())],
        ),
        (
            "alice writes to carol; north masks a keyword (“forbidden” would be refused; south has “smuggled”, “suspicious”)",
            vec![
                login(north, alice, "ALICE"),
                format!(
                    "curl -sw '\\n' --cacert {ca} {}/client/v1/messages -H \"Authorization: Bearer $ALICE\" -d '{message}'",
                    north.client
                ),
            ],
        ),
        (
            "carol reads it",
            vec![
                login(south, carol, "CAROL"),
                format!(
                    "curl -sw '\\n' --cacert {ca} '{}/client/v1/inbox?after=0' -H \"Authorization: Bearer $CAROL\"",
                    south.client
                ),
            ],
        ),
        (
            "south shuts north out, live, and opens again (its policy folder is watched)",
            vec![
                format!("echo north >> {}/lists/blacklist.txt", south.policy_dir.display()),
                format!("sed -i '/^north$/d' {}/lists/blacklist.txt", south.policy_dir.display()),
            ],
        ),
        (
            "which policy judges, and which did before",
            vec![
                format!("{isthmus} policy show {}", of(south)),
                format!("{isthmus} policy history {}", of(south)),
                format!("{isthmus} policy rollback --why 'to see it' {}", of(south)),
            ],
        ),
        (
            "what was recorded, and whether anybody touched it",
            vec![
                format!("{isthmus} audit search --from 1h {}", of(north)),
                format!("{isthmus} audit verify {}", of(north)),
            ],
        ),
        ("figures", vec![format!("curl -s --cacert {ca} {}/metrics", south.admin)]),
        ("how fast it is", vec![format!("{isthmus} bench --demo {}", record.display())]),
    ]
}

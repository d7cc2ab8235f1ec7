//! One good request of every call, and its mandatory fields: what the table-driven cases change one thing of.

use isthmus_wire::call::CallSpec;
use serde_json::{Value, json};

use super::lab::Lab;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An identifier: 1 to 256 bytes (R11).
    Id,
    /// A line of text.
    Line,
    /// Text that may have several lines.
    Prose,
    /// A whole number; in a query its digits.
    Number,
    /// A structure.
    Object,
    /// A list.
    List,
}

/// A mandatory field: its dotted path and what it holds.
pub(super) type Field = (&'static str, Kind);

/// A good request.
pub(super) struct Sample {
    /// For the path's `{…}`.
    pub(super) param: String,
    /// Body or query.
    pub(super) fields: Value,
    /// Those marked Y.
    pub(super) mandatory: &'static [Field],
}

use Kind::{Id, Line, List, Number, Object, Prose};

const MESSAGE: &[Field] = &[
    ("messageInfo", Object),
    ("messageInfo.sendID", Id),
    ("messageInfo.recvID", Id),
    ("messageInfo.messageType", Line),
    ("messageInfo.version", Line),
    ("messageInfo.chatScene", Line),
    ("messageInfo.messageID", Id),
    ("messageInfo.content", Object),
    ("messageInfo.content.message", Prose),
];
const REGISTER: &[Field] = &[
    ("serverInfo", Object),
    ("serverInfo.serverId", Id),
    ("serverInfo.serverName", Line),
    ("serverInfo.serverAddress", Line),
    ("serverInfo.serverStatus", Number),
    ("serverInfo.contactName", Line),
    ("serverInfo.contactEmail", Line),
    ("serverInfo.contactMobile", Line),
    ("ownerId", Line),
    ("csr", Prose),
];
const INVITE: &[Field] = &[
    ("reqInfo", Object),
    ("reqInfo.groupInfo", Object),
    ("reqInfo.groupInfo.groupID", Id),
    ("reqInfo.groupInfo.groupName", Line),
    ("reqInfo.groupInfo.groupMemberNum", Number),
    ("reqInfo.groupInfo.createUser", Id),
    ("reqInfo.groupInfo.createTime", Line),
    ("reqInfo.userInfo", Object),
    ("reqInfo.userInfo.userID", Id),
    ("reqInfo.userInfo.name", Line),
    ("reqInfo.inviteUsers", List),
];
const NOTICE: &[Field] = &[
    ("groupInfo", Object),
    ("groupInfo.groupID", Id),
    ("groupInfo.groupName", Line),
    ("groupInfo.groupMemberNum", Number),
    ("groupInfo.createUser", Id),
    ("groupInfo.createTime", Line),
    ("operType", Number),
    ("operUser", Object),
    ("operUser.userID", Id),
    ("operUser.name", Line),
];
const ASKING: &[Field] = &[("userID", Id), ("userInfo", Object), ("userInfo.userID", Id), ("userInfo.name", Line)];
const ANSWERING: &[Field] =
    &[("userID", Id), ("isAgree", Number), ("userInfo", Object), ("userInfo.userID", Id), ("userInfo.name", Line)];

/// A request that the target would carry out or refuse for its state alone. None for a call that the kit does not know: its
/// table-driven cases fail then, so that a new call cannot be forgotten.
pub(super) fn of(spec: &CallSpec, lab: &Lab) -> Option<Sample> {
    let own = lab.own_user("walter");
    let own_id = super::lab::text(&own, "userID");
    let group = lab.group.clone().unwrap_or_else(|| format!("{}@{}", lab.fresh("g"), lab.target_id()));
    let plain = |fields: Value, mandatory: &'static [Field]| Some(Sample { param: String::new(), fields, mandatory });
    let with = |param: String, fields: Value, mandatory| Some(Sample { param, fields, mandatory });
    match spec.name {
        "message.send" => plain(text_message(&own_id, lab.user(), &lab.fresh("m"), "hello"), MESSAGE),
        "file.download" => plain(json!({"mediaID": lab.fresh("media")}), &[("mediaID", Id)]),
        "file.report" => plain(
            json!({"messageID": lab.fresh("m"), "userID": own_id, "code": 1401, "msg": "it does not match"}),
            &[("messageID", Id), ("userID", Id), ("code", Number)],
        ),
        "address.query" => plain(json!({"ownerID": lab.peer_id}), &[("ownerID", Id)]),
        "registry.register" => plain(super::cases::registration(lab), REGISTER),
        "registry.application" => plain(
            json!({"applicationId": lab.fresh("a"), "ticket": lab.fresh("t")}),
            &[("applicationId", Line), ("ticket", Line)],
        ),
        "registry.update" => plain(
            json!({"serverInfo": {"serverId": lab.peer_id, "area": "CN"}, "fields": ["area"]}),
            &[("serverInfo", Object), ("fields", List)],
        ),
        "registry.deregister" => plain(json!({"reason": "the kit is done"}), &[("reason", Prose)]),
        "registry.renew" => plain(json!({"csr": "none"}), &[("csr", Prose)]),
        "registry.crl" => plain(json!({}), &[]),
        "user.search" | "group.search" => plain(json!({"query": "a", "page": 0}), &[("query", Line)]),
        "friend.request" => plain(json!({"userID": lab.user(), "remark": "it is me", "userInfo": own}), ASKING),
        "friend.answer" => plain(json!({"userID": lab.user(), "isAgree": 1, "userInfo": own}), ANSWERING),
        "friend.delete" => {
            plain(json!({"userID": lab.user(), "requesterID": own_id}), &[("userID", Id), ("requesterID", Id)])
        }
        "user.details" => plain(json!({"userID": lab.user()}), &[("userID", Id)]),
        "friend.query" => with(lab.user().to_owned(), json!({"selfID": own_id}), &[("selfID", Id)]),
        "group.invite" => {
            let info = group_info(&group, lab.user());
            plain(json!({"reqInfo": {"groupInfo": info, "userInfo": own, "inviteUsers": [own]}}), INVITE)
        }
        "group.answer" => plain(
            json!({"groupID": group, "userID": own_id, "respResult": 1}),
            &[("groupID", Id), ("userID", Id), ("respResult", Number)],
        ),
        "group.remove" => plain(
            json!({"groupID": group, "userID": own_id, "delMembers": [lab.other()]}),
            &[("groupID", Id), ("userID", Id), ("delMembers", List)],
        ),
        "group.leave" => plain(json!({"groupID": group, "userID": own_id}), &[("groupID", Id), ("userID", Id)]),
        "group.history" => plain(
            json!({"groupID": group, "messageID": "-1", "size": 10}),
            &[("groupID", Id), ("messageID", Id), ("size", Number)],
        ),
        "group.update" => {
            let fields = json!({"groupID": group, "ownerID": own_id, "grpset": {"isAllow": 1, "isVisible": 1}});
            with(group, fields, &[("groupID", Id), ("ownerID", Id)])
        }
        "group.info" | "group.members" => plain(json!({"groupID": group}), &[("groupID", Id)]),
        "group.notice" => {
            let info = group_info(&format!("{}@{}", lab.fresh("g"), lab.peer_id), &own_id);
            plain(json!({"groupInfo": info, "operType": 7, "operUser": own}), NOTICE)
        }
        _ => None,
    }
}

/// `{"messageInfo": …}` of a text from one user to another.
pub(super) fn text_message(from: &str, to: &str, id: &str, text: &str) -> Value {
    json!({"messageInfo": {
        "sendID": from, "recvID": to, "messageType": "text", "version": "V1", "chatScene": "user", "messageID": id,
        "content": {"message": text}}})
}

/// A `groupInfo` with all that is mandatory.
pub(super) fn group_info(id: &str, owner: &str) -> Value {
    json!({"groupID": id, "groupName": "Group of the kit", "groupMemberNum": 1, "createUser": owner,
        "createTime": "2026-05-01T12:30:00Z"})
}

/// `a.b.c` as a JSON pointer.
pub(super) fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

/// The same request with one field changed; `None` takes it out.
pub(super) fn changed(fields: &Value, path: &str, to: Option<Value>) -> Value {
    let mut fields = fields.clone();
    let (parent, name) = path.rsplit_once('.').map_or(("", path), |(parent, name)| (parent, name));
    let parent = if parent.is_empty() { Some(&mut fields) } else { fields.pointer_mut(&pointer(parent)) };
    if let Some(Value::Object(members)) = parent {
        match to {
            Some(value) => members.insert(name.to_owned(), value),
            None => members.remove(name),
        };
    }
    fields
}

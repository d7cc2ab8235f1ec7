//! Management (§7.5, R15, R16).

use serde::Serialize;

use crate::id::ServerId;
use crate::json::{Fields, NAME_MAX, REMARK_MAX, Read, ReadError};
use crate::record::ServerInfo;

/// The longest PEM text (a CSR, a chain), in bytes.
pub const PEM_MAX: usize = 64 * 1024;

/// `POST /sns/managernode/nodes` (§7.5.4, R16).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nodes {
    /// Which servers; left out: all.
    #[serde(rename = "nodeIDs", skip_serializing_if = "Option::is_none")]
    pub node_ids: Option<Vec<ServerId>>,
    /// The asking server.
    #[serde(rename = "ownerID")]
    pub owner_id: ServerId,
    /// R16: part of the name.
    #[serde(rename = "serverName", skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// R16: part of the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

impl Read for Nodes {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            node_ids: f.optional_list("nodeIDs", |item| item.id())?,
            owner_id: f.id("ownerID")?,
            server_name: f.optional_text("serverName", NAME_MAX)?.map(str::to_owned),
            domain: f.optional_text("domain", NAME_MAX)?.map(str::to_owned),
        })
    }
}

/// The answer to [`Nodes`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodesAnswer {
    /// The servers that match; read as empty where left out.
    pub server_infos: Vec<ServerInfo>,
}

impl Read for NodesAnswer {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        let server_infos = f.optional_list("serverInfos", |item| item.record())?;
        Ok(Self { server_infos: server_infos.unwrap_or_default() })
    }
}

/// `POST /sns/managernode/register` (§7.5.1, R15).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Register {
    /// What is to be registered. An applicant's `serverStatus` is read and not believed.
    pub server_info: ServerInfo,
    /// The owner.
    pub owner_id: String,
    /// PEM; of it only the public key is used (R13).
    pub csr: String,
}

impl Read for Register {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            server_info: f.record("serverInfo")?,
            owner_id: f.text("ownerId", NAME_MAX)?.to_owned(),
            csr: f.prose("csr", PEM_MAX)?.to_owned(),
        })
    }
}

/// The answer to [`Register`], [`Update`] and [`Deregister`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// Names the application.
    pub application_id: String,
    /// Secret; lets the applicant ask for the outcome.
    pub ticket: String,
}

impl Read for Applied {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            application_id: f.text("applicationId", NAME_MAX)?.to_owned(),
            ticket: f.text("ticket", NAME_MAX)?.to_owned(),
        })
    }
}

/// `POST /sns/managernode/application` (R15).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Application {
    /// From [`Applied`].
    pub application_id: String,
    /// From [`Applied`].
    pub ticket: String,
}

impl Read for Application {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        let Applied { application_id, ticket } = Applied::read(f)?;
        Ok(Self { application_id, ticket })
    }
}

/// Where an application stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApplicationState {
    /// A person has yet to decide.
    Pending,
    /// Accepted.
    Approved,
    /// Refused, with a reason.
    Rejected,
}

/// The answer to [`Application`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApplicationAnswer {
    /// Where it stands.
    pub state: ApplicationState,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// PEM chain, the server's own first, once approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

impl Read for ApplicationAnswer {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        let state = match f.text("state", NAME_MAX)? {
            "pending" => ApplicationState::Pending,
            "approved" => ApplicationState::Approved,
            "rejected" => ApplicationState::Rejected,
            _ => return Err(f.invalid("state", "must be pending, approved or rejected")),
        };
        Ok(Self {
            state,
            reason: f.optional_prose("reason", REMARK_MAX)?.map(str::to_owned),
            certificate: f.optional_prose("certificate", PEM_MAX)?.map(str::to_owned),
        })
    }
}

/// What a server may ask to have changed (§7.5.2): only what is there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Changes {
    /// `serverName`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// `serverAddress`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_address: Option<String>,
    /// `contactName`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_name: Option<String>,
    /// `contactEmail`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_email: Option<String>,
    /// `contactMobile`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_mobile: Option<String>,
    /// `serverType`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_type: Option<String>,
    /// `area`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub area: Option<String>,
}

/// `POST /sns/managernode/update` (§7.5.2, R15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The server, if it is named; it must be the caller and never changes.
    pub server_id: Option<ServerId>,
    /// The fields named in `fields`, with their new values.
    pub changes: Changes,
}

impl Update {
    /// The names of the fields that change.
    #[must_use]
    pub fn fields(&self) -> Vec<&'static str> {
        let c = &self.changes;
        [
            ("serverName", &c.server_name),
            ("serverAddress", &c.server_address),
            ("contactName", &c.contact_name),
            ("contactEmail", &c.contact_email),
            ("contactMobile", &c.contact_mobile),
            ("serverType", &c.server_type),
            ("area", &c.area),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.is_some().then_some(name))
        .collect()
    }
}

impl Serialize for Update {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Info<'a> {
            #[serde(rename = "serverId", skip_serializing_if = "Option::is_none")]
            server_id: &'a Option<ServerId>,
            #[serde(flatten)]
            changes: &'a Changes,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            server_info: Info<'a>,
            fields: Vec<&'static str>,
        }
        let server_info = Info { server_id: &self.server_id, changes: &self.changes };
        Body { server_info, fields: self.fields() }.serialize(s)
    }
}

impl Read for Update {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        let mut names = f.list("fields", |item| match item.as_text() {
            Some(text) => Ok(text.to_owned()),
            None => Err(f.invalid("fields", "must hold names")),
        })?;
        names.sort_unstable();
        names.dedup();
        let read = |inner: &Fields<'_>| {
            let mut changes = Changes::default();
            for name in &names {
                let slot = match name.as_str() {
                    "serverName" => &mut changes.server_name,
                    "serverAddress" => &mut changes.server_address,
                    "contactName" => &mut changes.contact_name,
                    "contactEmail" => &mut changes.contact_email,
                    "contactMobile" => &mut changes.contact_mobile,
                    "serverType" => &mut changes.server_type,
                    "area" => &mut changes.area,
                    other => {
                        return Err(f.invalid("fields", format_args!("{other} cannot be changed")));
                    }
                };
                *slot = Some(inner.text(name, NAME_MAX)?.to_owned());
            }
            Ok(Self { server_id: inner.optional_id("serverId")?, changes })
        };
        f.optional_object("serverInfo", read)?.ok_or_else(|| f.missing("serverInfo"))
    }
}

/// `POST /sns/managernode/deregister` (§7.5.3, R15).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deregister {
    /// Why.
    pub reason: String,
}

impl Read for Deregister {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self { reason: f.prose("reason", REMARK_MAX)?.to_owned() })
    }
}

/// `POST /sns/managernode/renew` (R15). A server whose certificate is over cannot call with it any more: it names its approved
/// application, and asks for the key that it was certified with last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Renew {
    /// PEM; of it only the public key is used (R13).
    pub csr: String,
    /// From [`Applied`]; only without a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_id: Option<String>,
    /// From [`Applied`]; only without a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

impl Read for Renew {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            csr: f.prose("csr", PEM_MAX)?.to_owned(),
            application_id: f.optional_text("applicationId", NAME_MAX)?.map(str::to_owned),
            ticket: f.optional_text("ticket", NAME_MAX)?.map(str::to_owned),
        })
    }
}

/// The answer to [`Renew`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Renewed {
    /// PEM chain, the server's own first.
    pub certificate: String,
}

impl Read for Renewed {
    fn read(f: &Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self { certificate: f.prose("certificate", PEM_MAX)?.to_owned() })
    }
}

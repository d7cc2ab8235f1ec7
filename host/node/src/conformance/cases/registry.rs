//! The platform (§5.2, §6.1, §7.5, R15–R17).

use isthmus_wire::call::{APPLICATION, CRL, NODES, REGISTER, RENEW, UPDATE, USER_SEARCH};
use serde_json::{Value, json};

use crate::conformance::case::{Outcome, Stop, Trial, cases, said};
use crate::conformance::enroll::{self, Applicant};
use crate::conformance::lab::{Lab, text};
use crate::conformance::line::{Answer, Ask, BOTH, Line, Shown};
use crate::conformance::trust::{Pair, facts};

cases! {
    "platform.secure" "6.1" [13], Mandatory, [Platform],
        "the platform answers by TLS with a certificate of its own authority, and says who it is",
        "§6.1 c and d: mutual identity over a secure channel"
        => secure;
    "platform.no-certificate" "6.1" [13], Mandatory, [Platform],
        "a query without a certificate is refused",
        "§6.1 c: identity comes first"
        => no_certificate;
    "platform.wrong-authority" "6.1" [13], Mandatory, [Platform],
        "a query with a certificate of another authority is refused",
        "§6.1 b: only what the platform has issued counts"
        => wrong_authority;
    "platform.nodes-all" "7.5.4" [], Mandatory, [Platform],
        "a query without nodeIDs answers every server, each with all its mandatory fields",
        "§7.5.4: left out means all; §7.2.1 names the fields"
        => nodes_all;
    "platform.nodes-some" "7.5.4" [], Mandatory, [Platform],
        "a query with nodeIDs answers these servers and no others",
        "§7.5.4"
        => nodes_some;
    "platform.nodes-unknown" "7.5.4" [], Mandatory, [Platform],
        "a query for a server that there is not answers none",
        "an address of nobody must not be made up"
        => nodes_unknown;
    "platform.status-as-string" "7.2.1" [1], Recommended, [Platform],
        "serverStatus is a string: \"0\", \"1\" or \"2\"",
        "§7.2.1: string"
        => status_as_string;
    "platform.nodes-by-name" "5.2" [16], Extension, [Platform],
        "servers are found by serverName and by domain",
        "§5.2 wants queries by name and domain; §7.5.4 has no field for them: this is R16's"
        => nodes_by_name;
    "platform.id-is-unique" "7.5.1" [15], Extension, [Platform],
        "a registration under a serverId that exists is refused, in other letters too",
        "§7.5.1: it cannot be used twice. The path is R15's"
        => id_is_unique;
    "platform.id-used-up" "7.5.3" [15], Extension, [Platform, Deregistered],
        "a registration under the serverId of a server that has deregistered is refused",
        "§7.5.3: what was given up is never given out again: messages for the old one would reach the new. The path is R15's"
        => id_used_up;
    "platform.id-characters" "7.2.1" [15], Extension, [Platform],
        "a registration under a serverId with other characters than letters, digits, _ and - is refused",
        "§7.2.1. The path is R15's"
        => id_characters;
    "platform.bad-key" "7.5.1" [13, 15], Extension, [Platform],
        "a registration without a usable key is refused at once",
        "what could not be certified should not wait for a person. The path is R15's"
        => bad_key;
    "platform.ticket" "7.5.1" [15], Extension, [Platform],
        "an application is told to nobody without its ticket",
        "it holds names and telephone numbers of persons"
        => ticket;
    "platform.registration" "7.5.1" [15], Extension, [Platform, MayApply],
        "a good registration becomes a pending application, and nothing before a person has decided",
        "§6.1 a: registrations are reviewed"
        => registration_waits;
    "platform.id-is-fixed" "7.5.2" [15], Extension, [Platform],
        "a change of the serverId is refused",
        "§7.5.2: it cannot be changed. The path is R15's"
        => id_is_fixed;
    "platform.renew-bad-key" "7.5.1" [13, 15], Extension, [Platform],
        "a renewal without a usable key is refused",
        "what cannot be certified must not be"
        => renew_bad_key;
    "platform.crl" "6.1" [13, 15], Extension, [Platform],
        "the list of revoked certificates is a DER file for every server",
        "who is out must be known to all. The path is R15's"
        => crl;
    "platform.user-search" "7.6.1" [17], Mandatory, [Platform, Users],
        "a search for users at the platform finds the target's",
        "§7.6.1: the search goes by way of the platform, over all servers"
        => user_search;
}

/// A good registration of a server that there is not.
pub(in crate::conformance) fn registration(lab: &Lab) -> Value {
    let id = lab.fresh("kit");
    let csr = isthmus_net::csr::new_key_and_csr(&id).map(|(_, csr)| csr).unwrap_or_default();
    let address = "https://conformance.example:7443".to_owned();
    enroll::registration(&Applicant { id, address, owner: "conformance".to_owned() }, &csr)
}

async fn call(t: &Trial<'_>, ask: &Ask) -> Result<Answer, Stop> {
    t.call_on(t.lab.platform()?, ask).await
}

async fn succeeds(t: &Trial<'_>, ask: &Ask) -> Result<Answer, Stop> {
    let answer = call(t, ask).await?;
    t.demand(answer.is_success(), "HTTP 200 with code 0", &said(&answer))?;
    Ok(answer)
}

/// Without a certificate, as an applicant calls.
fn stranger(t: &Trial<'_>, shown: &Shown<'_>) -> Result<Line, Stop> {
    let url = t.lab.platform()?.url();
    Line::new(&url, &t.lab.roots, shown).map_err(|error| Stop::Skip(error.to_string()))
}

fn nobody() -> Shown<'static> {
    Shown { pair: None, versions: rustls::ALL_VERSIONS, alpn: BOTH }
}

async fn refused_to_applicant(t: &Trial<'_>, path: &str, body: &Value) -> Result<Answer, Stop> {
    let answer = t.call_on(&stranger(t, &nobody())?, &Ask::post(path, body)).await?;
    t.check(answer.is_refusal(), "a refusal", said(&answer));
    Ok(answer)
}

fn nodes(t: &Trial<'_>, more: &[(&str, Value)]) -> Ask {
    let mut body = json!({"ownerID": t.lab.peer_id});
    for (name, value) in more {
        body[*name] = value.clone();
    }
    Ask::post(NODES.path, &body)
}

async fn secure(t: &Trial<'_>) -> Outcome {
    let met = t.lab.platform()?.meet().await.map_err(|error| t.fail("a handshake", error.0))?;
    let names = met.leaf.as_ref().and_then(facts);
    let platform = names.is_some_and(|facts| facts.identity == isthmus_net::Identity::Platform);
    t.demand(platform, "a certificate with urn:ciia:im:platform", "another, or none")
}

async fn kept_out(t: &Trial<'_>, shown: &Shown<'_>) -> Outcome {
    succeeds(t, &nodes(t, &[])).await?;
    if let Ok(answer) = t.try_call(&stranger(t, shown)?, &nodes(t, &[])).await {
        let refused = matches!(answer.status, 401 | 403) && answer.code() != Some(0);
        t.check(refused, "no connection, or HTTP 401 or 403 with a code other than 0", said(&answer));
    }
    Ok(())
}

async fn no_certificate(t: &Trial<'_>) -> Outcome {
    kept_out(t, &nobody()).await
}

async fn wrong_authority(t: &Trial<'_>) -> Outcome {
    kept_out(t, &Shown { pair: Some(&t.lab.stranger), ..nobody() }).await
}

fn infos(answer: &Answer) -> Vec<Value> {
    answer.field("serverInfos").as_array().cloned().unwrap_or_default()
}

const MANDATORY: [&str; 7] =
    ["serverId", "serverName", "serverAddress", "serverStatus", "contactName", "contactEmail", "contactMobile"];

async fn nodes_all(t: &Trial<'_>) -> Outcome {
    let answer = succeeds(t, &nodes(t, &[])).await?;
    let infos = infos(&answer);
    let has = |id: &str| infos.iter().any(|info| text(info, "serverId").eq_ignore_ascii_case(id));
    let wanted = [t.lab.peer_id.as_str(), t.lab.target_id()];
    for id in wanted.iter().filter(|id| !id.is_empty()) {
        t.check(has(id), format!("{id} among serverInfos"), said(&answer));
    }
    for info in &infos {
        for field in MANDATORY {
            t.check(!text(info, field).is_empty(), format!("{field}, a string that is not empty"), info.to_string());
        }
    }
    Ok(())
}

async fn nodes_some(t: &Trial<'_>) -> Outcome {
    let answer = succeeds(t, &nodes(t, &[("nodeIDs", json!([t.lab.peer_id]))])).await?;
    let ids: Vec<String> = infos(&answer).iter().map(|info| text(info, "serverId")).collect();
    t.demand(ids == [t.lab.peer_id.as_str()], format!("{} alone", t.lab.peer_id), &format!("{ids:?}"))
}

async fn nodes_unknown(t: &Trial<'_>) -> Outcome {
    let answer = call(t, &nodes(t, &[("nodeIDs", json!([t.lab.fresh("nobody")]))])).await?;
    t.demand(answer.status < 500 && infos(&answer).is_empty(), "no serverInfos", &said(&answer))
}

async fn status_as_string(t: &Trial<'_>) -> Outcome {
    for info in infos(&succeeds(t, &nodes(t, &[])).await?) {
        let status = text(&info, "serverStatus");
        t.check(["0", "1", "2"].contains(&status.as_str()), "\"0\", \"1\" or \"2\"", info["serverStatus"].to_string());
    }
    Ok(())
}

async fn nodes_by_name(t: &Trial<'_>) -> Outcome {
    let own = succeeds(t, &nodes(t, &[("nodeIDs", json!([t.lab.peer_id]))])).await?;
    let own = infos(&own).into_iter().next().unwrap_or_default();
    let host = text(&own, "serverAddress").replace("https://", "");
    for (field, value) in [("serverName", text(&own, "serverName")), ("domain", host)] {
        let found = infos(&succeeds(t, &nodes(t, &[(field, json!(value))])).await?);
        let has = found.iter().any(|info| info["serverId"] == own["serverId"]);
        t.check(has, format!("{field} {value:?} finds the peer"), format!("{} servers", found.len()));
        let none = infos(&call(t, &nodes(t, &[(field, json!(t.lab.fresh("nothing")))])).await?);
        t.check(none.is_empty(), format!("{field} of nobody finds none"), format!("{} servers", none.len()));
    }
    Ok(())
}

async fn id_is_unique(t: &Trial<'_>) -> Outcome {
    let own = &t.lab.peer_id;
    for id in [own.clone(), own.to_uppercase(), own.to_lowercase()] {
        let mut body = registration(t.lab);
        body["serverInfo"]["serverId"] = json!(id);
        let answer = refused_to_applicant(t, REGISTER.path, &body).await?;
        t.check(answer.code() == Some(1201), "code 1201", said(&answer));
    }
    Ok(())
}

async fn id_used_up(t: &Trial<'_>) -> Outcome {
    let gone = t.lab.deregistered.as_ref().and_then(Pair::server_id);
    let gone = gone.ok_or_else(|| Stop::Skip("--deregistered-cert names no server as R13 says".to_owned()))?;
    let mut body = registration(t.lab);
    body["serverInfo"]["serverId"] = json!(gone);
    let answer = refused_to_applicant(t, REGISTER.path, &body).await?;
    t.demand(answer.code() == Some(1201), "code 1201", &said(&answer))
}

async fn id_characters(t: &Trial<'_>) -> Outcome {
    for id in ["a b", "a.b", "北", "a/b", &"x".repeat(65)] {
        let mut body = registration(t.lab);
        body["serverInfo"]["serverId"] = json!(id);
        let answer = refused_to_applicant(t, REGISTER.path, &body).await?;
        t.check(answer.code() == Some(1003), format!("{id:?}: code 1003"), said(&answer));
    }
    Ok(())
}

async fn bad_key(t: &Trial<'_>) -> Outcome {
    let good = registration(t.lab);
    let broken = text(&good, "csr").replacen('M', "N", 3);
    for csr in ["none".to_owned(), broken] {
        let mut body = good.clone();
        body["csr"] = json!(csr);
        refused_to_applicant(t, REGISTER.path, &body).await?;
    }
    Ok(())
}

async fn ticket(t: &Trial<'_>) -> Outcome {
    let body = json!({"applicationId": t.lab.fresh("a"), "ticket": t.lab.fresh("t")});
    let answer = refused_to_applicant(t, APPLICATION.path, &body).await?;
    t.demand(answer.field("state").is_null(), "no state", &said(&answer))
}

async fn registration_waits(t: &Trial<'_>) -> Outcome {
    let line = stranger(t, &nobody())?;
    let answer = t.call_on(&line, &Ask::post(REGISTER.path, &registration(t.lab))).await?;
    t.demand(answer.is_success(), "code 0", &said(&answer))?;
    let (id, ticket) = (answer.field("applicationId").clone(), answer.field("ticket").clone());
    let ask = json!({"applicationId": id, "ticket": ticket});
    let answer = t.call_on(&line, &Ask::post(APPLICATION.path, &ask)).await?;
    t.check(answer.field("state") == "pending", "state pending", answer.field("state").to_string());
    t.check(answer.field("certificate").is_null(), "no certificate", "one");
    let wrong = json!({"applicationId": id, "ticket": t.lab.fresh("t")});
    refused_to_applicant(t, APPLICATION.path, &wrong).await.map(|_| ())
}

async fn id_is_fixed(t: &Trial<'_>) -> Outcome {
    let other = json!({"serverInfo": {"serverId": t.lab.fresh("other"), "area": "CN"}, "fields": ["area"]});
    let renamed = json!({"serverInfo": {"serverId": t.lab.peer_id}, "fields": ["serverId"]});
    for body in [other, renamed] {
        let answer = call(t, &Ask::post(UPDATE.path, &body)).await?;
        t.check(answer.is_refusal(), "a refusal", said(&answer));
    }
    Ok(())
}

async fn renew_bad_key(t: &Trial<'_>) -> Outcome {
    let answer = call(t, &Ask::post(RENEW.path, &json!({"csr": "none"}))).await?;
    t.demand(answer.is_refusal(), "a refusal", &said(&answer))
}

async fn crl(t: &Trial<'_>) -> Outcome {
    let answer = call(t, &Ask::get(CRL.path)).await?;
    t.check(answer.status == 200, "HTTP 200", said(&answer));
    // A DER SEQUENCE begins so.
    t.demand(answer.body.first() == Some(&0x30), "DER", &format!("{} bytes", answer.body.len()))
}

async fn user_search(t: &Trial<'_>) -> Outcome {
    let name = super::user::name_of(t, t.lab.user()).await?;
    let answer = succeeds(t, &Ask::of(&USER_SEARCH, "", &json!({"query": name, "page": 0}))).await?;
    let found = answer
        .field("userInfos")
        .as_array()
        .is_some_and(|infos| infos.iter().any(|info| text(info, "userID") == t.lab.user()));
    t.demand(found, format!("{} among userInfos", t.lab.user()), &said(&answer))
}

//! The way between servers: TLS, certificates on both sides, HTTP versions (§5.3, §6.2, §7.1.1, R13).

use std::time::Duration;

use isthmus_wire::call::{MESSAGE_SEND, USER_DETAILS};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::conformance::case::{Outcome, Stop, Trial, cases, said};
use crate::conformance::driver::Act;
use crate::conformance::line::{Answer, Ask, BOTH, Line, NoAnswer, ONE, Shown, TWO};
use crate::conformance::stage::Shows;
use crate::conformance::trust::{Pair, facts};

cases! {
    "tls.secure" "6.2" [13], Mandatory, [Users],
        "a server with a certificate of the platform connects by TLS 1.2 or 1.3 and is answered",
        "§6.2 e: servers talk over a secure channel"
        => secure;
    "tls.version-1-3" "6.2" [13], Recommended, [Users],
        "TLS 1.3 is offered",
        "TLS 1.3 has no weak choices left"
        => version_1_3;
    "tls.no-old-version" "6.2" [13], Mandatory, [Users],
        "a caller that knows nothing newer than TLS 1.1 gets no connection",
        "TLS 1.0 and 1.1 count as broken (RFC 8996): no secure channel in the sense of §6.2 e"
        => no_old_version;
    "tls.no-clear-text" "6.2" [], Mandatory, [Users],
        "a request in clear is not carried out at the interconnect's port",
        "§6.2 e and §7.1.1: HTTPS only"
        => no_clear_text;
    "tls.no-certificate" "6.2" [13], Mandatory, [Users],
        "a caller without a certificate is refused, by TLS or by HTTP 401 or 403",
        "§6.2 a: before they talk, servers prove their identity to each other by certificate"
        => no_certificate;
    "tls.self-signed" "6.2" [13], Mandatory, [Users],
        "a caller whose certificate nobody but itself has signed is refused",
        "§6.1 b: the platform's certificate is the only ground of trust"
        => self_signed;
    "tls.wrong-authority" "6.2" [13], Mandatory, [Users],
        "a caller with a certificate of another authority that says all the right names is refused",
        "§6.1 b: the platform's certificate is the only ground of trust"
        => wrong_authority;
    "tls.expired" "6.2" [13], Mandatory, [Users, Expired],
        "a caller whose certificate is over is refused",
        "a certificate speaks for its holder only as long as the platform says"
        => expired;
    "tls.unregistered" "6.2" [4, 13], Mandatory, [Users, Unregistered],
        "a caller with a valid certificate of a server that the platform does not know is refused",
        "§5.2 and §6.1: who takes part is decided by the registry, on every request"
        => unregistered;
    "tls.deregistered" "6.2" [4, 13], Mandatory, [Users, Deregistered],
        "a caller with a certificate of a server that has deregistered is refused",
        "§7.5.3: who has left takes part no more, whatever its certificate says"
        => deregistered;
    "tls.own-certificate" "6.2" [13], Mandatory, [Users],
        "the target shows a certificate of the platform, valid now and for servers",
        "§6.2 a: the called side proves its identity too"
        => own_certificate;
    "tls.names" "6.2" [13], Recommended, [Users],
        "the target's certificate names one server: URI, DNS name and CN agree with the home of its users",
        "callers check whom they reach; a certificate that names nobody could be anybody's"
        => names;
    "tls.no-resumption" "6.2" [13], Recommended, [Users],
        "a TLS session is not resumed",
        "a resumed session skips the check of certificate, validity and revocation"
        => no_resumption;
    "tls.http-1-1" "7.1.1" [], Mandatory, [Users],
        "HTTP/1.1 is answered, with ALPN and without",
        "§7.1.1 names HTTPS 1.1; a peer may know nothing else"
        => http_1_1;
    "tls.http-2" "7.1.1" [], Recommended, [Users],
        "HTTP/2 is answered",
        "§7.1.1 names HTTP2 beside HTTPS 1.1"
        => http_2;
    "tls.out.shows-certificate" "5.3" [13], Mandatory, [Users, Acts, Listener],
        "the target, calling, shows a certificate of the platform",
        "§5.3 b 2: both sides prove their identity, whoever calls"
        => shows_certificate;
    "tls.out.refuses-stranger" "5.3" [13], Mandatory, [Users, Acts, Listener],
        "the target says nothing to whoever answers at a peer's address with a certificate of another authority",
        "§5.3 a 3: the identity of the called is verified; else a message goes to whoever holds the address"
        => refuses_stranger;
    "tls.out.refuses-another" "5.3" [13], Mandatory, [Users, Acts, Listener, Second],
        "the target says nothing to whoever answers at a peer's address with the valid certificate of another server",
        "a valid certificate proves who somebody is, not that it is the one that was meant"
        => refuses_another;
}

/// A harmless question.
fn question(t: &Trial<'_>) -> Ask {
    Ask::of(&USER_DETAILS, "", &json!({"userID": t.lab.user()}))
}

fn present<'a>(pair: Option<&'a Pair>) -> Shown<'a> {
    Shown { pair, versions: rustls::ALL_VERSIONS, alpn: BOTH }
}

/// Whoever was let in is answered, whatever the answer is.
fn let_in(answer: &Answer) -> bool {
    answer.status < 500 && !matches!(answer.status, 401 | 403)
}

async fn secure(t: &Trial<'_>) -> Outcome {
    let answer = t.call(&question(t)).await?;
    t.demand(let_in(&answer), "an answer", &said(&answer))
}

async fn met(t: &Trial<'_>, line: &Line) -> Result<crate::conformance::line::Met, Stop> {
    line.meet().await.map_err(|NoAnswer(why)| t.fail("a handshake", why))
}

async fn version_1_3(t: &Trial<'_>) -> Outcome {
    let met = met(t, &t.lab.line(&present(Some(&t.lab.own_pair)))?).await?;
    t.demand(met.version == "TLSv1_3", "TLS 1.3", &met.version)
}

/// A ClientHello as a TLS 1.1 client writes it: version 3.2, ciphers of its time, no extensions.
const OLD_HELLO: &[u8] = &[
    0x16, 3, 1, 0, 0x37, 1, 0, 0, 0x33, 3, 2, // record, handshake, TLS 1.1
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
    31, 0, 0, 12, 0xc0, 0x14, 0xc0, 0x13, 0xc0, 0x0a, 0xc0, 0x09, 0, 0x2f, 0, 0x0a, 1, 0,
];
/// The type of a handshake record; an alert is 21.
const HANDSHAKE: u8 = 0x16;

/// Sends bytes and reads what comes, for a while.
async fn raw(t: &Trial<'_>, bytes: &[u8]) -> Result<Vec<u8>, Stop> {
    let url = t.lab.own()?.url();
    let uri: http::Uri = url.parse().map_err(|_| Stop::Skip(format!("{url} is no URL")))?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(443);
    let talking = async {
        let mut stream = TcpStream::connect((host.as_str(), port)).await?;
        stream.write_all(bytes).await?;
        let mut got = vec![0; 1024];
        let many = stream.read(&mut got).await.unwrap_or(0);
        got.truncate(many);
        Ok::<_, std::io::Error>(got)
    };
    match tokio::time::timeout(Duration::from_secs(15), talking).await {
        Ok(Ok(got)) => Ok(got),
        Ok(Err(error)) => Err(t.fail("a connection", error.to_string())),
        // Silence is a refusal too.
        Err(_) => Ok(Vec::new()),
    }
}

async fn no_old_version(t: &Trial<'_>) -> Outcome {
    let got = raw(t, OLD_HELLO).await?;
    let expected = "an alert, or the end of the connection";
    t.demand(got.first() != Some(&HANDSHAKE), expected, "a TLS handshake in an old version")
}

async fn no_clear_text(t: &Trial<'_>) -> Outcome {
    let request = format!("GET /sns/users?userID={} HTTP/1.1\r\nHost: target\r\n\r\n", t.lab.user());
    let got = String::from_utf8_lossy(&raw(t, request.as_bytes()).await?).into_owned();
    let status = got.strip_prefix("HTTP/1.1 ").unwrap_or("400").split(' ').next().unwrap_or_default().to_owned();
    t.demand(!status.starts_with('2'), "no answer, or a refusal", &got)
}

/// Whoever is not who it should be gets no answer, or 401 or 403.
async fn kept_out(t: &Trial<'_>, pair: Option<&Pair>) -> Outcome {
    // The target is there: else every refusal would look right.
    t.call(&question(t)).await?;
    let line = t.lab.line(&present(pair))?;
    let message = super::message::to_user(t, &t.lab.own_user_id("mallory"), "let me in");
    for ask in [question(t), Ask::post("/sns/chat/", &message)] {
        if let Ok(answer) = t.try_call(&line, &ask).await {
            let refused = matches!(answer.status, 401 | 403) && answer.code() != Some(0);
            t.check(refused, "no connection, or HTTP 401 or 403 with a code other than 0", said(&answer));
        }
    }
    Ok(())
}

async fn no_certificate(t: &Trial<'_>) -> Outcome {
    kept_out(t, None).await
}

async fn self_signed(t: &Trial<'_>) -> Outcome {
    let made = isthmus_net::csr::new_key_and_self_signed(&t.lab.peer_id);
    let (key, chain) = made.map_err(|error| Stop::Skip(crate::reply::chain(&error)))?;
    let pair = Pair::from_pem("a certificate of its own", &chain, &key).map_err(|e| Stop::Skip(e.to_string()))?;
    kept_out(t, Some(&pair)).await
}

async fn wrong_authority(t: &Trial<'_>) -> Outcome {
    kept_out(t, Some(&t.lab.stranger)).await
}

async fn expired(t: &Trial<'_>) -> Outcome {
    kept_out(t, t.lab.expired.as_ref()).await
}

async fn unregistered(t: &Trial<'_>) -> Outcome {
    kept_out(t, t.lab.unregistered.as_ref()).await
}

async fn deregistered(t: &Trial<'_>) -> Outcome {
    kept_out(t, t.lab.deregistered.as_ref()).await
}

async fn own_certificate(t: &Trial<'_>) -> Outcome {
    // The kit's verifier demands chain, dates and purpose: a handshake is the proof.
    met(t, &t.lab.line(&present(Some(&t.lab.own_pair)))?).await.map(|_| ())
}

async fn names(t: &Trial<'_>) -> Outcome {
    let met = met(t, &t.lab.line(&present(Some(&t.lab.own_pair)))?).await?;
    let facts = met.leaf.as_ref().and_then(facts);
    let named = facts.and_then(|facts| facts.identity.server().map(ToString::to_string));
    let wanted = t.lab.target_id();
    let agrees = named.as_ref().is_some_and(|id| wanted.is_empty() || id.eq_ignore_ascii_case(wanted));
    let expected = format!("urn:ciia:im:server:{wanted} as URI, the same in DNS name and CN");
    t.demand(agrees, expected, &named.unwrap_or_else(|| "names that do not agree, or none".to_owned()))
}

async fn no_resumption(t: &Trial<'_>) -> Outcome {
    let line = t.lab.line(&present(Some(&t.lab.own_pair)))?;
    // A whole call each, so that a ticket that comes late has come.
    let answer = t.call_on(&line, &question(t)).await?;
    t.demand(let_in(&answer), "an answer", &said(&answer))?;
    let again = met(t, &line).await?;
    t.demand(!again.resumed, "a full handshake", "a resumed session")
}

async fn speaks(t: &Trial<'_>, alpn: &'static [&'static [u8]], http2: bool) -> Outcome {
    let shown = Shown { pair: Some(&t.lab.own_pair), versions: rustls::ALL_VERSIONS, alpn };
    let answer = t.call_on(&t.lab.line(&shown)?, &question(t)).await?;
    t.demand(let_in(&answer) && answer.http2 == http2, "an answer in the version offered", &said(&answer))
}

async fn http_1_1(t: &Trial<'_>) -> Outcome {
    speaks(t, ONE, false).await?;
    speaks(t, &[], false).await
}

async fn http_2(t: &Trial<'_>) -> Outcome {
    speaks(t, TWO, true).await
}

async fn shows_certificate(t: &Trial<'_>) -> Outcome {
    let stage = t.lab.stage()?;
    let (mark, to, text) = (stage.mark(), t.lab.own_user_id("walter"), t.lab.fresh("who are you"));
    t.act(&Act::SendText { from: t.lab.user(), to: &to, text: &text }).await?;
    let heard = stage.wait(mark, &MESSAGE_SEND, t.lab.patience, |heard| heard.text("/messageInfo/recvID") == to).await;
    let heard = heard.ok_or_else(|| t.fail(format!("a message to {to}"), "none came"))?;
    t.about(&heard);
    t.check(heard.certified, "a certificate of the platform", "none");
    // Where it names a server as R13 says, it is the home of the user who writes.
    let server = heard.server.clone().unwrap_or_default();
    let agrees = server.is_empty() || t.lab.target_id().is_empty() || server.eq_ignore_ascii_case(t.lab.target_id());
    t.check(agrees, format!("the certificate of {}", t.lab.target_id()), server);
    Ok(())
}

/// With another's certificate at the peer's address: nothing may be said there.
async fn says_nothing(t: &Trial<'_>, shows: Shows) -> Outcome {
    let stage = t.lab.stage()?;
    stage.face(shows, false);
    let (mark, to, text) = (stage.mark(), t.lab.own_user_id("walter"), t.lab.fresh("for you alone"));
    t.act(&Act::SendText { from: t.lab.user(), to: &to, text: &text }).await?;
    let heard =
        stage.wait(mark, &MESSAGE_SEND, Duration::from_secs(4), |heard| heard.text("/messageInfo/recvID") == to);
    if let Some(heard) = heard.await {
        t.about(&heard);
        t.check(false, "no call at all", "the message was shown to somebody else");
        return Ok(());
    }
    // And once the right one answers, it is delivered: the silence was a refusal.
    stage.face(Shows::Own, false);
    let heard = stage.wait(mark, &MESSAGE_SEND, t.lab.patience, |heard| heard.text("/messageInfo/recvID") == to).await;
    t.demand(heard.is_some(), "the message, once the peer itself answers", "nothing")
}

async fn refuses_stranger(t: &Trial<'_>) -> Outcome {
    says_nothing(t, Shows::Stranger).await
}

async fn refuses_another(t: &Trial<'_>) -> Outcome {
    says_nothing(t, Shows::Second).await
}

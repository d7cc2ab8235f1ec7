//! Second act: people of two servers find each other and become friends (§7.6).

use http::Method;
use serde_json::{Value, json};

use super::{SOON, Stage, Told, Trying, differs, ms, told};
use crate::demo::actor::Actor;
use crate::demo::say::Say;

pub(super) async fn tell(stage: &Stage<'_>, say: &mut Say) {
    say.step(
        "alice searches “carol” on all servers, by way of the platform",
        "the platform asks north and south, and finds carol@south",
    );
    told(say, &found(stage).await);
    say.step(
        "alice asks carol to be friends, “你好 👋”; carol says yes",
        "each hears of the other's word, and both servers call them friends",
    );
    told(say, &befriended(stage).await);
}

async fn found(stage: &Stage<'_>) -> Told {
    let path = "/client/v1/users/search?query=carol&scope=all";
    let found = stage.alice.api().get(path).await.trying("alice searches")?;
    let infos = found["userInfos"].as_array().cloned().unwrap_or_default();
    let hit = infos.iter().find(|info| info["userID"] == stage.carol.id.as_str());
    match (hit, found["note"].as_str()) {
        (Some(carol), None) => Ok(format!("{} is {}; nobody sees her phone number", carol["userID"], carol["name"])),
        (_, note) => differs(format!("alice found {infos:?}, {note:?}")),
    }
}

async fn befriended(stage: &Stage<'_>) -> Told {
    let (alice, carol) = (&stage.alice, &stage.carol);
    // An earlier run may have left them friends.
    part(alice, carol).await?;
    let (by_alice, by_carol) = (alice.mark(), carol.mark());
    let began = tokio::time::Instant::now();
    let ask = json!({"userID": carol.id, "remark": "你好 👋"});
    alice.api().post("/client/v1/friends", &ask).await.trying("alice asks")?;
    let Some((asked, remark)) = carol.hear(by_carol, SOON, |event| news(event, "friend.request")).await else {
        return differs(format!("carol heard of no request within {} s", SOON.as_secs()));
    };
    let path = format!("/client/v1/friends/{}/answer", segment(&alice.id));
    carol.api().post(&path, &json!({"agree": true})).await.trying("carol says yes")?;
    let Some((answered, said)) = alice.hear(by_alice, SOON, |event| news(event, "friend.answer")).await else {
        return differs(format!("alice heard of no answer within {} s", SOON.as_secs()));
    };
    let both = alice.api().get(&format!("/client/v1/friends/{}?home=true", segment(&carol.id))).await;
    let both = both.trying("ask both servers")?;
    if remark["remark"] != "你好 👋" || said["isAgree"] != 1 || both["isFriend"] != true || both["atHome"] != true {
        return differs(format!("carol heard {remark}, alice heard {said}, the servers say {both}"));
    }
    let (there, back) = (ms(asked.duration_since(began)), ms(answered.duration_since(asked)));
    Ok(format!("carol heard it after {there} ms, alice her yes {back} ms later; north and south agree"))
}

async fn part(one: &Actor, other: &Actor) -> Result<(), super::Differs> {
    let path = format!("/client/v1/friends/{}", segment(&other.id));
    one.api().call(Method::DELETE, &path, None).await.trying("part")?;
    let gone = async {
        loop {
            let stand = other.api().get(&format!("/client/v1/friends/{}", segment(&one.id))).await?;
            if stand["stand"] == "none" {
                return Ok::<_, crate::client::ClientError>(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(SOON, gone).await {
        Ok(gone) => gone.trying("part"),
        Err(_) => differs("the other server did not hear of the end"),
    }
}

/// The other one's word, of this kind.
fn news(event: &Value, kind: &str) -> Option<Value> {
    (event["kind"] == kind && event["direction"] == "in").then(|| event.clone())
}

fn segment(id: &str) -> String {
    percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string()
}

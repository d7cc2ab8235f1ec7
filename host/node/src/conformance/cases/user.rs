//! Users and friends (§7.6).

use isthmus_wire::call::{USER_ADD, USER_ANSWER, USER_DELETE, USER_DETAILS, USER_IS_FRIEND, USER_SEARCH};
use serde_json::{Value, json};

use crate::conformance::case::{Outcome, Stop, Trial, cases, kind, said};
use crate::conformance::driver::Act;
use crate::conformance::lab::text;
use crate::conformance::line::{Answer, Ask};
use crate::conformance::stage::Heard;

cases! {
    "user.search" "7.6.2" [14], Mandatory, [Users],
        "a user is found by a part of the name; pages, page and userInfos are there",
        "§7.6.1: searching is how one finds whom to add; §7.6.2 names the fields"
        => search;
    "user.search-exact" "7.6.2" [14], Recommended, [Users],
        "a query in double quotes finds exactly that name or userID, and no mere part of it",
        "§7.6.1 demands exact and fuzzy search and says not how to tell them apart; this is R14's way"
        => search_exact;
    "user.search-nobody" "7.6.2" [14], Mandatory, [Users],
        "a search that finds nobody succeeds with no users",
        "nobody found is no failure: userInfos is N"
        => search_nobody;
    "user.search-case" "7.6.2" [14], Recommended, [Users],
        "letters' case makes no difference to a fuzzy search",
        "people do not know how others write themselves"
        => search_case;
    "user.search-page" "7.6.2" [14], Mandatory, [Users],
        "page defaults to 0; one beyond the last succeeds without users; a negative one is refused",
        "§7.6.2: non-negative, default 0"
        => search_page;
    "user.details" "7.6.6" [], Mandatory, [Users],
        "the details of a user are a userInfo with userID and name",
        "§7.6.6 and §7.2.2"
        => details;
    "user.details-nobody" "7.6.6" [], Mandatory, [Users],
        "for a user that there is not, userInfo is left out",
        "§7.6.6: if nothing is found it is not filled in"
        => details_nobody;
    "user.phone-hidden" "7.6.6" [14], Recommended, [Users],
        "the telephone number of a user is not shown to strangers",
        "§6.2 c: data are protected by access control"
        => phone_hidden;
    "user.is-friend" "7.6.7" [], Mandatory, [Users],
        "isFriend is 2 for strangers; the userID stands percent-encoded in the path",
        "§7.6.7"
        => strangers;
    "user.add" "7.6.3" [18], Mandatory, [Users],
        "a request for friendship is taken, with and without words, in every script",
        "§7.6.3: remark is N"
        => add;
    "user.add-again" "7.6.3" [18], Recommended, [Users],
        "the same request again is answered with code 0",
        "a sender that got no answer must send again"
        => add_again;
    "user.add-seen" "7.6.3" [], Mandatory, [Users, Acts],
        "the user sees who asks",
        "§7.6.3: the asker's details are sent so that the other can look who it is"
        => add_is_seen;
    "user.add-nobody" "7.6.3" [], Mandatory, [Users],
        "a request to a user that there is not is refused",
        "code 0 would let the asker wait for ever"
        => add_nobody;
    "user.add-pending" "7.6.7" [18], Mandatory, [Users],
        "a request alone makes no friends",
        "§7.6.4: the other decides"
        => add_is_no_friendship;
    "user.agreed" "7.6.4" [18], Mandatory, [Users, Acts, Listener],
        "when the user agrees, the asker's server is told by POST /sns/rsp/users with isAgree 1, and they are friends",
        "§7.6.4"
        => agreed;
    "user.declined" "7.6.4" [18], Mandatory, [Users, Acts, Listener],
        "when the user declines, the asker's server is told with isAgree 2, and they are no friends",
        "§7.6.4"
        => declined;
    "user.answer-unasked" "7.6.4" [18], Mandatory, [Users],
        "an answer to a request that nobody made is refused",
        "else any server could make its users everybody's friends"
        => answer_unasked;
    "user.answer-unasked-code" "7.6.4" [5, 18], Recommended, [Users],
        "an answer to a request that nobody made is refused with code 1202",
        "the state does not permit it, whatever is said"
        => answer_unasked_code;
    "user.out.add" "7.6.3" [], Mandatory, [Users, Acts, Listener],
        "a user's request for friendship comes by POST /sns/add/users with the other's userID, the words and the user's own userInfo",
        "§7.6.3"
        => out_add;
    "user.out.agreed" "7.6.4" [18], Mandatory, [Users, Acts, Listener],
        "when the peer's user agrees, isFriend is 1 at the target; the same answer again is answered with code 0",
        "§7.6.4 and §7.6.7"
        => out_agreed;
    "user.out.declined" "7.6.4" [18], Mandatory, [Users, Acts, Listener],
        "when the peer's user declines, they are no friends, and a later yes without a new request is refused",
        "§7.6.4: a request is answered once"
        => out_declined;
    "user.delete" "7.6.5" [18], Mandatory, [Users, Acts, Listener],
        "when the peer's user ends a friendship it has ended at the target too; once more is no failure",
        "§7.6.5"
        => delete;
    "user.out.delete" "7.6.5" [18], Mandatory, [Users, Acts, Listener],
        "when the target's user ends a friendship the peer is told by POST /sns/del/users with userID and requesterID",
        "§7.6.5"
        => out_delete;
    "user.out.search" "7.6.1" [17], Recommended, [Users, Acts, Listener, Platform],
        "a user's search over all systems finds the peer's users: the peer is asked by GET /sns/find/users",
        "§7.6.1: the search goes by way of the platform, over all servers"
        => out_search;
    "user.strangers-write" "7.6.1" [18], Recommended, [Users],
        "a stranger's message is taken where no policy says otherwise",
        "the text makes friendship no condition of messages"
        => strangers_write;
}

fn info_of(t: &Trial<'_>, answer: &Answer, id: &str) -> Value {
    let infos = answer.field("userInfos").as_array().cloned().unwrap_or_default();
    let found = infos.into_iter().find(|info| info["userID"].as_str().is_some_and(|found| found == id));
    t.check(found.is_some(), format!("{id} among userInfos"), said(answer));
    found.unwrap_or_default()
}

async fn ask_search(t: &Trial<'_>, query: &str) -> Result<Answer, Stop> {
    t.accepted(&Ask::of(&USER_SEARCH, "", &json!({"query": query, "page": 0}))).await
}

/// The name of the target's user, as its details tell it.
pub(super) async fn name_of(t: &Trial<'_>, id: &str) -> Result<String, Stop> {
    let answer = t.accepted(&Ask::of(&USER_DETAILS, "", &json!({"userID": id}))).await?;
    let name = text(answer.field("userInfo"), "name");
    t.demand(!name.is_empty(), "userInfo with a name", &said(&answer))?;
    Ok(name)
}

async fn search(t: &Trial<'_>) -> Outcome {
    let name = name_of(t, t.lab.user()).await?;
    let part: String = name.chars().take(3).collect();
    let answer = ask_search(t, &part).await?;
    let info = info_of(t, &answer, t.lab.user());
    t.check(text(&info, "name") == name, format!("name {name:?}"), info["name"].to_string());
    for field in ["pages", "page"] {
        let value = answer.field(field);
        t.check(value.as_u64().is_some(), format!("{field}, a number of at least 0"), value.to_string());
    }
    Ok(())
}

async fn search_exact(t: &Trial<'_>) -> Outcome {
    let name = name_of(t, t.lab.user()).await?;
    for exact in [name.as_str(), t.lab.user()] {
        let answer = ask_search(t, &format!("\"{exact}\"")).await?;
        info_of(t, &answer, t.lab.user());
    }
    let part: String = name.chars().take(name.chars().count().saturating_sub(1)).collect();
    if part.is_empty() {
        return Ok(());
    }
    let answer = ask_search(t, &format!("\"{part}\"")).await?;
    let found = answer.json.as_ref().is_some_and(|json| json["userInfos"].to_string().contains(t.lab.user()));
    t.demand(!found, format!("{:?} does not find {name:?}", format!("\"{part}\"")), "it does")
}

async fn search_nobody(t: &Trial<'_>) -> Outcome {
    let answer = ask_search(t, &t.lab.fresh("nobody-is-called")).await?;
    let infos = answer.field("userInfos");
    t.demand(infos.is_null() || infos.as_array().is_some_and(Vec::is_empty), "no users", &infos.to_string())
}

async fn search_case(t: &Trial<'_>) -> Outcome {
    let name = name_of(t, t.lab.user()).await?;
    for query in [name.to_uppercase(), name.to_lowercase()] {
        let answer = ask_search(t, &query).await?;
        info_of(t, &answer, t.lab.user());
    }
    Ok(())
}

async fn search_page(t: &Trial<'_>) -> Outcome {
    let name = name_of(t, t.lab.user()).await?;
    let first = t.accepted(&Ask::of(&USER_SEARCH, "", &json!({"query": name}))).await?;
    t.check(first.field("page").as_u64() == Some(0), "page 0", first.field("page").to_string());
    let beyond = t.accepted(&Ask::of(&USER_SEARCH, "", &json!({"query": name, "page": 1000}))).await?;
    let infos = beyond.field("userInfos");
    t.check(infos.is_null() || infos.as_array().is_some_and(Vec::is_empty), "no users", infos.to_string());
    t.refused(&Ask::of(&USER_SEARCH, "", &json!({"query": name, "page": -1}))).await.map(|_| ())
}

async fn details(t: &Trial<'_>) -> Outcome {
    let answer = t.accepted(&Ask::of(&USER_DETAILS, "", &json!({"userID": t.lab.user()}))).await?;
    let info = answer.field("userInfo");
    t.check(text(info, "userID") == t.lab.user(), format!("userID {}", t.lab.user()), info["userID"].to_string());
    t.check(!text(info, "name").is_empty(), "a name", kind(&info["name"]));
    Ok(())
}

async fn details_nobody(t: &Trial<'_>) -> Outcome {
    let nobody = format!("{}@{}", t.lab.fresh("nobody"), t.lab.target_id());
    let answer = t.call(&Ask::of(&USER_DETAILS, "", &json!({"userID": nobody}))).await?;
    t.check(answer.status < 500 && answer.code().is_some(), "an answer with a code", said(&answer));
    t.demand(answer.field("userInfo").is_null(), "no userInfo", &answer.field("userInfo").to_string())
}

async fn phone_hidden(t: &Trial<'_>) -> Outcome {
    let answer = t.accepted(&Ask::of(&USER_DETAILS, "", &json!({"userID": t.lab.user()}))).await?;
    let phone = &answer.field("userInfo")["phoneNumber"];
    t.check(phone.is_null(), "no phoneNumber in the details", phone.to_string());
    let answer = ask_search(t, &name_of(t, t.lab.user()).await?).await?;
    let phone = info_of(t, &answer, t.lab.user())["phoneNumber"].clone();
    t.demand(phone.is_null(), "no phoneNumber in what a search finds", &phone.to_string())
}

/// What the target says: 1 friends, 2 not.
async fn is_friend(t: &Trial<'_>, own: &str) -> Result<i64, Stop> {
    let answer = t.accepted(&Ask::of(&USER_IS_FRIEND, t.lab.user(), &json!({"selfID": own}))).await?;
    let value = answer.field("isFriend");
    let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    number.ok_or_else(|| t.fail("isFriend, 1 or 2", value.to_string()))
}

/// Waits until the target says so.
async fn becomes(t: &Trial<'_>, own: &str, wanted: i64) -> Outcome {
    let began = std::time::Instant::now();
    loop {
        let now = is_friend(t, own).await?;
        if now == wanted {
            return Ok(());
        }
        t.demand(began.elapsed() < t.lab.patience, format!("isFriend {wanted}"), &now.to_string())?;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

async fn strangers(t: &Trial<'_>) -> Outcome {
    let friend = is_friend(t, &t.lab.own_user_id("walter")).await?;
    t.demand(friend == 2, "isFriend 2", &friend.to_string())
}

fn request(t: &Trial<'_>, own: &Value, remark: Option<&str>) -> Ask {
    let mut body = json!({"userID": t.lab.user(), "userInfo": own});
    if let Some(remark) = remark {
        body["remark"] = json!(remark);
    }
    Ask::post(USER_ADD.path, &body)
}

async fn add(t: &Trial<'_>) -> Outcome {
    t.accepted(&request(t, &t.lab.own_user("walter"), None)).await?;
    for text in super::message::SCRIPTS {
        let mut own = t.lab.own_user("walter");
        own["name"] = json!(text.replace(['\n', '\t'], " "));
        t.accepted(&request(t, &own, Some(text))).await?;
    }
    Ok(())
}

async fn add_again(t: &Trial<'_>) -> Outcome {
    let ask = request(t, &t.lab.own_user("walter"), Some("it is me"));
    for _ in 0..3 {
        t.accepted(&ask).await?;
    }
    Ok(())
}

async fn add_is_seen(t: &Trial<'_>) -> Outcome {
    let own = t.lab.own_user("walter");
    t.accepted(&request(t, &own, Some("it is me"))).await?;
    let seen = t.sees(&Act::SeesRequest { user: t.lab.user(), from: &text(&own, "userID") }).await?;
    t.demand(seen, "the user sees the request", "it does not")
}

async fn add_nobody(t: &Trial<'_>) -> Outcome {
    let nobody = format!("{}@{}", t.lab.fresh("nobody"), t.lab.target_id());
    let body = json!({"userID": nobody, "userInfo": t.lab.own_user("walter")});
    t.refused(&Ask::post(USER_ADD.path, &body)).await.map(|_| ())
}

async fn add_is_no_friendship(t: &Trial<'_>) -> Outcome {
    let own = t.lab.own_user("walter");
    t.accepted(&request(t, &own, None)).await?;
    let friend = is_friend(t, &text(&own, "userID")).await?;
    t.demand(friend == 2, "isFriend 2", &friend.to_string())
}

/// A request of ours that the user answers; what the peer hears of it.
async fn answered(t: &Trial<'_>, own: &Value, agree: bool) -> Result<Heard, Stop> {
    let stage = t.lab.stage()?;
    let (mark, id) = (stage.mark(), text(own, "userID"));
    t.accepted(&request(t, own, Some("it is me"))).await?;
    t.act(&Act::AnswerFriend { user: t.lab.user(), from: &id, agree }).await?;
    let heard = stage.wait(mark, &USER_ANSWER, t.lab.patience, |heard| heard.text("/userID") == id).await;
    let heard = heard.ok_or_else(|| t.fail("POST /sns/rsp/users", "it did not come"))?;
    t.about(&heard);
    t.check(
        heard.text("/userInfo/userID") == t.lab.user(),
        "userInfo of who answers",
        heard.at("/userInfo").to_string(),
    );
    t.check(!heard.text("/userInfo/name").is_empty(), "its name", heard.at("/userInfo").to_string());
    Ok(heard)
}

async fn agreed(t: &Trial<'_>) -> Outcome {
    let own = t.lab.own_user("walter");
    let heard = answered(t, &own, true).await?;
    t.check(heard.at("/isAgree") == 1, "isAgree 1", heard.at("/isAgree").to_string());
    becomes(t, &text(&own, "userID"), 1).await
}

async fn declined(t: &Trial<'_>) -> Outcome {
    let own = t.lab.own_user("walter");
    let heard = answered(t, &own, false).await?;
    t.check(heard.at("/isAgree") == 2, "isAgree 2", heard.at("/isAgree").to_string());
    becomes(t, &text(&own, "userID"), 2).await
}

fn answer_of(own: &Value, to: &str, agree: i64) -> Ask {
    Ask::post(USER_ANSWER.path, &json!({"userID": to, "isAgree": agree, "userInfo": own}))
}

async fn unasked(t: &Trial<'_>) -> Result<Answer, Stop> {
    t.call(&answer_of(&t.lab.own_user("walter"), t.lab.user(), 1)).await
}

async fn answer_unasked(t: &Trial<'_>) -> Outcome {
    let answer = unasked(t).await?;
    t.demand(answer.is_refusal(), "a refusal", &said(&answer))
}

async fn answer_unasked_code(t: &Trial<'_>) -> Outcome {
    let answer = unasked(t).await?;
    t.demand(answer.code() == Some(1202), "code 1202", &said(&answer))
}

/// The user asks somebody of ours.
async fn asked(t: &Trial<'_>, own: &Value, remark: &str) -> Result<Heard, Stop> {
    let stage = t.lab.stage()?;
    let (mark, id) = (stage.mark(), text(own, "userID"));
    t.act(&Act::Befriend { from: t.lab.user(), to: &id, remark }).await?;
    let heard = stage.wait(mark, &USER_ADD, t.lab.patience, |heard| heard.text("/userID") == id).await;
    let heard = heard.ok_or_else(|| t.fail("POST /sns/add/users", "it did not come"))?;
    t.about(&heard);
    Ok(heard)
}

async fn out_add(t: &Trial<'_>) -> Outcome {
    let remark = "你好 😀, it is me";
    let heard = asked(t, &t.lab.own_user("walter"), remark).await?;
    t.check(heard.text("/remark") == remark, format!("remark {remark:?}"), heard.at("/remark").to_string());
    let info = heard.at("/userInfo");
    t.check(text(info, "userID") == t.lab.user(), "the user's own userInfo", info.to_string());
    t.check(!text(info, "name").is_empty(), "with its name", info.to_string());
    Ok(())
}

/// Friends, by the target's user's wish.
async fn befriended(t: &Trial<'_>) -> Result<Value, Stop> {
    let own = t.lab.own_user("walter");
    asked(t, &own, "it is me").await?;
    t.accepted(&answer_of(&own, t.lab.user(), 1)).await?;
    becomes(t, &text(&own, "userID"), 1).await?;
    Ok(own)
}

async fn out_agreed(t: &Trial<'_>) -> Outcome {
    let own = befriended(t).await?;
    t.accepted(&answer_of(&own, t.lab.user(), 1)).await.map(|_| ())
}

async fn out_declined(t: &Trial<'_>) -> Outcome {
    let own = t.lab.own_user("walter");
    asked(t, &own, "it is me").await?;
    t.accepted(&answer_of(&own, t.lab.user(), 2)).await?;
    becomes(t, &text(&own, "userID"), 2).await?;
    t.refused(&answer_of(&own, t.lab.user(), 1)).await?;
    becomes(t, &text(&own, "userID"), 2).await
}

async fn delete(t: &Trial<'_>) -> Outcome {
    let id = text(&befriended(t).await?, "userID");
    let ask = Ask::post(USER_DELETE.path, &json!({"userID": t.lab.user(), "requesterID": id}));
    t.accepted(&ask).await?;
    becomes(t, &id, 2).await?;
    let again = t.call(&ask).await?;
    t.demand(again.status == 200, "HTTP 200: the friendship has ended, whoever says so again", &said(&again))
}

async fn out_delete(t: &Trial<'_>) -> Outcome {
    let id = text(&befriended(t).await?, "userID");
    let stage = t.lab.stage()?;
    let mark = stage.mark();
    t.act(&Act::Unfriend { from: t.lab.user(), to: &id }).await?;
    let heard = stage.wait(mark, &USER_DELETE, t.lab.patience, |heard| heard.text("/userID") == id).await;
    let heard = heard.ok_or_else(|| t.fail("POST /sns/del/users", "it did not come"))?;
    t.about(&heard);
    t.check(heard.text("/requesterID") == t.lab.user(), "requesterID: the user", heard.json.to_string());
    becomes(t, &id, 2).await
}

async fn strangers_write(t: &Trial<'_>) -> Outcome {
    let message = super::message::to_user(t, &t.lab.own_user_id("stranger"), "hello");
    t.accepted(&Ask::post("/sns/chat/", &message)).await.map(|_| ())
}

async fn out_search(t: &Trial<'_>) -> Outcome {
    let stage = t.lab.stage()?;
    let name = t.lab.fresh("Wanda");
    let id = t.lab.own_user_id("wanda");
    if let Some(info) = stage.people().users.get_mut(&id) {
        info["name"] = json!(name);
    }
    let mark = stage.mark();
    let found = t.act(&Act::Search { user: t.lab.user(), query: &name }).await?;
    let heard = stage.wait(mark, &USER_SEARCH, t.lab.patience, |heard| heard.param("query").contains(&name)).await;
    let heard = heard.ok_or_else(|| t.fail("GET /sns/find/users at the peer", "it did not come"))?;
    t.about(&heard);
    t.demand(found.contains(&id), format!("{id} among what the user finds"), &found)
}

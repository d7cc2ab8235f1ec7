//! Second act: the policy changes while traffic flows.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Differs, SOON, Stage, Told, Trying, differs, ms, reaches, told};
use crate::demo::actor::{Said, receipt_of};
use crate::demo::bundle::{self, ENDLESS};
use crate::demo::say::Say;

/// Messages written into the endless plugin.
const INTO_THE_LOOP: usize = 20;
/// What the endless plugin may cost others: the median of what they do stays below this.
const UNDISTURBED: Duration = Duration::from_millis(100);

pub(super) async fn tell(stage: &Stage<'_>, say: &mut Say) {
    say.step(
        "south's security administrator activates a bundle whose black list names north, while both run",
        "the next message is refused with code 1102 and alice is told",
    );
    told(say, &blacklisted_by_hand(stage).await);
    say.step("south activates its former bundle", "messages flow again");
    told(say, &lifted_by_hand(stage).await);
    say.step(
        "the black list in south's watched folder gets a line",
        "south activates it by itself; the next message is refused with code 1102",
    );
    told(say, &blacklisted_by_folder(stage).await);
    say.step("the line is taken out of the watched folder again", "south activates that too; messages flow");
    told(say, &lifted_by_folder(stage).await);
    say.step(
        "south activates a bundle with a plugin that loops for ever, and alice writes into it",
        "each message is stopped at the plugin's time limit and not delivered; north, and whoever asks south meanwhile, \
         notice nothing",
    );
    told(say, &endless(stage).await);
    say.step("south rolls back", "the generation before it is active, and messages flow");
    told(say, &rolled_back(stage).await);
}

/// A bundle beside south's watched folder, begun as a copy of that.
fn beside(stage: &Stage<'_>, name: &str) -> Result<PathBuf, Differs> {
    let bundle = stage.cast.folder.root().join("bundles").join(name);
    bundle::copy(&stage.south_record().policy_dir, &bundle).trying("copy the bundle")?;
    Ok(bundle)
}

fn watched<'a>(stage: &'a Stage<'_>) -> &'a Path {
    &stage.south_record().policy_dir
}

async fn blacklisted_by_hand(stage: &Stage<'_>) -> Told {
    let bundle = beside(stage, "without-north")?;
    bundle::add(&bundle, "blacklist", &["north"]).trying("write the black list")?;
    let began = Instant::now();
    let active = stage.south.activate(&bundle, "the story blacklists north").await.trying("activate")?;
    let took = began.elapsed();
    let refused = stage.south_refuses("Can you read me?", 1102).await?;
    Ok(format!("generation {} was active after {} ms; {refused}", active.number, ms(took)))
}

async fn lifted_by_hand(stage: &Stage<'_>) -> Told {
    let active = stage.south.activate(watched(stage), "the story lifts it").await.trying("activate")?;
    let after = stage.alice_reaches_carol("Can you read me now?").await?;
    Ok(format!("under generation {} carol read alice after {after:.1} ms", active.number))
}

async fn blacklisted_by_folder(stage: &Stage<'_>) -> Told {
    let change = || bundle::add(watched(stage), "blacklist", &["north"]);
    let noticed = change_and_wait(stage, change).await?;
    let refused = stage.south_refuses("And now?", 1102).await?;
    Ok(format!("{noticed}; {refused}"))
}

async fn lifted_by_folder(stage: &Stage<'_>) -> Told {
    let change = || bundle::remove(watched(stage), "blacklist", "north");
    let noticed = change_and_wait(stage, change).await?;
    let after = stage.alice_reaches_carol("Back again.").await?;
    Ok(format!("{noticed}; carol read alice after {after:.1} ms"))
}

async fn change_and_wait<E: std::fmt::Display>(
    stage: &Stage<'_>,
    change: impl FnOnce() -> Result<(), E>,
) -> Result<String, Differs> {
    let before = stage.south.generation().await.trying("ask for the generation")?;
    let began = Instant::now();
    change().trying("write the black list")?;
    loop {
        let active = stage.south.generation().await.trying("ask for the generation")?;
        if active != before {
            return Ok(format!("generation {active} was active {} ms after the file changed", ms(began.elapsed())));
        }
        if began.elapsed() > SOON {
            return differs(format!("generation {before} is still active {} s after the change", SOON.as_secs()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn endless(stage: &Stage<'_>) -> Told {
    let bundle = beside(stage, "endless")?;
    bundle::add_endless(&bundle).trying("write the bundle")?;
    let before = others(stage, 10).await?;
    let mark = stage.carol.mark();
    let active = stage.south.activate(&bundle, "the story lets a plugin loop").await.trying("activate")?;
    let (stopped, during) = tokio::join!(into_the_loop(stage), others(stage, 40));
    let (stopped, during) = (stopped?, during?);
    let read = stage.carol.texts(mark, &stage.alice.id);
    if !read.is_empty() {
        return differs(format!("carol read {} messages that no plugin had let through", read.len()));
    }
    let timeouts = timeouts(&stage.south.policy().await.trying("ask for the policy")?);
    let words = format!(
        "generation {}: {stopped}; south counts {timeouts} timeouts of “{ENDLESS}”; north's own messages took {} ms at the median ({} before), south's answers to \
         others {} ms ({} before)",
        active.number,
        ms(during.north),
        ms(before.north),
        ms(during.south),
        ms(before.south)
    );
    if timeouts == 0 || during.north.max(during.south) > UNDISTURBED { differs(words) } else { Ok(words) }
}

/// Alice writes into the endless plugin: what became of it.
async fn into_the_loop(stage: &Stage<'_>) -> Told {
    let mark = stage.alice.mark();
    let mut ids = Vec::new();
    let began = tokio::time::Instant::now();
    for number in 0..INTO_THE_LOOP {
        match stage.alice.say(&stage.carol.id, &format!("into the loop, {number}")).await.trying("alice writes")? {
            Said::Taken { id, .. } => ids.push(id),
            Said::Refused { code, msg } => return differs(format!("north refused alice: code {code}, “{msg}”")),
        }
    }
    let mut ends = std::collections::BTreeMap::<String, usize>::new();
    let mut last = began;
    for id in &ids {
        let Some((at, (state, code, _))) = stage.alice.hear(mark, SOON, |event| receipt_of(event, id)).await else {
            return differs(format!(
                "one of {INTO_THE_LOOP} messages into the loop had no end within {} s",
                SOON.as_secs()
            ));
        };
        last = last.max(at);
        *ends.entry(if code == 0 { state } else { format!("{state} (code {code})") }).or_default() += 1;
    }
    let ends: Vec<String> = ends.iter().map(|(end, n)| format!("{n} {end}")).collect();
    Ok(format!("of {INTO_THE_LOOP} messages {} within {} ms", ends.join(", "), ms(last.duration_since(began))))
}

/// Medians of what others do meanwhile.
struct Others {
    /// Alice's neighbour hears from her server, end to end.
    north: Duration,
    /// South answers its user who asks for his inbox.
    south: Duration,
}

async fn others(stage: &Stage<'_>, times: u32) -> Result<Others, Differs> {
    let (mut north, mut south) = (Vec::new(), Vec::new());
    for number in 0..times {
        let text = format!("are you disturbed? {number}");
        north.push(Duration::from_secs_f64(reaches(&stage.bob, &stage.alice, &text).await? / 1e3));
        let began = Instant::now();
        stage.dave.api().get("/client/v1/me").await.trying("dave asks south who he is")?;
        south.push(began.elapsed());
    }
    Ok(Others { north: median(north), south: median(south) })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// How often `policy show` counts the endless plugin's time limit.
fn timeouts(shown: &Value) -> u64 {
    let all = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let plugin = all(&shown["plugins"]).into_iter().find(|plugin| plugin["name"] == ENDLESS).unwrap_or_default();
    let faults = all(&plugin["stats"]["faults"]);
    faults.iter().filter(|fault| fault[0] == "timeout").filter_map(|fault| fault[1].as_u64()).sum()
}

async fn rolled_back(stage: &Stage<'_>) -> Told {
    let active = stage.south.rollback("the story ends the loop").await.trying("roll back")?;
    let after = stage.alice_reaches_carol("All is well again.").await?;
    Ok(format!("generation {}; carol read alice after {after:.1} ms", active.number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_counted_for_the_endless_plugin_alone() {
        let shown = serde_json::json!({"plugins": [
            {"name": "words", "stats": {"faults": [["timeout", 5]]}},
            {"name": "endless", "stats": {"faults": [["trap", 1], ["timeout", 20]]}},
        ]});
        assert_eq!(timeouts(&shown), 20);
        assert_eq!(timeouts(&Value::Null), 0);
    }

    #[test]
    fn the_median_of_nothing_is_nothing_and_of_three_the_middle() {
        assert_eq!(median(Vec::new()), Duration::ZERO);
        let times = [9, 1, 5].map(Duration::from_millis);
        assert_eq!(median(times.to_vec()), Duration::from_millis(5));
    }
}

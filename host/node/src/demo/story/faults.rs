//! Third act: a server is away, and a server is killed.

use std::time::Duration;

use super::{Differs, SOON, Stage, Told, Trying, differs, ms, told};
use crate::demo::actor::{Actor, Mark, Said};
use crate::demo::say::Say;

/// Messages written while south is away.
const MEANWHILE: usize = 25;
/// Messages in each direction around the kill.
const UNDER_WAY: usize = 150;
/// From a restart until a backlog has arrived, at worst, on a slow machine with a debug build.
const RETURN: Duration = Duration::from_secs(30);

pub(super) async fn tell(stage: &Stage<'_>, say: &mut Say) {
    say.step(
        &format!("south is stopped, alice writes {MEANWHILE} messages, and south is started again"),
        "north keeps them meanwhile; carol reads all of them, in the order of their writing",
    );
    told(say, &away(stage).await);
    say.step(
        &format!("south is killed (SIGKILL) while {UNDER_WAY} messages go each way, and started again"),
        "of what a server had answered for, nothing is lost, nothing is read twice, and the order holds",
    );
    told(say, &Box::pin(killed(stage)).await);
}

async fn away(stage: &Stage<'_>) -> Told {
    let mark = stage.carol.mark();
    if !stage.cast.stop_one("south").await {
        return differs("south did not stop gracefully");
    }
    let texts: Vec<String> = (1..=MEANWHILE).map(|n| format!("while you were away, {n}")).collect();
    for text in &texts {
        stage.alice_writes(text).await?;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.cast.start_again("south").await.trying("start south again")?;
    let began = tokio::time::Instant::now();
    let read = read_all(stage, mark, texts.len()).await;
    if read == texts {
        return Ok(format!("carol read all {MEANWHILE} in order, {} ms after south was back", ms(began.elapsed())));
    }
    differs(format!("carol read {} of {MEANWHILE}: {read:?}", read.len()))
}

async fn read_all(stage: &Stage<'_>, mark: Mark, count: usize) -> Vec<String> {
    let deadline = tokio::time::Instant::now() + RETURN;
    loop {
        let read = stage.carol.texts(mark, &stage.alice.id);
        if read.len() >= count || tokio::time::Instant::now() > deadline {
            return read;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn killed(stage: &Stage<'_>) -> Told {
    let (by_carol, by_alice) = (stage.carol.mark(), stage.alice.mark());
    let (there, back, restarted) = tokio::join!(
        stream(&stage.alice, &stage.carol, "to the south"),
        stream(&stage.carol, &stage.alice, "to the north"),
        kill_south_midway(stage, by_carol),
    );
    let (there, back, when) = (there?, back?, restarted?);
    let to_carol = compare(&stage.carol, by_carol, &stage.alice.id, &there).await;
    let to_alice = compare(&stage.alice, by_alice, &stage.carol.id, &back).await;
    match (to_carol, to_alice) {
        (None, None) => Ok(format!(
            "south was killed after carol had read {when} messages; in the end carol read {} and alice {}, each once and in \
             order",
            there.len(),
            back.len()
        )),
        (carol, alice) => differs([carol, alice].into_iter().flatten().collect::<Vec<_>>().join("; ")),
    }
}

/// Writes one after the other, each until it is answered: the texts that were answered with "kept".
async fn stream(from: &Actor, to: &Actor, what: &str) -> Result<Vec<String>, Differs> {
    let mut texts = Vec::new();
    for number in 1..=UNDER_WAY {
        let text = format!("{what}, {number}");
        match from.insist(&to.id, &text, RETURN).await.trying(&format!("{} writes", from.id))? {
            Said::Taken { .. } => texts.push(text),
            Said::Refused { code, msg } => return differs(format!("{} was refused: {code}, “{msg}”", from.id)),
        }
    }
    Ok(texts)
}

/// Kills south once a good part has arrived, and starts it again: how much carol had read.
async fn kill_south_midway(stage: &Stage<'_>, mark: Mark) -> Result<usize, Differs> {
    let deadline = tokio::time::Instant::now() + SOON;
    while stage.carol.texts(mark, &stage.alice.id).len() < UNDER_WAY / 3 {
        if tokio::time::Instant::now() > deadline {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let read = stage.carol.texts(mark, &stage.alice.id).len();
    if let Some(process) = stage.cast.process("south") {
        process.kill();
    }
    stage.cast.start_again("south").await.trying("start south again")?;
    Ok(read)
}

/// What is wrong with what `reader` read, if anything.
async fn compare(reader: &Actor, mark: Mark, sender: &str, sent: &[String]) -> Option<String> {
    let deadline = tokio::time::Instant::now() + RETURN;
    loop {
        let read = reader.texts(mark, sender);
        if read.len() >= sent.len() || tokio::time::Instant::now() > deadline {
            // A second copy would come right behind.
            tokio::time::sleep(Duration::from_millis(500)).await;
            return difference(&reader.id, &reader.texts(mark, sender), sent);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn difference(reader: &str, read: &[String], sent: &[String]) -> Option<String> {
    if read == sent {
        return None;
    }
    let lost = sent.iter().filter(|text| !read.contains(text)).count();
    let mut once = std::collections::HashSet::new();
    let doubled = read.iter().filter(|text| !once.insert(*text)).count();
    Some(format!("{reader} read {} of {}: {lost} lost, {doubled} twice, or out of order", read.len(), sent.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_doubled_and_disordered_messages_are_told_apart_from_a_whole_conversation() {
        let texts = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let sent = texts(&["a", "b", "c"]);
        assert_eq!(difference("carol", &sent, &sent), None);
        let check = |read: &[&str], words: &str| {
            let told = difference("carol", &texts(read), &sent).unwrap_or_default();
            assert!(told.contains(words), "{told}");
        };
        check(&["a", "c"], "1 lost, 0 twice");
        check(&["a", "b", "b", "c"], "0 lost, 1 twice");
        check(&["b", "a", "c"], "out of order");
    }
}

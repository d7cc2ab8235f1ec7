//! First act: people talk, and the keywords of both servers do their work.

use super::{SOON, Stage, Told, Trying, differs, kept, ms, reaches, told};
use crate::demo::actor::{Said, receipt_of, text_of};
use crate::demo::say::Say;

pub(super) async fn tell(stage: &Stage<'_>, say: &mut Say) {
    say.step(
        "alice@north writes to carol@south, carol answers, and dave greets bob",
        "each message is pushed to its reader's device",
    );
    told(say, &pushed(stage).await);
    say.step("alice writes “the plan is secret, 机密”", "north masks the keyword on the way out; carol reads the rest");
    told(say, &masked(stage).await);
    say.step(
        "alice writes “this is forbidden”",
        "north refuses it at once with code 1103 and its plugin's reason; carol hears nothing",
    );
    told(say, &rejected_at_home(stage).await);
    say.step(
        "alice writes “I have smuggled goods”, a keyword of south",
        "south refuses it with code 1103, and alice is told why",
    );
    told(say, &stage.south_refuses("I have smuggled goods", 1103).await);
    say.step(
        "alice writes “a suspicious parcel”; south's security administrator releases it",
        "south holds it until then; carol reads it after the release, not before",
    );
    told(say, &held_and_released(stage).await);
}

async fn pushed(stage: &Stage<'_>) -> Told {
    let first = stage.alice_reaches_carol("Good morning, Carol! 早上好").await?;
    let second = reaches(&stage.carol, &stage.alice, "Good morning, Alice!").await?;
    let third = reaches(&stage.dave, &stage.bob, "Hello from the south").await?;
    Ok(format!(
        "carol read alice after {first:.1} ms, alice read carol after {second:.1} ms, bob read dave after {third:.1} ms"
    ))
}

async fn masked(stage: &Stage<'_>) -> Told {
    let mark = stage.carol.mark();
    stage.alice_writes("the plan is secret, 机密").await?;
    let heard = stage.carol.hear(mark, SOON, |event| text_of(event, &stage.alice.id)).await;
    match heard {
        None => differs("carol read nothing"),
        Some((_, text)) if text.contains("secret") || text.contains("机密") || !text.starts_with("the plan is ") => {
            differs(format!("carol read “{text}”"))
        }
        Some((_, text)) => Ok(format!("carol read “{text}”")),
    }
}

async fn rejected_at_home(stage: &Stage<'_>) -> Told {
    let mark = stage.carol.mark();
    let said = stage.alice.say(&stage.carol.id, "this is forbidden").await.trying("alice writes")?;
    // What comes after it in the same conversation would have come after it.
    stage.alice_reaches_carol("Never mind.").await?;
    let read = stage.carol.texts(mark, &stage.alice.id);
    match said {
        Said::Refused { code: 1103, msg } if read == ["Never mind."] => {
            Ok(format!("alice was refused with code 1103, “{msg}”; carol read only what alice wrote next"))
        }
        said @ (Said::Taken { .. } | Said::Refused { .. }) => {
            differs(format!("alice got {said:?}; carol read {read:?}"))
        }
    }
}

async fn held_and_released(stage: &Stage<'_>) -> Told {
    const TEXT: &str = "a suspicious parcel";
    let (by_alice, by_carol) = (stage.alice.mark(), stage.carol.mark());
    let before = stage.south.held().await.trying("list the held messages")?;
    let id = kept(&stage.alice, &stage.carol, TEXT).await?;
    let receipt = stage.alice.hear(by_alice, SOON, |event| receipt_of(event, &id)).await;
    let held: Vec<_> = stage.south.held().await.trying("list the held messages")?;
    let Some(waiting) = held.into_iter().find(|id| !before.contains(id)) else {
        return differs(format!("south holds nothing new; alice heard {receipt:?}"));
    };
    if !stage.carol.texts(by_carol, &stage.alice.id).is_empty() {
        return differs("carol read it before it was released");
    }
    let began = tokio::time::Instant::now();
    stage.south.release(&waiting).await.trying("release it")?;
    let read =
        stage.carol.hear(by_carol, SOON, |event| text_of(event, &stage.alice.id).filter(|text| text == TEXT)).await;
    match read {
        Some((at, _)) => {
            Ok(format!("south held it; carol read it {} ms after the release", ms(at.duration_since(began))))
        }
        None => differs(format!("carol did not read it within {} s after the release", SOON.as_secs())),
    }
}

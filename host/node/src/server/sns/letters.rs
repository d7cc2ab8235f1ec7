//! Many messages in one request (`POST /isthmus/v1/letters`, reading, section 9), each treated as one that came by itself
//! (§7.4.2): R12, duplicates, policy, rule, record and answer.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use futures_util::future::join_all;
use isthmus_wire::call::message::Send;
use isthmus_wire::code::{Code, Refusal, Retry, Transport};
use isthmus_wire::json::{self, Fields, Json};
use isthmus_wire::letters::{Answers, LetterAnswer};

use super::{Asked, answer, message};
use crate::reply::{Problem, Reply, chain};
use crate::server::batch::UNTOUCHED;
use crate::server::turn::Turn;

type Members<'a> = &'a [(Cow<'a, str>, Json<'a>)];

/// One message and its lane.
struct Letter<'a> {
    lane: i64,
    members: Members<'a>,
}

/// Answers each of them.
pub(super) async fn take(ask: Asked) -> Result<Reply, Problem> {
    let body = json::parse(&ask.body)?;
    let letters = letters(&body)?;
    let most = ask.server.offer().map_or(0, |offer| offer.letters);
    if letters.len() > most {
        return Err(Problem::Transport(Transport::TooLarge, format!("more than {most} letters")));
    }
    // All are begun in their order before any is waited for: their rules share a commit.
    let answers = join_all(turns(letters).into_iter().map(|(letter, turn)| Box::pin(one(&ask, letter, turn)))).await;
    let mut ends: BTreeMap<(u16, Code), u64> = BTreeMap::new();
    answers.iter().for_each(|answer| *ends.entry((answer.status, answer.code)).or_default() += 1);
    ends.into_iter().for_each(|((status, code), count)| crate::telemetry::letters(status, code, count));
    Ok(answer(Answers { answers }))
}

fn letters<'a>(body: &'a Json<'a>) -> Result<Vec<Letter<'a>>, Refusal> {
    let not_a_list = || Refusal::field(Code::InvalidField, "letters", "must be an array of objects");
    let Json::Object(members) = body else { return Err(not_a_list()) };
    let Some(Json::List(items)) = Fields::root(members).value("letters")? else { return Err(not_a_list()) };
    let letter = |item: &'a Json<'a>| {
        let Json::Object(members) = item else { return Err(not_a_list()) };
        Ok(Letter { lane: Fields::root(members).int64("lane")?, members })
    };
    items.iter().map(letter).collect()
}

/// Each letter with its turn among those of its lane.
fn turns<'a>(letters: Vec<Letter<'a>>) -> Vec<(Letter<'a>, Turn)> {
    let mut lanes: HashMap<i64, Turn> = HashMap::new();
    let mut all = Vec::with_capacity(letters.len());
    for letter in letters {
        let turn = lanes.get(&letter.lane).map_or_else(Turn::first, Turn::next);
        lanes.insert(letter.lane, turn.clone());
        all.push((letter, turn));
    }
    all
}

async fn one(ask: &Asked, letter: Letter<'_>, mut turn: Turn) -> LetterAnswer {
    if !turn.comes().await {
        return passed_over("a message before it is not settled yet; retry");
    }
    let result = match ask.read_part::<Send>(letter.members).await {
        Ok(chat) => message::take(ask, chat.message_info, &turn).await,
        Err(problem) => Err(problem),
    };
    match result {
        Ok(()) => {
            turn.over();
            LetterAnswer { status: 200, code: Code::Success, msg: "success".to_owned(), retry_after: None }
        }
        Err(problem) => refused(&problem, &turn),
    }
}

fn passed_over(msg: &str) -> LetterAnswer {
    LetterAnswer { status: UNTOUCHED, code: Code::Overloaded, msg: msg.to_owned(), retry_after: None }
}

fn refused(problem: &Problem, turn: &Turn) -> LetterAnswer {
    if let Problem::Fault(error) = problem {
        tracing::error!(error = chain(error.as_ref()), "a letter failed");
    }
    let (status, code, msg) = problem.public();
    if turn.passed_over() {
        return passed_over(msg);
    }
    if Retry::of(status, code) == Retry::Never {
        turn.over()
    } else {
        turn.stuck()
    }
    let retry_after = if let Problem::Later(seconds, _) = problem { Some(*seconds) } else { None };
    LetterAnswer { status, code, msg: msg.to_owned(), retry_after }
}

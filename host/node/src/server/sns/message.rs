//! Messages (§7.4.2).

use isthmus_wire::call::message::Send;

use super::{Asked, success};
use crate::reply::{Problem, Reply};

/// `POST /sns/chat/`: code 0 says that it is kept.
pub(super) async fn send(ask: Asked) -> Result<Reply, Problem> {
    let chat: Send = ask.read().await?;
    ask.server.receive(&ask.peer, chat.message_info).await?;
    Ok(success())
}

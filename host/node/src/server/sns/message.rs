//! Messages (§7.4.2).

use isthmus_wire::call::message::Send;
use isthmus_wire::{ChatScene, MessageInfo};

use super::{Asked, success};
use crate::reply::{Problem, Reply};
use crate::server::turn::Turn;

/// `POST /sns/chat/`: code 0 says that it is kept.
pub(super) async fn send(ask: Asked) -> Result<Reply, Problem> {
    let chat: Send = ask.read().await?;
    take(&ask, chat.message_info, &Turn::first()).await?;
    Ok(success())
}

/// Takes one message, in its turn.
pub(super) async fn take(ask: &Asked, info: MessageInfo, turn: &Turn) -> Result<(), Problem> {
    match info.chat_scene {
        ChatScene::User => ask.server.receive(&ask.peer, info, turn).await,
        ChatScene::Group => super::group::message(ask, info, turn).await,
    }
}

//! Messages (§7.4.2).

use isthmus_wire::ChatScene;
use isthmus_wire::call::message::Send;

use super::{Asked, success};
use crate::reply::{Problem, Reply};

/// `POST /sns/chat/`: code 0 says that it is kept.
pub(super) async fn send(ask: Asked) -> Result<Reply, Problem> {
    let chat: Send = ask.read().await?;
    let info = chat.message_info;
    match info.chat_scene {
        ChatScene::User => ask.server.receive(&ask.peer, info).await?,
        ChatScene::Group => super::group::message(&ask, info).await?,
    }
    Ok(success())
}

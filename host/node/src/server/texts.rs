//! Texts that pass the content policy each for itself: names, own words and the like, in what others say and in what they
//! are told. There the call or answer stands without them: one that the policy rejects (or would hold) is replaced, a name
//! by the ID, and recorded.

use std::borrow::Cow;
use std::sync::Arc;

use isthmus_domain::errand::{Errand, Said};
use isthmus_domain::group::{self, member};
use isthmus_policy::{Call, Direction};
use isthmus_wire::call::CallSpec;
use isthmus_wire::{ChatScene, Content, GroupId, GroupInfo, MessageInfo, ReqInfo, ServerId, UserInfo};
use serde_json::Value;

use super::Server;
use super::gate::{self, Question, Ruling};
use super::send::{message_question, rewrite};
use crate::reply::Problem;

/// Stands in a page of a group's history for a message that the policy does not let out: its place must not be empty.
pub(crate) const WITHHELD: &str = "[withheld by content policy]";

/// A text where it stands.
pub(crate) struct Spot<'a> {
    kind: &'static str,
    text: &'a mut String,
    /// What is put there if the text may not be shown.
    instead: String,
}

impl Spot<'_> {
    /// The same spot with something else in its place.
    pub(crate) fn or(self, instead: String) -> Self {
        Spot { instead, ..self }
    }
}

/// Name and own words of a user. Words that may not be shown are emptied: see [`tidy`].
pub(crate) fn of_user(info: &mut UserInfo) -> Vec<Spot<'_>> {
    let id = info.user_id.as_str();
    let mut spots = Vec::new();
    if info.name != id {
        spots.push(Spot { kind: "profile.text", text: &mut info.name, instead: id.to_owned() });
    }
    if let Some(words) = info.remark.as_mut().filter(|words| !words.is_empty()) {
        spots.push(Spot { kind: "profile.text", text: words, instead: String::new() });
    }
    spots
}

/// The name of a group.
pub(crate) fn of_group(info: &mut GroupInfo) -> Option<Spot<'_>> {
    let id = info.group_id.as_str();
    (info.group_name != id).then_some(Spot { kind: "group.text", text: &mut info.group_name, instead: id.to_owned() })
}

/// Optional words that were emptied are none.
fn tidy(info: &mut UserInfo) {
    info.remark.take_if(|words| words.is_empty());
}

impl Server {
    /// Puts in each spot what the content policy makes of it. `call`: what says it.
    ///
    /// # Errors
    /// 1302 if the policy is overloaded.
    pub(crate) async fn admit(&self, call: Call, spots: Vec<Spot<'_>>) -> Result<(), Problem> {
        let items = spots.iter().map(|spot| gate::text(spot.kind, spot.text)).collect();
        for (spot, text) in spots.into_iter().zip(self.gate.texts(call, items).await?) {
            *spot.text = match text {
                // An empty name is no name.
                Ok(text) if text.trim().is_empty() && !spot.text.is_empty() => spot.instead,
                Ok(text) => text,
                Err((_, trail)) => {
                    self.note(&trail).await;
                    spot.instead
                }
            };
        }
        Ok(())
    }

    /// Names and words of users.
    ///
    /// # Errors
    /// As [`Server::admit`].
    pub(crate) async fn admit_users(
        &self,
        call: Call,
        users: impl IntoIterator<Item = &mut UserInfo>,
    ) -> Result<(), Problem> {
        let mut users: Vec<&mut UserInfo> = users.into_iter().collect();
        self.admit(call, users.iter_mut().flat_map(|user| of_user(user)).collect()).await?;
        users.into_iter().for_each(tidy);
        Ok(())
    }

    /// Names of groups.
    ///
    /// # Errors
    /// As [`Server::admit`].
    pub(crate) async fn admit_groups(
        &self,
        call: Call,
        groups: impl IntoIterator<Item = &mut GroupInfo>,
    ) -> Result<(), Problem> {
        self.admit(call, groups.into_iter().filter_map(of_group).collect()).await
    }

    /// Another server's words about what it was asked, or did not do.
    ///
    /// # Errors
    /// As [`Server::admit`].
    pub(crate) async fn admit_words(
        &self,
        peer: &ServerId,
        operation: impl Into<Cow<'static, str>>,
        mut words: String,
    ) -> Result<String, Problem> {
        if !words.is_empty() {
            let call = gate::call(Direction::Inbound, operation, Some(self.peer_facts(peer)), "", "");
            let instead = "(the server's words are not shown here)".to_owned();
            self.admit(call, vec![Spot { kind: "answer.text", text: &mut words, instead }]).await?;
        }
        Ok(words)
    }

    /// What another server is told in answer to a call.
    pub(crate) fn telling(&self, peer: &ServerId, spec: &CallSpec, target: &str) -> Call {
        gate::call(Direction::Outbound, spec.name, Some(self.peer_facts(peer)), "", target)
    }

    /// What another server answers, or tells by itself.
    pub(crate) fn told(&self, peer: &ServerId, spec: &CallSpec, target: &str) -> Call {
        gate::call(Direction::Inbound, spec.name, Some(self.peer_facts(peer)), "", target)
    }

    /// Names of users in what a group's main server says. What is known here already passed; one that may not be shown is
    /// what it was here, else the ID.
    ///
    /// # Errors
    /// As [`Server::admit`].
    pub(crate) async fn admit_members(
        &self,
        call: Call,
        group: &GroupId,
        users: impl IntoIterator<Item = &mut UserInfo>,
    ) -> Result<(), Problem> {
        let mut spots = Vec::new();
        let view = self.store.view()?;
        let known = group::find(&view, group)?;
        for user in users {
            user.remark = None;
            let before = known.as_ref().map(|group| member::get(&view, group, &user.user_id)).transpose()?.flatten();
            let before = before.map(|member| member.info.name);
            if before.as_ref() != Some(&user.name) {
                let spots_here = of_user(user).into_iter();
                spots.extend(spots_here.map(|spot| match &before {
                    Some(before) => spot.or(before.clone()),
                    None => spot,
                }));
            }
        }
        drop(view);
        self.admit(call, spots).await
    }

    /// The texts of an errand that may be replaced, as they may leave now.
    ///
    /// # Errors
    /// As [`Server::admit`].
    pub(crate) async fn admit_errand(&self, errand: &Errand, body: &mut Value, call: Call) -> Result<(), Problem> {
        let replaceable: Vec<&Said> = errand.said.iter().filter(|said| said.instead.is_some()).collect();
        let at = |said: &Said| body.pointer(&said.pointer).and_then(Value::as_str).unwrap_or_default();
        let items = replaceable.iter().map(|said| gate::text(said.kind.clone(), at(said))).collect();
        for (said, text) in replaceable.into_iter().zip(self.gate.texts(call, items).await?) {
            let text = match text {
                Ok(text) => text,
                Err((_, trail)) => {
                    self.note(&trail).await;
                    said.instead.clone().unwrap_or_default()
                }
            };
            put(body, &said.pointer, text);
        }
        Ok(())
    }

    /// A page of a group's history as `peer` may see it: each message is judged as it was when it was posted there.
    ///
    /// # Errors
    /// 1302 if the policy is overloaded; a fault of the store.
    pub(crate) async fn page_for(
        self: &Arc<Self>,
        peer: &ServerId,
        messages: Vec<MessageInfo>,
    ) -> Result<Vec<MessageInfo>, Problem> {
        let mut shown = Vec::with_capacity(messages.len());
        for info in messages {
            let mut question = message_question(
                Direction::Outbound,
                Some(self.peer_facts(peer)),
                (info.send_id.as_str(), info.recv_id.as_str()),
                ChatScene::Group,
                &info.content,
                info.message_id.to_string(),
            );
            question.items.extend(self.own_file(&info.content).await?);
            let id = info.clone();
            let rewritten = |info: &mut MessageInfo, index, text| rewrite(&mut info.content, index, text);
            shown.push(match self.gate.rule(question, info, rewritten).await? {
                Ruling::Cleared(cleared) => cleared.into_parts().0,
                Ruling::Held(cleared, reason) => {
                    let _left_out = self.no_quarantine(cleared, reason).await;
                    withheld(id)
                }
                Ruling::Refused(refusal, trail) => {
                    let _left_out = self.refused(refusal, &trail).await;
                    withheld(id)
                }
            });
        }
        Ok(shown)
    }
}

fn withheld(info: MessageInfo) -> MessageInfo {
    // A recall says nothing: it is the act that was refused, and its place stays without a word.
    MessageInfo { content: Content::Text { message: WITHHELD.to_owned() }, ..info }
}

/// An empty text takes the field out.
fn put(body: &mut Value, pointer: &str, text: String) {
    if !text.is_empty() {
        if let Some(place) = body.pointer_mut(pointer) {
            *place = text.into();
        }
        return;
    }
    let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
    if let Some(Value::Object(members)) = body.pointer_mut(parent) {
        members.remove(name);
    }
}

/// The texts of an invitation or application that the content policy judges together. A ticket is no text.
pub(crate) struct InviteTexts(Vec<(&'static str, Place, String)>);

#[derive(Clone, Copy)]
enum Place {
    Group,
    Inviter,
    Invited(usize),
    Words(usize),
}

impl InviteTexts {
    pub(crate) fn of(req: &ReqInfo) -> InviteTexts {
        let mut texts = vec![
            ("group.text", Place::Group, req.group_info.group_name.clone()),
            ("profile.text", Place::Inviter, req.user_info.name.clone()),
        ];
        for (index, user) in req.invite_users.iter().enumerate() {
            if user.name != user.user_id.as_str() && user.name != req.user_info.name {
                texts.push(("profile.text", Place::Invited(index), user.name.clone()));
            }
            if let Some(words) = user.remark.as_ref().filter(|words| !group::ticket::is_one(words)) {
                texts.push(("friend.remark", Place::Words(index), words.clone()));
            }
        }
        InviteTexts(texts)
    }

    pub(crate) fn ask(&self, question: &mut Question) {
        question.items.extend(self.0.iter().map(|(kind, _, text)| gate::text(*kind, text)));
        question.fields.push(("text".to_owned(), self.0[0].2.clone()));
    }

    pub(crate) fn put(&self, req: &mut ReqInfo, index: usize, text: String) {
        match self.0.get(index).map(|(_, place, _)| *place) {
            Some(Place::Group) => req.group_info.group_name = text,
            Some(Place::Inviter) => {
                let before = std::mem::replace(&mut req.user_info.name, text);
                // Whoever applies is named twice.
                for user in req.invite_users.iter_mut().filter(|user| user.name == before) {
                    user.name.clone_from(&req.user_info.name);
                }
            }
            Some(Place::Invited(user)) => {
                if let Some(user) = req.invite_users.get_mut(user) {
                    user.name = text;
                }
            }
            Some(Place::Words(user)) => {
                if let Some(user) = req.invite_users.get_mut(user) {
                    user.remark = Some(text);
                }
            }
            None => {}
        }
    }
}

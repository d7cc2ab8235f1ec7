//! What a user does with a group: making and changing it, parting with it, taking a message back.

use isthmus_domain::group::{Act, NewGroup, Update as Change, manage, recall, view};
use isthmus_domain::recall::Recall;
use isthmus_domain::{Scene, TimeId};
use isthmus_store::Tx;
use isthmus_wire::call::group::{Leave, Remove, Update};
use isthmus_wire::call::{GROUP_LEAVE, GROUP_REMOVE, GROUP_UPDATE};
use isthmus_wire::code::{Code, Refusal};
use isthmus_wire::record::YesNo;
use isthmus_wire::{ChatScene, Content, GroupInfo, GrpSet, MediaId, MessageId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::parse;
use super::{OfUser, UsersBody, after, group_view, user_id, user_ids};
use crate::clock;
use crate::reply::Problem;
use crate::server::accounts::internal;
use crate::server::gate::{self, Question};
use crate::server::groups::listed;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateBody {
    group_name: String,
    #[serde(default)]
    group_icon: Option<String>,
    /// Members may invite.
    #[serde(default = "yes")]
    is_allow: bool,
    /// Search finds it.
    #[serde(default = "yes")]
    is_visible: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChangeBody {
    #[serde(default)]
    group_name: Option<String>,
    /// An empty text removes it.
    #[serde(default)]
    group_icon: Option<String>,
    #[serde(default)]
    is_allow: Option<bool>,
    #[serde(default)]
    is_visible: Option<bool>,
}

#[derive(Deserialize)]
struct UserBody {
    #[serde(rename = "userID")]
    user_id: String,
}

#[derive(Deserialize)]
struct AdminsBody {
    users: Vec<String>,
    admin: bool,
}

#[derive(Deserialize)]
struct RecallBody {
    #[serde(rename = "messageID")]
    message_id: String,
}

fn icon(text: &str) -> Result<MediaId, Problem> {
    let invalid = |e| Refusal::field(Code::INVALID_FIELD, "groupIcon", format_args!("the ID {e}")).into();
    MediaId::parse(text).map_err(invalid)
}

impl OfUser<'_> {
    pub(super) async fn create(&self) -> Result<Value, Problem> {
        let body: CreateBody = parse(&self.ask.body)?;
        let new = NewGroup {
            name: body.group_name,
            icon: body.group_icon.as_deref().map(icon).transpose()?,
            open: body.is_allow,
            visible: body.is_visible,
        };
        let mut question: Question = internal("group.create", self.id().as_str(), "").into();
        question.items.push(gate::text("group.text", &new.name));
        question.fields.push(("text".to_owned(), new.name.clone()));
        let cleared = self.server().clear(question, new, |new, _, text| new.name = text).await?;
        let (owner, expires_ms) = (self.me.clone(), self.server().expires_ms());
        let rule = move |tx: &mut Tx<'_>, scene: &mut Scene<'_>, new: NewGroup, audit: Vec<u8>| {
            let created = manage::create(tx, scene, &owner, new, expires_ms)?;
            tx.audit(audit);
            Ok(created)
        };
        let created = self.server().carry_out(cleared, rule, |server, (_, done), generation| {
            server.after(done, generation);
        });
        Ok(group_view(&created.await?.0, None))
    }

    pub(super) async fn change(&self) -> Result<Value, Problem> {
        let body: ChangeBody = parse(&self.ask.body)?;
        let group = self.group()?;
        let at = self.at(&group).await?;
        let known = {
            let view = self.server().store.view()?;
            view::for_user(&view, &group, self.id(), true)?
        };
        let set = (body.is_allow.is_some() || body.is_visible.is_some()).then(|| GrpSet {
            is_allow: YesNo(body.is_allow.unwrap_or(known.open)),
            is_visible: YesNo(body.is_visible.unwrap_or(known.visible)),
        });
        let icon = match body.group_icon.as_deref() {
            None => None,
            Some("") => Some(None),
            Some(text) => Some(Some(icon(text)?)),
        };
        let mut question = self.question(&at, &GROUP_UPDATE, &group);
        if let Some(name) = &body.group_name {
            question.items.push(gate::text("group.text", name));
            question.fields.push(("text".to_owned(), name.clone()));
        }
        let change = Change { name: body.group_name, icon, set };
        let rewrite = |change: &mut Change, _: usize, text: String| change.name = Some(text);
        let cleared = self.server().clear(question, change, rewrite).await?;
        let owner_id = self.id().clone();
        let body = |change: &Change| {
            let named = change.name.is_some() || change.icon.is_some();
            let info = GroupInfo {
                group_name: change.name.clone().unwrap_or(known.name.clone()),
                group_icon: change.icon.clone().unwrap_or(known.icon.clone()),
                ..known.info()
            };
            let group_info = named.then_some(info);
            Update { group_id: known.id.clone(), owner_id, grpset: change.set, group_info }
        };
        self.decide(&GROUP_UPDATE, &group, (at, cleared), body, manage::update).await
    }

    pub(super) async fn dissolve(&self) -> Result<Value, Problem> {
        self.here("group.dissolve", (Vec::new(), ()), |tx, scene, act, ()| manage::dissolve(tx, scene, act)).await
    }

    pub(super) async fn transfer(&self) -> Result<Value, Problem> {
        let to = user_id(&parse::<UserBody>(&self.ask.body)?.user_id)?;
        let fields = vec![("users", to.to_string())];
        self.here("group.transfer", (fields, to), |tx, scene, act, to| manage::transfer(tx, scene, act, &to)).await
    }

    pub(super) async fn admins(&self) -> Result<Value, Problem> {
        let body: AdminsBody = parse(&self.ask.body)?;
        let (users, admin) = (user_ids(&body.users)?, body.admin);
        let fields = vec![("users", listed(&users)), ("admin", admin.to_string())];
        let rule = move |tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act, users: Vec<UserId>| {
            manage::set_admins(tx, scene, act, &users, admin)
        };
        self.here("group.admins", (fields, users), rule).await
    }

    pub(super) async fn remove(&self) -> Result<Value, Problem> {
        let users = user_ids(&parse::<UsersBody>(&self.ask.body)?.users)?;
        let group = self.group()?;
        let at = self.at(&group).await?;
        let mut question = self.question(&at, &GROUP_REMOVE, &group);
        question.fields.push(("users".to_owned(), listed(&users)));
        let cleared = self.server().clear(question, users, |_, _, _| ()).await?;
        let (group_id, user_id) = (group.clone(), self.id().clone());
        let body = |users: &Vec<UserId>| Remove { group_id, user_id, del_members: users.clone() };
        let rule = |tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act, users: Vec<UserId>| {
            manage::remove(tx, scene, act, &users)
        };
        self.decide(&GROUP_REMOVE, &group, (at, cleared), body, rule).await
    }

    pub(super) async fn leave(&self) -> Result<Value, Problem> {
        let group = self.group()?;
        let at = self.at(&group).await?;
        let question = self.question(&at, &GROUP_LEAVE, &group);
        let cleared = self.server().clear(question, (), |(), _, _| ()).await?;
        let (group_id, user_id) = (group.clone(), self.id().clone());
        let body = |(): &()| Leave { group_id, user_id };
        let rule = |tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act, (): ()| manage::leave(tx, scene, act);
        self.decide(&GROUP_LEAVE, &group, (at, cleared), body, rule).await
    }

    pub(super) async fn recall(&self) -> Result<Value, Problem> {
        let body: RecallBody = parse(&self.ask.body)?;
        let invalid = |e| Refusal::field(Code::INVALID_FIELD, "messageID", format_args!("the ID {e}"));
        let message_id = MessageId::parse(&body.message_id).map_err(invalid)?;
        let group = self.group()?;
        let known = {
            let view = self.server().store.view()?;
            recall::permitted(&view, &group, self.id(), &message_id)?
        };
        let id = TimeId::mint(clock::now_ms(), &mut clock::random);
        let content = Content::Repeal { message_id: message_id.clone() };
        let question = self.server().about_message(
            self.id(),
            (ChatScene::Group, group.as_str()),
            known.home.as_ref(),
            &content,
            &id,
        );
        let cleared = self.server().clear(question, (), |(), _, _| ()).await?;
        let delivery = &self.server().config.delivery;
        let (actor, window_ms, expires_ms) = (self.id().clone(), delivery.recall_s * 1000, self.server().expires_ms());
        let rule = move |tx: &mut Tx<'_>, scene: &mut Scene<'_>, (): (), audit: Vec<u8>| {
            recall::recall(tx, scene, &group, Recall { id, actor, message_id, window_ms, expires_ms, audit })
        };
        self.server().carry_out(cleared, rule, after).await?;
        Ok(json!({}))
    }
}

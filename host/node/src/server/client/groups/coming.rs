//! How a user comes into a group and lets others in: invitations (R20), applications and tickets (R21).

use isthmus_domain::group::{self, Act, join, member, open, ticket, view};
use isthmus_domain::speaker::Home;
use isthmus_domain::{Done, Scene};
use isthmus_store::Tx;
use isthmus_wire::call::group::{Invite, Reply};
use isthmus_wire::call::{GROUP_ANSWER, GROUP_INVITE};
use isthmus_wire::code::{Code, Refusal};
use isthmus_wire::record::YesNo;
use isthmus_wire::{GroupId, GroupInfo, ReqInfo, ServerId, UserId, UserInfo};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{parse, parse_or_default};
use super::{At, OfUser, UsersBody, user_id, user_ids};
use crate::clock;
use crate::reply::Problem;
use crate::server::accounts::internal;
use crate::server::gate::Question;
use crate::server::groups::listed;
use crate::server::texts::InviteTexts;

/// How long a join ticket is good for if nobody says: a week.
const TICKET_MS: u64 = 7 * 24 * 3600 * 1000;
/// After this the main server of a group that somebody joined is asked about it, if it has not told by itself.
const TOLD_WITHIN: std::time::Duration = std::time::Duration::from_secs(3);

#[derive(Deserialize)]
struct AgreeBody {
    agree: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ApplyBody {
    remark: Option<String>,
}

#[derive(Deserialize)]
struct DecideBody {
    #[serde(rename = "userID")]
    user_id: String,
    agree: bool,
}

#[derive(Deserialize)]
struct JoinBody {
    ticket: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct TicketBody {
    expires_ms: Option<u64>,
}

impl OfUser<'_> {
    pub(super) async fn invite(&self) -> Result<Value, Problem> {
        let users = user_ids(&parse::<UsersBody>(&self.ask.body)?.users)?;
        let invited = users.into_iter().map(|user_id| UserInfo {
            name: user_id.as_str().to_owned(),
            user_id,
            phone_number: None,
            remark: None,
            portrait: None,
        });
        let mut invited: Vec<UserInfo> = invited.collect();
        for user in &mut invited {
            if let Home::Own = self.server().home_of(&user.user_id).await? {
                let known = self.server().store.read(|view| open::person_of(view, &user.user_id))?;
                *user = known.unwrap_or_else(|| user.clone());
            }
        }
        if invited.iter().any(|user| user.user_id == self.me.user_id) {
            return Err(Refusal::field(Code::INVALID_FIELD, "users", "you are there already, or apply instead").into());
        }
        let group = self.group()?;
        let known = {
            let view = self.server().store.view()?;
            view::for_user(&view, &group, self.id(), true)?
        };
        self.ask_in(&group, known.info(), self.me.clone(), invited).await
    }

    /// `groupreq` to main, here or there.
    async fn ask_in(
        &self,
        group: &GroupId,
        group_info: GroupInfo,
        user_info: UserInfo,
        invite_users: Vec<UserInfo>,
    ) -> Result<Value, Problem> {
        let at = self.at(group).await?;
        let req = ReqInfo { group_info, user_info, invite_users };
        let mut question = self.question(&at, &GROUP_INVITE, group);
        let texts = InviteTexts::of(&req);
        texts.ask(&mut question);
        let ids: Vec<UserId> = req.invite_users.iter().map(|user| user.user_id.clone()).collect();
        question.fields.push(("users".to_owned(), listed(&ids)));
        let cleared = self.server().clear(question, req, |req, index, text| texts.put(req, index, text)).await?;
        let home = self.server().id.clone();
        let rule = move |tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act, req: ReqInfo| {
            join::request(tx, scene, act, &req.user_info, &req.invite_users, &home)
        };
        self.decide(&GROUP_INVITE, group, (at, cleared), |req: &ReqInfo| Invite { req_info: req.clone() }, rule).await
    }

    pub(super) async fn answer(&self) -> Result<Value, Problem> {
        let AgreeBody { agree } = parse(&self.ask.body)?;
        let group = self.group()?;
        let invited = self.server().store.read(|view| open::get(view, &group, self.id(), clock::now_ms()))?;
        if invited.is_none_or(|open| open.by.is_none()) {
            return Err(
                Refusal::field(Code::WRONG_STATE, "groupID", "there is no open invitation into this group").into()
            );
        }
        let at = self.at(&group).await?;
        let home = if let At::There(home) = &at { Some(home.clone()) } else { None };
        let mut question = self.question(&at, &GROUP_ANSWER, &group);
        question.fields.push(("agree".to_owned(), agree.to_string()));
        let cleared = self.server().clear(question, agree, |_, _, _| ()).await?;
        let (of, user_id) = (group.clone(), self.id().clone());
        let body = |agree: &bool| Reply { group_id: of, user_id, resp_result: YesNo(*agree) };
        self.decide(&GROUP_ANSWER, &group, (at, cleared), body, join::answer).await?;
        self.joined(&group, home.as_ref(), agree).await
    }

    /// The question is closed; the main server that let somebody in is asked if it does not tell by itself.
    async fn joined(&self, group: &GroupId, home: Option<&ServerId>, agree: bool) -> Result<Value, Problem> {
        if let Some(home) = home {
            let (id, user) = (group.clone(), self.id().clone());
            self.server()
                .store
                .write(move |tx| {
                    open::close(tx, &id, &user);
                    Ok::<_, isthmus_store::StoreError>(())
                })
                .await?;
            if agree {
                self.server().groups.heal_within(group, home, TOLD_WITHIN);
            }
        }
        Ok(json!({}))
    }

    pub(super) async fn apply(&self) -> Result<Value, Problem> {
        let body: ApplyBody = parse_or_default(&self.ask.body)?;
        let group = self.group()?;
        self.apply_with(&group, body.remark.filter(|remark| !remark.is_empty())).await
    }

    pub(super) async fn join(&self) -> Result<Value, Problem> {
        let JoinBody { ticket } = parse(&self.ask.body)?;
        let group = ticket::group_of(&ticket)?;
        self.apply_with(&group, Some(ticket.trim().to_owned())).await?;
        if let At::There(home) = self.at(&group).await? {
            self.server().groups.heal_within(&group, &home, TOLD_WITHIN);
        }
        Ok(json!({"groupID": group}))
    }

    async fn apply_with(&self, group: &GroupId, remark: Option<String>) -> Result<Value, Problem> {
        let at = self.at(group).await?;
        let known = self.server().store.read(|view| group::find(view, group))?.map(|group| group.info());
        // Of a group elsewhere only the ID is known for sure; the main server looks at nothing else.
        let info = known.clone().unwrap_or_else(|| GroupInfo {
            group_id: group.clone(),
            group_name: group.as_str().to_owned(),
            group_member_num: 0,
            create_user: self.me.user_id.clone(),
            create_time: "1970-01-01T00:00:00Z".to_owned(),
            group_icon: None,
        });
        let with_ticket = remark.as_deref().is_some_and(ticket::is_one);
        let applicant = UserInfo { remark, ..self.me.clone() };
        self.ask_in(group, info, self.me.clone(), vec![applicant]).await?;
        if !(with_ticket && matches!(at, At::There(_))) {
            let (id, user, expires_ms) = (group.clone(), self.id().clone(), clock::now_ms() + join::OPEN_MS);
            self.server().store.write(move |tx| open::applied(tx, &id, known, &user, expires_ms)).await?;
        }
        Ok(json!({}))
    }

    pub(super) fn applicants(&self) -> Result<Value, Problem> {
        let (group, view) = (self.group()?, self.server().store.view()?);
        let group = group::ours(&view, &group)?;
        if !member::acting(&view, &group, self.id(), "userID")?.leads() {
            return Err(Problem::refused(Code::NOT_PERMITTED, "only the group's owner and admins see who applies"));
        }
        let found = join::applicants(&view, &group, clock::now_ms())?;
        let shown = found.iter().map(|one| json!({"user": one.user, "expiresMs": one.expires_ms}));
        Ok(json!({"applicants": shown.collect::<Vec<_>>()}))
    }

    pub(super) async fn decide_application(&self) -> Result<Value, Problem> {
        let DecideBody { user_id: applicant, agree } = parse(&self.ask.body)?;
        let applicant = user_id(&applicant)?;
        let fields = vec![("users", applicant.to_string()), ("agree", agree.to_string())];
        let rule = move |tx: &mut Tx<'_>, scene: &mut Scene<'_>, act: &Act, applicant: UserId| {
            join::decide(tx, scene, act, &applicant, agree)
        };
        self.here("group.decide", (fields, applicant), rule).await
    }

    pub(super) async fn ticket(&self) -> Result<Value, Problem> {
        let body: TicketBody = parse_or_default(&self.ask.body)?;
        let (group, user) = (self.group()?, self.id().clone());
        let question: Question = internal("group.ticket", user.as_str(), group.as_str()).into();
        let expires_ms = body.expires_ms.unwrap_or_else(|| clock::now_ms() + TICKET_MS);
        let cleared = self.server().clear(question, (), |(), _, _| ()).await?;
        let rule = move |tx: &mut Tx<'_>, scene: &mut Scene<'_>, (): (), audit: Vec<u8>| {
            let ticket = ticket::issue(tx, scene, &group, &user, expires_ms)?;
            tx.audit(audit);
            Ok(ticket)
        };
        let ticket = self.server().carry_out(cleared, rule, |_, _, _| ()).await?;
        Ok(json!({"ticket": ticket, "expiresMs": expires_ms}))
    }

    pub(super) async fn withdraw(&self) -> Result<Value, Problem> {
        let rule = |tx: &mut Tx<'_>, _: &mut Scene<'_>, act: &Act, (): ()| {
            ticket::withdraw(tx, &act.group, &act.actor).map(|()| Done::default())
        };
        self.here("group.ticket.withdraw", (Vec::new(), ()), rule).await
    }
}

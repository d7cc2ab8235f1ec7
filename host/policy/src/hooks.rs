//! The hooks of a component: which ones it exports, and in which form.

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::exports::isthmus::policy::{
    access_hook, audit_hook, content_hook, lifecycle, packed_access_hook, packed_access_reason, packed_audit_hook,
    packed_audit_sinks, packed_content_hook, packed_content_judgement,
};
use crate::sandbox::inspect::{Anatomy, Exported};
use crate::sandbox::state::State;

/// One hook, as such or with all texts of a call in one piece.
#[derive(Clone)]
pub(crate) enum Form<Plain, Packed> {
    Plain(Plain),
    Packed(Packed),
}

type AccessHook = Form<access_hook::GuestIndices, packed_access_hook::GuestIndices>;
type ContentHook = Form<content_hook::GuestIndices, packed_content_hook::GuestIndices>;
type AuditHook = Form<audit_hook::GuestIndices, packed_audit_hook::GuestIndices>;

/// What goes with the packed hooks: looked for in an instance only when it has something to say.
#[derive(Clone)]
pub(crate) struct More {
    pub(crate) reason: Option<packed_access_reason::GuestIndices>,
    pub(crate) judgement: Option<packed_content_judgement::GuestIndices>,
    pub(crate) sinks: Option<packed_audit_sinks::GuestIndices>,
}

/// Which hooks a component exports, as wasmtime finds them.
#[derive(Clone)]
pub(crate) struct Hooks {
    pub(crate) access: Option<AccessHook>,
    pub(crate) content: Option<ContentHook>,
    pub(crate) audit: Option<AuditHook>,
    pub(crate) more: More,
    /// Where `init` runs in each new instance: a snapshot is past it.
    pub(crate) lifecycle: Option<lifecycle::GuestIndices>,
}

/// What can be looked for in a component, and then in each of its instances.
pub(crate) trait Indices: Sized {
    type Guest;
    fn find(pre: &InstancePre<State>) -> wasmtime::Result<Self>;
    fn load(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Self::Guest>;
}

macro_rules! indices {
    ($($interface:ident),*) => {$(
        impl Indices for $interface::GuestIndices {
            type Guest = $interface::Guest;
            fn find(pre: &InstancePre<State>) -> wasmtime::Result<Self> {
                Self::new(pre)
            }
            fn load(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Self::Guest> {
                $interface::GuestIndices::load(self, store, instance)
            }
        }
    )*};
}

indices!(access_hook, content_hook, audit_hook, packed_access_hook, packed_content_hook, packed_audit_hook);
indices!(packed_access_reason, packed_content_judgement, packed_audit_sinks);

/// An interface of an instance.
pub(crate) fn load<I: Indices>(
    indices: Option<&I>,
    store: &mut Store<State>,
    instance: &Instance,
) -> wasmtime::Result<I::Guest> {
    indices.ok_or_else(|| wasmtime::format_err!("it does not export this"))?.load(store, instance)
}

impl<A: Indices, B: Indices> Form<A, B> {
    fn find(pre: &InstancePre<State>, exported: Exported) -> wasmtime::Result<Option<Self>> {
        Ok(match exported {
            Exported { packed: true, .. } => Some(Self::Packed(B::find(pre)?)),
            Exported { plain: true, .. } => Some(Self::Plain(A::find(pre)?)),
            Exported { .. } => None,
        })
    }

    fn load(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Form<A::Guest, B::Guest>> {
        Ok(match self {
            Self::Plain(indices) => Form::Plain(indices.load(store, instance)?),
            Self::Packed(indices) => Form::Packed(indices.load(store, instance)?),
        })
    }
}

impl Hooks {
    pub(crate) fn of(pre: &InstancePre<State>, anatomy: &Anatomy, snapshot: bool) -> wasmtime::Result<Self> {
        fn beside<I: Indices>(pre: &InstancePre<State>, hook: Exported) -> wasmtime::Result<Option<I>> {
            hook.packed.then(|| I::find(pre)).transpose()
        }
        let more = More {
            reason: beside(pre, anatomy.access)?,
            judgement: beside(pre, anatomy.content)?,
            sinks: beside(pre, anatomy.audit)?,
        };
        Ok(Self {
            more,
            access: Form::find(pre, anatomy.access)?,
            content: Form::find(pre, anatomy.content)?,
            audit: Form::find(pre, anatomy.audit)?,
            lifecycle: (!snapshot).then(|| lifecycle::GuestIndices::new(pre)).transpose()?,
        })
    }

    /// `access`, `content`, `audit`: those that it exports.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        [(self.access.is_some(), "access"), (self.content.is_some(), "content"), (self.audit.is_some(), "audit")]
            .into_iter()
            .filter_map(|(has, name)| has.then_some(name))
            .collect()
    }
}

/// A hook of one instance, found when it is first asked.
pub(crate) struct Found<A: Indices, B: Indices>(Option<Form<A::Guest, B::Guest>>);

impl<A: Indices, B: Indices> Default for Found<A, B> {
    fn default() -> Self {
        Self(None)
    }
}

impl<A: Indices, B: Indices> Found<A, B> {
    pub(crate) fn of(
        &mut self,
        hook: Option<&Form<A, B>>,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<&Form<A::Guest, B::Guest>> {
        match (&mut self.0, hook) {
            (Some(guest), _) => Ok(guest),
            (slot, Some(hook)) => Ok(slot.insert(hook.load(store, instance)?)),
            (None, None) => Err(wasmtime::format_err!("it does not export this hook")),
        }
    }
}

/// The hooks of one instance.
#[derive(Default)]
pub(crate) struct Guests {
    pub(crate) access: Found<access_hook::GuestIndices, packed_access_hook::GuestIndices>,
    pub(crate) content: Found<content_hook::GuestIndices, packed_content_hook::GuestIndices>,
    pub(crate) audit: Found<audit_hook::GuestIndices, packed_audit_hook::GuestIndices>,
}

impl Guests {
    /// All that there are, so that each one's type is checked.
    pub(crate) fn load(
        &mut self,
        hooks: &Hooks,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<()> {
        if let access @ Some(_) = hooks.access.as_ref() {
            self.access.of(access, store, instance)?;
        }
        if let content @ Some(_) = hooks.content.as_ref() {
            self.content.of(content, store, instance)?;
        }
        if let audit @ Some(_) = hooks.audit.as_ref() {
            self.audit.of(audit, store, instance)?;
        }
        let More { reason, judgement, sinks } = &hooks.more;
        if let Some(reason) = reason {
            reason.load(&mut *store, instance)?;
        }
        if let Some(judgement) = judgement {
            judgement.load(&mut *store, instance)?;
        }
        if let Some(sinks) = sinks {
            sinks.load(store, instance)?;
        }
        Ok(())
    }
}

//! The hooks of a component: which ones it exports, and in which form.

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::exports::isthmus::policy::{
    access_hook, audit_hook, content_hook, lifecycle, packed_access_hook, packed_audit_hook, packed_content_hook,
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

/// Which hooks a component exports, as wasmtime finds them.
#[derive(Clone)]
pub(crate) struct Hooks {
    pub(crate) access: Option<AccessHook>,
    pub(crate) content: Option<ContentHook>,
    pub(crate) audit: Option<AuditHook>,
    pub(crate) lifecycle: lifecycle::GuestIndices,
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
    pub(crate) fn of(pre: &InstancePre<State>, anatomy: &Anatomy) -> wasmtime::Result<Self> {
        Ok(Self {
            access: Form::find(pre, anatomy.access)?,
            content: Form::find(pre, anatomy.content)?,
            audit: Form::find(pre, anatomy.audit)?,
            lifecycle: lifecycle::GuestIndices::new(pre)?,
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

/// The hooks of one instance, found when they are first asked.
#[derive(Default)]
pub(crate) struct Guests {
    access: Option<Form<access_hook::Guest, packed_access_hook::Guest>>,
    content: Option<Form<content_hook::Guest, packed_content_hook::Guest>>,
    audit: Option<Form<audit_hook::Guest, packed_audit_hook::Guest>>,
}

/// The guest in `slot`, put there if it is not yet.
fn found<'a, A: Indices, B: Indices>(
    slot: &'a mut Option<Form<A::Guest, B::Guest>>,
    hook: Option<&Form<A, B>>,
    store: &mut Store<State>,
    instance: &Instance,
) -> wasmtime::Result<&'a Form<A::Guest, B::Guest>> {
    match (slot, hook) {
        (Some(guest), _) => Ok(guest),
        (slot, Some(hook)) => Ok(slot.insert(hook.load(store, instance)?)),
        (_, None) => Err(wasmtime::format_err!("it does not export this hook")),
    }
}

impl Guests {
    pub(crate) fn access(
        &mut self,
        hooks: &Hooks,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<&Form<access_hook::Guest, packed_access_hook::Guest>> {
        found(&mut self.access, hooks.access.as_ref(), store, instance)
    }

    pub(crate) fn content(
        &mut self,
        hooks: &Hooks,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<&Form<content_hook::Guest, packed_content_hook::Guest>> {
        found(&mut self.content, hooks.content.as_ref(), store, instance)
    }

    pub(crate) fn audit(
        &mut self,
        hooks: &Hooks,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<&Form<audit_hook::Guest, packed_audit_hook::Guest>> {
        found(&mut self.audit, hooks.audit.as_ref(), store, instance)
    }

    /// All of them, so that each one's type is checked.
    pub(crate) fn load(
        &mut self,
        hooks: &Hooks,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<()> {
        if hooks.access.is_some() {
            self.access(hooks, store, instance)?;
        }
        if hooks.content.is_some() {
            self.content(hooks, store, instance)?;
        }
        if hooks.audit.is_some() {
            self.audit(hooks, store, instance)?;
        }
        Ok(())
    }
}

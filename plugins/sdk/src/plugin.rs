//! The traits that a plugin implements and the macro that exports them.

use serde::de::DeserializeOwned;

use crate::{Body, Call, Decision, Diagnostic, Event, Item, Judgement, Treatment};

/// What every plugin has: settings, and a value made of them once. The crate's own page has a whole one.
///
/// ```
/// use isthmus_plugin::{Diagnostic, Plugin, lists, testing};
///
/// #[derive(serde::Deserialize)]
/// struct Settings {
///     list: String,
/// }
///
/// struct Listed(Vec<String>);
///
/// impl Plugin for Listed {
///     type Settings = Settings;
///     const SCHEMA: &'static str = r#"{"type":"object","required":["list"],"properties":{"list":{"type":"string"}}}"#;
///
///     fn check(settings: &Settings) -> Vec<Diagnostic> {
///         lists::must_exist(&settings.list, "/list").into_iter().collect()
///     }
///
///     fn init(settings: Settings) -> Result<Self, String> {
///         Ok(Self(lists::entries(&settings.list)))
///     }
/// }
///
/// testing::TestHost::default().list("spam", ["casino"]).install();
/// assert_eq!(testing::init::<Listed>(r#"{"list":"spam"}"#).unwrap().0, ["casino"]);
/// assert_eq!(testing::validate::<Listed>(r#"{"list":"spma"}"#)[0].pointer, "/list");
/// ```
pub trait Plugin: Sized + Send + Sync + 'static {
    /// The plugin's table `[plugin.settings]` of `policy.toml`. With
    /// `#[serde(deny_unknown_fields)]` a misspelt key is found when the bundle is checked.
    type Settings: DeserializeOwned;

    /// The JSON Schema (2020-12) of the settings; empty if it takes none.
    const SCHEMA: &'static str;

    /// What is wrong with settings that have the right shape; asked before [`Plugin::init`].
    fn check(settings: &Self::Settings) -> Vec<Diagnostic> {
        let _ = settings;
        Vec::new()
    }

    /// Builds what the hooks need.
    ///
    /// # Errors
    /// A sentence for the operator; the bundle is then not activated.
    fn init(settings: Self::Settings) -> Result<Self, String>;
}

/// May this be done at all?
///
/// ```
/// use isthmus_plugin::{Access, Call, Decision};
/// # use isthmus_plugin::Plugin;
/// # struct Open;
/// # impl Plugin for Open {
/// #     type Settings = serde::de::IgnoredAny;
/// #     const SCHEMA: &'static str = "";
/// #     fn init(_: serde::de::IgnoredAny) -> Result<Self, String> { Ok(Self) }
/// # }
/// impl Access for Open {
///     fn decide(&self, call: &Call) -> Decision {
///         if call.operation == "user.search" { Decision::Allow } else { Decision::Abstain }
///     }
/// }
/// ```
pub trait Access: Plugin {
    /// Asked before every call between servers and for what local users do. A denial by any
    /// plugin is final; if all abstain, the bundle's default decides.
    fn decide(&self, call: &Call) -> Decision;
}

/// May this be said?
///
/// ```
/// use isthmus_plugin::{Body, Call, Content, Item, Judgement, Reason, Verdict};
/// # use isthmus_plugin::Plugin;
/// # struct Short;
/// # impl Plugin for Short {
/// #     type Settings = serde::de::IgnoredAny;
/// #     const SCHEMA: &'static str = "";
/// #     fn init(_: serde::de::IgnoredAny) -> Result<Self, String> { Ok(Self) }
/// # }
/// impl Content for Short {
///     fn judge(&self, _call: &Call, item: &Item, body: Option<Body<'_>>) -> Judgement {
///         let size = body.map_or(item.text.len() as u64, |body| body.size());
///         if size > 1_000_000 { Verdict::Reject(Reason::new("too-long", "this is too long")).into() } else { Judgement::pass() }
///     }
/// }
/// ```
pub trait Content: Plugin {
    /// Asked for every text and file, on the way in and on the way out. `body` is there for
    /// content too large to be handed over whole (`file.content`).
    fn judge(&self, call: &Call, item: &Item, body: Option<Body<'_>>) -> Judgement;
}

/// How is this recorded?
///
/// ```
/// use isthmus_plugin::{Audit, Event, Redaction, Severity, Treatment};
/// # use isthmus_plugin::Plugin;
/// # struct Discreet;
/// # impl Plugin for Discreet {
/// #     type Settings = serde::de::IgnoredAny;
/// #     const SCHEMA: &'static str = "";
/// #     fn init(_: serde::de::IgnoredAny) -> Result<Self, String> { Ok(Self) }
/// # }
/// impl Audit for Discreet {
///     fn treat(&self, _event: &Event) -> Treatment {
///         let redactions = vec![("text".into(), Redaction::Drop)];
///         Treatment { severity: Severity::Info, redactions, detail: true, sinks: vec![] }
///     }
/// }
/// ```
pub trait Audit: Plugin {
    /// Asked for every event after its decision. It can reduce what is kept, never prevent it.
    fn treat(&self, event: &Event) -> Treatment;
}

/// Exports a plugin's hooks: `export_plugin!(MyPlugin: access, content, audit)`, any of the three.
///
/// Outside WebAssembly it only checks that the traits are there, so that tests link.
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty: $($hook:ident),+ $(,)?) => {
        const _: () = {
            static INITIALISED: ::std::sync::OnceLock<$plugin> = ::std::sync::OnceLock::new();
            struct Exported;

            impl $crate::glue::lifecycle::Guest for Exported {
                fn settings_schema() -> ::std::string::String {
                    <$plugin as $crate::Plugin>::SCHEMA.into()
                }
                fn validate_settings(
                    settings: ::std::string::String,
                ) -> ::std::vec::Vec<$crate::Diagnostic> {
                    $crate::glue::validate::<$plugin>(&settings)
                }
                fn init(
                    settings: ::std::string::String,
                ) -> ::std::result::Result<(), ::std::string::String> {
                    $crate::glue::init::<$plugin>(&INITIALISED, &settings)
                }
            }
            // In use, whatever the target: the compiler then sees what is really dead.
            const _: fn(::std::string::String) -> ::std::result::Result<(), ::std::string::String> =
                <Exported as $crate::glue::lifecycle::Guest>::init;
            #[cfg(target_arch = "wasm32")]
            $crate::glue::export_lifecycle!(
                Exported with_types_in $crate::bindings::lifecycle
            );
            $($crate::export_hook!($hook);)+
        };
    };
}

/// One hook's part of [`export_plugin!`].
#[doc(hidden)]
#[macro_export]
macro_rules! export_hook {
    (access) => {
        impl $crate::glue::access::Guest for Exported {
            fn decide(call: $crate::glue::Packed) -> $crate::Decision {
                $crate::Access::decide($crate::glue::ready(&INITIALISED), &$crate::glue::call(&call))
            }
        }
        const _: fn($crate::glue::Packed) -> $crate::Decision = <Exported as $crate::glue::access::Guest>::decide;
        #[cfg(target_arch = "wasm32")]
        $crate::glue::export_access!(Exported with_types_in $crate::bindings::access);
    };
    (content) => {
        impl $crate::glue::content::Guest for Exported {
            fn judge(
                item: $crate::glue::Packed,
                body: ::std::option::Option<&$crate::glue::HostBody>,
            ) -> $crate::Judgement {
                let (call, item) = $crate::glue::item(&item);
                let body = body.map($crate::Body::from);
                $crate::Content::judge($crate::glue::ready(&INITIALISED), &call, &item, body)
            }
        }
        const _: fn(
            $crate::glue::Packed,
            ::std::option::Option<&$crate::glue::HostBody>,
        ) -> $crate::Judgement = <Exported as $crate::glue::content::Guest>::judge;
        #[cfg(target_arch = "wasm32")]
        $crate::glue::export_content!(Exported with_types_in $crate::bindings::content);
    };
    (audit) => {
        impl $crate::glue::audit::Guest for Exported {
            fn treat(event: $crate::glue::Packed, code: u32) -> $crate::Treatment {
                $crate::Audit::treat($crate::glue::ready(&INITIALISED), &$crate::glue::event(&event, code))
            }
        }
        const _: fn($crate::glue::Packed, u32) -> $crate::Treatment = <Exported as $crate::glue::audit::Guest>::treat;
        #[cfg(target_arch = "wasm32")]
        $crate::glue::export_audit!(Exported with_types_in $crate::bindings::audit);
    };
}

/// What the exported functions call: no part of the interface for plugins.
#[allow(missing_docs, reason = "for the macro's use")]
pub mod glue {
    use std::sync::OnceLock;

    use super::Plugin;
    use crate::{Diagnostic, DiagnosticSeverity, settings};

    pub use crate::asked::{call, event, item};
    pub use crate::bindings::access::export_access;
    pub use crate::bindings::access::exports::isthmus::policy::packed_access_hook as access;
    pub use crate::bindings::audit::export_audit;
    pub use crate::bindings::audit::exports::isthmus::policy::packed_audit_hook as audit;
    pub use crate::bindings::content::export_content;
    pub use crate::bindings::content::exports::isthmus::policy::packed_content_hook as content;
    pub use crate::bindings::imports::isthmus::policy::message::Body as HostBody;
    pub use crate::bindings::imports::isthmus::policy::types::Packed;
    pub use crate::bindings::lifecycle::export_lifecycle;
    pub use crate::bindings::lifecycle::exports::isthmus::policy::lifecycle;

    /// Shape first, then the plugin's own check.
    pub fn validate<P: Plugin>(json: &str) -> Vec<Diagnostic> {
        match settings::parse::<P::Settings>(json) {
            Ok(settings) => P::check(&settings),
            Err(diagnostic) => vec![diagnostic],
        }
    }

    /// Refuses what [`validate`] refuses, so that no host can forget to ask.
    pub fn init<P: Plugin>(slot: &OnceLock<P>, json: &str) -> Result<(), String> {
        let settings = settings::parse::<P::Settings>(json).map_err(|wrong| wrong.to_string())?;
        let errors = P::check(&settings);
        if let Some(wrong) = errors.iter().find(|d| d.severity == DiagnosticSeverity::Error) {
            return Err(wrong.to_string());
        }
        let plugin = P::init(settings)?;
        let set = slot.set(plugin).map_err(|_| "init was called twice".to_owned());
        #[cfg(target_arch = "wasm32")]
        crate::HEAP.start_anew();
        set
    }

    /// The initialised plugin.
    pub fn ready<P>(slot: &OnceLock<P>) -> &P {
        slot.get().expect("the host calls init before any hook")
    }
}

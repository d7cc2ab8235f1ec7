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
///     fn treat(&self, _event: &Event) -> Treatment<'_> {
///         let redactions = vec![("text".into(), Redaction::Drop)].into();
///         Treatment { redactions, ..Severity::Info.into() }
///     }
/// }
/// ```
pub trait Audit: Plugin {
    /// Asked for every event after its decision. It can reduce what is kept, never prevent it.
    fn treat(&self, event: &Event) -> Treatment<'_>;
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
            fn decide(call: $crate::glue::Packed) -> $crate::glue::access::Ruling {
                $crate::glue::decide($crate::glue::ready(&INITIALISED), &call)
            }
        }
        impl $crate::glue::reason::Guest for Exported {
            fn why() -> $crate::Reason {
                $crate::glue::why()
            }
        }
        const _: fn($crate::glue::Packed) -> $crate::glue::access::Ruling =
            <Exported as $crate::glue::access::Guest>::decide;
        #[cfg(target_arch = "wasm32")]
        $crate::glue::export_access!(Exported with_types_in $crate::bindings::access);
    };
    (content) => {
        impl $crate::glue::content::Guest for Exported {
            fn passes(
                item: $crate::glue::Packed,
                body: ::std::option::Option<&$crate::glue::HostBody>,
            ) -> bool {
                $crate::glue::passes($crate::glue::ready(&INITIALISED), &item, body)
            }
        }
        impl $crate::glue::judgement::Guest for Exported {
            fn judged() -> $crate::Judgement {
                $crate::glue::judged()
            }
        }
        const _: fn(
            $crate::glue::Packed,
            ::std::option::Option<&$crate::glue::HostBody>,
        ) -> bool = <Exported as $crate::glue::content::Guest>::passes;
        #[cfg(target_arch = "wasm32")]
        $crate::glue::export_content!(Exported with_types_in $crate::bindings::content);
    };
    (audit) => {
        impl $crate::glue::audit::Guest for Exported {
            fn treat(event: $crate::glue::Packed, code: u32) -> $crate::glue::audit::Marks {
                $crate::glue::treat($crate::glue::ready(&INITIALISED), &event, code)
            }
        }
        impl $crate::glue::sinks::Guest for Exported {
            fn sinks() -> ::std::vec::Vec<::std::string::String> {
                $crate::glue::told_sinks()
            }
        }
        const _: fn($crate::glue::Packed, u32) -> $crate::glue::audit::Marks =
            <Exported as $crate::glue::audit::Guest>::treat;
        #[cfg(target_arch = "wasm32")]
        $crate::glue::export_audit!(Exported with_types_in $crate::bindings::audit);
    };
}

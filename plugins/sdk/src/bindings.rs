//! What wit-bindgen makes of the policy interface, one small world per part, so that a plugin
//! can export any set of hooks; `wit-component` unites the worlds that a plugin really uses.
#![allow(missing_docs, unsafe_code, unreachable_pub, clippy::all, reason = "generated code")]

/// Types and capabilities: a plugin imports of them only what it calls.
pub mod imports {
    wit_bindgen::generate!({
        inline: "
            package isthmus:plugin-imports;
            world imports {
                import isthmus:policy/types@1.0.0;
                import isthmus:policy/log@1.0.0;
                import isthmus:policy/clock@1.0.0;
                import isthmus:policy/settings@1.0.0;
                import isthmus:policy/lists@1.0.0;
                import isthmus:policy/directory@1.0.0;
                import isthmus:policy/counters@1.0.0;
                import isthmus:policy/metrics@1.0.0;
                import isthmus:policy/message@1.0.0;
            }
        ",
        path: "../../wit/1.0.0",
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq],
    });
}

pub mod lifecycle {
    wit_bindgen::generate!({
        inline: "
            package isthmus:plugin-lifecycle;
            world lifecycle { export isthmus:policy/lifecycle@1.0.0; }
        ",
        path: "../../wit/1.0.0",
        pub_export_macro: true,
        export_macro_name: "export_lifecycle",
        additional_derives: [PartialEq],
    });
}

pub mod access {
    wit_bindgen::generate!({
        inline: "
            package isthmus:plugin-access;
            world access {
                export isthmus:policy/packed-access-hook@1.0.0;
                export isthmus:policy/packed-access-reason@1.0.0;
            }
        ",
        path: "../../wit/1.0.0",
        pub_export_macro: true,
        export_macro_name: "export_access",
        with: { "isthmus:policy/types@1.0.0": crate::bindings::imports::isthmus::policy::types },
        additional_derives: [PartialEq],
    });
}

pub mod content {
    wit_bindgen::generate!({
        inline: "
            package isthmus:plugin-content;
            world content {
                export isthmus:policy/packed-content-hook@1.0.0;
                export isthmus:policy/packed-content-judgement@1.0.0;
            }
        ",
        path: "../../wit/1.0.0",
        pub_export_macro: true,
        export_macro_name: "export_content",
        with: {
            "isthmus:policy/types@1.0.0": crate::bindings::imports::isthmus::policy::types,
            "isthmus:policy/message@1.0.0": crate::bindings::imports::isthmus::policy::message,
        },
        additional_derives: [PartialEq],
    });
}

pub mod audit {
    wit_bindgen::generate!({
        inline: "
            package isthmus:plugin-audit;
            world audit {
                export isthmus:policy/packed-audit-hook@1.0.0;
                export isthmus:policy/packed-audit-sinks@1.0.0;
            }
        ",
        path: "../../wit/1.0.0",
        pub_export_macro: true,
        export_macro_name: "export_audit",
        with: { "isthmus:policy/types@1.0.0": crate::bindings::imports::isthmus::policy::types },
        additional_derives: [PartialEq],
    });
}

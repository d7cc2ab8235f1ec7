//! Types and calls generated from `wit/1.0.0/policy.wit`.
//!
//! A plugin exports any subset of the hooks, so the world here is only a list of all of them:
//! each export interface is probed for by itself, never the world as a whole.

wasmtime::component::bindgen!({
    path: "../../wit/1.0.0",
    inline: "
        package isthmus:host;
        world plugins {
            import isthmus:policy/log@1.0.0;
            import isthmus:policy/clock@1.0.0;
            import isthmus:policy/settings@1.0.0;
            import isthmus:policy/lists@1.0.0;
            import isthmus:policy/directory@1.0.0;
            import isthmus:policy/counters@1.0.0;
            import isthmus:policy/metrics@1.0.0;
            import isthmus:policy/message@1.0.0;
            export isthmus:policy/lifecycle@1.0.0;
            export isthmus:policy/access-hook@1.0.0;
            export isthmus:policy/content-hook@1.0.0;
            export isthmus:policy/audit-hook@1.0.0;
            export isthmus:policy/packed-access-hook@1.0.0;
            export isthmus:policy/packed-content-hook@1.0.0;
            export isthmus:policy/packed-audit-hook@1.0.0;
            export isthmus:policy/packed-access-reason@1.0.0;
            export isthmus:policy/packed-content-judgement@1.0.0;
            export isthmus:policy/packed-audit-sinks@1.0.0;
        }
    ",
    world: "isthmus:host/plugins",
    imports: { default: trappable },
    ownership: Borrowing { duplicate_if_necessary: true },
    with: { "isthmus:policy/message.body": crate::call::OpenBody },
});

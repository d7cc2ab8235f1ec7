//! Components that only hold others and tie them together, as componentize-qjs makes them: one with the program, one that
//! stands in for what the program imports and has no use for any more. wizer reads components that hold their modules
//! themselves; of these each part is read by itself, and what was read is put in its place.

use std::ops::Range;

use wasm_encoder::{Alias, Component, ComponentAliasSection, ComponentExportKind, ComponentExportSection};
use wasmparser::{
    Chunk, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentType, Encoding, Parser, Payload,
};

/// More parts have not been seen.
const PARTS: usize = 8;

/// A component whose modules are all in its parts.
#[derive(Default)]
pub(crate) struct Wrapper {
    /// All sections in their order.
    sections: Vec<Section>,
    /// Places of components in the index space of components, and the instance that was made of each.
    components: Vec<(usize, Option<u32>)>,
    /// Instances so far.
    instances: u32,
}

struct Section {
    id: u8,
    range: Range<usize>,
    /// A component that holds modules.
    part: bool,
}

/// A component in another one.
pub(crate) struct Part<'a> {
    /// Its own bytes.
    pub(crate) wasm: &'a [u8],
    /// Which section it is.
    section: usize,
    /// The only instance of it.
    instance: u32,
}

impl Wrapper {
    /// None if it holds modules itself, or no component with modules.
    ///
    /// # Errors
    /// Why such a component cannot be taken apart, in words.
    pub(crate) fn of(wasm: &[u8]) -> Result<Option<Self>, String> {
        let mut wrapper = Self::default();
        let (mut parser, mut at) = (Parser::new(0), 0);
        while at < wasm.len() {
            let chunk = parser.parse(&wasm[at..], true).map_err(|error| error.to_string())?;
            let Chunk::Parsed { consumed, payload } = chunk else { return Err("it ends in the middle".to_owned()) };
            at += consumed;
            if let Payload::Version { encoding: Encoding::Module, .. } | Payload::ModuleSection { .. } = payload {
                return Ok(None);
            }
            let mut part = false;
            if let Payload::ComponentSection { unchecked_range, .. } = &payload {
                at = unchecked_range.end;
                let nested = wasm.get(unchecked_range.clone()).ok_or("a component in it ends in the middle")?;
                part = has_state(nested)?;
                wrapper.components.push((wrapper.sections.len(), None));
            }
            wrapper.section(&payload, part);
            wrapper.count(payload)?;
        }
        Ok(wrapper.sections.iter().any(|section| section.part).then_some(wrapper))
    }

    fn section(&mut self, payload: &Payload<'_>, part: bool) {
        if let Some((id, range)) = payload.as_section() {
            self.sections.push(Section { id, range, part });
        }
    }

    /// Follows the index spaces of components and instances.
    #[allow(clippy::wildcard_enum_match_arm, reason = "what makes neither counts nothing here")]
    fn count(&mut self, payload: Payload<'_>) -> Result<(), String> {
        let wrong = |error: wasmparser::BinaryReaderError| error.to_string();
        match payload {
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    self.item(import.map_err(wrong)?.ty.kind())?;
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    self.item(export.map_err(wrong)?.kind)?;
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    match alias.map_err(wrong)? {
                        ComponentAlias::InstanceExport { kind, .. } => self.item(kind)?,
                        ComponentAlias::CoreInstanceExport { .. } | ComponentAlias::Outer { .. } => {
                            return Err("it borrows from inside or outside".to_owned());
                        }
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances {
                    self.instance(&instance.map_err(wrong)?)?;
                }
            }
            Payload::ComponentStartSection { .. } => return Err("it has a start function of its own".to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn item(&mut self, kind: ComponentExternalKind) -> Result<(), String> {
        match kind {
            ComponentExternalKind::Instance => self.instances += 1,
            ComponentExternalKind::Func | ComponentExternalKind::Type => {}
            ComponentExternalKind::Module | ComponentExternalKind::Component | ComponentExternalKind::Value => {
                return Err("it passes modules, components or values on".to_owned());
            }
        }
        Ok(())
    }

    fn instance(&mut self, instance: &ComponentInstance<'_>) -> Result<(), String> {
        if let ComponentInstance::Instantiate { component_index, .. } = instance {
            let component = self.components.get_mut(*component_index as usize);
            let (section, made) = component.ok_or("it instantiates a component that it has not")?;
            if made.replace(self.instances).is_some() && self.sections[*section].part {
                return Err("a component in it is instantiated more than once".to_owned());
            }
        }
        self.instances += 1;
        Ok(())
    }

    /// Those that are instantiated, in their order.
    ///
    /// # Errors
    /// If there are too many.
    pub(crate) fn parts<'a>(&self, wasm: &'a [u8]) -> Result<Vec<Part<'a>>, String> {
        let made = self.components.iter().filter(|(section, _)| self.sections[*section].part);
        let parts = made.filter_map(|&(section, instance)| {
            Some(Part { wasm: &wasm[self.sections[section].range.clone()], section, instance: instance? })
        });
        let parts: Vec<_> = parts.collect();
        if parts.len() > PARTS { Err(format!("it holds more than {PARTS} components")) } else { Ok(parts) }
    }

    /// The same component with other bytes for its parts.
    pub(crate) fn with(&self, wasm: &[u8], parts: &[Part<'_>], bytes: &[Vec<u8>]) -> Component {
        let mut component = Component::new();
        for (at, section) in self.sections.iter().enumerate() {
            let other = parts.iter().position(|part| part.section == at);
            let data = other.map_or(&wasm[section.range.clone()], |part| &bytes[part]);
            component.section(&wasm_encoder::RawSection { id: section.id, data });
        }
        component
    }

    /// Makes an instance that each part exports an export of the whole, under the part's name.
    pub(crate) fn export(&self, component: &mut Component, parts: &[Part<'_>], instance: &str) {
        let mut next = self.instances;
        for (at, part) in parts.iter().enumerate() {
            let mut aliases = ComponentAliasSection::new();
            let kind = ComponentExportKind::Instance;
            aliases.alias(Alias::InstanceExport { instance: part.instance, kind, name: instance });
            component.section(&aliases);
            let mut exports = ComponentExportSection::new();
            exports.export(name(at), kind, next, None);
            component.section(&exports);
            // One for the alias, one for the export.
            next += 2;
        }
    }
}

/// Under which name a part's instance is exported.
pub(crate) fn name(part: usize) -> String {
    format!("isthmus:snapshot/part{part}")
}

/// Whether a nested component holds modules.
///
/// # Errors
/// If it defines resources too: handles to them lie in tables that nobody can read.
#[allow(clippy::wildcard_enum_match_arm, reason = "nothing else matters here")]
fn has_state(nested: &[u8]) -> Result<bool, String> {
    let (mut modules, mut resources) = (false, false);
    for payload in Parser::new(0).parse_all(nested) {
        match payload.map_err(|error| error.to_string())? {
            Payload::ModuleSection { .. } => modules = true,
            Payload::ComponentTypeSection(types) => {
                for ty in types {
                    let ty = ty.map_err(|error| error.to_string())?;
                    resources |= matches!(ty, ComponentType::Resource { .. });
                }
            }
            _ => {}
        }
    }
    if modules && resources { Err("a component in it defines a resource".to_owned()) } else { Ok(modules) }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    /// Two components that both keep state, in a memory and in globals. `next` of the k-th call is
    /// 100 + 1000 k of the one, and 1 + k + 10 k of the other.
    pub(crate) const WRAPPED: &str = r#"(component
        (component $keeps
            (core module $m
                (memory 1) (global $g (mut i32) (i32.const 1))
                (func (export "bump") (result i32)
                    (global.set $g (i32.add (global.get $g) (i32.const 1)))
                    (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 10)))
                    (i32.add (global.get $g) (i32.load (i32.const 8)))))
            (core instance $i (instantiate $m))
            (func (export "bump") (result s32) (canon lift (core func $i "bump"))))
        (component $asks
            (import "bump" (func $bump (result s32)))
            (core func $b (canon lower (func $bump)))
            (core module $m
                (import "" "b" (func $b (result i32))) (global $n (mut i32) (i32.const 100))
                (func (export "next") (result i32)
                    (global.set $n (i32.add (global.get $n) (i32.const 1000)))
                    (i32.add (global.get $n) (call $b))))
            (core instance $x (export "b" (func $b)))
            (core instance $i (instantiate $m (with "" (instance $x))))
            (func (export "next") (result s32) (canon lift (core func $i "next"))))
        (instance $k (instantiate $keeps))
        (instance $a (instantiate $asks (with "bump" (func $k "bump"))))
        (export "next" (func $a "next")))"#;

    fn wasm(text: &str) -> Vec<u8> {
        wat::parse_str(text).unwrap()
    }

    fn refused(text: &str) -> String {
        Wrapper::of(&wasm(text)).err().unwrap()
    }

    #[test]
    fn what_is_taken_apart_is_the_same_when_it_is_put_together() {
        let wasm = wasm(WRAPPED);
        let wrapper = Wrapper::of(&wasm).unwrap().unwrap();
        let parts = wrapper.parts(&wasm).unwrap();
        assert_eq!(parts.iter().map(|part| part.instance).collect::<Vec<_>>(), [0, 1]);
        let bytes: Vec<_> = parts.iter().map(|part| part.wasm.to_vec()).collect();
        assert_eq!(wrapper.with(&wasm, &parts, &bytes).finish(), wasm);
    }

    #[test]
    fn what_cannot_be_read_whole_is_refused_or_left_to_wizer() {
        let twice = WRAPPED.replace("(instance $k ", "(instance (instantiate $keeps)) (instance $k ");
        assert!(refused(&twice).contains("more than once"));
        let resource = WRAPPED.replace("(component $keeps", "(component $keeps (type (resource (rep i32)))");
        assert!(refused(&resource).contains("defines a resource"));
        for text in ["(component)", "(component (core module))", "(module)", "(component (component))"] {
            assert!(Wrapper::of(&wasm(text)).unwrap().is_none(), "{text}");
        }
        let own = WRAPPED.replace("(component $keeps", "(core module) (component $keeps");
        assert!(Wrapper::of(&wasm(&own)).unwrap().is_none(), "it has a module of its own");
        let whole = wasm(WRAPPED);
        (0..whole.len()).for_each(|end| drop(Wrapper::of(&whole[..end])));
    }
}

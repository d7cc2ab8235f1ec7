//! Snapshots that cost less to instantiate, and do the same.
//!
//! wit-component makes a plugin whose imports need its memory of three core modules. Two are enough, and each instance
//! costs the better part of a microsecond. And nobody asks for the plugin's life any more: its `init` has run.

mod fixup;
mod merged;
mod shim;
#[cfg(test)]
mod tests;
mod trio;

use std::ops::Range;

use wasm_encoder::reencode::{Error, Reencode, ReencodeComponent};
use wasm_encoder::{Component, ComponentExportSection, ComponentInstanceSection, RawSection};
use wasmparser::{Chunk, ComponentAlias, ComponentExport, ComponentExternalKind, Encoding, Parser, Payload};

/// The same component with fewer instances, if it is made in a way that is known, and without the exported instance whose
/// time is over. None if it stays as it is.
pub(crate) fn slim(wasm: &[u8], over: impl Fn(&str) -> bool) -> Option<Vec<u8>> {
    let merged = trio::merge(wasm);
    Without::written(merged.as_deref().unwrap_or(wasm), over).or(merged)
}

struct Section<'a> {
    payload: Payload<'a>,
    id: u8,
    range: Range<usize>,
}

impl Section<'_> {
    fn raw<'w>(&self, wasm: &'w [u8]) -> RawSection<'w> {
        RawSection { id: self.id, data: wasm.get(self.range.clone()).unwrap_or_default() }
    }
}

/// The sections of a component, without those of what it holds.
fn sections(wasm: &[u8]) -> Option<Vec<Section<'_>>> {
    let (mut parser, mut at, mut sections) = (Parser::new(0), 0, Vec::new());
    while at < wasm.len() {
        let Chunk::Parsed { consumed, payload } = parser.parse(&wasm[at..], true).ok()? else { return None };
        at += consumed;
        if let Payload::Version { encoding: Encoding::Module, .. } = payload {
            return None;
        }
        if let Payload::ModuleSection { unchecked_range: range, .. }
        | Payload::ComponentSection { unchecked_range: range, .. } = &payload
        {
            at = range.end;
        }
        if let Some((id, range)) = payload.as_section() {
            wasm.get(range.clone())?;
            sections.push(Section { payload, id, range });
        }
    }
    Some(sections)
}

/// Of a module: what has no part in what it does.
#[allow(clippy::wildcard_enum_match_arm, reason = "all else does something")]
fn does_nothing(payload: &Payload<'_>) -> bool {
    match payload {
        Payload::Version { .. }
        | Payload::CodeSectionStart { .. }
        | Payload::CustomSection(_)
        | Payload::DataCountSection { count: 0, .. }
        | Payload::End(_) => true,
        // wizer leaves empty ones.
        Payload::DataSection(section) => section.count() == 0,
        Payload::GlobalSection(section) => section.count() == 0,
        _ => false,
    }
}

/// Something names what is gone.
#[derive(Debug)]
struct Needed;

type Written<T = ()> = Result<T, Error<Needed>>;

/// Writes a component without one of the instances that it exports.
#[derive(Default)]
struct Without {
    component: Component,
    /// Instances so far.
    instances: u32,
    /// Which one is gone, and whether anything names it.
    gone: Option<u32>,
    needed: bool,
}

impl Reencode for Without {
    type Error = Needed;
}

impl ReencodeComponent for Without {
    fn component_instance_index(&mut self, index: u32) -> u32 {
        self.needed |= self.gone == Some(index);
        index
    }
}

impl Without {
    /// None if there is not exactly one of the unwanted, or if anything needs it.
    fn written(wasm: &[u8], unwanted: impl Fn(&str) -> bool) -> Option<Vec<u8>> {
        let mut without = Self::default();
        for section in sections(wasm)? {
            if let Payload::ComponentExportSection(exports) = &section.payload {
                for export in exports.clone() {
                    without.export(export.ok()?, &unwanted)?;
                }
            } else {
                without.count(&section.payload).ok()?;
                without.component.section(&section.raw(wasm));
            }
        }
        (without.gone.is_some() && !without.needed).then(|| without.component.finish())
    }

    fn export(&mut self, export: ComponentExport<'_>, unwanted: impl Fn(&str) -> bool) -> Option<()> {
        let is_instance = export.kind == ComponentExternalKind::Instance;
        if is_instance && unwanted(export.name.name) {
            // What comes after it keeps its number.
            let mut empty = ComponentInstanceSection::new();
            empty.export_items::<&str, [_; 0]>([]);
            self.component.section(&empty);
            self.gone.replace(self.instances).is_none().then_some(())?;
        } else {
            let mut exports = ComponentExportSection::new();
            self.parse_component_export(&mut exports, export).ok()?;
            self.component.section(&exports);
        }
        self.instances += u32::from(is_instance);
        Some(())
    }

    /// Follows the index space of instances, and looks at who names one.
    #[allow(clippy::wildcard_enum_match_arm, reason = "what neither makes nor names one counts nothing here")]
    fn count(&mut self, payload: &Payload<'_>) -> Written {
        let instance = ComponentExternalKind::Instance;
        match payload {
            Payload::ComponentImportSection(imports) => {
                for import in imports.clone() {
                    self.instances += u32::from(import?.ty.kind() == instance);
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases.clone() {
                    let alias = alias?;
                    let made = matches!(alias, ComponentAlias::InstanceExport { kind, .. } if kind == instance);
                    self.component_alias(alias)?;
                    self.instances += u32::from(made);
                }
            }
            Payload::ComponentInstanceSection(made) => {
                self.parse_component_instance_section(&mut ComponentInstanceSection::new(), made.clone())?;
                self.instances += made.count();
            }
            Payload::ComponentStartSection { .. } => return Err(Error::UserError(Needed)),
            _ => {}
        }
        Ok(())
    }
}

//! The module by which wit-component fills the shim's table.

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{ConstExpr, ElementSection, ImportSection, Module, TypeSection};
use wasmparser::{ElementKind, ElementSectionReader, ImportSectionReader, Operator, Parser, Payload, TypeRef};

use super::does_nothing;
use super::merged::{Merged, fixed};
use super::shim::Shim;

impl Merged {
    /// The fixup for the table that has the shim's in it now: `from` is what the shim is called in the fixup. None if that
    /// does anything else.
    #[allow(clippy::wildcard_enum_match_arm, reason = "whatever else there is, it is no fixup")]
    pub(super) fn fixup(&self, fixup: &[u8], from: &str, shim: &Shim<'_>) -> Option<Vec<u8>> {
        let (mut module, mut fills) = (Module::new(), false);
        for payload in Parser::new(0).parse_all(fixup) {
            match payload.ok()? {
                Payload::TypeSection(section) => {
                    let mut types = TypeSection::new();
                    RoundtripReencoder.parse_type_section(&mut types, section).ok()?;
                    module.section(&types);
                }
                Payload::ImportSection(section) => {
                    module.section(&self.imports(section, from, shim.table)?);
                }
                Payload::ElementSection(section) => {
                    fills = true;
                    module.section(&self.filled(section)?);
                }
                other => does_nothing(&other).then_some(())?,
            }
        }
        fills.then(|| module.finish())
    }

    /// Functions, and of the shim nothing but its table.
    fn imports(&self, section: ImportSectionReader<'_>, from: &str, table: &str) -> Option<ImportSection> {
        let (mut imports, mut tables) = (ImportSection::new(), 0);
        for import in section.into_imports() {
            let import = import.ok()?;
            let ty = match import.ty {
                TypeRef::Table(_) if (import.module, import.name) == (from, table) => {
                    tables += 1;
                    fixed(self.places).into()
                }
                TypeRef::Func(_) if import.module != from => RoundtripReencoder.entity_type(import.ty).ok()?,
                TypeRef::Table(_)
                | TypeRef::Func(_)
                | TypeRef::Memory(_)
                | TypeRef::Global(_)
                | TypeRef::Tag(_)
                | TypeRef::FuncExact(_) => return None,
            };
            imports.import(import.module, import.name, ty);
        }
        (tables == 1).then_some(imports)
    }

    /// What is put into the table, at its new places.
    fn filled(&self, section: ElementSectionReader<'_>) -> Option<ElementSection> {
        let mut elements = ElementSection::new();
        for element in section {
            let element = element.ok()?;
            let ElementKind::Active { table_index: None | Some(0), offset_expr } = element.kind else { return None };
            let mut offset = offset_expr.get_operators_reader();
            let Operator::I32Const { value } = offset.read().ok()? else { return None };
            let ends = matches!(offset.read().ok()?, Operator::End) && offset.eof();
            let value = u32::try_from(value).ok()?.checked_add(self.first)?;
            let items = RoundtripReencoder.element_items(element.items).ok()?;
            ends.then(|| elements.active(None, &ConstExpr::i32_const(value.cast_signed()), items))?;
        }
        Some(elements)
    }
}

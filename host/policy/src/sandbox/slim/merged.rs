//! The module that imports what a shim passes on, with the shim in it: one instance instead of two.

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, ExportKind, ExportSection, Function, FunctionSection, ImportSection, Module, NameMap, NameSection,
    RefType, TableSection, TableType,
};
use wasmparser::{
    CodeSectionReader, ExportSectionReader, ExternalKind, FuncType, FunctionBody, FunctionSectionReader,
    ImportSectionReader, Name, Operator, Parser, Payload, TableSectionReader, TypeRef,
};

use super::shim::{Shim, function_types, only_table};
use crate::sandbox::state::TABLE_ELEMENTS;

/// An imported function that becomes the module's own.
struct PassedOn {
    ty: u32,
    params: u32,
    place: u32,
}

/// Writes `main` with the shim in it.
struct Merge<'a> {
    shim: &'a Shim<'a>,
    /// Of each imported function: whether it comes from the shim.
    own: Vec<bool>,
    /// Of each imported function: its index from now on. Imports come first, then what the shim did; all other
    /// functions keep their indices.
    indices: Vec<u32>,
    passed_on: Vec<PassedOn>,
    /// Places in the table of `main`, and with those of the shim, which come after them.
    first: u32,
    places: u32,
}

/// `main` and the shim in one module.
pub(super) struct Merged {
    pub(super) wasm: Vec<u8>,
    /// Where the shim's places begin in the table.
    pub(super) first: u32,
    /// The table's places.
    pub(super) places: u32,
}

/// `main` with a shim in it: `of_shim` tells under which name the shim exports what `main` imports, none for what others
/// export. The shim's places are added to the table of `main`, which only calls what is in it: that a call of a place
/// behind its own ones was a trap, and is now a call of an import with the same type, is all that it could notice.
/// None if it cannot be done.
pub(super) fn merged<'n>(
    main: &[u8],
    shim: &Shim<'_>,
    of_shim: impl Fn(&str, &str) -> Option<&'n str>,
) -> Option<Merged> {
    let mut merge = Merge { shim, own: Vec::new(), indices: Vec::new(), passed_on: Vec::new(), first: 0, places: 0 };
    merge.read(main, of_shim)?;
    let mut module = Module::new();
    merge.parse_core_module(&mut module, Parser::new(0), main).ok()?;
    Some(Merged { wasm: module.finish(), first: merge.first, places: merge.places })
}

impl Merge<'_> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "all else stays as it is")]
    fn read<'n>(&mut self, main: &[u8], of_shim: impl Fn(&str, &str) -> Option<&'n str>) -> Option<()> {
        let (mut types, mut functions, mut exported) = (Vec::new(), 0, false);
        for payload in Parser::new(0).parse_all(main) {
            match payload.ok()? {
                Payload::TypeSection(section) => types = function_types(section)?,
                Payload::ImportSection(section) => self.read_imports(section, &types, &of_shim)?,
                Payload::TableSection(section) => self.read_table(section)?,
                Payload::ExportSection(section) => {
                    exported = true;
                    for export in section {
                        let export = export.ok()?;
                        (export.kind != ExternalKind::Table && export.name != self.shim.table).then_some(())?;
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    functions += 1;
                    only_calls(&body)?;
                }
                // Line numbers would be those of other code. Who keeps them looks for mistakes, not for speed.
                Payload::CustomSection(section) if section.name().starts_with(".debug_") => return None,
                _ => {}
            }
        }
        self.number();
        (self.places > 0 && exported && functions > 0 && !self.passed_on.is_empty()).then_some(())
    }

    /// Numbers the imported functions anew.
    fn number(&mut self) {
        let kept = self.own.iter().filter(|own| !**own).count();
        let (mut kept, mut own) = (0.., (0..).skip(kept));
        let number = |is_own: &bool| if *is_own { own.next() } else { kept.next() };
        self.indices = self.own.iter().filter_map(number).collect();
    }

    fn read_table(&mut self, section: TableSectionReader<'_>) -> Option<()> {
        self.first = only_table(section)?.initial.try_into().ok()?;
        self.places = self.first.checked_add(self.shim.ty.initial.try_into().ok()?)?;
        (self.places as usize <= TABLE_ELEMENTS).then_some(())
    }

    fn read_imports<'n>(
        &mut self,
        section: ImportSectionReader<'_>,
        types: &[Option<FuncType>],
        of_shim: impl Fn(&str, &str) -> Option<&'n str>,
    ) -> Option<()> {
        for import in section.into_imports() {
            let import = import.ok()?;
            match import.ty {
                TypeRef::Func(ty) => {
                    let Some(name) = of_shim(import.module, import.name) else {
                        self.own.push(false);
                        continue;
                    };
                    let (passed, place) = self.shim.function(name)?;
                    (types.get(ty as usize)?.as_ref()? == passed).then_some(())?;
                    let params = u32::try_from(passed.params().len()).ok()?;
                    self.passed_on.push(PassedOn { ty, params, place });
                    self.own.push(true);
                }
                TypeRef::Table(_)
                | TypeRef::Memory(_)
                | TypeRef::Global(_)
                | TypeRef::Tag(_)
                | TypeRef::FuncExact(_) => return None,
            }
        }
        Some(())
    }
}

/// The type of a table with so many functions.
pub(super) fn fixed(places: u32) -> TableType {
    TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: places.into(),
        maximum: Some(places.into()),
        shared: false,
    }
}

/// Whether a function uses the table only to call what is in it.
#[allow(clippy::wildcard_enum_match_arm, reason = "nothing else has to do with tables")]
fn only_calls(body: &FunctionBody<'_>) -> Option<()> {
    let mut operators = body.get_operators_reader().ok()?;
    while !operators.eof() {
        match operators.read().ok()? {
            Operator::TableGet { .. }
            | Operator::TableSet { .. }
            | Operator::TableSize { .. }
            | Operator::TableGrow { .. }
            | Operator::TableFill { .. }
            | Operator::TableCopy { .. }
            | Operator::TableInit { .. } => return None,
            _ => {}
        }
    }
    Some(())
}

type Written = Result<(), Error>;

impl Reencode for Merge<'_> {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, index: u32) -> Result<u32, Error> {
        Ok(self.indices.get(index as usize).copied().unwrap_or(index))
    }

    fn parse_import_section(&mut self, imports: &mut ImportSection, section: ImportSectionReader<'_>) -> Written {
        // Nothing but functions is imported.
        for (import, own) in section.into_imports().zip(self.own.clone()) {
            let import = import?;
            if !own {
                imports.import(import.module, import.name, self.entity_type(import.ty)?);
            }
        }
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Written {
        for passed in &self.passed_on {
            functions.function(passed.ty);
        }
        utils::parse_function_section(self, functions, section)
    }

    fn parse_table_section(&mut self, tables: &mut TableSection, _: TableSectionReader<'_>) -> Written {
        tables.table(fixed(self.places));
        Ok(())
    }

    fn parse_export_section(&mut self, exports: &mut ExportSection, section: ExportSectionReader<'_>) -> Written {
        utils::parse_export_section(self, exports, section)?;
        exports.export(self.shim.table, ExportKind::Table, 0);
        Ok(())
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: CodeSectionReader<'_>) -> Written {
        for passed in &self.passed_on {
            let mut function = Function::new([]);
            let mut body = function.instructions();
            for param in 0..passed.params {
                body.local_get(param);
            }
            let place = self.first.saturating_add(passed.place);
            body.i32_const(place.cast_signed()).call_indirect(0, passed.ty).end();
            code.function(&function);
        }
        utils::parse_code_section(self, code, section)
    }

    /// For traces: the names of functions. Those of the rest are of no use.
    fn parse_custom_name_subsection(&mut self, names: &mut NameSection, section: Name<'_>) -> Written {
        if let Name::Function(functions) = section {
            let named = functions.into_iter().collect::<Result<Vec<_>, _>>()?;
            let named = named.into_iter().map(|named| Ok((self.function_index(named.index)?, named.name)));
            let mut named = named.collect::<Result<Vec<_>, Error>>()?;
            named.sort_unstable();
            let mut map = NameMap::new();
            named.into_iter().for_each(|(index, name)| map.append(index, name));
            names.functions(&map);
        }
        Ok(())
    }
}

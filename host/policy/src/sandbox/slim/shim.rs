//! The module by which wit-component lets another one be instantiated before its imports are there.

use wasmparser::{
    CompositeInnerType, ExternalKind, FuncType, FunctionBody, Operator, Parser, Payload, RefType, TableInit,
    TableSectionReader, TableType, TypeSectionReader,
};

use super::does_nothing;

/// A module that only passes calls on: each function that it exports calls one place of its only table, with the
/// arguments that it was given.
pub(super) struct Shim<'a> {
    /// The name that it exports the table under.
    pub(super) table: &'a str,
    pub(super) ty: TableType,
    /// Exported functions: name, type, place in the table.
    functions: Vec<(&'a str, FuncType, u32)>,
}

impl<'a> Shim<'a> {
    /// None if it does anything else.
    #[allow(clippy::wildcard_enum_match_arm, reason = "whatever else there is, it is no shim")]
    pub(super) fn of(wasm: &'a [u8]) -> Option<Self> {
        let (mut types, mut functions, mut places) = (Vec::new(), Vec::new(), Vec::new());
        let (mut ty, mut exports) = (None, Vec::new());
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.ok()? {
                Payload::TypeSection(section) => types = function_types(section)?,
                Payload::FunctionSection(section) => functions = section.into_iter().collect::<Result<_, _>>().ok()?,
                Payload::TableSection(section) => ty = Some(only_table(section)?),
                Payload::ExportSection(section) => exports = section.into_iter().collect::<Result<_, _>>().ok()?,
                Payload::CodeSectionEntry(body) => {
                    let function: u32 = *functions.get(places.len())?;
                    places.push(passed_on(&body, types.get(function as usize)?.as_ref()?, function)?);
                }
                other => does_nothing(&other).then_some(())?,
            }
        }
        let mut shim = Self { table: "", ty: ty?, functions: Vec::new() };
        for export in exports {
            match export.kind {
                ExternalKind::Table if shim.table.is_empty() => shim.table = export.name,
                ExternalKind::Func => {
                    let at = export.index as usize;
                    let ty = types.get(*functions.get(at)? as usize)?.clone()?;
                    shim.functions.push((export.name, ty, *places.get(at)?));
                }
                _ => return None,
            }
        }
        (!shim.table.is_empty()).then_some(shim)
    }

    pub(super) fn function(&self, name: &str) -> Option<(&FuncType, u32)> {
        self.functions.iter().find(|function| function.0 == name).map(|(_, ty, place)| (ty, *place))
    }
}

/// None for a type that is not a function's.
pub(super) fn function_types(section: TypeSectionReader<'_>) -> Option<Vec<Option<FuncType>>> {
    let mut types = Vec::new();
    for group in section {
        types.extend(group.ok()?.into_types().map(|ty| match ty.composite_type.inner {
            CompositeInnerType::Func(ty) => Some(ty),
            CompositeInnerType::Array(_) | CompositeInnerType::Struct(_) | CompositeInnerType::Cont(_) => None,
        }));
    }
    Some(types)
}

pub(super) fn only_table(section: TableSectionReader<'_>) -> Option<TableType> {
    let mut tables = section.into_iter();
    let (Some(Ok(table)), None) = (tables.next(), tables.next()) else { return None };
    let plain = table.ty.element_type == RefType::FUNCREF && !table.ty.table64 && !table.ty.shared;
    (plain && matches!(table.init, TableInit::RefNull)).then_some(table.ty)
}

/// The place in the table to which a function passes its arguments on, if that is all it does.
fn passed_on(body: &FunctionBody<'_>, ty: &FuncType, index: u32) -> Option<u32> {
    let mut operators = body.get_operators_reader().ok()?;
    for param in 0..u32::try_from(ty.params().len()).ok()? {
        let Operator::LocalGet { local_index } = operators.read().ok()? else { return None };
        (local_index == param).then_some(())?;
    }
    let Operator::I32Const { value } = operators.read().ok()? else { return None };
    let Operator::CallIndirect { type_index, table_index: 0 } = operators.read().ok()? else { return None };
    let ends = matches!(operators.read().ok()?, Operator::End) && operators.eof();
    (ends && type_index == index).then(|| u32::try_from(value).ok())?
}

//! Components of three instances of core modules, as wit-component makes them: a `shim` that stands in for the imports,
//! `main`, which has the memory that they need, and a `fixup` that puts them where the shim finds them, now that there is a
//! memory. Here the shim becomes a part of `main`.

use std::collections::HashMap;

use wasm_encoder::reencode::{Error, Reencode, ReencodeComponent};
use wasm_encoder::{CanonicalFunctionSection, Component, ComponentAliasSection, InstanceSection, RawSection};
use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentExternalKind, ComponentOuterAliasKind, ComponentType, Export,
    ExternalKind, Instance, Parser, Payload,
};

use super::merged::merged;
use super::shim::Shim;
use super::{Needed, Section, Written, sections};

/// With the shim in `main`. None if it is not made of these three.
pub(super) fn merge(wasm: &[u8]) -> Option<Vec<u8>> {
    let trio = Trio::of(wasm)?;
    let [shim, main, fixup] = &trio.made()[..] else { return None };
    let distinct = shim.module != main.module && main.module != fixup.module && fixup.module != shim.module;
    (distinct && trio.modules.len() == 3 && shim.args.is_empty()).then_some(())?;
    (!trio.aliased.contains(&shim.instance)).then_some(())?;
    let from = trio.only(&fixup.args, shim.instance)?;
    main.args.values().try_for_each(|given| trio.exports(*given).map(drop))?;

    let of_shim = |from: &str, name: &str| {
        let given = trio.exports(*main.args.get(from)?)?;
        trio.export_of(given.iter().find(|export| export.name == name)?, shim.instance)
    };
    let module = |made: &Made<'_>| trio.modules.get(made.module as usize).copied();
    let passes_on = Shim::of(module(shim)?)?;
    let both = merged(module(main)?, &passes_on, of_shim)?;
    let fills = both.fixup(module(fixup)?, from, &passes_on)?;
    let others = [(main.module, &*both.wasm), (fixup.module, &*fills)];
    Renumbered::of(&trio, shim, main)?.written(&trio, &others, wasm).ok()
}

/// What lies in such a component.
struct Trio<'a> {
    sections: Vec<Section<'a>>,
    modules: Vec<&'a [u8]>,
    /// Core instances.
    instances: Vec<Instance<'a>>,
    /// Of each core function: of which instance it is an export.
    functions: Vec<Option<(u32, &'a str)>>,
    /// Instances of which something else is exported.
    aliased: Vec<u32>,
}

/// An instance of a module.
struct Made<'a> {
    instance: u32,
    module: u32,
    args: HashMap<&'a str, u32>,
}

impl<'a> Trio<'a> {
    fn of(wasm: &'a [u8]) -> Option<Self> {
        let (modules, instances, functions, aliased) = <(Vec<_>, Vec<_>, Vec<_>, Vec<_>)>::default();
        let mut trio = Self { sections: Vec::new(), modules, instances, functions, aliased };
        for section in sections(wasm)? {
            trio.read(&section.payload, wasm.get(section.range.clone())?)?;
            trio.sections.push(section);
        }
        Some(trio)
    }

    /// None where there is what such a component has not.
    #[allow(clippy::wildcard_enum_match_arm, reason = "nothing else has to do with core modules")]
    fn read(&mut self, payload: &Payload<'a>, bytes: &'a [u8]) -> Option<()> {
        match payload {
            Payload::ModuleSection { .. } => self.modules.push(bytes),
            Payload::ComponentSection { .. } => stands_alone(bytes)?,
            Payload::InstanceSection(made) => {
                self.instances.extend(made.clone().into_iter().collect::<Result<Vec<_>, _>>().ok()?);
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases.clone() {
                    self.alias(&alias.ok()?)?;
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions.clone() {
                    let lifted = matches!(function.ok()?, CanonicalFunction::Lift { .. });
                    self.functions.extend((!lifted).then_some(None));
                }
            }
            Payload::ComponentTypeSection(types) => {
                for ty in types.clone() {
                    // Its destructor is a core function.
                    (!matches!(ty.ok()?, ComponentType::Resource { dtor: Some(_), .. })).then_some(())?;
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports.clone() {
                    (import.ok()?.ty.kind() != ComponentExternalKind::Module).then_some(())?;
                }
            }
            Payload::ComponentStartSection { .. } => return None,
            _ => {}
        }
        Some(())
    }

    fn alias(&mut self, alias: &ComponentAlias<'a>) -> Option<()> {
        match alias {
            ComponentAlias::CoreInstanceExport { kind: ExternalKind::Func, instance_index, name } => {
                self.functions.push(Some((*instance_index, name)));
            }
            ComponentAlias::CoreInstanceExport { instance_index, .. } => self.aliased.push(*instance_index),
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Module, .. }
            | ComponentAlias::Outer { .. } => return None,
            ComponentAlias::InstanceExport { .. } => {}
        }
        Some(())
    }

    fn made(&self) -> Vec<Made<'a>> {
        let made = (0..).zip(&self.instances).filter_map(|(instance, made)| match made {
            Instance::Instantiate { module_index: module, args } => {
                let args = args.iter().map(|arg| (arg.name, arg.index)).collect();
                Some(Made { instance, module: *module, args })
            }
            Instance::FromExports(_) => None,
        });
        made.collect()
    }

    /// The name of the argument that is this instance, if one is and the others are made without it.
    fn only(&self, args: &HashMap<&'a str, u32>, instance: u32) -> Option<&'a str> {
        let (mut of, others): (Vec<_>, Vec<_>) = args.iter().partition(|arg| *arg.1 == instance);
        for (_, given) in others {
            let passed_on = self.exports(*given)?.iter().any(|export| self.export_of(export, instance).is_some());
            (!passed_on).then_some(())?;
        }
        of.pop().filter(|_| of.is_empty()).map(|(name, _)| *name)
    }

    /// What an instance is made of that is none of a module.
    fn exports(&self, instance: u32) -> Option<&[Export<'a>]> {
        match self.instances.get(instance as usize)? {
            Instance::FromExports(exports) => Some(exports),
            Instance::Instantiate { .. } => None,
        }
    }

    /// The name of a function in the instance that it comes from, if it is this one.
    fn export_of(&self, export: &Export<'_>, instance: u32) -> Option<&'a str> {
        let function = self.functions.get(export.index as usize).copied().flatten();
        function.filter(|(of, _)| export.kind == ExternalKind::Func && *of == instance).map(|(_, name)| name)
    }
}

/// Whether a component takes no modules of the one that it lies in.
fn stands_alone(nested: &[u8]) -> Option<()> {
    for payload in Parser::new(0).parse_all(nested) {
        let Payload::ComponentAliasSection(aliases) = payload.ok()? else { continue };
        for alias in aliases {
            let module = ComponentOuterAliasKind::CoreModule;
            (!matches!(alias.ok()?, ComponentAlias::Outer { kind, .. } if kind == module)).then_some(())?;
        }
    }
    Some(())
}

/// The numbers of things where the shim and its functions are left out.
struct Renumbered {
    shim: u32,
    modules: Vec<u32>,
    /// Core instances. `main` stands for the shim too.
    instances: Vec<u32>,
    /// Core functions.
    functions: Vec<Option<u32>>,
}

impl Reencode for Renumbered {
    type Error = Needed;

    fn function_index(&mut self, index: u32) -> Written<u32> {
        self.functions.get(index as usize).copied().flatten().ok_or(Error::UserError(Needed))
    }
}

impl ReencodeComponent for Renumbered {
    fn module_index(&mut self, index: u32) -> u32 {
        self.modules.get(index as usize).copied().unwrap_or(index)
    }

    fn instance_index(&mut self, index: u32) -> u32 {
        self.instances.get(index as usize).copied().unwrap_or(index)
    }
}

impl Renumbered {
    fn of(trio: &Trio<'_>, shim: &Made<'_>, main: &Made<'_>) -> Option<Self> {
        let mut instances = without(trio.instances.len(), shim.instance);
        *instances.get_mut(shim.instance as usize)? = *instances.get(main.instance as usize)?;
        let mut next = 0..;
        let of_shim = |function: &Option<(u32, &str)>| function.is_some_and(|(of, _)| of == shim.instance);
        let functions = trio.functions.iter().map(|function| if of_shim(function) { None } else { next.next() });
        let (functions, modules) = (functions.collect(), without(trio.modules.len(), shim.module));
        Some(Self { shim: shim.instance, modules, instances, functions })
    }

    /// The component with other modules: those that are not among them are left out.
    #[allow(clippy::wildcard_enum_match_arm, reason = "all else stays as it is")]
    fn written(mut self, trio: &Trio<'_>, others: &[(u32, &[u8])], wasm: &[u8]) -> Written<Vec<u8>> {
        let mut component = Component::new();
        let (mut module, mut instance) = (0_u32, 0_u32);
        for section in &trio.sections {
            match &section.payload {
                Payload::ModuleSection { .. } => {
                    if let Some((_, data)) = others.iter().find(|other| other.0 == module) {
                        component.section(&RawSection { id: section.id, data });
                    }
                    module += 1;
                }
                Payload::InstanceSection(made) => {
                    let mut instances = InstanceSection::new();
                    for made in made.clone() {
                        let made = self.made(trio, made?);
                        if instance != self.shim {
                            self.parse_instance(&mut instances, made)?;
                        }
                        instance += 1;
                    }
                    component.section(&instances);
                }
                Payload::ComponentAliasSection(aliases) => {
                    let mut kept = ComponentAliasSection::new();
                    for alias in aliases.clone() {
                        let alias = alias?;
                        if !matches!(&alias, ComponentAlias::CoreInstanceExport { instance_index: of, .. } if *of == self.shim)
                        {
                            kept.alias(self.component_alias(alias)?);
                        }
                    }
                    component.section(&kept);
                }
                Payload::ComponentCanonicalSection(functions) => {
                    let mut renumbered = CanonicalFunctionSection::new();
                    self.parse_component_canonical_section(&mut renumbered, functions.clone())?;
                    component.section(&renumbered);
                }
                // Names of things by numbers that were others.
                Payload::CustomSection(section) if section.name() == "component-name" => {}
                _ => _ = component.section(&section.raw(wasm)),
            }
        }
        Ok(component.finish())
    }

    /// An instance without what it has of the shim: nobody takes that any more.
    fn made<'i>(&self, trio: &Trio<'i>, instance: Instance<'i>) -> Instance<'i> {
        let Instance::FromExports(exports) = instance else { return instance };
        let kept = exports.into_iter().filter(|export| trio.export_of(export, self.shim).is_none());
        Instance::FromExports(kept.collect())
    }
}

/// New numbers of so many where one is left out.
fn without(count: usize, one: u32) -> Vec<u32> {
    (0..).take(count).map(|index| index - u32::from(index > one)).collect()
}

//! What a component imports and exports, read before anything of it is compiled.

use super::wasi;
use wasmparser::{CanonicalFunction, CanonicalOption, Encoding, Instance, Parser, Payload};

/// The package whose interfaces plugins use.
const PACKAGE: &str = "isthmus:policy";
/// The version that this host offers.
const OFFERED: (u32, u32) = (1, 0);
/// Capabilities that a bundle can grant.
pub(crate) const CAPABILITIES: [&str; 8] =
    ["log", "clock", "settings", "lists", "directory", "counters", "metrics", "message"];
/// What a bundle can grant: the capabilities, and what only WASI has.
pub(crate) const GRANTS: [&str; 9] =
    ["log", "clock", "settings", "lists", "directory", "counters", "metrics", "message", "random"];

/// In which forms a component exports a hook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exported {
    pub(crate) plain: bool,
    pub(crate) packed: bool,
}

impl Exported {
    fn at_all(self) -> bool {
        self.plain || self.packed
    }
}

/// What a component is, as far as this host cares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Anatomy {
    /// Capabilities that it imports, sorted.
    pub(crate) imports: Vec<String>,
    /// Whether it imports anything of WASI: that is there, and gives nothing.
    pub(crate) wasi: bool,
    /// Whole names of all that it imports.
    pub(crate) names: Vec<String>,
    /// Version of the interface that it exports its life in.
    pub(crate) version: Option<String>,
    pub(crate) access: Exported,
    pub(crate) content: Exported,
    pub(crate) audit: Exported,
    pub(crate) lifecycle: bool,
    /// Instances of core modules, in nested components too.
    pub(crate) core_instances: u32,
    /// Imports and properties that this host refuses, in words.
    pub(crate) refused: Vec<String>,
}

impl Anatomy {
    /// Names of the hooks that it exports.
    pub(crate) fn hooks(&self) -> Vec<&'static str> {
        [(self.access, "access"), (self.content, "content"), (self.audit, "audit")]
            .into_iter()
            .filter_map(|(hook, name)| hook.at_all().then_some(name))
            .collect()
    }

    /// What a bundle has to grant.
    pub(crate) fn grants(&self) -> Vec<String> {
        self.imports.iter().filter(|import| *import != "message").cloned().collect()
    }

    /// All that forbids to run it with these grants.
    pub(crate) fn objections(&self, grants: &[String]) -> Vec<String> {
        let mut objections = self.refused.clone();
        for import in &self.imports {
            // Every content hook names the body's type. Without the grant it is lent none.
            if import != "message" && !grants.contains(import) {
                objections.push(format!("imports `{import}`, which the bundle does not grant: add it to `grants`"));
            }
        }
        if !self.lifecycle {
            objections.push(format!("does not export `{PACKAGE}/lifecycle`, as every plugin must"));
        }
        if self.hooks().is_empty() {
            objections.push("exports no hook: one of `access-hook`, `content-hook`, `audit-hook` is needed".to_owned());
        }
        objections
    }

    fn import(&mut self, name: &str) {
        self.names.push(name.to_owned());
        match policy_interface(name) {
            Some(("types", _)) => {}
            Some((interface, version)) if CAPABILITIES.contains(&interface) => {
                self.imports.push(interface.to_owned());
                if version.0 != OFFERED.0 || version.1 > OFFERED.1 {
                    self.refused
                        .push(format!("imports `{name}`, but this server offers version {}.{}", OFFERED.0, OFFERED.1));
                }
            }
            Some(_) => self.refused.push(format!("imports `{name}`, which this server does not know")),
            None => self.foreign(name),
        }
    }

    /// WASI is there for languages that need it, and gives nothing.
    fn foreign(&mut self, name: &str) {
        match wasi::imported(name) {
            Some(true) => self.wasi = true,
            Some(false) => self.refused.push(format!("imports `{name}`: of WASI this server has version 0.2 only")),
            None => self.refused.push(format!("imports `{name}`, which this server does not offer")),
        }
    }

    fn export(&mut self, name: &str) {
        let Some((interface, version)) = policy_interface(name) else {
            return;
        };
        if interface == "lifecycle" {
            self.version = name.split_once('@').map(|(_, version)| version.to_owned());
        }
        let known = match interface {
            "lifecycle" => &mut self.lifecycle,
            "access-hook" => &mut self.access.plain,
            "content-hook" => &mut self.content.plain,
            "audit-hook" => &mut self.audit.plain,
            "packed-access-hook" => &mut self.access.packed,
            "packed-content-hook" => &mut self.content.packed,
            "packed-audit-hook" => &mut self.audit.packed,
            _ => return,
        };
        if version.0 == OFFERED.0 && version.1 <= OFFERED.1 {
            *known = true;
        } else {
            self.refused.push(format!("exports `{name}`, but this server calls version {}.{}", OFFERED.0, OFFERED.1));
        }
    }
}

/// `isthmus:policy/log@1.0.0` → (`log`, (1, 0)).
fn policy_interface(name: &str) -> Option<(&str, (u32, u32))> {
    let (interface, version) = name.strip_prefix(PACKAGE)?.strip_prefix('/')?.split_once('@')?;
    let mut parts = version.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    Some((interface, (major, minor)))
}

/// Reads a component's outside.
///
/// # Errors
/// What is wrong with the file, in words.
#[allow(clippy::wildcard_enum_match_arm, reason = "most sections say nothing about the outside")]
pub(crate) fn inspect(wasm: &[u8]) -> Result<Anatomy, String> {
    let mut anatomy = Anatomy::default();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(|error| broken(&error))? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err("is a core module, not a component: componentize it (`isthmus plugin build`)".to_owned());
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    anatomy.import(import.map_err(|error| broken(&error))?.name.name);
                }
            }
            Payload::ComponentExportSection(exports) if depth == 0 => {
                for export in exports {
                    anatomy.export(export.map_err(|error| broken(&error))?.name.name);
                }
            }
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    let made = matches!(instance.map_err(|error| broken(&error))?, Instance::Instantiate { .. });
                    anatomy.core_instances += u32::from(made);
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions {
                    encoding(&function.map_err(|error| broken(&error))?)?;
                }
            }
            _ => {}
        }
    }
    anatomy.imports.sort();
    anatomy.imports.dedup();
    Ok(anatomy)
}

fn broken(error: &wasmparser::BinaryReaderError) -> String {
    let said = error.message().lines().next().unwrap_or_default();
    let said = said.split(" - expected").next().unwrap_or_default();
    format!("is not a WebAssembly component: {said} (at byte {})", error.offset())
}

/// Text is UTF-8 here; transcoding is code that nobody needs and attackers like.
fn encoding(function: &CanonicalFunction) -> Result<(), String> {
    let (CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. }) = function else {
        return Ok(());
    };
    if options.iter().any(|option| matches!(option, CanonicalOption::UTF16 | CanonicalOption::CompactUTF16)) {
        return Err("passes strings as UTF-16; only UTF-8 is accepted".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anatomy(imports: &[&str], exports: &[&str]) -> Anatomy {
        let mut anatomy = Anatomy::default();
        imports.iter().for_each(|name| anatomy.import(name));
        exports.iter().for_each(|name| anatomy.export(name));
        anatomy
    }

    #[test]
    fn an_import_needs_a_grant() {
        let good = ["isthmus:policy/lifecycle@1.0.0", "isthmus:policy/access-hook@1.0.0"];
        let cases: [(&[&str], &[&str], usize); 8] = [
            (&[], &[], 0),
            (&["isthmus:policy/types@1.0.0"], &[], 0),
            (&["isthmus:policy/log@1.0.0"], &["log"], 0),
            (&["isthmus:policy/log@1.0.3"], &["log"], 0),
            (&["isthmus:policy/log@1.0.0"], &["lists"], 1),
            (&["isthmus:policy/log@1.1.0"], &["log"], 1),
            (&["wasi:cli/environment@0.2.0"], &[], 0),
            (&["wasi:cli/environment@0.3.0", "isthmus:policy/sockets@1.0.0"], &["log"], 2),
        ];
        for (imports, grants, objections) in cases {
            let grants: Vec<String> = grants.iter().map(|grant| (*grant).to_owned()).collect();
            let found = anatomy(imports, &good).objections(&grants);
            assert_eq!(found.len(), objections, "{imports:?} {grants:?}: {found:?}");
        }
    }

    #[test]
    fn a_plugin_exports_its_life_and_a_hook() {
        let cases: [(&[&str], usize); 6] = [
            (&[], 2),
            (&["isthmus:policy/lifecycle@1.0.0"], 1),
            (&["isthmus:policy/audit-hook@1.0.0"], 1),
            (&["isthmus:policy/lifecycle@1.0.0", "isthmus:policy/packed-content-hook@1.0.0"], 0),
            (&["isthmus:policy/lifecycle@1.0.0", "isthmus:policy/audit-hook@2.0.0"], 2),
            (&["isthmus:policy/lifecycle@1.0.0", "isthmus:policy/packed-audit-hook@1.1.0"], 2),
        ];
        for (exports, objections) in cases {
            assert_eq!(anatomy(&[], exports).objections(&[]).len(), objections, "{exports:?}");
        }
    }

    #[test]
    fn what_is_no_component_is_refused_in_words() {
        assert!(inspect(b"hello").is_err_and(|said| said.contains("not a WebAssembly component")));
        assert!(inspect(b"\0asm\x01\0\0\0").is_err_and(|said| said.contains("core module")));
    }
}

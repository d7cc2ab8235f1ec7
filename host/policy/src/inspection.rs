//! What a component is, for people: `isthmus plugin inspect`.

use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

use crate::options::PolicyError;
use crate::prepare::Workshop;
use crate::sandbox::cache::Cache;
use crate::sandbox::counters::Counters;
use crate::sandbox::engine::Sandbox;
use crate::sandbox::inspect::inspect;
use crate::services::NoServices;
use crate::stats::AllFigures;

/// A component from outside and, where it starts, its settings schema.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// `access`, `content`, `audit`: what it can be asked.
    pub kinds: Vec<&'static str>,
    /// Version of `isthmus:policy` that it was built against, as `1.0.0`; none if it exports nothing of it.
    pub wit_version: Option<String>,
    /// Interfaces that it imports, whole names.
    pub imports: Vec<String>,
    /// What its bundle has to grant.
    pub grants: Vec<String>,
    /// Why this server would not run it; empty if it would.
    pub objections: Vec<String>,
    /// JSON Schema of its settings; none if it takes none.
    pub settings_schema: Option<Value>,
    /// Bytes.
    pub size: usize,
    /// blake3 of the file, hex.
    pub digest: String,
}

impl Inspection {
    /// Looks at a component. Blocks: compiles it.
    ///
    /// # Errors
    /// [`PolicyError::Engine`] if the engine does not start here. What is wrong with the component stands in
    /// [`Inspection::objections`].
    pub fn of(wasm: &[u8]) -> Result<Self, PolicyError> {
        let mut inspection = Self {
            kinds: Vec::new(),
            wit_version: None,
            imports: Vec::new(),
            grants: Vec::new(),
            objections: Vec::new(),
            settings_schema: None,
            size: wasm.len(),
            digest: blake3::hash(wasm).to_hex().to_string(),
        };
        let anatomy = match inspect(wasm) {
            Ok(anatomy) => anatomy,
            Err(said) => {
                inspection.objections.push(said);
                return Ok(inspection);
            }
        };
        inspection.kinds = anatomy.hooks();
        inspection.objections = anatomy.objections(&anatomy.imports);
        inspection.grants = anatomy.grants();
        inspection.wit_version.clone_from(&anatomy.version);
        inspection.imports.clone_from(&anatomy.names);
        if inspection.objections.is_empty() {
            match workshop()?.roomy(&anatomy, wasm).and_then(|workshop| workshop.schema(wasm)) {
                Ok(schema) if schema.trim().is_empty() => {}
                Ok(schema) => match serde_json::from_str(&schema) {
                    Ok(schema) => inspection.settings_schema = Some(schema),
                    Err(error) => inspection.objections.push(format!("its settings schema is not JSON: {error}")),
                },
                Err(said) => inspection.objections.push(said),
            }
        }
        Ok(inspection)
    }
}

fn workshop() -> Result<Workshop, PolicyError> {
    Ok(Workshop {
        sandbox: Sandbox::shared().map_err(PolicyError::Engine)?,
        cache: Cache::none(),
        services: Arc::new(NoServices),
        counters: Arc::new(Counters::default()),
        figures: Arc::new(AllFigures::default()),
        breaker: crate::breaker::Breaker::default(),
        rehearsal: false,
        compiled: None,
    })
}

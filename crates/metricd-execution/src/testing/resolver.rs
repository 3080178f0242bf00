//! A scripted resolver.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::{Allowed, PendingTable, PendingTableError, Resolution, Resolvable, ResolveError, Resolver};
use metricd_database::Outage;

/// The response of the resolver to one text.
type ScriptedResolution = Result<Resolution, ResolveError>;

/// A resolver with a script, which records the texts that it resolves. A text that is not in the script has no columns
/// and reads no relation, and each of its parameters is a `text`.
#[derive(Debug, Default)]
pub struct ScriptedResolver {
    allowed: Allowed,
    script: Mutex<Script>,
}

#[derive(Debug, Default)]
struct Script {
    answers: HashMap<String, ScriptedResolution>,
    is_unavailable: bool,
    resolved_texts: Vec<String>,
}

impl ScriptedResolver {
    /// A resolver of SQL that may use these functions and types.
    #[must_use]
    pub fn new(allowed: Allowed) -> Self {
        Self { allowed, script: Mutex::default() }
    }

    /// Sets the resolution of this text, which has `$1`, `$2`, … for its parameters.
    pub fn answer(&self, text: &str, answer: ScriptedResolution) {
        self.with(|script| script.answers.insert(text.to_owned(), answer));
    }

    /// Makes the resolver unavailable, as if the database were down.
    pub fn stop(&self) {
        self.with(|script| script.is_unavailable = true);
    }

    /// The texts that were resolved, in order.
    pub fn resolved_texts(&self) -> Vec<String> {
        self.with(|script| script.resolved_texts.clone())
    }

    fn with<T>(&self, operation: impl FnOnce(&mut Script) -> T) -> T {
        operation(&mut self.script.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn resolve_text(&self, text: &str) -> Result<Option<Resolution>, ResolveError> {
        self.with(|script| {
            script.resolved_texts.push(text.to_owned());
            if script.is_unavailable {
                return Err(ResolveError::Unavailable(Outage::unreachable("the script says so")));
            }
            script.answers.get(text).cloned().transpose()
        })
    }
}

#[async_trait]
impl Resolver for ScriptedResolver {
    async fn allowed(&self) -> Result<Allowed, ResolveError> {
        if self.with(|script| script.is_unavailable) {
            return Err(ResolveError::Unavailable(Outage::unreachable("the script says so")));
        }
        Ok(self.allowed.clone())
    }

    async fn resolve(&self, statement: &Resolvable) -> Result<Resolution, ResolveError> {
        let parameter_types = vec!["text".to_owned(); statement.parameter_count()];
        Ok(self.resolve_text(&statement.text)?.unwrap_or(Resolution { parameter_types, ..Resolution::default() }))
    }

    /// The script knows no tables.
    async fn with_tables(self: Arc<Self>, _tables: Vec<PendingTable>) -> Result<Arc<dyn Resolver>, PendingTableError> {
        Ok(self)
    }
}

//! A resolver that answers what a test has told it to.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::{Allowed, Resolution, Resolvable, ResolveError, Resolver};
use metricd_database::Outage;

/// What the resolver answers to one text.
type Answer = Result<Resolution, ResolveError>;

/// A resolver that answers by a script, and remembers what it was asked. What is not in the script is resolved, has no
/// columns and reads nothing, and each parameter is a text.
#[derive(Debug, Default)]
pub struct ScriptedResolver {
    warehouse: Allowed,
    script: Mutex<Script>,
}

#[derive(Debug, Default)]
struct Script {
    answers: HashMap<String, Answer>,
    is_unavailable: bool,
    asked: Vec<String>,
}

impl ScriptedResolver {
    /// A resolver whose warehouse holds these functions and types.
    #[must_use]
    pub fn new(warehouse: Allowed) -> Self {
        Self { warehouse, script: Mutex::default() }
    }

    /// Tells what to answer to this text, which has `$1`, `$2`, … for parameters.
    pub fn answer(&self, text: &str, answer: Answer) {
        self.with(|script| script.answers.insert(text.to_owned(), answer));
    }

    /// Tells to answer nothing any more, as a database does that is down.
    pub fn stop(&self) {
        self.with(|script| script.is_unavailable = true);
    }

    /// The texts that were asked about, in their order.
    pub fn asked(&self) -> Vec<String> {
        self.with(|script| script.asked.clone())
    }

    fn with<T>(&self, operation: impl FnOnce(&mut Script) -> T) -> T {
        operation(&mut self.script.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ask(&self, text: &str) -> Result<Option<Resolution>, ResolveError> {
        self.with(|script| {
            script.asked.push(text.to_owned());
            if script.is_unavailable {
                return Err(ResolveError::Unavailable(Outage::unreachable("the script says so")));
            }
            script.answers.get(text).cloned().transpose()
        })
    }
}

impl Resolver for ScriptedResolver {
    fn warehouse(&self) -> Result<Allowed, ResolveError> {
        if self.with(|script| script.is_unavailable) {
            return Err(ResolveError::Unavailable(Outage::unreachable("the script says so")));
        }
        Ok(self.warehouse.clone())
    }

    fn resolve(&self, statement: &Resolvable) -> Result<Resolution, ResolveError> {
        let parameter_types = vec!["text".to_owned(); statement.parameter_count()];
        Ok(self.ask(&statement.text)?.unwrap_or(Resolution { parameter_types, ..Resolution::default() }))
    }
}

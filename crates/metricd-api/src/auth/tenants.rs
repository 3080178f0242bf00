//! Checks that row-level security isolates tenants in every relation that a metric may read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use metricd_domain::Contract;
use metricd_execution::{MetricRunner, Relation, RunError};

use crate::refreshed::Refreshed;

/// Lets SQL run for a tenant only while row-level security protects every relation but the public ones.
#[derive(Debug, Default)]
pub struct TenantIsolation {
    /// The relations whose rows every tenant may see.
    public_relations: BTreeSet<String>,
    relations: Refreshed<CheckedRelations>,
}

/// Each relation of the database by its schema and name, with the gap in its protection, if there is one.
#[derive(Debug)]
struct CheckedRelations(BTreeMap<(String, String), Option<String>>);

/// Relations without row-level security, each with its schema and with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingRowSecurity(Vec<(String, String)>);

impl fmt::Display for MissingRowSecurity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, reason): &(String, String)| format!("`{name}` ({reason})");
        let names: Vec<_> = self.0.iter().map(shown).collect();
        write!(formatter, "row-level security does not isolate tenants in {}", names.join(", "))
    }
}

impl std::error::Error for MissingRowSecurity {}

impl TenantIsolation {
    /// Requires row-level security of every relation except these.
    pub fn with_public_relations(relations: impl IntoIterator<Item = String>) -> Self {
        Self { public_relations: relations.into_iter().collect(), ..Self::default() }
    }

    /// Checks every relation that SQL with this contract may read. A view or a function may read relations that no
    /// contract names, so one unprotected relation is enough to refuse.
    ///
    /// # Errors
    ///
    /// [`RunError`] if the database cannot be reached.
    pub async fn check(
        &self,
        runner: &dyn MetricRunner,
        contract: Option<&Contract>,
    ) -> Result<Result<(), MissingRowSecurity>, RunError> {
        let is_protected = |relations: &CheckedRelations| relations.unprotected(contract).is_empty();
        let relations = self.relations.get(is_protected, async || self.read(runner).await).await?;
        let unprotected = relations.unprotected(contract);
        Ok(if unprotected.is_empty() { Ok(()) } else { Err(MissingRowSecurity(unprotected)) })
    }

    /// Reads the relations from the database.
    async fn read(&self, runner: &dyn MetricRunner) -> Result<CheckedRelations, RunError> {
        let relations = runner.relations().await?.into_iter().map(|relation| {
            let is_public = self.public_relations.iter().any(|name| relation.is_named(name));
            let Relation { schema, name, gap, .. } = relation;
            ((schema, name), gap.filter(|_| !is_public))
        });
        Ok(CheckedRelations(relations.collect()))
    }
}

impl CheckedRelations {
    /// The relations that SQL with this contract may read and that are unprotected or unknown, each with the reason.
    fn unprotected(&self, contract: Option<&Contract>) -> Vec<(String, String)> {
        let shown = |(schema, name): &(String, String)| format!("{schema}.{name}");
        let unprotected = self.0.iter().filter_map(|(name, gap)| Some((shown(name), gap.clone()?)));
        let tables = contract.into_iter().flat_map(Contract::tables);
        let named = tables.map(|table| (table.schema.clone(), table.name.clone()));
        let unknown = named.filter(|name| !self.0.contains_key(name));
        let reason = "it did not exist when the relations were last read";
        unprotected.chain(unknown.map(|name| (shown(&name), reason.to_owned()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::future::join_all;
    use metricd_execution::testing::ScriptedRunner;

    use super::*;
    use crate::refreshed::{STALE_GRACE, TTL};

    /// A runner that counts reads, and reports the table `orders` as secured or not, or fails.
    fn runner(reads: &Arc<AtomicUsize>, is_secured: Option<bool>) -> ScriptedRunner {
        let (runner, reads) = (ScriptedRunner::default(), Arc::clone(reads));
        let gap = if is_secured == Some(true) { None } else { Some("its row security is off".to_owned()) };
        runner.set_relations(vec![Relation {
            schema: "warehouse".to_owned(),
            name: "orders".to_owned(),
            is_visible: true,
            gap,
        }]);
        runner.script("relations", move || {
            reads.fetch_add(1, Ordering::SeqCst);
            is_secured.map(|_| Vec::new()).ok_or(RunError::NoConnection { waited: Duration::ZERO })
        });
        runner
    }

    #[actix_web::test]
    async fn one_caller_reads_the_relations_for_all() {
        let reads = Arc::new(AtomicUsize::new(0));
        let tenants = TenantIsolation::default();
        let all = async |runner: &ScriptedRunner| {
            let before = reads.load(Ordering::SeqCst);
            let checks = join_all((0..50).map(|_| tenants.check(runner, None))).await;
            let passed = checks.into_iter().filter(|check| matches!(check, Ok(Ok(())))).count();
            // Callers that arrive during the first read may need a second one.
            assert!(reads.load(Ordering::SeqCst) - before <= 2);
            passed
        };
        let (failing, secured, unprotected) =
            (runner(&reads, None), runner(&reads, Some(true)), runner(&reads, Some(false)));
        assert_eq!(all(&failing).await, 0);
        assert_eq!(all(&secured).await, 50);
        assert_eq!(all(&failing).await, 50, "the relations are still valid");
        tenants.relations.age(TTL);
        assert_eq!(all(&failing).await, 50, "stale relations are used while the database fails");
        tenants.relations.age(TTL + STALE_GRACE);
        assert_eq!(all(&failing).await, 0);
        assert_eq!(all(&unprotected).await, 0);
        assert_eq!(all(&secured).await, 50, "refusals are not cached");
        tenants.relations.age(TTL);
        all(&unprotected).await;
        assert_eq!(all(&unprotected).await, 0, "a relation that is no longer secured is noticed");
    }
}

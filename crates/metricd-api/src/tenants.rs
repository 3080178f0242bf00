//! Whether the rows of tenants are kept apart in the database, of which policies are the business.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use metricd_domain::Contract;
use metricd_execution::{MetricRunner, RunError};
use tokio::sync::RwLock;

/// For how long what the database has said of its relations is taken for true.
const MAX_AGE: Duration = Duration::from_secs(30);

/// Lets SQL run on behalf of a tenant that reads nothing but what policies keep apart, or what all tenants share.
#[derive(Debug, Default)]
pub struct Tenants {
    /// The relations of which every tenant may see every row.
    shared: BTreeSet<String>,
    known: RwLock<Option<Known>>,
}

/// What the database has said.
#[derive(Debug)]
struct Known {
    asked_at: Instant,
    /// Each relation, and whether it may be read.
    relations: BTreeMap<String, bool>,
}

/// Relations whose rows no policy keeps apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotSecured(Vec<String>);

impl fmt::Display for NotSecured {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|name| format!("`warehouse.{name}`")).collect();
        write!(formatter, "no row security keeps the rows of tenants apart in {}", names.join(", "))
    }
}

impl std::error::Error for NotSecured {}

impl Tenants {
    /// Tenants of whom each sees every row of these relations, and of all others what policies let it see.
    pub fn sharing(relations: impl IntoIterator<Item = String>) -> Self {
        Self { shared: relations.into_iter().collect(), known: RwLock::default() }
    }

    /// Whether SQL with this contract reads nothing else. Without a contract it may read any relation.
    ///
    /// # Errors
    ///
    /// [`RunError`] where the database cannot be asked.
    pub async fn check(
        &self,
        runner: &dyn MetricRunner,
        contract: Option<&Contract>,
    ) -> Result<Result<(), NotSecured>, RunError> {
        if let Some(known) = &*self.known.read().await
            && known.asked_at.elapsed() < MAX_AGE
            && known.open(contract).is_empty()
        {
            return Ok(Ok(()));
        }
        // A relation may have been made, or secured, since.
        let mut known = self.known.write().await;
        let asked_at = Instant::now();
        let relations = runner.relations().await?.into_iter();
        let may_be_read = relations.map(|one| (one.is_row_secured || self.shared.contains(&one.name), one.name));
        let relations = may_be_read.map(|(may_be_read, name)| (name, may_be_read)).collect();
        let open = known.insert(Known { asked_at, relations }).open(contract);
        Ok(if open.is_empty() { Ok(()) } else { Err(NotSecured(open)) })
    }
}

impl Known {
    /// The relations that SQL with this contract reads, or may read, and should not.
    fn open(&self, contract: Option<&Contract>) -> Vec<String> {
        let Some(contract) = contract else {
            let open = self.relations.iter().filter(|(_, may_be_read)| !**may_be_read);
            return open.map(|(name, _)| name.clone()).collect();
        };
        let may_be_read = |name: &String| self.relations.get(name).copied().unwrap_or_default();
        let names = contract.tables.iter().map(|table| &table.name);
        names.filter(|name| !may_be_read(name)).cloned().collect()
    }
}

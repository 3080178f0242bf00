//! Whether the rows of tenants are kept apart in the database, of which policies are the business.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use metricd_domain::Contract;
use metricd_execution::{MetricRunner, Relation, RunError};
use tokio::sync::Mutex;

/// For how long what the database has said of its relations is taken for true.
const MAX_AGE: Duration = Duration::from_secs(5);

/// For how much longer it serves those who come while it is asked for anew.
const GRACE: Duration = Duration::from_secs(5);

/// Lets SQL run on behalf of a tenant that reads nothing but what policies keep apart, or what all tenants share.
#[derive(Debug, Default)]
pub struct Tenants {
    /// The relations of which every tenant may see every row.
    shared: BTreeSet<String>,
    known: RwLock<Option<Arc<Known>>>,
    /// Held by whoever asks the database; when that has last failed.
    asking: Mutex<Option<Instant>>,
}

/// What the database has said.
#[derive(Debug)]
struct Known {
    asked_at: Instant,
    /// Each relation, and why it may not be read, if that is so.
    relations: BTreeMap<String, Option<String>>,
}

/// Relations whose rows no policy keeps apart, each with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotSecured(Vec<(String, String)>);

impl fmt::Display for NotSecured {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, reason): &(String, String)| {
            let schema = if name.contains('.') { "" } else { "warehouse." };
            format!("`{schema}{name}` ({reason})")
        };
        let names: Vec<_> = self.0.iter().map(shown).collect();
        write!(formatter, "no row security keeps the rows of tenants apart in {}", names.join(", "))
    }
}

impl std::error::Error for NotSecured {}

impl Tenants {
    /// Tenants of whom each sees every row of these relations, and of all others what policies let it see.
    pub fn sharing(relations: impl IntoIterator<Item = String>) -> Self {
        Self { shared: relations.into_iter().collect(), ..Self::default() }
    }

    /// Whether SQL with this contract reads nothing else. A view or a function may read what no contract names, so that nothing
    /// runs while there is something that may not be read.
    ///
    /// # Errors
    ///
    /// [`RunError`] where the database cannot be asked.
    pub async fn check(
        &self,
        runner: &dyn MetricRunner,
        contract: Option<&Contract>,
    ) -> Result<Result<(), NotSecured>, RunError> {
        let known = self.known().filter(|known| known.open(contract).is_empty());
        let age = known.as_ref().map_or(Duration::MAX, |known| known.asked_at.elapsed());
        if age < MAX_AGE {
            return Ok(Ok(()));
        }
        if age < MAX_AGE + GRACE {
            // One of those who come asks. Where the database cannot be asked now, it can be a little later.
            if let Ok(mut failed_at) = self.asking.try_lock() {
                drop(self.ask(runner, &mut failed_at).await);
            }
        } else {
            // A relation may have been made, or secured, since.
            let came_at = Instant::now();
            let mut failed_at = self.asking.lock().await;
            // Those who waited for one that fails do not wait for one another.
            if failed_at.is_some_and(|failed_at| failed_at >= came_at) {
                return Err(unasked());
            }
            if self.known().is_none_or(|known| known.asked_at < came_at) {
                self.ask(runner, &mut failed_at).await?;
            }
        }
        let open = self.known().ok_or_else(unasked)?.open(contract);
        Ok(if open.is_empty() { Ok(()) } else { Err(NotSecured(open)) })
    }

    /// Asks the database.
    async fn ask(&self, runner: &dyn MetricRunner, failed_at: &mut Option<Instant>) -> Result<(), RunError> {
        let asked_at = Instant::now();
        let relations = match runner.relations().await {
            Ok(relations) => relations.into_iter(),
            Err(error) => {
                *failed_at = Some(Instant::now());
                return Err(error);
            }
        };
        let relations = relations.map(|Relation { name, gap }| {
            let gap = gap.filter(|_| !self.shared.contains(&name));
            (name, gap)
        });
        let relations = relations.collect();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *known = Some(Arc::new(Known { asked_at, relations }));
        Ok(())
    }

    fn known(&self) -> Option<Arc<Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn unasked() -> RunError {
    RunError::Unavailable("what relations there are could not be asked for".to_owned())
}

impl Known {
    /// What SQL with this contract may read, and should not: all that may not be read, since a view or a function may read it,
    /// and what the SQL names that was not there yet.
    fn open(&self, contract: Option<&Contract>) -> Vec<(String, String)> {
        let open = self.relations.iter().filter_map(|(name, gap)| Some((name.clone(), gap.clone()?)));
        let named = contract.into_iter().flat_map(|contract| &contract.tables).map(|table| &table.name);
        let unknown = named.filter(|name| !self.relations.contains_key(*name));
        open.chain(unknown.map(|name| (name.clone(), "it was not there when PostgreSQL was last asked".to_owned())))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use metricd_execution::testing::ScriptedRunner;

    use super::*;

    /// Takes what is known back in time.
    fn age(tenants: &Tenants, by: Duration) {
        let mut known = tenants.known.write().unwrap();
        if let Some(of) = known.as_deref() {
            *known = Some(Arc::new(Known {
                asked_at: of.asked_at.checked_sub(by).unwrap(),
                relations: of.relations.clone(),
            }));
        }
    }

    /// A runner that counts how often it is asked, and says whether the table `orders` is secured, or fails.
    fn runner(asked: &Arc<AtomicUsize>, is_secured: Option<bool>) -> ScriptedRunner {
        let (runner, asked) = (ScriptedRunner::default(), Arc::clone(asked));
        let gap = if is_secured == Some(true) { None } else { Some("its row security is off".to_owned()) };
        runner.set_relations(vec![Relation { name: "orders".to_owned(), gap }]);
        runner.script("relations", move || {
            asked.fetch_add(1, Ordering::SeqCst);
            is_secured.map(|_| Vec::new()).ok_or(RunError::NoConnection { waited: Duration::ZERO })
        });
        runner
    }

    #[actix_web::test]
    async fn the_database_is_asked_by_one_for_all() {
        let asked = Arc::new(AtomicUsize::new(0));
        let tenants = Tenants::default();
        let all = async |runner: &ScriptedRunner| {
            let before = asked.load(Ordering::SeqCst);
            let checks = join_all((0..50).map(|_| tenants.check(runner, None))).await;
            let passed = checks.into_iter().filter(|check| matches!(check, Ok(Ok(())))).count();
            // Who comes while the first one asks already may have to ask once more, for all who came meanwhile.
            assert!(asked.load(Ordering::SeqCst) - before <= 2);
            passed
        };
        let (failing, secured, open) = (runner(&asked, None), runner(&asked, Some(true)), runner(&asked, Some(false)));
        assert_eq!(all(&failing).await, 0);
        assert_eq!(all(&secured).await, 50);
        assert_eq!(all(&failing).await, 50, "what is known holds");
        age(&tenants, MAX_AGE);
        assert_eq!(all(&failing).await, 50, "for a little longer, where the database cannot be asked");
        age(&tenants, MAX_AGE + GRACE);
        assert_eq!(all(&failing).await, 0);
        assert_eq!(all(&open).await, 0);
        assert_eq!(all(&secured).await, 50, "what was refused is asked for anew");
        age(&tenants, MAX_AGE);
        all(&open).await;
        assert_eq!(all(&open).await, 0, "what is no longer secured is noticed");
    }
}

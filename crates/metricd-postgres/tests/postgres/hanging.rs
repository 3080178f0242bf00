//! A server whose processes hang: nothing waits for it without a bound, and what it has said before is not trusted.

use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use metricd_connection::LatestTimeline;
use metricd_database::DataSchemas;
use metricd_domain::MetricId;
use metricd_execution::{Resolvable, ResolveError, Resolver};
use metricd_postgres::{PgRepository, RepositoryConfig};
use metricd_repository::{MetricRepository, RepositoryError};
use metricd_runner::{DefinitionEvent, PgResolver, watch_definitions};
use metricd_test_support::TestDatabase;
use tokio::time::timeout;

/// PostgreSQL's processes for some sessions, stopped until this is dropped.
struct Stopped(Vec<i32>);

impl Stopped {
    /// Stops the sessions of the database that the condition is true of.
    async fn sessions(database: &TestDatabase, condition: &str) -> Result<Self> {
        let client = database.connect().await?;
        let sessions = format!(
            "SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND {condition}"
        );
        let stopped = Self(client.query(&sessions, &[]).await?.iter().map(|row| row.get(0)).collect());
        ensure!(!stopped.0.is_empty(), "no session has {condition}");
        stopped.signal("-STOP");
        Ok(stopped)
    }

    fn signal(&self, signal: &str) {
        let pids = self.0.iter().map(i32::to_string);
        assert!(Command::new("kill").arg(signal).args(pids).status().is_ok_and(|status| status.success()));
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_the_store_has_a_deadline_and_so_has_the_number_of_threads_that_wait() -> Result<()> {
    let database = TestDatabase::new().await?;
    let statement_timeout = Duration::from_millis(500);
    let config = RepositoryConfig { max_connections: 1, statement_timeout, ..RepositoryConfig::default() };
    let repository = PgRepository::new(&database.owner, config)?;
    let id = MetricId::parse("m1")?;
    let get = async || repository.get_definition(&id).await.err().context("there is no such metric");
    assert!(matches!(get().await?, RepositoryError::MetricNotFound(_)));
    {
        let _stopped = Stopped::sessions(&database, "application_name = 'metricd catalog'").await?;
        let began = Instant::now();
        let error = get().await?;
        assert!(matches!(error, RepositoryError::Unavailable(_)), "{error}");
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        // The thread still waits, so that no other one is let in.
        let error = get().await?;
        assert!(matches!(error, RepositoryError::NoConnection), "{error}");
    }
    timeout(Duration::from_secs(20), async {
        while !matches!(get().await?, RepositoryError::MetricNotFound(_)) {
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    })
    .await??;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn resolving_has_a_deadline() -> Result<()> {
    let database = TestDatabase::new().await?;
    let resolver = PgResolver::new(&database.owner, &DataSchemas::default());
    let statement = Resolvable { text: "SELECT 1 AS one".into(), placeholders: vec![] };
    let resolve = async || resolver.resolve(&statement).await.err();
    assert_eq!(resolve().await, None);
    let _stopped = Stopped::sessions(&database, "application_name = 'metricd resolver'").await?;
    let error = timeout(Duration::from_secs(15), resolve()).await?;
    assert!(matches!(error, Some(ResolveError::TooSlow(_))), "{error:?}");
    // With a new session.
    assert_eq!(resolve().await, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_goes_silent_is_trusted_for_seconds_only() -> Result<()> {
    let database = TestDatabase::new().await?;
    let (sender, events) = mpsc::channel();
    let owner = database.owner.clone();
    let watch = tokio::spawn(async move {
        watch_definitions(&owner, &LatestTimeline::default(), |event| _ = sender.send(event)).await
    });
    let next = || events.recv_timeout(Duration::from_secs(20));
    assert_eq!(next()?, DefinitionEvent::Watching);
    {
        let _stopped = Stopped::sessions(&database, "application_name = 'metricd watch'").await?;
        assert_eq!(next()?, DefinitionEvent::Lost);
        // The server takes connections, so that a new one listens.
        assert_eq!(next()?, DefinitionEvent::Watching);
    }
    watch.abort();
    Ok(())
}

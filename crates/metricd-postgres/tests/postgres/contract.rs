//! The store keeps every promise of the port.

use std::sync::Arc;

use metricd_postgres::{PgRepository, RepositoryConfig};
use metricd_repository::MetricRepository;
use metricd_test_support::TestDatabase;

async fn postgres() -> (TestDatabase, Arc<dyn MetricRepository>) {
    let database = TestDatabase::new().await.unwrap_or_else(|error| panic!("{error:#}"));
    let repository = PgRepository::new(&database.owner, RepositoryConfig::default());
    (database, Arc::new(repository.unwrap_or_else(|error| panic!("{error}"))))
}

metricd_repository::repository_contract!(postgres());

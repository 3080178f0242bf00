//! The in-memory store passes the contract suite.

use std::future::{Ready, ready};
use std::sync::Arc;

use metricd_repository::{MemoryRepository, MetricRepository};

fn memory() -> Ready<((), Arc<dyn MetricRepository>)> {
    ready(((), Arc::new(MemoryRepository::default())))
}

metricd_repository::repository_contract!(memory());

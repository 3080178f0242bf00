//! A store that saves its state to a JSON file and passes the contract suite.
//!
//! ```sh
//! cargo run -p metricd-repository --example implement_a_store -- metrics.json
//! cargo test --workspace --example implement_a_store
//! ```
//!
//! The store reads the file when it is opened, and replaces it after each change. A change that was acknowledged is in
//! the file; a change that failed is not.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use metricd_repository::{DefinitionFilter, MetricRepository, RepositoryError, SaveState, StateRepository, StoreState};

/// A JSON file, which one process may use at a time.
#[derive(Debug)]
struct JsonFile(PathBuf);

impl JsonFile {
    /// Opens the store that the file contains. Without a file, the store is empty.
    fn open(path: &Path) -> io::Result<StateRepository<Self>> {
        let state = match fs::read(path) {
            Ok(document) => serde_json::from_slice(&document)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => StoreState::default(),
            Err(error) => return Err(error),
        };
        Ok(StateRepository::new(state, Self(path.to_owned())))
    }
}

impl SaveState for JsonFile {
    fn save(&self, state: &StoreState) -> Result<(), RepositoryError> {
        let failed = |error: &dyn Display| {
            RepositoryError::Unavailable(format!("`{}` cannot be written: {error}", self.0.display()))
        };
        let document = serde_json::to_vec(state).map_err(|error| failed(&error))?;
        replace(&self.0, &document).map_err(|error| failed(&error))
    }
}

/// Replaces a file atomically: a reader finds the old content or the new content, even after a crash.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("tmp");
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: implement_a_store FILE")?;
    let repository = JsonFile::open(Path::new(&path))?;
    println!("{} metrics are in service", repository.check().await?.metric_count);
    for definition in repository.list_definitions(&DefinitionFilter::default(), None, 100).await? {
        println!("{}: {}", definition.metric.metric_id, definition.title());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};
    use std::sync::Arc;

    use metricd_domain::{Actor, ChangeSource, Contract, MetricId, SqlText};
    use metricd_repository::{MetricContent, NewMetric};
    use tempfile::TempDir;

    use super::*;

    /// An empty store, and the folder of its file.
    fn store() -> Ready<(TempDir, Arc<dyn MetricRepository>)> {
        let folder = tempfile::tempdir().unwrap();
        let repository = JsonFile::open(&folder.path().join("store.json")).unwrap();
        ready((folder, Arc::new(repository)))
    }

    metricd_repository::repository_contract!(store());

    fn metric(id: &str) -> NewMetric {
        let content = MetricContent::new(SqlText::parse("SELECT 1 AS one").unwrap(), Contract::default());
        NewMetric::new(MetricId::parse(id).unwrap(), content, Actor::by(ChangeSource::Http))
    }

    #[tokio::test]
    async fn a_reopened_store_has_its_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.json");
        let stored = JsonFile::open(&path).unwrap().insert_metric(metric("m1"), None).await.unwrap().0;
        let opened = JsonFile::open(&path).unwrap();
        assert_eq!(opened.get_definition(&stored.metric.metric_id).await.unwrap(), stored);
    }

    #[tokio::test]
    async fn a_change_that_cannot_be_saved_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let repository = JsonFile::open(&folder.path().join("store.json")).unwrap();
        repository.insert_metric(metric("m1"), None).await.unwrap();
        // A folder with the name of the temporary file makes the write fail.
        fs::create_dir(folder.path().join("store.tmp")).unwrap();
        let refused = repository.insert_metric(metric("m2"), None).await;
        assert!(matches!(refused, Err(RepositoryError::Unavailable(_))), "{refused:?}");
        assert_eq!(repository.check().await.unwrap().metric_count, 1);
    }
}

//! Reads the tables that statements may read from the catalogs.

use metricd_domain::ParameterValue;
use metricd_execution::{BoundStatement, ReadableTable, RunError, TableDescription, TableFilter};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::runner::PgRunner;

/// The tables that `$1` selects.
pub(crate) const TABLES_SQL: &str = include_str!("tables.sql");

/// The tables to read, as `tables.sql` describes them.
#[derive(Debug, Default, Serialize)]
struct Selection<'a> {
    limit: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<(&'a str, &'a str)>,
    #[serde(flatten)]
    filter: Option<&'a TableFilter>,
}

impl PgRunner {
    /// Implements [`MetricRunner::list_tables`](metricd_execution::MetricRunner::list_tables).
    pub(crate) async fn tables_after(
        &self,
        filter: &TableFilter,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<ReadableTable>, RunError> {
        self.select_tables(&Selection { limit, after, filter: Some(filter), name: None }).await
    }

    /// Implements [`MetricRunner::find_table`](metricd_execution::MetricRunner::find_table).
    pub(crate) async fn table_named(&self, name: &str) -> Result<Option<TableDescription>, RunError> {
        let selection = Selection { limit: 1, name: Some(name), ..Selection::default() };
        let found: Vec<TableDescription> = self.select_tables(&selection).await?;
        Ok(found.into_iter().next().map(readable))
    }

    async fn select_tables<T: DeserializeOwned>(&self, selection: &Selection<'_>) -> Result<Vec<T>, RunError> {
        // No name and no comment has NUL, and `jsonb` cannot have it.
        let (after, search) = (selection.after, selection.filter.and_then(|filter| filter.search.as_deref()));
        let texts = after.into_iter().flat_map(|(schema, name)| [schema, name]).chain(selection.name).chain(search);
        if texts.into_iter().any(|text| text.contains('\0')) {
            return Ok(Vec::new());
        }
        // Texts always serialize.
        let selection = ParameterValue::unvalidated(&serde_json::to_string(selection).unwrap_or_default());
        let (document, _) = self.query_value(BoundStatement::internal(TABLES_SQL, vec![Some(selection)])).await?;
        serde_json::from_str(&document.unwrap_or_default())
            .map_err(|error| RunError::Unavailable(format!("the tables are not as expected: {error}")))
    }
}

/// The description without the keys that have columns which the reader may not read.
fn readable(mut described: TableDescription) -> TableDescription {
    let columns = &described.columns;
    let is_readable = |names: &[String]| names.iter().all(|name| columns.iter().any(|column| column.name == *name));
    described.foreign_keys.retain(|key| is_readable(&key.columns));
    if !is_readable(&described.key) {
        described.key.clear();
    }
    described
}

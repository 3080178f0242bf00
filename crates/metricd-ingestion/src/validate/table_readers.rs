//! Validates the stored metrics that read a table whose columns change.

use metricd_domain::{Contract, MetricId, SqlText, TABLE_SCHEMA, TableName};
use metricd_repository::{Definitions, ExistingMetric, ExistingState};

use super::{ValidationCache, ValidationFailure};

/// A stored metric whose SQL would no longer be valid.
#[derive(Debug)]
pub(crate) struct BrokenReader {
    pub(crate) metric_id: MetricId,
    /// The first of the changed tables that it reads.
    pub(crate) table: TableName,
    /// The findings in its SQL.
    pub(crate) message: String,
}

/// Validates every stored metric in service that reads one of the tables, unless its validation is among the definitions.
/// Adds the contracts to the definitions, and returns the metrics that the tables would break. A metric whose SQL is invalid
/// already does not count.
///
/// # Errors
///
/// [`ValidationFailure`] if nothing can be validated.
pub(crate) async fn validate_readers(
    changed: &[TableName],
    existing: &ExistingState,
    definitions: &mut Definitions,
    validations: &mut ValidationCache,
) -> Result<Vec<BrokenReader>, ValidationFailure> {
    let mut broken = Vec::new();
    for stored in existing.metrics.values() {
        let metric = &stored.metric;
        if stored.is_deleted || definitions.contracts.contains_key(&metric.metric_id) {
            continue;
        }
        let Some((table, sql)) = first_read(stored, changed).zip(sql_of(stored, existing, definitions)) else {
            continue;
        };
        match validations.validate(&sql, Some(metric)).await? {
            Ok(contract) => {
                definitions.contracts.insert(metric.metric_id.clone(), contract);
            }
            Err(findings) => {
                let message = findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                broken.push((stored, sql, BrokenReader { metric_id: metric.metric_id.clone(), table, message }));
            }
        }
    }
    // The stored tables are locked until then.
    validations.release_tables();
    let mut blamed = Vec::new();
    for (stored, sql, reader) in broken {
        if validations.is_valid_as_stored(&sql, &stored.metric).await != Some(false) {
            blamed.push(reader);
        }
    }
    Ok(blamed)
}

fn first_read(stored: &ExistingMetric, changed: &[TableName]) -> Option<TableName> {
    let read = stored.contract.as_ref().map(Contract::tables).unwrap_or_default();
    let is_read =
        |name: &&TableName| read.iter().any(|table| table.schema == TABLE_SCHEMA && table.name == name.as_str());
    changed.iter().find(is_read).cloned()
}

/// The SQL of a metric after the ingestion.
fn sql_of(stored: &ExistingMetric, existing: &ExistingState, definitions: &Definitions) -> Option<SqlText> {
    let query_id = &stored.metric.query_id;
    let of_files = definitions.queries.iter().find(|query| query.query_id == *query_id).map(|query| &query.sql);
    of_files.or_else(|| Some(&existing.queries.get(query_id)?.sql)).cloned()
}

//! The JSON before a result's rows, encoded once for the same columns.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use metricd_domain::MetricDefinition;
use metricd_execution::{Column, EncodeError, JsonColumns, JsonRows};
use serde::Serialize;
use utoipa::ToSchema;

/// The largest buffer, in bytes, that is allocated before the first row.
const MAX_INITIAL_CAPACITY: usize = 1 << 20;

/// A metric's rows with their columns.
#[derive(Serialize, ToSchema)]
pub(crate) struct ResultPrefix<'a> {
    metric_id: &'a str,
    query_id: &'a str,
    title: &'a str,
    /// The columns, in the order of the SELECT list.
    columns: Vec<ColumnResponse<'a>>,
}

/// A column of a result.
#[derive(Serialize, ToSchema)]
#[schema(as = Column)]
struct ColumnResponse<'a> {
    name: &'a str,
    /// PostgreSQL's name of the type.
    r#type: &'a str,
}

impl<'a> From<&'a Column> for ColumnResponse<'a> {
    fn from(column: &'a Column) -> Self {
        Self { name: &column.name, r#type: &column.type_name }
    }
}

/// The JSON before the rows.
#[derive(Debug)]
pub(crate) struct EncodedPrefix {
    columns: Arc<JsonColumns>,
    text: Vec<u8>,
    /// The size of the last result with this prefix.
    size_bytes: AtomicUsize,
}

/// Caches the prefix of a metric's last result.
#[derive(Debug, Default)]
pub(crate) struct PrefixCache(Mutex<Option<Arc<EncodedPrefix>>>);

impl PrefixCache {
    /// Returns the prefix for these columns, from the cache if they are the same as the last.
    pub(crate) fn get_or_encode(
        &self,
        definition: &MetricDefinition,
        columns: &[Column],
    ) -> Result<Arc<EncodedPrefix>, EncodeError> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_ref().filter(|last| last.columns.columns() == columns) {
            return Ok(Arc::clone(last));
        }
        Ok(Arc::clone(last.insert(Arc::new(EncodedPrefix::new(definition, columns)?))))
    }
}

impl EncodedPrefix {
    fn new(definition: &MetricDefinition, columns: &[Column]) -> Result<Self, EncodeError> {
        let prefix = ResultPrefix {
            metric_id: definition.metric.metric_id.as_str(),
            query_id: definition.metric.query_id.as_str(),
            title: definition.title(),
            columns: columns.iter().map(ColumnResponse::from).collect(),
        };
        // Infallible: the prefix has no maps, and its keys are strings.
        let mut text = serde_json::to_vec(&prefix).unwrap_or_default();
        text.pop();
        text.extend_from_slice(b",\"rows\":");
        Ok(Self { columns: Arc::new(JsonColumns::new(columns)?), text, size_bytes: AtomicUsize::default() })
    }

    /// Starts a document with this prefix.
    pub(crate) fn begin(&self, rows: &mut JsonRows) {
        let expected_bytes = self.size_bytes.load(Ordering::Relaxed);
        // Room for a result that is a little larger than the last one.
        rows.reserve(expected_bytes.saturating_add(expected_bytes / 8).min(MAX_INITIAL_CAPACITY));
        rows.set_columns(Arc::clone(&self.columns));
        rows.begin_after(&self.text);
    }

    /// Records the size of a result with this prefix.
    pub(crate) fn note_size(&self, size_bytes: usize) {
        self.size_bytes.store(size_bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use metricd_domain::{Metric, MetricId, QueryId, SqlText};
    use metricd_execution::{FieldType, Row, RowSink};

    use super::*;

    fn definition() -> MetricDefinition {
        let metric = Metric::new(MetricId::parse("m1").unwrap(), QueryId::parse("q1").unwrap(), true);
        MetricDefinition::new(metric, SqlText::parse("SELECT a").unwrap(), None)
    }

    fn column(name: &str) -> Column {
        Column { name: name.to_owned(), type_name: "text".to_owned(), field_type: FieldType::Text }
    }

    fn document(prefix: &EncodedPrefix) -> String {
        let mut rows = JsonRows::default();
        prefix.begin(&mut rows);
        rows.row(Row::from_iter([Some(b"x".as_slice())]).fields(), 1_000).unwrap();
        String::from_utf8(rows.finish()).unwrap()
    }

    #[test]
    fn a_prefix_is_reused_while_the_columns_are_the_same() {
        let (cache, definition) = (PrefixCache::default(), definition());
        let first = cache.get_or_encode(&definition, &[column("a")]).unwrap();
        let expected = r#"{"metric_id":"m1","query_id":"q1","title":"m1","columns":[{"name":"a","type":"text"}],"rows":[{"a":"x"}]"#;
        assert_eq!(document(&first), expected);
        assert!(Arc::ptr_eq(&first, &cache.get_or_encode(&definition, &[column("a")]).unwrap()));
        let typed = Column { type_name: "name".to_owned(), ..column("a") };
        for changed in [column("b"), typed] {
            let prefix = cache.get_or_encode(&definition, std::slice::from_ref(&changed)).unwrap();
            let expected = expected.replace("\"a\"", &format!("\"{}\"", changed.name));
            let expected = expected.replace(r#""type":"text""#, &format!(r#""type":"{}""#, changed.type_name));
            assert_eq!(document(&prefix), expected);
        }
        assert_eq!(document(&first), expected);
    }

    #[test]
    fn a_result_reserves_the_last_size_up_to_a_limit() {
        let prefix = PrefixCache::default().get_or_encode(&definition(), &[column("a")]).unwrap();
        for (noted, expected) in [(80_000, 90_000), (usize::MAX / 2, MAX_INITIAL_CAPACITY)] {
            prefix.note_size(noted);
            let mut rows = JsonRows::default();
            prefix.begin(&mut rows);
            let reserved = rows.finish().capacity();
            assert!((expected..2 * expected).contains(&reserved), "{reserved}");
        }
    }
}

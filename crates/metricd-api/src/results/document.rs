//! A result as one JSON document: a prefix, the rows, and a suffix.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use metricd_execution::{
    AppliedPeriod, AppliedSelection, Column, EncodeError, Fields, JsonRows, Numbers, RowSink, RunOutcome, RunTiming,
};
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, Object, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::results::definition_cache::CachedMetric;

/// A metric's rows with their columns.
#[derive(Serialize, ToSchema)]
struct ResultPrefix<'a> {
    metric_id: &'a str,
    query_id: &'a str,
    title: &'a str,
    /// The columns, in the order of the SELECT list.
    columns: Vec<ColumnResponse<'a>>,
}

/// A column of a result.
#[derive(Serialize, ToSchema)]
#[schema(as = Column)]
pub(crate) struct ColumnResponse<'a> {
    name: &'a str,
    /// PostgreSQL's name of the type.
    r#type: &'a str,
}

impl<'a> From<&'a Column> for ColumnResponse<'a> {
    fn from(column: &'a Column) -> Self {
        Self { name: &column.name, r#type: &column.type_name }
    }
}

/// The members after the rows.
#[derive(Serialize, ToSchema)]
struct ResultSuffix {
    row_count: usize,
    /// Whether the result has more rows than the limit of the request or of the server.
    truncated: bool,
    /// The requested period and how it was applied; null without one.
    #[schema(required)]
    period: Option<AppliedPeriod>,
    /// The sort, the filters and the offset; absent if the request has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    selection: Option<AppliedSelection>,
    /// When the statement was sent to the database.
    #[schema(format = DateTime)]
    as_of: String,
}

/// The schema of the document that [`ResultRows`] writes.
pub(crate) struct ResultSchema;

impl PartialSchema for ResultSchema {
    fn schema() -> RefOr<Schema> {
        RefOr::T(result_schema(None, any_row()))
    }
}

impl ToSchema for ResultSchema {
    fn name() -> std::borrow::Cow<'static, str> {
        "Result".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        ResultPrefix::schemas(schemas);
        ResultSuffix::schemas(schemas);
    }
}

/// The schema of a result with rows of this schema: of the metric, or of any metric.
pub(crate) fn result_schema(metric_id: Option<&str>, row: RefOr<Schema>) -> Schema {
    let (mut prefix, suffix) = (object(ResultPrefix::schema()), object(ResultSuffix::schema()));
    if let (Some(id), Some(RefOr::T(Schema::Object(property)))) = (metric_id, prefix.properties.get_mut("metric_id")) {
        property.enum_values = Some(vec![id.into()]);
    }
    let rows = ArrayBuilder::new().items(row).description(Some("The rows: values by column name."));
    prefix.properties.insert("rows".to_owned(), RefOr::T(rows.into()));
    prefix.required.push("rows".to_owned());
    prefix.properties.extend(suffix.properties);
    prefix.required.extend(suffix.required);
    prefix.into()
}

/// A row of any metric.
fn any_row() -> RefOr<Schema> {
    let values = AdditionalProperties::<Schema>::FreeForm(true);
    RefOr::T(ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(values)).into())
}

/// The object schema of a struct.
fn object(schema: RefOr<Schema>) -> Object {
    match schema {
        RefOr::T(Schema::Object(object)) => object,
        _ => Object::new(),
    }
}

/// The length of the member `as_of`, which ends a result.
const AS_OF_BYTES: usize = r#","as_of":"2026-11-24T01:51:41.940Z"}"#.len();

/// The part of a result without `as_of`: the same for the same rows.
pub(crate) fn hashable_prefix(result: &[u8]) -> &[u8] {
    result.get(..result.len().saturating_sub(AS_OF_BYTES)).unwrap_or_default()
}

/// Encodes rows into the JSON document of a result.
#[derive(Debug)]
pub(crate) struct ResultRows {
    cached: Arc<CachedMetric>,
    numbers: Numbers,
    rows: JsonRows,
}

impl ResultRows {
    pub(crate) fn of(cached: Arc<CachedMetric>, numbers: Numbers) -> Self {
        Self { cached, numbers, rows: JsonRows::default() }
    }

    /// The run's timing so far.
    pub(crate) fn timing(&self) -> RunTiming {
        self.rows.timing()
    }

    /// Returns the document, which ends with `as_of`.
    pub(crate) fn finish(
        self,
        outcome: RunOutcome,
        period: Option<AppliedPeriod>,
        selection: Option<AppliedSelection>,
        as_of: DateTime<Utc>,
    ) -> Vec<u8> {
        let suffix = ResultSuffix {
            row_count: outcome.row_count,
            truncated: outcome.truncated,
            period,
            selection,
            as_of: as_of.to_rfc3339_opts(SecondsFormat::Millis, true),
        };
        let mut body = self.rows.finish();
        let end = body.len();
        // Infallible: the suffix has no maps, and its keys are strings.
        let _ = serde_json::to_writer(&mut body, &suffix);
        // The suffix's members continue the prefix's object.
        if let Some(brace) = body.get_mut(end) {
            *brace = b',';
        }
        body
    }
}

impl RowSink for ResultRows {
    fn columns(&mut self, columns: &[Column]) -> Result<(), EncodeError> {
        let definition = &self.cached.definition;
        let prefix = ResultPrefix {
            metric_id: definition.metric.metric_id.as_str(),
            query_id: definition.metric.query_id.as_str(),
            title: definition.title(),
            columns: columns.iter().map(ColumnResponse::from).collect(),
        };
        // Infallible: the prefix has no maps, and its keys are strings.
        let mut text = serde_json::to_vec(&prefix).unwrap_or_default();
        // The rows continue the prefix's object.
        text.pop();
        text.extend_from_slice(b",\"rows\":");
        self.rows.begin_after(&text);
        self.rows.columns(&self.numbers.columns(columns))
    }

    fn row(&mut self, fields: Fields<'_>, max_bytes: usize) -> Result<bool, EncodeError> {
        self.rows.row(fields, max_bytes)
    }

    fn timed(&mut self, timing: RunTiming) {
        self.rows.timed(timing);
    }
}

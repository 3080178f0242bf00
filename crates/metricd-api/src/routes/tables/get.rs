//! `GET /tables/{table_name}`

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use metricd_domain::{Actor, ColumnName, ColumnType, ContractForeignKey, Load, MetricId, MetricPatterns, TableColumn};
use metricd_execution::{ReadableColumn, TableDescription};
use metricd_repository::{DefinitionFilter, StoredTable};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::kind::TableKindResponse;
use super::{TablesRead, by_name, examples};
use crate::auth::caller;
use crate::extract::conditional::{self, IfNoneMatchHeader};
use crate::extract::parameters::TablePath;
use crate::extract::query_string::QueryString;
use crate::problem::problems;
use crate::{ApiState, Problem};

/// How many metrics are read from the repository at a time.
const METRICS_PAGE: usize = 200;

/// A table, a view or a foreign table.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Table)]
struct TableResponse {
    schema: String,
    name: String,
    kind: TableKindResponse,
    /// The comment in the database.
    #[schema(required)]
    description: Option<String>,
    /// The number of rows that PostgreSQL last estimated; null if it is unknown, if the server has tenants, or if the token
    /// is limited to some metrics.
    #[schema(required)]
    row_estimate: Option<u64>,
    /// The columns that SQL may read, in their order.
    columns: Vec<TableColumnResponse>,
    /// The columns that identify a row; empty if there is no primary key.
    key: Vec<String>,
    /// The column with the date or timestamp of each row, if definitions declare it.
    #[schema(required)]
    time_column: Option<String>,
    /// The columns of each index that definitions declare.
    indexes: Vec<Vec<String>>,
    /// The foreign keys to tables that SQL may read.
    foreign_keys: Vec<ContractForeignKey>,
    /// Whether files made it. The next members are null if not.
    made_by_files: bool,
    /// What loading a file does with the rows that the table has.
    #[schema(required)]
    load: Option<Load>,
    /// The name of the file that is loaded into it; null if the name of the table decides.
    #[schema(required)]
    file: Option<String>,
    /// Counts the changes of its definition, from 1.
    #[schema(required)]
    version: Option<u32>,
    /// When its definition or its rows last changed.
    #[schema(required)]
    changed_at: Option<DateTime<Utc>>,
    /// Who made that change.
    #[schema(required)]
    changed_by: Option<Actor>,
    /// The metrics in service that read it, by id, of those that the caller may read.
    metrics: Vec<TableMetricResponse>,
}

/// A column of a table.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TableColumn)]
struct TableColumnResponse {
    name: String,
    /// The type, as PostgreSQL names it, without modifiers.
    r#type: String,
    /// Whether every row has a value: the column is NOT NULL.
    required: bool,
    /// The description that definitions declare, or else the comment in the database.
    #[schema(required)]
    description: Option<String>,
    /// The unit that definitions declare.
    #[schema(required)]
    unit: Option<String>,
    /// The least value that definitions allow: a number or a text, as results show the type.
    #[schema(required, value_type = Option<serde_json::Value>)]
    minimum: Option<Box<RawValue>>,
    /// The greatest value that definitions allow.
    #[schema(required, value_type = Option<serde_json::Value>)]
    maximum: Option<Box<RawValue>>,
    /// The only values that definitions allow; null if there may be others.
    #[schema(required, value_type = Option<Vec<serde_json::Value>>)]
    one_of: Option<Vec<Box<RawValue>>>,
    /// Up to 3 different values of the first rows, as results show them. A text of more than 100 characters is cut and ends
    /// in an ellipsis. Null if the caller may not create metrics or is limited to some, if row-level security does not
    /// isolate tenants, if the database does not answer quickly, and for types that extensions and users define, except
    /// enums.
    #[schema(required, value_type = Option<Vec<serde_json::Value>>)]
    examples: Option<Vec<Box<RawValue>>>,
    /// The labels of an enum, in the order of the type; null for other types, and for more than 200 labels.
    #[schema(required)]
    enum_labels: Option<Vec<String>>,
}

/// A metric that reads a table.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TableMetric)]
struct TableMetricResponse {
    id: String,
    title: String,
    /// The path of its definition.
    #[schema(format = "uri-reference")]
    href: String,
}

problems!(
    GetTableProblems:
    TableNotFound, InvalidParameters, DatabaseUnavailable, NoConnection, ConnectionsStuck
);

/// Answers with the table: its columns and keys, examples of its values, and the metrics that read it.
///
/// A token that is limited to some metrics sees only the tables that these read.
#[utoipa::path(
    get,
    path = "/tables/{table_name}",
    tag = "tables",
    params(TablePath, IfNoneMatchHeader),
    responses(
        (
            status = OK,
            description = "The table.",
            body = TableResponse,
            headers(("ETag" = String, description = "For `If-None-Match`: changes with the content of the response."))
        ),
        (status = NOT_MODIFIED, description = "The client's copy is still valid."),
        GetTableProblems,
    )
)]
pub(in crate::routes) async fn get_table(
    request: HttpRequest,
    path: web::Path<TablePath>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    QueryString::parse(request.query_string()).finish()?;
    let among = caller::visible_metrics(&request);
    let read = match among {
        Some(_) => Some(TablesRead::by_metrics_of(&request, &state).await?),
        None => None,
    };
    let found = by_name::find(&state, &path).await?;
    let is_shown =
        |found: &TableDescription| read.as_ref().is_none_or(|read| read.shows(&found.table.schema, &found.table.name));
    let found = found.filter(is_shown).ok_or_else(by_name::not_found)?;
    let stored = by_name::stored(&state, &found).await?;
    let metrics = metrics_that_read(&state, &found, among.as_ref()).await?;
    let mut examples = examples::read(&request, &state, &found).await;
    let shows_rows = among.is_none() && state.tenants.is_none();
    let columns = found.columns.iter().map(|column| {
        let declared = stored.as_ref().and_then(|stored| declared(stored, column));
        TableColumnResponse::new(column, declared, examples.as_mut().and_then(|of| of.remove(&column.name)))
    });
    let table = TableResponse {
        columns: columns.collect(),
        key: found.key,
        foreign_keys: found.foreign_keys,
        row_estimate: found.table.row_estimate.filter(|_| shows_rows),
        schema: found.table.schema,
        name: found.table.name,
        kind: found.table.kind.into(),
        description: found.table.description,
        time_column: stored.as_ref().and_then(|stored| stored.table.parts().time_column.clone()).map(String::from),
        indexes: stored.as_ref().map(indexes).unwrap_or_default(),
        made_by_files: stored.is_some(),
        load: stored.as_ref().map(|stored| stored.table.load()),
        file: stored.as_ref().and_then(|stored| stored.table.parts().file.clone()),
        version: stored.as_ref().map(|stored| stored.version),
        changed_at: stored.as_ref().map(|stored| stored.changed_at),
        changed_by: stored.map(|stored| caller::shown_actor(&request, stored.changed_by)),
        metrics,
    };
    let body =
        serde_json::to_vec(&table).map_err(|error| Problem::new(crate::ProblemCode::InternalError).caused_by(error))?;
    let tag = conditional::content_tag(&body);
    Ok(conditional::respond_privately_with_tag(&request, &tag, |mut response| {
        response.content_type("application/json").body(body)
    }))
}

/// The column of the definition.
fn declared<'a>(stored: &'a StoredTable, column: &ReadableColumn) -> Option<&'a TableColumn> {
    stored.table.columns().iter().find(|declared| declared.name.as_str() == column.name)
}

impl TableColumnResponse {
    fn new(column: &ReadableColumn, declared: Option<&TableColumn>, examples: Option<Vec<Box<RawValue>>>) -> Self {
        let description = match declared {
            // The comment has the unit as well.
            Some(declared) => declared.description.as_ref().map(ToString::to_string),
            None => column.description.clone(),
        };
        let value = |text: &String| declared.and_then(|declared| shown(declared.data_type, text));
        let checks = declared.map(|declared| &declared.checks);
        let one_of = checks.map(|checks| checks.one_of.iter().filter_map(value).collect::<Vec<_>>());
        Self {
            name: column.name.clone(),
            r#type: column.type_name.clone(),
            required: column.required,
            description,
            unit: declared.and_then(|declared| declared.unit.as_ref()).map(ToString::to_string),
            minimum: checks.and_then(|checks| checks.minimum.as_ref()).and_then(value),
            maximum: checks.and_then(|checks| checks.maximum.as_ref()).and_then(value),
            one_of: one_of.filter(|values| !values.is_empty()),
            examples,
            enum_labels: column.enum_labels.clone(),
        }
    }
}

/// A value of a check as results show the type: a number with every digit, or a text.
fn shown(data_type: ColumnType, text: &str) -> Option<Box<RawValue>> {
    let is_number = matches!(data_type, ColumnType::Bigint | ColumnType::Numeric | ColumnType::Double);
    let json = if is_number { text.to_owned() } else { serde_json::to_string(text).ok()? };
    RawValue::from_string(json).ok()
}

/// All metrics in service whose contracts name the table.
async fn metrics_that_read(
    state: &ApiState,
    found: &TableDescription,
    among: Option<&MetricPatterns>,
) -> Result<Vec<TableMetricResponse>, Problem> {
    let reads = Some((found.table.schema.clone(), found.table.name.clone()));
    let filter = DefinitionFilter { reads, among: among.cloned(), ..DefinitionFilter::default() };
    let mut metrics: BTreeMap<MetricId, TableMetricResponse> = BTreeMap::new();
    loop {
        let after = metrics.last_key_value().map(|(id, _)| id.clone());
        let page = state.repository.list_definitions(&filter, after.as_ref(), METRICS_PAGE).await?;
        let is_last = page.len() < METRICS_PAGE;
        metrics.extend(page.into_iter().map(|definition| {
            let (id, title) = (definition.metric.metric_id.to_string(), definition.title().to_owned());
            let href = format!("/metrics/{id}/definition");
            (definition.metric.metric_id, TableMetricResponse { id, title, href })
        }));
        if is_last {
            return Ok(metrics.into_values().collect());
        }
    }
}

fn indexes(stored: &StoredTable) -> Vec<Vec<String>> {
    let names = |columns: &Vec<ColumnName>| columns.iter().map(ToString::to_string).collect();
    stored.table.parts().indexes.iter().map(names).collect()
}

//! Definitions in responses.

use actix_web::{HttpResponse, HttpResponseBuilder};
use chrono::{DateTime, Utc};
use metricd_domain::{
    Contract, ContractColumn, ContractParameter, ContractTable, MetricDefinition, MetricDescription, MetricLimits,
    ParameterDeclaration, Period, PeriodColumn, PeriodDeclaration, PeriodSource,
};
use metricd_execution::MetricStatement;
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::conditional;

/// A metric's definition: its SQL, and its contract from PostgreSQL.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Definition)]
pub(super) struct DefinitionResponse<'a> {
    id: &'a str,
    query_id: &'a str,
    title: &'a str,
    #[schema(required)]
    description: Option<&'a str>,
    /// Whether it may be changed over HTTP.
    editable: bool,
    /// Counts changes of everything but the contract, from 1.
    version: u32,
    sql: &'a str,
    /// Counts changes of the SQL, from 1.
    sql_version: u32,
    parameters: Vec<ParameterResponse<'a>>,
    /// The declared time column: `column`, `table.column` or `schema.table.column`.
    #[schema(required)]
    time_column: Option<String>,
    /// The declared target of periods.
    #[schema(required)]
    period: Option<&'a PeriodDeclaration>,
    limits: MetricLimits,
    /// PostgreSQL's description of the SQL; null if it is unknown, or the SQL is no longer valid.
    #[schema(required)]
    contract: Option<ContractResponse<'a>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// When it was deleted; null while it is in service.
    #[schema(required)]
    deleted_at: Option<DateTime<Utc>>,
}

/// A definition in a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DefinitionSummary)]
pub(super) struct DefinitionSummary {
    id: String,
    query_id: String,
    title: String,
    #[schema(required)]
    description: Option<String>,
    /// Whether it may be changed over HTTP.
    editable: bool,
    /// Counts the changes, from 1.
    version: u32,
    /// The parameters of the contract.
    #[schema(value_type = Vec<ParameterResponse>)]
    parameters: serde_json::Value,
    /// The columns of the contract; null without a contract.
    #[schema(required)]
    columns: Option<Vec<ContractColumn>>,
    /// When it was deleted; null while it is in service.
    #[schema(required)]
    deleted_at: Option<DateTime<Utc>>,
}

/// A parameter with its declaration, if there is one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Parameter)]
struct ParameterResponse<'a> {
    name: &'a str,
    /// PostgreSQL's name of the declared or inferred type; null without a contract.
    #[schema(required)]
    r#type: Option<String>,
    /// Whether a request must have a value.
    required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    declared: Option<ParameterDeclaration>,
}

/// PostgreSQL's description of the SQL.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Contract)]
struct ContractResponse<'a> {
    /// The columns of the result, in order.
    columns: &'a [ContractColumn],
    /// The parameters, in the order of their first use in the SQL.
    parameters: &'a [ContractParameter],
    /// The tables and views that are read, by name.
    tables: &'a [ContractTable],
    period: ContractPeriodResponse,
}

/// How `start_date` and `end_date` of a request are applied. One object whose members depend on `applied`, since client
/// generators drop a choice between objects with common members.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = ContractPeriod)]
struct ContractPeriodResponse {
    applied: ContractPeriodKind,
    /// With `narrowed`: the schema of the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<String>,
    /// With `narrowed`: the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<String>,
    /// With `narrowed` and `result`: the time column.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<String>,
    /// The column's type: `date` or a timestamp.
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    /// With `unsupported`: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// How a period is applied.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ContractPeriodKind {
    /// The SQL has parameters for the days.
    Bound,
    /// The SQL reads only the rows of a table within the period.
    Narrowed,
    /// Rows of the result outside the period are removed.
    Result,
    /// None of these is possible.
    #[default]
    Unsupported,
}

impl From<Period> for ContractPeriodResponse {
    fn from(period: Period) -> Self {
        match period {
            Period::Bound => Self { applied: ContractPeriodKind::Bound, ..Self::default() },
            Period::Narrowed(PeriodSource { schema, table, column, type_name }) => Self {
                applied: ContractPeriodKind::Narrowed,
                schema: Some(schema),
                table: Some(table),
                column: Some(column),
                r#type: Some(type_name),
                reason: None,
            },
            Period::Result(PeriodColumn { column, type_name }) => {
                let (column, r#type) = (Some(column), Some(type_name));
                Self { applied: ContractPeriodKind::Result, column, r#type, ..Self::default() }
            }
            Period::Unsupported { reason } => Self { reason: Some(reason), ..Self::default() },
        }
    }
}

impl<'a> From<&'a Contract> for ContractResponse<'a> {
    fn from(contract: &'a Contract) -> Self {
        let (columns, parameters, tables) = (contract.columns(), contract.parameters(), contract.tables());
        Self { columns, parameters, tables, period: contract.current_period().into_owned().into() }
    }
}

/// Answers with the definition and its `ETag`.
pub(super) fn respond(mut response: HttpResponseBuilder, definition: &MetricDefinition) -> HttpResponse {
    let statement = MetricStatement::of(definition).ok();
    response.insert_header(conditional::header(&conditional::definition_tag(definition)));
    response.json(DefinitionResponse::of(definition, statement.as_ref()))
}

impl<'a> DefinitionResponse<'a> {
    /// The definition, with its statement if its SQL is valid.
    pub(super) fn of(definition: &'a MetricDefinition, statement: Option<&'a MetricStatement>) -> Self {
        let metric = &definition.metric;
        Self {
            id: metric.metric_id.as_str(),
            query_id: metric.query_id.as_str(),
            title: definition.title(),
            description: definition.display_text.description.as_ref().map(MetricDescription::as_str),
            editable: metric.editable,
            version: definition.version,
            sql: definition.sql.as_str(),
            sql_version: definition.query_version,
            parameters: parameters(definition, statement),
            time_column: metric.time_column.as_ref().map(ToString::to_string),
            period: metric.period.as_ref(),
            limits: metric.limits,
            contract: definition.contract.as_ref().map(ContractResponse::from),
            created_at: definition.created_at,
            updated_at: definition.updated_at,
            deleted_at: definition.deleted_at,
        }
    }
}

impl From<MetricDefinition> for DefinitionSummary {
    fn from(definition: MetricDefinition) -> Self {
        // Parsing the SQL of every entry of a list would dominate its cost.
        let known: Vec<_> = MetricStatement::contract_parameters(&definition).collect();
        let known = known.iter().map(|(name, r#type, required)| (name.as_str(), r#type.clone(), *required));
        let parameters = serde_json::to_value(responses(&definition, known)).unwrap_or_default();
        let title = definition.title().to_owned();
        Self {
            id: definition.metric.metric_id.into(),
            query_id: definition.metric.query_id.into(),
            title,
            description: definition.display_text.description.map(String::from),
            editable: definition.metric.editable,
            version: definition.version,
            parameters,
            columns: definition.contract.map(|contract| contract.into_parts().columns),
            deleted_at: definition.deleted_at,
        }
    }
}

fn parameters<'a>(
    definition: &'a MetricDefinition,
    statement: Option<&'a MetricStatement>,
) -> Vec<ParameterResponse<'a>> {
    responses(definition, statement.into_iter().flat_map(MetricStatement::parameters))
}

fn responses<'a>(
    definition: &'a MetricDefinition,
    parameters: impl Iterator<Item = (&'a str, Option<String>, bool)>,
) -> Vec<ParameterResponse<'a>> {
    let response = |(name, r#type, required)| {
        let declared = definition.metric.parameters.iter().find(|parameter| parameter.name().as_str() == name);
        ParameterResponse { name, r#type, required, declared: declared.cloned().map(ParameterDeclaration::from) }
    };
    parameters.map(response).collect()
}

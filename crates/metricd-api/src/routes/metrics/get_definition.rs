//! `GET /metrics/{metric_id}/definition`

use actix_web::{HttpRequest, HttpResponse, web};
use metricd_domain::{
    Contract, ContractColumn, ContractParameter, ContractTable, MetricId, MetricLimits, ParameterDeclaration, Period,
};
use metricd_execution::MetricStatement;
use serde::Serialize;

use crate::query_string::QueryString;
use crate::{ApiState, Problem, ProblemCode};

/// A metric's definition: its SQL, and what PostgreSQL has said of it.
#[derive(Serialize)]
struct DefinitionResponse<'a> {
    metric_id: &'a str,
    query_id: &'a str,
    title: &'a str,
    editable: bool,
    sql: &'a str,
    /// Counts the changes of the SQL, from 1.
    version: u32,
    parameters: Vec<ParameterResponse<'a>>,
    time_column: Option<String>,
    limits: MetricLimits,
    contract: Option<ContractResponse<'a>>,
}

/// A parameter with what is declared of it, if anything is.
#[derive(Serialize)]
struct ParameterResponse<'a> {
    name: &'a str,
    r#type: Option<String>,
    required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    declared: Option<ParameterDeclaration>,
}

#[derive(Serialize)]
struct ContractResponse<'a> {
    columns: &'a [ContractColumn],
    parameters: &'a [ContractParameter],
    tables: &'a [ContractTable],
    period: &'a Period,
}

impl<'a> From<&'a Contract> for ContractResponse<'a> {
    fn from(contract: &'a Contract) -> Self {
        let Contract { columns, parameters, tables, period } = contract;
        Self { columns, parameters, tables, period }
    }
}

/// Answers with the metric's definition.
pub(in crate::routes) async fn get_metric_definition(
    request: HttpRequest,
    metric_id: web::Path<String>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    QueryString::parse(request.query_string()).finish()?;
    let metric_id = MetricId::parse(metric_id.into_inner()).map_err(|_| Problem::new(ProblemCode::MetricNotFound))?;
    let served = state.definitions.get(&metric_id).await?;
    let (definition, metric) = (&served.definition, &served.definition.metric);
    let parameters = served.statement.iter().flat_map(MetricStatement::parameters);
    let parameters = parameters.map(|(name, r#type, required)| {
        let declared = metric.parameters.iter().find(|parameter| parameter.name().as_str() == name);
        ParameterResponse { name, r#type, required, declared: declared.cloned().map(ParameterDeclaration::from) }
    });
    Ok(HttpResponse::Ok().json(DefinitionResponse {
        metric_id: metric.metric_id.as_str(),
        query_id: metric.query_id.as_str(),
        title: definition.title(),
        editable: metric.editable,
        sql: definition.sql.as_str(),
        version: definition.query_version,
        parameters: parameters.collect(),
        time_column: metric.time_column.as_ref().map(ToString::to_string),
        limits: metric.limits,
        contract: definition.contract.as_ref().map(ContractResponse::from),
    }))
}

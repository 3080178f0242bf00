//! Validates the SQL of the files, and makes the contract of each metric.

use std::collections::{BTreeMap, BTreeSet};

use metricd_domain::{Contract, Metric, MetricId, Query, QueryId, SqlText};
use metricd_execution::{Finding, FindingCode};
use metricd_repository::{ExistingMetric, ExistingState};

use super::{Located, ValidationCache, ValidationFailure};
use crate::findings::{Findings, refuse_sql};
use crate::{Progress, Reason};

/// The queries and metrics whose SQL is valid, with the new contracts.
#[derive(Debug)]
pub(super) struct ContractValidation {
    pub(super) queries: Vec<Located<Query>>,
    pub(super) metrics: BTreeMap<MetricId, Located<Metric>>,
    pub(super) contracts: BTreeMap<MetricId, Contract>,
    /// Metrics that were refused because of their SQL.
    pub(super) refused: BTreeSet<MetricId>,
}

/// A metric that reads a validated query: a metric in the files, or a stored metric that is not in the files.
#[derive(Debug, Clone, Copy)]
struct Dependent<'a> {
    metric: &'a Metric,
    in_files: Option<&'a Located<Metric>>,
}

/// Validates the SQL of queries and metrics.
///
/// Every query in the files is validated with the declarations of each metric that reads it. Every other metric in the
/// files is validated with its stored SQL. Entries that equal the stored ones are validated too, because the warehouse
/// may have changed. A stored metric that is not in the files keeps its contract, unless the files change its SQL.
///
/// # Errors
///
/// [`ValidationFailure`] if nothing can be validated.
pub(super) async fn validate_contracts(
    queries: Vec<Located<Query>>,
    metrics: BTreeMap<MetricId, Located<Metric>>,
    existing: &ExistingState,
    validations: &mut ValidationCache,
    progress: &dyn Progress,
    findings: &mut Findings,
) -> Result<ContractValidation, ValidationFailure> {
    let mut validator =
        ContractValidator { existing, validations, findings, contracts: BTreeMap::new(), refused: BTreeSet::new() };
    let mut dependents: BTreeMap<&QueryId, Vec<Dependent<'_>>> = BTreeMap::new();
    for metric in metrics.values() {
        let dependent = Dependent { metric: &metric.value, in_files: Some(metric) };
        dependents.entry(&metric.value.query_id).or_default().push(dependent);
    }
    let stored = existing.metrics.values().map(|existing| &existing.metric);
    for metric in stored.filter(|metric| !metrics.contains_key(&metric.metric_id)) {
        dependents.entry(&metric.query_id).or_default().push(Dependent { metric, in_files: None });
    }
    let mut kept = BTreeSet::new();
    let total = queries.len() as u64;
    for (query, done) in queries.iter().zip(1..) {
        let dependents = dependents.remove(&query.value.query_id).unwrap_or_default();
        if validator.validate_query(query, &dependents).await? {
            kept.insert(query.value.query_id.clone());
        }
        progress.validate(done, total);
    }
    // The remaining metrics refer to stored queries that are not in the files. Only the metrics that are in the files
    // are validated.
    for dependent in dependents.into_values().flatten() {
        if let (Some(metric), Some(stored)) = (dependent.in_files, existing.queries.get(&dependent.metric.query_id)) {
            validator.validate_metric(metric, &stored.sql).await?;
        }
    }
    let ContractValidator { contracts, refused, .. } = validator;
    Ok(ContractValidation {
        queries: queries.into_iter().filter(|query| kept.contains(&query.value.query_id)).collect(),
        metrics: metrics.into_iter().filter(|(metric_id, _)| !refused.contains(metric_id)).collect(),
        contracts: contracts.into_iter().filter(|(metric_id, _)| !refused.contains(metric_id)).collect(),
        refused,
    })
}

struct ContractValidator<'a> {
    existing: &'a ExistingState,
    validations: &'a mut ValidationCache,
    findings: &'a mut Findings,
    contracts: BTreeMap<MetricId, Contract>,
    refused: BTreeSet<MetricId>,
}

impl ContractValidator<'_> {
    /// Validates a query with each of its dependents, and returns whether the query is valid.
    async fn validate_query(
        &mut self,
        query: &Located<Query>,
        dependents: &[Dependent<'_>],
    ) -> Result<bool, ValidationFailure> {
        let sql = &query.value.sql;
        let mut validated: Vec<(&Metric, Contract)> = Vec::new();
        for dependent in dependents {
            if dependent.in_files.is_none() && self.is_unchanged(dependent.metric, sql) {
                continue;
            }
            match (self.validations.validate(sql, Some(dependent.metric)).await?, dependent.in_files) {
                (Ok(contract), _) => validated.push((dependent.metric, contract)),
                // The fault is in the declarations, not in the SQL.
                (Err(findings), Some(metric)) if findings.iter().all(is_about_declarations) => {
                    self.refuse_metric(metric, &findings);
                }
                (Err(findings), _) => {
                    self.refuse_query(query, dependents, &findings, dependent);
                    return Ok(false);
                }
            }
        }
        if dependents.is_empty()
            && let Err(findings) = self.validations.validate(sql, None).await?
        {
            refuse_sql(&query.location, sql, &findings, self.findings);
            return Ok(false);
        }
        self.contracts.extend(validated.into_iter().map(|(metric, contract)| (metric.metric_id.clone(), contract)));
        Ok(true)
    }

    async fn validate_metric(&mut self, metric: &Located<Metric>, sql: &SqlText) -> Result<(), ValidationFailure> {
        match self.validations.validate(sql, Some(&metric.value)).await? {
            Ok(contract) => {
                self.contracts.insert(metric.value.metric_id.clone(), contract);
            }
            Err(findings) => self.refuse_metric(metric, &findings),
        }
        Ok(())
    }

    /// Whether the metric is stored with the same declarations, the same SQL and a current contract.
    fn is_unchanged(&self, metric: &Metric, sql: &SqlText) -> bool {
        let stored = self.existing.metrics.get(&metric.metric_id);
        let has_contract = stored.is_some_and(|ExistingMetric { metric: stored, contract, .. }| {
            contract.as_ref().is_some_and(Contract::has_current_period_revision) && stored.shares_contract_with(metric)
        });
        has_contract && self.existing.queries.get(&metric.query_id).is_some_and(|stored| stored.sql == *sql)
    }

    fn refuse_query(
        &mut self,
        query: &Located<Query>,
        dependents: &[Dependent<'_>],
        findings: &[Finding],
        dependent: &Dependent<'_>,
    ) {
        if dependent.in_files.is_none() && findings.iter().all(is_about_declarations) {
            let metric_id = &dependent.metric.metric_id;
            let attributed = findings.iter().map(|finding| Finding {
                message: format!("the stored metric `{metric_id}` reads this query: {}", finding.message),
                ..finding.clone()
            });
            refuse_sql(&query.location, &query.value.sql, &attributed.collect::<Vec<_>>(), self.findings);
        } else {
            refuse_sql(&query.location, &query.value.sql, findings, self.findings);
        }
        for metric in dependents.iter().filter_map(|dependent| dependent.in_files) {
            refuse_with_query(metric, self.findings);
            self.refused.insert(metric.value.metric_id.clone());
        }
    }

    fn refuse_metric(&mut self, metric: &Located<Metric>, findings: &[Finding]) {
        for finding in findings {
            let id = metric.value.metric_id.as_str();
            self.findings.refuse(metric.location.clone(), Some(id), Reason::Sql(finding.code), finding.to_string());
        }
        self.refused.insert(metric.value.metric_id.clone());
    }
}

/// Refuses a metric because its query was refused.
pub(super) fn refuse_with_query(metric: &Located<Metric>, findings: &mut Findings) {
    let Metric { metric_id, query_id, .. } = &metric.value;
    let message = format!("the query `{query_id}` of `{metric_id}` was refused");
    findings.refuse(metric.location.clone(), Some(query_id.as_str()), Reason::QueryRefused, message);
}

/// Whether the finding is about the declarations of the definition, and not about the SQL itself.
fn is_about_declarations(finding: &Finding) -> bool {
    [FindingCode::ParameterUnused, FindingCode::TimeColumn, FindingCode::Period].contains(&finding.code)
}

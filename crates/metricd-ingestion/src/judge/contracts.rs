//! What PostgreSQL says of the SQL that is brought: each metric's contract, or why there is none.

use std::collections::{BTreeMap, BTreeSet};

use metricd_domain::{Contract, Metric, MetricId, Query, QueryId, SqlText};
use metricd_execution::{Finding, FindingCode};
use metricd_repository::{ExistingMetric, ExistingState};

use super::{Judgements, Located};
use crate::findings::{Findings, refuse_sql};
use crate::{Progress, Reason};

/// What is left of queries and metrics once their SQL is judged, and the contracts of those metrics that have new ones.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) queries: Vec<Located<Query>>,
    pub(super) metrics: BTreeMap<MetricId, Located<Metric>>,
    pub(super) contracts: BTreeMap<MetricId, Contract>,
    /// Metrics that were refused with their SQL.
    pub(super) refused: BTreeSet<MetricId>,
}

/// A metric that reads a query that is judged: brought, or stored and not brought again.
#[derive(Debug, Clone, Copy)]
struct Reader<'a> {
    metric: &'a Metric,
    brought: Option<&'a Located<Metric>>,
}

/// Judges every query that is brought with the declarations of each metric that reads it, and every other metric that is
/// brought with the stored SQL; also what is stored already as it is brought, since the warehouse may have changed. A stored
/// metric that is not brought keeps its contract unless the SQL that is brought is other than the stored one.
///
/// # Errors
///
/// A sentence, where the database cannot be asked.
pub(super) fn judge_contracts(
    queries: Vec<Located<Query>>,
    metrics: BTreeMap<MetricId, Located<Metric>>,
    existing: &ExistingState,
    judgements: &mut Judgements,
    progress: &dyn Progress,
    findings: &mut Findings,
) -> Result<Judged, String> {
    let mut asking = Asking { existing, judgements, findings, contracts: BTreeMap::new(), refused: BTreeSet::new() };
    let mut readers: BTreeMap<&QueryId, Vec<Reader<'_>>> = BTreeMap::new();
    for metric in metrics.values() {
        let reader = Reader { metric: &metric.value, brought: Some(metric) };
        readers.entry(&metric.value.query_id).or_default().push(reader);
    }
    let stored = existing.metrics.values().map(|existing| &existing.metric);
    for metric in stored.filter(|metric| !metrics.contains_key(&metric.metric_id)) {
        readers.entry(&metric.query_id).or_default().push(Reader { metric, brought: None });
    }
    let mut kept = BTreeSet::new();
    let total = queries.len() as u64;
    for (query, done) in queries.iter().zip(1..) {
        let readers = readers.remove(&query.value.query_id).unwrap_or_default();
        if asking.judge_query(query, &readers)? {
            kept.insert(query.value.query_id.clone());
        }
        progress.judge(done, total);
    }
    // What remains names queries that are stored and not brought again; of those only metrics that are brought are judged.
    for reader in readers.into_values().flatten() {
        if let (Some(metric), Some(stored)) = (reader.brought, existing.queries.get(&reader.metric.query_id)) {
            asking.judge_metric(metric, &stored.sql)?;
        }
    }
    let Asking { contracts, refused, .. } = asking;
    Ok(Judged {
        queries: queries.into_iter().filter(|query| kept.contains(&query.value.query_id)).collect(),
        metrics: metrics.into_iter().filter(|(metric_id, _)| !refused.contains(metric_id)).collect(),
        contracts: contracts.into_iter().filter(|(metric_id, _)| !refused.contains(metric_id)).collect(),
        refused,
    })
}

struct Asking<'a> {
    existing: &'a ExistingState,
    judgements: &'a mut Judgements,
    findings: &'a mut Findings,
    contracts: BTreeMap<MetricId, Contract>,
    refused: BTreeSet<MetricId>,
}

impl Asking<'_> {
    /// Judges a query for each of its readers; answers whether it stands.
    fn judge_query(&mut self, query: &Located<Query>, readers: &[Reader<'_>]) -> Result<bool, String> {
        let sql = &query.value.sql;
        let mut judged: Vec<(&Metric, Contract)> = Vec::new();
        for reader in readers {
            if reader.brought.is_none() && self.is_unchanged(reader.metric, sql) {
                continue;
            }
            match (self.judgements.judge(sql, Some(reader.metric))?, reader.brought) {
                (Ok(contract), _) => judged.push((reader.metric, contract)),
                // The declarations are wrong, not the SQL.
                (Err(findings), Some(metric)) if findings.iter().all(is_about_declarations) => {
                    self.refuse_metric(metric, &findings);
                }
                (Err(findings), _) => {
                    self.refuse_query(query, readers, &findings, reader);
                    return Ok(false);
                }
            }
        }
        if readers.is_empty()
            && let Err(findings) = self.judgements.judge(sql, None)?
        {
            refuse_sql(&query.location, sql, &findings, self.findings);
            return Ok(false);
        }
        self.contracts.extend(judged.into_iter().map(|(metric, contract)| (metric.metric_id.clone(), contract)));
        Ok(true)
    }

    fn judge_metric(&mut self, metric: &Located<Metric>, sql: &SqlText) -> Result<(), String> {
        match self.judgements.judge(sql, Some(&metric.value))? {
            Ok(contract) => {
                self.contracts.insert(metric.value.metric_id.clone(), contract);
            }
            Err(findings) => self.refuse_metric(metric, &findings),
        }
        Ok(())
    }

    /// Whether the metric is stored as it is, with this SQL and a contract.
    fn is_unchanged(&self, metric: &Metric, sql: &SqlText) -> bool {
        let stored = self.existing.metrics.get(&metric.metric_id);
        let has_contract = stored.is_some_and(|ExistingMetric { metric: stored, contract, .. }| {
            contract.as_ref().is_some_and(Contract::is_of_these_rules)
                && (&stored.query_id, &stored.parameters, &stored.time_column, &stored.period)
                    == (&metric.query_id, &metric.parameters, &metric.time_column, &metric.period)
        });
        has_contract && self.existing.queries.get(&metric.query_id).is_some_and(|stored| stored.sql == *sql)
    }

    fn refuse_query(
        &mut self,
        query: &Located<Query>,
        readers: &[Reader<'_>],
        findings: &[Finding],
        reader: &Reader<'_>,
    ) {
        if reader.brought.is_none() && findings.iter().all(is_about_declarations) {
            let metric_id = &reader.metric.metric_id;
            let told = findings.iter().map(|finding| Finding {
                message: format!("the stored metric `{metric_id}` reads this query: {}", finding.message),
                ..finding.clone()
            });
            refuse_sql(&query.location, &query.value.sql, &told.collect::<Vec<_>>(), self.findings);
        } else {
            refuse_sql(&query.location, &query.value.sql, findings, self.findings);
        }
        for metric in readers.iter().filter_map(|reader| reader.brought) {
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

/// Whether the finding is about what the definition declares, and the SQL itself is good.
fn is_about_declarations(finding: &Finding) -> bool {
    [FindingCode::ParameterUnused, FindingCode::TimeColumn, FindingCode::Period].contains(&finding.code)
}

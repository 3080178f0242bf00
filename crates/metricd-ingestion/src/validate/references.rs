//! Resolves references between the files and the stored definitions. An id has one content, and no reference is
//! dangling.

use std::collections::{BTreeMap, BTreeSet};

use metricd_domain::{EntryCounts, Location, Metric, MetricId, Query, QueryId, Suggestion};
use metricd_repository::{Definitions, ExistingState, ReferencedIds};

use super::contracts::{refuse_with_query, validate_contracts};
use super::dashboards::validate_dashboards;
use super::edits::{notice_overwritten, refuse_edited};
use super::suggestions::{Faults, suggest};
use super::{DraftDashboard, Located, ValidationCache, ValidationFailure, merge};
use crate::findings::Findings;
use crate::{Progress, Reason};

/// The definitions in the files. Each entry is valid on its own.
#[derive(Debug, Default)]
pub(crate) struct FileDefinitions {
    pub(crate) queries: Vec<Located<Query>>,
    pub(crate) query_entries: u64,
    /// The ids of queries whose SQL was refused.
    pub(crate) refused_queries: BTreeSet<QueryId>,
    pub(crate) drafts: Vec<DraftDashboard>,
}

/// The definitions that may be stored, with the counts and suggestions of the report.
#[derive(Debug, Default)]
pub(crate) struct ValidatedDefinitions {
    pub(crate) definitions: Definitions,
    pub(crate) queries: EntryCounts,
    pub(crate) metrics: EntryCounts,
    pub(crate) dashboards: EntryCounts,
    pub(crate) layout_entries: EntryCounts,
    pub(crate) suggestions: Vec<Suggestion>,
}

impl FileDefinitions {
    /// The ids for which the ingestion needs the existing state.
    pub(crate) fn referenced_ids(&self) -> ReferencedIds {
        let metrics = self.drafts.iter().flat_map(|draft| &draft.metrics);
        let named = metrics.map(|metric| metric.value.query_id.clone());
        ReferencedIds {
            query_ids: self.queries.iter().map(|query| query.value.query_id.clone()).chain(named).collect(),
            metric_ids: self
                .drafts
                .iter()
                .flat_map(|draft| &draft.metrics)
                .map(|metric| metric.value.metric_id.clone())
                .collect(),
            dashboard_ids: self.drafts.iter().filter_map(|draft| draft.dashboard_id.clone()).collect(),
            ..ReferencedIds::default()
        }
    }

    /// Validates all references, and the SQL of all metrics, against the existing state.
    ///
    /// # Errors
    ///
    /// [`ValidationFailure`] if nothing can be validated.
    pub(crate) async fn validate(
        &self,
        existing: &ExistingState,
        validations: &mut ValidationCache,
        overwrite_edits: bool,
        progress: &dyn Progress,
        findings: &mut Findings,
    ) -> Result<ValidatedDefinitions, ValidationFailure> {
        let mut definitions = ValidatedDefinitions::default();
        let mut faults = Faults::default();

        definitions.queries.read = self.query_entries;
        let queries = merge(self.queries.clone(), |query| query.query_id.clone());
        definitions.queries.repeated = queries.repeated.len() as u64;
        notice_repeated(&queries.repeated, |query| format!("query `{}`", query.query_id), findings);
        for (query, first) in queries.conflicting {
            let line = queries.kept[first].location.line.unwrap_or_default();
            let id = &query.value.query_id;
            let message = format!(
                "`{id}` is already the id of the query on line {line} of `{}`, whose SQL differs; the first one is kept",
                queries.kept[first].location.file
            );
            findings.refuse(query.location, Some(id.as_str()), Reason::IdConflict, message);
        }
        let in_files = if overwrite_edits { queries.kept } else { refuse_edited(queries.kept, existing, findings) };
        let named = NamedQueries { in_files: &in_files, refused: &self.refused_queries, existing };
        let metrics = resolve_metrics(&self.drafts, &named, &mut definitions.metrics, &mut faults, findings);
        let (metrics, edited) =
            if overwrite_edits { (metrics, Vec::new()) } else { split_edited(metrics, existing, findings) };
        let validated = validate_contracts(in_files, metrics, existing, validations, progress, findings).await?;
        faults.refused_with_sql.extend(validated.refused);
        let (queries, metrics) = (validated.queries, validated.metrics);
        definitions.queries.refused = self.query_entries - definitions.queries.repeated - queries.len() as u64;
        definitions.metrics.refused = definitions.metrics.read - definitions.metrics.repeated - metrics.len() as u64;
        notice_deleted(&metrics, existing, findings);
        notice_overwritten(&queries, existing, findings);
        notice_overwritten(metrics.values(), existing, findings);
        notice_unused(&queries, &metrics, existing, &mut faults, findings);
        let items = metrics.keys().cloned().chain(edited).collect();
        let counts = (&mut definitions.dashboards, &mut definitions.layout_entries);
        let dashboards = validate_dashboards(self.drafts.clone(), &items, existing, counts, &mut faults, findings);

        definitions.suggestions = suggest(&faults);
        definitions.definitions = Definitions {
            queries: queries.into_iter().map(|query| query.value).collect(),
            metrics: metrics.into_values().map(|metric| metric.value).collect(),
            contracts: validated.contracts,
            dashboards,
            tables: Vec::new(),
        };
        Ok(definitions)
    }
}

pub(super) fn notice_repeated<T>(repeated: &[Located<T>], name: impl Fn(&T) -> String, findings: &mut Findings) {
    for entry in repeated {
        let message = format!("{} occurs more than once in the files with the same content", name(&entry.value));
        findings.notice(entry.location.clone(), Reason::EntryRepeated, message);
    }
}

/// The queries that a metric may refer to.
struct NamedQueries<'a> {
    in_files: &'a [Located<Query>],
    refused: &'a BTreeSet<QueryId>,
    existing: &'a ExistingState,
}

/// The metrics whose query exists, by id. The others are refused.
fn resolve_metrics(
    drafts: &[DraftDashboard],
    named: &NamedQueries<'_>,
    counts: &mut EntryCounts,
    faults: &mut Faults,
    findings: &mut Findings,
) -> BTreeMap<MetricId, Located<Metric>> {
    counts.read = drafts.iter().map(|draft| draft.item_count).sum();
    let entries = drafts.iter().flat_map(|draft| draft.metrics.iter().cloned()).collect();
    let merged = merge(entries, |metric: &Metric| metric.metric_id.clone());
    counts.repeated = merged.repeated.len() as u64;
    notice_repeated(&merged.repeated, |metric| format!("metric `{}`", metric.metric_id), findings);
    for (metric, first) in merged.conflicting {
        let first = &merged.kept[first];
        let message = conflict(&metric, first);
        let id = metric.value.metric_id.as_str();
        findings.refuse(metric.location.clone(), Some(id), Reason::IdConflict, message);
        faults.conflicts.push((metric, first.clone()));
    }
    let in_files: BTreeSet<_> = named.in_files.iter().map(|query| &query.value.query_id).collect();
    let mut kept = BTreeMap::new();
    for metric in merged.kept {
        let query_id = &metric.value.query_id;
        if in_files.contains(query_id) {
            kept.insert(metric.value.metric_id.clone(), metric);
        } else if named.refused.contains(query_id) {
            refuse_with_query(&metric, findings);
            faults.refused_with_sql.insert(metric.value.metric_id.clone());
        } else if named.existing.queries.contains_key(query_id) {
            kept.insert(metric.value.metric_id.clone(), metric);
        } else {
            let message = format!("there is no query `{query_id}`, neither in the files nor stored");
            findings.refuse(metric.location.clone(), Some(query_id.as_str()), Reason::QueryMissing, message);
            faults.without_query.push(metric);
        }
    }
    kept
}

/// Splits off the metrics that conflict with an edit: they are refused, and only their ids are returned.
fn split_edited(
    metrics: BTreeMap<MetricId, Located<Metric>>,
    existing: &ExistingState,
    findings: &mut Findings,
) -> (BTreeMap<MetricId, Located<Metric>>, Vec<MetricId>) {
    let ids: BTreeSet<_> = metrics.keys().cloned().collect();
    let unedited = refuse_edited(metrics.into_values().collect(), existing, findings);
    let unedited: BTreeMap<_, _> =
        unedited.into_iter().map(|metric| (metric.value.metric_id.clone(), metric)).collect();
    let edited = ids.into_iter().filter(|id| !unedited.contains_key(id)).collect();
    (unedited, edited)
}

fn conflict(metric: &Located<Metric>, first: &Located<Metric>) -> String {
    let (this, that) = (item_name(&metric.location), item_name(&first.location));
    let id = &metric.value.metric_id;
    let elsewhere = if metric.location.file == first.location.file {
        String::new()
    } else {
        format!(" of `{}`", first.location.file)
    };
    if metric.value.query_id == first.value.query_id {
        let keys = differing_keys(&metric.value, &first.value);
        format!("`{id}` is already the id of {that}{elsewhere}, which differs in {keys}; the first one is kept")
    } else {
        format!(
            "`{id}` is already the id of {that}{elsewhere}, with the query `{}`; {this} names the query `{}`; the first one is kept",
            first.value.query_id, metric.value.query_id
        )
    }
}

/// The keys in which two items differ, apart from the id and the query.
fn differing_keys(one: &Metric, other: &Metric) -> String {
    let keys = [
        ("isEditable", one.editable != other.editable),
        ("limits", one.limits != other.limits),
        ("parameters", one.parameters != other.parameters),
        ("period", one.period != other.period),
        ("timeColumn", one.time_column != other.time_column),
    ];
    let differing = keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| format!("`{key}`"));
    differing.collect::<Vec<_>>().join(", ")
}

/// The name of an item for people: `item 5` for `/items/4`.
pub(super) fn item_name(location: &Location) -> String {
    let index = location.pointer.as_deref().and_then(|pointer| pointer.rsplit('/').next()?.parse::<usize>().ok());
    index.map_or_else(|| "the item".to_owned(), |index| format!("item {}", index + 1))
}

fn notice_deleted(metrics: &BTreeMap<MetricId, Located<Metric>>, existing: &ExistingState, findings: &mut Findings) {
    let is_deleted = |id: &MetricId| existing.metrics.get(id).is_some_and(|existing| existing.is_deleted);
    for (id, metric) in metrics.iter().filter(|(id, _)| is_deleted(id)) {
        let message = format!("the metric `{id}` is out of service; restore it to serve it again");
        findings.notice(metric.location.clone(), Reason::MetricDeleted, message);
    }
}

fn notice_unused(
    queries: &[Located<Query>],
    metrics: &BTreeMap<MetricId, Located<Metric>>,
    existing: &ExistingState,
    faults: &mut Faults,
    findings: &mut Findings,
) {
    // If a stored metric is also in the files, the query in the files counts.
    let stored = existing.metrics.iter().filter(|(metric_id, _)| !metrics.contains_key(metric_id));
    let stored = stored.map(|(_, existing)| &existing.metric.query_id);
    let read: BTreeSet<&QueryId> = metrics.values().map(|metric| &metric.value.query_id).chain(stored).collect();
    faults.read_queries.extend(read.iter().copied().cloned());
    for query in queries.iter().filter(|query| !read.contains(&query.value.query_id)) {
        let message = format!("no metric reads the query `{}`", query.value.query_id);
        findings.notice(query.location.clone(), Reason::QueryUnused, message);
        faults.unused_queries.insert(query.value.query_id.clone());
    }
}

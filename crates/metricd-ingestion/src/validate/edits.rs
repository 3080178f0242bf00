//! Detects edits: changes of what files declare that were made by anything but an ingestion. An ingestion keeps them,
//! unless its options overwrite them.

use metricd_domain::{ChangeSource, Metric, Query};
use metricd_repository::{Edit, ExistingState};

use super::Located;
use crate::Reason;
use crate::findings::Findings;

/// A definition that files declare and that may have been edited.
pub(super) trait Declared {
    /// The kind of the definition and its id, for example `query` and `q1`.
    fn name(&self) -> (&'static str, &str);

    /// The edit of the stored definition with this id, if the stored content differs.
    fn conflicting_edit<'a>(&self, existing: &'a ExistingState) -> Option<&'a Edit>;
}

impl Declared for Query {
    fn name(&self) -> (&'static str, &str) {
        ("query", self.query_id.as_str())
    }

    fn conflicting_edit<'a>(&self, existing: &'a ExistingState) -> Option<&'a Edit> {
        let stored = existing.queries.get(&self.query_id)?;
        stored.edit.as_ref().filter(|_| stored.sql != self.sql)
    }
}

impl Declared for Metric {
    fn name(&self) -> (&'static str, &str) {
        ("metric", self.metric_id.as_str())
    }

    fn conflicting_edit<'a>(&self, existing: &'a ExistingState) -> Option<&'a Edit> {
        let stored = existing.metrics.get(&self.metric_id)?;
        stored.edit.as_ref().filter(|_| stored.metric != *self)
    }
}

/// Refuses the entries that conflict with an edit, and returns the others.
pub(super) fn refuse_edited<T: Declared>(
    entries: Vec<Located<T>>,
    existing: &ExistingState,
    findings: &mut Findings,
) -> Vec<Located<T>> {
    let is_unedited = |entry: &Located<T>| {
        let Some(edit) = entry.value.conflicting_edit(existing) else { return true };
        let (kind, id) = entry.value.name();
        let edit = describe(edit);
        let message = format!(
            "the {kind} `{id}` was {edit}; the edit is kept: `--overwrite-edits`, or `?overwrite_edits=true` over HTTP, uses the file's content"
        );
        findings.refuse(entry.location.clone(), Some(id), Reason::EditConflict, message);
        false
    };
    entries.into_iter().filter(is_unedited).collect()
}

/// Reports the edits that the entries overwrite.
pub(super) fn notice_overwritten<'a, T: Declared + 'a>(
    entries: impl IntoIterator<Item = &'a Located<T>>,
    existing: &ExistingState,
    findings: &mut Findings,
) {
    for entry in entries {
        if let Some(edit) = entry.value.conflicting_edit(existing) {
            let (kind, id) = entry.value.name();
            let message = format!("the {kind} `{id}` was {}; the file's content replaces the edit", describe(edit));
            findings.notice(entry.location.clone(), Reason::EditOverwritten, message);
        }
    }
}

/// Describes what made the edit, who made it and when.
fn describe(edit: &Edit) -> String {
    let source = match edit.by.source {
        ChangeSource::Http => "over HTTP",
        ChangeSource::Database => "in the database",
        ChangeSource::Ingestion => "by an ingestion",
    };
    let by = edit.by.subject.as_ref().map(|subject| format!(" by `{subject}`")).unwrap_or_default();
    format!("edited {source}{by} at {}, since files last wrote it", edit.at.format("%Y-%m-%dT%H:%M:%SZ"))
}

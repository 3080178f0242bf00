//! Renders a report as text.

mod tables;

use std::fmt::{self, Display, Write};

use metricd_domain::{
    EntryCounts, FileKind, IngestedTable, IngestionMode, IngestionReport, Location, Outcome, TableChange,
};

/// Formats the report as text, with a paragraph for each finding and a line end at the end.
#[must_use]
pub fn render(report: &IngestionReport) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_report(&mut text, report);
    text
}

fn write_report(text: &mut String, report: &IngestionReport) -> fmt::Result {
    for file in &report.files {
        let kind = match file.kind {
            FileKind::Definitions => "definitions",
            FileKind::Queries => "queries",
            FileKind::Table => "rows",
            FileKind::Unknown => "not recognised",
        };
        writeln!(text, "read {} ({kind}, {})", file.file, size(file.size_bytes))?;
    }
    let entries = [
        ("queries", report.queries),
        ("metrics", report.metrics),
        ("dashboards", report.dashboards),
        ("layout entries", report.layout_entries),
    ];
    if entries.iter().any(|(_, counts)| counts.read > 0) {
        writeln!(text)?;
    }
    for (name, counts) in entries {
        write_entries(text, name, counts)?;
    }
    for table in &report.tables {
        tables::write_table(text, table)?;
    }

    write_findings(text, "refused", report.refusal_count, &report.refusals, |refusal| {
        let value = refusal.value.as_ref().map(|value| format!(" `{value}`")).unwrap_or_default();
        format!("{}:{value} {}\n    {}", place(&refusal.location), refusal.reason, refusal.message)
    })?;
    write_findings(text, "noticed", report.notice_count, &report.notices, |notice| {
        format!("{}: {}\n    {}", place(&notice.location), notice.reason, notice.message)
    })?;
    write_findings(text, "suggested", report.suggestions.len() as u64, &report.suggestions, |suggestion| {
        format!("{}:\n    {}", place(&suggestion.location), suggestion.message)
    })?;
    writeln!(text)?;
    writeln!(text, "{}", verdict(report))
}

fn verdict(report: &IngestionReport) -> String {
    let refused = match report.refusal_count {
        0 => "nothing was refused".to_owned(),
        count => format!("{} refused", counted(count, "thing was", "things were")),
    };
    let id = report.ingestion_id;
    let is_refused = |table: &IngestedTable| table.change == TableChange::Refused;
    match report.outcome {
        Outcome::Stored => format!("stored as ingestion {id}; {refused}"),
        Outcome::Refused if report.mode == IngestionMode::Strict => {
            format!("nothing is stored: {refused}, and the mode is strict (report {id})")
        }
        Outcome::Refused if report.tables.iter().any(is_refused) => {
            format!("nothing is stored: {refused}, and a table cannot be stored (report {id})")
        }
        Outcome::Refused => format!("nothing is stored: {refused}, and there was nothing else to store (report {id})"),
        Outcome::DryRun if report.is_refused() && report.mode == IngestionMode::Strict => {
            format!("dry run: nothing is stored; strict mode would refuse all of it: {refused}")
        }
        Outcome::DryRun if report.tables.iter().any(is_refused) => {
            format!("dry run: nothing would be stored: {refused}, and a table cannot be stored")
        }
        Outcome::DryRun if report.is_refused() => {
            format!("dry run: nothing would be stored: {refused}, and there was nothing else to store")
        }
        Outcome::DryRun => format!("dry run: nothing is stored; {refused}"),
    }
}

fn write_entries(text: &mut String, name: &str, counts: EntryCounts) -> fmt::Result {
    if counts.read == 0 {
        return Ok(());
    }
    let parts = [
        (counts.added, "added"),
        (counts.changed, "changed"),
        (counts.unchanged, "unchanged"),
        (counts.repeated, "repeated"),
        (counts.refused, "refused"),
    ];
    write_counts(text, name, counts.read, &parts)
}

fn write_counts(text: &mut String, name: &str, read: u64, parts: &[(u64, &str)]) -> fmt::Result {
    let parts: Vec<_> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
    writeln!(text, "{name:<15} {read:>9} read: {}", parts.join(", "))
}

fn write_findings<T>(
    text: &mut String,
    title: &str,
    count: u64,
    listed: &[T],
    show: impl Fn(&T) -> String,
) -> fmt::Result {
    if count == 0 {
        return Ok(());
    }
    writeln!(text, "\n{title}: {count}")?;
    for finding in listed {
        writeln!(text, "  {}", show(finding))?;
    }
    match count - listed.len() as u64 {
        0 => Ok(()),
        more => writeln!(text, "  and {more} more, which are counted but not listed"),
    }
}

fn place(location: &Location) -> impl Display {
    let mut place = location.file.clone();
    if let Some(line) = location.line {
        let _ = write!(place, ":{line}");
    }
    if let Some(pointer) = location.pointer.as_deref().filter(|pointer| !pointer.is_empty()) {
        let _ = write!(place, "#{pointer}");
    }
    if let Some(column) = &location.column {
        let _ = write!(place, " [{column}]");
    }
    place
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => counted(bytes, "byte", "bytes"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

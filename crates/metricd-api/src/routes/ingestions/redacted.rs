//! Redacts reports.

use metricd_access::Caller;
use metricd_domain::{IngestionReport, Location};

/// Replaces a message that may quote the files.
const WITHHELD: &str = "withheld: only the subject that sent the files sees it";

/// The report for a caller: with names of files without their folders, and with content of the files only for the
/// subject that sent them. Without tokens all callers are the same.
pub(super) fn redacted(mut report: IngestionReport, caller: Option<&Caller>) -> IngestionReport {
    without_folders(&mut report);
    let is_sender = |caller: &Caller| report.ingested_by.is_some() && report.ingested_by.as_deref() == caller.subject();
    if caller.is_none_or(is_sender) {
        return report;
    }
    let without_content = |location: &mut Location| {
        // Keys and column names are content of the files as well.
        (location.pointer, location.column) = (None, None);
    };
    for refusal in &mut report.refusals {
        without_content(&mut refusal.location);
        refusal.value = None;
        WITHHELD.clone_into(&mut refusal.message);
    }
    for notice in &mut report.notices {
        without_content(&mut notice.location);
        WITHHELD.clone_into(&mut notice.message);
    }
    report.suggestions.clear();
    report
}

/// Removes the folders of files that were ingested on the server's machine.
fn without_folders(report: &mut IngestionReport) {
    let IngestionReport { files, refusals, notices, suggestions, .. } = report;
    let locations = refusals.iter().map(|refusal| &refusal.location);
    let locations = locations.chain(notices.iter().map(|notice| &notice.location));
    let locations = locations.chain(suggestions.iter().map(|suggestion| &suggestion.location));
    let named = files.iter().map(|file| &file.file).chain(locations.map(|location| &location.file));
    let mut paths: Vec<String> = named.filter(|name| name.contains(['/', '\\'])).cloned().collect();
    // A path that contains another one is replaced first.
    paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
    paths.dedup();
    let shorten = |text: &mut String| {
        for path in paths.iter().filter(|path| !path.is_empty()) {
            if text.contains(path.as_str()) {
                *text = text.replace(path.as_str(), base_name(path));
            }
        }
    };
    for file in files {
        shorten(&mut file.file);
    }
    for refusal in refusals {
        shorten(&mut refusal.location.file);
        shorten(&mut refusal.message);
    }
    for notice in notices {
        shorten(&mut notice.location.file);
        shorten(&mut notice.message);
    }
    for suggestion in suggestions {
        shorten(&mut suggestion.location.file);
        shorten(&mut suggestion.message);
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use metricd_domain::{FileKind, IngestedFile, Notice, Refusal, Suggestion};
    use metricd_repository::contract::report;

    use super::*;

    #[test]
    fn reports_do_not_show_folders_of_the_server() {
        let at = |file: &str| Location { file: file.to_owned(), ..Location::default() };
        let message = |file: &str| format!("the file `{file}` says otherwise");
        let (path, longer) = ("/srv/s3cret/q.csv", "/srv/s3cret/q.csv.old");
        let mut report = report();
        report.files = vec![IngestedFile { file: path.to_owned(), kind: FileKind::Queries, size_bytes: 1 }];
        let (reason, value) = ("r".to_owned(), Some("v".to_owned()));
        report.refusals = vec![Refusal { location: at(longer), value, reason: reason.clone(), message: message(path) }];
        report.notices = vec![Notice { location: at("C:\\s3cret\\n.csv"), reason, message: message(longer) }];
        report.suggestions = vec![Suggestion { location: at("plain.csv"), message: message(longer) }];
        let shown = redacted(report, None);
        let text = serde_json::to_string(&shown).unwrap();
        assert!(!text.contains("s3cret"), "{text}");
        assert_eq!((shown.files[0].file.as_str(), shown.refusals[0].location.file.as_str()), ("q.csv", "q.csv.old"));
        assert_eq!((&shown.refusals[0].message, &shown.notices[0].message), (&message("q.csv"), &message("q.csv.old")));
        assert_eq!((shown.refusals[0].value.as_deref(), shown.suggestions.len()), (Some("v"), 1));
    }
}

//! What of a report is answered to whom.

use metricd_access::Caller;
use metricd_domain::{IngestionReport, Location};

/// What stands for a message that may quote the files.
const WITHHELD: &str = "shown to the subject that has sent the files";

/// The report for a caller: with the names of files, not with their folders, and with what the files hold only for the subject
/// that has sent them. Where no token is asked for, everybody is the same.
pub(super) fn redacted(mut report: IngestionReport, caller: Option<&Caller>) -> IngestionReport {
    without_folders(&mut report);
    let is_sender = |caller: &Caller| report.ingested_by.is_some() && report.ingested_by.as_deref() == caller.subject();
    if caller.is_none_or(is_sender) {
        return report;
    }
    let without_content = |location: &mut Location| {
        // Keys and headings are what a file holds as well.
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

/// Files that were ingested on the server's machine are named with their folders.
fn without_folders(report: &mut IngestionReport) {
    let IngestionReport { files, refusals, notices, suggestions, .. } = report;
    let locations = refusals.iter().map(|refusal| &refusal.location);
    let locations = locations.chain(notices.iter().map(|notice| &notice.location));
    let locations = locations.chain(suggestions.iter().map(|suggestion| &suggestion.location));
    let named = files.iter().map(|file| &file.file).chain(locations.map(|location| &location.file));
    let mut paths: Vec<String> = named.filter(|name| name.contains(['/', '\\'])).cloned().collect();
    // One that is a part of another is replaced after it.
    paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
    paths.dedup();
    let shorten = |text: &mut String| {
        for path in paths.iter().filter(|path| !path.is_empty()) {
            if text.contains(path.as_str()) {
                *text = text.replace(path.as_str(), base_name(path));
            }
        }
    };
    files.iter_mut().for_each(|file| shorten(&mut file.file));
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

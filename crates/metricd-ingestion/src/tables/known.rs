//! Which files of a table were loaded before.

use metricd_domain::{Load, ReadOptions, Table};
use metricd_repository::{ContentDigest, LoadedContent};

/// The number of rows of files that were loaded before, and are not loaded again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct KnownRows {
    pub(crate) stored: u64,
    pub(crate) refused: u64,
}

/// The files of a table, by whether they are loaded.
#[derive(Debug, Default)]
pub(super) struct Selected<'a> {
    /// The files to load.
    pub(super) pending: Vec<(usize, ContentDigest)>,
    /// The files that were loaded before, and whose rows loading them again would not change.
    pub(super) known: Vec<(usize, &'a LoadedContent)>,
}

impl<'a> Selected<'a> {
    /// Selects from these files, given what was loaded before. A content with refused rows is loaded again, so that the
    /// report lists them, unless that would append its other rows twice.
    pub(super) fn of(table: &Table, loads: &'a [LoadedContent], digests: &[(usize, ContentDigest)]) -> Self {
        let find = |digest: &ContentDigest| loads.iter().find(|content| content.digest == *digest);
        let is_complete = |content: &&LoadedContent| content.refused_count == 0 || table.load() == Load::Append;
        let is_same = loads.iter().map(|content| &content.digest).eq(digests.iter().map(|(_, digest)| digest));
        // If files replace rows, only the last load counts, as a whole.
        let counts_as_a_whole = matches!(table.load(), Load::Replace | Load::Upsert);
        let is_stale = counts_as_a_whole && !(is_same && loads.iter().all(|content| is_complete(&content)));
        let mut selected = Self::default();
        for (file, digest) in digests {
            match find(digest).filter(is_complete) {
                Some(content) if !is_stale => selected.known.push((*file, content)),
                _ => selected.pending.push((*file, *digest)),
            }
        }
        selected
    }

    /// The rows of the known files.
    pub(super) fn known_rows(&self) -> KnownRows {
        let sum = |count: fn(&LoadedContent) -> u64| self.known.iter().map(|(_, content)| count(content)).sum();
        KnownRows { stored: sum(|content| content.row_count), refused: sum(|content| content.refused_count) }
    }
}

/// The digest of the rows of a file: other options may choose other rows of the same content.
pub(super) fn digest_of_rows(content: ContentDigest, options: &ReadOptions) -> ContentDigest {
    if options.sheet.is_none() && !options.no_header {
        return content;
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&content.0).update(&[u8::from(options.no_header), u8::from(options.sheet.is_some())]);
    hasher.update(options.sheet.as_deref().unwrap_or_default().as_bytes());
    ContentDigest(*hasher.finalize().as_bytes())
}

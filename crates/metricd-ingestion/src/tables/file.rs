//! A file of rows: its digest, and its identity while it is read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use metricd_repository::ContentDigest;

use metricd_domain::ReadOptions;

use crate::readers::decompress;
use crate::source::{ReadError, TableFormat, TableReader};
use crate::{Input, Progress, Reason};

/// The number of bytes that are read at once.
const CHUNK_BYTES: usize = 256 << 10;

/// Why a file is read. Each pass counts once in the progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// To take its digest.
    Digest,
    /// To choose the types of its columns.
    Choose,
    /// To load its rows.
    Load,
}

impl Pass {
    pub(crate) const ALL: [Self; 3] = [Self::Digest, Self::Choose, Self::Load];
}

/// A file with the rows of a table.
#[derive(Debug)]
pub(crate) struct TableFile {
    pub(crate) input: Input,
    /// The bytes of each pass that the progress does not count yet.
    uncounted: [Arc<AtomicU64>; Pass::ALL.len()],
    format: Arc<dyn TableFormat>,
    /// The digest, and the file whose digest it is.
    digest: Option<(ContentDigest, Identity)>,
}

/// What changes if a file is written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified: Option<SystemTime>,
}

impl Identity {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size_bytes: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }
}

impl TableFile {
    pub(crate) fn new(input: Input, format: Arc<dyn TableFormat>) -> Self {
        let uncounted = Pass::ALL.map(|_| Arc::new(AtomicU64::new(input.size_bytes())));
        Self { input, uncounted, format, digest: None }
    }

    /// Counts the rest of a pass, which is complete or not needed.
    pub(crate) fn finish(&self, pass: Pass, progress: &Arc<dyn Progress>) {
        progress.advance(self.uncounted[pass as usize].swap(0, Ordering::Relaxed));
    }

    fn count(&self, file: File, pass: Pass, progress: &Arc<dyn Progress>) -> ProgressFile {
        let uncounted = Arc::clone(&self.uncounted[pass as usize]);
        ProgressFile { file, uncounted, progress: Arc::clone(progress) }
    }

    /// The digest of the content. Reads the file when it is first called.
    pub(crate) fn digest(&mut self, progress: &Arc<dyn Progress>) -> io::Result<ContentDigest> {
        if let Some((digest, _)) = self.digest {
            return Ok(digest);
        }
        let file = self.reader()?;
        let identity = Identity::of(&file)?;
        let mut file = self.count(file, Pass::Digest, progress);
        let mut hasher = blake3::Hasher::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            match file.read(&mut chunk).map_err(|error| self.named(error))? {
                0 => break,
                read => hasher.update(chunk.get(..read).unwrap_or_default()),
            };
        }
        let digest = ContentDigest(*hasher.finalize().as_bytes());
        self.digest = Some((digest, identity));
        self.check_unchanged()?;
        Ok(digest)
    }

    /// Opens the file whose digest was taken.
    pub(crate) fn open(
        &self,
        options: &ReadOptions,
        pass: Pass,
        progress: &Arc<dyn Progress>,
    ) -> Result<Box<dyn TableReader>, ReadError> {
        self.check_unchanged()?;
        let file = self.count(self.reader()?, pass, progress);
        self.format.open(decompress(Box::new(file))?, options)
    }

    fn reader(&self) -> io::Result<File> {
        self.input.reader().map_err(|error| self.named(error))
    }

    /// The error with the name of the file, which errors of the operating system lack.
    pub(super) fn named(&self, error: io::Error) -> io::Error {
        match error.raw_os_error() {
            Some(_) => io::Error::new(error.kind(), format!("`{}`: {error}", self.input.name())),
            None => error,
        }
    }

    /// Fails if the file is not the one whose digest was taken, or was written since.
    pub(crate) fn check_unchanged(&self) -> io::Result<()> {
        match &self.digest {
            Some((_, identity)) if Identity::of(&self.reader()?)? != *identity => {
                let name = self.input.name();
                let message = format!("`{name}` {}: try again when it is complete", changed());
                Err(io::Error::other(message))
            }
            _ => Ok(()),
        }
    }
}

/// The meaning of [`Reason::FileChanged`] without its subject.
fn changed() -> &'static str {
    Reason::FileChanged.meaning().trim_start_matches("the file ")
}

/// A file that reports the bytes that are read, at most as many as it has: some formats read parts of it twice.
struct ProgressFile {
    file: File,
    uncounted: Arc<AtomicU64>,
    progress: Arc<dyn Progress>,
}

impl Read for ProgressFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        let uncounted = self.uncounted.load(Ordering::Relaxed);
        let counted = uncounted.min(read as u64);
        self.uncounted.store(uncounted - counted, Ordering::Relaxed);
        self.progress.advance(counted);
        Ok(read)
    }
}

impl Seek for ProgressFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Inputs;
    use crate::readers::CsvFormat;

    type Change<'a> = &'a dyn Fn() -> io::Result<()>;

    #[test]
    fn a_file_that_is_written_replaced_or_removed_is_refused_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sales.csv");
        let other = folder.path().join("other");
        let changes: [(Change<'_>, &str); 4] = [
            (&|| std::fs::write(&path, "a\n1\n2\n"), "changed while it was read"),
            (&|| std::fs::write(&path, ""), "changed while it was read"),
            (
                &|| {
                    std::fs::write(&other, "a\n1\n")?;
                    std::fs::rename(&other, &path)
                },
                "changed while it was read",
            ),
            (&|| std::fs::remove_file(&path), "No such file"),
        ];
        for (change, expected) in changes {
            std::fs::write(&path, "a\n1\n").unwrap();
            let input = Inputs::find(std::slice::from_ref(&path)).unwrap().files.remove(0);
            let mut file = TableFile::new(input, Arc::new(CsvFormat));
            let progress: Arc<dyn Progress> = Arc::new(());
            file.digest(&progress).unwrap();
            file.check_unchanged().unwrap();
            change().unwrap();
            let error = file.check_unchanged().unwrap_err().to_string();
            assert!(error.contains("sales.csv`") && error.contains(expected), "{error}");
        }
    }
}

//! Finds the files to ingest, given one by one or as a folder.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use metricd_domain::FileKind;

use crate::ReadError;
use crate::readers::decompress;

/// A file to ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    name: String,
    path: PathBuf,
    size_bytes: u64,
    expected: Option<FileKind>,
}

/// The files of an ingestion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// The files to read, in the order in which they were given. Those of a folder are ordered by name.
    pub files: Vec<Input>,
    /// Files that were given more than once.
    pub repeated: Vec<String>,
    /// Files of a folder that are not read because of their extension.
    pub skipped: Vec<String>,
}

/// The extensions of the files that are read from a folder.
const EXTENSIONS: [&str; 13] =
    ["json", "csv", "tsv", "psv", "ndjson", "jsonl", "parquet", "arrow", "arrows", "feather", "ipc", "xlsx", "copy"];

/// The extensions of compressed files, which follow that of the content.
const COMPRESSED: [&str; 3] = ["gz", "zst", "zstd"];

/// Why the files of an ingestion cannot be found or read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// There is no file at the path, or it cannot be opened.
    #[error("cannot read `{}`: {}", .path.display(), describe(.cause))]
    Unreadable {
        /// The path as the caller gave it.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        cause: io::Error,
    },
    /// The path is neither a file nor a folder.
    #[error("`{}` is neither a file nor a folder", .0.display())]
    Special(PathBuf),
    /// The folder has no file to read.
    #[error("the folder `{}` has no file to read: none ends in .json, .csv, .ndjson, .parquet, .xlsx or a similar extension", .0.display())]
    EmptyFolder(PathBuf),
    /// No path was given.
    #[error("there is nothing to read: name a file or a folder")]
    Nothing,
}

fn describe(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => cause.to_string(),
    }
}

impl Inputs {
    /// Finds the files at the paths. In a folder, it takes the files with an extension of definitions, queries or tables,
    /// also compressed ones, and ignores nested folders.
    ///
    /// # Errors
    ///
    /// [`InputError`] if a path cannot be read or has no file.
    pub fn find(paths: &[PathBuf]) -> Result<Self, InputError> {
        let mut inputs = Self::default();
        let mut seen = BTreeSet::new();
        for path in paths {
            let unreadable = |cause| InputError::Unreadable { path: path.clone(), cause };
            let metadata = fs::metadata(path).map_err(unreadable)?;
            if metadata.is_dir() {
                let before = inputs.files.len() + inputs.repeated.len();
                for file in files_of(path).map_err(unreadable)? {
                    if content_extension(&file).is_some_and(|end| EXTENSIONS.contains(&end.as_str())) {
                        inputs.add(&file, &mut seen)?;
                    } else {
                        inputs.skipped.push(file.display().to_string());
                    }
                }
                if inputs.files.len() + inputs.repeated.len() == before {
                    return Err(InputError::EmptyFolder(path.clone()));
                }
            } else if metadata.is_file() {
                inputs.add(path, &mut seen)?;
            } else {
                return Err(InputError::Special(path.clone()));
            }
        }
        if inputs.files.is_empty() { Err(InputError::Nothing) } else { Ok(inputs) }
    }

    fn add(&mut self, path: &Path, seen: &mut BTreeSet<PathBuf>) -> Result<(), InputError> {
        let input = Input::open(path)?;
        let unreadable = |cause| InputError::Unreadable { path: path.to_owned(), cause };
        if seen.insert(path.canonicalize().map_err(unreadable)?) {
            self.files.push(input);
        } else {
            self.repeated.push(input.name);
        }
        Ok(())
    }
}

fn files_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The extension of a file's content, in lower case: `csv` for `sales.CSV.gz`.
fn content_extension(path: &Path) -> Option<String> {
    let end = |path: &Path| path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
    let last = end(path)?;
    if COMPRESSED.contains(&last.as_str()) { end(Path::new(path.file_stem()?)) } else { Some(last) }
}

impl Input {
    /// Makes an input of the file at `path`, and opens the file once to check that it can be read.
    fn open(path: &Path) -> Result<Self, InputError> {
        let unreadable = |cause| InputError::Unreadable { path: path.to_owned(), cause };
        let size_bytes = File::open(path).and_then(|file| file.metadata()).map_err(unreadable)?.len();
        Ok(Self { name: path.display().to_string(), path: path.to_owned(), size_bytes, expected: None })
    }

    /// Makes an input of an uploaded file: it is stored at `path`, and the upload declared its name and perhaps its kind.
    ///
    /// # Errors
    ///
    /// [`InputError::Unreadable`] if the file cannot be opened.
    pub fn uploaded(path: &Path, name: impl Into<String>, kind: Option<FileKind>) -> Result<Self, InputError> {
        Ok(Self { name: name.into(), expected: kind, ..Self::open(path)? })
    }

    /// The kind that the upload declared. `None` if the file was not uploaded.
    pub(crate) fn expected(&self) -> Option<FileKind> {
        self.expected
    }

    /// The name of the file, as the caller or the upload gave it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name without folders and extension.
    pub(crate) fn stem(&self) -> String {
        Path::new(&self.name).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The name without folders.
    pub(crate) fn file_name(&self) -> &str {
        Path::new(&self.name).file_name().and_then(|name| name.to_str()).unwrap_or(&self.name)
    }

    /// The name without folders and extensions, from which that of a table is made.
    pub(crate) fn table_stem(&self) -> &str {
        let name = self.file_name();
        let without = |name: &'_ str, ends: &[&str]| {
            let (stem, end) = name.rsplit_once('.')?;
            ends.contains(&end.to_ascii_lowercase().as_str()).then_some(stem.len())
        };
        let name = without(name, &COMPRESSED).map_or(name, |length| &name[..length]);
        without(name, &[&EXTENSIONS[..], &["txt", "sql"]].concat()).map_or(name, |length| &name[..length])
    }

    /// The extension of the content in lower case, without that of a compression.
    pub(crate) fn extension(&self) -> Option<String> {
        content_extension(Path::new(&self.name))
    }

    /// The size of the file when it was found, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(crate) fn reader(&self) -> io::Result<File> {
        File::open(&self.path)
    }

    /// Reads the first `limit` bytes of the content, which may be compressed.
    pub(crate) fn beginning(&self, limit: u64) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::new();
        decompress(Box::new(self.reader()?))?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads the first `limit` bytes, or the whole file if it is shorter.
    pub(crate) fn read_up_to(&self, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader()?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn unreadable(&self, cause: io::Error) -> InputError {
        InputError::Unreadable { path: self.path.clone(), cause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_folder_are_sorted_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.csv", "a.JSON", ".hidden.csv", "README.md"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        fs::create_dir(folder.path().join("inner.csv")).unwrap();
        let again = folder.path().join("./b.csv");
        let inputs = Inputs::find(&[folder.path().to_owned(), again]).unwrap();
        let names: Vec<_> = inputs.files.iter().map(Input::stem).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!((inputs.repeated.len(), inputs.skipped.len()), (1, 1));
    }

    #[test]
    fn errors_name_the_paths_that_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Inputs::find(&[folder.path().join("none.csv")]).unwrap_err();
        assert!(missing.to_string().ends_with("none.csv`: no such file or directory"), "{missing}");
        let empty = Inputs::find(&[folder.path().to_owned()]).unwrap_err();
        assert!(matches!(empty, InputError::EmptyFolder(_)), "{empty}");
        assert!(matches!(Inputs::find(&[]).unwrap_err(), InputError::Nothing));
        let special = Inputs::find(&[PathBuf::from("/dev/null")]).unwrap_err();
        assert!(matches!(special, InputError::Special(_)), "{special}");
    }
}

//! The files of a call: named one by one, or as a folder.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use metricd_domain::FileKind;

/// A file to ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    name: String,
    path: PathBuf,
    size_bytes: u64,
    expected: Option<FileKind>,
}

/// The files of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// The files to read, in the order in which they were named; those of a folder by name.
    pub files: Vec<Input>,
    /// Files that were named more than once.
    pub repeated: Vec<String>,
    /// Files of a folder that end otherwise than the files that are read.
    pub passed_over: Vec<String>,
}

/// How the files of a folder end that are read.
const ENDINGS: [&str; 5] = ["json", "csv", "tsv", "ndjson", "jsonl"];

/// Why there is nothing to ingest, or it cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// Nothing stands at the path, or it cannot be opened.
    #[error("cannot read `{}`: {}", .path.display(), describe(.cause))]
    Unreadable {
        /// The path as the caller named it.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        cause: io::Error,
    },
    /// The path is neither a file nor a folder.
    #[error("`{}` is neither a file nor a folder", .0.display())]
    Special(PathBuf),
    /// The folder has no file to read.
    #[error("the folder `{}` has no file that ends in .json, .csv, .tsv, .ndjson or .jsonl", .0.display())]
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
    /// Finds the files behind the paths. Of a folder those that end in `.json`, `.csv`, `.tsv`, `.ndjson` or `.jsonl`, not those of folders within.
    ///
    /// # Errors
    ///
    /// [`InputError`] where a path leads to nothing that can be read.
    pub fn find(paths: &[PathBuf]) -> Result<Self, InputError> {
        let mut inputs = Self::default();
        let mut seen = BTreeSet::new();
        for path in paths {
            let unreadable = |cause| InputError::Unreadable { path: path.clone(), cause };
            let metadata = fs::metadata(path).map_err(unreadable)?;
            if metadata.is_dir() {
                let before = inputs.files.len() + inputs.repeated.len();
                for file in files_of(path).map_err(unreadable)? {
                    let ends_with = |end: &&str| file.extension().is_some_and(|found| found.eq_ignore_ascii_case(end));
                    if ENDINGS.iter().any(ends_with) {
                        inputs.add(&file, &mut seen)?;
                    } else {
                        inputs.passed_over.push(file.display().to_string());
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

impl Input {
    /// The file at `path`, which is opened once to see that it can be.
    fn open(path: &Path) -> Result<Self, InputError> {
        let unreadable = |cause| InputError::Unreadable { path: path.to_owned(), cause };
        let size_bytes = File::open(path).and_then(|file| file.metadata()).map_err(unreadable)?.len();
        Ok(Self { name: path.display().to_string(), path: path.to_owned(), size_bytes, expected: None })
    }

    /// The file at `path`, which its sender has called otherwise and said to be of a kind.
    ///
    /// # Errors
    ///
    /// [`InputError::Unreadable`] where it cannot be opened.
    pub fn sent(path: &Path, name: impl Into<String>, kind: FileKind) -> Result<Self, InputError> {
        Ok(Self { name: name.into(), expected: Some(kind), ..Self::open(path)? })
    }

    /// The kind that its sender has said it to be of, where somebody has.
    pub(crate) fn expected(&self) -> Option<FileKind> {
        self.expected
    }

    /// The file as the caller or its sender named it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name without folders and ending.
    pub(crate) fn stem(&self) -> String {
        Path::new(&self.name).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The size when the file was found, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(crate) fn reader(&self) -> io::Result<File> {
        File::open(&self.path)
    }

    /// The first `limit` bytes, or all of them where the file has fewer.
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
    fn a_folder_gives_its_json_and_csv_files_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.csv", "a.JSON", ".hidden.csv", "README.md"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        fs::create_dir(folder.path().join("inner.csv")).unwrap();
        let again = folder.path().join("./b.csv");
        let inputs = Inputs::find(&[folder.path().to_owned(), again]).unwrap();
        let names: Vec<_> = inputs.files.iter().map(Input::stem).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!((inputs.repeated.len(), inputs.passed_over.len()), (1, 1));
    }

    #[test]
    fn says_what_cannot_be_read() {
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

//! Receives an upload: the parts of a multipart body (RFC 7578), each as a file in a temporary folder.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::http::header::{ACCEPT, CONTENT_LENGTH, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpMessage, HttpRequest};
use futures_util::{Stream, StreamExt};
use metricd_domain::FileKind;
use metricd_ingestion::{Input, Inputs};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::extract::body::check_coding;
use crate::uploads::Uploads;
use crate::{FieldError, Problem, ProblemCode};

/// The greatest number of parts.
const MAX_PARTS: usize = 100;

/// How long the next chunk of an upload may take.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(30);

/// The minimum rate of an upload, in bytes per second, and the window over which it is measured.
const MIN_UPLOAD_BYTES_PER_SECOND: u64 = 8 << 10;
const RATE_WINDOW: Duration = Duration::from_secs(15);

/// The longest name of a file.
const MAX_FILE_NAME_CHARS: usize = 100;

/// A part of an upload: its name, what its file contains, if the name says so, and how the document describes it.
struct Part {
    name: &'static str,
    kind: Option<FileKind>,
    description: &'static str,
    media_type: &'static str,
}

const PARTS: [Part; 4] = [
    Part {
        name: "queries",
        kind: Some(FileKind::Queries),
        description: "Queries, as CSV with the columns `id,query`.",
        media_type: "text/csv",
    },
    Part {
        name: "metrics",
        kind: Some(FileKind::Definitions),
        description: "Metrics and layouts, as JSON.",
        media_type: "application/json",
    },
    Part {
        name: "tables",
        kind: Some(FileKind::Table),
        description: "Rows of a table, as CSV, a JSON array of objects, NDJSON, Parquet, Arrow, XLSX or a COPY block of \
                      `pg_dump`; text may be compressed with gzip or zstd. The table is named after the file.",
        media_type: "application/octet-stream",
    },
    Part {
        name: "files",
        kind: None,
        description: "Files of any kind, which their content shows.",
        // Any type: without one, Swagger UI sends a text field instead of a file.
        media_type: "application/octet-stream",
    },
];

/// The schema of a body with [`PARTS`].
pub(super) struct UploadBody;

impl PartialSchema for UploadBody {
    fn schema() -> RefOr<Schema> {
        let body = ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("The parts of an upload: at least one file, of any of the kinds."));
        let body = PARTS.iter().fold(body, |body, part| {
            let files = ArrayBuilder::new()
                .schema_type(SchemaType::Array(vec![Type::Array, Type::Null]))
                .items(ObjectBuilder::new().schema_type(Type::String))
                .description(Some(part.description))
                .content_media_type(part.media_type);
            body.property(part.name, files)
        });
        RefOr::T(body.into())
    }
}

impl ToSchema for UploadBody {
    fn name() -> Cow<'static, str> {
        "Upload".into()
    }
}

/// A received upload.
#[derive(Debug)]
pub(super) struct Upload {
    /// The folder of the files, removed on drop.
    pub(super) folder: TempDir,
    /// The files.
    pub(super) inputs: Inputs,
    /// A hash of the content.
    pub(super) fingerprint: Vec<u8>,
}

/// Writes the parts of the body to files.
///
/// # Errors
///
/// 415 if the body is not multipart or is compressed, 413 if it is too large, 408 if it does not arrive, 400 if it is
/// cut off, 422 for unknown parts, or without parts.
pub(super) async fn receive(
    request: &HttpRequest,
    body: Multipart,
    uploads: &Uploads,
    max_bytes: u64,
) -> Result<Upload, Problem> {
    check_coding(request)?;
    check_boundary(request)?;
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|size_bytes| size_bytes > max_bytes) {
        return Err(too_large(max_bytes));
    }
    let folder = uploads.folder().map_err(broken)?;
    let mut receiving = UploadReceiver {
        folder: folder.path(),
        left_bytes: max_bytes,
        max_bytes,
        rate: ArrivalRate::new(),
        hash: Sha256::new(),
        faults: Vec::new(),
    };
    let (mut files, mut parts) = (Vec::new(), 0);
    let mut body = body;
    while let Some(part) = receiving.rate.next(&mut body, |_| 0).await? {
        if parts == MAX_PARTS {
            let message = format!("the upload has more than {MAX_PARTS} parts");
            return Err(invalid(vec![FieldError { field: "parts".to_owned(), message }]));
        }
        files.extend(receiving.file(part, parts).await?);
        parts += 1;
    }
    if files.is_empty() && receiving.faults.is_empty() {
        let message = "the upload has no parts: expected any of `queries`, `metrics`, `tables` and `files`".to_owned();
        receiving.faults.push(FieldError { field: "parts".to_owned(), message });
    }
    if !receiving.faults.is_empty() {
        return Err(invalid(receiving.faults));
    }
    let fingerprint = receiving.hash.finalize().to_vec();
    Ok(Upload { folder, inputs: Inputs { files, ..Inputs::default() }, fingerprint })
}

/// The rate at which an upload arrives. A slow one would occupy a slot.
struct ArrivalRate {
    since: Instant,
    bytes: u64,
}

impl ArrivalRate {
    fn new() -> Self {
        Self { since: Instant::now(), bytes: 0 }
    }

    /// Returns the next item of the body. The minimum rate applies to every item, since parts may be empty.
    async fn next<T>(
        &mut self,
        body: &mut (impl Stream<Item = Result<T, MultipartError>> + Unpin),
        size_bytes: fn(&T) -> usize,
    ) -> Result<Option<T>, Problem> {
        let next = tokio::time::timeout(CHUNK_TIMEOUT, body.next()).await.map_err(|_| {
            let detail = format!("No data of the body has arrived for {} s.", CHUNK_TIMEOUT.as_secs());
            Problem::new(ProblemCode::RequestTimeout).with_detail(detail)
        })?;
        let Some(next) = next.transpose().map_err(unreadable)? else { return Ok(None) };
        self.took(size_bytes(&next))?;
        Ok(Some(next))
    }

    /// Counts bytes that have arrived, and checks the rate at the end of a window.
    fn took(&mut self, bytes: usize) -> Result<(), Problem> {
        self.bytes += bytes as u64;
        let elapsed = self.since.elapsed();
        if elapsed < RATE_WINDOW {
            return Ok(());
        }
        if u128::from(self.bytes) * 1_000 < u128::from(MIN_UPLOAD_BYTES_PER_SECOND) * elapsed.as_millis() {
            let detail = format!("The upload arrives at less than {MIN_UPLOAD_BYTES_PER_SECOND} bytes per second.");
            return Err(Problem::new(ProblemCode::RequestTimeout).with_detail(detail));
        }
        *self = Self::new();
        Ok(())
    }
}

struct UploadReceiver<'a> {
    folder: &'a Path,
    left_bytes: u64,
    max_bytes: u64,
    rate: ArrivalRate,
    hash: Sha256,
    faults: Vec<FieldError>,
}

impl UploadReceiver<'_> {
    /// Writes a part to a file; `None` for an unknown part, which is recorded, and for an empty file input.
    async fn file(&mut self, mut part: Field, index: usize) -> Result<Option<Input>, Problem> {
        let field = part.name().unwrap_or_default().to_owned();
        let known = PARTS.iter().find(|part| part.name == field);
        let given = part.content_disposition().and_then(|disposition| disposition.get_filename()).map(str::to_owned);
        let name = file_name(given.as_deref().unwrap_or_default(), &field);
        // A part with a file may have any name; one without is a field of a form.
        let is_file = known.is_some() || given.as_deref().is_some_and(|name| !name.is_empty());
        if !is_file {
            let message = "unknown part without a file: expected `queries`, `metrics`, `tables` or `files`".to_owned();
            self.faults.push(FieldError { field: field.chars().take(MAX_FILE_NAME_CHARS).collect(), message });
        }
        for text in [&field, &name] {
            self.hash.update(text.len().to_be_bytes());
            self.hash.update(text);
        }
        let path = self.folder.join(index.to_string());
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path).await.map_err(broken)?;
        let mut size_bytes = 0_u64;
        while let Some(chunk) = self.rate.next(&mut part, Bytes::len).await? {
            size_bytes += chunk.len() as u64;
            self.left_bytes =
                self.left_bytes.checked_sub(chunk.len() as u64).ok_or_else(|| too_large(self.max_bytes))?;
            self.hash.update(&chunk);
            // The rest of an unknown part is read, so that the parts after it are checked as well.
            if is_file {
                file.write_all(&chunk).await.map_err(broken)?;
            }
        }
        self.hash.update(size_bytes.to_be_bytes());
        // Browsers send this for a file input without a file; Swagger UI omits the name.
        if given.unwrap_or_default().is_empty() && size_bytes == 0 {
            return Ok(None);
        }
        file.flush().await.map_err(broken)?;
        let kind = known.and_then(|part| part.kind);
        is_file.then(|| Input::uploaded(&path, name, kind).map_err(broken)).transpose()
    }
}

/// The last component of the client's file name, without characters that a report should not show; the part's name if
/// nothing remains.
fn file_name(given: &str, field: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.chars().filter(|character| !character.is_control()).take(MAX_FILE_NAME_CHARS).collect();
    if name.trim().is_empty() { field.to_owned() } else { name }
}

/// Requires a boundary. The library reports a missing boundary parameter and a misplaced boundary in the body by the
/// same error.
fn check_boundary(request: &HttpRequest) -> Result<(), Problem> {
    let mime = request.mime_type().ok().flatten();
    if mime.is_some_and(|mime| mime.type_() == "multipart" && mime.get_param("boundary").is_none()) {
        let detail = "The header `Content-Type` has no `boundary`.";
        return Err(Problem::new(ProblemCode::BadRequest).with_detail(detail));
    }
    Ok(())
}

fn invalid(faults: Vec<FieldError>) -> Problem {
    let detail = "The upload is not what this path expects; `errors` lists each invalid part.";
    Problem::new(ProblemCode::InvalidBody).with_detail(detail).with_errors(faults)
}

fn too_large(max_bytes: u64) -> Problem {
    Problem::new(ProblemCode::ContentTooLarge).with_detail(format!("The upload is larger than {max_bytes} bytes."))
}

fn broken(error: impl std::fmt::Display) -> Problem {
    Problem::new(ProblemCode::InternalError).caused_by(format!("an upload could not be stored: {error}"))
}

fn unreadable(error: MultipartError) -> Problem {
    match error {
        MultipartError::ContentTypeMissing
        | MultipartError::ContentTypeParse
        | MultipartError::ContentTypeIncompatible => Problem::new(ProblemCode::UnsupportedMediaType)
            .with_detail("The header `Content-Type` must be `multipart/form-data`.")
            .with_header(ACCEPT, HeaderValue::from_static("multipart/form-data")),
        MultipartError::ContentDispositionMissing | MultipartError::ContentDispositionNameMissing => {
            Problem::new(ProblemCode::BadRequest)
                .with_detail("A part has no valid header `Content-Disposition: form-data; name=…` in UTF-8.")
        }
        other => Problem::new(ProblemCode::BadRequest)
            .with_detail("The body is not multipart, or is incomplete.")
            .caused_by(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_last_part_of_its_name() {
        for (given, expected) in [
            ("metrics.json", "metrics.json"),
            ("/etc/passwd", "passwd"),
            ("..\\..\\a.csv", "a.csv"),
            ("a\nb\u{1b}.csv", "ab.csv"),
            ("", "queries"),
            ("a/", "queries"),
        ] {
            assert_eq!(file_name(given, "queries"), expected, "{given:?}");
        }
        assert_eq!(file_name(&"ä".repeat(300), "queries").chars().count(), 100);
    }

    /// Receives an empty part after each of these pauses, in seconds; returns the result and how long it took.
    async fn receive_empty_parts(pauses: &[u64]) -> (Result<Upload, Problem>, Duration) {
        let root = tempfile::tempdir().unwrap();
        let uploads = Uploads::below(&root.path().join("uploads")).unwrap();
        let parts = pauses.iter().map(|seconds| {
            (*seconds, "--x\r\nContent-Disposition: form-data; name=\"queries\"; filename=\"a.csv\"\r\n\r\n\r\n")
        });
        let parts: Vec<_> = parts.chain([(0, "--x--\r\n")]).collect();
        let pieces = futures_util::stream::iter(parts).then(|(seconds, part)| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok::<_, actix_web::error::PayloadError>(Bytes::from_static(part.as_bytes()))
        });
        let request =
            actix_web::test::TestRequest::post().insert_header(("content-type", "multipart/form-data; boundary=x"));
        let request = request.to_http_request();
        let body = Multipart::new(request.headers(), Box::pin(pieces));
        let began = Instant::now();
        (receive(&request, body, &uploads, 1 << 20).await, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn empty_parts_do_not_occupy_a_slot() {
        let (refused, took) = receive_empty_parts(&[0, 20, 20, 20, 20]).await;
        assert_eq!(refused.unwrap_err().code(), ProblemCode::RequestTimeout);
        assert!(took < Duration::from_secs(45), "{took:?}");
        let (refused, took) = receive_empty_parts(&[1; MAX_PARTS]).await;
        assert_eq!(refused.unwrap_err().code(), ProblemCode::RequestTimeout);
        assert!(took < Duration::from_secs(45), "{took:?}");
        assert_eq!(receive_empty_parts(&[0; MAX_PARTS]).await.0.unwrap().inputs.files.len(), MAX_PARTS);
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_must_arrive_at_the_minimum_rate() {
        let mut rate = ArrivalRate::new();
        for _ in 0..100 {
            tokio::time::advance(Duration::from_secs(1)).await;
            rate.took(8 << 10).unwrap();
        }
        // Earlier fast arrival does not compensate for slow arrival.
        rate.took(10 << 20).unwrap();
        let mut seconds = 0;
        let refused = loop {
            tokio::time::advance(Duration::from_secs(1)).await;
            seconds += 1;
            if let Err(problem) = rate.took(100) {
                break problem;
            }
        };
        assert_eq!(refused.code(), ProblemCode::RequestTimeout);
        assert!((15..=31).contains(&seconds), "{seconds}");
    }
}

//! `POST /ingestions`

use std::sync::Arc;
use std::time::Duration;

use actix_multipart::Multipart;
use actix_web::http::header::{HeaderValue, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use metricd_domain::{Actor, ChangeSource, IngestionMode, IngestionReport, Outcome, ReadOptions, TableName};
use metricd_ingestion::{IngestError, IngestOptions, ingest};
use tokio::runtime::Handle;
use utoipa::IntoParams;

use super::upload::{Upload, UploadBody, receive};
use crate::auth::caller;
use crate::auth::idempotency::{IDEMPOTENT_REPLAYED, IdempotencyKeyHeader};
use crate::extract::query_string::{QueryString, parse_bool};
use crate::problem::problems;
use crate::uploads::UploadSlot;
use crate::{ApiState, Problem, ProblemCode};

/// The time limit of an upload.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(600);

/// How the files are stored.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct IngestionParams {
    /// `strict` stores nothing unless everything is valid; `lenient`, the default, stores what is valid.
    mode: Option<IngestionMode>,
    /// Whether files overwrite edits made since the last ingestion. By default an edit is kept and reported as `edit-conflict`.
    overwrite_edits: Option<bool>,
    /// Whether a file without rows may empty a table whose rows it replaces. By default it is refused.
    allow_empty: Option<bool>,
    /// Reports what would be stored, and stores nothing.
    dry_run: Option<bool>,
    /// Whether the types of a table that were chosen from an earlier file are chosen again.
    choose_types: Option<bool>,
    /// The table of all files with rows. By default each file names its own: `sales.csv` is the table `sales`.
    table: Option<String>,
    /// The encoding of text files, such as `windows-1252`. UTF-8 by default.
    encoding: Option<String>,
    /// The character between the fields of CSV. By default a comma, a semicolon, a tab or a vertical bar is detected.
    delimiter: Option<char>,
    /// Whether numbers have a decimal comma, such as `1.234,56`.
    decimal_comma: Option<bool>,
    /// The format of dates and timestamps in text files, such as `%d/%m/%Y`. ISO 8601 by default.
    date_format: Option<String>,
    /// A text that means no value, such as `NA`. May be repeated.
    null: Option<Vec<String>>,
    /// The sheet of workbooks. The first one by default.
    sheet: Option<String>,
    /// Whether the first line of text files has values instead of names: the columns are named `column_1`, `column_2`, …
    no_header: Option<bool>,
}

impl IngestionParams {
    /// Takes the parameters, and records their faults.
    fn take(query: &mut QueryString<'_>) -> Self {
        let mode = query.take("mode", |text| match text {
            "lenient" => Ok(IngestionMode::Lenient),
            "strict" => Ok(IngestionMode::Strict),
            _ => Err("expected `lenient` or `strict`"),
        });
        let null = query.take_all("null");
        Self {
            mode,
            overwrite_edits: query.take("overwrite_edits", parse_bool),
            allow_empty: query.take("allow_empty", parse_bool),
            choose_types: query.take("choose_types", parse_bool),
            dry_run: query.take("dry_run", parse_bool),
            table: query.take("table", |text| TableName::parse(text).map(String::from)),
            encoding: query.take("encoding", parse_text),
            delimiter: query.take("delimiter", parse_character),
            decimal_comma: query.take("decimal_comma", parse_bool),
            date_format: query.take("date_format", parse_text),
            null: (!null.is_empty()).then_some(null),
            sheet: query.take("sheet", parse_text),
            no_header: query.take("no_header", parse_bool),
        }
    }

    /// How files of rows are read.
    fn read_options(&self) -> ReadOptions {
        ReadOptions {
            encoding: self.encoding.clone(),
            delimiter: self.delimiter,
            decimal_comma: self.decimal_comma.unwrap_or_default(),
            date_format: self.date_format.clone(),
            nulls: self.null.clone().unwrap_or_default(),
            sheet: self.sheet.clone(),
            no_header: self.no_header.unwrap_or_default(),
        }
    }
}

fn parse_character(text: &str) -> Result<char, &'static str> {
    text.parse().map_err(|_| "expected one character, such as `;`")
}

fn parse_text(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Err("the value is empty") } else { Ok(text.to_owned()) }
}

problems!(
    CreateIngestionProblems:
    BadRequest, TokenLimited, RequestTimeout, ContentTooLarge, UnsupportedMediaType, InvalidParameters, InvalidBody, IdempotencyKeyReused,
    IngestionRefused, IngestionOutrun, DatabaseUnavailable, NoConnection, TooManyUploads
);

/// Validates the files of an upload and stores the valid content, as `metricd ingest` does.
#[utoipa::path(
    post,
    path = "/ingestions",
    tag = "ingestions",
    params(
        IngestionParams,
        IdempotencyKeyHeader,
    ),
    request_body(content = UploadBody, content_type = "multipart/form-data"),
    responses(
        (
            status = CREATED,
            description = "The valid content is stored; the report lists it, and what was refused.",
            body = IngestionReport,
            headers(
                ("Location" = String, description = "The path of the report."),
                ("Metricd-LSN" = String, description = "If the server reads from replicas: the position of the change, for `Metricd-After`."),
                ("Idempotent-Replayed" = String, description = "`true` if this is the response to an earlier request with the same key, and nothing was done now."),
            )
        ),
        (status = OK, description = "A dry run: nothing is stored.", body = IngestionReport),
        CreateIngestionProblems,
    )
)]
pub(in crate::routes) async fn create_ingestion(
    request: HttpRequest,
    body: Multipart,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    // The files may contain any metric.
    caller::require_unlimited(&request)?;
    let mut query = QueryString::parse(request.query_string());
    let params = IngestionParams::take(&mut query);
    query.finish()?;
    let key = IdempotencyKeyHeader::of(&request)?;
    let slot = state.uploads.try_acquire(caller::quota_key(&request, &state));
    let slot = slot.ok_or_else(|| Problem::new(ProblemCode::TooManyUploads))?;
    let receiving = receive(&request, body, &state.uploads, state.max_upload_bytes);
    let receiving = tokio::time::timeout(UPLOAD_TIMEOUT, receiving);
    let upload = receiving.await.unwrap_or_else(|_| {
        let detail = format!("The upload did not arrive within {} s.", UPLOAD_TIMEOUT.as_secs());
        Err(Problem::new(ProblemCode::RequestTimeout).with_detail(detail))
    })?;

    let (read, table) = (params.read_options(), params.table.and_then(|name| TableName::parse(name).ok()));
    let IngestionParams { mode, overwrite_edits, allow_empty, choose_types, dry_run, .. } = params;
    let is_strict = mode == Some(IngestionMode::Strict);
    let switches = [overwrite_edits, dry_run, allow_empty, choose_types].map(|switch| switch == Some(true));
    let idempotency = key.with_fingerprint(|| fingerprint(&upload, (is_strict, switches), &read, table.as_ref()));
    let actor = Actor { source: ChangeSource::Ingestion, ..caller::actor(&request) };
    let options = IngestOptions {
        mode: mode.unwrap_or(IngestionMode::Lenient),
        dry_run: dry_run.unwrap_or_default(),
        overwrite_edits: overwrite_edits.unwrap_or_default(),
        allow_empty: allow_empty.unwrap_or_default(),
        choose_types: choose_types.unwrap_or_default(),
        actor: Some(actor),
        idempotency,
        now: state.now,
        stores_tables: state.stores_tables,
        read,
        table,
        binary_formats: state.binary_formats.clone(),
        ..IngestOptions::default()
    };
    let requested_id = options.ingestion_id;
    let report = run(&state, upload, slot, options).await?;
    state.note_position(&request).await;
    respond(&report, report.ingestion_id != requested_id)
}

/// The same upload with other options is another request.
fn fingerprint(
    upload: &Upload,
    (is_strict, switches): (bool, [bool; 4]),
    read: &ReadOptions,
    table: Option<&TableName>,
) -> Vec<u8> {
    let mut fingerprint = upload.fingerprint.clone();
    fingerprint.push(is_strict.into());
    fingerprint.extend(switches.map(u8::from));
    if *read != ReadOptions::default() || table.is_some() {
        fingerprint.extend(format!("{read:?} {table:?}").bytes());
    }
    fingerprint
}

/// Ingests the upload. A started ingestion is completed even if the client disconnects.
async fn run(
    state: &web::Data<ApiState>,
    upload: Upload,
    slot: UploadSlot,
    options: IngestOptions,
) -> Result<IngestionReport, Problem> {
    let failed = |error: &dyn std::fmt::Display| Problem::new(ProblemCode::InternalError).caused_by(error);
    let permit = Arc::clone(&state.ingestion_permits).acquire_owned().await.map_err(|error| failed(&error))?;
    let (state, runtime) = (state.clone(), Handle::current());
    let work = move || {
        let Upload { folder, inputs, .. } = upload;
        let validator = runtime.block_on(state.validator())?;
        let report = runtime.block_on(ingest(state.repository.as_ref(), validator, inputs, options, Arc::new(())));
        state.definitions.invalidate();
        drop((folder, permit, slot));
        report.map_err(problem)
    };
    web::block(work).await.map_err(|error| failed(&error))?
}

fn respond(report: &IngestionReport, is_replay: bool) -> Result<HttpResponse, Problem> {
    let mut response = match report.outcome {
        Outcome::Stored => HttpResponse::Created(),
        Outcome::DryRun => HttpResponse::Ok(),
        Outcome::Refused => {
            let report = serde_json::to_value(report).unwrap_or_default();
            let problem = Problem::new(ProblemCode::IngestionRefused).with_extension("report", report);
            let replayed = (IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
            return Err(if is_replay { problem.with_header(replayed.0, replayed.1) } else { problem });
        }
    };
    if report.outcome == Outcome::Stored {
        response.insert_header((LOCATION, format!("/ingestions/{}", report.ingestion_id)));
    }
    if is_replay {
        response.insert_header((IDEMPOTENT_REPLAYED, "true"));
    }
    Ok(response.json(report))
}

fn problem(error: IngestError) -> Problem {
    match error {
        IngestError::Repository(error) => error.into(),
        IngestError::Input(error) => Problem::new(ProblemCode::InternalError).caused_by(error),
    }
}

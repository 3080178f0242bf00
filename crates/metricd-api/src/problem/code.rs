//! The table of problem codes.

use actix_web::http::StatusCode;

macro_rules! problem_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:ident, $title:literal, $detail:literal;)*) => {
        /// A stable code for each kind of problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum ProblemCode {
            $(#[doc = $detail] $name,)*
        }

        impl ProblemCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code as text.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// The status of the response.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self {
                    $(Self::$name => StatusCode::$status,)*
                }
            }

            /// The constant title.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                }
            }

            /// The default detail.
            #[must_use]
            pub fn detail(self) -> &'static str {
                match self {
                    $(Self::$name => $detail,)*
                }
            }
        }
    };
}

problem_codes! {
    BadRequest = "bad-request", BAD_REQUEST, "Bad request", "The request is malformed.";
    MalformedJson = "malformed-json", BAD_REQUEST, "Malformed JSON", "The body is not well-formed JSON.";
    TokenMissing = "token-missing", UNAUTHORIZED, "Token missing", "The request needs a token: send one as `Authorization: Bearer …`.";
    TokenInvalid = "token-invalid", UNAUTHORIZED, "Token invalid", "The token is not accepted.";
    ScopeMissing = "scope-missing", FORBIDDEN, "Scope missing", "The token lacks the scope that the request needs.";
    TenantMissing = "tenant-missing", FORBIDDEN, "Tenant missing", "The token names no tenant, but metrics run only for a tenant.";
    TokenLimited = "token-limited", FORBIDDEN, "Token limited", "The token is limited to some metrics, and the request is not limited to these.";
    ForeignOrigin = "foreign-origin", FORBIDDEN, "Foreign origin", "The request comes from a page of another origin. A server without tokens serves only its own pages and those of origins that `--cors-origin` allows.";
    MisdirectedRequest = "misdirected-request", MISDIRECTED_REQUEST, "Misdirected request", "The server does not serve the host that the header `Host` names. Its operator can allow the host with `--allowed-host`.";
    NotFound = "not-found", NOT_FOUND, "Not found", "There is nothing at this path. `/docs` shows all paths; `/openapi.json` lists them for programs.";
    MetricNotFound = "metric-not-found", NOT_FOUND, "Metric not found", "There is no metric with this id.";
    DashboardNotFound = "dashboard-not-found", NOT_FOUND, "Dashboard not found", "There is no dashboard with this id.";
    TableNotFound = "table-not-found", NOT_FOUND, "Table not found", "There is no table with this name that metrics can read.";
    IngestionNotFound = "ingestion-not-found", NOT_FOUND, "Ingestion not found", "There is no ingestion with this id.";
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "Method not allowed", "The path does not support this method; the header `Allow` lists those it supports.";
    MetricNotEditable = "metric-not-editable", FORBIDDEN, "Metric not editable", "The metric's definition forbids changes over HTTP: change its files, and ingest them.";
    RequestTimeout = "request-timeout", REQUEST_TIMEOUT, "Request timed out", "The request did not arrive in time.";
    MetricExists = "metric-exists", CONFLICT, "Metric exists", "A metric with this id exists, in service or deleted: choose another id.";
    TableInUse = "table-in-use", CONFLICT, "Table in use", "Metrics in service or objects of the database, such as a view, read the table: delete them first.";
    TableNotOwned = "table-not-owned", FORBIDDEN, "Table not owned", "Files have not made the table, so metricd does not delete it.";
    MetricDeleted = "metric-deleted", GONE, "Metric deleted", "The metric was deleted. `POST /metrics/{id}/restore` restores it.";
    VersionMismatch = "version-mismatch", PRECONDITION_FAILED, "Version mismatch", "The metric has changed since it was read: read its definition again, and send its new `ETag` as `If-Match`.";
    NotAcceptable = "not-acceptable", NOT_ACCEPTABLE, "Not acceptable", "The header `Accept` allows none of the formats: expected `application/json`, `text/csv`, `application/x-ndjson`, `application/vnd.apache.parquet`, `application/vnd.apache.arrow.stream` or `application/vnd.openxmlformats-officedocument.spreadsheetml.sheet`.";
    InvalidParameters = "invalid-parameters", UNPROCESSABLE_ENTITY, "Invalid parameters", "Parameters of the request are invalid; `errors` lists each.";
    ResultUnrepresentable = "result-unrepresentable", UNPROCESSABLE_ENTITY, "Result unrepresentable", "The requested format cannot hold the result. `detail` names the column or the limit, and what to request instead.";
    ContentTooLarge = "content-too-large", PAYLOAD_TOO_LARGE, "Content too large", "The body is larger than the limit of this path.";
    UriTooLong = "uri-too-long", URI_TOO_LONG, "URI too long", "The path with its query string is longer than 8192 bytes.";
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "Unsupported media type", "The path does not accept bodies of this type; the header `Accept` lists those it accepts.";
    InvalidBody = "invalid-body", UNPROCESSABLE_ENTITY, "Invalid body", "The body is JSON, but not what this path expects; `errors` lists each invalid field.";
    SqlRefused = "sql-refused", UNPROCESSABLE_ENTITY, "SQL refused", "The SQL may not be stored; `findings` lists what is wrong, where, and what to write instead.";
    IdempotencyKeyReused = "idempotency-key-reused", UNPROCESSABLE_ENTITY, "Idempotency key reused", "The `Idempotency-Key` was used within the last day by a request with other content: use a new key for each request.";
    IngestionRefused = "ingestion-refused", UNPROCESSABLE_ENTITY, "Ingestion refused", "Nothing is stored: some content was refused in strict mode, or all of it in lenient mode, or a table cannot be stored. `report` lists what was refused, where and why.";
    IngestionOutrun = "ingestion-outrun", CONFLICT, "Ingestion outrun", "Concurrent changes to the same definitions invalidated every validation: nothing is stored. Send the files again.";
    HeadersTooLarge = "headers-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE, "Headers too large", "The headers are larger than 32768 bytes in total.";
    QueryTooCostly = "query-too-costly", UNPROCESSABLE_ENTITY, "Query too costly", "With these parameters, the estimated cost of the metric's SQL exceeds the limit. Request less, such as a shorter period.";
    TooManyRequests = "too-many-requests", TOO_MANY_REQUESTS, "Too many requests", "The request rate exceeds the limit: retry after the seconds in `Retry-After`.";
    TooManyQueries = "too-many-queries", TOO_MANY_REQUESTS, "Too many queries", "The caller (the token's subject, or the address without a token) has reached its limit of concurrent queries, and none has ended within a second. Try again.";
    AnswersUnread = "answers-unread", TOO_MANY_REQUESTS, "Answers unread", "The caller's unread responses (those of the token's subject, or of the address without a token) fill the caller's share of memory. Read them, and try again.";
    InternalError = "internal-error", INTERNAL_SERVER_ERROR, "Internal error", "The server failed. Its log has the cause under the request's id.";
    QueryFailed = "query-failed", INTERNAL_SERVER_ERROR, "Query failed", "The metric's SQL failed in the database. The server's log has the cause under the request's id.";
    RowSecurityMissing = "row-security-missing", INTERNAL_SERVER_ERROR, "Row security missing", "Row-level security does not isolate tenants in every relation that the reader may read, so no metric runs for any tenant. The server's log names the relations that the operator must secure, as docs/tenants.md describes.";
    QueryTimeout = "query-timeout", GATEWAY_TIMEOUT, "Query timed out", "The metric's SQL exceeded its time limit and was stopped.";
    QueryNotStopped = "query-not-stopped", GATEWAY_TIMEOUT, "Query not stopped", "The metric's SQL exceeded its time limit and was cancelled, but the database has not stopped it. The metric does not run again until this statement has ended.";
    StatementQuarantined = "statement-quarantined", SERVICE_UNAVAILABLE, "Statement quarantined", "A cancelled statement with the same SQL still runs in the database. The metric does not run again until it has ended. Other metrics are not affected. Try again later.";
    ConnectionsStuck = "connections-stuck", SERVICE_UNAVAILABLE, "Connections stuck", "All database connections are occupied by cancelled statements that the database has not stopped. Try again later.";
    TooManyStreams = "too-many-streams", SERVICE_UNAVAILABLE, "Too many streams", "The limit of concurrent streams is reached. Try again.";
    TableLocked = "table-locked", SERVICE_UNAVAILABLE, "Table locked", "A table that the metric reads is locked for a change or was just rewritten, so the metric has no result. Other metrics are not affected. Try again.";
    PositionNotReached = "position-not-reached", SERVICE_UNAVAILABLE, "Position not reached", "No server shows the change that `Metricd-After` names yet, or a fail-over has lost it. Try again. Without the header, the result may not show the change.";
    DatabaseUnavailable = "database-unavailable", SERVICE_UNAVAILABLE, "Database unavailable", "The database cannot be reached at the moment, or cannot process the request. Try again.";
    NoConnection = "no-connection", SERVICE_UNAVAILABLE, "No free connection", "All database connections are in use at the moment. Try again.";
    TooManyUploads = "too-many-uploads", SERVICE_UNAVAILABLE, "Too many uploads", "The limit of concurrent uploads is reached. Try again.";
    ServerBusy = "server-busy", SERVICE_UNAVAILABLE, "Server busy", "Unread responses fill the server's memory for them. Try again.";
    NotReady = "not-ready", SERVICE_UNAVAILABLE, "Not ready", "The server is not ready to run metrics; `checks` says why.";
}

impl ProblemCode {
    /// Whether the problem is about a token, so that the response has `WWW-Authenticate`.
    pub(crate) fn challenges(self) -> bool {
        matches!(self, Self::TokenMissing | Self::TokenInvalid | Self::ScopeMissing)
    }

    /// The value of `Retry-After` in seconds, if a retry is sensible.
    #[must_use]
    pub fn retry_after(self) -> Option<u32> {
        let is_for_now = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&self.status());
        match self {
            // A statement that the database does not stop may run for long.
            Self::StatementQuarantined | Self::ConnectionsStuck => Some(30),
            _ => is_for_now.then_some(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_documented() {
        let document = include_str!("../../../../docs/problems.md");
        let documented: Vec<_> = document.lines().filter(|line| line.starts_with("| `")).collect();
        let row =
            |code: &ProblemCode| format!("| `{}` | {} | {} |", code.code(), code.status().as_u16(), code.detail());
        assert_eq!(documented, ProblemCode::ALL.iter().map(row).collect::<Vec<_>>());
    }

    #[test]
    fn every_code_is_unique_and_well_formed() {
        let codes: BTreeSet<_> = ProblemCode::ALL.iter().map(|code| code.code()).collect();
        assert_eq!(codes.len(), ProblemCode::ALL.len());
        for code in ProblemCode::ALL {
            assert!(code.code().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{code:?}");
            assert!(code.detail().ends_with('.'), "{code:?}");
            assert!(code.status().is_client_error() || code.status().is_server_error(), "{code:?}");
        }
    }
}

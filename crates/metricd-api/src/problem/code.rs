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
    TenantMissing = "tenant-missing", FORBIDDEN, "Tenant missing", "The token names no tenant, and the rows of a metric are those of one.";
    TokenLimited = "token-limited", FORBIDDEN, "Token limited", "The token is limited to some metrics, and the request is about others.";
    ForeignOrigin = "foreign-origin", FORBIDDEN, "Foreign origin", "The request comes from a page of another origin. Without tokens only pages of this server and of the origins that `--cors-origin` names may make requests.";
    MisdirectedRequest = "misdirected-request", MISDIRECTED_REQUEST, "Misdirected request", "The server does not answer for the host that the header `Host` names. Without tokens it answers for loopback hosts and those that `--allowed-host` names.";
    NotFound = "not-found", NOT_FOUND, "Not found", "There is nothing at this path. `/docs` shows the paths that there are, `/openapi.json` lists them for programs.";
    MetricNotFound = "metric-not-found", NOT_FOUND, "Metric not found", "There is no metric with this id.";
    DashboardNotFound = "dashboard-not-found", NOT_FOUND, "Dashboard not found", "There is no dashboard with this id.";
    IngestionNotFound = "ingestion-not-found", NOT_FOUND, "Ingestion not found", "There is no ingestion with this id.";
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "Method not allowed", "The path does not take this method; the header `Allow` names those it takes.";
    MetricNotEditable = "metric-not-editable", FORBIDDEN, "Metric not editable", "The metric's definition says that it is not to be changed over HTTP: change the files that it comes from.";
    RequestTimeout = "request-timeout", REQUEST_TIMEOUT, "Request timed out", "The request did not arrive in time.";
    MetricExists = "metric-exists", CONFLICT, "Metric exists", "There is a metric with this id already, in service or not: give another id.";
    MetricDeleted = "metric-deleted", GONE, "Metric deleted", "The metric was taken out of service. `POST /metrics/{id}/restore` brings it back.";
    VersionMismatch = "version-mismatch", PRECONDITION_FAILED, "Version mismatch", "The metric has changed since it was read: read its definition again, and send the `ETag` that it has now as `If-Match`.";
    NotAcceptable = "not-acceptable", NOT_ACCEPTABLE, "Not acceptable", "Nothing that the header `Accept` names can be answered: expected `application/json`, `text/csv` or `application/x-ndjson`.";
    InvalidParameters = "invalid-parameters", UNPROCESSABLE_ENTITY, "Invalid parameters", "Parameters of the request are wrong; `errors` names each.";
    ContentTooLarge = "content-too-large", PAYLOAD_TOO_LARGE, "Content too large", "The body is larger than this path takes.";
    UriTooLong = "uri-too-long", URI_TOO_LONG, "URI too long", "The path with its query string is longer than 8192 bytes.";
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "Unsupported media type", "The path does not take bodies of this type; the header `Accept` names those it takes.";
    InvalidBody = "invalid-body", UNPROCESSABLE_ENTITY, "Invalid body", "The body is JSON, but not what this path takes; `errors` names each field that is wrong.";
    SqlRefused = "sql-refused", UNPROCESSABLE_ENTITY, "SQL refused", "The SQL may not be stored; `findings` says what is wrong with it, where, and what to write instead.";
    IdempotencyKeyReused = "idempotency-key-reused", UNPROCESSABLE_ENTITY, "Idempotency key reused", "The header `Idempotency-Key` has marked a request with another content within the last day: give each request a key of its own.";
    IngestionRefused = "ingestion-refused", UNPROCESSABLE_ENTITY, "Ingestion refused", "Something in the files was refused, and either the mode is strict or nothing else was there to store: nothing is stored. `report` says what, where and why.";
    IngestionOutrun = "ingestion-outrun", CONFLICT, "Ingestion outrun", "What the files bring was changed by others each time that it was judged: nothing is stored. Send them again.";
    HeadersTooLarge = "headers-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE, "Headers too large", "The headers are larger than 32768 bytes altogether.";
    QueryTooCostly = "query-too-costly", UNPROCESSABLE_ENTITY, "Query too costly", "The database expects the metric's SQL to cost more than it may with these parameters. Ask for less, such as a shorter period.";
    TooManyRequests = "too-many-requests", TOO_MANY_REQUESTS, "Too many requests", "More requests came within a second than may: wait as long as `Retry-After` says.";
    TooManyQueries = "too-many-queries", TOO_MANY_REQUESTS, "Too many queries", "As many requests of the token's subject, or of the address without a token, run SQL as may at once, and none of them has ended within a second. Try again.";
    AnswersUnread = "answers-unread", TOO_MANY_REQUESTS, "Answers unread", "Answers that the token's subject, or the address without a token, has not read yet take as much memory as they may. Read them, and try again.";
    InternalError = "internal-error", INTERNAL_SERVER_ERROR, "Internal error", "The server failed. Its log tells more under the request's id.";
    QueryFailed = "query-failed", INTERNAL_SERVER_ERROR, "Query failed", "The metric's SQL failed in the database. The server's log tells more under the request's id.";
    RowSecurityMissing = "row-security-missing", INTERNAL_SERVER_ERROR, "Row security missing", "The database does not isolate the rows of tenants in everything that the reader may read, so no metric runs for any tenant. The server's log names what the operator has to secure, as docs/tenants.md describes.";
    QueryTimeout = "query-timeout", GATEWAY_TIMEOUT, "Query timed out", "The metric's SQL ran longer than it may and was stopped.";
    QueryNotStopped = "query-not-stopped", GATEWAY_TIMEOUT, "Query not stopped", "The metric's SQL ran longer than it may and was cancelled, but the database has not stopped it: it still runs. The metric is held back until it has ended.";
    StatementQuarantined = "statement-quarantined", SERVICE_UNAVAILABLE, "Statement quarantined", "The metric's SQL still runs in the database for an earlier request, although it was cancelled, and is not run a second time meanwhile. Other metrics are answered. Try again later.";
    ConnectionsStuck = "connections-stuck", SERVICE_UNAVAILABLE, "Connections stuck", "All database connections run statements that were cancelled and that the database has not stopped. Try again later.";
    TooManyStreams = "too-many-streams", SERVICE_UNAVAILABLE, "Too many streams", "As many streams are under way as may hold database connections at once. Try again.";
    TableLocked = "table-locked", SERVICE_UNAVAILABLE, "Table locked", "A table that the metric reads is locked for a change or was just rewritten, so that the metric has no result. Other metrics are answered. Try again.";
    DatabaseUnavailable = "database-unavailable", SERVICE_UNAVAILABLE, "Database unavailable", "The database cannot be reached at the moment, or cannot do what it is asked. Try again.";
    NoConnection = "no-connection", SERVICE_UNAVAILABLE, "No connection free", "All database connections are taken at the moment. Try again.";
    TooManyUploads = "too-many-uploads", SERVICE_UNAVAILABLE, "Too many uploads", "As many uploads are under way as there may be at once. Try again.";
    ServerBusy = "server-busy", SERVICE_UNAVAILABLE, "Server busy", "Answers that clients have not read yet take all the memory that the server has for them. Try again.";
    NotReady = "not-ready", SERVICE_UNAVAILABLE, "Not ready", "The server cannot answer for metrics yet; `checks` says why.";
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
    fn every_code_is_there_once_and_well_formed() {
        let codes: BTreeSet<_> = ProblemCode::ALL.iter().map(|code| code.code()).collect();
        assert_eq!(codes.len(), ProblemCode::ALL.len());
        for code in ProblemCode::ALL {
            assert!(code.code().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{code:?}");
            assert!(code.detail().ends_with('.'), "{code:?}");
            assert!(code.status().is_client_error() || code.status().is_server_error(), "{code:?}");
        }
    }
}

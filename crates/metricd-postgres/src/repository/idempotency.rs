//! The keys by which requests are known when they are sent again.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Binary, Double, Jsonb, Text};
use metricd_repository::{IDEMPOTENCY_RETENTION, Idempotency, RepositoryError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{corrupt, failed};
use crate::schema::catalog::idempotency_keys;

/// What a request asks for. A key is one operation's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// To store a metric.
    Metric,
    /// To ingest files.
    Ingestion,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Metric => "metric",
            Self::Ingestion => "ingestion",
        }
    }
}

/// Not all at once, and none that a request holds.
const FORGOTTEN: &str = "DELETE FROM catalog.idempotency_keys WHERE (operation, key) IN (
    SELECT operation, key FROM catalog.idempotency_keys WHERE created_at < now() - make_interval(secs => $1)
    LIMIT 1000 FOR UPDATE SKIP LOCKED
)";

/// One that is older than that is taken anew.
const TAKE: &str = "INSERT INTO catalog.idempotency_keys AS k (operation, key, fingerprint) VALUES ($1, $2, $3)
    ON CONFLICT (operation, key) DO UPDATE SET fingerprint = excluded.fingerprint, answer = NULL, created_at = now()
    WHERE k.created_at < now() - make_interval(secs => $4)";

const REMEMBER: &str = "INSERT INTO catalog.idempotency_keys AS k (operation, key, fingerprint, answer)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (operation, key) DO UPDATE SET answer = excluded.answer WHERE k.fingerprint = excluded.fingerprint";

/// Forgets keys that are old. Outside of any transaction, so that nobody waits for what is under way.
pub(super) fn forget_old(connection: &mut PgConnection) -> Result<(), RepositoryError> {
    sql_query(FORGOTTEN)
        .bind::<Double, _>(IDEMPOTENCY_RETENTION.as_secs_f64())
        .execute(connection)
        .map(|_| ())
        .map_err(failed)
}

/// What a request of this mark was answered before, or nothing; the key is then this transaction's, and another one that
/// comes with it waits.
pub(super) fn remembered<T: DeserializeOwned>(
    connection: &mut PgConnection,
    operation: Operation,
    mark: &Idempotency,
) -> Result<Option<T>, RepositoryError> {
    let is_taken = sql_query(TAKE)
        .bind::<Text, _>(operation.as_str())
        .bind::<Text, _>(&mark.key)
        .bind::<Binary, _>(&mark.fingerprint)
        .bind::<Double, _>(IDEMPOTENCY_RETENTION.as_secs_f64())
        .execute(connection)
        .map_err(failed)?;
    if is_taken == 1 {
        return Ok(None);
    }
    let (fingerprint, answer) = idempotency_keys::table
        .find((operation.as_str(), &mark.key))
        .select((idempotency_keys::fingerprint, idempotency_keys::answer))
        .first::<(Vec<u8>, Option<Value>)>(connection)
        .map_err(failed)?;
    if fingerprint != mark.fingerprint {
        return Err(RepositoryError::IdempotencyKeyReused);
    }
    let answer = answer.ok_or_else(|| corrupt("an idempotency key has no answer"))?;
    serde_json::from_value(answer).map(Some).map_err(corrupt)
}

/// Takes note of what the request is answered.
pub(super) fn remember(
    connection: &mut PgConnection,
    operation: Operation,
    mark: &Idempotency,
    answer: &impl Serialize,
) -> Result<(), RepositoryError> {
    let answer = serde_json::to_value(answer).map_err(corrupt)?;
    let is_remembered = sql_query(REMEMBER)
        .bind::<Text, _>(operation.as_str())
        .bind::<Text, _>(&mark.key)
        .bind::<Binary, _>(&mark.fingerprint)
        .bind::<Jsonb, _>(answer)
        .execute(connection)
        .map_err(failed)?;
    // Somebody else's request may have taken the key since this one let go of it.
    if is_remembered == 1 { Ok(()) } else { Err(RepositoryError::IdempotencyKeyReused) }
}

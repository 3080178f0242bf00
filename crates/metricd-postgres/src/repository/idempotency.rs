//! Idempotency keys and the stored responses.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Binary, Double, Jsonb, Text};
use metricd_repository::{IDEMPOTENCY_RETENTION, Idempotency, RepositoryError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{corrupt, failed};
use crate::schema::catalog::idempotency_keys;

/// The operation of a request. A key belongs to one operation.
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

/// Deletes expired keys: not all at once, and none that a request holds.
const DELETE_EXPIRED_SQL: &str = "DELETE FROM catalog.idempotency_keys WHERE (operation, key) IN (
    SELECT operation, key FROM catalog.idempotency_keys WHERE created_at < now() - make_interval(secs => $1)
    LIMIT 1000 FOR UPDATE SKIP LOCKED
)";

/// Takes a key; an expired one is taken again.
const TAKE_KEY_SQL: &str = "INSERT INTO catalog.idempotency_keys AS k (operation, key, fingerprint) VALUES ($1, $2, $3)
    ON CONFLICT (operation, key) DO UPDATE SET fingerprint = excluded.fingerprint, answer = NULL, created_at = now()
    WHERE k.created_at < now() - make_interval(secs => $4)";

const STORE_RESPONSE_SQL: &str = "INSERT INTO catalog.idempotency_keys AS k (operation, key, fingerprint, answer)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (operation, key) DO UPDATE SET answer = excluded.answer WHERE k.fingerprint = excluded.fingerprint";

/// Deletes expired keys, outside of any transaction, so that no running request waits.
pub(super) fn delete_expired(connection: &mut PgConnection) -> Result<(), RepositoryError> {
    sql_query(DELETE_EXPIRED_SQL)
        .bind::<Double, _>(IDEMPOTENCY_RETENTION.as_secs_f64())
        .execute(connection)
        .map(|_| ())
        .map_err(failed)
}

/// The stored response to an earlier request with this key. If there is none, the key belongs to this transaction,
/// and another request with it waits.
pub(super) fn stored_response<T: DeserializeOwned>(
    connection: &mut PgConnection,
    operation: Operation,
    idempotency: &Idempotency,
) -> Result<Option<T>, RepositoryError> {
    let is_taken = sql_query(TAKE_KEY_SQL)
        .bind::<Text, _>(operation.as_str())
        .bind::<Text, _>(&idempotency.key)
        .bind::<Binary, _>(&idempotency.fingerprint)
        .bind::<Double, _>(IDEMPOTENCY_RETENTION.as_secs_f64())
        .execute(connection)
        .map_err(failed)?;
    if is_taken == 1 {
        return Ok(None);
    }
    let (fingerprint, answer) = idempotency_keys::table
        .find((operation.as_str(), &idempotency.key))
        .select((idempotency_keys::fingerprint, idempotency_keys::answer))
        .first::<(Vec<u8>, Option<Value>)>(connection)
        .map_err(failed)?;
    if fingerprint != idempotency.fingerprint {
        return Err(RepositoryError::IdempotencyKeyReused);
    }
    let answer = answer.ok_or_else(|| corrupt("an idempotency key has no answer"))?;
    serde_json::from_value(answer).map(Some).map_err(corrupt)
}

/// Stores the response.
pub(super) fn store_response(
    connection: &mut PgConnection,
    operation: Operation,
    idempotency: &Idempotency,
    answer: &impl Serialize,
) -> Result<(), RepositoryError> {
    let answer = serde_json::to_value(answer).map_err(corrupt)?;
    let is_stored = sql_query(STORE_RESPONSE_SQL)
        .bind::<Text, _>(operation.as_str())
        .bind::<Text, _>(&idempotency.key)
        .bind::<Binary, _>(&idempotency.fingerprint)
        .bind::<Jsonb, _>(answer)
        .execute(connection)
        .map_err(failed)?;
    // Another request may have taken the key since this one released it.
    if is_stored == 1 { Ok(()) } else { Err(RepositoryError::IdempotencyKeyReused) }
}

//! The keys by which requests are known when they are sent again.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Binary, Integer, Jsonb, Text};
use metricd_repository::{IDEMPOTENCY_HOURS, Idempotency, RepositoryError};
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

/// What a request of this mark was answered before, or nothing; the key is then this transaction's, and another one that
/// comes with it waits.
pub(super) fn remembered<T: DeserializeOwned>(
    connection: &mut PgConnection,
    operation: Operation,
    mark: &Idempotency,
) -> Result<Option<T>, RepositoryError> {
    let old = "DELETE FROM catalog.idempotency_keys WHERE created_at < now() - make_interval(hours => $1)";
    let hours = i32::try_from(IDEMPOTENCY_HOURS).map_err(corrupt)?;
    sql_query(old).bind::<Integer, _>(hours).execute(connection).map_err(failed)?;
    let taken = "INSERT INTO catalog.idempotency_keys (operation, key, fingerprint) VALUES ($1, $2, $3) \
                 ON CONFLICT DO NOTHING";
    let is_taken = sql_query(taken)
        .bind::<Text, _>(operation.as_str())
        .bind::<Text, _>(&mark.key)
        .bind::<Binary, _>(&mark.fingerprint)
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
    let remember = "INSERT INTO catalog.idempotency_keys (operation, key, fingerprint, answer) VALUES ($1, $2, $3, $4) \
                    ON CONFLICT (operation, key) DO UPDATE SET answer = excluded.answer";
    sql_query(remember)
        .bind::<Text, _>(operation.as_str())
        .bind::<Text, _>(&mark.key)
        .bind::<Binary, _>(&mark.fingerprint)
        .bind::<Jsonb, _>(answer)
        .execute(connection)
        .map(|_| ())
        .map_err(failed)
}

//! The labels of enum types.

use std::collections::{BTreeMap, BTreeSet};

use metricd_execution::ResolveError;

use super::client::ResolverClient;
use super::{refused, unexpected};

/// The labels of enum types, and of domains over them, whose names are in the JSON array `$1`.
pub(crate) const ENUM_LABELS_SQL: &str = "SELECT coalesce(pg_catalog.jsonb_object_agg(name, labels), '{}')::text FROM (
    SELECT pg_catalog.format_type(t.oid, NULL) AS name, pg_catalog.array_agg(e.enumlabel::text ORDER BY e.enumsortorder) AS labels
    FROM pg_catalog.pg_enum e
    JOIN pg_catalog.pg_type t ON e.enumtypid IN (t.oid, CASE t.typtype WHEN 'd' THEN t.typbasetype END)
    WHERE pg_catalog.format_type(t.oid, NULL) = ANY (SELECT pg_catalog.jsonb_array_elements_text($1::jsonb))
    GROUP BY t.oid
) AS enums";

/// The labels of the enum types among these types and their array elements, by type name.
pub(super) async fn labels<'a>(
    client: &mut ResolverClient,
    types: impl Iterator<Item = &'a String>,
) -> Result<BTreeMap<String, Vec<String>>, ResolveError> {
    let names: BTreeSet<&str> = types.map(|name| name.trim_end_matches("[]")).collect();
    let names = serde_json::to_string(&names).map_err(unexpected)?;
    let found = client.query_one_with(ENUM_LABELS_SQL, &names).await;
    let found = found.and_then(|row| Ok(row.try_get::<_, String>(0)?));
    serde_json::from_str(&found.map_err(refused)?).map_err(unexpected)
}

//! Serializes records with their counts as a list, because keys of JSON objects cannot be records.

use std::collections::HashMap;

use metricd_domain::Record;
use serde::{Deserialize, Deserializer, Serializer};

pub(super) fn serialize<S: Serializer>(records: &HashMap<Record, usize>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(records)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HashMap<Record, usize>, D::Error> {
    Ok(Vec::<(Record, usize)>::deserialize(deserializer)?.into_iter().collect())
}

//! JSON objects with unique names.
//!
//! If a name occurs twice, two parsers may read different members. Such an object is ambiguous and is refused.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

/// An object with unique names. The names within nested objects are not checked.
#[derive(Debug)]
pub(crate) struct UniqueMap(pub(crate) Map<String, Value>);

impl<'de> Deserialize<'de> for UniqueMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueVisitor)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = UniqueMap;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object whose names are unique")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<UniqueMap, A::Error> {
        let mut map = Map::new();
        while let Some((name, value)) = members.next_entry::<String, Value>()? {
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a name occurs twice"));
            }
        }
        Ok(UniqueMap(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_are_refused_even_if_they_are_escaped() {
        let read = |text: &str| serde_json::from_str::<UniqueMap>(text).map(|map| map.0.len());
        assert_eq!(read(r#"{"a": 1, "b": {"c": 1}}"#).unwrap(), 2);
        for text in [r#"{"a": 1, "a": 1}"#, r#"{"a": 1, "\u0061": 2}"#, "[]", "{}x"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}

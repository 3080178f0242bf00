//! The schemas that stored SQL reads.

use std::fmt;

use crate::quote_identifier;

/// The maximum number of bytes of a name in PostgreSQL.
const MAX_NAME_BYTES: usize = 63;

/// The schemas of metricd itself, which stored SQL never reads.
const OWN_SCHEMAS: [&str; 2] = ["catalog", "tenancy"];

/// The schemas that stored SQL reads, in the order in which PostgreSQL searches them for a name without a schema. Names
/// are spelled as in PostgreSQL's catalogs: case matters, and there are no quotes around them.
///
/// ```
/// use metricd_database::DataSchemas;
///
/// let schemas = DataSchemas::new(["sales".to_owned(), "public".to_owned()])?;
/// assert_eq!(schemas.search_path(), r#""sales", "public""#);
/// assert_eq!(DataSchemas::default().names(), ["warehouse"]);
/// # Ok::<(), metricd_database::InvalidDataSchemas>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSchemas(Vec<String>);

/// Why names are not those of [`DataSchemas`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDataSchemas {
    /// There is no name, or an empty one.
    #[error("expected the name of a schema, such as `public`")]
    Empty,
    /// A name is too long, has quotes or control characters, or is `$user`, which PostgreSQL replaces in a search path.
    #[error("`{}` is not the name of a schema: write the name as it is, without quotes, at most 63 bytes", .0.escape_debug())]
    Name(String),
    /// The schema belongs to PostgreSQL or to metricd.
    #[error("the schema `{0}` holds no data for metrics: name the schemas of your tables, such as `public`")]
    Reserved(String),
    /// A name occurs twice.
    #[error("the schema `{0}` occurs twice: name each schema once")]
    Repeated(String),
}

impl DataSchemas {
    /// Schemas of these names.
    ///
    /// # Errors
    ///
    /// [`InvalidDataSchemas`].
    pub fn new(names: impl IntoIterator<Item = String>) -> Result<Self, InvalidDataSchemas> {
        let mut schemas = Vec::new();
        for name in names {
            if name.is_empty() {
                return Err(InvalidDataSchemas::Empty);
            }
            let is_name = name.len() <= MAX_NAME_BYTES && !name.contains('"') && name != "$user";
            if !is_name || name.contains(char::is_control) || name.trim() != name {
                return Err(InvalidDataSchemas::Name(name));
            }
            if name.starts_with("pg_") || name == "information_schema" || OWN_SCHEMAS.contains(&name.as_str()) {
                return Err(InvalidDataSchemas::Reserved(name));
            }
            if schemas.contains(&name) {
                return Err(InvalidDataSchemas::Repeated(name));
            }
            schemas.push(name);
        }
        if schemas.is_empty() { Err(InvalidDataSchemas::Empty) } else { Ok(Self(schemas)) }
    }

    /// The names, in their order. There is at least one.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Whether the schema is one of them.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|schema| schema == name)
    }

    /// The value of PostgreSQL's `search_path`, with each name in quotes.
    #[must_use]
    pub fn search_path(&self) -> String {
        self.0.iter().map(|name| quote_identifier(name)).collect::<Vec<_>>().join(", ")
    }
}

impl Default for DataSchemas {
    /// The schema `warehouse`.
    fn default() -> Self {
        Self(vec!["warehouse".to_owned()])
    }
}

impl fmt::Display for DataSchemas {
    /// For messages: "the schema `warehouse`", or "the schemas `sales`, `public`".
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|name| format!("`{name}`")).collect();
        let noun = if names.len() == 1 { "schema" } else { "schemas" };
        write!(formatter, "the {noun} {}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(names: &[&str]) -> Result<DataSchemas, InvalidDataSchemas> {
        DataSchemas::new(names.iter().map(|name| (*name).to_owned()))
    }

    #[test]
    fn names_are_those_of_data() {
        let schemas = new(&["Sales 2025", "public", "old$users"]).unwrap();
        assert_eq!(schemas.search_path(), "\"Sales 2025\", \"public\", \"old$users\"");
        assert_eq!(schemas.to_string(), "the schemas `Sales 2025`, `public`, `old$users`");
        assert!(schemas.contains("public") && !schemas.contains("Public"));
        assert_eq!(DataSchemas::default().to_string(), "the schema `warehouse`");
        for names in [&[] as &[_], &[""], &["public", ""]] {
            assert_eq!(new(names).unwrap_err(), InvalidDataSchemas::Empty);
        }
        for name in [" public", "\"Sales\"", "$user", "a\nb", &"x".repeat(64)] {
            assert_eq!(new(&[name]).unwrap_err(), InvalidDataSchemas::Name(name.to_owned()));
        }
        for name in ["pg_catalog", "pg_temp", "information_schema", "catalog", "tenancy"] {
            assert_eq!(new(&["public", name]).unwrap_err(), InvalidDataSchemas::Reserved(name.to_owned()));
        }
        assert_eq!(new(&["a", "b", "a"]).unwrap_err(), InvalidDataSchemas::Repeated("a".to_owned()));
    }
}

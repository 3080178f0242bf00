//! The names that stored SQL may use.

use std::collections::BTreeSet;
use std::sync::LazyLock;

/// The functions of PostgreSQL that stored SQL may call, by class.
const FUNCTIONS: &str = include_str!("functions.txt");

/// The functions that stored SQL may not call, by class, each with a reason.
const REFUSED_FUNCTIONS: &str = include_str!("refused_functions.txt");

/// The types of PostgreSQL that stored SQL may name, in all of their spellings.
const TYPES: &str = include_str!("types.txt");

static BUILT_IN_FUNCTIONS: LazyLock<BTreeSet<&str>> = LazyLock::new(|| entries(FUNCTIONS).collect());
static BUILT_IN_TYPES: LazyLock<BTreeSet<&str>> = LazyLock::new(|| entries(TYPES).collect());

/// Names, or prefixes that end in `*`, each with the reason for the refusal.
static REFUSALS: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    let mut reason = "";
    let mut refusals = Vec::new();
    for line in entries(REFUSED_FUNCTIONS) {
        match line.split_once("] ") {
            Some((_, of_class)) => reason = of_class,
            None => refusals.push((line, reason)),
        }
    }
    refusals
});

fn entries(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The functions and types that stored SQL may use: those of PostgreSQL that are on the lists, those that the operator
/// adds, and those of the data schemas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Functions that the operator adds: `name` for a function of PostgreSQL, `schema.name` for any other. The operator
    /// is responsible for their safety.
    pub added_functions: BTreeSet<String>,
    /// Types that the operator adds: `name` for a type of PostgreSQL, `schema.name` for any other.
    pub added_types: BTreeSet<String>,
    /// The data schemas, in the order in which PostgreSQL searches them for a name without a schema.
    pub schemas: Vec<AllowedSchema>,
}

/// A schema that stored SQL reads, with the functions and types in it that stored SQL may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedSchema {
    /// The name.
    pub name: String,
    /// Functions that are safe in all of their overloads: neither volatile nor SECURITY DEFINER, not part of an extension,
    /// and written in a language that PostgreSQL trusts.
    pub functions: BTreeSet<String>,
    /// Types: enums, domains, composite types, ranges, and types of extensions that PostgreSQL trusts.
    pub types: BTreeSet<String>,
}

impl AllowedSchema {
    /// A schema without functions and types.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

impl Default for Allowed {
    /// The schema `warehouse`, without functions and types.
    fn default() -> Self {
        let schemas = vec![AllowedSchema::new("warehouse")];
        Self { added_functions: BTreeSet::new(), added_types: BTreeSet::new(), schemas }
    }
}

impl Allowed {
    /// The functions of PostgreSQL that any stored SQL may call.
    pub fn built_in_functions() -> impl Iterator<Item = &'static str> {
        BUILT_IN_FUNCTIONS.iter().copied()
    }

    /// The reason for refusing a function of this name. `None` if it is not on the list of refused functions.
    #[must_use]
    pub fn refusal(name: &str) -> Option<&'static str> {
        let matches = |listed: &str| listed.strip_suffix('*').map_or(listed == name, |start| name.starts_with(start));
        REFUSALS.iter().find(|(listed, _)| matches(listed)).map(|(_, reason)| *reason)
    }

    /// Whether stored SQL may call the function of this name in PostgreSQL.
    #[must_use]
    pub fn is_built_in_function(&self, name: &str) -> bool {
        BUILT_IN_FUNCTIONS.contains(name) || self.added_functions.contains(name)
    }

    /// The data schema of this name.
    #[must_use]
    pub fn schema(&self, name: &str) -> Option<&AllowedSchema> {
        self.schemas.iter().find(|schema| schema.name == name)
    }

    /// The data schemas for messages: "the schema `warehouse`", or "the schemas `sales`, `public`".
    #[must_use]
    pub fn shown_schemas(&self) -> String {
        let names: Vec<_> = self.schemas.iter().map(|schema| format!("`{}`", schema.name)).collect();
        format!("the schema{} {}", if names.len() == 1 { "" } else { "s" }, names.join(", "))
    }

    /// Whether stored SQL may call the function. Without a schema, it is a function of PostgreSQL or of any data schema;
    /// the one that PostgreSQL calls is checked in the resolved query.
    #[must_use]
    pub fn is_function(&self, schema: Option<&str>, name: &str) -> bool {
        match schema {
            None => {
                self.is_built_in_function(name)
                    || self.schemas.iter().any(|schema| self.is_function(Some(&schema.name), name))
            }
            Some("pg_catalog") => self.is_built_in_function(name),
            Some(schema) => {
                self.schema(schema).is_some_and(|schema| schema.functions.contains(name))
                    || self.added_functions.contains(&format!("{schema}.{name}"))
            }
        }
    }

    /// Whether stored SQL may name the type. Without a schema, it is a type of PostgreSQL or of any data schema. Pass
    /// `"char"` for the type that is `char` in quotes or with a schema: it is a type of the system catalogs, unlike
    /// SQL's `char`.
    #[must_use]
    pub fn is_type(&self, schema: Option<&str>, name: &str) -> bool {
        match schema {
            None => {
                self.is_type(Some("pg_catalog"), name)
                    || self.schemas.iter().any(|schema| self.is_type(Some(&schema.name), name))
            }
            Some("pg_catalog") => BUILT_IN_TYPES.contains(name) || self.added_types.contains(name),
            Some(schema) => {
                self.schema(schema).is_some_and(|schema| schema.types.contains(name))
                    || self.added_types.contains(&format!("{schema}.{name}"))
            }
        }
    }
}

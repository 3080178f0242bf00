//! The names that stored SQL may use.

use std::collections::BTreeSet;
use std::sync::LazyLock;

/// PostgreSQL's functions that stored SQL may call, by name, in classes.
const FUNCTIONS: &str = include_str!("functions.txt");

/// PostgreSQL's types that stored SQL may name, in each of their spellings.
const TYPES: &str = include_str!("types.txt");

static BUILT_IN_FUNCTIONS: LazyLock<BTreeSet<&str>> = LazyLock::new(|| entries(FUNCTIONS).collect());
static BUILT_IN_TYPES: LazyLock<BTreeSet<&str>> = LazyLock::new(|| entries(TYPES).collect());

fn entries(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The names that stored SQL may use beside tables and columns: PostgreSQL's own functions and types as the lists have them,
/// what the operator adds, and what the warehouse holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Functions that the operator adds: `name` for one of PostgreSQL's, `schema.name` for any other. Whether they are
    /// harmless is the operator's to know.
    pub added_functions: BTreeSet<String>,
    /// Functions of the schema `warehouse` that are neither volatile nor SECURITY DEFINER in any of their forms.
    pub warehouse_functions: BTreeSet<String>,
    /// Types of the schema `warehouse`: enums, domains, composites and ranges.
    pub warehouse_types: BTreeSet<String>,
}

impl Allowed {
    /// PostgreSQL's own functions that any stored SQL may call.
    pub fn built_in_functions() -> impl Iterator<Item = &'static str> {
        BUILT_IN_FUNCTIONS.iter().copied()
    }

    /// Whether PostgreSQL's function of that name may be called.
    #[must_use]
    pub fn is_built_in_function(&self, name: &str) -> bool {
        BUILT_IN_FUNCTIONS.contains(name) || self.added_functions.contains(name)
    }

    /// Whether the function may be called; without a schema it is PostgreSQL's own or the warehouse's.
    #[must_use]
    pub fn is_function(&self, schema: Option<&str>, name: &str) -> bool {
        match schema {
            None => self.is_built_in_function(name) || self.warehouse_functions.contains(name),
            Some("pg_catalog") => self.is_built_in_function(name),
            Some("warehouse") if self.warehouse_functions.contains(name) => true,
            Some(schema) => self.added_functions.contains(&format!("{schema}.{name}")),
        }
    }

    /// Whether the type may be named; without a schema it is PostgreSQL's own or the warehouse's.
    #[must_use]
    pub fn is_type(&self, schema: Option<&str>, name: &str) -> bool {
        let is_built_in = BUILT_IN_TYPES.contains(name);
        match schema {
            None => is_built_in || self.warehouse_types.contains(name),
            Some("pg_catalog") => is_built_in,
            Some("warehouse") => self.warehouse_types.contains(name),
            Some(_) => false,
        }
    }
}

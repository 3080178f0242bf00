//! The names that stored SQL may use.

use std::collections::BTreeSet;
use std::sync::LazyLock;

/// The functions of PostgreSQL that stored SQL may call, by name, in classes.
const FUNCTIONS: &str = include_str!("functions.txt");

/// Functions that stored SQL may not call, by name, in classes, each with a reason.
const REFUSED_FUNCTIONS: &str = include_str!("refused_functions.txt");

/// The types of PostgreSQL that stored SQL may name, in each of their spellings.
const TYPES: &str = include_str!("types.txt");

static BUILT_IN_FUNCTIONS: LazyLock<BTreeSet<&str>> = LazyLock::new(|| entries(FUNCTIONS).collect());
static BUILT_IN_TYPES: LazyLock<BTreeSet<&str>> = LazyLock::new(|| entries(TYPES).collect());

/// Names, or prefixes of names that end in `*`, each with the reason for refusing it.
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
/// adds, and those of the warehouse.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Functions that the operator adds: `name` for one of PostgreSQL's, `schema.name` for any other. The operator is
    /// responsible for their safety.
    pub added_functions: BTreeSet<String>,
    /// Types that the operator adds, named as functions are.
    pub added_types: BTreeSet<String>,
    /// Functions of the schema `warehouse` that, in all of their forms, are neither volatile nor SECURITY DEFINER,
    /// belong to no extension, and are written in a language that PostgreSQL trusts.
    pub warehouse_functions: BTreeSet<String>,
    /// Types of the schema `warehouse`: enums, domains, composites, ranges, and those of extensions that PostgreSQL
    /// trusts.
    pub warehouse_types: BTreeSet<String>,
}

impl Allowed {
    /// The functions of PostgreSQL that any stored SQL may call.
    pub fn built_in_functions() -> impl Iterator<Item = &'static str> {
        BUILT_IN_FUNCTIONS.iter().copied()
    }

    /// Why a function of this name is refused; `None` if it is not on the list of refused functions.
    #[must_use]
    pub fn refusal(name: &str) -> Option<&'static str> {
        let matches = |listed: &str| listed.strip_suffix('*').map_or(listed == name, |start| name.starts_with(start));
        REFUSALS.iter().find(|(listed, _)| matches(listed)).map(|(_, reason)| *reason)
    }

    /// Whether stored SQL may call PostgreSQL's function of this name.
    #[must_use]
    pub fn is_built_in_function(&self, name: &str) -> bool {
        BUILT_IN_FUNCTIONS.contains(name) || self.added_functions.contains(name)
    }

    /// Whether stored SQL may call the function. Without a schema it is one of PostgreSQL's or of the warehouse.
    #[must_use]
    pub fn is_function(&self, schema: Option<&str>, name: &str) -> bool {
        match schema {
            None => self.is_built_in_function(name) || self.is_function(Some("warehouse"), name),
            Some("pg_catalog") => self.is_built_in_function(name),
            Some("warehouse") if self.warehouse_functions.contains(name) => true,
            Some(schema) => self.added_functions.contains(&format!("{schema}.{name}")),
        }
    }

    /// Whether stored SQL may name the type. Without a schema it is one of PostgreSQL's or of the warehouse. In quotes
    /// or with its schema, `char` is a type of the system catalogs and not SQL's `char`; pass it as `"char"`.
    #[must_use]
    pub fn is_type(&self, schema: Option<&str>, name: &str) -> bool {
        match schema {
            None => self.is_type(Some("pg_catalog"), name) || self.is_type(Some("warehouse"), name),
            Some("pg_catalog") => BUILT_IN_TYPES.contains(name) || self.added_types.contains(name),
            Some("warehouse") if self.warehouse_types.contains(name) => true,
            Some(schema) => self.added_types.contains(&format!("{schema}.{name}")),
        }
    }
}

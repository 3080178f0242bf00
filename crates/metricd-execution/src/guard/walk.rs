//! Walks a syntax tree. Every field of every allowed node is matched by name, so that a new field of a later version of
//! the parser does not compile until someone has reviewed it.

mod data_type;
mod expression;
mod function;
mod literal;
mod query;
mod select;
mod source;

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart, Spanned};

use super::complexity::Complexity;
use super::{Allowed, attribute};
use crate::syntax::{Tree, is_reserved};
use crate::{Finding, FindingCode, Position};

/// PostgreSQL truncates names to this length (`NAMEDATALEN - 1`).
const MAX_NAME_BYTES: usize = 63;

/// The state of a walk, with the findings so far.
pub(super) struct Walk<'a> {
    allowed: &'a Allowed,
    tree: &'a Tree,
    /// The position of the innermost node that has one. Findings about nodes without a position use it.
    position: Position,
    /// The names of the WITH queries that are in scope.
    with_names: Vec<String>,
    uses: Uses,
    lock_count: usize,
    complexity: Complexity,
    findings: Vec<Finding>,
}

/// How a statement uses tables and special date literals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Uses {
    pub(crate) tables: Vec<TableUse>,
    /// The qualifiers of columns and rows that include a schema.
    pub(crate) qualifiers: Vec<Qualifier>,
    /// Whether the statement depends on columns that it does not name. It does if it renames the columns of a table or a
    /// join by their order, and if it has a NATURAL JOIN.
    pub(crate) has_unnamed_columns: bool,
    /// Constants that contain a special date literal, which takes effect if PostgreSQL gives them a date or time type.
    pub(crate) special_dates: Vec<SpecialDate>,
}

/// A special date literal within a constant, such as `'today'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpecialDate {
    pub(crate) position: Position,
    /// The literal, as the author spelled it.
    pub(crate) literal: String,
    /// The expression to write instead.
    pub(crate) replacement: &'static str,
}

/// A schema before the name of a table that qualifies a column or a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Qualifier {
    /// The schema's name, folded as PostgreSQL folds it.
    pub(crate) schema: String,
    /// The table's name, folded as PostgreSQL folds it.
    pub(crate) table: String,
    /// The start of the schema.
    pub(crate) begin: Position,
    /// The start of the name of the table.
    pub(crate) end: Position,
}

/// A table or view as a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableUse {
    /// The schema, if the statement names it, folded as PostgreSQL folds it.
    pub(crate) schema: Option<String>,
    /// The name, folded as PostgreSQL folds it.
    pub(crate) table: String,
    pub(crate) begin: Position,
    /// The end of the name, including a parenthesis or `*` that belongs to it.
    pub(crate) end: Position,
    /// The position of ONLY, if it precedes the name.
    pub(crate) only: Option<Position>,
    pub(crate) has_alias: bool,
    /// The position of the SELECT that reads the table, or of TABLE in the short form.
    pub(crate) select: Position,
}

impl<'a> Walk<'a> {
    pub(super) fn new(allowed: &'a Allowed, tree: &'a Tree) -> Self {
        let (with_names, uses) = (Vec::new(), Uses::default());
        let complexity = Complexity::default();
        Self {
            allowed,
            tree,
            position: Position::START,
            with_names,
            uses,
            lock_count: 0,
            complexity,
            findings: Vec::new(),
        }
    }

    /// Whether PostgreSQL may exceed its time limit when it resolves the statement.
    pub(super) fn is_large(&self) -> bool {
        self.complexity.is_large()
    }

    /// All findings, and how the statement uses tables.
    pub(super) fn finish(mut self) -> (Vec<Finding>, Uses) {
        if self.complexity.is_excessive() {
            let message = "too many columns would be resolved: name the columns instead of `*`, or join less at once";
            self.find(FindingCode::TooComplex, Position::START, "", message);
        }
        (self.findings, self.uses)
    }

    fn find(&mut self, code: FindingCode, position: Position, snippet: &str, message: impl Into<String>) {
        self.findings.push(Finding::new(code, position, snippet, message));
    }

    /// Refuses a node that is not allowed in the SQL of metrics.
    fn refuse(&mut self, node: &(impl Spanned + ToString), what: &str) {
        let position = self.position_of(node);
        self.find(
            FindingCode::NotUnderstood,
            position,
            &node.to_string(),
            format!("{what} cannot be used in a metric's SQL"),
        );
    }

    /// Refuses the syntax if it is present.
    fn refuse_if(&mut self, is_present: bool, syntax: &str) {
        if is_present {
            let message = format!("{syntax} is not part of PostgreSQL's SELECT: leave it out");
            self.find(FindingCode::NotUnderstood, self.position, syntax, message);
        }
    }

    fn position_of(&self, node: &impl Spanned) -> Position {
        let start = node.span().start;
        if start.line == 0 { self.position } else { start.into() }
    }

    /// Checks that a name is not reserved by PostgreSQL.
    fn name(&mut self, ident: &Ident) {
        if ident.quote_style.is_none() && is_reserved(&ident.value) {
            let message =
                format!("PostgreSQL reserves the word `{}`: put it in double quotes where it is a name", ident.value);
            self.find(FindingCode::NotUnderstood, ident.span.start.into(), &ident.value, message);
        }
        if ident.quote_style.is_some_and(|quote| quote != '"') {
            let message = "a name is quoted with double quotes";
            self.find(FindingCode::NotUnderstood, ident.span.start.into(), &ident.value, message);
        }
    }

    /// Checks the name of a column or a field. `value.f` calls the function `f` if the value has no field of that name,
    /// whether the value is a row or a number: `(0).lo_create` creates a large object.
    fn column(&mut self, ident: &Ident) {
        // The normalization before the parser turns `row.*` into a name.
        if ident.value == "*" {
            self.complexity.add_wildcard();
        }
        if attribute::may_call_function(&folded(ident)) {
            let message =
                "after a point this may call a function of PostgreSQL: give the column another name in a view";
            self.find(FindingCode::FunctionNotAllowed, ident.span.start.into(), &ident.value, message);
        }
    }

    /// Splits a name into schema and name. `None` after it refused a name with more parts or other parts.
    fn schema_and_name(&mut self, name: &ObjectName) -> Option<(Option<String>, String)> {
        let mut parts = Vec::new();
        for part in &name.0 {
            match part {
                ObjectNamePart::Identifier(ident) if matches!(ident.quote_style, None | Some('"')) => {
                    parts.push(folded(ident));
                }
                ObjectNamePart::Identifier(_) => return self.unnamed(name),
                ObjectNamePart::Function(_) => parts.clear(),
            }
        }
        match parts.as_slice() {
            [name] => Some((None, name.clone())),
            [schema, name] => Some((Some(schema.clone()), name.clone())),
            _ => self.unnamed(name),
        }
    }

    fn unnamed<T>(&mut self, name: &ObjectName) -> Option<T> {
        let message = "expected a name, or a schema and a name";
        self.find(FindingCode::NotUnderstood, self.position_of(name), &name.to_string(), message);
        None
    }
}

/// Folds a name as PostgreSQL does. It is truncated to [`MAX_NAME_BYTES`], and ASCII letters become lower case unless
/// the name is quoted. Other letters are kept, as in every database with a multibyte encoding.
pub(crate) fn folded(ident: &Ident) -> String {
    let mut name = if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_ascii_lowercase() };
    while name.len() > MAX_NAME_BYTES {
        name.pop();
    }
    name
}

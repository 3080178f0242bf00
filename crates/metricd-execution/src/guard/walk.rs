//! The walk through a syntax tree. Every field of every node that is allowed is named here: what a later version of the
//! parser adds does not compile until somebody has looked at it.

mod data_type;
mod expression;
mod function;
mod literal;
mod query;
mod select;
mod source;

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart, Spanned};

use super::{Allowed, words};
use crate::syntax::Tree;
use crate::{Finding, FindingCode, Place};

/// A walk, with what it has found so far.
pub(super) struct Walk<'a> {
    allowed: &'a Allowed,
    tree: &'a Tree,
    /// The place of the innermost node that has one, for those that have none.
    place: Place,
    findings: Vec<Finding>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(allowed: &'a Allowed, tree: &'a Tree) -> Self {
        Self { allowed, tree, place: Place::START, findings: Vec::new() }
    }

    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    fn find(&mut self, code: FindingCode, place: Place, words: &str, message: impl Into<String>) {
        self.findings.push(Finding::new(code, place, words, message));
    }

    /// Refuses a node that is no part of the SQL that metrics are written in.
    fn refuse(&mut self, node: &(impl Spanned + ToString), what: &str) {
        let place = self.place_of(node);
        self.find(
            FindingCode::NotUnderstood,
            place,
            &node.to_string(),
            format!("{what} cannot stand in a metric's SQL"),
        );
    }

    /// Refuses a clause, by its words, where it is there.
    fn refuse_if(&mut self, is_there: bool, words: &str) {
        if is_there {
            let message = format!("{words} is no part of PostgreSQL's SELECT: leave it out");
            self.find(FindingCode::NotUnderstood, self.place, words, message);
        }
    }

    fn place_of(&self, node: &impl Spanned) -> Place {
        let start = node.span().start;
        if start.line == 0 { self.place } else { start.into() }
    }

    /// Takes a name that PostgreSQL must not have reserved.
    fn name(&mut self, ident: &Ident) {
        if ident.quote_style.is_none() && words::is_reserved(&ident.value) {
            let message =
                format!("PostgreSQL reserves the word `{}`: put it in double quotes where it is a name", ident.value);
            self.find(FindingCode::NotUnderstood, ident.span.start.into(), &ident.value, message);
        }
    }

    /// Takes the name of a column of a result, which may be any word behind AS.
    fn label(&mut self, ident: &Ident) {
        if !self.tree.is_after_as(ident.span.start.into()) {
            self.name(ident);
        }
    }

    /// The schema and the name, or `None` after refusing what has more parts than those, or other ones.
    fn schema_and_name(&mut self, name: &ObjectName) -> Option<(Option<String>, String)> {
        let mut parts = Vec::new();
        for part in &name.0 {
            match part {
                ObjectNamePart::Identifier(ident) => parts.push(folded(ident)),
                ObjectNamePart::Function(_) => parts.clear(),
            }
        }
        match parts.as_slice() {
            [name] => Some((None, name.clone())),
            [schema, name] => Some((Some(schema.clone()), name.clone())),
            _ => {
                let message = "expected a name, or a schema and a name";
                self.find(FindingCode::NotUnderstood, self.place_of(name), &name.to_string(), message);
                None
            }
        }
    }
}

/// The name as PostgreSQL sees it: in lower case, unless it is in quotes.
pub(crate) fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

//! The guard's rules, on what PostgreSQL has made of a text. Where the parser and PostgreSQL should ever read a text in
//! different ways, it is PostgreSQL's that counts.

use metricd_domain::ContractTable;

use crate::resolver::{Resolution, ResolvedFunction};
use crate::{Allowed, Finding, FindingCode, Place};

/// What PostgreSQL would do that stored SQL may not. The places are not known any more.
pub(super) fn judge_resolution(resolution: &Resolution, allowed: &Allowed) -> Vec<Finding> {
    let mut findings = Vec::new();
    for ContractTable { schema, name, .. } in resolution.tables.iter().filter(|table| table.schema != "warehouse") {
        let message = "a metric reads the tables and views of the schema `warehouse` alone";
        let words = format!("{schema}.{name}");
        findings.push(Finding::new(FindingCode::RelationNotAllowed, Place::START, &words, message));
    }
    for function in resolution.functions.iter().filter(|function| !is_allowed(function, allowed)) {
        let ResolvedFunction { schema, name, is_volatile, is_security_definer, .. } = function;
        let reason = match (is_volatile, is_security_definer) {
            (true, _) => "it is volatile",
            (_, true) => "it runs with the rights of its owner",
            _ => "it is on no list of those that may",
        };
        let message = format!("PostgreSQL would call this function, which stored SQL may not: {reason}");
        findings.push(Finding::new(
            FindingCode::FunctionNotAllowed,
            Place::START,
            &format!("{schema}.{name}"),
            message,
        ));
    }
    for word in &resolution.session_words {
        let message = "PostgreSQL would answer this from the session, which is the server's own";
        findings.push(Finding::new(FindingCode::FunctionNotAllowed, Place::START, word, message));
    }
    findings
}

fn is_allowed(function: &ResolvedFunction, allowed: &Allowed) -> bool {
    let ResolvedFunction { schema, name, is_volatile, is_security_definer, is_named } = function;
    let is_added = match schema.as_str() {
        "pg_catalog" => allowed.added_functions.contains(name),
        schema => allowed.added_functions.contains(&format!("{schema}.{name}")),
    };
    let is_harmless = !is_volatile && !is_security_definer;
    is_added
        || (is_harmless
            && match schema.as_str() {
                // What stands behind PostgreSQL's own operators and casts has names that nobody writes.
                "pg_catalog" => !is_named || allowed.is_built_in_function(name),
                "warehouse" => true,
                _ => false,
            })
}

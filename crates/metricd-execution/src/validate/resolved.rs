//! Applies the guard's rules to the resolved query, so that text which the parser reads differently from PostgreSQL is
//! refused too.

use metricd_domain::ContractTable;

use crate::guard::SpecialDate;
use crate::resolver::{Resolution, ResolvedFunction, ResolvedType};
use crate::{Allowed, Finding, FindingCode, Position, QueryTree};

/// Functions of operators on paths and polygons (`<->`, `?#`, `&&`, `@>`, `<@`, `~=`). They compare every part of one
/// value with every part of the other, in loops that do not check for interrupts. So no time limit stops them, and a
/// few kilobytes of SQL keep PostgreSQL busy for minutes. Other functions that are as slow (`LIKE`, `replace`, `&&` of
/// arrays) are too common to be refused.
const UNINTERRUPTIBLE_FUNCTIONS: [&str; 7] =
    ["path_distance", "path_inter", "poly_contain", "poly_contained", "poly_distance", "poly_overlap", "poly_same"];

/// Checks the relations, functions, types and nodes of the resolved query. Their positions in the text are unknown.
pub(super) fn check_resolution(resolution: &Resolution, allowed: &Allowed) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_foreign = |table: &&ContractTable| allowed.schema(&table.schema).is_none();
    for ContractTable { schema, name, .. } in resolution.tables.iter().filter(is_foreign) {
        let message = format!("a metric reads only tables and views of {}", allowed.shown_schemas());
        let name = format!("{schema}.{name}");
        findings.push(Finding::new(FindingCode::RelationNotAllowed, Position::START, &name, message));
    }
    for function in resolution.functions.iter().filter(|function| !is_allowed(function, allowed)) {
        let message =
            format!("PostgreSQL would call this function, which stored SQL may not: {}", reason(function, allowed));
        let name = format!("{}.{}", function.schema, function.name);
        findings.push(Finding::new(FindingCode::FunctionNotAllowed, Position::START, &name, message));
    }
    for ResolvedType { schema, name, .. } in resolution.types.iter().filter(|made| !is_allowed_type(made, allowed)) {
        let name = format!("{schema}.{name}");
        let message = format!(
            "PostgreSQL would make a value of this type, which stored SQL may not name; the operator allows it with \
             `--allow-type {}`",
            name.trim_start_matches("pg_catalog.")
        );
        findings.push(Finding::new(FindingCode::TypeNotAllowed, Position::START, &name, message));
    }
    for node in &resolution.unknown_nodes {
        let message = format!(
            "PostgreSQL resolves the SQL to `{node}`, which this version of metricd does not know and cannot vouch for: write it without \
             what newer versions of PostgreSQL have added"
        );
        findings.push(Finding::new(FindingCode::NotUnderstood, Position::START, "", message));
    }
    for construct in &resolution.forbidden_constructs {
        let message = "stored SQL may not read the session, make XML, lock rows or change data: leave it out";
        findings.push(Finding::new(FindingCode::FunctionNotAllowed, Position::START, construct, message));
    }
    findings
}

/// Finds special date literals that PostgreSQL evaluated: those that are in no constant of the resolved query. Not
/// every version of PostgreSQL keeps the positions of constants.
pub(super) fn check_special_dates(special_dates: &[SpecialDate], tree: &QueryTree) -> Vec<Finding> {
    // Without the constants, each may have been evaluated.
    let constants = tree.constants().unwrap_or_default();
    let is_kept = |literal: &str| {
        let has_literal = |bytes: &&Vec<u8>| bytes.windows(literal.len()).any(|part| part == literal.as_bytes());
        let written = special_dates.iter().filter(|special_date| special_date.literal == literal).count();
        constants.iter().filter(has_literal).count() >= written
    };
    let evaluated = special_dates.iter().filter(|special_date| !is_kept(&special_date.literal));
    let finding = |special_date: &SpecialDate| {
        let message = format!(
            "PostgreSQL evaluates this when it prepares the statement, not when it runs it: write {}",
            special_date.replacement
        );
        Finding::new(FindingCode::FrozenTime, special_date.position, &special_date.literal, message)
    };
    evaluated.take(1).map(finding).collect()
}

fn is_allowed(function: &ResolvedFunction, allowed: &Allowed) -> bool {
    let ResolvedFunction { schema, name, is_volatile, is_security_definer, is_named, is_built_in, .. } = function;
    let is_added = match schema.as_str() {
        "pg_catalog" => allowed.added_functions.contains(name),
        schema => allowed.added_functions.contains(&format!("{schema}.{name}")),
    };
    let is_harmless = !is_volatile && !is_security_definer;
    is_added
        || (is_harmless
            && match schema.as_str() {
                // The functions of PostgreSQL's operators and casts are called without being named.
                "pg_catalog" if is_uninterruptible(function) => false,
                "pg_catalog" => *is_built_in && (!is_named || allowed.is_built_in_function(name)),
                // If a data schema has a type of an extension with its operators, metricd's operator installed the
                // extension there.
                schema if allowed.schema(schema).is_some() => {
                    !is_named || (!function.is_untrusted && function.extension.is_none())
                }
                // The same holds for a function that the type of a column brings, in whatever schema its extension is.
                _ => function.is_implied_by_type && function.extension.is_some(),
            })
}

/// Why a function is not allowed.
fn reason(function: &ResolvedFunction, allowed: &Allowed) -> String {
    let ResolvedFunction { schema, name, is_volatile, is_security_definer, is_built_in, .. } = function;
    if *is_volatile {
        return "it is volatile".to_owned();
    }
    if *is_security_definer {
        return "it runs with the rights of its owner".to_owned();
    }
    if is_uninterruptible(function) {
        return "its time grows with the square of its input, and nothing stops it".to_owned();
    }
    if let Some(reason) = Allowed::refusal(name) {
        return reason.to_owned();
    }
    if *is_built_in {
        return "it is on no list of those that may".to_owned();
    }
    let origin = match &function.extension {
        Some(extension) => format!("it belongs to the extension `{extension}`"),
        None if function.is_untrusted => "PostgreSQL does not trust the language that it is written in".to_owned(),
        None => format!("it is outside {}", allowed.shown_schemas()),
    };
    format!("{origin}; the operator allows it with `--allow-function {schema}.{name}`")
}

/// Types of values that the text does not name: of texts that PostgreSQL converts to a name, a character or a text
/// search configuration, of rows, of constants without a type, and of functions that return nothing.
const IMPLICIT_TYPES: [&str; 7] = ["char", "name", "record", "regconfig", "regdictionary", "unknown", "void"];

fn is_allowed_type(made: &ResolvedType, allowed: &Allowed) -> bool {
    let is_implicit = made.is_built_in && IMPLICIT_TYPES.contains(&made.name.as_str());
    is_implicit || allowed.is_type(Some(&made.schema), &made.name)
}

fn is_uninterruptible(function: &ResolvedFunction) -> bool {
    function.schema == "pg_catalog" && UNINTERRUPTIBLE_FUNCTIONS.contains(&function.name.as_str())
}

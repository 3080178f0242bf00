//! The corpora: every hostile statement is refused, and every honest one is accepted.

use std::collections::BTreeSet;

use metricd_domain::SqlText;
use metricd_execution::{Allowed, AllowedSchema, Finding, FindingCode, Guard, Statement};
use serde::Deserialize;

/// A file of statements.
#[derive(Debug, Deserialize)]
struct Corpus {
    statement: Vec<Entry>,
}

/// A statement, and the reason why it is in the corpus.
#[derive(Debug, Deserialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    why: String,
    pub(crate) sql: String,
}

fn read(text: &str) -> Vec<Entry> {
    let corpus: Corpus = toml::from_str(text).unwrap();
    let names: BTreeSet<_> = corpus.statement.iter().map(|entry| &entry.name).collect();
    assert_eq!(names.len(), corpus.statement.len(), "a name is repeated");
    assert!(corpus.statement.iter().all(|entry| !entry.why.trim().is_empty()));
    corpus.statement
}

pub(crate) fn honest() -> Vec<Entry> {
    read(include_str!("../corpus/honest.toml"))
}

/// A guard for the functions and types of the corpus' own warehouse.
fn guard() -> Guard {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let warehouse =
        AllowedSchema { functions: names(&FUNCTIONS), types: names(&TYPES), ..AllowedSchema::new("warehouse") };
    Guard::new(Allowed { schemas: vec![warehouse], ..Allowed::default() })
}

const FUNCTIONS: [&str; 3] = ["net_amount", "orders_of", "revenue_between"];
const TYPES: [&str; 3] = ["order_status", "amount", "dimensions"];

/// The findings of the guard. Empty if the text is refused before it is a statement.
pub(crate) fn check(sql: &str) -> Result<(), Vec<Finding>> {
    let sql = SqlText::parse(sql).map_err(|_| Vec::new())?;
    let statement = Statement::parse(&sql).map_err(|error| vec![Finding::from(&error)])?;
    guard().check(&statement)
}

#[test]
fn accepts_every_honest_statement() {
    let refused: Vec<_> = honest()
        .into_iter()
        .filter_map(|entry| check(&entry.sql).err().map(|findings| (entry.name, findings)))
        .map(|(name, findings)| {
            format!("{name}: {}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        })
        .collect();
    assert!(refused.is_empty(), "{} refused:\n{}", refused.len(), refused.join("\n"));
}

#[test]
fn refuses_every_hostile_statement() {
    let hostile = read(include_str!("../corpus/hostile.toml"));
    assert!(hostile.len() >= 120);
    let accepted: Vec<_> = hostile
        .iter()
        .filter(|entry| check(&entry.sql).is_ok())
        .map(|entry| format!("{}: {}", entry.name, entry.sql))
        .collect();
    assert!(accepted.is_empty(), "{} accepted:\n{}", accepted.len(), accepted.join("\n"));
}

#[test]
fn sql_that_is_not_understood_is_refused_as_such() {
    for entry in read(include_str!("../corpus/not_understood.toml")) {
        let codes: Vec<_> = check(&entry.sql).unwrap_err().into_iter().map(|finding| finding.code).collect();
        let understood =
            [FindingCode::FunctionNotAllowed, FindingCode::RelationNotAllowed, FindingCode::TypeNotAllowed];
        assert!(!codes.iter().any(|code| understood.contains(code)), "{}: {codes:?}", entry.name);
    }
}

/// PostgreSQL expands the columns of each `*`, regardless of its spelling.
#[test]
fn wildcards_count_as_their_columns() {
    for star in ["m.*", "(m).*", "row(m.*) IS NULL", "*"] {
        let columns = vec![star; 400].join(", ");
        let findings = check(&format!("SELECT {columns} FROM metrics m")).unwrap_err();
        assert_eq!(findings[0].code, FindingCode::TooComplex, "{star}");
    }
    let scalars = vec!["(VALUES (1))"; 400].join(" + ");
    assert!(check(&format!("SELECT {scalars} AS n")).is_ok());
}

/// PostgreSQL expands the columns of all relations in a join, and stores the column names of every relation.
#[test]
fn relations_in_parentheses_count_with_their_columns() {
    let columns: Vec<_> = (0..1_600).map(|number| format!("1 AS c{number}")).collect();
    let with = format!("WITH w AS (SELECT {})", columns.join(","));
    let left = format!("{}w{}", "(".repeat(18), " CROSS JOIN w)".repeat(18));
    let right = format!("{}w{}", "(w CROSS JOIN ".repeat(18), ")".repeat(18));
    let flat = format!("w{}", " CROSS JOIN w".repeat(18));
    let listed = vec!["w"; 1_000].join(", ");
    for sources in [left, right, flat] {
        let counted = vec![format!("(SELECT count(*) FROM {sources})"); 4].join(" + ");
        let findings = check(&format!("{with} SELECT {counted} AS n")).unwrap_err();
        assert_eq!(findings[0].code, FindingCode::TooComplex, "{sources}");
    }
    let findings = check(&format!("{with} SELECT count(*) AS n FROM {listed}")).unwrap_err();
    assert_eq!(findings[0].code, FindingCode::TooComplex);
    for sources in ["(w a CROSS JOIN (w b CROSS JOIN w c))", "w a, w b, (w c CROSS JOIN w d) AS e"] {
        assert!(check(&format!("{with} SELECT count(*) AS n FROM {sources}")).is_ok(), "{sources}");
    }
}

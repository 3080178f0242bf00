//! The check that the fuzzers run on each input.

use std::collections::BTreeMap;

use metricd_domain::{
    Contract, ContractColumn, ContractParts, ContractTable, Metric, MetricDefinition, MetricId, Period, PeriodSource,
    QueryId, SqlText,
};
use metricd_execution::{Guard, MetricStatement, Statement};
use serde::Deserialize;

/// Checks the bytes as SQL. If they are one statement, it also binds and narrows them.
///
/// # Panics
///
/// If the guard panics or violates a guarantee: the body of an accepted statement is accepted too, and a statement with
/// parameters can be bound.
pub fn check_input(bytes: &[u8]) {
    let Ok(sql) = SqlText::parse(String::from_utf8_lossy(bytes)) else { return };
    let Ok(statement) = Statement::parse(&sql) else { return };
    let verdict = Guard::default().check(&statement);
    if let Err(findings) = &verdict {
        assert!(!findings.is_empty(), "refused without a reason");
        let lines = sql.as_str().split('\n').count() as u64;
        assert!(
            findings.iter().all(|finding| (1..=lines).contains(&finding.position.line)),
            "a position outside of the text"
        );
    }
    // Comments and semicolons around the statement do not change the result.
    let body = SqlText::parse(statement.body()).and_then(|body| Ok(Statement::parse(&body)));
    let body = body.ok().and_then(Result::ok).expect("the body of a statement is one");
    assert_eq!(Guard::default().check(&body).is_ok(), verdict.is_ok(), "the guard decides differently about the body");
    run(&sql, &statement);
}

/// Binds a value to each parameter, with a period and without.
fn run(sql: &SqlText, statement: &Statement) {
    let mut table = ContractTable::new("warehouse", "metrics");
    table.time_columns = vec![ContractColumn::new("date", "date")];
    let period = Period::Narrowed(PeriodSource {
        schema: "warehouse".into(),
        table: "metrics".into(),
        column: "date".into(),
        type_name: "date".into(),
    });
    let parts = ContractParts { tables: vec![table], period, ..ContractParts::default() };
    let contract = Contract::new(parts).expect("it has the time column");
    let ids = (MetricId::parse("m").expect("an id"), QueryId::parse("q").expect("an id"));
    let metric = Metric::new(ids.0, ids.1, false);
    let definition = MetricDefinition::new(metric, sql.clone(), Some(contract));
    let bound = MetricStatement::of(&definition).expect("it is a statement");
    let value = |name: &str| if name.ends_with("_date") { "2025-01-31" } else { "x" };
    let mut given: BTreeMap<String, String> =
        statement.parameters().iter().map(|name| (name.to_string(), value(name.as_str()).to_owned())).collect();
    let (plain, _) = bound.bind(&given).expect("every parameter has a value");
    assert_eq!(plain.arguments().len(), statement.parameters().len());
    given.insert("start_date".to_owned(), "2025-01-01".to_owned());
    let _ = bound.bind(&given);
}

/// The statements of the corpora.
#[must_use]
pub fn seeds() -> Vec<String> {
    #[derive(Deserialize)]
    struct Corpus {
        statement: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        sql: String,
    }
    let corpora = [
        include_str!("../../tests/corpus/honest.toml"),
        include_str!("../../tests/corpus/hostile.toml"),
        include_str!("../../tests/corpus/hostile_resolved.toml"),
        include_str!("../../tests/corpus/not_understood.toml"),
    ];
    let statements = corpora.map(|corpus| toml::from_str::<Corpus>(corpus).expect("a corpus").statement);
    statements.into_iter().flatten().map(|entry| entry.sql).collect()
}

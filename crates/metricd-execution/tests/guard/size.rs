//! The guard checks any text without a panic, on little stack, in time that is linear in its length.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use metricd_domain::{
    Contract, ContractColumn, ContractParts, ContractTable, MAX_SQL_BYTES, Metric, MetricDefinition, MetricId, Period,
    PeriodSource, QueryId, SqlText,
};
use metricd_execution::{MetricStatement, Statement};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::corpus::{check, honest};

/// Checks the text, and narrows and binds it if it is a statement.
fn check_text(sql: &str) {
    let _ = check(sql);
    let Ok(sql) = SqlText::parse(sql) else { return };
    let Ok(statement) = Statement::parse(&sql) else { return };
    let mut table = ContractTable::new("warehouse", "a");
    table.time_columns = vec![ContractColumn::new("date", "date")];
    let period = Period::Narrowed(PeriodSource {
        schema: "warehouse".into(),
        table: "a".into(),
        column: "date".into(),
        type_name: "date".into(),
    });
    let parts = ContractParts { tables: vec![table], period, ..ContractParts::default() };
    let contract = Some(Contract::new(parts).unwrap());
    let metric = Metric::new(MetricId::parse("m").unwrap(), QueryId::parse("q").unwrap(), true);
    let metric = MetricStatement::of(&MetricDefinition::new(metric, sql, contract)).unwrap();
    let mut given: BTreeMap<_, _> =
        statement.parameters().iter().map(|name| (name.to_string(), "2025-01-01".into())).collect();
    assert!(metric.bind(&given).is_ok());
    given.insert("start_date".into(), "2025-01-01".into());
    let _ = metric.bind(&given);
}

/// Texts that are repeated up to the maximum length: a prefix, the repeated part, and a suffix.
const SHAPES: [(&str, &str, &str); 41] = [
    ("SELECT 1", "+1", ""),
    ("SELECT 1", " OR 1", ""),
    ("SELECT 1", "::int", ""),
    ("SELECT 1", "::regclass", ""),
    ("SELECT a", "[1]", ""),
    ("SELECT (a)", ".b", ""),
    ("SELECT a", ".b", ""),
    ("SELECT 1", ",1", ""),
    ("SELECT 1", ",:a", " FROM a"),
    ("SELECT 1", ",warehouse.a.b", " FROM a"),
    ("SELECT 1", ",f()", ""),
    ("SELECT 1 FROM a", ",a", ""),
    ("SELECT 1 FROM a", ",\na", ""),
    ("SELECT 1 FROM a", " JOIN a ON 1", ""),
    ("SELECT 1 FROM a", " JOIN a USING(a) AS b", ""),
    ("SELECT 1", " UNION SELECT 1", ""),
    ("TABLE a", " UNION TABLE a", ""),
    ("VALUES (1)", ",(1)", ""),
    ("WITH b AS(TABLE a)", ",b AS(TABLE a)", "TABLE b"),
    ("WITH RECURSIVE b AS(TABLE a) CYCLE a", ",a", ""),
    ("SELECT CASE", " WHEN a THEN 1", " END"),
    ("SELECT 1", "/**/", ""),
    ("SELECT 1", "/**/+1", ""),
    ("SELECT ''", "\n''", ""),
    ("SELECT U&''", "||U&''", ""),
    ("SELECT 1", " IS NULL", ""),
    ("SELECT 1", " BETWEEN 1 AND 1", ""),
    ("SELECT 1 FROM a", " USING(a", ""),
    ("SELECT 1", ";", ""),
    ("SELECT ", "(", ""),
    ("SELECT ", "- ", "1"),
    ("SELECT ", "NOT ", "1"),
    ("SELECT * FROM ", "(", "a"),
    ("", "(", "SELECT 1"),
    ("SELECT ", "+", "1"),
    ("SELECT 1", "@", "1"),
    ("SELECT ", "operator(", "1"),
    ("SELECT ", "(VALUES ", "1"),
    ("SELECT sum(1) OVER (ROWS BETWEEN 1", " + 1 AND 1", " PRECEDING)"),
    ("SELECT 1", " COLLATE a", ""),
    ("SELECT 1 FROM ", "ROWS FROM (", "a"),
];

/// Many times what the slowest shape takes, and far less than with quadratic time, which took minutes.
const MAX_CHECK_TIME: Duration = Duration::from_secs(15);

#[test]
fn the_longest_texts_take_linear_time() {
    for (before, repeated, after) in SHAPES {
        let times = (MAX_SQL_BYTES - before.len() - after.len()) / repeated.len();
        let begin = Instant::now();
        check_text(&format!("{before}{}{after}", repeated.repeat(times)));
        assert!(begin.elapsed() < MAX_CHECK_TIME, "{repeated:?} takes {:?}", begin.elapsed());
    }
    let names = (0..10_000).map(|number| format!(",:p{number}")).collect::<Vec<_>>().concat();
    let begin = Instant::now();
    check_text(&format!("SELECT 1{names} FROM a"));
    assert!(begin.elapsed() < MAX_CHECK_TIME, "parameters take {:?}", begin.elapsed());
}

/// A parser that backtracks at each level takes twice as long for each of them.
#[test]
fn deep_texts_take_linear_time() {
    let around = [
        ("SELECT ", "(", ")"),
        ("SELECT ", "abs(", ")"),
        ("SELECT ", "(SELECT ", ")"),
        ("SELECT ", "ARRAY[", "]"),
        ("SELECT a", "[", "]"),
        ("SELECT ", "CASE WHEN ", " THEN 1 END"),
        ("SELECT ", "substring(", " from 1)"),
        ("SELECT ", "CAST(", " AS int)"),
        ("SELECT ", "extract(day from ", ")"),
        ("SELECT ", "f(a => ", ")"),
        ("SELECT ", "json_object('a' : ", ")"),
        ("SELECT ", "INTERVAL ", ""),
        ("SELECT ", "DATE ", ""),
        ("SELECT 1 IN ", "(", ")"),
        ("SELECT 1 FROM ", "(", ")"),
        ("SELECT 1 FROM ", "(SELECT * FROM ", ") x"),
        ("SELECT 1 FROM ", "(a JOIN ", ")"),
        ("SELECT 1 FROM ", "f(", ")"),
        ("SELECT 1 GROUP BY ", "cube(", ")"),
        ("", "(", ")"),
        ("", "WITH a AS (", ") SELECT 1"),
        ("SELECT ", "count(*) OVER (ORDER BY ", ")"),
        ("SELECT ", "x::numeric(", ")"),
    ];
    for (before, open, close) in around {
        for inside in ["1", "a", "SELECT 1", "a b c", "1 1", ""] {
            for depth in [10, 30, 60, 99] {
                let begin = Instant::now();
                check_text(&format!("{before}{}{inside}{}", open.repeat(depth), close.repeat(depth)));
                assert!(begin.elapsed() < MAX_CHECK_TIME, "{open:?} around {inside:?}, {depth} times");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_text_is_checked(sql in "\\PC{0,200}", head in any::<bool>()) {
        check_text(&if head { format!("SELECT {sql}") } else { sql });
    }

    #[test]
    fn any_sequence_of_words_is_checked(picks in proptest::collection::vec((any::<Index>(), any::<Index>()), 1..60)) {
        let honest = honest();
        let word = |(statement, word): &(Index, Index)| {
            let words: Vec<_> = statement.get(&honest).sql.split_whitespace().collect();
            (*word.get(&words)).to_owned()
        };
        check_text(&format!("SELECT {}", picks.iter().map(word).collect::<Vec<_>>().join(" ")));
    }
}

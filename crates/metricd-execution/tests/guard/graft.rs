//! Hostile parts that are grafted into honest statements, at every position where they fit.
//!
//! Each hostile part has a harmless twin of the same shape. If the twin is accepted at a position, that position is
//! code, and the hostile part must be refused there. A position inside a string, or one where neither is valid, proves
//! nothing and is not counted.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

use crate::corpus::{check, honest};

/// A hostile part, and its harmless twin.
#[derive(Debug)]
struct Graft {
    kind: &'static str,
    twin: &'static str,
    hostile: &'static str,
}

const fn graft(kind: &'static str, twin: &'static str, hostile: &'static str) -> Graft {
    Graft { kind, twin, hostile }
}

const GRAFTS: [Graft; 34] = [
    graft("function", "abs(1)", "pg_sleep(1)"),
    graft("function", "abs (1)", "PG_SLEEP (1)"),
    graft("function", "pg_catalog.abs(1)", "PG_CATALOG.pg_sleep(1)"),
    graft("function", "\"abs\"(1)", "\"pg_sleep\"(1)"),
    graft("function", "pg_catalog . \"abs\" (1)", "pg_catalog . \"pg_sleep\" (1)"),
    graft("function", "abs/**/(1)", "pg_sleep/**/(1)"),
    graft("function", "abs(0)", "lo_create(0)"),
    graft("function", "concat('a', 'b', false)", "set_config('a', 'b', false)"),
    graft("function", "abs((1))", "warehouse.jitter((1))"),
    graft("function", "max(1) FILTER (WHERE true)", "noisy_sum(1) FILTER (WHERE true)"),
    graft("function", "max(1) FILTER (WHERE 1 = 1)", "max(1) FILTER (WHERE pg_try_advisory_lock(1))"),
    graft("function", "max(1) OVER (ORDER BY abs(1))", "max(1) OVER (ORDER BY nextval('ticket_seq'))"),
    graft("function", "array_agg(1 ORDER BY abs(1))", "array_agg(1 ORDER BY pg_notify('a', 'b'))"),
    graft("function", "abs(x => 1)", "pg_sleep(x => 1)"),
    graft("nested", "CASE WHEN true THEN upper('a') END", "CASE WHEN true THEN query_to_xml('a', true, true, '') END"),
    graft("nested", "(1 + (-(abs(1))))", "(1 + (-(pg_sleep(1))))"),
    graft("nested", "(ARRAY[1, 2])[abs(1)]", "(ARRAY[1, 2])[lo_create(1)]"),
    graft("nested", "(1 BETWEEN 0 AND abs(1))", "(1 BETWEEN 0 AND txid_current())"),
    graft("nested", "('a' LIKE upper('a') ESCAPE 'x')", "('a' LIKE pg_read_file('a') ESCAPE 'x')"),
    graft("subquery", "(SELECT 1 FROM metrics)", "(SELECT 1 FROM pg_authid)"),
    graft("subquery", "(SELECT 1 FROM warehouse.metrics)", "(SELECT 1 FROM catalog.queries)"),
    graft("subquery", "(TABLE warehouse.metrics)", "(TABLE information_schema.tables)"),
    graft("subquery", "(TABLE ONLY metrics)", "(TABLE ONLY pg_shadow)"),
    graft(
        "subquery",
        "(SELECT 1 FROM metrics a JOIN orders b USING (c))",
        "(SELECT 1 FROM metrics a JOIN pg_user b USING (c))",
    ),
    graft("subquery", "(SELECT 1 FROM unnest(ARRAY[1]) x)", "(SELECT 1 FROM pg_ls_dir(ARRAY[1]) x)"),
    graft("subquery", "(SELECT 1 FROM a, LATERAL (SELECT 1) x)", "(SELECT 1 FROM a, LATERAL (SELECT pg_sleep(1)) x)"),
    graft("lock", "(SELECT 1 FROM metrics LIMIT 1)", "(SELECT 1 FROM metrics LIMIT 1 FOR UPDATE)"),
    graft("lock", "(SELECT 1 FROM metrics m)", "(SELECT 1 FROM metrics m FOR SHARE OF m NOWAIT)"),
    graft("write", "(SELECT 1 FROM metrics)", "(SELECT 1 INTO stolen FROM metrics)"),
    graft("write", "(WITH x AS (SELECT 1) SELECT 1)", "(WITH x AS (DELETE FROM metrics RETURNING 1) SELECT 1)"),
    graft(
        "write",
        "(WITH x AS (SELECT 1) SELECT 1)",
        "(WITH x AS (INSERT INTO metrics VALUES (1) RETURNING 1) SELECT 1)",
    ),
    graft("cast", "'1'::text", "'1'::regclass"),
    graft("cast", "CAST('{}' AS text[])", "CAST('{}' AS pg_catalog.regrole[])"),
    graft("session", "abs(CAST(current_date AS text))", "abs(CAST(current_user AS text))"),
];

/// Clauses that end a query, each with a harmless twin. They are inserted between two words instead of replacing one.
const ENDS: [Graft; 5] = [
    graft("end", " OFFSET 0 ", " FOR UPDATE "),
    graft("end", " OFFSET 0 ", " FOR NO KEY UPDATE "),
    graft("end", " OFFSET 0 ", " FOR SHARE SKIP LOCKED "),
    graft("end", " UNION ALL SELECT 1 FROM metrics ", " UNION ALL SELECT 1 FROM pg_authid "),
    graft("end", " UNION ALL TABLE orders ", " UNION ALL TABLE catalog.queries "),
];

/// An honest statement, and the byte ranges of its words.
struct Stock {
    name: String,
    sql: String,
    words: Vec<std::ops::Range<usize>>,
}

static STOCKS: LazyLock<Vec<Stock>> = LazyLock::new(|| {
    let stock = |(name, sql): (String, String)| {
        let words = words(&sql);
        Stock { name, sql, words }
    };
    honest().into_iter().map(|entry| stock((entry.name, entry.sql))).collect()
});

/// The byte ranges of the words, without blanks and comments.
fn words(sql: &str) -> Vec<std::ops::Range<usize>> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().unwrap();
    let lines: Vec<_> = sql.split_inclusive('\n').collect();
    let byte = |line: u64, column: u64| {
        let before: usize = lines[..usize::try_from(line).unwrap() - 1].iter().map(|line| line.len()).sum();
        let within: usize = sql[before..].chars().take(usize::try_from(column).unwrap() - 1).map(char::len_utf8).sum();
        before + within
    };
    let tokens = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
    tokens
        .map(|token| {
            byte(token.span.start.line, token.span.start.column)..byte(token.span.end.line, token.span.end.column)
        })
        .collect()
}

fn put(sql: &str, position: std::ops::Range<usize>, part: &str) -> String {
    format!("{} {part} {}", &sql[..position.start], &sql[position.end..])
}

/// Grafts the part at the position, and returns whether its twin is accepted there.
fn lands(sql: &str, position: std::ops::Range<usize>, graft: &Graft) -> bool {
    if check(&put(sql, position.clone(), graft.twin)).is_err() {
        return false;
    }
    let grafted = put(sql, position, graft.hostile);
    assert!(check(&grafted).is_err(), "`{}` is accepted in: {grafted}", graft.hostile);
    true
}

#[test]
fn a_hostile_part_is_refused_at_every_position_of_every_honest_statement() {
    let mut landed = BTreeMap::<_, usize>::new();
    for (index, stock) in STOCKS.iter().enumerate() {
        let mut of_stock = 0;
        for (position, word) in stock.words.iter().enumerate() {
            // All grafts would take minutes, so each position gets two of them, and the next position the next two.
            for step in 0..2 {
                let graft = &GRAFTS[(index + position * 2 + step) % GRAFTS.len()];
                if lands(&stock.sql, word.clone(), graft) {
                    of_stock += 1;
                    *landed.entry(graft.kind).or_default() += 1;
                }
            }
            let end = &ENDS[(index + position) % ENDS.len()];
            if lands(&stock.sql, word.end..word.end, end) {
                of_stock += 1;
                *landed.entry(end.kind).or_default() += 1;
            }
        }
        assert!(of_stock > 0, "nothing could be grafted into {}", stock.name);
    }
    for kind in GRAFTS.iter().chain(&ENDS).map(|graft| graft.kind) {
        assert!(landed.get(kind).is_some_and(|count| *count >= 50), "{kind}: {landed:?}");
    }
}

#[test]
fn every_graft_lands_somewhere() {
    let base = "SELECT 1 AS n FROM metrics WHERE id = '1'";
    for graft in &GRAFTS {
        let position = base.find('1').unwrap();
        assert!(lands(base, position..position + 1, graft), "{graft:?}");
    }
    for graft in &ENDS {
        assert!(lands(base, base.len()..base.len(), graft), "{graft:?}");
    }
}

#[test]
fn into_is_refused_between_any_two_words() {
    for stock in STOCKS.iter() {
        for word in &stock.words {
            let grafted = put(&stock.sql, word.end..word.end, "INTO stolen");
            assert!(check(&grafted).is_err(), "accepted: {grafted}");
        }
    }
}

#[test]
fn only_relations_after_from_or_join_are_relations() {
    const RELATIONS: [&str; 6] = [
        "pg_authid",
        "pg_catalog.pg_authid",
        "\"pg_authid\"",
        "catalog.queries",
        "INFORMATION_SCHEMA . tables",
        "ONLY pg_toast.pg_toast_1255",
    ];
    let mut landed = 0;
    for (index, stock) in STOCKS.iter().enumerate() {
        for (position, pair) in stock.words.windows(2).enumerate() {
            let [before, relation] = pair else { continue };
            let word = stock.sql[before.clone()].to_ascii_uppercase();
            let is_name = stock.sql[relation.clone()].starts_with(|first: char| first.is_alphabetic() || first == '"');
            if !is_name || !["FROM", "JOIN"].contains(&word.as_str()) {
                continue;
            }
            // A join in parentheses is not an expression, whereas FROM also occurs in `extract(… FROM …)`.
            if check(&put(&stock.sql, relation.clone(), "(metrics CROSS JOIN orders)")).is_ok() {
                let grafted = put(&stock.sql, relation.clone(), RELATIONS[(index + position) % RELATIONS.len()]);
                assert!(check(&grafted).is_err(), "accepted: {grafted}");
                landed += 1;
            }
        }
    }
    assert!(landed >= 100, "{landed}");
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::with_cases(512) })]

    /// As above, with other harmless parts grafted in before, so that the statement is not in the corpus.
    #[test]
    fn a_hostile_part_is_refused_at_a_random_position_of_a_mutated_statement(
        stock in any::<Index>(),
        mutations in proptest::collection::vec((any::<Index>(), any::<Index>()), 0..4),
        position in any::<Index>(),
        graft in any::<Index>(),
    ) {
        let mut sql = stock.get(&STOCKS).sql.clone();
        for (position, graft) in mutations {
            let mutated = put(&sql, position.get(&words(&sql)).clone(), graft.get(&GRAFTS).twin);
            if check(&mutated).is_ok() {
                sql = mutated;
            }
        }
        prop_assume!(lands(&sql, position.get(&words(&sql)).clone(), graft.get(&GRAFTS)));
    }
}

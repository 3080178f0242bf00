//! Measures how much SQL the guard does not understand although PostgreSQL parses it.
//!
//! `cargo run -p metricd-runner --example honest_sql -- DATABASE_URL FILE…` takes the queries of psql scripts, such as
//! `src/test/regress/sql/*.sql` of PostgreSQL's sources. Without files it takes every keyword of `pg_get_keywords()` as a
//! name, in each place of [`PLACES`]. A query counts if PostgreSQL prepares it without a syntax error: what it names need
//! not exist. A query that the guard refuses by a rule counts as understood.

use std::collections::BTreeMap;
use std::{env, fs};

use anyhow::{Context, Result};
use metricd_domain::SqlText;
use metricd_execution::{Finding, FindingCode, Guard, Statement};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

/// Where a name may stand, with `{}` for the name.
const PLACES: &[&str] = &[
    // A column.
    "SELECT {} FROM t",
    "SELECT a, {} FROM t",
    "SELECT {}, a FROM t",
    "SELECT t.{} FROM t",
    "SELECT t.{} AS x, 1 FROM t",
    "SELECT DISTINCT {} FROM t",
    "SELECT DISTINCT ON ({}) a FROM t",
    "SELECT {} AS x FROM t",
    "SELECT {} + 1 FROM t",
    "SELECT -{} FROM t",
    "SELECT 1 - {} FROM t",
    "SELECT ({}) FROM t",
    "SELECT {}::text FROM t",
    "SELECT {}[1] FROM t",
    "SELECT ({}).x FROM t",
    "SELECT CAST({} AS text) FROM t",
    "SELECT count({}) FROM t",
    "SELECT count(DISTINCT {}) FROM t",
    "SELECT coalesce(a, {}) FROM t",
    "SELECT sum({}) FILTER (WHERE {} > 0) FROM t",
    "SELECT sum(a) OVER (PARTITION BY {} ORDER BY {} DESC) FROM t",
    "SELECT CASE WHEN {} THEN 1 END FROM t",
    "SELECT CASE {} WHEN 1 THEN {} ELSE {} END FROM t",
    "SELECT ARRAY[{}, 1] FROM t",
    "SELECT ROW({}, 1) FROM t",
    "SELECT extract(year FROM {}) FROM t",
    "SELECT {} AT TIME ZONE 'UTC' FROM t",
    "SELECT a FROM t WHERE {} = 1",
    "SELECT a FROM t WHERE 1 = {}",
    "SELECT a FROM t WHERE NOT {}",
    "SELECT a FROM t WHERE {} AND a",
    "SELECT a FROM t WHERE {} IS NULL",
    "SELECT a FROM t WHERE {} IN (1, 2)",
    "SELECT a FROM t WHERE {} LIKE 'x'",
    "SELECT a FROM t WHERE {} BETWEEN 1 AND 2",
    "SELECT a FROM t WHERE a BETWEEN {} AND 2",
    "SELECT a FROM t GROUP BY {}",
    "SELECT a FROM t GROUP BY a, {} HAVING max({}) > 1",
    "SELECT a FROM t ORDER BY {}",
    "SELECT a FROM t ORDER BY {} DESC, a",
    "SELECT a FROM t JOIN u ON t.{} = u.{}",
    "SELECT a FROM t JOIN u USING ({})",
    // An alias of a column.
    "SELECT 1 AS {}",
    "SELECT 1 {}",
    "SELECT a AS {} FROM t",
    "SELECT a {} FROM t",
    "SELECT count(*) AS {}, 1 FROM t",
    "SELECT count(*) {}, 1 FROM t",
    // A table or its alias.
    "SELECT a FROM {}",
    "SELECT a FROM {} x WHERE true",
    "SELECT a FROM s.{}",
    "SELECT a FROM t, {}",
    "SELECT a FROM t JOIN {} ON true",
    "TABLE {}",
    "SELECT a FROM t AS {}",
    "SELECT a FROM t {}",
    "SELECT a FROM t AS {} WHERE true",
    "SELECT a FROM t {} WHERE true",
    "SELECT a FROM t AS {} JOIN u ON true",
    "SELECT a FROM t {} JOIN u ON true",
    "SELECT a FROM (SELECT 1) AS {}",
    "SELECT a FROM (SELECT 1) {}",
    "SELECT a FROM f() AS {}",
    "SELECT {}.a, {}.* FROM t",
    "SELECT a FROM t AS x({})",
    "SELECT a FROM f() AS x({} text)",
    "WITH {} AS (SELECT 1) SELECT 1",
    "WITH x({}) AS (SELECT 1) SELECT 1",
    "SELECT sum(a) OVER {} FROM t WINDOW {} AS (ORDER BY a)",
    // A function or a type.
    "SELECT {}(1)",
    "SELECT {}()",
    "SELECT {}(a, b) FROM t",
    "SELECT s.{}(1)",
    "SELECT f({} => 1)",
    "SELECT a FROM {}(1)",
    "SELECT {}(1) OVER ()",
    "SELECT a::{} FROM t",
    "SELECT CAST(a AS {}) FROM t",
    "SELECT {} 'x'",
];

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "it is what this is for")]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let url = arguments.next().context("expected a database URL, and the files")?;
    let files: Vec<_> = arguments.collect();
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    let mut queries = Vec::new();
    for file in &files {
        queries.extend(queries_of(&fs::read_to_string(file).with_context(|| file.clone())?));
    }
    if files.is_empty() {
        for row in client.query("SELECT word FROM pg_get_keywords()", &[]).await? {
            let word: &str = row.get(0);
            queries.extend(PLACES.iter().map(|place| place.replace("{}", word)));
        }
    }
    let mut taken = 0;
    let mut refused = BTreeMap::<String, Vec<String>>::new();
    for query in queries {
        if !parses(&client, &query).await? {
            continue;
        }
        taken += 1;
        if let Some(finding) = not_understood(&query) {
            refused.entry(finding.message.clone()).or_default().push(format!("{} {query}", finding.position));
        }
    }
    let count: usize = refused.values().map(Vec::len).sum();
    let mut refused: Vec<_> = refused.into_iter().collect();
    refused.sort_by_key(|(_, queries)| std::cmp::Reverse(queries.len()));
    for (message, queries) in refused {
        println!("{} {message}", queries.len());
        for query in queries {
            println!("    {}", query.replace('\n', "\n    "));
        }
    }
    println!("{count} of {taken} not understood");
    Ok(())
}

/// Whether PostgreSQL finds no fault with the syntax.
async fn parses(client: &Client, query: &str) -> Result<bool> {
    match client.prepare(query).await {
        Err(error) if error.is_closed() => Err(error.into()),
        Err(error) => Ok(error.code().is_some_and(|code| *code != SqlState::SYNTAX_ERROR)),
        Ok(_) => Ok(true),
    }
}

/// What the guard finds, if it does not understand the query.
fn not_understood(query: &str) -> Option<Finding> {
    let sql = SqlText::parse(query).ok()?;
    let findings = match Statement::parse(&sql) {
        Ok(statement) => Guard::default().check(&statement).err().unwrap_or_default(),
        Err(error) => vec![Finding::from(&error)],
    };
    let codes = [FindingCode::NotUnderstood, FindingCode::Unreadable];
    findings.into_iter().find(|finding| codes.contains(&finding.code))
}

/// The queries of a psql script, also those behind EXPLAIN. Commands of psql and the data of COPY are left out.
fn queries_of(script: &str) -> Vec<String> {
    let mut queries = Vec::new();
    let mut rest = script;
    while !rest.is_empty() {
        let end = end_of_statement(rest);
        let statement = rest[..end].trim();
        let statement = statement.trim_start_matches(|character: char| character == ';' || character.is_whitespace());
        rest = &rest[end..];
        if rest.starts_with('\\') {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else {
            rest = rest.get(1..).unwrap_or_default();
            let words = statement.to_ascii_lowercase();
            if words.starts_with("copy") && words.contains("from stdin") {
                rest = rest.split_once("\n\\.").map_or("", |(_, rest)| rest);
            }
        }
        let query = query_of(without_comments_before(statement));
        let word = query.split(|character: char| !character.is_alphanumeric()).next().unwrap_or_default();
        if query.starts_with('(') || ["select", "with", "values", "table"].contains(&word.to_lowercase().as_str()) {
            queries.push(query.to_owned());
        }
    }
    queries
}

fn without_comments_before(mut statement: &str) -> &str {
    while statement.starts_with("--") || statement.starts_with("/*") {
        let end = if statement.starts_with("--") { "\n" } else { "*/" };
        statement = statement.split_once(end).map_or("", |(_, rest)| rest).trim_start();
    }
    statement
}

/// The query that EXPLAIN explains, or else the statement itself.
fn query_of(statement: &str) -> &str {
    let Some(rest) = statement.get(..7).filter(|word| word.eq_ignore_ascii_case("explain")).map(|_| &statement[7..])
    else {
        return statement;
    };
    let rest = rest.trim_start();
    let rest = if rest.starts_with('(') { rest.split_once(')').map_or("", |(_, rest)| rest) } else { rest };
    rest.trim_start()
}

/// Where the statement ends: at a semicolon, or at a backslash that begins a command of psql.
fn end_of_statement(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let past = |open: &str, close: &str| {
            rest[open.len()..].find(close).map_or(rest.len(), |end| open.len() + end + close.len())
        };
        at += match bytes[at] {
            b';' | b'\\' => return at,
            b'-' if rest.starts_with("--") => past("--", "\n"),
            b'/' if rest.starts_with("/*") => past("/*", "*/"),
            b'"' => past("\"", "\""),
            b'\'' => {
                let escapes = at > 0 && matches!(bytes[at - 1], b'e' | b'E');
                string_length(rest, escapes)
            }
            b'$' => match rest[1..].split_once('$') {
                Some((tag, _)) if tag.chars().all(|character| character.is_alphanumeric() || character == '_') => {
                    let tag = &rest[..tag.len() + 2];
                    past(tag, tag)
                }
                _ => 1,
            },
            byte => {
                if byte.is_ascii() {
                    1
                } else {
                    rest.chars().next().map_or(1, char::len_utf8)
                }
            }
        };
    }
    text.len()
}

fn string_length(text: &str, escapes: bool) -> usize {
    let mut characters = text.char_indices().skip(1);
    while let Some((offset, character)) = characters.next() {
        match character {
            '\\' if escapes => drop(characters.next()),
            '\'' => return offset + 1,
            _ => {}
        }
    }
    text.len()
}

//! Every operator on every type, compared with SQL that is written by hand.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use metricd_database::DataSchemas;
use metricd_execution::{Resolvable, ResolvedFunction, Resolver, Selection};
use metricd_runner::{PgResolver, PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;

use super::{ALL, Select, bound, definition, ids};

/// A column: its name and type, the values of its rows besides NULL, and values to compare with as in a filter, each as a
/// literal of SQL too.
struct Column {
    name: &'static str,
    type_name: &'static str,
    rows: &'static [&'static str],
    compared: &'static [(&'static str, &'static str)],
}

const fn column(
    name: &'static str,
    type_name: &'static str,
    rows: &'static [&'static str],
    compared: &'static [(&'static str, &'static str)],
) -> Column {
    Column { name, type_name, rows, compared }
}

const COLUMNS: &[Column] = &[
    column("flag", "boolean", &["true", "false"], &[("true", "true")]),
    column("small", "smallint", &["-32768", "0", "32767"], &[("0", "0"), ("-32768", "-32768")]),
    column("whole", "integer", &["-2147483648", "7", "2147483647"], &[("7", "7")]),
    column("big", "bigint", &["-9223372036854775808", "9007199254740993"], &[("9007199254740993", "9007199254740993")]),
    column("number", "oid", &["0", "4294967295"], &[("4294967295", "4294967295")]),
    column(
        "amount",
        "numeric(12,2)",
        &["-1.50", "0.10", "123456789.99"],
        &[("0.1", "0.1"), ("0.100", "0.1"), ("0.105", "0.105")],
    ),
    column(
        "exact",
        "numeric",
        &["NaN", "1e-20", "Infinity", "-Infinity"],
        &[("NaN", "NaN"), ("0", "0"), ("-Infinity", "-Infinity")],
    ),
    column(
        "single",
        "real",
        &["0.1", "-Infinity", "NaN", "3.4e38"],
        &[("0.1", "0.1"), ("NaN", "NaN"), ("3.4e38", "3.4e38")],
    ),
    column("double", "double precision", &["0.1", "1e-300", "Infinity"], &[("0.1", "0.1"), ("1e-300", "1e-300")]),
    column(
        "label",
        "text",
        &["", "B", "a", "ä", "it's, \"ok\"", "a.b,c", "100%"],
        &[("a", "a"), ("it's, \"ok\"", "it''s, \"ok\""), ("a.b,c", "a.b,c"), ("", "")],
    ),
    column("short", "varchar(5)", &["x", "x ", "Y"], &[("x", "x")]),
    column("fixed", "char(4)", &["x", "yy", "Z"], &[("x", "x"), ("x  ", "x  ")]),
    column("alias", "name", &["one", "Two"], &[("one", "one")]),
    column("plain", "text COLLATE \"C\"", &["a", "B", "c"], &[("a", "a")]),
    column(
        "day",
        "date",
        &["2025-06-01", "2025-06-02", "infinity"],
        &[("2025-06-02", "2025-06-02"), ("infinity", "infinity")],
    ),
    column("clock", "time", &["00:00", "12:30:00.5"], &[("12:30:00.5", "12:30:00.5")]),
    column("clockz", "timetz", &["00:00+02", "12:30Z"], &[("12:30Z", "12:30Z")]),
    column("moment", "timestamp", &["2025-06-01 12:00", "-infinity"], &[("2025-06-01T12:00:00", "2025-06-01 12:00")]),
    column(
        "instant",
        "timestamptz",
        &["2025-06-01 12:00Z", "2025-06-01 12:00:00.000001Z", "infinity"],
        &[("2025-06-01T14:00:00+02:00", "2025-06-01 12:00Z"), ("2025-06-01T12:00:00", "2025-06-01 12:00Z")],
    ),
    column("span", "interval", &["1 day", "24 hours", "1 month"], &[("1 day", "1 day")]),
    column(
        "key",
        "uuid",
        &["5ef2f7a6-0000-4000-8000-000000000000", "00000000-0000-4000-8000-000000000000"],
        &[("5EF2F7A6-0000-4000-8000-000000000000", "5ef2f7a6-0000-4000-8000-000000000000")],
    ),
    column("bytes", "bytea", &["\\x00ff", "\\x"], &[("AP8=", "\\x00ff"), ("", "\\x")]),
    column("host", "inet", &["10.0.0.1", "10.0.0.0/8"], &[("10.0.0.1", "10.0.0.1")]),
    column("net", "cidr", &["10.0.0.0/8", "192.168.0.0/16"], &[("10.0.0.0/8", "10.0.0.0/8")]),
    column("mac", "macaddr", &["08:00:2b:01:02:03"], &[("08:00:2b:01:02:03", "08:00:2b:01:02:03")]),
    column(
        "doc",
        "jsonb",
        &["{\"a\": 1, \"b\": [1, 2]}", "{\"a\": 1}", "null", "[1]"],
        &[("{\"a\": 1}", "{\"a\": 1}"), ("null", "null")],
    ),
    column("level", "lvl", &["low", "mid, \"x\"", "high"], &[("mid, \"x\"", "mid, \"x\"")]),
    column("Quoted", "\"Level\"", &["a"], &[("a", "a")]),
    column("posint", "positive", &["1", "5"], &[("5", "5")]),
    column("mail", "mail", &["a@x", "b@x"], &[("a@x", "a@x")]),
    column("nick", "citext", &["Ab", "ab", "B", "ä"], &[("aB", "aB"), ("B", "B")]),
    column(
        "tags",
        "text[]",
        &["{a,b}", "{b,c}", "{}", "{a,NULL}", "{\"x,y\"}"],
        &[("{a}", "{a}"), ("{b,a}", "{b,a}"), ("{}", "{}"), ("{\"x,y\"}", "{\"x,y\"}")],
    ),
    column("codes", "varchar(3)[]", &["{a,b}", "{c}"], &[("{a}", "{a}")]),
    column(
        "counts",
        "integer[]",
        &["{1,2}", "{2,3}", "{NULL}"],
        &[("{2}", "{2}"), ("{1, 2}", "{1,2}"), ("{NULL}", "{NULL}")],
    ),
    column("sums", "numeric[]", &["{1.50}", "{2}"], &[("{1.5}", "{1.5}")]),
    column("levels", "lvl[]", &["{low}", "{low,high}"], &[("{low}", "{low}")]),
    column("nicks", "citext[]", &["{Ab}", "{c}"], &[("{aB}", "{aB}")]),
    column("dates", "date[]", &["{2025-06-01}", "{2025-06-01,2025-06-02}"], &[("{2025-06-01}", "{2025-06-01}")]),
    column(
        "ints",
        "int4range",
        &["[1,5)", "[3,9)", "empty", "(,)"],
        &[("[2,4)", "[2,4)"), ("[1,4]", "[1,5)"), ("empty", "empty")],
    ),
    column("nums", "numrange", &["[1.5,2.5]"], &[("[1.5,2]", "[1.5,2]")]),
    column(
        "during",
        "tstzrange",
        &["[2025-06-01 00:00Z,2025-07-01 00:00Z)"],
        &[("[2025-06-10T00:00:00Z,2025-08-01T00:00:00Z)", "[2025-06-10Z,2025-08-01Z)")],
    ),
    column("parts", "int4multirange", &["{[1,3),[5,9)}", "{}"], &[("{[1,2)}", "{[1,2)}")]),
];

/// Columns whose types have no operator but `is`.
const OTHERS: &[(&str, &str, &str)] = &[
    ("raw", "json", "{}"),
    ("place", "point", "(1,1)"),
    ("pairs", "pair", "(,)"),
    ("cash", "money", "1"),
    ("docs", "jsonb[]", "{}"),
    ("bits", "bit(3)", "101"),
    ("positives", "positive[]", "{1}"),
];

/// A table with a row for each value, and a row of NULLs. Operators of its schema claim the types, and answer wrongly.
fn tables() -> String {
    let columns = COLUMNS.iter().map(|column| format!("\"{}\" {}", column.name, column.type_name));
    let others = OTHERS.iter().map(|(name, type_name, _)| format!("\"{name}\" {type_name}"));
    let columns: Vec<_> = columns.chain(others).collect();
    let mut sql = format!(
        "CREATE EXTENSION citext SCHEMA warehouse;
         SET search_path = warehouse;
         CREATE TYPE lvl AS ENUM ('low', 'mid, \"x\"', 'high');
         CREATE TYPE \"Level\" AS ENUM ('a', 'b');
         CREATE TYPE pair AS (a integer, b integer);
         CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
         CREATE FUNCTION is_mail(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN $1 LIKE ''%@%''; END';
         CREATE DOMAIN mail AS text CHECK (is_mail(VALUE));
         CREATE TABLE kinds (id serial PRIMARY KEY, {});
         INSERT INTO kinds DEFAULT VALUES;",
        columns.join(", ")
    );
    let mut rows: Vec<_> =
        COLUMNS.iter().flat_map(|column| column.rows.iter().map(|value| (column.name, *value))).collect();
    rows.extend(OTHERS.iter().map(|(name, _, value)| (*name, *value)));
    let insert = |(name, value): (&str, &str)| {
        format!("INSERT INTO kinds (\"{name}\") VALUES ('{}');", value.replace('\'', "''"))
    };
    sql.extend(rows.into_iter().map(insert));
    sql + "GRANT SELECT ON kinds TO metricd_reader"
}

/// The condition of an operator, with PostgreSQL's own operators and a literal.
fn condition(column: &Column, operator: &str, literal: &str) -> Option<String> {
    let name = format!("\"{}\"", column.name);
    let base = column.type_name.split(['(', ' ']).next().unwrap_or_default();
    let cast = match column.type_name {
        "double precision" => "float8".to_owned(),
        // A value is not padded to the length of the column.
        "char(4)" => "bpchar".to_owned(),
        name if name.ends_with("[]") && name.contains('(') => format!("{base}[]"),
        _ => base.to_owned(),
    };
    let value = format!("'{literal}'::{cast}");
    Some(match operator {
        "eq" => format!("{name} = {value}"),
        "neq" => format!("{name} <> {value}"),
        "gt" => format!("{name} > {value}"),
        "gte" => format!("{name} >= {value}"),
        "lt" => format!("{name} < {value}"),
        "lte" => format!("{name} <= {value}"),
        "in" => format!("{name} IN ({value})"),
        "isdistinct" => format!("{name} IS DISTINCT FROM {value}"),
        "cs" => format!("{name} @> {value}"),
        "cd" => format!("{name} <@ {value}"),
        "ov" => format!("{name} && {value}"),
        _ => return None,
    })
}

/// The value of a filter with this operator.
fn filter_value(operator: &str, value: &str) -> String {
    match operator {
        "in" => format!("(\"{}\")", value.replace('\\', "\\\\").replace('"', "\\\"")),
        _ => value.to_owned(),
    }
}

#[tokio::test]
async fn every_operator_selects_what_sql_selects() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    client.batch_execute(&tables()).await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    let oracle = async |condition: &str| -> Result<Vec<i64>> {
        let sql = format!("SELECT id::bigint FROM warehouse.kinds WHERE {condition} ORDER BY id");
        let rows = client.query(&sql, &[]).await.with_context(|| sql.clone())?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    };
    client.batch_execute("SET search_path = warehouse; SET timezone = 'UTC'").await?;
    let stored = definition(&database, "SELECT * FROM kinds ORDER BY id -- in order").await?;
    let contract = stored.contract.as_ref().context("a contract")?;
    let columns = Selection::columns(contract);
    let mut compared = 0;
    for column in COLUMNS {
        let selectable = columns.iter().find(|selectable| selectable.name == column.name).context(column.name)?;
        let mut conditions = vec![
            ("is.null".to_owned(), format!("\"{}\" IS NULL", column.name)),
            ("is.not_null".to_owned(), format!("\"{}\" IS NOT NULL", column.name)),
        ];
        for operator in &selectable.operators {
            for (value, literal) in column.compared {
                if let Some(condition) = condition(column, operator, literal) {
                    conditions.push((format!("{operator}.{}", filter_value(operator, value)), condition));
                }
            }
        }
        for (filter, condition) in conditions {
            for negation in ["", "not."] {
                let filter = format!("{}.{negation}{filter}", column.name);
                let condition = if negation.is_empty() { condition.clone() } else { format!("NOT ({condition})") };
                let select = Select { filters: &[&filter], ..ALL };
                assert_eq!(ids(&runner, &stored, &[], select).await?, (oracle(&condition).await?, false), "{filter}");
                compared += 1;
            }
        }
        for direction in ["", "-"] {
            let order = if direction.is_empty() { "ASC" } else { "DESC" };
            let sort = format!("{direction}{},id", column.name);
            let sql = format!("SELECT id::bigint FROM kinds ORDER BY \"{}\" {order} NULLS LAST, id", column.name);
            let expected: Vec<i64> = client.query(&sql, &[]).await?.iter().map(|row| row.get(0)).collect();
            let found = ids(&runner, &stored, &[], Select { sort: &sort, ..ALL }).await?;
            assert_eq!(found, (expected, false), "{sort}");
        }
    }
    for (name, _, _) in OTHERS {
        let filter = format!("{name}.is.not_null");
        let expected = oracle(&format!("\"{name}\" IS DISTINCT FROM NULL")).await?;
        assert_eq!(
            ids(&runner, &stored, &[], Select { filters: &[&filter], ..ALL }).await?,
            (expected, false),
            "{name}"
        );
    }
    assert!(compared > 700, "{compared}");
    Ok(())
}

#[tokio::test]
async fn patterns_lists_and_truth_values_select_what_sql_selects() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    client.batch_execute(&tables()).await?;
    client.batch_execute("SET search_path = warehouse; SET timezone = 'UTC'").await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    let stored = definition(&database, "SELECT * FROM kinds ORDER BY id").await?;
    for (filters, condition) in [
        (vec!["label.like.a*"], "label LIKE 'a%'"),
        (vec!["label.like.*%*"], "label LIKE '%'"),
        (vec!["label.like.100\\%"], "label LIKE '100\\%'"),
        (vec!["label.ilike.A"], "label ILIKE 'A'"),
        (vec!["label.not.like.*b*"], "label NOT LIKE '%b%'"),
        (vec!["short.like.x_"], "short LIKE 'x_'"),
        (vec!["fixed.like.x*"], "fixed LIKE 'x%'"),
        (vec!["fixed.ilike.z   "], "fixed ILIKE 'z   '"),
        (vec!["alias.ilike.t*"], "alias ILIKE 't%'"),
        (vec!["mail.like.*@x"], "mail LIKE '%@x'"),
        (vec!["nick.like.a*"], "nick LIKE 'a%'"),
        (vec!["nick.ilike.A*"], "nick ILIKE 'A%'"),
        (vec!["nick.in.(AB,x)"], "nick IN ('AB', 'x')"),
        (vec!["nick.not.in.(AB,x)"], "nick NOT IN ('AB', 'x')"),
        (vec!["label.in.(a,B,\"a.b,c\")"], "label IN ('a', 'B', 'a.b,c')"),
        (vec!["label.in.()"], "false"),
        (vec!["label.not.in.()"], "true"),
        (vec!["nick.not.in.()"], "nick IS NOT NULL"),
        (vec!["whole.in.(7,-2147483648)"], "whole IN (7, -2147483648)"),
        (vec!["level.in.(low,\"mid, \\\"x\\\"\")"], "level IN ('low', 'mid, \"x\"')"),
        (vec!["day.in.(2025-06-01,infinity)"], "day IN ('2025-06-01', 'infinity')"),
        (vec!["bytes.in.(AP8=)"], "bytes IN ('\\x00ff')"),
        (vec!["host.in.(10.0.0.1)"], "host IN ('10.0.0.1')"),
        (vec!["flag.is.true"], "flag IS TRUE"),
        (vec!["flag.is.FALSE"], "flag IS FALSE"),
        (vec!["flag.is.unknown"], "flag IS UNKNOWN"),
        (vec!["flag.not.is.true"], "flag IS NOT TRUE"),
        (
            vec!["id.gt.3", "id.lt.9", "label.is.null", "whole.isdistinct.7"],
            "id > 3 AND id < 9 AND label IS NULL AND whole IS DISTINCT FROM 7",
        ),
        (vec!["id.gt.9", "id.lt.3"], "false"),
    ] {
        let sql = format!("SELECT id::bigint FROM kinds WHERE {condition} ORDER BY id");
        let rows = client.query(&sql, &[]).await.with_context(|| sql.clone())?;
        let expected: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        let found = ids(&runner, &stored, &[], Select { filters: &filters, ..ALL }).await?;
        assert_eq!(found, (expected, false), "{filters:?}");
    }
    Ok(())
}

/// Functions that no operator, cast or type of a selection may call, but those of the statement itself.
fn added<'a>(with: &'a [ResolvedFunction], without: &[ResolvedFunction]) -> impl Iterator<Item = &'a ResolvedFunction> {
    with.iter().filter(move |function| !without.contains(function))
}

/// The text with its parameters from `$1`, as the resolver takes it.
fn resolvable(text: &str) -> Result<Resolvable> {
    let mut placeholders = Vec::new();
    for (at, _) in text.match_indices('$') {
        let digits = text[at + 1..].bytes().take_while(u8::is_ascii_digit).count();
        ensure!(digits > 0, "a parameter: {text}");
        placeholders.push((at..at + 1 + digits, text[at + 1..at + 1 + digits].parse::<usize>()? - 1));
    }
    Ok(Resolvable { text: text.to_owned(), placeholders })
}

/// PostgreSQL resolves each condition and each sort to its own operators, whatever operators there are in the data schemas,
/// and to nothing else.
#[tokio::test]
async fn a_selection_calls_nothing_but_functions_of_postgresql() -> Result<()> {
    let database = TestDatabase::new().await?;
    database.connect().await?.batch_execute(&tables()).await?;
    let resolver = PgResolver::new(&database.owner, &DataSchemas::default());
    let stored = definition(&database, "SELECT * FROM kinds").await?;
    let contract = stored.contract.as_ref().context("a contract")?;
    let own = resolver.resolve(&resolvable("SELECT * FROM kinds")?).await?;
    let mut names = BTreeSet::new();
    for selectable in Selection::columns(contract) {
        let known = COLUMNS.iter().find(|column| column.name == selectable.name);
        let value = known.and_then(|column| column.compared.first()).map_or("1", |(value, _)| value);
        // All operators at once, which PostgreSQL resolves one by one.
        let filter = |operator: &&str| {
            let value = if *operator == "is" { "null".to_owned() } else { filter_value(operator, value) };
            format!("{}.not.{operator}.{value}", selectable.name)
        };
        let filters: Vec<_> = selectable.operators.iter().map(filter).collect();
        let filters: Vec<_> = filters.iter().map(String::as_str).collect();
        let sort = if selectable.is_sortable { selectable.name.as_str() } else { "" };
        let statement = bound(&stored, &[], Select { sort, filters: &filters, ..ALL })?;
        let selected = resolver.resolve(&resolvable(statement.text())?).await?;
        assert_eq!((&selected.columns, &selected.tables), (&own.columns, &own.tables), "{}", statement.text());
        assert!(selected.unknown_nodes.is_empty() && selected.forbidden_constructs.is_empty(), "{}", statement.text());
        let expected = statement.expected().context("an expectation")?;
        let columns: Vec<_> = selected
            .columns
            .iter()
            .map(|column| metricd_execution::Column {
                name: column.name.clone(),
                type_name: column.type_name.clone(),
                field_type: metricd_execution::FieldType::Text,
            })
            .collect();
        assert!(
            expected.matches(&columns, &selected.parameter_types),
            "{}: {:?}",
            statement.text(),
            selected.parameter_types
        );
        for function in added(&selected.functions, &own.functions) {
            let is_own = function.schema == "pg_catalog" && function.is_built_in;
            assert!(
                is_own && !function.is_named && !function.is_volatile && !function.is_security_definer,
                "{function:?}"
            );
            names.insert(function.name.clone());
        }
        let made = selected.types.iter().filter(|made| !own.types.contains(made));
        let others: Vec<_> = made.filter(|made| !made.is_built_in).map(|made| made.name.as_str()).collect();
        assert!(others.iter().all(|name| ["lvl", "Level", "citext"].contains(name)), "{others:?}");
    }
    for name in
        ["int4eq", "texticlike", "array_contain", "arraycontains", "range_overlaps", "jsonb_contains", "enum_gt"]
    {
        assert!(name == "array_contain" || names.contains(name), "{name}: {names:?}");
    }
    Ok(())
}

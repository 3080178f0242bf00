//! Every type of PostgreSQL as JSON.

use anyhow::{Context, Result};
use metricd_domain::SqlText;
use metricd_execution::{
    BoundStatement, Column, CsvWriter, EncodeError, Fields, JsonRows, MetricRunner, Permit, RowSink, RowWriter,
    RunLimits, Statement,
};
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;

/// The type's name and the value's JSON of one expression.
async fn value(runner: &PgRunner, expression: &str) -> Result<(String, String)> {
    let statement =
        BoundStatement::without_arguments(&Statement::parse(&SqlText::parse(format!("SELECT {expression} AS v"))?)?);
    let mut rows = JsonRows::default();
    runner
        .run(&statement, None, RunLimits::default(), Permit::default(), &mut rows)
        .await
        .with_context(|| expression.to_owned())?;
    let type_name = rows.result_columns().first().context("a column")?.type_name.clone();
    let text = String::from_utf8(rows.finish())?;
    let json = text.strip_prefix(r#"[{"v":"#).and_then(|text| text.strip_suffix("}]")).context(text.clone())?;
    Ok((type_name, json.to_owned()))
}

const MAKE_TYPES: &str = "
    CREATE TYPE warehouse.mood AS ENUM ('sad', 'it''s \"ok\"');
    CREATE DOMAIN warehouse.amount AS numeric CHECK (VALUE > 0);
    CREATE DOMAIN warehouse.small_amount AS warehouse.amount;
    CREATE DOMAIN warehouse.pause AS interval;
    CREATE DOMAIN warehouse.integers AS integer[];
    CREATE TYPE warehouse.pair AS (a integer, b text);
    CREATE TYPE warehouse.\"Odd \"\"name\" AS ENUM ('a');
    CREATE TYPE warehouse.float_range AS RANGE (subtype = double precision);
    CREATE TYPE public.elsewhere AS ENUM ('a');
    CREATE DOMAIN warehouse.host AS inet;
    CREATE DOMAIN warehouse.pauses AS interval[];
    CREATE DOMAIN warehouse.area AS box;
    CREATE FUNCTION warehouse.cast_range(warehouse.float_range) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT 'cast'$$;
    CREATE CAST (warehouse.float_range AS text) WITH FUNCTION warehouse.cast_range(warehouse.float_range) AS IMPLICIT;
    CREATE FUNCTION warehouse.cast_pair(warehouse.pair) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT 'cast'$$;
    CREATE CAST (warehouse.pair AS text) WITH FUNCTION warehouse.cast_pair(warehouse.pair) AS IMPLICIT;
    GRANT USAGE ON SCHEMA public TO PUBLIC;";

/// Expression, the type's name, the value as JSON.
const CASES: &[(&str, &str, &str)] = &[
    ("true", "boolean", "true"),
    ("false", "boolean", "false"),
    ("NULL::boolean", "boolean", "null"),
    ("(-32768)::smallint", "smallint", "-32768"),
    ("32767::smallint", "smallint", "32767"),
    ("(-2147483648)::integer", "integer", "-2147483648"),
    ("2147483647", "integer", "2147483647"),
    ("(-9223372036854775808)::bigint", "bigint", "-9223372036854775808"),
    ("9223372036854775807", "bigint", "9223372036854775807"),
    ("4294967295::oid", "oid", "4294967295"),
    ("1.5::real", "real", "1.5"),
    ("0.1::real", "real", "0.1"),
    ("1::real", "real", "1.0"),
    ("'-0'::real", "real", "-0.0"),
    ("3.4028235e38::real", "real", "3.4028235e38"),
    ("1e-45::real", "real", "1e-45"),
    ("'NaN'::real", "real", "\"NaN\""),
    ("'-Infinity'::real", "real", "\"-Infinity\""),
    ("0.1::double precision", "double precision", "0.1"),
    ("1.7976931348623157e308::double precision", "double precision", "1.7976931348623157e308"),
    ("5e-324::double precision", "double precision", "5e-324"),
    ("1e21::double precision", "double precision", "1e21"),
    ("'NaN'::double precision", "double precision", "\"NaN\""),
    ("'Infinity'::double precision", "double precision", "\"Infinity\""),
    (
        "1234567890123456789012345678901234567890.0987654321",
        "numeric",
        "1234567890123456789012345678901234567890.0987654321",
    ),
    ("0.00000000000000000000000000000000000000012345", "numeric", "0.00000000000000000000000000000000000000012345"),
    ("-12.50", "numeric", "-12.50"),
    ("0::numeric", "numeric", "0"),
    ("0.000", "numeric", "0.000"),
    ("1e20::numeric", "numeric", "100000000000000000000"),
    ("10000::numeric", "numeric", "10000"),
    ("100000000.00010000", "numeric", "100000000.00010000"),
    ("1.5::numeric(10, 4)", "numeric", "1.5000"),
    ("'NaN'::numeric", "numeric", "\"NaN\""),
    ("'Infinity'::numeric", "numeric", "\"Infinity\""),
    ("'-Infinity'::numeric", "numeric", "\"-Infinity\""),
    ("'it''s \"quoted\" \\'", "text", r#""it's \"quoted\" \\""#),
    ("E'tab\\t line\\n bell\\x07 \\x7f'", "text", "\"tab\\t line\\n bell\\u0007 \u{7f}\""),
    ("'\u{1f600} é 日本'", "text", "\"\u{1f600} é 日本\""),
    ("''", "text", "\"\""),
    ("'ab'::character(4)", "character", "\"ab  \""),
    ("'ab'::character varying(4)", "character varying", "\"ab\""),
    ("'ab'::name", "name", "\"ab\""),
    ("'a'::\"char\"", "\"char\"", "\"a\""),
    ("date '2025-06-01'", "date", "\"2025-06-01\""),
    ("date '0001-01-01'", "date", "\"0001-01-01\""),
    ("date '0044-03-15 BC'", "date", "\"0044-03-15 BC\""),
    ("date '4713-01-01 BC'", "date", "\"4713-01-01 BC\""),
    ("date '0001-12-31 BC'", "date", "\"0001-12-31 BC\""),
    ("date '9999-12-31'", "date", "\"9999-12-31\""),
    ("date '10000-01-01'", "date", "\"10000-01-01\""),
    ("date '5874897-12-31'", "date", "\"5874897-12-31\""),
    ("date 'infinity'", "date", "\"infinity\""),
    ("date '-infinity'", "date", "\"-infinity\""),
    ("timestamp '2025-06-01 12:34:56.789'", "timestamp without time zone", "\"2025-06-01T12:34:56.789\""),
    ("timestamp '2025-06-01 00:00:00'", "timestamp without time zone", "\"2025-06-01T00:00:00\""),
    ("timestamp '0044-03-15 23:59:59.999999 BC'", "timestamp without time zone", "\"0044-03-15T23:59:59.999999 BC\""),
    ("timestamp '294276-12-31 23:59:59.999999'", "timestamp without time zone", "\"294276-12-31T23:59:59.999999\""),
    ("timestamp '-infinity'", "timestamp without time zone", "\"-infinity\""),
    ("timestamptz '2025-06-01 12:34:56+02'", "timestamp with time zone", "\"2025-06-01T10:34:56Z\""),
    ("timestamptz '0001-01-01 00:00:00.000001+00'", "timestamp with time zone", "\"0001-01-01T00:00:00.000001Z\""),
    ("timestamptz '0044-03-15 00:00+00 BC'", "timestamp with time zone", "\"0044-03-15T00:00:00Z BC\""),
    ("timestamptz '294276-12-31 23:59:59.9+00'", "timestamp with time zone", "\"294276-12-31T23:59:59.9Z\""),
    ("timestamptz 'infinity'", "timestamp with time zone", "\"infinity\""),
    ("time '12:34:56.5'", "time without time zone", "\"12:34:56.5\""),
    ("timetz '12:34:56+02'", "time with time zone", "\"12:34:56+02\""),
    ("interval '1 year 2 mons -3 days 04:05:06.7'", "interval", "\"1 year 2 mons -3 days +04:05:06.7\""),
    ("NULL::interval", "interval", "null"),
    ("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid", "uuid", "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\""),
    ("'{\"b\": 1,  \"a\": [1.50, null]}'::json", "json", "{\"b\": 1,  \"a\": [1.50, null]}"),
    ("'{\"b\": 1,  \"a\": [1.50, null]}'::jsonb", "jsonb", "{\"a\": [1.50, null], \"b\": 1}"),
    ("'null'::jsonb", "jsonb", "null"),
    ("'\\x00ff10'::bytea", "bytea", "\"AP8Q\""),
    ("''::bytea", "bytea", "\"\""),
    ("ARRAY[1, NULL, 3]", "integer[]", "[1,null,3]"),
    ("'{}'::integer[]", "integer[]", "[]"),
    ("ARRAY[[1, 2], [3, 4]]", "integer[]", "[[1,2],[3,4]]"),
    ("'[5:6]={7,8}'::integer[]", "integer[]", "[7,8]"),
    ("ARRAY['a\"b', NULL, 'c,d', '']", "text[]", "[\"a\\\"b\",null,\"c,d\",\"\"]"),
    ("ARRAY[1.50, 'NaN']", "numeric[]", "[1.50,\"NaN\"]"),
    ("ARRAY[date '2025-06-01', NULL]", "date[]", "[\"2025-06-01\",null]"),
    ("ARRAY[interval '1 day', NULL]", "interval[]", "[\"1 day\",null]"),
    ("ARRAY[[interval '1 day'], [interval '2 days']]", "interval[]", "[[\"1 day\"],[\"2 days\"]]"),
    ("'{}'::interval[]", "interval[]", "[]"),
    ("ARRAY['null', 'NULL', NULL]", "text[]", "[\"null\",\"NULL\",null]"),
    ("ARRAY['a'::\"char\"]", "\"char\"[]", "[\"a\"]"),
    ("'{\"(2,2),(1,1)\";\"(4,4),(3,3)\"}'::box[]", "box[]", "[\"(2,2),(1,1)\",\"(4,4),(3,3)\"]"),
    ("ARRAY[int4range(1, 5)]", "int4range[]", "[\"[1,5)\"]"),
    ("ARRAY['{\"a\": 1}'::jsonb]", "jsonb[]", "[{\"a\": 1}]"),
    ("NULL::text[]", "text[]", "null"),
    ("'sad'::mood", "mood", "\"sad\""),
    ("ARRAY['it''s \"ok\"', NULL]::mood[]", "mood[]", "[\"it's \\\"ok\\\"\",null]"),
    ("1.50::amount", "numeric", "1.50"),
    ("1.50::small_amount", "numeric", "1.50"),
    ("ARRAY[1.50::amount]", "amount[]", "[1.50]"),
    ("'1 day'::pause", "interval", "\"1 day\""),
    ("ARRAY['1 day'::pause]", "pause[]", "[\"1 day\"]"),
    ("'{1,2}'::integers", "integer[]", "[1,2]"),
    ("ARRAY['{1,2}'::integers]", "integers[]", "[[1,2]]"),
    ("'a'::\"Odd \"\"name\"", "\"Odd \"\"name\"", "\"a\""),
    ("'a'::public.elsewhere", "public.elsewhere", "\"a\""),
    ("ARRAY['a'::public.elsewhere]", "public.elsewhere[]", "[\"a\"]"),
    ("float_range(1, 2)", "float_range", "\"[1,2)\""),
    ("int4range(1, 5)", "int4range", "\"[1,5)\""),
    ("daterange('2025-06-01', NULL)", "daterange", "\"[2025-06-01,)\""),
    ("'empty'::tstzrange", "tstzrange", "\"empty\""),
    ("int4multirange(int4range(1, 2), int4range(5, 6))", "int4multirange", "\"{[1,2),[5,6)}\""),
    ("inet '10.0.0.1/8'", "inet", "\"10.0.0.1/8\""),
    ("inet '192.168.1.5'", "inet", "\"192.168.1.5\""),
    ("inet '::1'", "inet", "\"::1\""),
    ("cidr '10.0.0.0/8'", "cidr", "\"10.0.0.0/8\""),
    ("ARRAY[inet '::1', '10.0.0.0/8', NULL]", "inet[]", "[\"::1\",\"10.0.0.0/8\",null]"),
    ("'192.168.1.5'::host", "inet", "\"192.168.1.5\""),
    ("ARRAY['192.168.1.5'::host]", "host[]", "[\"192.168.1.5\"]"),
    ("'[0:1]={1 day,2 days}'::interval[]", "interval[]", "[\"1 day\",\"2 days\"]"),
    ("'[2147483646:2147483646]={1 day}'::interval[]", "interval[]", "[\"1 day\"]"),
    ("'{1 day,NULL}'::pauses", "interval[]", "[\"1 day\",null]"),
    ("ARRAY['{1 day,NULL}'::pauses, '{}'::pauses, NULL::pauses]", "pauses[]", "[[\"1 day\",null],[],null]"),
    ("ARRAY['(2,2),(1,1)'::area, '(4,4),(3,3)'::area]", "area[]", "[\"(2,2),(1,1)\",\"(4,4),(3,3)\"]"),
    ("ARRAY[float_range(1, 2), NULL]", "float_range[]", "[\"[1,2)\",null]"),
    ("ARRAY[time '01:02', NULL]", "time without time zone[]", "[\"01:02:00\",null]"),
    ("ARRAY['a & b'::tsquery]", "tsquery[]", "[\"'a' & 'b'\"]"),
    ("12.5::money", "money", "\"$12.50\""),
    ("macaddr '08:00:2b:01:02:03'", "macaddr", "\"08:00:2b:01:02:03\""),
    ("B'101'", "bit", "\"101\""),
    ("B'101'::bit varying", "bit varying", "\"101\""),
    ("point(1, 2)", "point", "\"(1,2)\""),
    ("to_tsvector('simple', 'a b')", "tsvector", "\"'a':1 'b':2\""),
    ("'<a>b</a>'::xml", "xml", "\"<a>b</a>\""),
    ("ROW(1, 'x')::pair", "pair", "\"(1,x)\""),
    ("ROW(1, 'x y')", "record", "\"(1,\\\"x y\\\")\""),
    ("ARRAY[ROW(1, 'x'), NULL]", "record[]", "[\"(1,x)\",null]"),
    ("ARRAY[ROW(1, 'x')::pair, NULL]", "pair[]", "[\"(1,x)\",null]"),
    ("ARRAY[ROW('NULL', E'a,\"b\\\\')]", "record[]", "[\"(NULL,\\\"a,\\\"\\\"b\\\\\\\\\\\")\"]"),
    ("'pg_class'::regclass", "regclass", "\"pg_class\""),
    ("'1 2'::int2vector", "int2vector", "\"1 2\""),
    ("NULL", "text", "null"),
    ("'a'::cstring", "cstring", "\"a\""),
    ("pg_advisory_unlock_all()", "void", "\"\""),
];

async fn runner() -> Result<(TestDatabase, PgRunner)> {
    let database = TestDatabase::new().await?;
    database.connect().await?.batch_execute(MAKE_TYPES).await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    Ok((database, runner))
}

#[tokio::test]
async fn every_type_comes_out_as_documented() -> Result<()> {
    let (_database, runner) = runner().await?;
    for (expression, type_name, json) in CASES {
        let (found_name, found_json) = value(&runner, expression).await?;
        assert_eq!((found_name.as_str(), found_json.as_str()), (*type_name, *json), "{expression}");
    }
    Ok(())
}

#[tokio::test]
async fn every_type_stands_in_csv_as_in_json_without_its_quotes() -> Result<()> {
    let (_database, runner) = runner().await?;
    for (expression, type_name, json) in CASES {
        let statement = BoundStatement::without_arguments(&Statement::parse(&SqlText::parse(format!(
            "SELECT {expression} AS v, 'z' AS z"
        ))?)?);
        let mut rows = CsvRows::default();
        runner
            .run(&statement, None, RunLimits::default(), Permit::default(), &mut rows)
            .await
            .with_context(|| (*expression).to_owned())?;
        // So many bytes are enough, however many they were on the wire.
        let limits = RunLimits { size_bytes: rows.out.len(), ..RunLimits::default() };
        let outcome = runner.run(&statement, None, limits, Permit::default(), &mut CsvRows::default()).await?;
        assert_eq!((outcome.row_count, outcome.truncated), (1, false), "{expression}");

        let text = String::from_utf8(rows.out)?;
        // The text of a JSON value keeps its quotes, and its `null` is not NULL.
        let is_json = ["json", "jsonb"].contains(type_name) && !expression.starts_with("NULL");
        let string: Option<String> = serde_json::from_str(json).ok().filter(|_| !is_json);
        let expected = match *json {
            "null" if !is_json => "",
            json => string.as_deref().unwrap_or(json),
        };
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let record = reader.records().next().context("a row")??;
        assert_eq!(record.iter().collect::<Vec<_>>(), [expected, "z"], "{expression}: {text}");
        if expected.is_empty() {
            assert_eq!(text.ends_with("\n,z\r\n"), *json == "null", "{expression}: {text}");
        }
    }
    Ok(())
}

/// The rows of a result as CSV.
#[derive(Default)]
struct CsvRows {
    writer: CsvWriter,
    out: Vec<u8>,
}

impl RowSink for CsvRows {
    fn columns(&mut self, columns: &[Column]) -> Result<(), EncodeError> {
        self.writer.head(columns, &mut self.out)
    }

    fn row(&mut self, fields: Fields<'_>, max_bytes: usize) -> Result<bool, EncodeError> {
        self.writer.row(fields, max_bytes, &mut self.out)
    }
}

/// PostgreSQL builds JSON as well, more slowly. Where its form is ours, the two have to agree.
#[tokio::test]
async fn agrees_with_the_json_that_postgresql_builds() -> Result<()> {
    let (_database, runner) = runner().await?;
    let ours = [
        "oid",
        "bytea",
        "void",
        "record",
        "record[]",
        "pair",
        "pair[]",
        "int2vector",
        "real",
        "double precision",
        "timestamp with time zone",
    ];
    for (expression, type_name, json) in CASES {
        // Floats may be written in several ways, instants have `+00:00` there; `to_json` of a composite is an object, and of a
        // vector an array.
        if ours.contains(type_name) || type_name.starts_with("int4range[") {
            continue;
        }
        // A bare literal has no type yet.
        let cast = if *type_name == "text" { "::text" } else { "" };
        let (_, theirs) = value(&runner, &format!("to_json(({expression}){cast})::text")).await?;
        let theirs: Option<String> = serde_json::from_str(&theirs)?;
        let theirs = theirs.unwrap_or_else(|| "null".to_owned());
        assert_eq!(theirs, *json, "{expression}");
    }
    Ok(())
}

#[tokio::test]
async fn every_builtin_type_is_called_as_postgresql_calls_it() -> Result<()> {
    let (database, runner) = runner().await?;
    let types = database
        .connect()
        .await?
        .query(
            "SELECT format_type(oid, NULL) FROM pg_type
             WHERE typtype IN ('b', 'r', 'm') AND typnamespace = 'pg_catalog'::regnamespace
             AND typinput::oid <> 0 ORDER BY oid",
            &[],
        )
        .await?;
    assert!(types.len() > 150, "{}", types.len());
    for row in types {
        let name: String = row.get(0);
        let (found, json) = value(&runner, &format!("NULL::{name}")).await?;
        assert_eq!((found.as_str(), json.as_str()), (name.as_str(), "null"));
    }
    Ok(())
}

//! SQL as PostgreSQL resolves it: the corpora of the guard against a real warehouse, contracts, and what drifts.

mod contracts;
mod foreign_keys;
mod sessions;
mod special_dates;
mod types;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result};
use metricd_database::DataSchemas;
use metricd_domain::{Contract, Parameter, ParameterDeclaration, SqlText, TimeColumn};
use metricd_execution::{
    BoundStatement, Declarations, Finding, FindingCode, JsonRows, MetricRunner, Permit, Resolvable, Resolver,
    RunLimits, SqlValidationError, SqlValidator, Statement,
};
use metricd_runner::{PgResolver, PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Corpus {
    statement: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    name: String,
    sql: String,
}

fn corpus(text: &str) -> Result<Vec<Entry>> {
    Ok(toml::from_str::<Corpus>(text)?.statement)
}

/// A database with the corpus' own warehouse.
async fn warehouse() -> Result<TestDatabase> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let fixture = include_str!("../../../metricd-execution/tests/corpus/warehouse.sql");
    client.batch_execute(&format!("SET search_path = warehouse; {fixture}")).await?;
    client.batch_execute("GRANT SELECT ON ALL TABLES IN SCHEMA warehouse TO metricd_reader").await?;
    Ok(database)
}

pub(crate) async fn validator(database: &TestDatabase) -> Result<Arc<SqlValidator>> {
    let resolver = Arc::new(PgResolver::new(&database.owner, &DataSchemas::default()));
    Ok(Arc::new(SqlValidator::new(resolver, &BTreeSet::new()).await?))
}

/// The contract of the SQL with these declarations, or what is wrong with it.
async fn validated(
    validator: &SqlValidator,
    sql: &str,
    parameters: Vec<Parameter>,
    time_column: Option<&str>,
) -> Result<Result<Contract, Vec<Finding>>> {
    let Ok(sql) = SqlText::parse(sql) else { return Ok(Err(Vec::new())) };
    let time_column = time_column.map(TimeColumn::parse).transpose()?;
    let declared = Declarations { parameters: &parameters, time_column: time_column.as_ref(), period: None };
    match validator.validate(&sql, declared).await {
        Ok(contract) => Ok(Ok(contract)),
        Err(SqlValidationError::Refused(findings)) => Ok(Err(findings)),
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn plain(validator: &Arc<SqlValidator>, sql: &str) -> Result<Result<Contract, Vec<Finding>>> {
    validated(validator, sql, Vec::new(), None).await
}

fn parameter(name: &str, type_name: &str) -> Result<Parameter> {
    Ok(ParameterDeclaration::new(name, type_name).try_into()?)
}

#[tokio::test]
async fn honest_statements_get_a_contract_and_run() -> Result<()> {
    let database = warehouse().await?;
    let validator = validator(&database).await?;
    let reader = database.connect_as_reader().await?;
    let mut refused = Vec::new();
    for Entry { name, sql } in corpus(include_str!("../../../metricd-execution/tests/corpus/honest.toml"))? {
        match plain(&validator, &sql).await? {
            Err(findings) => refused.push(format!("{name}: {findings:?}")),
            Ok(contract) => {
                let statement = reader.prepare(sql.trim().trim_end_matches(';')).await?;
                let columns: Vec<_> = statement.columns().iter().map(tokio_postgres::Column::name).collect();
                let told: Vec<_> = contract.columns().iter().map(|column| column.name.as_str()).collect();
                assert_eq!(told, columns, "{name}");
                reader.query(&statement, &[]).await.map_err(|error| anyhow::anyhow!("{name}: {error:?}"))?;
            }
        }
    }
    assert!(refused.is_empty(), "{} refused:\n{}", refused.len(), refused.join("\n"));
    Ok(())
}

#[tokio::test]
async fn hostile_statements_are_refused_whatever_they_look_like() -> Result<()> {
    let database = warehouse().await?;
    let validator = validator(&database).await?;
    let mut accepted = Vec::new();
    for text in [
        include_str!("../../../metricd-execution/tests/corpus/hostile.toml"),
        include_str!("../../../metricd-execution/tests/corpus/hostile_resolved.toml"),
    ] {
        for Entry { name, sql } in corpus(text)? {
            if plain(&validator, &sql).await?.is_ok() {
                accepted.push(format!("{name}: {sql}"));
            }
        }
    }
    assert!(accepted.is_empty(), "{} accepted:\n{}", accepted.len(), accepted.join("\n"));
    // None of them has left anything.
    let client = database.connect().await?;
    let left = client
        .query_one("SELECT count(*) FROM pg_class WHERE relname LIKE 'metricd!_resolved%' ESCAPE '!'", &[])
        .await?;
    assert_eq!(left.get::<_, i64>(0), 0);
    Ok(())
}

/// The tree that PostgreSQL prints for the reader is that of the owner's view.
#[tokio::test]
async fn the_reader_resolves_sql_as_the_owner_does() -> Result<()> {
    let database = warehouse().await?;
    let of_owner = validator(&database).await?;
    let of_reader = Arc::new(PgResolver::of_reader(&database.reader, &DataSchemas::default()));
    let of_reader = Arc::new(SqlValidator::new(of_reader, &BTreeSet::new()).await?);
    let (mut differing, mut contracts) = (Vec::new(), 0);
    for text in [
        include_str!("../../../metricd-execution/tests/corpus/honest.toml"),
        include_str!("../../../metricd-execution/tests/corpus/hostile_resolved.toml"),
    ] {
        for Entry { name, sql } in corpus(text)? {
            let (owner, reader) = tokio::try_join!(plain(&of_owner, &sql), plain(&of_reader, &sql))?;
            contracts += usize::from(reader.is_ok());
            if owner != reader {
                differing.push(format!("{name}: {owner:?}\n    {reader:?}"));
            }
        }
    }
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
    assert!(contracts > 100, "{contracts} contracts");
    for (sql, declared, time_column) in [
        ("SELECT id FROM metrics WHERE id = :id", vec![parameter("id", "text")?], Some("date")),
        ("SELECT alert_type, count(*) AS n FROM metrics GROUP BY alert_type", Vec::new(), Some("date")),
        ("SELECT \"a b\" FROM (SELECT id AS \"a b\", date FROM metrics) AS \"c\nd\"", Vec::new(), None),
        (
            "SELECT one.* FROM metrics one NATURAL JOIN metrics two JOIN metrics three USING (id, date)",
            Vec::new(),
            None,
        ),
    ] {
        let of_owner = validated(&of_owner, sql, declared.clone(), time_column).await?;
        assert!(of_owner.is_ok(), "{sql}: {of_owner:?}");
        assert_eq!(validated(&of_reader, sql, declared, time_column).await?, of_owner, "{sql}");
    }
    Ok(())
}

/// What the guard would refuse by its text is found in the resolved query as well.
#[tokio::test]
async fn the_resolved_query_shows_what_a_text_could_hide() -> Result<()> {
    let database = warehouse().await?;
    let resolver = PgResolver::new(&database.owner, &DataSchemas::default());
    for sql in [
        "SELECT id FROM metrics FOR UPDATE",
        "SELECT n FROM (SELECT id AS n FROM metrics FOR SHARE) s",
        "SELECT '{catalog.queries}'::regclass[] AS a",
        "SELECT a FROM json_to_recordset('[]') AS t (a regclass)",
        "SELECT 'catalog.queries'::regclass AS a",
        "SELECT current_role AS a",
        "SELECT xmlelement(name a) AS a",
    ] {
        let resolution = resolver.resolve(&Resolvable { text: sql.to_owned(), placeholders: Vec::new() }).await?;
        let has_type = resolution.types.iter().any(|made| made.name.starts_with("reg"));
        assert!(has_type || !resolution.forbidden_constructs.is_empty(), "{sql}: {resolution:?}");
    }
    Ok(())
}

/// What later versions of PostgreSQL have added, each from its version on, with a function or a type that must not be missed.
const NEWER: [(u32, &str, &str); 14] = [
    (16, "SELECT JSON_OBJECT('a': reverse('x')) AS a", "reverse"),
    (16, "SELECT JSON_ARRAY(SELECT reverse(id) FROM metrics) AS a", "reverse"),
    (16, "SELECT JSON_ARRAYAGG(reverse(id) ORDER BY id RETURNING jsonb) AS a FROM metrics", "reverse"),
    (16, "SELECT JSON_OBJECTAGG(id: 1) OVER (PARTITION BY reverse(id)) AS a FROM metrics", "reverse"),
    (16, "SELECT reverse('x') IS JSON OBJECT WITH UNIQUE KEYS AS a", "reverse"),
    (16, "SELECT any_value(reverse(id)) AS a FROM metrics", "reverse"),
    (17, "SELECT JSON_VALUE('{}', '$.a' RETURNING regclass) AS a", "regclass"),
    (17, "SELECT JSON_QUERY('{}', '$.a' DEFAULT reverse('x') ON EMPTY) AS a", "reverse"),
    (17, "SELECT JSON_EXISTS('{}', '$.a' PASSING reverse('x') AS b) AS a", "reverse"),
    (17, "SELECT JSON_SCALAR(reverse('x')) AS a", "reverse"),
    (17, "SELECT a FROM JSON_TABLE('[1]', '$[*]' COLUMNS (a regclass PATH '$')) AS t", "regclass"),
    (
        17,
        "SELECT a, b FROM JSON_TABLE('[1]', '$[*]' COLUMNS (a FOR ORDINALITY, NESTED '$' COLUMNS (b regclass PATH '$'))) AS t",
        "regclass",
    ),
    (18, "SELECT reverse(id) AS a FROM metrics GROUP BY 1 HAVING max(date) IS NOT NULL", "reverse"),
    (18, "SELECT GROUPING(reverse(id)) AS a FROM metrics GROUP BY ROLLUP (reverse(id), date)", "reverse"),
];

#[tokio::test]
async fn what_later_versions_have_added_is_known() -> Result<()> {
    let database = warehouse().await?;
    let client = database.connect().await?;
    let version: String = client.query_one("SHOW server_version_num", &[]).await?.get(0);
    let version = version.parse::<u32>()? / 10_000;
    let resolver = PgResolver::new(&database.owner, &DataSchemas::default());
    for (_, sql, expected) in NEWER.into_iter().filter(|(since, ..)| *since <= version) {
        let resolution = resolver.resolve(&Resolvable { text: sql.to_owned(), placeholders: Vec::new() }).await;
        let resolution = resolution.with_context(|| sql.to_owned())?;
        assert_eq!(resolution.unknown_nodes, Vec::<String>::new(), "{sql}");
        let functions = resolution.functions.iter().filter(|function| function.is_named).map(|function| &function.name);
        let mut names = functions.chain(resolution.types.iter().map(|made| &made.name));
        assert!(names.any(|name| name == expected), "{sql}: {resolution:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_functions_behind_a_range_of_a_window_are_told() -> Result<()> {
    let database = warehouse().await?;
    let resolver = PgResolver::new(&database.owner, &DataSchemas::default());
    let sql = "SELECT count(*) OVER (ORDER BY date RANGE interval '1 day' PRECEDING) AS n FROM metrics";
    let resolvable = Resolvable { text: sql.to_owned(), placeholders: Vec::new() };
    let resolution = resolver.resolve(&resolvable).await?;
    assert!(resolution.functions.iter().any(|function| function.name == "in_range"), "{resolution:?}");
    Ok(())
}

/// With the setting off, the first string would go on to the second quote, and what follows it would be SQL.
#[tokio::test]
async fn a_backslash_is_a_character_whatever_the_database_is_set_to() -> Result<()> {
    let database = warehouse().await?;
    let client = database.connect().await?;
    client
        .batch_execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET standard_conforming_strings = off', current_database()); END $$",
        )
        .await?;
    let sql = r"SELECT '\' AS a, ', 1 AS b --' AS c";
    let validator = validator(&database).await?;
    let contract = plain(&validator, sql).await?.unwrap();
    let names: Vec<_> = contract.columns().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["a", "c"]);
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    let mut rows = JsonRows::default();
    let statement = BoundStatement::without_arguments(&Statement::parse(&SqlText::parse(sql)?)?);
    runner.run(&statement, None, RunLimits::default(), Permit::default(), &mut rows).await?;
    assert_eq!(String::from_utf8(rows.finish())?, r#"[{"a":"\\","c":", 1 AS b --"}]"#);
    Ok(())
}

#[tokio::test]
async fn a_contract_says_what_goes_in_what_comes_out_and_what_is_read() -> Result<()> {
    let database = warehouse().await?;
    let validator = validator(&database).await?;
    let sql = "-- Orders\nSELECT o.status, sum(o.total) AS revenue, :label AS label FROM orders o \
               JOIN customers c USING (customer_id) WHERE c.name LIKE :name AND o.order_id > :least GROUP BY o.status";
    let contract = validated(&validator, sql, vec![parameter("least", "bigint")?], None).await?.unwrap();
    let columns: Vec<_> =
        contract.columns().iter().map(|column| format!("{} {}", column.name, column.type_name)).collect();
    assert_eq!(columns[0], "status order_status");
    assert_eq!(columns[2], "label text");
    let parameters: Vec<_> =
        contract.parameters().iter().map(|parameter| format!("{} {}", parameter.name, parameter.type_name)).collect();
    assert_eq!(parameters, ["label text", "name text", "least bigint"]);
    assert_eq!(contract.enums().keys().collect::<Vec<_>>(), ["order_status"]);
    let tables: Vec<_> = contract.tables().iter().map(|table| format!("{}.{}", table.schema, table.name)).collect();
    assert_eq!(tables, ["warehouse.customers", "warehouse.orders"]);
    assert!(contract.tables()[0].columns.iter().any(|column| column == "name"), "{contract:?}");
    Ok(())
}

#[tokio::test]
async fn what_postgres_refuses_is_told_with_its_place_in_the_authors_text() -> Result<()> {
    let database = warehouse().await?;
    let validator = validator(&database).await?;
    let refused = async |sql: &str| -> Result<Finding> {
        let mut findings = plain(&validator, sql).await?.unwrap_err();
        assert_eq!(findings.len(), 1, "{findings:?}");
        Ok(findings.remove(0))
    };
    let finding = refused("-- é\nSELECT :a::date AS a,\n  :b + 1 AS b, nonsense AS c\nFROM metrics").await?;
    assert_eq!(finding.code, FindingCode::Unresolved);
    assert_eq!((finding.position.line, finding.position.column, finding.snippet.as_str()), (3, 16, "nonsense"));
    // In the server's language.
    let said = finding.message.split_once("PostgreSQL says: ");
    assert!(said.is_some_and(|(_, said)| said.contains("nonsense")), "{finding}");
    let finding = refused("SELECT * FROM nowhere").await?;
    assert_eq!((finding.code, finding.position.column), (FindingCode::Unresolved, 15));
    let finding = refused("SELECT id, id FROM metrics").await?;
    assert_eq!(finding.code, FindingCode::ColumnRepeated);
    let finding = refused("SELECT pi() WHERE :a IS NULL").await?;
    assert_eq!(finding.code, FindingCode::Unresolved, "{finding}");
    let finding = refused("SELECT sum(id) FROM metrics").await?;
    assert!(finding.message.contains("; "), "PostgreSQL's hint is told: {finding}");
    // Validation works after a refusal.
    assert!(plain(&validator, "SELECT 1 AS one").await?.is_ok());
    Ok(())
}

#[tokio::test]
async fn a_database_that_was_away_is_asked_again() -> Result<()> {
    let database = warehouse().await?;
    let validator = validator(&database).await?;
    assert!(plain(&validator, "SELECT 1 AS one").await?.is_ok());
    let client = database.connect().await?;
    client
        .execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
            &[],
        )
        .await?;
    assert!(plain(&validator, "SELECT 1 AS one").await?.is_ok());
    Ok(())
}

#[tokio::test]
async fn a_column_that_is_shown_as_it_is_has_the_tables_comment() -> Result<()> {
    let database = warehouse().await?;
    let comments = "COMMENT ON COLUMN warehouse.orders.ordered_on IS 'The day of the order, in the shop''s time.';
                    COMMENT ON COLUMN warehouse.orders.total IS 'With taxes.'";
    database.connect().await?.batch_execute(comments).await?;
    let validator = validator(&database).await?;
    let (day, total) = (Some("The day of the order, in the shop's time."), Some("With taxes."));
    for (sql, expected) in [
        ("SELECT ordered_on, total, status FROM orders", vec![day, total, None]),
        ("SELECT o.total AS \"in all\", o.ordered_on AS day FROM orders o", vec![total, day]),
        ("WITH o AS (SELECT ordered_on AS day, total FROM orders) SELECT day, total FROM o", vec![day, total]),
        ("SELECT ordered_on, sum(total) AS total FROM orders GROUP BY ordered_on", vec![day, None]),
        ("SELECT x.d FROM (SELECT max(ordered_on) AS d FROM orders) AS x", vec![None]),
        ("SELECT sum(x.d) AS d FROM (SELECT total AS d FROM orders) AS x", vec![None]),
        ("SELECT ordered_on FROM orders UNION ALL SELECT ordered_on FROM orders", vec![None]),
    ] {
        let contract = plain(&validator, sql).await?.map_err(|findings| anyhow::anyhow!("{sql}: {findings:?}"))?;
        let described: Vec<_> = contract.columns().iter().map(|column| column.description.as_deref()).collect();
        assert_eq!(described, expected, "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn a_parameter_stands_right_behind_a_word_and_is_told_by_its_name() -> Result<()> {
    let database = warehouse().await?;
    let validator = validator(&database).await?;
    let sql = "SELECT order_id FROM orders WHERE not:a LIMIT:n";
    let parameters = vec![parameter("a", "boolean")?, parameter("n", "integer")?];
    let contract = validated(&validator, sql, parameters, None).await?.expect("it is accepted");
    let types: Vec<_> = contract.parameters().iter().map(|parameter| parameter.type_name.as_str()).collect();
    assert_eq!(types, ["boolean", "integer"]);

    let sql = "SELECT order_id FROM orders WHERE :country IS NULL";
    let findings = plain(&validator, sql).await?.expect_err("its type is unknown");
    // Whatever language PostgreSQL speaks.
    let message = &findings[0].message;
    assert!(message.contains(" :country") && !message.contains("$1"), "{message}");
    assert!(message.ends_with("; declare the type of the parameter `country`"), "{message}");
    assert_eq!((findings[0].position.column, findings[0].snippet.as_str()), (35, ":country"));
    Ok(())
}

/// The guard's list of keywords is for PostgreSQL 15 to 18 together. What this server has must be in it.
#[tokio::test]
async fn every_keyword_of_the_server_is_known_with_its_category() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let list = include_str!("../../../metricd-execution/src/syntax/keywords.txt");
    let known: BTreeSet<_> = list.lines().filter(|line| !line.starts_with('#')).collect();
    let query =
        "SELECT word || ' ' || catcode::text || CASE WHEN barelabel THEN '' ELSE ' *' END FROM pg_get_keywords()";
    let rows = client.query(query, &[]).await?;
    assert!(rows.len() > 400);
    let unknown: Vec<&str> = rows.iter().map(|row| row.get(0)).filter(|line| !known.contains(line)).collect();
    // Since 17 it names no functions and no types.
    let unknown: Vec<_> = unknown.into_iter().filter(|line| *line != "json U").collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    Ok(())
}

//! Tests the validator with a scripted resolver.

use std::sync::Arc;

use metricd_domain::{ContractColumn, ContractTable, Parameter, Period, PeriodSource};
use serde_json::json;

use super::*;
use crate::QueryTree;
use crate::resolver::ResolvedFunction;
use crate::testing::ScriptedResolver;

async fn validate(
    resolver: &Arc<ScriptedResolver>,
    sql: &str,
    parameters: &[Parameter],
) -> Result<Contract, SqlValidationError> {
    let validator = SqlValidator::new(Arc::clone(resolver) as Arc<dyn Resolver>, &BTreeSet::new()).await?;
    validator.validate(&SqlText::parse(sql).unwrap(), Declarations { parameters, ..Declarations::default() }).await
}

fn findings(result: Result<Contract, SqlValidationError>) -> Vec<Finding> {
    match result {
        Err(SqlValidationError::Refused(findings)) => findings,
        other => panic!("{other:?}"),
    }
}

fn declared() -> Vec<Parameter> {
    serde_json::from_value(json!([{"name": "day", "type": "date"}])).unwrap()
}

fn refused(message: &str, character: Option<usize>) -> ResolveError {
    ResolveError::Refused { message: message.into(), hint: Some("Perhaps another.".into()), character }
}

fn metrics() -> ContractTable {
    let mut metrics = ContractTable::new("warehouse", "metrics");
    metrics.columns = vec!["date".into()];
    metrics.time_columns = vec![ContractColumn::new("date", "date")];
    metrics
}

#[tokio::test]
async fn sql_that_the_guard_refuses_is_not_resolved() {
    let resolver = Arc::new(ScriptedResolver::default());
    let found = findings(validate(&resolver, "SELECT pg_sleep(1)", &declared()).await);
    let codes: Vec<_> = found.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [FindingCode::FunctionNotAllowed, FindingCode::ParameterUnused]);
    assert!(resolver.resolved_texts().is_empty());
}

#[tokio::test]
async fn positions_of_postgresql_map_to_the_authors_text() {
    let resolver = Arc::new(ScriptedResolver::default());
    let sql = "-- é\n/* :day */ SELECT :day, ':x', :n,\n  'é', nosuch FROM metrics;";
    let text = "SELECT CAST($1 AS date), ':x', $2,\n  'é', nosuch FROM metrics";
    let character = text[..text.find("nosuch").unwrap()].chars().count();
    resolver.answer(text, Err(refused("there is no such column", Some(character))));
    let found = findings(validate(&resolver, sql, &declared()).await);
    assert_eq!(resolver.resolved_texts(), [text]);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].position, found[0].snippet.as_str()), (Position { line: 3, column: 8 }, "nosuch"));
    assert_eq!(found[0].message, "PostgreSQL says: there is no such column; perhaps another");
    // A position inside the replacement of a parameter maps to the parameter.
    resolver.answer(text, Err(refused("no", Some(text.find("AS date").unwrap()))));
    let found = findings(validate(&resolver, sql, &declared()).await);
    assert_eq!((found[0].position, found[0].snippet.as_str()), (Position { line: 2, column: 19 }, ":day"));
}

#[tokio::test]
async fn the_resolved_query_is_checked_too() {
    let resolver = Arc::new(ScriptedResolver::default());
    let function = |schema: &str, name: &str, is_volatile, is_security_definer, is_named| ResolvedFunction {
        schema: schema.into(),
        name: name.into(),
        is_volatile,
        is_security_definer,
        is_named,
        is_implied_by_type: false,
        is_built_in: schema == "pg_catalog",
        is_untrusted: false,
        extension: None,
    };
    let functions = vec![
        function("pg_catalog", "int4pl", false, false, false),
        function("pg_catalog", "path_distance", false, false, false),
        function("pg_catalog", "lower", false, false, true),
        function("warehouse", "net", false, false, true),
        function("pg_catalog", "int4in", false, false, true),
        function("pg_catalog", "lo_create", true, false, false),
        function("warehouse", "audit", false, true, true),
        function("public", "anything", false, false, true),
        ResolvedFunction { is_implied_by_type: true, ..function("public", "somebodys", false, false, false) },
        ResolvedFunction {
            is_implied_by_type: true,
            extension: Some("citext".into()),
            ..function("public", "citext_cmp", false, false, false)
        },
        ResolvedFunction {
            is_implied_by_type: true,
            extension: Some("odd".into()),
            ..function("public", "odd_cmp", true, false, false)
        },
    ];
    let foreign = ContractTable::new("catalog", "queries");
    let forbidden_constructs = vec!["xml".to_owned()];
    let resolution =
        Resolution { functions, forbidden_constructs, tables: vec![metrics(), foreign], ..Resolution::default() };
    resolver.answer("SELECT 1", Ok(resolution));
    let snippets: Vec<_> =
        findings(validate(&resolver, "SELECT 1", &[]).await).into_iter().map(|finding| finding.snippet).collect();
    let expected = [
        "catalog.queries",
        "pg_catalog.path_distance",
        "pg_catalog.int4in",
        "pg_catalog.lo_create",
        "warehouse.audit",
        "public.anything",
        "public.somebodys",
        "public.odd_cmp",
        "xml",
    ];
    assert_eq!(snippets, expected);
}

#[tokio::test]
async fn an_unknown_node_is_refused() {
    let resolver = Arc::new(ScriptedResolver::default());
    let unknown_nodes = vec!["GRAPHTABLE".to_owned()];
    resolver.answer("SELECT 1", Ok(Resolution { unknown_nodes, ..Resolution::default() }));
    let found = findings(validate(&resolver, "SELECT 1", &[]).await);
    assert_eq!(found[0].code, FindingCode::NotUnderstood);
    assert!(found[0].message.contains("`GRAPHTABLE`"), "{found:?}");
}

/// The parts of the tree of `SELECT date FROM source` that are read.
fn tree(source: &str) -> String {
    format!(
        "{{QUERY :hasWindowFuncs false :hasDistinctOn false :cteList <> :rtable ({source}) :targetList ({{TARGETENTRY :expr \
         {{VAR :varno 1 :varattno 1 :varlevelsup 0 :location 7}} :resno 1 :resorigtbl 7 :resorigcol 1 :resjunk false}}) \
         :limitOffset <> :limitCount <>}}"
    )
}

const TABLE: &str = "{RANGETBLENTRY :eref {ALIAS :aliasname metrics :colnames (\"date\")} :rtekind 0 :relid 7 :tablesample <> \
                     :lateral false :inh true :inFromCl true}";

/// The entry of a range table for `SELECT date FROM source`.
fn subquery(source: &str) -> String {
    format!(
        "{{RANGETBLENTRY :eref {{ALIAS :aliasname metrics :colnames (\"date\")}} :rtekind 1 :subquery {} :lateral false}}",
        tree(source)
    )
}

fn resolution(source: &str) -> Resolution {
    Resolution {
        tables: vec![metrics()],
        columns: vec![ContractColumn::new("date", "date")],
        tree: QueryTree::new(format!("({{QUERY :rtable ({})}})", subquery(source))),
        ..Resolution::default()
    }
}

#[tokio::test]
async fn a_period_narrows_if_nothing_else_of_the_statement_changes() {
    let resolver = Arc::new(ScriptedResolver::default());
    let sql = "SELECT date FROM metrics";
    let inside = "WHERE \"date\" >= CAST($1 AS date) AND \"date\" <= CAST($2 AS date) + INTERVAL '1 day' - INTERVAL '1 microsecond'";
    let narrowed = format!("SELECT date FROM (SELECT \"date\" FROM \"metrics\" {inside}) AS \"metrics\"");
    let rows = format!("SELECT * FROM (SELECT \"date\" FROM \"warehouse\".\"metrics\" {inside}) AS \"metrics\"");
    let subquery = subquery(TABLE);
    for text in [&rows, &narrowed] {
        resolver.answer(text, Ok(resolution(&subquery)));
    }
    resolver.answer(sql, Ok(resolution(TABLE)));
    let period = async || validate(&resolver, sql, &[]).await.unwrap().period().clone();
    let source = PeriodSource {
        schema: "warehouse".into(),
        table: "metrics".into(),
        column: "date".into(),
        type_name: "date".into(),
    };
    assert_eq!(period().await, Period::Narrowed(source));
    assert_eq!(resolver.resolved_texts(), [sql, &rows, &narrowed]);

    let reason = async |expected: &str| {
        let period = period().await;
        assert!(matches!(&period, Period::Unsupported { reason } if reason.contains(expected)), "{period:?}");
    };
    resolver.answer(&narrowed, Err(refused("it groups by a key", None)));
    reason("it groups by a key").await;
    resolver.answer(&narrowed, Ok(resolution(TABLE)));
    reason("in another way").await;
    let volatile = ResolvedFunction {
        schema: "warehouse".into(),
        name: "date".into(),
        is_volatile: true,
        is_security_definer: true,
        is_named: true,
        is_implied_by_type: false,
        is_built_in: false,
        is_untrusted: false,
        extension: None,
    };
    resolver.answer(&narrowed, Ok(Resolution { functions: vec![volatile], ..resolution(&subquery) }));
    reason("it is volatile").await;
    resolver.answer(&narrowed, Ok(Resolution { tree: QueryTree::default(), ..resolution(&subquery) }));
    reason("not known here").await;
    // A tree as another version of PostgreSQL might write it.
    resolver.answer(&narrowed, Ok(resolution(&subquery)));
    let renamed = tree(TABLE).replace("hasWindowFuncs", "hasWindows");
    let foreign = tree(&format!("{TABLE} {{RANGETBLENTRY :rtekind 10 :graph 7}}"));
    for statement in [renamed, foreign] {
        let tree = QueryTree::new(format!("({{QUERY :rtable ({{RANGETBLENTRY :rtekind 1 :subquery {statement}}})}})"));
        resolver.answer(sql, Ok(Resolution { tree, ..resolution(TABLE) }));
        reason("not known here").await;
    }
}

#[tokio::test]
async fn a_repeated_column_is_a_finding_and_an_outage_is_not() {
    let resolver = Arc::new(ScriptedResolver::default());
    resolver.answer("SELECT 1 a, 2 a", Err(ResolveError::ColumnRepeated("twice".into())));
    assert_eq!(findings(validate(&resolver, "SELECT 1 a, 2 a", &[]).await)[0].code, FindingCode::ColumnRepeated);
    let known = SqlValidator::new(Arc::clone(&resolver) as Arc<dyn Resolver>, &BTreeSet::new()).await.unwrap();
    resolver.stop();
    let sql = SqlText::parse("SELECT 1").unwrap();
    assert!(matches!(known.validate(&sql, Declarations::default()).await, Err(SqlValidationError::Unavailable(_))));
    assert!(matches!(validate(&resolver, "SELECT 1", &[]).await, Err(SqlValidationError::Unavailable(_))));
}

#[tokio::test]
async fn a_parameter_after_a_word_stays_a_separate_token() {
    let resolver = Arc::new(ScriptedResolver::default());
    let sql = "SELECT 1 AS n FROM metrics WHERE not:a AND é=:day LIMIT:n";
    validate(&resolver, sql, &declared()).await.unwrap();
    let text = "SELECT 1 AS n FROM metrics WHERE not $1 AND é=CAST($2 AS date) LIMIT $3";
    assert_eq!(resolver.resolved_texts(), [text]);
}

#[tokio::test]
async fn an_untyped_parameter_is_reported_by_its_name() {
    let resolver = Arc::new(ScriptedResolver::default());
    let message = "could not determine data type of parameter $2";
    let refused = ResolveError::Refused { message: message.into(), hint: None, character: Some(11) };
    resolver.answer("SELECT $1, $2 IS NULL, '$3'", Err(refused));
    let found = findings(validate(&resolver, "SELECT :day, :country IS NULL, '$3'", &[]).await);
    assert_eq!(
        found[0].message,
        "PostgreSQL says: could not determine data type of parameter :country; declare the type of the parameter `country`"
    );
    assert_eq!(found[0].snippet, ":country");
}

#[tokio::test]
async fn large_sql_that_times_out_is_too_complex() {
    let resolver = Arc::new(ScriptedResolver::default());
    let large = format!("SELECT 1 AS one FROM metrics{}", ", (SELECT * FROM metrics) AS m".repeat(20));
    let long = format!("SELECT 1 AS one WHERE 1 IN ({})", vec!["1234567"; 2_000].join(", "));
    let slow = ResolveError::TooSlow("it took too long".into());
    let locked = ResolveError::Unavailable(Outage::unreachable("it waits for a lock"));
    for (sql, error, is_refused) in
        [(large.as_str(), &slow, true), (&long, &slow, true), (&long, &locked, false), ("SELECT 1", &slow, false)]
    {
        resolver.answer(sql, Err(error.clone()));
        match validate(&resolver, sql, &[]).await {
            Err(SqlValidationError::Refused(findings)) => {
                assert!(is_refused && findings[0].code == FindingCode::TooComplex, "{findings:?}");
            }
            other => assert!(!is_refused && matches!(other, Err(SqlValidationError::Unavailable(_))), "{other:?}"),
        }
    }
}

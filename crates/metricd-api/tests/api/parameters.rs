//! Parameters, periods and definitions of metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use metricd_domain::{
    Contract, ContractColumn, ContractParameter, ContractParts, ContractTable, MetricId, MetricLimits, Parameter,
    ParameterDeclaration, ParameterName, Parameters, Period, PeriodSource,
};
use metricd_repository::contract::{TestIngestion, metric, query};
use metricd_repository::{Definitions, MemoryRepository, MetricRepository};

use crate::support::TestApp;

const NARROWED: &str = "SELECT count(*) FROM (SELECT \"placed\" FROM \"orders\" WHERE \"placed\" >= CAST($1 AS date) AND \"placed\" <= CAST($2 AS date) + INTERVAL '1 day' - INTERVAL '1 microsecond') AS \"orders\"";

fn parameter(name: &str, type_name: &str, change: impl Fn(&mut ParameterDeclaration)) -> Result<Parameter> {
    let mut declaration = ParameterDeclaration::new(name, type_name);
    change(&mut declaration);
    Ok(declaration.try_into()?)
}

fn column(name: &str, type_name: &str) -> ContractColumn {
    ContractColumn::new(name, type_name)
}

/// A server with the metrics `declared`, `bound`, `narrowed`, `plain` and `unvalidated`.
async fn app() -> Result<TestApp> {
    let repository = MemoryRepository::default();
    let mut declared = metric("declared", "declared");
    declared.parameters = Parameters::new([
        parameter("kinds", "text[]", |kinds| kinds.allowed = Some(vec!["critical".into(), "minor".into()]))?,
        parameter("top", "integer", |top| {
            (top.default, top.min, top.max) = (Some(10.into()), Some(1.into()), Some(100.into()));
        })?,
        parameter("note", "text", |note| note.required = Some(false))?,
    ])?;
    declared.limits = MetricLimits::new(Some(2), None, None, None)?;
    let types = |types: &[(&str, &str)], period: Period| -> Result<Contract> {
        let parameter = |(name, type_name): &(&str, &str)| {
            Ok(ContractParameter { name: ParameterName::parse(*name)?, type_name: (*type_name).to_owned() })
        };
        let parameters = types.iter().map(parameter).collect::<Result<_>>()?;
        Ok(Contract::new(ContractParts { parameters, period, ..ContractParts::default() })?)
    };
    let source = PeriodSource {
        schema: "warehouse".into(),
        table: "orders".into(),
        column: "placed".into(),
        type_name: "date".into(),
    };
    let mut orders = ContractTable::new("warehouse", "orders");
    orders.columns = vec!["placed".into()];
    orders.time_columns = vec![column("placed", "date")];
    let narrowed = Contract::new(ContractParts {
        columns: vec![column("count", "bigint")],
        tables: vec![orders],
        period: Period::Narrowed(source),
        ..ContractParts::default()
    })?;
    let contracts = [
        ("declared", types(&[("kinds", "text[]"), ("top", "integer"), ("note", "text")], Period::default())?),
        ("bound", types(&[("start_date", "date"), ("end_date", "date")], Period::Bound)?),
        ("narrowed", narrowed),
        ("plain", types(&[("id", "uuid"), ("span", "interval")], Period::default())?),
    ];
    let sql = [
        ("declared", "SELECT :kinds, :top, :note"),
        ("bound", "SELECT :start_date, :end_date"),
        ("narrowed", "SELECT count(*) FROM orders"),
        ("plain", "SELECT :id, :span"),
        ("unvalidated", "SELECT :anything"),
    ];
    let others = ["bound", "narrowed", "plain", "unvalidated"].map(|id| metric(id, id));
    let definitions = Definitions {
        queries: sql.iter().map(|(id, sql)| query(id, sql)).collect(),
        metrics: [declared].into_iter().chain(others).collect(),
        contracts: contracts
            .into_iter()
            .map(|(id, contract)| Ok((MetricId::parse(id)?, contract)))
            .collect::<Result<BTreeMap<_, _>>>()?,
        ..Definitions::default()
    };
    let (ingestion, _outcome) = TestIngestion::committing(definitions);
    repository.ingest(Box::new(ingestion)).await?;
    let app = TestApp::builder().repository(Arc::new(repository)).start()?;
    for text in [
        "SELECT CAST($1 AS text[]), CAST($2 AS integer), CAST($3 AS text)",
        "SELECT $1, $2",
        "SELECT count(*) FROM orders",
        NARROWED,
        "SELECT $1",
    ] {
        app.runner.script_arguments(text);
    }
    Ok(app)
}

/// The values that the statement was run with.
async fn values(app: &TestApp, path: &str) -> Result<Vec<serde_json::Value>> {
    let answer = app.get(path).await?;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    Ok(answer.json()?["rows"]
        .as_array()
        .cloned()
        .unwrap_or_default()
        .into_iter()
        .map(|row| row["value"].clone())
        .collect())
}

#[actix_web::test]
async fn values_are_bound_by_their_names() -> Result<()> {
    let app = app().await?;
    for (path, expected) in [
        ("/metrics/declared?kinds=critical,minor", r#"["{\"critical\",\"minor\"}","10"]"#),
        ("/metrics/declared?kinds=minor&top=7&note=it's", r#"["{\"minor\"}","7"]"#),
        (
            "/metrics/plain?id=A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11&span=2%20days",
            r#"["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11","2 days"]"#,
        ),
        ("/metrics/unvalidated?anything='%3B--", r#"["';--"]"#),
    ] {
        let values = serde_json::to_string(&values(&app, path).await?)?;
        assert_eq!(values, expected, "{path}");
    }
    // The metric's own limit of 2 rows applies, and the result is marked as truncated.
    let answer = app.get("/metrics/declared?kinds=minor&limit=100").await?;
    assert_eq!((answer.json()?["truncated"].clone(), answer.header("x-truncated")), (true.into(), "true"));
    Ok(())
}

#[actix_web::test]
async fn all_invalid_values_are_reported() -> Result<()> {
    let app = app().await?;
    for (path, fields) in [
        ("/metrics/declared", vec!["kinds"]),
        ("/metrics/declared?kinds=critical,major", vec!["kinds"]),
        ("/metrics/declared?kinds=minor&top=0", vec!["top"]),
        ("/metrics/declared?kinds=minor&top=101", vec!["top"]),
        ("/metrics/declared?kinds=minor&top=1.5", vec!["top"]),
        ("/metrics/declared?kinds=minor&top=1&top=2", vec!["top"]),
        ("/metrics/declared?kind=minor&top=x&limit=0&format=xml", vec!["format", "kind", "kinds", "limit", "top"]),
        ("/metrics/plain?id=1&span=x", vec!["id"]),
        ("/metrics/plain?id=&span=%00", vec!["id", "span"]),
        ("/metrics/plain?ID=1", vec!["ID", "id", "span"]),
        ("/metrics/bound?start_date=2025-02-30", vec!["start_date"]),
        ("/metrics/bound?start_date=2025-06-30&end_date=2025-06-01", vec!["end_date"]),
        ("/metrics/narrowed?start_date=2025-06-30&end_date=2025-06-01&x=1", vec!["end_date", "x"]),
        ("/metrics/narrowed?start_date=today", vec!["start_date"]),
        ("/metrics/plain?id=a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11&span=x&start_date=2025-06-01", vec!["start_date"]),
        ("/metrics/unvalidated?anything=1&end_date=2025-06-01", vec!["end_date"]),
    ] {
        let answer = app.get(path).await?;
        let instance = path.split('?').next().unwrap_or_default();
        let problem = answer.assert_problem(422, "invalid-parameters", instance)?;
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let named: Vec<_> = errors.iter().filter_map(|error| error["field"].as_str()).collect();
        assert_eq!(named, fields, "{path}: {problem}");
    }
    Ok(())
}

#[actix_web::test]
async fn a_result_reports_how_its_period_was_applied() -> Result<()> {
    let app = app().await?;
    for (path, expected, period) in [
        (
            "/metrics/bound",
            r#"["-infinity","infinity"]"#,
            r#"{"start_date":null,"end_date":null,"applied":"bound","time_zone":"UTC"}"#,
        ),
        (
            "/metrics/bound?end_date=2025-06-30",
            r#"["-infinity","2025-06-30"]"#,
            r#"{"start_date":null,"end_date":"2025-06-30","applied":"bound","time_zone":"UTC"}"#,
        ),
        ("/metrics/narrowed", "[]", "null"),
        (
            "/metrics/narrowed?start_date=2025-06-01",
            r#"["2025-06-01","infinity"]"#,
            r#"{"start_date":"2025-06-01","end_date":null,"applied":"narrowed","time_zone":"UTC"}"#,
        ),
        (
            "/metrics/narrowed?start_date=2025-06-01&end_date=2025-06-01",
            r#"["2025-06-01","2025-06-01"]"#,
            r#"{"start_date":"2025-06-01","end_date":"2025-06-01","applied":"narrowed","time_zone":"UTC"}"#,
        ),
    ] {
        assert_eq!(serde_json::to_string(&values(&app, path).await?)?, expected, "{path}");
        let told = app.get(path).await?.body;
        assert!(told.contains(&format!("\"period\":{period},")), "{path}: {told}");
    }
    Ok(())
}

#[actix_web::test]
async fn a_definition_shows_the_contract_and_the_version() -> Result<()> {
    let app = app().await?;
    for id in ["declared", "narrowed", "unvalidated"] {
        // A metric without a contract is validated as soon as that is possible.
        app.resolver.stop();
        let definition = app.get(&format!("/metrics/{id}/definition")).await?;
        assert_eq!(definition.status, 200, "{definition:?}");
        let mut shown = definition.json()?;
        for instant in ["created_at", "updated_at"] {
            assert!(shown[instant].is_string());
            shown[instant] = "an instant".into();
        }
        insta::assert_snapshot!(format!("definition_{id}"), serde_json::to_string_pretty(&shown)?);
    }
    let missing = app.get("/metrics/none/definition").await?;
    missing.assert_problem(404, "metric-not-found", "/metrics/none/definition")?;
    let unknown = app.get("/metrics/narrowed/definition?limit=1").await?;
    unknown.assert_problem(422, "invalid-parameters", "/metrics/narrowed/definition")?;
    Ok(())
}

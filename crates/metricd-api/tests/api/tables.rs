//! `/tables`: what SQL may read, who sees what of it, and how a table of files is deleted.

mod access;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use metricd_api::ApiState;
use metricd_domain::{
    ColumnName, ColumnText, ColumnType, Contract, ContractForeignKey, ContractParts, ContractTable, Load,
    ReferencedColumn, Table, TableColumn, TableName, TableParts,
};
use metricd_execution::testing::{Ending, ScriptedResult};
use metricd_execution::{
    Column, FieldType, ReadableColumn, ReadableTable, RunError, Sampling, TableDescription, TableKind,
};
use metricd_repository::contract::{TestIngestion, TestTable, metric, query};
use metricd_repository::{Definitions, MemoryRepository, MetricRepository, RepositoryError};
use serde_json::{Value, json};

use crate::support::{FailingRepository, TestApp};

/// An error of the runner, with the status and the code of its problem.
type Failure = (fn() -> RunError, u16, &'static str);

/// The statement that reads the examples of `sales`.
const SAMPLE: &str = "SELECT \"day\", \"amount\", pg_catalog.left(\"note\"::text, 101) AS \"note\" FROM \"warehouse\".\"sales\" LIMIT 100";

fn column_of_files(name: &str, data_type: ColumnType) -> Result<TableColumn> {
    Ok(TableColumn::new(ColumnName::parse(name)?, data_type))
}

/// The definition of `sales`, with these columns in addition.
fn sales(more: &[&str]) -> Result<Table> {
    let mut amount = column_of_files("amount", ColumnType::Numeric)?;
    amount.description = Some(ColumnText::description("Net of tax")?);
    amount.unit = Some(ColumnText::unit("EUR")?);
    amount.checks.minimum = Some("-0.50".to_owned());
    amount.checks.maximum = Some("12345678901234567890.5".to_owned());
    let mut day = column_of_files("day", ColumnType::Date)?;
    day.checks.minimum = Some("2025-01-01".to_owned());
    let mut note = column_of_files("note", ColumnType::Text)?;
    note.checks.one_of = vec!["a".to_owned(), "\"b\"".to_owned()];
    let mut columns = vec![day, amount, note];
    for name in more {
        columns.push(column_of_files(name, ColumnType::Text)?);
    }
    let (key, time_column) = (vec![ColumnName::parse("day")?], Some(ColumnName::parse("day")?));
    let parts =
        TableParts { key, time_column, load: Load::Upsert, ..TableParts::new(TableName::parse("sales")?, columns) };
    Ok(Table::new(parts)?)
}

async fn ingest(repository: &dyn MetricRepository, definitions: Definitions, tables: Vec<TestTable>) -> Result<()> {
    let (mut ingestion, _outcome) = TestIngestion::committing(definitions);
    ingestion.set_tables(tables);
    repository.ingest(Box::new(ingestion)).await?;
    Ok(())
}

/// A repository with the tables `sales` and `unread`, and metrics that read `sales`, `customers` or both.
async fn repository() -> Result<Arc<dyn MetricRepository>> {
    let repository: Arc<dyn MetricRepository> = Arc::new(MemoryRepository::default());
    let contract = |names: &[&str]| {
        let tables = names.iter().map(|name| ContractTable::new("warehouse", *name)).collect();
        Contract::new(ContractParts { tables, ..ContractParts::default() })
    };
    let metrics = [("revenue", &["sales"][..]), ("by-customer", &["customers", "sales"]), ("people", &["customers"])];
    let mut definitions = Definitions { queries: vec![query("q1", "-- Revenue\nSELECT 1")], ..Definitions::default() };
    for (id, names) in metrics {
        definitions.metrics.push(metric(id, "q1"));
        definitions.contracts.insert(metric(id, "q1").metric_id, contract(names)?);
    }
    let unread =
        Table::new(TableParts::new(TableName::parse("unread")?, vec![column_of_files("id", ColumnType::Text)?]))?;
    let tables = vec![TestTable::new(sales(&[])?, &[&["2025-01-01,1,"]]), TestTable::new(unread, &[&["a"]])];
    ingest(repository.as_ref(), definitions, tables).await?;
    Ok(repository)
}

fn described(schema: &str, name: &str, kind: TableKind, columns: Vec<ReadableColumn>) -> TableDescription {
    let column_count = columns.len();
    let table = ReadableTable { column_count, row_estimate: Some(7), ..ReadableTable::new(schema, name, kind) };
    TableDescription { table, columns, key: Vec::new(), foreign_keys: Vec::new() }
}

/// The tables of the database.
fn tables() -> Vec<TableDescription> {
    let column = |name: &str, type_name: &str| ReadableColumn::new(name, type_name);
    let day = ReadableColumn { required: true, ..column("day", "date") };
    let amount = ReadableColumn { description: Some("Net of tax [EUR]".to_owned()), ..column("amount", "numeric") };
    let note = ReadableColumn { sampling: Sampling::Text, ..column("note", "text") };
    let mut sales = described("warehouse", "sales", TableKind::Table, vec![day, amount, note]);
    sales.key = vec!["day".to_owned()];
    let labels = Some(vec!["open".to_owned(), "paid".to_owned()]);
    let state = ReadableColumn { enum_labels: labels, ..column("state", "state") };
    let place = ReadableColumn { sampling: Sampling::Skipped, ..column("place", "point") };
    let mut orders = described("shop", "Orders, old", TableKind::ForeignTable, vec![state, place]);
    orders.table.description = Some("From the old Shop.".to_owned());
    let customers = described("warehouse", "customers", TableKind::View, vec![column("id", "bigint")]);
    let mut hidden = described("shop", "sales", TableKind::PartitionedTable, vec![column("id", "bigint")]);
    hidden.table.is_visible = false;
    let target = ReferencedColumn::new("warehouse", "customers", "id");
    hidden.foreign_keys = vec![ContractForeignKey::new("id", target)];
    let unread = described("warehouse", "unread", TableKind::Table, vec![column("id", "text")]);
    vec![sales, orders, customers, hidden, unread]
}

fn script_sample(app: &TestApp) {
    let column = |name: &str, type_name: &str| Column {
        name: name.into(),
        type_name: type_name.into(),
        field_type: FieldType::Text,
    };
    let columns = vec![column("day", "date"), column("amount", "numeric"), column("note", "text")];
    let value = |text: &str| Some(text.as_bytes().to_vec());
    let long = "ä".repeat(101);
    let rows = [
        ("2025-01-01", "a"),
        ("2025-01-02", "a"),
        ("2025-01-03", long.as_str()),
        ("2025-01-04", "b"),
        ("2025-01-05", "c"),
    ];
    let rows: Vec<_> = rows.iter().map(|(day, note)| vec![value(day), None, value(note)]).collect();
    app.runner.script_result(SAMPLE, move || {
        Ok(ScriptedResult { columns: columns.clone(), rows: rows.clone(), ending: Ending::Complete })
    });
}

async fn app() -> Result<TestApp> {
    let app = TestApp::builder().repository(repository().await?).start()?;
    app.runner.set_tables(tables());
    script_sample(&app);
    Ok(app)
}

fn names(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| format!("{}.{}", item["schema"], item["name"]).replace('"', "")).collect()
}

#[actix_web::test]
async fn tables_are_listed_in_pages() -> Result<()> {
    let app = app().await?;
    let all = ["shop.Orders, old", "shop.sales", "warehouse.customers", "warehouse.sales", "warehouse.unread"];
    let (mut path, mut listed) = ("/tables?limit=2".to_owned(), Vec::new());
    loop {
        let page = app.get(&path).await?.json()?;
        listed.extend(names(&page));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/tables?limit=2&cursor={cursor}");
    }
    assert_eq!(listed, all);
    let page = app.get("/tables").await?.json()?;
    let old = json!({
        "schema": "shop", "name": "Orders, old", "kind": "foreign_table", "description": "From the old Shop.",
        "row_estimate": 7, "column_count": 2, "metric_count": 0, "made_by_files": false
    });
    assert_eq!(page["items"][0], old);
    let facts = |index: usize| {
        let item = &page["items"][index];
        (item["metric_count"].as_u64(), item["made_by_files"].as_bool(), item["kind"].as_str().map(str::to_owned))
    };
    assert_eq!(facts(1), (Some(0), Some(false), Some("partitioned_table".to_owned())));
    assert_eq!(facts(2), (Some(2), Some(false), Some("view".to_owned())));
    assert_eq!(facts(3), (Some(2), Some(true), Some("table".to_owned())));
    assert_eq!(names(&app.get("/tables?q=OLD+shop").await?.json()?), all[..1]);
    assert_eq!(names(&app.get("/tables?q=house.S").await?.json()?), all[3..4]);
    let invalid = app.get("/tables?limit=0&cursor=YQ&q=&kind=view").await?;
    invalid.assert_problem(422, "invalid-parameters", "/tables")?;
    assert_eq!(invalid.fields()?, ["cursor", "kind", "limit", "q"]);
    Ok(())
}

#[actix_web::test]
async fn a_table_of_files_is_described_by_its_definition_and_the_database() -> Result<()> {
    let app = app().await?;
    let answer = app.get("/tables/sales").await?;
    let table = answer.json()?;
    let column = |index: usize| table["columns"][index].clone();
    let day = json!({
        "name": "day", "type": "date", "required": true, "description": null, "unit": null,
        "minimum": "2025-01-01", "maximum": null, "one_of": null,
        "examples": ["2025-01-01", "2025-01-02", "2025-01-03"], "enum_labels": null
    });
    assert_eq!(column(0), day);
    let amount = (column(1)["description"].clone(), column(1)["unit"].clone(), column(1)["examples"].clone());
    assert_eq!(amount, (json!("Net of tax"), json!("EUR"), json!([])));
    assert!(answer.body.contains(r#""minimum":-0.50,"maximum":12345678901234567890.5,"one_of":null"#), "{table:#}");
    assert_eq!(column(2)["one_of"], json!(["a", "\"b\""]));
    assert_eq!(column(2)["examples"], json!(["a", format!("{}…", "ä".repeat(100)), "b"]));
    for (member, expected) in [
        ("schema", json!("warehouse")),
        ("kind", json!("table")),
        ("description", Value::Null),
        ("row_estimate", json!(7)),
        ("key", json!(["day"])),
        ("time_column", json!("day")),
        ("foreign_keys", json!([])),
        ("made_by_files", json!(true)),
        ("load", json!("upsert")),
        ("file", Value::Null),
        ("version", json!(1)),
    ] {
        assert_eq!(table[member], expected, "{member}: {table:#}");
    }
    assert!(table["changed_at"].is_string() && table["changed_by"]["way"] == "ingestion", "{table:#}");
    let metrics = json!([
        {"id": "by-customer", "title": "Revenue", "href": "/metrics/by-customer/definition"},
        {"id": "revenue", "title": "Revenue", "href": "/metrics/revenue/definition"},
    ]);
    assert_eq!(table["metrics"], metrics);

    // The client's copy.
    let tag = answer.header("etag").to_owned();
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    let again = app.call("GET", "/tables/warehouse.sales", &[("If-None-Match", &tag)], None).await?;
    assert_eq!((again.status, again.body.as_str(), again.header("etag")), (304, "", tag.as_str()));
    app.runner.script(SAMPLE, || Err(RunError::TimedOut { limit: Duration::from_secs(1) }));
    let slow = app.call("GET", "/tables/sales", &[("If-None-Match", &tag)], None).await?;
    assert_eq!((slow.status, &slow.json()?["columns"][0]["examples"]), (200, &Value::Null));
    Ok(())
}

#[actix_web::test]
async fn other_tables_are_described_by_the_database_alone() -> Result<()> {
    let app = app().await?;
    let table = app.get("/tables/shop.Orders,%20old").await?.json()?;
    assert_eq!((&table["name"], &table["made_by_files"]), (&json!("Orders, old"), &json!(false)));
    for member in ["load", "file", "version", "changed_at", "changed_by", "time_column"] {
        assert_eq!(table[member], Value::Null, "{member}");
    }
    assert_eq!(table["columns"][0]["enum_labels"], json!(["open", "paid"]));
    let other = app.get("/tables/shop.sales").await?.json()?;
    assert_eq!(other["foreign_keys"][0]["referenced_table"], "customers");
    assert_eq!((&other["metrics"], &other["key"]), (&json!([]), &json!([])));
    let long = "x".repeat(200);
    for name in ["none", "shop.none", "warehouse", "SALES", "%00", "a%2Fb", "sales%00", &long] {
        let path = format!("/tables/{name}");
        app.get(&path).await?.assert_problem(404, "table-not-found", &path)?;
        let history = format!("{path}/history");
        app.get(&history).await?.assert_problem(404, "table-not-found", &history)?;
        app.call("DELETE", &path, &[], None).await?.assert_problem(404, "table-not-found", &path)?;
    }
    app.get("/tables/sales?x=1").await?.assert_problem(422, "invalid-parameters", "/tables/sales")?;
    Ok(())
}

#[actix_web::test]
async fn the_sample_runs_with_low_limits() -> Result<()> {
    let app = app().await?;
    assert_eq!(app.get("/tables/sales").await?.status, 200);
    let limits = app.runner.last_limits().context("a run")?;
    assert_eq!((limits.time, limits.cost, limits.size_bytes), (Duration::from_secs(1), 100_000, 1 << 20));
    Ok(())
}

#[actix_web::test]
async fn a_table_is_deleted_when_no_metric_reads_it() -> Result<()> {
    let app = app().await?;
    let delete = async |name: &str| app.call("DELETE", &format!("/tables/{name}"), &[], None).await;
    let in_use = delete("sales").await?.assert_problem(409, "table-in-use", "/tables/sales")?;
    assert_eq!(in_use["metrics"], json!(["by-customer", "revenue"]));
    for name in ["customers", "shop.sales", "shop.Orders,%20old"] {
        let path = format!("/tables/{name}");
        delete(name).await?.assert_problem(403, "table-not-owned", &path)?;
    }
    for id in ["revenue", "by-customer"] {
        assert_eq!(app.call("DELETE", &format!("/metrics/{id}"), &[], None).await?.status, 204);
    }
    let answer = delete("warehouse.sales").await?;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    app.runner.set_tables(tables().split_off(1));
    for method in ["DELETE", "GET"] {
        let gone = app.call(method, "/tables/sales", &[], None).await?;
        gone.assert_problem(404, "table-not-found", "/tables/sales")?;
    }
    let history = app.get("/tables/sales/history").await?.json()?;
    let actions: Vec<_> = history["items"].as_array().context("items")?.iter().map(|item| &item["action"]).collect();
    assert_eq!(actions, [&json!("deleted"), &json!("created")]);
    assert_eq!(history["items"][0]["changed_by"]["way"], "http");
    assert_eq!(history["items"][0]["changes"], json!([]));
    // The reader may not read it, or it is in no data schema, but files made it.
    app.runner.set_tables(Vec::new());
    assert_eq!(delete("unread").await?.status, 204);
    Ok(())
}

#[actix_web::test]
async fn the_history_names_what_changed() -> Result<()> {
    let repository = repository().await?;
    for more in [&["x"][..], &["x", "y"]] {
        ingest(repository.as_ref(), Definitions::default(), vec![TestTable::new(sales(more)?, &[])]).await?;
    }
    let app = TestApp::builder().repository(repository).start()?;
    app.runner.set_tables(tables());
    let first = app.get("/tables/sales/history?limit=1").await?.json()?;
    let (item, cursor) = (&first["items"][0], first["next_cursor"].as_str().context("a cursor")?);
    assert_eq!((&item["version"], &item["action"]), (&json!(3), &json!("changed")));
    let changes = item["changes"].as_array().context("changes")?;
    let [change] = changes.as_slice() else { anyhow::bail!("{changes:?}") };
    let count = |value: &Value| value.as_array().map(Vec::len);
    assert_eq!(
        (&change["field"], count(&change["before"]), count(&change["after"])),
        (&json!("columns"), Some(4), Some(5))
    );
    assert_eq!(change["after"][1]["minimum"], "-0.50", "with every digit, as text");
    let rest = app.get(&format!("/tables/warehouse.sales/history?cursor={cursor}")).await?.json()?;
    let versions: Vec<_> =
        rest["items"].as_array().context("items")?.iter().map(|item| item["version"].clone()).collect();
    assert_eq!((versions, &rest["next_cursor"]), (vec![json!(2), json!(1)], &Value::Null));
    for path in ["/tables/customers/history", "/tables/shop.sales/history"] {
        app.get(path).await?.assert_problem(404, "table-not-found", path)?;
    }
    let invalid = app.get("/tables/sales/history?limit=x&cursor=YQ").await?;
    assert_eq!((invalid.status, invalid.fields()?), (422, vec!["cursor".to_owned(), "limit".to_owned()]));
    Ok(())
}

#[actix_web::test]
async fn tables_of_data_elsewhere_are_not_of_files() -> Result<()> {
    let app = TestApp::builder().repository(repository().await?);
    let app = app.state(|state| ApiState { stores_tables: false, ..state }).start()?;
    app.runner.set_tables(tables());
    assert_eq!(app.get("/tables/sales").await?.json()?["made_by_files"], false);
    assert_eq!(app.get("/tables?q=warehouse.sales").await?.json()?["items"][0]["made_by_files"], false);
    let path = "/tables/sales";
    app.call("DELETE", path, &[], None).await?.assert_problem(403, "table-not-owned", path)?;
    app.runner.set_tables(Vec::new());
    app.call("DELETE", path, &[], None).await?.assert_problem(404, "table-not-found", path)?;
    app.get("/tables/sales/history").await?.assert_problem(404, "table-not-found", "/tables/sales/history")?;
    Ok(())
}

#[actix_web::test]
async fn failures_of_database_and_store_are_problems() -> Result<()> {
    let app = app().await?;
    let failures: [Failure; 4] = [
        (|| RunError::Unavailable("gone".into()), 503, "database-unavailable"),
        (|| RunError::NoConnection { waited: Duration::ZERO }, 503, "no-connection"),
        (|| RunError::TimedOut { limit: Duration::from_secs(1) }, 503, "database-unavailable"),
        (|| RunError::Failed { sqlstate: "42501".into(), message: "s3cret".into() }, 500, "internal-error"),
    ];
    let operations =
        [("GET", "/tables"), ("GET", "/tables/sales"), ("DELETE", "/tables/sales"), ("GET", "/tables/sales/history")];
    for (error, status, code) in failures {
        app.runner.script("tables", move || Err(error()));
        for (method, path) in operations {
            let problem = app.call(method, path, &[], None).await?.assert_problem(status, code, path)?;
            assert!(!problem.to_string().contains("s3cret"), "{problem}");
        }
    }
    let store = FailingRepository(|| RepositoryError::NoConnection);
    let app = TestApp::builder().repository(Arc::new(store)).start()?;
    app.runner.set_tables(tables());
    for (method, path) in operations {
        app.call(method, path, &[], None).await?.assert_problem(503, "no-connection", path)?;
    }
    Ok(())
}

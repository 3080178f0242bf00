//! Contracts follow changes of tables, types and metricd's own rules, whichever request comes first.

use anyhow::Result;
use metricd_embedded::Cluster;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::external_database::{cluster, external_metricd};
use crate::support::{Server, folder, run};

/// Servers on one database, and a connection as its owner.
struct Fixture {
    folder: TempDir,
    owner: Client,
    servers: Vec<Server>,
    cluster: Cluster,
}

impl Fixture {
    /// Starts this number of servers on a database with these tables.
    async fn new(servers: usize, tables: &str) -> Result<Self> {
        let (cluster, folder) = (cluster()?, folder()?);
        let command = || external_metricd(cluster.connection(), folder.path());
        assert_eq!(run(command()?.arg("migrate"))?.0, 0);
        let url = cluster.connection().owner_url("postgres")?;
        let (owner, connection) = tokio_postgres::connect(url.expose_secret(), NoTls).await?;
        actix_web::rt::spawn(connection);
        owner.batch_execute(&format!("SET search_path = warehouse; {tables}")).await?;
        owner.batch_execute("GRANT SELECT ON ALL TABLES IN SCHEMA warehouse TO reader").await?;
        let servers = (0..servers).map(|_| Server::start(&mut command()?)).collect::<Result<_>>()?;
        Ok(Self { folder, owner, servers, cluster })
    }

    async fn store(&self, id: &str, sql: &str) -> Result<()> {
        let server = &self.servers[0].address;
        let body = json!({"id": id, "title": id, "sql": sql});
        let stored = reqwest::Client::new().post(format!("{server}/metrics")).json(&body).send().await?;
        assert_eq!(stored.status(), 201, "{}", stored.text().await?);
        Ok(())
    }

    /// Returns the stored contract of the metric.
    async fn contract(&self, id: &str) -> Result<Value> {
        let read = "SELECT contract::text FROM catalog.metrics WHERE metric_id = $1";
        let contract: String = self.owner.query_one(read, &[&id]).await?.get(0);
        Ok(serde_json::from_str(&contract)?)
    }

    async fn get(&self, path: &str) -> Result<(u16, String)> {
        let response = reqwest::get(format!("{}{path}", self.servers[0].address)).await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    async fn json(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.get(path).await?.1)?)
    }
}

#[actix_web::test]
async fn a_contract_of_another_version_is_renewed_when_a_period_is_requested() -> Result<()> {
    let tables = "CREATE TABLE sales (day date, amount integer);
                  INSERT INTO sales VALUES ('2025-06-01', 1), ('2025-06-02', 2), ('2025-06-03', 4)";
    let fixture = Fixture::new(2, tables).await?;
    fixture.store("total", "SELECT sum(amount) AS total FROM sales").await?;
    let current = fixture.contract("total").await?;
    assert_eq!(current["period"]["applied"], "narrowed");
    // The oldest contracts have neither the revision nor the labels of enum types.
    for old in ["contract - 'period_revision' - 'enums'", "jsonb_set(contract, '{period_revision}', '0')"] {
        for path in ["/metrics/total?", "/results?metric_id=total&"] {
            fixture.owner.execute(&format!("UPDATE catalog.metrics SET contract = {old}"), &[]).await?;
            assert_ne!(fixture.contract("total").await?, current);
            // Concurrent requests to both servers, before either has notified the other.
            let request = |number: usize| {
                let server = &fixture.servers[number % fixture.servers.len()].address;
                let url = format!("{server}{path}start_date=2025-06-02&end_date=2025-06-02");
                actix_web::rt::spawn(async move {
                    let response = reqwest::get(url).await?;
                    anyhow::Ok((response.status().as_u16(), response.json::<Value>().await?))
                })
            };
            for response in (0..8).map(request).collect::<Vec<_>>() {
                let (status, answer) = response.await??;
                let result = if answer["results"].is_array() { &answer["results"][0]["result"] } else { &answer };
                assert_eq!((status, &result["rows"]), (200, &json!([{"total": 2}])), "{old} {answer}");
                assert_eq!(result["period"]["applied"], "narrowed");
            }
            assert_eq!(fixture.contract("total").await?, current, "it is stored");
        }
    }
    let history = fixture.json("/metrics/total/history").await?;
    assert_eq!(history["items"].as_array().map(Vec::len), Some(1), "the metric has not changed: {history}");
    Ok(())
}

#[actix_web::test]
async fn documents_describe_the_sql_as_postgresql_does_now() -> Result<()> {
    let tables = "CREATE TYPE mood AS ENUM ('sad', 'ok');
                  CREATE TABLE notes (day date, mood mood, code integer);
                  INSERT INTO notes VALUES ('2025-06-01', 'ok', 7)";
    let fixture = Fixture::new(1, tables).await?;
    fixture.store("notes", "SELECT mood FROM notes WHERE code = :code").await?;
    let definition = "/metrics/notes/definition";
    let schema = async || anyhow::Ok(fixture.json("/metrics/notes/openapi.json").await?.to_string());
    assert!(schema().await?.contains(r#"["sad","ok",null]"#), "{}", schema().await?);

    fixture.owner.batch_execute("ALTER TYPE warehouse.mood ADD VALUE 'glad'").await?;
    assert!(schema().await?.contains(r#"["sad","ok","glad",null]"#), "{}", schema().await?);
    fixture.owner.batch_execute("ALTER TYPE warehouse.mood RENAME TO \"select\"").await?;
    assert_eq!(fixture.json(definition).await?["contract"]["columns"][0]["type"], "\"select\"");
    let stored = fixture.contract("notes").await?;
    assert_eq!(fixture.json("/metrics/notes?code=7").await?["columns"][0]["type"], "\"select\"");
    assert_eq!(fixture.contract("notes").await?, stored, "a type that is named like a keyword is the same type");

    // The parameter's type does not show in the result.
    fixture.owner.batch_execute("ALTER TABLE warehouse.notes ALTER code TYPE text").await?;
    let (code, document, error) =
        run(external_metricd(fixture.cluster.connection(), fixture.folder.path())?
            .args(["openapi", "--metric", "notes"]))?;
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(fixture.contract("notes").await?, stored, "a command that reads stores nothing");
    assert_eq!(fixture.json(definition).await?["contract"]["parameters"][0]["type"], "text");
    let served: Value = serde_json::from_str(&schema().await?)?;
    assert_eq!(serde_json::from_str::<Value>(&document)?, served);

    fixture.owner.batch_execute("ALTER TABLE warehouse.notes ADD seen timestamptz").await?;
    let contract = fixture.json(definition).await?["contract"].clone();
    assert_eq!(contract["tables"][0]["time_columns"][1]["name"], "seen", "{contract}");
    assert_eq!(contract["period"]["applied"], "unsupported", "the table has two time columns now: {contract}");

    // A renamed or restored metric is returned with its current contract.
    let client = reqwest::Client::new();
    let metric = format!("{}/metrics/notes", fixture.servers[0].address);
    fixture.owner.batch_execute("ALTER TABLE warehouse.notes ALTER code TYPE bigint USING code::bigint").await?;
    let renamed: Value = client.patch(&metric).json(&json!({"title": "Notes"})).send().await?.json().await?;
    assert_eq!(renamed["contract"]["parameters"][0]["type"], "bigint", "{renamed}");
    assert_eq!(client.delete(&metric).send().await?.status(), 204);
    fixture.owner.batch_execute("ALTER TABLE warehouse.notes DROP seen").await?;
    let restored: Value = client.post(format!("{metric}/restore")).send().await?.json().await?;
    assert_eq!(restored["contract"]["period"]["applied"], "narrowed", "{restored}");
    Ok(())
}

/// Documents name the keys that tables have now. Results are the same with and without them.
#[actix_web::test]
async fn documents_follow_foreign_keys_and_results_do_not_depend_on_them() -> Result<()> {
    let tables = "CREATE TABLE customers (id integer PRIMARY KEY);
                  INSERT INTO customers VALUES (1);
                  CREATE TABLE orders (customer_id integer);
                  INSERT INTO orders VALUES (1)";
    let fixture = Fixture::new(1, tables).await?;
    fixture.store("orders", "SELECT customer_id AS buyer FROM orders").await?;
    let described = async || {
        let document = fixture.json("/metrics/orders/openapi.json").await?;
        anyhow::Ok(document["components"]["schemas"]["orders-row"]["properties"]["buyer"]["description"].clone())
    };
    let (without, with) =
        ("PostgreSQL's `integer`.", "References `warehouse.customers.id`.\n\nPostgreSQL's `integer`.");
    assert_eq!(described().await?, without);
    let add =
        "ALTER TABLE warehouse.orders ADD CONSTRAINT buyer FOREIGN KEY (customer_id) REFERENCES warehouse.customers";
    let drop = "ALTER TABLE warehouse.orders DROP CONSTRAINT buyer";
    for (change, expected) in [(add, with), (drop, without), (add, with)] {
        let before = fixture.contract("orders").await?;
        fixture.owner.batch_execute(change).await?;
        for path in ["/metrics/orders", "/metrics/orders?format=csv", "/results?metric_id=orders"] {
            let (status, answer) = fixture.get(path).await?;
            assert!(status == 200 && answer.contains('1') && !answer.contains("problem"), "{path}: {answer}");
        }
        assert_eq!(fixture.contract("orders").await?, before, "{change}: a result does not renew the contract");
        let check = run(external_metricd(fixture.cluster.connection(), fixture.folder.path())?.arg("check"))?;
        assert_eq!(check.0, 0, "{change}: {check:?}");
        assert_eq!(described().await?, expected, "{change}");
        assert_ne!(fixture.contract("orders").await?, before, "{change}: it is stored");
        let served = fixture.json("/metrics/orders/definition").await?;
        assert_eq!(served["contract"]["tables"][0]["foreign_keys"].is_array(), expected == with, "{served}");
    }

    // A contract of a release that did not know foreign keys.
    let stored = fixture.contract("orders").await?;
    let old = "UPDATE catalog.metrics SET contract = contract #- '{tables,0,foreign_keys}' #- '{columns,0,references}'";
    fixture.owner.execute(old, &[]).await?;
    assert_ne!(fixture.contract("orders").await?, stored);
    assert_eq!(fixture.get("/metrics/orders").await?.0, 200);
    assert_eq!(described().await?, with);
    assert_eq!(fixture.contract("orders").await?, stored);
    let history = fixture.json("/metrics/orders/history").await?;
    assert_eq!(history["items"].as_array().map(Vec::len), Some(1), "the metric has not changed: {history}");
    Ok(())
}

#[actix_web::test]
async fn results_are_right_after_tables_have_changed() -> Result<()> {
    let tables = "CREATE TABLE parts (day date, code integer, name text);
                  INSERT INTO parts VALUES ('2025-06-01', 7, 'a'), ('2025-06-02', 7, 'b'), ('2025-06-03', 8, 'c');
                  CREATE TABLE names AS SELECT name FROM parts;
                  INSERT INTO catalog.dashboards (dashboard_id, name) VALUES ('d1', 'One')";
    let fixture = Fixture::new(1, tables).await?;
    fixture.store("coded", "SELECT code, name FROM parts WHERE code = :code ORDER BY name").await?;
    fixture.store("number", "SELECT count(*) AS n FROM parts").await?;
    fixture.store("joined", "SELECT count(*) AS n FROM parts NATURAL JOIN names").await?;
    let item = "INSERT INTO catalog.dashboard_items (dashboard_id, metric_id) VALUES ('d1', 'coded')";
    fixture.owner.batch_execute(item).await?;

    // As an integer, `007` would be `7`.
    let paths = [
        "/metrics/coded?code=007",
        "/metrics/coded?format=csv&code=007",
        "/metrics/coded?format=ndjson&code=007",
        "/results?metric_id=coded&code=007",
        "/dashboards/d1/results?code=007",
    ];
    for path in paths {
        fixture.owner.batch_execute("ALTER TABLE warehouse.parts ALTER code TYPE integer USING code::integer").await?;
        let (status, answer) = fixture.get(path).await?;
        assert!(status == 200 && answer.contains('a') && answer.contains('b') && !answer.contains("007"), "{answer}");
        let types =
            |contract: &Value| (contract["columns"][0]["type"].clone(), contract["parameters"][0]["type"].clone());
        assert_eq!(types(&fixture.contract("coded").await?), (json!("integer"), json!("integer")));
        let change = "ALTER TABLE warehouse.parts ALTER code TYPE text USING lpad(code::text, 3, '0')";
        fixture.owner.batch_execute(change).await?;
        let (status, answer) = fixture.get(path).await?;
        assert!(status == 200 && answer.contains("007") && answer.contains('b'), "{path}: {answer}");
        assert_eq!(types(&fixture.contract("coded").await?), (json!("text"), json!("text")), "{path}");
    }

    // The period narrows by a column that the SQL does not name.
    let period = "start_date=2025-06-02&end_date=2025-06-03";
    let paths = [format!("/metrics/number?{period}"), format!("/results?metric_id=number&{period}")];
    let number = |answer: &Value| {
        let result = if answer["results"].is_array() { &answer["results"][0]["result"] } else { answer };
        result["rows"][0]["n"].clone()
    };
    // The natural join compares columns that the SQL does not name.
    let joined = format!("/metrics/joined?{period}");
    assert_eq!(number(&fixture.json(&joined).await?), 2);
    for (table, value) in [("parts", 1), ("names", 2)] {
        fixture
            .owner
            .batch_execute(&format!("ALTER TABLE warehouse.{table} ADD extra integer DEFAULT {value}"))
            .await?;
    }
    for path in ["/metrics/joined", &joined] {
        assert_eq!(number(&fixture.json(path).await?), 0, "{path}");
    }

    let changes = [
        "SELECT",
        // Noon of the last day is in the period.
        "ALTER TABLE warehouse.parts ALTER day TYPE timestamp USING day + interval '12 hours'",
        "ALTER TABLE warehouse.parts ALTER day TYPE timestamptz",
        "ALTER TABLE warehouse.parts RENAME day TO sold",
        "ALTER TABLE warehouse.parts ALTER sold TYPE date",
    ];
    for change in changes {
        fixture.owner.batch_execute(change).await?;
        for path in &paths {
            let answer = fixture.json(path).await?;
            assert_eq!(number(&answer), 2, "{change}: {answer}");
        }
    }
    Ok(())
}

//! Contracts after tables, types or metricd's own rules have changed: what is served follows, whoever asks for it first.

use anyhow::Result;
use metricd_embedded::Cluster;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::operators::{cluster, operators};
use crate::support::{Server, folder, run};

/// Servers on one database, whose owner is connected, too.
struct World {
    folder: TempDir,
    owner: Client,
    servers: Vec<Server>,
    cluster: Cluster,
}

impl World {
    /// As many servers, over these tables.
    async fn new(servers: usize, tables: &str) -> Result<Self> {
        let (cluster, folder) = (cluster()?, folder()?);
        let command = || operators(cluster.connection(), folder.path());
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

    /// The metric's contract in the store.
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
async fn a_contract_of_another_version_of_metricd_is_validated_again_when_a_period_is_asked_for() -> Result<()> {
    let tables = "CREATE TABLE sales (day date, amount integer);
                  INSERT INTO sales VALUES ('2025-06-01', 1), ('2025-06-02', 2), ('2025-06-03', 4)";
    let world = World::new(2, tables).await?;
    world.store("total", "SELECT sum(amount) AS total FROM sales").await?;
    let current = world.contract("total").await?;
    assert_eq!(current["period"]["applied"], "narrowed");
    // The revision is absent from the oldest contracts; their labels of enum types as well.
    for old in ["contract - 'period_revision' - 'enums'", "jsonb_set(contract, '{period_revision}', '0')"] {
        for path in ["/metrics/total?", "/results?metric_id=total&"] {
            world.owner.execute(&format!("UPDATE catalog.metrics SET contract = {old}"), &[]).await?;
            assert_ne!(world.contract("total").await?, current);
            // Both servers, several requests at once, before either has told the other.
            let ask = |number: usize| {
                let server = &world.servers[number % world.servers.len()].address;
                let url = format!("{server}{path}start_date=2025-06-02&end_date=2025-06-02");
                actix_web::rt::spawn(async move {
                    let response = reqwest::get(url).await?;
                    anyhow::Ok((response.status().as_u16(), response.json::<Value>().await?))
                })
            };
            for asked in (0..8).map(ask).collect::<Vec<_>>() {
                let (status, answer) = asked.await??;
                let result = if answer["results"].is_array() { &answer["results"][0]["result"] } else { &answer };
                assert_eq!((status, &result["rows"]), (200, &json!([{"total": 2}])), "{old} {answer}");
                assert_eq!(result["period"]["applied"], "narrowed");
            }
            assert_eq!(world.contract("total").await?, current, "it is stored");
        }
    }
    let history = world.json("/metrics/total/history").await?;
    assert_eq!(history["items"].as_array().map(Vec::len), Some(1), "nobody has changed the metric: {history}");
    Ok(())
}

#[actix_web::test]
async fn documents_say_what_postgresql_says_of_the_sql_now() -> Result<()> {
    let tables = "CREATE TYPE mood AS ENUM ('sad', 'ok');
                  CREATE TABLE notes (day date, mood mood, code integer);
                  INSERT INTO notes VALUES ('2025-06-01', 'ok', 7)";
    let world = World::new(1, tables).await?;
    world.store("notes", "SELECT mood FROM notes WHERE code = :code").await?;
    let definition = "/metrics/notes/definition";
    let schema = async || anyhow::Ok(world.json("/metrics/notes/openapi.json").await?.to_string());
    assert!(schema().await?.contains(r#"["sad","ok",null]"#), "{}", schema().await?);

    world.owner.batch_execute("ALTER TYPE warehouse.mood ADD VALUE 'glad'").await?;
    assert!(schema().await?.contains(r#"["sad","ok","glad",null]"#), "{}", schema().await?);
    world.owner.batch_execute("ALTER TYPE warehouse.mood RENAME TO \"select\"").await?;
    assert_eq!(world.json(definition).await?["contract"]["columns"][0]["type"], "\"select\"");
    let stored = world.contract("notes").await?;
    assert_eq!(world.json("/metrics/notes?code=7").await?["columns"][0]["type"], "\"select\"");
    assert_eq!(world.contract("notes").await?, stored, "a type that is named like a word of SQL is no other one");

    // Of the parameter's type nothing shows in the result.
    world.owner.batch_execute("ALTER TABLE warehouse.notes ALTER code TYPE text").await?;
    let (code, document, error) =
        run(operators(world.cluster.connection(), world.folder.path())?.args(["openapi", "--metric", "notes"]))?;
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(world.contract("notes").await?, stored, "a command that reads stores nothing");
    assert_eq!(world.json(definition).await?["contract"]["parameters"][0]["type"], "text");
    let served: Value = serde_json::from_str(&schema().await?)?;
    assert_eq!(serde_json::from_str::<Value>(&document)?, served);

    world.owner.batch_execute("ALTER TABLE warehouse.notes ADD seen timestamptz").await?;
    let contract = world.json(definition).await?["contract"].clone();
    assert_eq!(contract["tables"][0]["time_columns"][1]["name"], "seen", "{contract}");
    assert_eq!(contract["period"]["applied"], "unsupported", "there are two of them now: {contract}");

    // What is renamed, or brought back, says what it is now.
    let client = reqwest::Client::new();
    let metric = format!("{}/metrics/notes", world.servers[0].address);
    world.owner.batch_execute("ALTER TABLE warehouse.notes ALTER code TYPE bigint USING code::bigint").await?;
    let renamed: Value = client.patch(&metric).json(&json!({"title": "Notes"})).send().await?.json().await?;
    assert_eq!(renamed["contract"]["parameters"][0]["type"], "bigint", "{renamed}");
    assert_eq!(client.delete(&metric).send().await?.status(), 204);
    world.owner.batch_execute("ALTER TABLE warehouse.notes DROP seen").await?;
    let restored: Value = client.post(format!("{metric}/restore")).send().await?.json().await?;
    assert_eq!(restored["contract"]["period"]["applied"], "narrowed", "{restored}");
    Ok(())
}

#[actix_web::test]
async fn results_are_right_whatever_has_become_of_the_tables() -> Result<()> {
    let tables = "CREATE TABLE parts (day date, code integer, name text);
                  INSERT INTO parts VALUES ('2025-06-01', 7, 'a'), ('2025-06-02', 7, 'b'), ('2025-06-03', 8, 'c');
                  CREATE TABLE names AS SELECT name FROM parts;
                  INSERT INTO catalog.dashboards (dashboard_id, name) VALUES ('d1', 'One')";
    let world = World::new(1, tables).await?;
    world.store("coded", "SELECT code, name FROM parts WHERE code = :code ORDER BY name").await?;
    world.store("number", "SELECT count(*) AS n FROM parts").await?;
    world.store("joined", "SELECT count(*) AS n FROM parts NATURAL JOIN names").await?;
    let item = "INSERT INTO catalog.dashboard_items (dashboard_id, metric_id) VALUES ('d1', 'coded')";
    world.owner.batch_execute(item).await?;

    // Of an integer, `007` would be `7`.
    let paths = [
        "/metrics/coded?code=007",
        "/metrics/coded?format=csv&code=007",
        "/metrics/coded?format=ndjson&code=007",
        "/results?metric_id=coded&code=007",
        "/dashboards/d1/results?code=007",
    ];
    for path in paths {
        world.owner.batch_execute("ALTER TABLE warehouse.parts ALTER code TYPE integer USING code::integer").await?;
        let (status, answer) = world.get(path).await?;
        assert!(status == 200 && answer.contains('a') && answer.contains('b') && !answer.contains("007"), "{answer}");
        let of = |contract: &Value| (contract["columns"][0]["type"].clone(), contract["parameters"][0]["type"].clone());
        assert_eq!(of(&world.contract("coded").await?), (json!("integer"), json!("integer")));
        let change = "ALTER TABLE warehouse.parts ALTER code TYPE text USING lpad(code::text, 3, '0')";
        world.owner.batch_execute(change).await?;
        let (status, answer) = world.get(path).await?;
        assert!(status == 200 && answer.contains("007") && answer.contains('b'), "{path}: {answer}");
        assert_eq!(of(&world.contract("coded").await?), (json!("text"), json!("text")), "{path}");
    }

    // A period, of a column that the SQL does not name.
    let period = "start_date=2025-06-02&end_date=2025-06-03";
    let paths = [format!("/metrics/number?{period}"), format!("/results?metric_id=number&{period}")];
    let number = |answer: &Value| {
        let result = if answer["results"].is_array() { &answer["results"][0]["result"] } else { answer };
        result["rows"][0]["n"].clone()
    };
    // Columns by which tables are joined, and that the SQL does not name.
    let joined = format!("/metrics/joined?{period}");
    assert_eq!(number(&world.json(&joined).await?), 2);
    for (table, value) in [("parts", 1), ("names", 2)] {
        world.owner.batch_execute(&format!("ALTER TABLE warehouse.{table} ADD extra integer DEFAULT {value}")).await?;
    }
    for path in ["/metrics/joined", &joined] {
        assert_eq!(number(&world.json(path).await?), 0, "{path}");
    }

    let changes = [
        "SELECT",
        // Noon of the last day is inside.
        "ALTER TABLE warehouse.parts ALTER day TYPE timestamp USING day + interval '12 hours'",
        "ALTER TABLE warehouse.parts ALTER day TYPE timestamptz",
        "ALTER TABLE warehouse.parts RENAME day TO sold",
        "ALTER TABLE warehouse.parts ALTER sold TYPE date",
    ];
    for change in changes {
        world.owner.batch_execute(change).await?;
        for path in &paths {
            let answer = world.json(path).await?;
            assert_eq!(number(&answer), 2, "{change}: {answer}");
        }
    }
    Ok(())
}

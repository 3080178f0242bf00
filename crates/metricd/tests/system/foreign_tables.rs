//! A table that is partitioned over several servers.

use std::process::Command;

use anyhow::Result;
use reqwest::header::{ETAG, HeaderMap, IF_NONE_MATCH};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::data_apart::owner_of;
use crate::definitions::call;
use crate::external_database::{cluster, external_metricd};
use crate::support::{Server, folder, run};

async fn get(server: &Server, path: &str, tag: Option<&str>) -> Result<(u16, HeaderMap, Value)> {
    let mut request = reqwest::Client::new().get(format!("{}{path}", server.address));
    if let Some(tag) = tag {
        request = request.header(IF_NONE_MATCH, tag);
    }
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await?;
    Ok((status, headers, serde_json::from_slice(&body).unwrap_or_default()))
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

#[actix_web::test]
async fn metrics_read_a_table_that_is_partitioned_over_servers() -> Result<()> {
    let (cluster, folder) = (cluster()?, folder()?);
    let data_dir = folder.path().join("data");
    let command = |arguments: &[&str]| -> Result<Command> {
        let mut command = external_metricd(cluster.connection(), &data_dir)?;
        command.args(arguments);
        Ok(command)
    };
    let (code, _, error) = run(&mut command(&["migrate"])?)?;
    assert_eq!(code, 0, "{error}");
    let owner = owner_of(&cluster, "postgres").await?;
    owner.batch_execute("CREATE DATABASE eu").await?;
    let eu = owner_of(&cluster, "eu").await?;
    eu.batch_execute(
        "CREATE TABLE sales (region text, amount integer);
         INSERT INTO sales SELECT 'eu', 1 FROM generate_series(1, 1000);
         GRANT SELECT ON sales TO reader",
    )
    .await?;
    let (port, password) =
        (cluster.connection().port(), cluster.connection().password("reader")?.expose_secret().to_owned());
    owner
        .batch_execute(&format!(
            "CREATE EXTENSION postgres_fdw SCHEMA public;
             CREATE SERVER eu FOREIGN DATA WRAPPER postgres_fdw
             OPTIONS (host '127.0.0.1', port '{port}', dbname 'eu', use_remote_estimate 'true', connect_timeout '2');
             CREATE TABLE warehouse.sales (region text, amount integer) PARTITION BY LIST (region);
             CREATE TABLE warehouse.sales_us PARTITION OF warehouse.sales FOR VALUES IN ('us');
             CREATE FOREIGN TABLE warehouse.sales_eu PARTITION OF warehouse.sales FOR VALUES IN ('eu') SERVER eu
             OPTIONS (schema_name 'public', table_name 'sales');
             INSERT INTO warehouse.sales VALUES ('us', 5);
             GRANT SELECT ON ALL TABLES IN SCHEMA warehouse TO reader"
        ))
        .await?;

    let (code, page, _) = run(&mut command(&["connect"])?)?;
    assert!(
        code == 0 && page.contains("the reader `reader` has no user mapping for the foreign server `eu`"),
        "{page}"
    );
    owner
        .batch_execute(&format!(
            "CREATE USER MAPPING FOR reader SERVER eu OPTIONS (user 'reader', password '{password}')"
        ))
        .await?;
    let (code, page, _) = run(&mut command(&["connect"])?)?;
    assert!(code == 0 && !page.contains("foreign server"), "{page}");

    let server = Server::start(&mut command(&[])?)?;
    for (id, sql) in [
        ("total", "SELECT sum(amount) AS amount FROM sales"),
        ("by-region", "SELECT region, sum(amount) AS amount FROM sales GROUP BY region ORDER BY region"),
        ("records", "SELECT count(*) AS n FROM generate_series(1, 3)"),
    ] {
        let metric = json!({"id": id, "title": id, "sql": sql});
        let (status, _, created) = call("POST", format!("{}/metrics", server.address), None, Some(metric)).await?;
        assert_eq!(status, 201, "{created}");
    }
    let (status, headers, total) = get(&server, "/metrics/total", None).await?;
    assert_eq!((status, &total["rows"]), (200, &json!([{"amount": 1005}])), "{total}");
    assert_eq!(header(&headers, "metricd-snapshot"), "per-server");
    let (_, local, _) = get(&server, "/metrics/records", None).await?;
    assert_eq!(header(&local, "metricd-snapshot"), "");
    let path = "/results?metric_id=total&metric_id=by-region&metric_id=records";
    let (status, several, results) = get(&server, path, None).await?;
    assert_eq!((status, header(&several, "metricd-snapshot").as_str()), (200, "per-server"), "{results}");

    // The primary's snapshot does not change with the other server's rows.
    let tag = header(&headers, ETAG.as_str());
    for _ in 0..3 {
        assert_eq!(get(&server, "/metrics/total", Some(&tag)).await?.0, 304);
    }
    eu.batch_execute("UPDATE sales SET amount = 2").await?;
    let (status, _, total) = get(&server, "/metrics/total", Some(&tag)).await?;
    assert_eq!((status, &total["rows"]), (200, &json!([{"amount": 2005}])), "{total}");

    let mut of_tenants = command(&["--tenant-claim", "shop"])?;
    of_tenants.env_remove("METRICD_INSECURE_ALLOW_ANONYMOUS").env("METRICD_JWT_SECRET", "x".repeat(32));
    let (code, _, error) = run(&mut of_tenants)?;
    assert!(
        code == 1 && error.contains("`warehouse.sales_eu` (a foreign table has no row security: revoke SELECT"),
        "{error}"
    );
    Ok(())
}

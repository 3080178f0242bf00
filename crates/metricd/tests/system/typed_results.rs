//! Results match the OpenAPI documents of their metrics, for values of every kind.

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{Server, folder, metricd};

/// Values of every kind of type: ordinary, special and NULL.
const SQL: &str = "
    SELECT 1::smallint AS a, 2147483647 AS b, 9223372036854775807 AS c, 1.50 AS d, 'NaN'::numeric AS e,
           'Infinity'::float8 AS f, 0.1::real AS g, true AS h, 'x' AS i, 'y'::varchar(3) AS j,
           DATE '2025-06-01' AS k, 'infinity'::date AS l, TIMESTAMP '2025-06-01 12:00' AS m,
           TIMESTAMPTZ '2025-06-01 12:00+02' AS n, '5ef2f7a6-0000-4000-8000-000000000000'::uuid AS o,
           '{\"a\": [1, null]}'::jsonb AS p, 'null'::json AS q, '\\x00ff'::bytea AS r, ARRAY[1, NULL] AS s,
           ARRAY[[1.5, 2], ['NaN'::numeric, 4]] AS t, ARRAY[]::text[] AS u, INTERVAL '1 day' AS v, int4range(1, 5) AS w,
           ARRAY['{}'::jsonb] AS x
    UNION ALL
    SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
           NULL, NULL, NULL, NULL, NULL, NULL";

/// Returns the violations of the schema, each with its place in the value.
fn violations(document: &Value, schema: &Value, value: &Value) -> Result<Vec<String>> {
    let root = json!({"components": document["components"], "allOf": [schema]});
    let validator = jsonschema::options().should_validate_formats(true).build(&root)?;
    Ok(validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect())
}

/// Returns the schema of the operation's response with status 200.
fn response_schema<'a>(document: &'a Value, path: &str) -> Result<&'a Value> {
    let response = &document["paths"][path]["get"]["responses"]["200"];
    response["content"]["application/json"].get("schema").context("a schema")
}

#[actix_web::test]
async fn results_match_their_documents() -> Result<()> {
    let folder = folder()?;
    let server = Server::start(&mut metricd(&folder.path().join("data")))?;
    let body = json!({"id": "types", "title": "Types", "sql": SQL});
    let created = reqwest::Client::new().post(format!("{}/metrics", server.address)).json(&body).send().await?;
    assert_eq!(created.status(), 201, "{}", created.text().await?);

    let (_, document) = server.get("/metrics/types/openapi.json").await?;
    let (status, mut result) = server.get("/metrics/types").await?;
    assert_eq!((status, &result["row_count"]), (200, &json!(2)), "{result}");
    let schema = response_schema(&document, "/metrics/types")?;
    assert_eq!(violations(&document, schema, &result)?, Vec::<String>::new());
    for (column, wrong) in [
        ("b", json!("1")),
        ("d", json!("1.5")),
        ("h", json!(1)),
        ("s", json!(1)),
        ("i", json!(1)),
        ("l", json!("soon")),
    ] {
        result["rows"][1][column] = wrong;
        let found = violations(&document, schema, &result)?;
        assert!(
            found.iter().any(|violation| violation.starts_with(&format!("/rows/1/{column}"))),
            "{column}: {found:?}"
        );
    }
    result["rows"][1] = json!({"a": 1});
    assert!(violations(&document, schema, &result)?.len() > 1, "every column is required");

    let (_, document) = server.get("/dashboards/spare-parts/openapi.json").await?;
    let (_, results) = server.get("/dashboards/spare-parts/results").await?;
    let schema = response_schema(&document, "/dashboards/spare-parts/results")?;
    assert_eq!(violations(&document, schema, &results)?, Vec::<String>::new());
    for entry in results["results"].as_array().context("entries")? {
        let id = entry["metric_id"].as_str().context("an id")?;
        let schema = response_schema(&document, &format!("/metrics/{id}"))?;
        assert_eq!(violations(&document, schema, &entry["result"])?, Vec::<String>::new(), "{id}");
    }
    let mut swapped = results.clone();
    swapped["results"].as_array_mut().context("entries")?.swap(0, 1);
    assert!(!violations(&document, schema, &swapped)?.is_empty(), "the entries have an order");
    server.stop(Signal::SIGTERM)?;
    Ok(())
}

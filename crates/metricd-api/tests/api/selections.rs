//! Sorts, filters and pages of results.

use anyhow::{Context, Result};
use metricd_domain::ContractColumn;
use metricd_execution::testing::{Ending, ScriptedResult};
use metricd_execution::{Column, FieldType, Resolution, ResolveError, RunError};
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, eventually};

const SQL: &str = "SELECT id, country, amount, doc FROM sales";

/// The statement that runs for a selection with this condition and order.
fn wrapped(condition: &str) -> String {
    format!("SELECT * FROM (\n{SQL}\n) AS result{condition}")
}

fn columns() -> Vec<ContractColumn> {
    [("id", "integer"), ("country", "text"), ("amount", "numeric"), ("doc", "jsonb")]
        .into_iter()
        .map(|(name, type_name)| ContractColumn::new(name, type_name))
        .collect()
}

/// A server with the metric `sales`, whose result depends on data and values alone.
async fn app() -> Result<TestApp> {
    let app = TestApp::start().await?;
    let resolution = Resolution { columns: columns(), fingerprint: Some("f1".into()), ..Resolution::default() };
    app.resolver.answer(SQL, Ok(resolution));
    let created = app.call("POST", "/metrics", &[], Some(json!({"id": "sales", "title": "Sales", "sql": SQL}))).await?;
    assert_eq!(created.status, 201, "{created:?}");
    Ok(app)
}

/// Makes the statement return the numbers 1 to `count`, or fewer.
fn script_numbers(app: &TestApp, text: &str, count: i32) {
    let column = Column { name: "id".into(), type_name: "integer".into(), field_type: FieldType::Integer };
    app.runner.script_result(text, move || {
        let rows = (1..=count).map(|number| vec![Some(number.to_be_bytes().to_vec())]).collect();
        Ok(ScriptedResult { columns: vec![column.clone()], rows, ending: Ending::Complete })
    });
}

const BY_COUNTRY: &str =
    " WHERE CAST(\"country\" AS pg_catalog.text) OPERATOR(pg_catalog.=) CAST($1 AS pg_catalog.text)";

#[actix_web::test]
async fn a_selection_wraps_the_statement_and_binds_its_values() -> Result<()> {
    let app = app().await?;
    let page = " LIMIT $1 OFFSET $2";
    let sorted = " ORDER BY \"amount\" DESC NULLS LAST, \"country\" ASC NULLS LAST LIMIT $2 OFFSET $3";
    for text in [format!("{BY_COUNTRY}{sorted}"), page.to_owned(), format!("{BY_COUNTRY} LIMIT $2 OFFSET $3")] {
        app.runner.script_arguments(&wrapped(&text));
    }
    app.runner.script_arguments(SQL);
    for (query, values, selection) in [
        (
            "?sort=-amount,country&filter=country.eq.DE&limit=20&offset=40",
            vec!["DE", "21", "40"],
            json!({"sort": ["-amount", "country"], "filter": ["country.eq.DE"], "offset": 40}),
        ),
        (
            "?filter=country.eq.a.b%2C%22c%22%20'--%2B&limit=5",
            vec!["a.b,\"c\" '--+", "6", "0"],
            json!({"sort": [], "filter": ["country.eq.a.b,\"c\" '--+"], "offset": 0}),
        ),
        ("?offset=1", vec!["1001", "1"], json!({"sort": [], "filter": [], "offset": 1})),
        ("?offset=0", vec![], Value::Null),
        ("?limit=7", vec![], Value::Null),
    ] {
        let answer = app.get(&format!("/metrics/sales{query}")).await?;
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        let result = answer.json()?;
        let found: Vec<_> = result["rows"].as_array().context("rows")?.iter().map(|row| row["value"].clone()).collect();
        assert_eq!(found, values, "{query}");
        assert_eq!(result.get("selection").unwrap_or(&Value::Null), &selection, "{query}");
    }
    Ok(())
}

#[actix_web::test]
async fn a_page_is_truncated_if_rows_follow_in_every_format() -> Result<()> {
    let app = app().await?;
    let text = wrapped(" ORDER BY \"id\" ASC NULLS LAST LIMIT $1 OFFSET $2");
    for (count, is_truncated) in [(3, "true"), (2, "")] {
        script_numbers(&app, &text, count);
        for format in ["json", "csv", "ndjson", "parquet", "arrow", "xlsx"] {
            let response = app.client.get(app.url(&format!("/metrics/sales?sort=id&limit=2&format={format}")));
            let response = response.send().await?;
            assert_eq!(response.status(), 200, "{format}");
            let truncated = response.headers().get("x-truncated").map_or("", |value| value.to_str().unwrap_or("?"));
            assert_eq!(truncated, is_truncated, "{format}");
            let body = response.bytes().await?;
            match format {
                "json" => {
                    let result: Value = serde_json::from_slice(&body)?;
                    assert_eq!((&result["row_count"], &result["truncated"]), (&json!(2), &json!(count == 3)));
                }
                "csv" => assert_eq!(&body[..], b"id\r\n1\r\n2\r\n"),
                "ndjson" => assert_eq!(&body[..], b"{\"id\":1}\n{\"id\":2}\n"),
                _ => assert!(body.len() > 100, "{format}"),
            }
        }
    }
    // Without a limit, the limit of a stream applies.
    app.runner.script_arguments(&text);
    let answer = app.get("/metrics/sales?sort=id&format=csv").await?;
    assert_eq!(answer.body, "value\r\n1000001\r\n0\r\n");
    Ok(())
}

#[actix_web::test]
async fn every_fault_of_a_selection_is_reported() -> Result<()> {
    let app = app().await?;
    let too_many = "filter=id.gt.1&".repeat(21);
    for (query, fields, message) in [
        ("?sort=x", vec!["sort"], "the result has no column `x`: expected one of `id`, `country`, `amount`, `doc`"),
        ("?sort=id,id", vec!["sort"], "occurs twice"),
        ("?sort=", vec!["sort"], "a column is missing"),
        ("?sort=id&sort=country", vec!["sort"], "the parameter occurs 2 times"),
        ("?filter=id.eq.x", vec!["filter"], "`id.eq.x`: `x` is not valid: expected an integer"),
        ("?filter=id.like.1*&filter=doc.gt.1", vec!["filter", "filter"], "type `integer` has no operator `like`"),
        ("?filter=", vec!["filter"], "expected `column.operator.value`"),
        ("?filter=id.fts.1", vec!["filter"], "of PostgREST is not supported: expected `eq`"),
        ("?filter=country.eq.%00", vec!["filter"], "NUL"),
        ("?offset=-1", vec!["offset"], "expected a whole number from 0 to 1000000"),
        ("?offset=1000001", vec!["offset"], "expected a whole number from 0 to 1000000"),
        ("?offset=1&offset=2", vec!["offset"], "the parameter occurs 2 times"),
        (&format!("?{too_many}"), vec!["filter"], "occurs 21 times: expected at most 20 filters"),
        (
            "?sort=-&filter=x&offset=x&limit=0&format=x&y=1",
            vec!["filter", "format", "limit", "offset", "sort", "y"],
            "expected `column.operator.value`",
        ),
    ] {
        let answer = app.get(&format!("/metrics/sales{query}")).await?;
        let problem = answer.assert_problem(422, "invalid-parameters", "/metrics/sales")?;
        assert_eq!(answer.fields()?, fields, "{query}");
        let first = problem["errors"][0]["message"].as_str().context("a message")?;
        assert!(first.contains(message), "{query}: {first}");
    }
    assert_eq!(app.runner.begun(), 0, "nothing runs");
    Ok(())
}

async fn get(app: &TestApp, query: &str, known: &str) -> Result<Answer> {
    app.call("GET", &format!("/metrics/sales{query}"), &[("if-none-match", known)], None).await
}

#[actix_web::test]
async fn results_of_different_selections_are_never_shared() -> Result<()> {
    let app = app().await?;
    app.runner.set_data("7:7:", "f1");
    let order = |order: &str| format!(" ORDER BY {order} LIMIT $1 OFFSET $2");
    let equal = "CAST(\"amount\" AS pg_catalog.numeric) OPERATOR(pg_catalog.=) CAST($1 AS pg_catalog.numeric)";
    for text in [
        wrapped(&order("\"id\" ASC NULLS LAST")),
        wrapped(&order("\"id\" DESC NULLS LAST")),
        wrapped(&order("\"id\" ASC NULLS LAST, \"country\" ASC NULLS LAST")),
        wrapped(" LIMIT $1 OFFSET $2"),
        wrapped(&format!(" WHERE {equal} LIMIT $2 OFFSET $3")),
        wrapped(&format!(" WHERE NOT ({equal}) LIMIT $2 OFFSET $3")),
        SQL.to_owned(),
    ] {
        // All of them have the same rows.
        script_numbers(&app, &text, 3);
    }
    let queries = [
        "",
        "?sort=id",
        "?sort=-id",
        "?sort=id,country",
        "?offset=1",
        "?offset=2",
        "?sort=id&offset=1",
        "?filter=amount.eq.1",
        "?filter=amount.eq.2",
        // The same value, but the result shows the filter.
        "?filter=amount.eq.01",
        "?filter=amount.not.eq.1",
    ];
    let mut tags = Vec::new();
    for query in queries {
        let answer = app.get(&format!("/metrics/sales{query}")).await?;
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        let tag = answer.header("etag").to_owned();
        assert!(!tags.contains(&tag), "{query}");
        for other in &tags {
            assert_eq!(get(&app, query, other).await?.status, 200, "{query}");
        }
        tags.push(tag);
    }
    // Each is revalidated without a run, by its own tag.
    for (query, tag) in queries.iter().zip(&tags) {
        get(&app, query, tag).await?;
        let begun = app.runner.begun();
        assert_eq!(get(&app, query, tag).await?.status, 304, "{query}");
        assert_eq!(app.runner.begun(), begun, "{query}");
    }
    Ok(())
}

#[actix_web::test]
async fn a_filter_that_only_postgresql_can_parse_is_revalidated_by_a_run() -> Result<()> {
    let app = app().await?;
    app.runner.set_data("7:7:", "f1");
    let contains = "CAST(\"doc\" AS pg_catalog.jsonb) OPERATOR(pg_catalog.@>) CAST($1 AS pg_catalog.jsonb)";
    script_numbers(&app, &wrapped(&format!(" WHERE {contains} LIMIT $2 OFFSET $3")), 1);
    let query = "?filter=doc.cs.%7B%7D";
    let tag = app.get(&format!("/metrics/sales{query}")).await?.header("etag").to_owned();
    for runs in [2, 3] {
        assert_eq!(get(&app, query, &tag).await?.status, 304);
        assert_eq!(app.runner.begun(), runs);
    }
    Ok(())
}

#[actix_web::test]
async fn identical_selections_are_coalesced_and_others_are_not() -> Result<()> {
    let app = app().await?;
    let text = wrapped(" ORDER BY \"id\" ASC NULLS LAST LIMIT $1 OFFSET $2");
    script_numbers(&app, &text, 3);
    let held = app.runner.hold_connections().await;
    let request = |query: &str| {
        let request = app.client.get(app.url(&format!("/metrics/sales{query}")));
        actix_web::rt::spawn(async move { request.send().await?.text().await })
    };
    // The second run waits for the first, and the others join one of the same selection.
    let mut requests = Vec::new();
    for (query, running) in [("?sort=id", 1), ("?sort=id", 2), ("?sort=id&offset=1", 3), ("?sort=id&offset=1", 4)] {
        requests.push((query, request(query)));
        eventually("it runs", || app.runner.running() == running).await?;
    }
    requests.extend(["?sort=id", "?sort=id&offset=1", "?sort=id"].map(|query| (query, request(query))));
    // A request that arrives later is read later.
    for _ in 0..3 {
        app.get("/health").await?;
    }
    drop(held);
    for (query, request) in requests {
        let result: Value = serde_json::from_str(&request.await??)?;
        let offset = i32::from(query.contains("offset"));
        assert_eq!(result["selection"]["offset"], offset, "{query}: {result}");
    }
    Ok(())
}

#[actix_web::test]
async fn a_metrics_own_parameters_of_these_names_are_kept() -> Result<()> {
    let app = TestApp::start().await?;
    let sql = "SELECT :sort AS id, :filter AS b, :offset AS c";
    let numbered = "SELECT $1 AS id, $2 AS b, $3 AS c";
    let columns = ["id", "b", "c"].map(|name| ContractColumn::new(name, "text")).to_vec();
    let parameter_types = vec!["text".to_owned(); 3];
    app.resolver.answer(numbered, Ok(Resolution { columns, parameter_types, ..Resolution::default() }));
    let body = json!({"id": "own", "title": "Own", "sql": sql});
    assert_eq!(app.call("POST", "/metrics", &[], Some(body)).await?.status, 201);
    app.runner.script_arguments(numbered);
    let answer = app.get("/metrics/own?sort=-x&filter=y&offset=z").await?;
    assert_eq!(answer.json()?["rows"], json!([{"value": "-x"}, {"value": "y"}, {"value": "z"}]), "{answer:?}");
    let missing = app.get("/metrics/own?sort=-x").await?;
    assert_eq!(missing.fields()?, ["filter", "offset"]);
    let document = app.get("/metrics/own/openapi.json").await?.json()?;
    let parameters = document["paths"]["/metrics/own"]["get"]["parameters"].as_array().context("parameters")?;
    let own: Vec<_> = parameters.iter().filter(|parameter| parameter["name"] == "sort").collect();
    assert_eq!((own.len(), &own[0]["required"]), (1, &json!(true)), "{document}");
    Ok(())
}

#[actix_web::test]
async fn several_results_are_not_selected_from() -> Result<()> {
    let app = app().await?;
    for query in ["sort=id", "filter=id.eq.1", "offset=1", "sort=id&filter=id.eq.1&offset=1"] {
        let answer = app.get(&format!("/results?metric_id=sales&{query}")).await?;
        let problem = answer.assert_problem(422, "invalid-parameters", "/results")?;
        let message = problem["errors"][0]["message"].as_str().context("a message")?;
        assert!(message.contains("request the metric itself, `/metrics/{metric_id}`"), "{query}: {message}");
        assert_eq!(answer.fields()?.len(), query.split('&').count());
    }
    Ok(())
}

#[actix_web::test]
async fn a_metric_without_known_columns_is_validated_first() -> Result<()> {
    let app = TestApp::start().await?;
    let text = "SELECT * FROM (\nSELECT 1\n) AS result ORDER BY \"one\" ASC NULLS LAST LIMIT $1 OFFSET $2";
    script_numbers(&app, text, 1);
    app.resolver.answer("SELECT 1", Err(ResolveError::Refused { message: "no".into(), hint: None, character: None }));
    let answer = app.get("/metrics/m1?sort=one&filter=one.eq.1&offset=1").await?;
    let problem = answer.assert_problem(422, "invalid-parameters", "/metrics/m1")?;
    assert_eq!(answer.fields()?, ["filter", "offset", "sort"]);
    assert!(problem["errors"][0]["message"].as_str().is_some_and(|text| text.contains("are not known")), "{problem}");

    let app = TestApp::start().await?;
    script_numbers(&app, text, 1);
    let columns = vec![ContractColumn::new("one", "integer")];
    app.resolver.answer("SELECT 1", Ok(Resolution { columns, ..Resolution::default() }));
    let answer = app.get("/metrics/m1?sort=one").await?;
    assert_eq!((answer.status, &answer.json()?["rows"]), (200, &json!([{"id": 1}])), "{answer:?}");
    Ok(())
}

#[actix_web::test]
async fn what_postgresql_refuses_is_a_problem_of_the_request() -> Result<()> {
    let app = app().await?;
    let contains = "CAST(\"doc\" AS pg_catalog.jsonb) OPERATOR(pg_catalog.@>) CAST($1 AS pg_catalog.jsonb)";
    let by_document = wrapped(&format!(" WHERE {contains} LIMIT $2 OFFSET $3"));
    let by_country = wrapped(&format!("{BY_COUNTRY} LIMIT $2 OFFSET $3"));
    let sorted = wrapped(" ORDER BY \"country\" ASC NULLS LAST LIMIT $1 OFFSET $2");
    for (query, text, sqlstate, status, fields) in [
        ("?filter=doc.cs.%22%5Cu0000%22", &by_document, "22P05", 422, vec!["filter"]),
        ("?filter=country.eq.DE", &by_country, "22012", 500, vec![]),
        ("?filter=country.eq.DE", &by_country, "42P22", 422, vec!["filter"]),
        ("?sort=country", &sorted, "42883", 422, vec!["sort"]),
        ("?sort=country", &sorted, "0A000", 422, vec!["sort"]),
        ("?sort=country", &sorted, "42P01", 500, vec![]),
        ("", &SQL.to_owned(), "42883", 500, vec![]),
    ] {
        let failed = move || Err(RunError::Failed { sqlstate: sqlstate.into(), message: "a message".into() });
        app.runner.script(text, failed);
        for format in ["json", "csv"] {
            let separator = if query.is_empty() { "?" } else { "&" };
            let answer = app.get(&format!("/metrics/sales{query}{separator}format={format}")).await?;
            assert_eq!(answer.status, status, "{query} {sqlstate}: {answer:?}");
            assert_eq!(answer.fields()?, fields, "{query} {sqlstate}");
        }
    }
    Ok(())
}

#[actix_web::test]
async fn a_metrics_document_lists_what_can_be_selected_by() -> Result<()> {
    let app = app().await?;
    let document = app.get("/metrics/sales/openapi.json").await?.json()?;
    let parameters = document["paths"]["/metrics/sales"]["get"]["parameters"].as_array().context("parameters")?;
    let named = |name: &str| parameters.iter().find(|parameter| parameter["name"] == name).context("a parameter");
    let sort = named("sort")?;
    let keys = json!(["id", "-id", "country", "-country", "amount", "-amount", "doc", "-doc"]);
    assert_eq!((&sort["schema"]["items"]["enum"], &sort["explode"]), (&keys, &json!(false)), "{sort}");
    let filter = named("filter")?;
    let described = filter["description"].as_str().context("a description")?;
    assert!(described.contains("- `doc`: eq, neq, isdistinct, cs, cd, is"), "{described}");
    assert_eq!((&filter["explode"], &filter["schema"]["maxItems"]), (&json!(true), &json!(20)), "{filter}");
    assert_eq!(named("offset")?["schema"]["maximum"], 1_000_000);

    let document = app.get("/metrics/m1/openapi.json").await?.json()?;
    let parameters = document["paths"]["/metrics/m1"]["get"]["parameters"].as_array().context("parameters")?;
    assert!(
        !parameters
            .iter()
            .any(|parameter| ["sort", "filter"].contains(&parameter["name"].as_str().unwrap_or_default()))
    );
    Ok(())
}

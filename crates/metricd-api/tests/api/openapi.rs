//! The OpenAPI documents, and the page that shows them.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use metricd_api::openapi::api_document;
use metricd_domain::{ContractColumn, ContractForeignKey, ContractTable, ReferencedColumn};
use metricd_execution::{Resolution, RunError};
use serde_json::{Value, json};

use crate::support::TestApp;

/// A metric with this scripted contract.
async fn create(app: &TestApp, id: &str) -> Result<()> {
    let columns = [("day", "date"), ("total", "numeric")];
    let columns = columns.map(|(name, type_name)| ContractColumn::new(name, type_name)).to_vec();
    let resolution = Resolution { columns, parameter_types: vec!["text[]".into()], ..Resolution::default() };
    app.resolver.answer("SELECT day, total FROM sales WHERE kind = ANY (CAST($1 AS text[]))", Ok(resolution));
    let sql = "SELECT day, total FROM sales WHERE kind = ANY (:kinds)";
    let parameters = json!([{"name": "kinds", "type": "text[]", "allowed": ["a", "b"], "default": ["a"]}]);
    let body = json!({"id": id, "title": "Sales", "sql": sql, "parameters": parameters});
    let created = app.call("POST", "/metrics", &[], Some(body)).await?;
    assert_eq!(created.status, 201, "{created:?}");
    Ok(())
}

#[test]
fn the_document_of_the_api() {
    insta::assert_snapshot!("api", api_document());
}

/// Swagger UI prefills a map without an example with invented names, and offers a file input only for a file's content
/// type.
#[test]
fn maps_and_uploads_have_examples_that_swagger_ui_can_send() -> Result<()> {
    let document: Value = serde_json::from_str(api_document())?;
    let paths = document["paths"].as_object().context("paths")?;
    let operations = paths.values().flat_map(|path| path.as_object().into_iter().flat_map(|path| path.values()));
    let parameters = operations.flat_map(|operation| operation["parameters"].as_array().into_iter().flatten());
    let maps: Vec<_> = parameters.filter(|parameter| parameter["schema"]["type"] == "object").collect();
    assert_eq!(maps.len(), 3);
    for map in maps {
        assert_eq!(map["example"], json!({}), "{map:#}");
    }
    let parts = document["components"]["schemas"]["Upload"]["properties"].as_object().context("parts")?;
    for (name, part) in parts {
        assert!(part.to_string().contains("contentMediaType"), "{name}: {part}");
    }
    Ok(())
}

#[actix_web::test]
async fn the_document_is_served_with_an_etag() -> Result<()> {
    let app = TestApp::start().await?;
    let served = app.get("/openapi.json").await?;
    assert_eq!((served.status, served.body.as_str()), (200, api_document()));
    assert_eq!(served.json()?["openapi"], "3.1.0");
    let unchanged = app.call("GET", "/openapi.json", &[("if-none-match", served.header("etag"))], None).await?;
    assert_eq!((unchanged.status, unchanged.header("etag")), (304, served.header("etag")));
    assert_eq!(app.get("/openapi.json?x=1").await?.fields()?, ["x"]);
    Ok(())
}

#[actix_web::test]
async fn a_metrics_document_follows_its_definition() -> Result<()> {
    let app = TestApp::start().await?;
    create(&app, "sales").await?;
    let served = app.get("/metrics/sales/openapi.json").await?;
    let document = served.json()?;
    let row = &document["components"]["schemas"]["sales-row"];
    assert_eq!(row["required"], json!(["day", "total"]), "{document:#}");
    let operation = &document["paths"]["/metrics/sales"]["get"];
    assert_eq!((&operation["operationId"], &operation["summary"]), (&json!("get_metric_sales"), &json!("Sales")));
    assert_eq!(operation["parameters"][0]["name"], "kinds");
    let references = check_references(&document)?;
    for kind in ["schemas", "responses", "examples", "headers"] {
        for name in document["components"][kind].as_object().context(kind)?.keys() {
            assert!(references.contains(&format!("#/components/{kind}/{name}")), "nobody refers to {kind}/{name}");
        }
    }

    let changed = app.call("PATCH", "/metrics/sales", &[], Some(json!({"title": "Sales by day"}))).await?;
    assert_eq!(changed.status, 200);
    let tag = [("if-none-match", served.header("etag"))];
    let changed = app.call("GET", "/metrics/sales/openapi.json", &tag, None).await?;
    assert_eq!((changed.status, &changed.json()?["info"]["title"]), (200, &json!("Sales by day")));

    app.get("/metrics/none/openapi.json").await?.assert_problem(
        404,
        "metric-not-found",
        "/metrics/none/openapi.json",
    )?;
    app.call("DELETE", "/metrics/sales", &[], None).await?;
    let gone = app.get("/metrics/sales/openapi.json").await?;
    gone.assert_problem(410, "metric-deleted", "/metrics/sales/openapi.json")?;
    Ok(())
}

#[actix_web::test]
async fn a_column_is_described_with_its_comment_and_what_it_references() -> Result<()> {
    const TEXT: &str = "SELECT customer, region, total FROM orders";
    let app = TestApp::start().await?;
    let customers = ReferencedColumn::new("sales", "customers", "id");
    let parties = ReferencedColumn::new("public", "parties", "id");
    let regions = ReferencedColumn::new("public", "regions", "code");
    let mut orders = ContractTable::new("warehouse", "orders");
    orders.columns = vec!["customer".into(), "region".into(), "total".into()];
    orders.foreign_keys = vec![
        ContractForeignKey::new("customer", customers.clone()),
        ContractForeignKey::new("customer", parties.clone()),
        ContractForeignKey::new("region", regions.clone()),
    ];
    let mut columns = ["customer", "region", "total"].map(|name| ContractColumn::new(name, "integer"));
    columns[0].references = vec![customers, parties];
    columns[0].description = Some("Who ordered.".into());
    columns[1].references = vec![regions];
    let resolution = Resolution { columns: columns.to_vec(), tables: vec![orders], ..Resolution::default() };
    app.resolver.answer(TEXT, Ok(resolution));
    let body = json!({"id": "orders", "title": "Orders", "sql": TEXT});
    assert_eq!(app.call("POST", "/metrics", &[], Some(body)).await?.status, 201);

    let document = app.get("/metrics/orders/openapi.json").await?.json()?;
    let row = &document["components"]["schemas"]["orders-row"]["properties"];
    let described = |name: &str| row[name]["description"].clone();
    let customer =
        "Who ordered.\n\nReferences `sales.customers.id` and `public.parties.id`.\n\nPostgreSQL's `integer`.";
    assert_eq!(described("customer"), customer);
    assert_eq!(described("region"), "References `public.regions.code`.\n\nPostgreSQL's `integer`.");
    assert_eq!(described("total"), "PostgreSQL's `integer`.");

    let definition = app.get("/metrics/orders/definition").await?.json()?;
    let (columns, table) = (&definition["contract"]["columns"], &definition["contract"]["tables"][0]);
    let region = json!([{"schema": "public", "table": "regions", "column": "code"}]);
    assert_eq!((&columns[1]["references"], &columns[2]["references"]), (&region, &Value::Null), "{columns}");
    let key = json!({"columns": ["region"], "referenced_schema": "public", "referenced_table": "regions",
                     "referenced_columns": ["code"]});
    assert_eq!(table["foreign_keys"][2], key, "{table}");
    Ok(())
}

#[actix_web::test]
async fn the_labels_of_an_enum_are_listed_and_named() -> Result<()> {
    const TEXT: &str = "SELECT mood, moods FROM people WHERE mood = $1";
    let app = TestApp::start().await?;
    let columns = vec![ContractColumn::new("mood", "mood"), ContractColumn::new("moods", "mood[]")];
    let enums = [("mood".to_owned(), vec!["low".to_owned(), "high".to_owned()])].into();
    let resolution = Resolution { columns, parameter_types: vec!["mood".into()], enums, ..Resolution::default() };
    app.resolver.answer(TEXT, Ok(resolution));
    let body = json!({"id": "moods", "title": "Moods", "sql": "SELECT mood, moods FROM people WHERE mood = :mood"});
    assert_eq!(app.call("POST", "/metrics", &[], Some(body)).await?.status, 201);
    let document = app.get("/metrics/moods/openapi.json").await?.json()?;
    let row = &document["components"]["schemas"]["moods-row"]["properties"];
    assert_eq!(row["mood"]["enum"], json!(["low", "high", null]), "{document:#}");
    assert_eq!(row["moods"]["items"]["anyOf"][0]["enum"], json!(["low", "high", null]));
    let parameter = &document["paths"]["/metrics/moods"]["get"]["parameters"][0];
    assert_eq!((&parameter["name"], &parameter["schema"]["enum"]), (&json!("mood"), &json!(["low", "high"])));

    let message = "invalid input value for enum mood: \"middling\"".to_owned();
    let refused = move || Err(RunError::Failed { sqlstate: "22P02".to_owned(), message: message.clone() });
    app.runner.script(TEXT, refused);
    for path in ["/metrics/moods?mood=middling", "/metrics/moods?mood=middling&format=csv"] {
        let answer = app.get(path).await?;
        let problem = answer.assert_problem(422, "invalid-parameters", "/metrics/moods")?;
        let message = "`middling` is none of the values: expected one of `low`, `high`";
        assert_eq!(problem["errors"], json!([{"field": "mood", "message": message}]), "{path}");
    }
    let entry = app.get("/results?metric_id=moods&mood=middling").await?.json()?;
    assert_eq!(entry["results"][0]["problem"]["errors"][0]["field"], "mood", "{entry}");
    // PostgreSQL accepts labels that were added later.
    app.runner.script(TEXT, || Ok(Vec::new()));
    assert_eq!(app.get("/metrics/moods?mood=new").await?.status, 200);
    Ok(())
}

#[actix_web::test]
async fn a_metrics_document_has_no_schemas_of_others() -> Result<()> {
    let app = TestApp::start().await?;
    create(&app, "sales").await?;
    let document = app.get("/metrics/sales/openapi.json").await?.json()?;
    let schemas: Vec<_> = document["components"]["schemas"].as_object().context("schemas")?.keys().collect();
    assert_eq!(
        schemas,
        [
            "AppliedPeriod",
            "AppliedSelection",
            "Column",
            "FieldError",
            "PeriodApplication",
            "Problem",
            "sales-result",
            "sales-row"
        ]
    );
    Ok(())
}

#[test]
fn operations_that_need_a_token_document_the_problems_of_unread_responses() -> Result<()> {
    let document: Value = serde_json::from_str(api_document())?;
    let paths = document["paths"].as_object().context("paths")?;
    for operation in paths.values().filter_map(Value::as_object).flat_map(|item| item.values()) {
        let text = operation["responses"].to_string();
        let is_scoped = operation["security"].is_array();
        for code in ["answers-unread", "server-busy"] {
            assert_eq!(text.contains(code), is_scoped, "{code} of {}", operation["operationId"]);
        }
    }
    Ok(())
}

/// Both run several metrics by the same function.
#[test]
fn a_dashboards_results_have_the_problems_of_results() -> Result<()> {
    let document: Value = serde_json::from_str(api_document())?;
    let components = |path: &str| {
        let mut references = BTreeSet::new();
        collect(&document["paths"][path]["get"]["responses"], &mut references);
        let names = references.iter().filter_map(|reference| reference.rsplit('/').next());
        names.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let (results, of_dashboard) = (components("/results"), components("/dashboards/{dashboard_id}/results"));
    assert!(results.contains("connections-stuck") && results.is_subset(&of_dashboard), "{results:?} {of_dashboard:?}");
    Ok(())
}

#[actix_web::test]
async fn the_page_keeps_a_token_to_itself() -> Result<()> {
    let app = TestApp::start().await?;
    let (page, script) = (app.get("/docs").await?.body, app.get("/docs/page.js").await?.body);
    assert!(page.contains(r#"type="password" autocomplete="off""#), "{page}");
    assert!(script.contains("Authorization = `Bearer ${token}`"), "{script}");
    for store in ["localStorage", "sessionStorage", "cookie", "indexedDB", "history."] {
        assert!(!script.contains(store), "{store}");
    }
    Ok(())
}

#[actix_web::test]
async fn the_page_needs_nothing_from_elsewhere() -> Result<()> {
    let app = TestApp::start().await?;
    let page = app.get("/docs?metric_id=m1").await?;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").contains("script-src 'self';"), "{page:?}");
    let named: Vec<_> = page.body.split('"').filter(|part| part.starts_with('/') || part.contains("://")).collect();
    assert_eq!(named.len(), 5, "{named:?}");
    for path in named {
        let file = app.get(path).await?;
        assert_eq!(file.status, 200, "{path}");
        assert!(!file.body.is_empty() && file.header("content-type") != "application/octet-stream", "{path}");
    }
    assert_eq!(app.get("/docs?metric_id=a&dashboard_id=b").await?.fields()?, ["dashboard_id"]);
    for file in ["none.js", "swagger-initializer.js", "..%2f..%2fetc%2fpasswd"] {
        let path = format!("/docs/{file}");
        assert_eq!(app.get(&path).await?.status, 404, "{path}");
    }
    Ok(())
}

#[test]
fn every_reference_leads_somewhere() -> Result<()> {
    assert!(check_references(&serde_json::from_str(api_document())?)?.len() > 20);
    Ok(())
}

/// Asserts that the document has the target of each reference, and returns them.
fn check_references(document: &Value) -> Result<BTreeSet<String>> {
    let mut references = BTreeSet::new();
    collect(document, &mut references);
    for reference in &references {
        let pointer = reference.strip_prefix('#').context(reference.clone())?;
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    Ok(references)
}

fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| collect(member, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}

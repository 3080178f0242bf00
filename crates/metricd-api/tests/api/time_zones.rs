//! Requests in time zones.

use anyhow::Result;
use metricd_api::ApiState;
use metricd_domain::TimeZone;
use metricd_execution::{Resolution, RunError};
use serde_json::{Value, json};

use crate::support::{TestApp, TestAppBuilder};

const ZONE: &str = "SELECT 1 AS zone";

/// A server with a metric `zone` that returns its zone, or null in the server's, a metric `named` that takes it as a
/// parameter, and a metric `same` whose result depends on data and values alone.
async fn app(builder: TestAppBuilder) -> Result<TestApp> {
    let app = builder.start()?;
    app.runner.script_time_zone(ZONE);
    app.runner.script_arguments("SELECT $1 AS named");
    app.runner.script("SELECT 2 AS same", || Ok(vec![Some("a".into())]));
    app.runner.set_data("7:7:", "f1");
    let repeatable = Resolution { fingerprint: Some("f1".into()), ..Resolution::default() };
    app.resolver.answer("SELECT 2 AS same", Ok(repeatable));
    for (id, sql) in [("zone", ZONE), ("named", "SELECT :time_zone AS named"), ("same", "SELECT 2 AS same")] {
        let created = app.call("POST", "/metrics", &[], Some(json!({"id": id, "title": id, "sql": sql}))).await?;
        assert_eq!(created.status, 201, "{created:?}");
    }
    Ok(app)
}

fn in_berlin(state: ApiState) -> ApiState {
    ApiState { time_zone: TimeZone::parse("Europe/Berlin").unwrap_or_default(), ..state }
}

#[actix_web::test]
async fn a_request_runs_in_the_zone_that_it_names() -> Result<()> {
    for (builder, server) in [(TestApp::builder(), "UTC"), (TestApp::builder().state(in_berlin), "Europe/Berlin")] {
        let app = app(builder).await?;
        for (query, zone) in [
            ("", server),
            ("?time_zone=UTC", "UTC"),
            ("?time_zone=utc", "UTC"),
            ("?time_zone=Europe/Berlin", "Europe/Berlin"),
            ("?time_zone=europe%2Fberlin", "Europe/Berlin"),
            ("?time_zone=Asia/Kolkata", "Asia/Kolkata"),
        ] {
            let set = if zone == server { Value::Null } else { json!(zone) };
            let result = app.get(&format!("/metrics/zone{query}")).await?;
            assert_eq!((result.json()?["rows"][0]["value"].clone(), result.header("x-time-zone")), (set.clone(), zone));
            let named = app.get(&format!("/metrics/named{query}")).await?;
            assert_eq!(named.json()?["rows"][0]["value"], zone, "the SQL gets the name");
            let both = query.replace('?', "&");
            for format in ["csv", "ndjson"] {
                let stream = app.get(&format!("/metrics/zone?format={format}{both}")).await?;
                assert_eq!(stream.header("x-time-zone"), zone, "{stream:?}");
            }
            let results = app.get(&format!("/results?metric_id=zone&metric_id=named{both}")).await?;
            let entries = results.json()?;
            assert_eq!(entries["results"][0]["result"]["rows"][0]["value"], set, "{entries}");
            assert_eq!(entries["results"][1]["result"]["rows"][0]["value"], zone, "{entries}");
            assert_eq!(results.header("x-time-zone"), zone);
        }
    }
    Ok(())
}

/// A wrong zone is a fault like others, in every operation that runs metrics; nothing runs.
#[actix_web::test]
async fn only_full_names_that_the_database_knows_are_accepted() -> Result<()> {
    let app = app(TestApp::builder()).await?;
    let long = "x".repeat(7_000);
    for zone in [
        "",
        "CET",
        "EST5EDT",
        "%2B02",
        "+02",
        "-3",
        "%3Cx%3E-3",
        "CET-1CEST,M3.5.0/2,M10.5.0/3",
        "UTC%27;%20DROP%20TABLE%20metrics;--",
        "Europe/Berlin%00",
        "Europe/Berlin%27",
        "Europe/Atlantis",
        "posix/Europe/Berlin",
        "../../etc/passwd",
        "Europe/B%C3%A9rlin",
        "Europe/Berlin&time_zone=Europe/Berlin",
        "Europe/Berlin&time_zone=UTC",
        "%FF",
        &long,
        &format!("Europe/{long}"),
    ] {
        for path in ["/metrics/zone?", "/metrics/named?", "/metrics/zone?format=csv&", "/results?metric_id=zone&"] {
            let refused = app.get(&format!("{path}time_zone={zone}&limit=0")).await?;
            let instance = path.split('?').next().unwrap_or_default();
            let problem = refused.assert_problem(422, "invalid-parameters", instance)?;
            assert_eq!(refused.fields()?, ["limit", "time_zone"], "{zone}: {problem}");
            assert!(refused.body.len() < 1_500, "{}", refused.body.len());
        }
    }
    assert_eq!(app.runner.begun(), 0);
    let refused = app.get("/metrics/zone?time_zone=CET").await?.json()?;
    assert_eq!(
        refused["errors"][0]["message"],
        "`CET` is not the full name of a time zone: expected one such as `Europe/Berlin`, or `UTC`; abbreviations, offsets \
         and rules are not accepted"
    );
    Ok(())
}

#[actix_web::test]
async fn a_result_of_one_zone_is_not_that_of_another() -> Result<()> {
    let app = app(TestApp::builder()).await?;
    let get = async |path: &str, known: &str| app.call("GET", path, &[("if-none-match", known)], None).await;
    let mut tags: Vec<String> = Vec::new();
    for path in ["/metrics/same", "/results?metric_id=same"] {
        let both = if path.contains('?') { "&" } else { "?" };
        for zone in ["", "time_zone=Europe/Berlin", "time_zone=Asia/Kolkata"] {
            let path = format!("{path}{both}{zone}");
            let first = app.get(&path).await?;
            let tag = first.header("etag").to_owned();
            // The second one may be answered without a run.
            for _ in 0..2 {
                assert_eq!(get(&path, &tag).await?.status, 304, "{path}");
                for other in &tags {
                    let status = get(&path, other).await?.status;
                    assert_eq!(status, 200, "{path} {other}");
                }
            }
            tags.push(tag);
        }
        assert_eq!(app.get(&format!("{path}{both}time_zone=UTC")).await?.header("etag"), tags[tags.len() - 3]);
    }
    Ok(())
}

/// Only requests that name a zone need to know those of the database.
#[actix_web::test]
async fn unknown_zones_of_the_database_fail_only_requests_that_name_one() -> Result<()> {
    let app = app(TestApp::builder()).await?;
    app.runner.script("time zones", || Err(RunError::Unavailable("gone".into())));
    assert_eq!(app.get("/metrics/zone").await?.status, 200);
    assert_eq!(app.get("/metrics/zone?time_zone=CET").await?.status, 422);
    for path in ["/metrics/zone?time_zone=Europe/Berlin", "/results?metric_id=zone&time_zone=Europe/Berlin"] {
        let instance = path.split('?').next().unwrap_or_default();
        app.get(path).await?.assert_problem(503, "database-unavailable", instance)?;
    }
    app.runner.script("time zones", || Ok(Vec::new()));
    assert_eq!(app.get("/metrics/zone?time_zone=Europe/Berlin").await?.status, 200);
    Ok(())
}

/// The document of a metric has the parameter once.
#[actix_web::test]
async fn the_document_of_a_metric_has_the_zone() -> Result<()> {
    let app = app(TestApp::builder()).await?;
    for id in ["zone", "named"] {
        let document = app.get(&format!("/metrics/{id}/openapi.json")).await?.json()?;
        let parameters = document["paths"][format!("/metrics/{id}")]["get"]["parameters"].clone();
        let parameters = parameters.as_array().cloned().unwrap_or_default();
        let zones: Vec<_> = parameters.iter().filter(|parameter| parameter["name"] == "time_zone").collect();
        assert_eq!((zones.len(), &zones[0]["required"]), (1, &json!(false)), "{document}");
    }
    Ok(())
}

//! Requests in time zones, and a server in one.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Server, connect_as_owner, folder, metricd, run};

/// One row each hour of 2025.
const HOURS: &str = "
    CREATE TABLE warehouse.hours (at timestamptz);
    INSERT INTO warehouse.hours SELECT generate_series(timestamptz '2025-01-01Z', '2026-01-01Z', interval '1 hour');";

async fn create(server: &Server, id: &str, sql: &str) -> Result<()> {
    let body = json!({"id": id, "title": id, "sql": sql});
    let created = reqwest::Client::new().post(format!("{}/metrics", server.address)).json(&body).send().await?;
    ensure!(created.status() == 201, "{}", created.text().await?);
    Ok(())
}

/// A server whose metrics `by-day` and `midnight` depend on the zone, in the zone of this option.
async fn server(data_dir: &std::path::Path, zone: Option<&str>) -> Result<Server> {
    let mut command = metricd(data_dir);
    let server = Server::start(command.arg("--no-sample").args(zone.map(|zone| format!("--time-zone={zone}"))))?;
    connect_as_owner(data_dir).await?.batch_execute(HOURS).await?;
    create(&server, "by-day", "SELECT at::date AS day, count(*) AS n FROM hours GROUP BY 1 ORDER BY 1").await?;
    create(&server, "midnight", "SELECT timestamptz '2025-06-01 00:00' AS at, count(*) AS n FROM hours").await?;
    Ok(server)
}

/// The rows of `by-day` on this day.
async fn day(server: &Server, day: &str, zone: &str) -> Result<Value> {
    let zone = if zone.is_empty() { String::new() } else { format!("&time_zone={zone}") };
    let (status, result) = server.get(&format!("/metrics/by-day?start_date={day}&end_date={day}{zone}")).await?;
    ensure!(status == 200, "{result}");
    Ok(result)
}

fn midnight(zone: &str) -> &'static str {
    match zone {
        "Europe/Berlin" => "2025-05-31T22:00:00Z",
        "Asia/Kolkata" => "2025-05-31T18:30:00Z",
        _ => "2025-06-01T00:00:00Z",
    }
}

#[actix_web::test]
async fn a_request_has_the_days_of_its_zone() -> Result<()> {
    let folder = folder()?;
    let server = server(&folder.path().join("data"), None).await?;
    for (zone, date, n) in [
        ("", "2025-03-30", 24),
        ("Europe/Berlin", "2025-03-30", 23),
        ("europe/berlin", "2025-10-26", 25),
        ("Asia/Kolkata", "2025-03-30", 24),
        ("UTC", "2025-10-26", 24),
    ] {
        let result = day(&server, date, zone).await?;
        assert_eq!(result["rows"], json!([{"day": date, "n": n}]), "{zone}");
        let shown = if zone.eq_ignore_ascii_case("europe/berlin") {
            "Europe/Berlin"
        } else if zone.is_empty() {
            "UTC"
        } else {
            zone
        };
        let period = json!({"start_date": date, "end_date": date, "applied": "narrowed", "time_zone": shown});
        assert_eq!(result["period"], period);
    }
    let csv = format!(
        "{}/metrics/by-day?format=csv&start_date=2025-03-30&end_date=2025-03-30&time_zone=Europe/Berlin",
        server.address
    );
    let csv = reqwest::get(csv).await?;
    assert_eq!(csv.headers()["x-time-zone"], "Europe/Berlin");
    assert_eq!(csv.text().await?, "day,n\r\n2025-03-30,23\r\n");

    let path = "/results?metric_id=by-day&metric_id=midnight&start_date=2025-10-26&end_date=2025-10-26&time_zone=Europe/Berlin";
    let (_, results) = server.get(path).await?;
    assert_eq!(results["results"][0]["result"]["rows"], json!([{"day": "2025-10-26", "n": 25}]), "{results}");
    assert_eq!(
        results["results"][1]["result"]["rows"],
        json!([{"at": midnight("Europe/Berlin"), "n": 25}]),
        "{results}"
    );

    for zone in ["", "CET", "UTC%27;%20DROP%20TABLE%20hours", "Europe/Atlantis", "Europe/Berlin&time_zone=UTC"] {
        let (status, problem) = server.get(&format!("/metrics/by-day?time_zone={zone}")).await?;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("time_zone")), "{problem}");
    }
    Ok(())
}

/// Requests in many zones at once, identical and different ones, each get their own answer.
#[actix_web::test]
async fn concurrent_requests_keep_their_zones() -> Result<()> {
    let folder = folder()?;
    let mut server = server(&folder.path().join("data"), None).await?;
    let address = std::mem::take(&mut server.address);
    let mut clients = JoinSet::new();
    for client in 0..12 {
        let address = address.clone();
        clients.spawn(async move {
            let http = reqwest::Client::new();
            for turn in 0..40 {
                let zone = ["", "Europe/Berlin", "Asia/Kolkata", "UTC"][(client / 3 + turn) % 4];
                let query = if zone.is_empty() { String::new() } else { format!("?time_zone={zone}") };
                let result: Value = http.get(format!("{address}/metrics/midnight{query}")).send().await?.json().await?;
                ensure!(result["rows"][0]["at"] == midnight(zone), "{zone}: {result}");
            }
            Ok(())
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    Ok(())
}

/// 304 without a run, and 304 from a hash, are of the zone of the request.
#[actix_web::test]
async fn a_result_is_revalidated_in_its_zone() -> Result<()> {
    let folder = folder()?;
    let server = server(&folder.path().join("data"), None).await?;
    let http = reqwest::Client::new();
    let get = async |query: &str, known: &str| {
        let url = format!("{}/metrics/midnight{query}", server.address);
        let response = http.get(url).header("if-none-match", known).send().await?;
        let tag = response.headers().get("etag").context("a tag")?.to_str()?.to_owned();
        anyhow::Ok((response.status().as_u16(), tag))
    };
    let zones = ["", "?time_zone=Europe/Berlin", "?time_zone=Asia/Kolkata"];
    let mut tags = Vec::new();
    for zone in zones {
        tags.push(get(zone, "").await?.1);
    }
    for _ in 0..3 {
        for (zone, own) in zones.iter().zip(&tags) {
            for known in &tags {
                let expected = if known == own { 304 } else { 200 };
                assert_eq!(get(zone, known).await?, (expected, own.clone()), "{zone}");
            }
        }
    }
    Ok(())
}

#[actix_web::test]
async fn a_server_has_a_zone() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    for (zone, expected) in [
        ("Europe/Atlantis", "the database knows no time zone"),
        ("CET", "abbreviations, offsets and rules are not accepted"),
        ("+02", "abbreviations, offsets and rules are not accepted"),
    ] {
        let arguments = ["--listen=127.0.0.1:0", "--no-sample"];
        let (code, _, error) = run(metricd(&data_dir).args(arguments).env("METRICD_TIME_ZONE", zone))?;
        assert!(code != 0 && error.contains(expected) && error.contains(zone), "{zone}: {code} {error}");
    }
    let server = server(&data_dir, Some("europe/berlin")).await?;
    let result = day(&server, "2025-03-30", "").await?;
    assert_eq!((&result["rows"][0]["n"], &result["period"]["time_zone"]), (&json!(23), &json!("Europe/Berlin")));
    assert_eq!(day(&server, "2025-03-30", "UTC").await?["rows"][0]["n"], 24);
    assert_eq!(day(&server, "2025-03-30", "Europe/Berlin").await?["rows"], result["rows"]);
    Ok(())
}

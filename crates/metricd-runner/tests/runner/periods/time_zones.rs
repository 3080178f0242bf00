//! The days of a period in a time zone.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use metricd_domain::{MetricDefinition, TimeZone};
use metricd_execution::{BoundStatement, MetricStatement, RequestZone};
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;
use serde_json::{Value, json};
use tokio_postgres::SimpleQueryMessage;

use super::{Declared, applied, declared, definition, run};

/// Zones and a year whose changes of the clock they are tried around: with daylight-saving time that begins or ends at
/// midnight, ends at one o'clock, covers midnight, with skipped and repeated days, and with offsets of half an hour.
const CHANGES: &[(&str, &[i32])] = &[
    ("Europe/Berlin", &[1980, 2025]),
    ("America/Sao_Paulo", &[2018]),
    ("Africa/Cairo", &[2010, 2014, 2024]),
    ("Asia/Beirut", &[2023, 2024]),
    ("America/Santiago", &[2019, 2024]),
    ("Asia/Kolkata", &[1942, 2025]),
    ("Asia/Kathmandu", &[1985]),
    ("Pacific/Apia", &[1892, 2011, 2012]),
    ("Pacific/Kwajalein", &[1993]),
    ("Atlantic/Azores", &[2024, 2025]),
    ("America/Havana", &[2024]),
    ("America/St_Johns", &[2006, 2010, 2025]),
    ("America/Toronto", &[1919]),
    ("America/Juneau", &[1867]),
    ("America/Nuuk", &[2023, 2024]),
    ("Asia/Amman", &[2012, 2020]),
    ("Australia/Lord_Howe", &[2025]),
    ("Africa/Casablanca", &[2025]),
    ("Antarctica/Troll", &[2025]),
];

fn zone(name: &str) -> Result<RequestZone> {
    Ok(RequestZone::new(Some(TimeZone::parse(name)?), &TimeZone::default()))
}

fn bound_in(definition: &MetricDefinition, name: &str, given: &[(&str, &str)]) -> Result<BoundStatement> {
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let bound = MetricStatement::of(definition)?.bind_in(&given, &zone(name)?);
    Ok(bound.map_err(|faults| anyhow::anyhow!("{faults:?}"))?.0)
}

/// The days on which the clock of the zone changes in the year, with the days around them.
async fn days_around_changes(client: &tokio_postgres::Client, zone: &str, year: i32) -> Result<Vec<String>> {
    let days = "
        WITH hours AS (
            SELECT at, at AT TIME ZONE $1 - at AT TIME ZONE 'UTC' AS shift
            FROM generate_series(make_timestamptz($2, 1, 1, 0, 0, 0, 'UTC'), make_timestamptz($2 + 1, 1, 2, 0, 0, 0, 'UTC'),
                interval '1 hour') AS at
        ), changes AS (SELECT at, shift <> lag(shift) OVER (ORDER BY at) AS is_change FROM hours)
        SELECT DISTINCT ((at AT TIME ZONE $1)::date + n)::text FROM changes, generate_series(-1, 1) AS n WHERE is_change
        ORDER BY 1";
    let rows = client.query(days, &[&zone, &year]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The day of a row is the day that PostgreSQL says, for rows on both sides of each quarter of an hour around each change.
#[tokio::test]
async fn the_day_of_a_row_is_its_local_date() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    client
        .batch_execute(
            "CREATE TABLE warehouse.moments (zone text, at timestamptz);
             CREATE INDEX ON warehouse.moments (at); GRANT SELECT ON warehouse.moments TO metricd_reader",
        )
        .await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    // Microseconds, which both print alike.
    let range = "count(*) AS n, (extract(epoch FROM min(at)) * 1000000)::bigint AS first, (extract(epoch FROM max(at)) * 1000000)::bigint AS last";
    let narrowed = format!("SELECT {range} FROM moments WHERE zone = :zone");
    let narrowed = definition(&database, &narrowed, Declared::default()).await?;
    assert_eq!(applied(&narrowed)?, "narrowed moments");
    let filtered = "SELECT at, row_number() OVER (ORDER BY at) AS n FROM moments WHERE zone = :zone ORDER BY at";
    let filtered = definition(&database, filtered, Declared::default()).await?;
    assert_eq!(applied(&filtered)?, "result at");

    let expected = format!(
        "SELECT to_json(s)::text FROM (SELECT {range} FROM warehouse.moments
         WHERE zone = $1 AND (at AT TIME ZONE $1)::date BETWEEN $2::text::date AND $3::text::date) AS s"
    );
    let expected = client.prepare(&expected).await?;
    let (mut compared, mut unequal_days) = (0, 0);
    for (name, years) in CHANGES {
        client.execute("DELETE FROM warehouse.moments", &[]).await?;
        let mut days = Vec::new();
        for year in *years {
            days.extend(days_around_changes(&client, name, *year).await?);
        }
        for day in &days {
            let insert = "
                INSERT INTO warehouse.moments
                SELECT $1, at - n * interval '1 microsecond'
                FROM generate_series($2::text::date::timestamptz - interval '26 hours', $2::text::date::timestamptz + interval '38 hours',
                    interval '15 minutes') AS at, generate_series(0, 1) AS n
                EXCEPT SELECT zone, at FROM warehouse.moments";
            client.execute(insert, &[name, day]).await?;
        }
        client.batch_execute("ANALYZE warehouse.moments").await?;
        for (index, day) in days.iter().enumerate() {
            let until = days.get(index + index % 2).unwrap_or(day);
            let row = client.query_one(&expected, &[name, day, until]).await?;
            let found: Value = serde_json::from_str(row.get(0))?;
            let given = [("zone", *name), ("start_date", day.as_str()), ("end_date", until.as_str())];
            let rows: Value = serde_json::from_str(&run(&runner, &bound_in(&narrowed, name, &given)?).await?)?;
            ensure!(rows == json!([found]), "{name} {day} {until}: {rows} {found}");
            let rows: Vec<Value> = serde_json::from_str(&run(&runner, &bound_in(&filtered, name, &given)?).await?)?;
            ensure!(found["n"] == rows.len(), "{name} {day} {until}: {} {found}", rows.len());
            compared += found["n"].as_u64().unwrap_or_default();
            unequal_days += u64::from(day == until && found["n"] != 192);
        }
    }
    // The days differ in length, and some have no row.
    ensure!(compared > 20_000 && unequal_days > 20, "{compared} {unequal_days}");
    Ok(())
}

#[tokio::test]
async fn days_are_as_long_as_in_the_zone() -> Result<()> {
    let database = TestDatabase::new().await?;
    database
        .connect()
        .await?
        .batch_execute(
            "CREATE TABLE warehouse.hours (at timestamptz, wall timestamp, day date);
             INSERT INTO warehouse.hours SELECT at, at AT TIME ZONE 'UTC', (at AT TIME ZONE 'UTC')::date
             FROM generate_series(timestamptz '2010-01-01Z', '2026-01-01Z', interval '1 hour') AS at;
             GRANT SELECT ON warehouse.hours TO metricd_reader",
        )
        .await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    let by = |column: &str| Declared { time_column: declared_column(column), period: None };
    let sql = "SELECT at::date AS date, count(*) AS hours, min(at) AS first FROM hours GROUP BY date ORDER BY date";
    let by_day = definition(&database, sql, by("hours.at")).await?;
    let truncated = "SELECT date_trunc('day', at) AS date, count(*) AS hours FROM hours GROUP BY 1 ORDER BY 1";
    let by_trunc = definition(&database, truncated, by("hours.at")).await?;
    for (name, start, end, expected) in [
        (
            "Europe/Berlin",
            "2025-03-29",
            "2025-03-31",
            r#"[{"date":"2025-03-29","hours":24,"first":"2025-03-28T23:00:00Z"},{"date":"2025-03-30","hours":23,"first":"2025-03-29T23:00:00Z"},{"date":"2025-03-31","hours":24,"first":"2025-03-30T22:00:00Z"}]"#,
        ),
        (
            "Europe/Berlin",
            "2025-10-26",
            "2025-10-26",
            r#"[{"date":"2025-10-26","hours":25,"first":"2025-10-25T22:00:00Z"}]"#,
        ),
        (
            "America/Sao_Paulo",
            "2018-11-04",
            "2018-11-04",
            r#"[{"date":"2018-11-04","hours":23,"first":"2018-11-04T03:00:00Z"}]"#,
        ),
        (
            "Asia/Kolkata",
            "2025-06-01",
            "2025-06-01",
            r#"[{"date":"2025-06-01","hours":24,"first":"2025-05-31T19:00:00Z"}]"#,
        ),
        (
            "Pacific/Apia",
            "2011-12-29",
            "2011-12-31",
            r#"[{"date":"2011-12-29","hours":24,"first":"2011-12-29T10:00:00Z"},{"date":"2011-12-31","hours":24,"first":"2011-12-30T10:00:00Z"}]"#,
        ),
        ("Pacific/Apia", "2011-12-30", "2011-12-30", "[]"),
    ] {
        let given = [("start_date", start), ("end_date", end)];
        assert_eq!(run(&runner, &bound_in(&by_day, name, &given)?).await?, expected, "{name} {start}");
    }
    let given = [("start_date", "2025-10-26"), ("end_date", "2025-10-26")];
    for (name, expected) in [
        ("Europe/Berlin", r#"[{"date":"2025-10-25T22:00:00Z","hours":25}]"#),
        ("UTC", r#"[{"date":"2025-10-26T00:00:00Z","hours":24}]"#),
    ] {
        assert_eq!(run(&runner, &bound_in(&by_trunc, name, &given)?).await?, expected, "{name}");
    }

    // Dates, and timestamps without a zone, have their own days.
    for column in ["wall", "day"] {
        let sql = format!("SELECT count(*) AS n, min(at) AS first FROM hours WHERE {column} IS NOT NULL");
        let narrowed = definition(&database, &sql, by(&format!("hours.{column}"))).await?;
        let texts = ["UTC", "Pacific/Apia", "Europe/Berlin"].map(|name| {
            let given = [("start_date", "2011-12-30"), ("end_date", "2011-12-30")];
            bound_in(&narrowed, name, &given)
        });
        for statement in texts {
            assert_eq!(run(&runner, &statement?).await?, r#"[{"n":24,"first":"2011-12-30T00:00:00Z"}]"#, "{column}");
        }
    }
    Ok(())
}

fn declared_column(name: &str) -> Option<&'static str> {
    ["hours.at", "hours.wall", "hours.day"].into_iter().find(|known| *known == name)
}

/// A period that is open has what is at infinity, in every zone.
#[tokio::test]
async fn an_open_period_has_what_is_at_infinity() -> Result<()> {
    let database = TestDatabase::new().await?;
    database
        .connect()
        .await?
        .batch_execute(
            "CREATE TABLE warehouse.z (id integer, at timestamptz);
             INSERT INTO warehouse.z VALUES (1, '2025-05-31 22:00Z'), (2, 'infinity'), (3, '-infinity'), (4, '2025-05-31 21:59:59.999999Z'),
                (5, '2025-06-01 22:00Z'), (6, NULL);
             GRANT SELECT ON warehouse.z TO metricd_reader",
        )
        .await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    let window = "SELECT at, id, row_number() OVER (ORDER BY id) AS n FROM z ORDER BY id";
    for (sql, period) in [("SELECT id FROM z ORDER BY id", Declared::default()), (window, declared(None, Some("at"))?)]
    {
        let stored = definition(&database, sql, period).await?;
        for (given, ids) in [
            (&[("start_date", "2025-06-01")][..], vec![1, 2, 5]),
            (&[("end_date", "2025-06-01")][..], vec![1, 3, 4]),
            (&[("start_date", "2025-06-01"), ("end_date", "2025-06-01")][..], vec![1]),
            (&[("start_date", "9999-12-31"), ("end_date", "9999-12-31")][..], vec![]),
            (&[("start_date", "0001-01-01"), ("end_date", "0001-01-01")][..], vec![]),
        ] {
            let found = run(&runner, &bound_in(&stored, "Europe/Berlin", given)?).await?;
            let found: Vec<Value> = serde_json::from_str(&found)?;
            let found: Vec<_> = found.iter().filter_map(|row| row["id"].as_i64()).collect();
            assert_eq!(found, ids, "{sql} {given:?}");
        }
    }
    Ok(())
}

/// The estimate for a period in a zone is about that of the rows in it, and the index is used.
#[tokio::test]
async fn a_period_in_a_zone_uses_the_index() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    client
        .batch_execute(
            "CREATE TABLE warehouse.visits (id integer, at timestamptz);
             INSERT INTO warehouse.visits SELECT n, timestamptz '2024-01-01Z' + n * interval '10 minutes' FROM generate_series(0, 99999) AS n;
             CREATE INDEX visits_at_idx ON warehouse.visits (at); ANALYZE warehouse.visits;
             GRANT SELECT ON warehouse.visits TO metricd_reader",
        )
        .await?;
    let stored = definition(&database, "SELECT id FROM visits", Declared::default()).await?;
    let given = [("start_date", "2024-06-01"), ("end_date", "2024-06-30")];
    let narrowed = bound_in(&stored, "Europe/Berlin", &given)?;
    let mut text = narrowed.text().to_owned();
    for (index, argument) in narrowed.arguments().iter().enumerate() {
        let value = argument.as_ref().map(|value| format!("'{}'", value.as_str())).unwrap_or_default();
        text = text.replace(&format!("${}", index + 1), &value);
    }
    client.batch_execute("SET timezone = 'Europe/Berlin'; SET search_path = warehouse").await?;
    let explained = client.simple_query(&format!("EXPLAIN (FORMAT JSON) {text}")).await?;
    let plan = explained.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let plan: Value = serde_json::from_str(plan.context("a plan")?)?;
    let (plan, text) = (&plan[0]["Plan"], plan.to_string());
    let rows = plan["Plan Rows"].as_i64().context("an estimate")?;
    ensure!((3_900..=4_900).contains(&rows) && text.contains("visits_at_idx"), "4320 rows: {text}");
    Ok(())
}

/// A value of an instant with an offset is that instant in every zone; without one it is a local time.
#[tokio::test]
async fn values_of_parameters_are_read_in_the_zone() -> Result<()> {
    let database = TestDatabase::new().await?;
    database
        .connect()
        .await?
        .batch_execute(
            "CREATE TABLE warehouse.t (at timestamptz, wall timestamp); GRANT SELECT ON warehouse.t TO metricd_reader;
             INSERT INTO warehouse.t VALUES ('2025-06-01 10:00Z', '2025-06-01 10:00')",
        )
        .await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    let sql = "SELECT count(*) FILTER (WHERE at = :at) AS n, min(:time_zone) AS zone FROM t";
    let instant = definition(&database, sql, Declared::default()).await?;
    for (name, value, n) in [
        ("UTC", "2025-06-01T10:00:00", 1),
        ("UTC", "2025-06-01T10:00:00Z", 1),
        ("Europe/Berlin", "2025-06-01T10:00:00Z", 1),
        ("Europe/Berlin", "2025-06-01T12:00:00%2B02:00", 0),
        ("Europe/Berlin", "2025-06-01T12:00:00+02:00", 1),
        ("Europe/Berlin", "2025-06-01T12:00:00", 1),
        ("Europe/Berlin", "2025-06-01T10:00:00", 0),
    ] {
        let Ok(statement) = bound_in(&instant, name, &[("at", value)]) else {
            assert!(value.contains('%'), "{value}");
            continue;
        };
        let found = run(&runner, &statement).await?;
        assert_eq!(found, format!(r#"[{{"n":{n},"zone":"{name}"}}]"#), "{value}");
    }
    let wall = definition(&database, "SELECT count(*) AS n FROM t WHERE wall = :at", Declared::default()).await?;
    let refused = bound_in(&wall, "Europe/Berlin", &[("at", "2025-06-01T10:00:00Z")]).unwrap_err().to_string();
    assert!(refused.contains("write the local time of `Europe/Berlin`, without an offset"), "{refused}");
    for (name, value) in [("UTC", "2025-06-01T10:00:00Z"), ("Europe/Berlin", "2025-06-01T10:00:00")] {
        assert_eq!(run(&runner, &bound_in(&wall, name, &[("at", value)])?).await?, r#"[{"n":1}]"#);
    }
    let given = BTreeMap::from([("at".to_owned(), "2025-06-01".to_owned())]);
    let (_, period) = MetricStatement::of(&wall)?.bind_in(&given, &zone("Europe/Berlin")?).unwrap();
    assert_eq!(period, None);
    Ok(())
}

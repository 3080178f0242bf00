//! Constants that PostgreSQL reads from its clock when it prepares a statement.

use anyhow::Result;
use metricd_execution::FindingCode;

use super::{plain, validator, warehouse};

#[tokio::test]
async fn a_constant_of_the_clock_is_refused_whatever_gives_it_its_type() -> Result<()> {
    let database = warehouse().await?;
    database
        .connect()
        .await?
        .batch_execute(
            "SET search_path = warehouse; CREATE DOMAIN dd AS date; CREATE TYPE dated AS (n integer, d dd);
             CREATE TYPE shift AS ENUM ('today', 'tomorrow');
             CREATE TABLE plans (day date, at timestamptz, days date[], span daterange, shift shift, note text)",
        )
        .await?;
    let validator = validator(&database).await?;
    for (sql, word) in [
        ("SELECT note FROM plans WHERE day > 'yesterday'", "yesterday"),
        ("SELECT note FROM plans WHERE at BETWEEN '2025-01-01' AND 'Today 10:00'", "Today"),
        ("SELECT note FROM plans WHERE day IN ('2025-01-01', 'tomorrow')", "tomorrow"),
        ("SELECT note FROM plans WHERE days && '{2025-01-01,now}'", "now"),
        ("SELECT note FROM plans WHERE span @> '[today,)'", "today"),
        ("SELECT note FROM plans WHERE day = E'to\\144ay'", "today"),
        ("SELECT coalesce(at, $$now$$) AS at FROM plans", "now"),
        ("SELECT 'today'::dd AS d", "today"),
        ("SELECT dd 'today' AS d", "today"),
        ("SELECT ('(1,today)'::dated).d AS d", "today"),
        ("WITH p AS (SELECT day FROM plans) SELECT count(*) FILTER (WHERE day = 'today') AS n FROM p", "today"),
    ] {
        let findings = plain(&validator, sql).await?.expect_err(sql);
        assert_eq!(findings[0].code, FindingCode::FrozenTime, "{sql}: {findings:?}");
        assert_eq!(findings[0].snippet, word, "{sql}: {findings:?}");
        assert!(findings[0].position.column > 1, "{sql}: {findings:?}");
    }
    for sql in [
        "SELECT note FROM plans WHERE note = 'today' AND day > '2025-01-01'",
        "SELECT 'now' AS word, 'Today' AS other, date '2025-01-01' AS day",
        "SELECT coalesce(note, 'unknown') AS note FROM plans WHERE at < '2025-01-01'",
        "SELECT note FROM plans WHERE shift = 'today' AND day < CURRENT_DATE",
        "SELECT json_build_object('today', day) AS j FROM plans WHERE note IN ('now', 'today') AND at > '2025-01-01'",
    ] {
        let validated = plain(&validator, sql).await?;
        assert!(validated.is_ok(), "{sql}: {validated:?}");
    }
    Ok(())
}

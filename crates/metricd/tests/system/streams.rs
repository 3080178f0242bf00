//! Long results as streams.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time::timeout;

use crate::support::{Server, definitions, folder, metricd, run, show};

const ROWS: usize = 1_000_000;

/// The maximum memory that a stream may add to that of the idle process, in bytes.
const MAX_GROWTH: u64 = 32 << 20;

/// The same for a file of Parquet, which has a row group in memory, or of another format.
const MAX_FILE_GROWTH: u64 = 64 << 20;

/// Reads a line of `/proc/<pid>/status`, in bytes.
fn memory(pid: u32, name: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("a line of the status")?;
    let kilobytes: u64 = line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes << 10)
}

#[actix_web::test]
async fn a_million_rows_take_next_to_no_memory() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let sql = "SELECT n, n * 1.25 AS amount, 'part \"' || n || '\"' AS name, date '2025-01-01' + n % 365 AS day,
                      n % 7 = 0 AS flagged, n / 3.0::double precision AS share, NULL::text AS note
               FROM (SELECT generate_series(1, 1000000) AS n) AS s";
    let files = definitions(folder.path(), sql)?;
    let server = Server::start(metricd(&data_dir).args(["serve", "--no-sample", "--query-timeout-seconds", "120"]))?;
    assert_eq!(run(metricd(&data_dir).arg("ingest").arg(&files))?.0, 0);
    assert_eq!(server.get("/metrics/m1?limit=1").await?.0, 200);
    let pid = server.process.id();
    for (format, lines) in [("csv", ROWS + 1), ("ndjson", ROWS)] {
        // Resets the peak to the current use.
        fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
        let idle = memory(pid, "VmRSS")?;
        let began = Instant::now();
        let mut response = reqwest::get(format!("{}/metrics/m1?format={format}", server.address)).await?;
        let (mut found, mut size_bytes, mut first) = (0, 0, None);
        while let Some(chunk) = response.chunk().await? {
            first.get_or_insert_with(|| began.elapsed());
            found += chunk.split(|byte| *byte == b'\n').count() - 1;
            size_bytes += chunk.len();
        }
        let elapsed = began.elapsed();
        let growth = memory(pid, "VmHWM")?.saturating_sub(idle);
        show(&format!(
            "{format}: {} kB over {} kB idle; {size_bytes} bytes, the first after {first:?}, all after {elapsed:?}: {:.0} \
             rows/s",
            growth >> 10,
            idle >> 10,
            f64::from(u32::try_from(found)?) / elapsed.as_secs_f64(),
        ));
        assert_eq!(found, lines);
        assert!(growth < MAX_GROWTH, "{format}: {growth} bytes");
        assert!(first.context("a chunk")? < elapsed / 2, "{format}: the first byte comes long before the last");
    }
    Ok(())
}

#[actix_web::test]
async fn a_file_of_many_rows_takes_little_memory() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    // Texts that hardly compress, so that a file has many row groups.
    let sql =
        "SELECT n, n * 1.25 AS amount, md5(n::text) || md5((n + 1)::text) AS name, date '2025-01-01' + n % 365 AS day,
                      n / 3.0::double precision AS share
               FROM (SELECT generate_series(1, 300000) AS n) AS s";
    let files = definitions(folder.path(), sql)?;
    let server = Server::start(metricd(&data_dir).args(["serve", "--no-sample", "--query-timeout-seconds", "120"]))?;
    assert_eq!(run(metricd(&data_dir).arg("ingest").arg(&files))?.0, 0);
    assert_eq!(server.get("/metrics/m1?limit=1").await?.0, 200);
    let pid = server.process.id();
    for (format, end) in [("parquet", "PAR1"), ("arrow", "\0\0\0\0"), ("xlsx", "\0\0")] {
        fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
        let idle = memory(pid, "VmRSS")?;
        let began = Instant::now();
        let mut response = reqwest::get(format!("{}/metrics/m1?format={format}", server.address)).await?;
        let (mut size_bytes, mut last) = (0, Vec::new());
        while let Some(chunk) = response.chunk().await? {
            size_bytes += chunk.len();
            last = chunk.to_vec();
        }
        let growth = memory(pid, "VmHWM")?.saturating_sub(idle);
        show(&format!("{format}: {} kB over idle; {size_bytes} bytes after {:?}", growth >> 10, began.elapsed()));
        assert!(last.ends_with(end.as_bytes()), "{format} is complete");
        assert!(
            size_bytes > 8 << 20 && growth < MAX_FILE_GROWTH,
            "{format}: {size_bytes} bytes, {growth} more in memory"
        );
    }
    Ok(())
}

#[actix_web::test]
async fn an_early_error_is_a_problem_and_a_late_one_aborts_the_stream() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let server = Server::start(metricd(&data_dir).args(["serve", "--no-sample", "--query-timeout-seconds", "60"]))?;
    for (failing_row, is_early) in [(500_000, false), (1, true)] {
        let sql = format!("SELECT 1 / ({failing_row} - n) AS x FROM (SELECT generate_series(1, 600000) AS n) AS s");
        let files = definitions(folder.path(), &sql)?;
        assert_eq!(run(metricd(&data_dir).arg("ingest").arg(&files))?.0, 0);
        // The server is notified of the new SQL some milliseconds after it is stored.
        let (definition, is_new) =
            (format!("{}/metrics/m1/definition", server.address), format!("({failing_row} - n)"));
        timeout(Duration::from_secs(20), async {
            while !reqwest::get(&definition).await?.text().await?.contains(&is_new) {}
            anyhow::Ok(())
        })
        .await??;
        for format in ["csv", "ndjson"] {
            let response = reqwest::get(format!("{}/metrics/m1?format={format}", server.address)).await?;
            assert_eq!(response.status(), if is_early { 500 } else { 200 });
            assert_eq!(response.bytes().await.is_ok(), is_early, "{format}");
        }
    }
    Ok(())
}

//! What is measured in pairs: several results in one call, pages of a long list, results that have not changed.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;
use serde_json::Value;

use crate::arguments::{Options, Part};
use crate::data::together;
use crate::figures::Goal;
use crate::load::{self, Asked, Target};
use crate::pair::{Pair, PairCell, Side};
use crate::pgbench::Postgres;
use crate::response::NOT_MODIFIED;
use crate::workload::{MAX_CLIENTS, Questions, Workload, path};

/// How many definitions a page has.
pub(crate) const PAGE: u32 = 100;

/// What was measured, and what could not be.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) cells: Vec<PairCell>,
    pub(crate) notes: Vec<String>,
}

/// Measures the pairs that were asked for, each with each number of clients.
pub(crate) async fn measure(
    options: &Options,
    postgres: &Postgres,
    address: SocketAddr,
    bar: &ProgressBar,
) -> Result<Measured> {
    let mut measured = Measured::default();
    // The pages come last: the definitions that they need are in nobody's way then.
    for part in [Part::Results, Part::Unchanged, Part::Pages] {
        if !options.parts.contains(&part) {
            continue;
        }
        bar.set_message(format!("preparing {}", part.name()));
        let pair = match part {
            Part::Floor => continue,
            Part::Results => results(address).await?,
            Part::Pages => pages(postgres, options.copies, address).await?,
            Part::Unchanged => match unchanged(address).await? {
                Ok(pair) => pair,
                Err(note) => {
                    measured.notes.push(note);
                    continue;
                }
            },
        };
        let mut cells: Vec<_> = options.clients.iter().map(|clients| PairCell::new(pair.clone(), *clients)).collect();
        bar.reset();
        bar.set_length(u64::try_from(cells.len())? * u64::from(options.rounds));
        for round in 1..=options.rounds {
            for cell in &mut cells {
                bar.inc(1);
                bar.set_message(format!("round {round}: {}, {} clients", part.name(), cell.clients));
                measure_round(cell, round, options.pair_duration()).await?;
            }
        }
        measured.cells.append(&mut cells);
    }
    Ok(measured)
}

/// Which of the two is first changes from round to round.
async fn measure_round(cell: &mut PairCell, round: u32, duration: Duration) -> Result<()> {
    let mut rates = [0.0; 2];
    let order = if round % 2 == 1 { [0, 1] } else { [1, 0] };
    for index in order {
        let side = if index == 0 { &cell.pair.first } else { &cell.pair.second };
        rates[index] = load::measure(&side.target, cell.clients, duration).await?.requests_per_second;
    }
    let [first, second] = rates;
    cell.add(first, second);
    Ok(())
}

/// Metrics with a request for each, and in one call.
async fn results(address: SocketAddr) -> Result<Pair> {
    let ids = together();
    // Apart, since what a request costs is what one call for several of them saves.
    let mut alone = vec![Vec::new(); usize::try_from(MAX_CLIENTS)?];
    for id in &ids {
        for (client, asked) in (0..).zip(&mut alone) {
            asked.push(answered(address, path(id, client)).await?);
        }
    }
    let ids: Vec<_> = ids.iter().map(|id| format!("metric_id={id}")).collect();
    let path = format!("/results?{}", ids.join("&"));
    let answer: Value = serde_json::from_slice(&load::get(address, &path).await?)?;
    let entries = answer["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_whole = entries.len() == ids.len() && entries.iter().all(|entry| entry["status"] == 200);
    ensure!(is_whole, "not all of the metrics have results");
    let counts = u32::try_from(ids.len())?;
    Ok(Pair {
        first: Side { name: "GET /metrics/{id}".to_owned(), target: Target { address, asked: alone }, counts: 1 },
        second: Side {
            name: format!("GET /results, {counts} in a call"),
            target: Target::alike(address, answered(address, path).await?),
            counts,
        },
        goal: Some(Goal::AtLeast(3.0)),
        unit: "metrics",
    })
}

/// The first page of all definitions, and the last that is full.
async fn pages(postgres: &Postgres, copies: u32, address: SocketAddr) -> Result<Pair> {
    postgres.copy_definitions(copies).await?;
    let number = copies / PAGE;
    let mut path = format!("/metrics?limit={PAGE}");
    let first = answered(address, path.clone()).await?;
    for page in 1..number {
        path = format!(
            "/metrics?limit={PAGE}&cursor={}",
            next_cursor(address, &path).await.with_context(|| format!("page {page}"))?
        );
    }
    let side = |name, asked| Side { name, target: Target::alike(address, asked), counts: 1 };
    Ok(Pair {
        first: side("GET /metrics, page 1".to_owned(), first),
        second: side(format!("GET /metrics, page {number}"), answered(address, path).await?),
        goal: Some(Goal::Within(1.5)),
        unit: "pages",
    })
}

/// Where the page after this one begins.
async fn next_cursor(address: SocketAddr, path: &str) -> Result<String> {
    let page: Value = serde_json::from_slice(&load::get(address, path).await?)?;
    let items = page["items"].as_array().map_or(0, Vec::len);
    ensure!(items == usize::try_from(PAGE)?, "a page has {items} definitions");
    page["next_cursor"].as_str().map(str::to_owned).context("it is the last one")
}

/// A result, and the answer to a client that has it already; or why there is no such answer.
async fn unchanged(address: SocketAddr) -> Result<Result<Pair, String>> {
    let path = Workload::Series.path();
    let whole = load::ask(address, &path, None).await?;
    ensure!(whole.status == 200, "{path} answers with {}", whole.status);
    let Some(tag) = whole.tag else {
        return Ok(Err("GET /metrics/{id} sends no ETag, so that 304 was not measured against 200".to_owned()));
    };
    let again = load::ask(address, &path, Some(tag.clone())).await?.status;
    if again != NOT_MODIFIED {
        let note = format!(
            "a client that has the ETag of GET /metrics/{{id}} is answered {again}, so that 304 was not measured"
        );
        return Ok(Err(note));
    }
    let plain = |path| vec![Asked::ok(path, whole.body.len())];
    let asked = Workload::Series.paths(Questions::Apart).into_iter().map(plain).collect();
    let conditional = Asked { path, tag: Some(tag), status: NOT_MODIFIED, body_bytes: 0 };
    let side = |name: &str, target| Side { name: name.to_owned(), target, counts: 1 };
    Ok(Ok(Pair {
        first: side("GET /metrics/{id}, 200", Target { address, asked }),
        second: side("304", Target::alike(address, conditional)),
        goal: None,
        unit: "answers",
    }))
}

/// A request whose answer has to be as large as it is now.
async fn answered(address: SocketAddr, path: String) -> Result<Asked> {
    let body_bytes = load::get(address, &path).await?.len();
    Ok(Asked::ok(path, body_bytes))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers a client that has a tag with the second, and any other with the first.
    async fn server(answer: &'static str, again: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1_024];
                let count = stream.read(&mut request).await.unwrap();
                let has_tag = String::from_utf8_lossy(&request[..count]).contains("\r\nIf-None-Match: \"a\"\r\n");
                stream.write_all(if has_tag { again } else { answer }.as_bytes()).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn what_has_not_changed_is_measured_where_the_server_says_so() {
        let tagged = "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 2\r\n\r\n{}";
        let unchanged_now = "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n";
        let pair = unchanged(server(tagged, unchanged_now).await).await.unwrap().unwrap();
        let asked = |side: &Side| (side.target.asked[0][0].status, side.target.asked[0][0].body_bytes);
        assert_eq!((asked(&pair.first), asked(&pair.second)), ((200, 2), (304, 0)));

        let note = unchanged(server(tagged, tagged).await).await.unwrap().unwrap_err();
        assert!(note.contains("is answered 200"), "{note}");
        let plain = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        let note = unchanged(server(plain, plain).await).await.unwrap().unwrap_err();
        assert!(note.contains("sends no ETag"), "{note}");
        let error = unchanged(server("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", plain).await).await.unwrap_err();
        assert!(error.to_string().contains("404"), "{error}");
    }
}

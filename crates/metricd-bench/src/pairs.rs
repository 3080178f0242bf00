//! The pairs: several results in one call, pages of a long list, unchanged results, and TLS to PostgreSQL.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;
use serde_json::Value;

use crate::arguments::{Measurement, Options, Part};
use crate::data::metrics_of_one_call;
use crate::figures::Goal;
use crate::load::{self, Request, Target};
use crate::metricd::Metricd;
use crate::pair::{Pair, PairCell, Side};
use crate::pgbench::Postgres;
use crate::process::Server;
use crate::response::NOT_MODIFIED;
use crate::workload::{MAX_CLIENTS, Workload, path};

/// The number of definitions of a page.
pub(crate) const PAGE_SIZE: u32 = 100;

/// The measurements of the pairs, and notes on those that were skipped.
#[derive(Debug, Default)]
pub(crate) struct PairResults {
    pub(crate) cells: Vec<PairCell>,
    pub(crate) notes: Vec<String>,
}

/// Measures the requested pairs, each with each number of clients.
pub(crate) async fn measure(
    options: &Options,
    postgres: &Postgres,
    metricd: &Metricd,
    (address, folder): (SocketAddr, &Path),
    bar: &ProgressBar,
) -> Result<PairResults> {
    let Measurement { rounds, clients, .. } = &options.measurement;
    let rounds = *rounds;
    let mut measured = PairResults::default();
    // The pages come last, so that the definitions that they need do not affect the other pairs.
    for part in [Part::Results, Part::Unchanged, Part::Tls, Part::Pages] {
        if !options.parts.contains(&part) {
            continue;
        }
        bar.set_message(format!("preparing {}", part.name()));
        let mut servers = Vec::new();
        let pairs = match part {
            Part::Baseline => continue,
            Part::Results => vec![results(address).await?],
            Part::Pages => vec![pages(postgres, options.copies, address).await?],
            Part::Tls => {
                postgres.enable_tls().await.context("PostgreSQL has no TLS")?;
                for mode in ["disable", "require"] {
                    let log = folder.join(format!("metricd-{mode}.log"));
                    servers.push(metricd.serve_over_tcp(postgres, mode, &log).await?);
                }
                tls(&servers).await?
            }
            Part::Unchanged => match unchanged(address).await? {
                Ok(pair) => vec![pair],
                Err(note) => {
                    measured.notes.push(note);
                    continue;
                }
            },
        };
        let cells = pairs.iter().flat_map(|pair| clients.iter().map(|clients| PairCell::new(pair.clone(), *clients)));
        let mut cells: Vec<_> = cells.collect();
        bar.reset();
        bar.set_length(u64::try_from(cells.len())? * u64::from(rounds));
        for round in 1..=rounds {
            for cell in &mut cells {
                bar.inc(1);
                bar.set_message(format!("round {round}: {}, {} clients", part.name(), cell.clients));
                measure_round(cell, round, options.pair_duration()).await?;
            }
        }
        measured.cells.append(&mut cells);
        for server in servers {
            server.stop().await?;
        }
    }
    Ok(measured)
}

/// Measures one round of a pair. The side that is measured first changes from round to round.
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

/// Metrics with one request for each, and in one call.
async fn results(address: SocketAddr) -> Result<Pair> {
    let ids = metrics_of_one_call();
    // The clients send different requests, so that none are coalesced: one call for several metrics saves the cost of
    // requests.
    let mut single = vec![Vec::new(); usize::try_from(MAX_CLIENTS)?];
    for id in &ids {
        for (client, requests) in (0..).zip(&mut single) {
            requests.push(expect_current(address, path(id, client)).await?);
        }
    }
    let ids: Vec<_> = ids.iter().map(|id| format!("metric_id={id}")).collect();
    let path = format!("/results?{}", ids.join("&"));
    let response: Value = serde_json::from_slice(&load::get(address, &path).await?)?;
    let entries = response["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_complete = entries.len() == ids.len() && entries.iter().all(|entry| entry["status"] == 200);
    ensure!(is_complete, "not all of the metrics have results");
    let metrics = u32::try_from(ids.len())?;
    Ok(Pair {
        first: Side {
            name: "GET /metrics/{id}".to_owned(),
            target: Target { address, requests: single },
            units_per_response: 1,
        },
        second: Side {
            name: format!("GET /results, {metrics} in a call"),
            target: Target::identical(address, expect_current(address, path).await?),
            units_per_response: metrics,
        },
        goal: Some(Goal::AtLeast(3.0)),
        unit: "metrics",
    })
}

/// The results of a server without TLS to PostgreSQL, and those of one with it. The goals are what pgbench keeps.
async fn tls(servers: &[Server]) -> Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for (workload, least) in [(Workload::Aggregate, 0.65), (Workload::Listing, 0.9)] {
        let mut sides = Vec::new();
        for (server, name) in servers.iter().zip(["TCP", "TLS"]) {
            let body_bytes = load::get(server.address, &workload.path()).await?.len();
            let request = |path| vec![Request::ok(path, body_bytes)];
            let requests = workload.paths().map(request).collect();
            let target = Target { address: server.address, requests };
            sides.push(Side { name: format!("{}, {name}", workload.name()), target, units_per_response: 1 });
        }
        let [first, second] = <[Side; 2]>::try_from(sides).ok().context("there are two servers")?;
        pairs.push(Pair { first, second, goal: Some(Goal::AtLeast(least)), unit: "responses" });
    }
    Ok(pairs)
}

/// The first page of all definitions, and the last full one.
async fn pages(postgres: &Postgres, copies: u32, address: SocketAddr) -> Result<Pair> {
    postgres.copy_definitions(copies).await?;
    let number = copies / PAGE_SIZE;
    let mut path = format!("/metrics?limit={PAGE_SIZE}");
    let first = expect_current(address, path.clone()).await?;
    for page in 1..number {
        path = format!(
            "/metrics?limit={PAGE_SIZE}&cursor={}",
            next_cursor(address, &path).await.with_context(|| format!("page {page}"))?
        );
    }
    let side = |name, request| Side { name, target: Target::identical(address, request), units_per_response: 1 };
    Ok(Pair {
        first: side("GET /metrics, page 1".to_owned(), first),
        second: side(format!("GET /metrics, page {number}"), expect_current(address, path).await?),
        goal: Some(Goal::Within(1.5)),
        unit: "pages",
    })
}

/// The cursor of the page after this one.
async fn next_cursor(address: SocketAddr, path: &str) -> Result<String> {
    let page: Value = serde_json::from_slice(&load::get(address, path).await?)?;
    let items = page["items"].as_array().map_or(0, Vec::len);
    ensure!(items == usize::try_from(PAGE_SIZE)?, "a page has {items} definitions");
    page["next_cursor"].as_str().map(str::to_owned).context("this is the last page")
}

/// A result, and 304 for a client that has it already. The error is a note on why there is no 304.
async fn unchanged(address: SocketAddr) -> Result<Result<Pair, String>> {
    let path = Workload::Series.path();
    let request = Request::any_size(&path);
    let full = load::fetch(address, &request).await?.check(&request)?;
    let Some(tag) = full.header("etag") else {
        return Ok(Err("GET /metrics/{id} sends no ETag, so 304 was not measured against 200".to_owned()));
    };
    let conditional = Request::not_modified(path, tag);
    let revalidated = load::fetch(address, &conditional).await?.status;
    if revalidated != NOT_MODIFIED {
        let note = format!(
            "GET /metrics/{{id}} with the ETag of its result responds with {revalidated}, so 304 was not measured"
        );
        return Ok(Err(note));
    }
    let request = |path| vec![Request::ok(path, full.body.len())];
    let requests = Workload::Series.paths().map(request).collect();
    let side = |name: &str, target| Side { name: name.to_owned(), target, units_per_response: 1 };
    Ok(Ok(Pair {
        first: side("GET /metrics/{id}, 200", Target { address, requests }),
        second: side("304", Target::identical(address, conditional)),
        goal: None,
        unit: "responses",
    }))
}

/// A request whose expected response has the size of the current one.
async fn expect_current(address: SocketAddr, path: String) -> Result<Request> {
    let body_bytes = load::get(address, &path).await?.len();
    Ok(Request::ok(path, body_bytes))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that responds with `conditional` to a client that sends a tag, and with `full` to any other.
    async fn server(full: &'static str, conditional: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1_024];
                let count = stream.read(&mut request).await.unwrap();
                let has_tag = String::from_utf8_lossy(&request[..count]).contains("\r\nIf-None-Match: \"a\"\r\n");
                stream.write_all(if has_tag { conditional } else { full }.as_bytes()).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn unchanged_results_are_measured_if_the_server_sends_304() {
        let tagged = "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 2\r\n\r\n{}";
        let unchanged_now = "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n";
        let pair = unchanged(server(tagged, unchanged_now).await).await.unwrap().unwrap();
        let expected = |side: &Side| (side.target.requests[0][0].status, side.target.requests[0][0].body_bytes);
        assert_eq!((expected(&pair.first), expected(&pair.second)), ((200, Some(2)), (304, Some(0))));

        let note = unchanged(server(tagged, tagged).await).await.unwrap().unwrap_err();
        assert!(note.contains("responds with 200"), "{note}");
        let plain = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        let note = unchanged(server(plain, plain).await).await.unwrap().unwrap_err();
        assert!(note.contains("sends no ETag"), "{note}");
        let error = unchanged(server("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", plain).await).await.unwrap_err();
        assert!(error.to_string().contains("404"), "{error}");
    }
}

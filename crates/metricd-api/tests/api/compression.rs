//! Compressed responses.

use std::io::Read;

use anyhow::{Context, Result, bail};
use flate2::read::{GzDecoder, MultiGzDecoder};
use metricd_execution::testing::{Ending, ScriptedResult};
use metricd_execution::{Column, FieldType};
use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::streams::{SQL, failing, script};
use crate::support::{TestApp, eventually};

fn decode(coding: &str, body: &[u8]) -> Result<String> {
    let mut text = String::new();
    match coding {
        "" => text = String::from_utf8(body.to_vec())?,
        "gzip" => _ = MultiGzDecoder::new(body).read_to_string(&mut text)?,
        "zstd" => text = String::from_utf8(zstd::decode_all(body)?)?,
        coding => bail!("{coding} was not asked for"),
    }
    Ok(text)
}

/// Decodes the available part of an incomplete body.
fn decode_begun(coding: &str, body: &[u8]) -> String {
    let mut text = Vec::new();
    // The missing end is an error.
    let _ = match coding {
        "gzip" => GzDecoder::new(body).read_to_end(&mut text),
        _ => zstd::Decoder::new(body).and_then(|mut decoder| decoder.read_to_end(&mut text)),
    };
    String::from_utf8_lossy(&text).into_owned()
}

fn request(app: &TestApp, method: Method, path: &str, coding: &str) -> reqwest::RequestBuilder {
    app.client.request(method, app.url(path)).header("accept-encoding", coding)
}

fn header(response: &reqwest::Response, name: &str) -> String {
    let values = response.headers().get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(", ")
}

#[actix_web::test]
async fn a_body_is_the_same_in_every_coding() -> Result<()> {
    let app = TestApp::start().await?;
    // 10 rows fit into a packet or two, 900 are compressed in chunks, and 50 000 are streamed.
    for (rows, formats) in [(10, "json csv ndjson"), (900, "json csv ndjson"), (50_000, "csv ndjson")] {
        script(&app.runner, rows, Ending::Complete);
        for format in formats.split(' ') {
            let path = format!("/metrics/m1?format={format}");
            let plain = app.get(&path).await?;
            assert_eq!(plain.header("content-encoding"), "");
            for coding in ["gzip", "zstd"] {
                let response = request(&app, Method::GET, &path, coding).send().await?;
                assert_eq!(header(&response, "content-encoding"), coding, "{path}");
                assert_eq!(header(&response, "vary"), "accept, accept-encoding", "{path}");
                assert_eq!(header(&response, "content-type"), plain.header("content-type"), "{path}");
                let length = header(&response, "content-length");
                let body = response.bytes().await?;
                assert!(length.is_empty() || length == body.len().to_string(), "{path}: {length}");
                assert!(body.len() * 2 < plain.body.len(), "{path}: {} of {}", body.len(), plain.body.len());
                assert!(decode(coding, &body)? == plain.body, "{path} in {coding}");
            }
        }
    }
    Ok(())
}

#[actix_web::test]
async fn an_uncompressed_response_varies_by_accept_encoding() -> Result<()> {
    let app = TestApp::start().await?;
    script(&app.runner, 20, Ending::Complete);
    for coding in ["identity", "br", "gzip;q=0"] {
        let response = request(&app, Method::GET, "/metrics/m1", coding).send().await?;
        assert_eq!(header(&response, "content-encoding"), "", "{coding}");
        assert_eq!(header(&response, "vary"), "accept, accept-encoding", "{coding}");
    }
    let small = request(&app, Method::GET, "/health", "gzip").send().await?;
    assert_eq!((header(&small, "content-encoding"), header(&small, "vary")), (String::new(), String::new()));
    Ok(())
}

#[actix_web::test]
async fn head_has_the_headers_of_get() -> Result<()> {
    let app = TestApp::start().await?;
    for rows in [20, 900] {
        script(&app.runner, rows, Ending::Complete);
        let (get, head) =
            (request(&app, Method::GET, "/metrics/m1", "gzip"), request(&app, Method::HEAD, "/metrics/m1", "gzip"));
        let (get, head) = (get.send().await?, head.send().await?);
        // A result contains its time, which is constant in tests.
        for name in ["content-encoding", "content-length", "transfer-encoding", "vary", "etag"] {
            assert_eq!(header(&get, name), header(&head, name), "{rows}: {name}");
        }
        assert!(head.bytes().await?.is_empty());
    }
    Ok(())
}

#[actix_web::test]
async fn large_problems_are_compressed_too() -> Result<()> {
    let app = TestApp::start().await?;
    let response = request(&app, Method::GET, &format!("/{}", "x".repeat(4_000)), "gzip").send().await?;
    assert_eq!((response.status().as_u16(), header(&response, "content-encoding")), (404, "gzip".to_owned()));
    assert!(decode("gzip", &response.bytes().await?)?.contains("\"code\":\"not-found\""));
    Ok(())
}

#[actix_web::test]
async fn compressed_rows_arrive_during_the_run_which_is_cancelled_with_its_client() -> Result<()> {
    let app = TestApp::start().await?;
    for coding in ["gzip", "zstd"] {
        for rows in [1, 2_000] {
            script(&app.runner, rows, Ending::Never);
            let mut response = request(&app, Method::GET, "/metrics/m1?format=csv", coding).send().await?;
            let mut begun = Vec::new();
            let mut text = String::new();
            while text.matches("xxx\r\n").count() < rows {
                begun.extend_from_slice(&response.chunk().await?.context("a chunk")?);
                text = decode_begun(coding, &begun);
            }
            assert!(text.starts_with("value\r\nxxx"), "{text}");
            assert_eq!(app.runner.running(), 1);
            drop(response);
            eventually("the run is given up", || app.runner.running() == 0).await?;
        }
    }
    Ok(())
}

#[actix_web::test]
async fn back_pressure_passes_through_the_encoder() -> Result<()> {
    let app = TestApp::start().await?;
    let column = Column { name: "value".into(), type_name: "text".into(), field_type: FieldType::Text };
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:08x}", state >> 32)
    };
    // Text that hardly shrinks, and more than sockets and buffers hold.
    let rows: Vec<_> = (0..300_000).map(|_| vec![Some((0..12).map(|_| noise()).collect::<String>().into())]).collect();
    app.runner.script_result(SQL, move || {
        Ok(ScriptedResult { columns: vec![column.clone()], rows: rows.clone(), ending: Ending::Complete })
    });
    let response = request(&app, Method::GET, "/metrics/m1?format=csv", "zstd").send().await?;
    assert_eq!(app.runner.running(), 1);
    assert_eq!(decode("zstd", &response.bytes().await?)?.lines().count(), 300_001);
    assert_eq!(app.runner.running(), 0);
    Ok(())
}

#[actix_web::test]
async fn an_aborted_compressed_stream_does_not_look_complete() -> Result<()> {
    let app = TestApp::start().await?;
    script(&app.runner, 50_000, failing());
    for coding in ["gzip", "zstd"] {
        let mut response = request(&app, Method::GET, "/metrics/m1?format=ndjson", coding).send().await?;
        let mut body = Vec::new();
        let ended = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                other => break other,
            }
        };
        assert!(ended.is_err(), "{coding}: the protocol says so");
        assert!(decode(coding, &body).is_err(), "{coding}: and so does the coding");
        assert!(!decode_begun(coding, &body).is_empty(), "{coding}");
    }
    Ok(())
}

#[actix_web::test]
async fn an_http_1_0_client_gets_a_content_length() -> Result<()> {
    let app = TestApp::start().await?;
    script(&app.runner, 900, Ending::Complete);
    let mut stream = app.connect().await?;
    stream.write_all(b"GET /metrics/m1 HTTP/1.0\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("a head")?;
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    Ok(())
}

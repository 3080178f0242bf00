//! Serves bodies of the same sizes from memory, to measure the web server alone. The program starts itself in this
//! mode.

use std::fs::{self, DirEntry};
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::path::Path;

use actix_web::web::Bytes;
use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::{Context, Result};

/// Serves the folder's files, each at the path of its name, until standard input is closed. The system closes it when
/// the program that started this one ends.
pub(crate) fn serve(folder: &Path) -> Result<()> {
    let read = |entry: io::Result<DirEntry>| {
        let file = entry?;
        Ok((format!("/{}", file.file_name().display()), Bytes::from(fs::read(file.path())?)))
    };
    let bodies: Vec<(String, Bytes)> = fs::read_dir(folder)?.map(read).collect::<io::Result<_>>()?;
    actix_web::rt::System::new().block_on(async move {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let app = move || {
            bodies.iter().cloned().fold(App::new(), |app, (path, body)| {
                let respond = move || {
                    let body = body.clone();
                    async move { HttpResponse::Ok().content_type("application/json").body(body) }
                };
                app.route(&path, web::get().to(respond))
            })
        };
        // The same settings as metricd's.
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let disable_nagle = |connection: &dyn std::any::Any, _: &mut actix_web::dev::Extensions| {
            if let Some(stream) = connection.downcast_ref::<actix_web::rt::net::TcpStream>() {
                let _ = stream.set_nodelay(true);
            }
        };
        let server = HttpServer::new(app).workers(workers).on_connect(disable_nagle).listen(listener)?.run();
        let handle = server.handle();
        let server = actix_web::rt::spawn(server);
        let mut out = io::stdout();
        writeln!(out, "listens on http://{address}")?;
        out.flush()?;
        let input = actix_web::rt::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new()));
        input.await.context("standard input could not be read")??;
        handle.stop(false).await;
        server.await.context("the web server failed")??;
        Ok(())
    })
}

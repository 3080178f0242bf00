//! An outage of the database.

use anyhow::Result;
use metricd_embedded::{Cluster, Search};
use secrecy::ExposeSecret;

use crate::support::{Server, definitions, eventually, folder, metricd, run};

#[actix_web::test]
async fn metrics_return_503_while_the_database_is_down_and_recover() -> Result<()> {
    let mut cluster = Cluster::ephemeral(&Search::system(std::env::var_os("PATH")), &["reader"])?;
    let folder = folder()?;
    let command = || -> Result<_> {
        let mut command = metricd(folder.path());
        command.env("METRICD_INSECURE_ALLOW_ANONYMOUS", "true");
        command.env("DATABASE_URL", cluster.connection().owner_url("postgres")?.expose_secret());
        command.env("READER_DATABASE_URL", cluster.connection().url("reader", "postgres")?.expose_secret());
        Ok(command)
    };
    assert_eq!(run(command()?.arg("migrate"))?.0, 0);
    let files = definitions(folder.path(), "SELECT 1 AS one")?;
    assert_eq!(run(command()?.arg("ingest").arg(&files))?.0, 0);
    let server = Server::start(&mut command()?)?;
    assert_eq!(server.get("/metrics/m1").await?.0, 200);

    cluster.stop_database()?;
    for _ in 0..3 {
        let response = reqwest::get(format!("{}/metrics/m1", server.address)).await?;
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key("retry-after"));
        assert_eq!(response.json::<serde_json::Value>().await?["code"], "database-unavailable");
    }
    assert_eq!(server.get("/health").await?.0, 200);
    assert_eq!(server.get("/health/ready").await?.0, 503);

    cluster.start_database()?;
    let is_back = || async { Ok(server.get("/metrics/m1").await?.0 == 200) };
    eventually("the metric is served again", is_back).await?;
    assert_eq!(server.get("/health/ready").await?.0, 200);
    Ok(())
}

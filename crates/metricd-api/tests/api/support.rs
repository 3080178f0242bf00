//! A server for one test.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use anyhow::{Context, Result};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use metricd_access::{Access, Verifier};
use metricd_api::{ApiState, ServerOptions, Uploads, start};
use metricd_domain::{
    Actor, Dashboard, DashboardId, DashboardSummary, IngestionId, IngestionReport, MetricDefinition, MetricId,
    MetricPatterns, MetricVersion, Query, QueryId, QueryVersion, TableName,
};
use metricd_execution::testing::{ScriptedResolver, ScriptedRunner};
use metricd_formats::ResultFiles;
use metricd_repository::contract::{TestIngestion, metric, query};
use metricd_repository::{
    DefinitionFilter, Definitions, Idempotency, Ingestion, MemoryRepository, MetricChange, MetricRepository, NewMetric,
    ReadTable, Readiness, RepositoryError, StoredTable, TableVersion,
};
use reqwest::header::HeaderMap;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use crate::document;

/// How long a test waits for what must happen soon, so that a failure is not a hang.
pub(crate) const HANG_TIMEOUT: Duration = Duration::from_secs(60);

/// A server on a free port, stopped with the test.
pub(crate) struct TestApp {
    address: String,
    /// The client of all requests, which keeps its connections.
    pub(crate) client: reqwest::Client,
    pub(crate) repository: Arc<dyn MetricRepository>,
    pub(crate) runner: Arc<ScriptedRunner>,
    pub(crate) resolver: Arc<ScriptedResolver>,
    handle: ServerHandle,
    _uploads: TempDir,
}

/// A response of the server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| self.body.clone())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The fields of a problem's errors.
    pub(crate) fn fields(&self) -> Result<Vec<String>> {
        let errors = self.json()?["errors"].as_array().cloned().unwrap_or_default();
        Ok(errors.iter().filter_map(|error| Some(error["field"].as_str()?.to_owned())).collect())
    }

    /// Asserts that this is a complete and consistent problem document of the code.
    pub(crate) fn assert_problem(&self, status: u16, code: &str, instance: &str) -> Result<Value> {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json()?;
        assert_eq!(problem["type"], format!("/problems/{code}"));
        assert_eq!(problem["code"], code);
        assert_eq!(problem["status"], status);
        assert_eq!(problem["instance"], instance);
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
        assert_eq!(self.header("retry-after").is_empty(), ![429, 503].contains(&status), "{self:?}");
        Ok(problem)
    }
}

/// What a [`TestApp`] serves: by default an empty repository, without tokens, on one thread.
#[must_use]
pub(crate) struct TestAppBuilder {
    repository: Arc<dyn MetricRepository>,
    options: ServerOptions,
    state: Box<dyn FnOnce(ApiState) -> ApiState>,
}

impl TestAppBuilder {
    /// Serves this repository.
    pub(crate) fn repository(self, repository: Arc<dyn MetricRepository>) -> Self {
        Self { repository, ..self }
    }

    /// Requires tokens.
    pub(crate) fn tokens(self, verifier: Verifier) -> Self {
        self.state(|state| ApiState { access: Access::Tokens(Arc::new(verifier)), ..state })
    }

    /// Sets options of the server.
    pub(crate) fn options(self, options: ServerOptions) -> Self {
        Self { options, ..self }
    }

    /// Changes the state, after earlier changes.
    pub(crate) fn state(self, change: impl FnOnce(ApiState) -> ApiState + 'static) -> Self {
        let before = self.state;
        Self { state: Box::new(|state| change(before(state))), ..self }
    }

    /// Starts the server on a free port.
    pub(crate) fn start(self) -> Result<TestApp> {
        let Self { repository, options, state: change } = self;
        let runner = Arc::new(ScriptedRunner::default());
        let resolver = Arc::new(ScriptedResolver::default());
        runner.script("check", || Ok(Vec::new()));
        let now = || DateTime::from_timestamp(1_780_000_000, 0).unwrap_or_default();
        let folder = tempfile::tempdir()?;
        let uploads = Uploads::below(&folder.path().join("uploads"))?;
        let state =
            ApiState::new(Arc::clone(&repository), runner.clone(), resolver.clone(), Arc::new(ResultFiles), uploads);
        let state = change(ApiState { now, max_upload_bytes: 1 << 20, ..state });
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = format!("http://{}", listener.local_addr()?);
        let server = start(listener, state, ServerOptions { workers: 1, ..options })?;
        let handle = server.handle();
        actix_web::rt::spawn(server);
        let client = reqwest::Client::new();
        Ok(TestApp { address, client, repository, runner, resolver, handle, _uploads: folder })
    }
}

impl TestApp {
    pub(crate) fn builder() -> TestAppBuilder {
        TestAppBuilder {
            repository: Arc::new(MemoryRepository::default()),
            options: ServerOptions::default(),
            state: Box::new(|state| state),
        }
    }

    /// A server whose repository has the metric `m1` on the query `q1`: `SELECT 1`.
    pub(crate) async fn start() -> Result<Self> {
        Self::builder().repository(Self::store().await?).start()
    }

    /// A repository with this metric.
    pub(crate) async fn store() -> Result<Arc<dyn MetricRepository>> {
        let repository = MemoryRepository::default();
        let definitions = Definitions {
            queries: vec![query("q1", "-- Title \"one\"\nSELECT 1")],
            metrics: vec![metric("m1", "q1")],
            ..Definitions::default()
        };
        let (ingestion, _outcome) = TestIngestion::committing(definitions);
        repository.ingest(Box::new(ingestion)).await?;
        Ok(Arc::new(repository))
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer> {
        self.send(self.client.get(self.url(path))).await
    }

    /// Sends a JSON body with these headers.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<Answer> {
        let mut request = self.client.request(method.parse()?, self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// A raw connection, for requests that no client library would send.
    pub(crate) async fn connect(&self) -> Result<TcpStream> {
        Ok(TcpStream::connect(self.address()).await?)
    }

    /// The address and the port.
    pub(crate) fn address(&self) -> &str {
        self.address.trim_start_matches("http://")
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer> {
        let request = request.build()?;
        let (method, path) = (request.method().to_string(), request.url().path().to_owned());
        let response = self.client.execute(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let answer = Answer { status, headers, body: response.text().await? };
        document::check(&method, &path, &answer)?;
        Ok(answer)
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        // The future is the graceful part; initiating the stop is enough here.
        drop(self.handle.stop(false));
    }
}

/// Waits until the condition is true.
pub(crate) async fn eventually(what: &str, is_so: impl Fn() -> bool) -> Result<()> {
    let holds = async {
        let mut ticks = interval(Duration::from_millis(1));
        while !is_so() {
            ticks.tick().await;
        }
    };
    timeout(HANG_TIMEOUT, holds).await.with_context(|| format!("{what}: not within {HANG_TIMEOUT:?}"))
}

/// A repository whose every call fails with this error.
#[derive(Debug)]
pub(crate) struct FailingRepository(pub(crate) fn() -> RepositoryError);

#[async_trait]
impl MetricRepository for FailingRepository {
    async fn get_definition(&self, _: &MetricId) -> Result<MetricDefinition, RepositoryError> {
        Err(self.0())
    }

    async fn list_definitions(
        &self,
        _: &DefinitionFilter,
        _: Option<&MetricId>,
        _: usize,
    ) -> Result<Vec<MetricDefinition>, RepositoryError> {
        Err(self.0())
    }

    async fn list_metric_versions(
        &self,
        _: &MetricId,
        _: Option<u32>,
        _: usize,
    ) -> Result<Vec<MetricVersion>, RepositoryError> {
        Err(self.0())
    }

    async fn insert_metric(
        &self,
        _: NewMetric,
        _: Option<Idempotency>,
    ) -> Result<(MetricDefinition, bool), RepositoryError> {
        Err(self.0())
    }

    async fn change_metric(
        &self,
        _: &MetricId,
        _: u32,
        _: MetricChange,
        _: Actor,
    ) -> Result<MetricDefinition, RepositoryError> {
        Err(self.0())
    }

    async fn purge_metrics(&self, _: DateTime<Utc>) -> Result<Vec<MetricId>, RepositoryError> {
        Err(self.0())
    }

    async fn list_dashboards(
        &self,
        _: Option<&MetricPatterns>,
        _: Option<&DashboardId>,
        _: usize,
    ) -> Result<Vec<DashboardSummary>, RepositoryError> {
        Err(self.0())
    }

    async fn list_read_tables(&self, _: Option<&MetricPatterns>) -> Result<Vec<ReadTable>, RepositoryError> {
        Err(self.0())
    }

    async fn list_queries(&self, _: Option<&QueryId>, _: usize) -> Result<Vec<Query>, RepositoryError> {
        Err(self.0())
    }

    async fn list_query_versions(&self, _: &QueryId) -> Result<Vec<QueryVersion>, RepositoryError> {
        Err(self.0())
    }

    async fn get_dashboard(&self, _: &DashboardId) -> Result<Dashboard, RepositoryError> {
        Err(self.0())
    }

    async fn ingest(&self, _: Box<dyn Ingestion>) -> Result<IngestionReport, RepositoryError> {
        Err(self.0())
    }

    async fn get_ingestion(&self, _: IngestionId) -> Result<IngestionReport, RepositoryError> {
        Err(self.0())
    }

    async fn list_tables(&self) -> Result<Vec<StoredTable>, RepositoryError> {
        Err(self.0())
    }

    async fn get_table(&self, _: &TableName) -> Result<StoredTable, RepositoryError> {
        Err(self.0())
    }

    async fn list_table_versions(&self, _: &TableName) -> Result<Vec<TableVersion>, RepositoryError> {
        Err(self.0())
    }

    async fn delete_table(&self, _: &TableName, _: Actor) -> Result<(), RepositoryError> {
        Err(self.0())
    }

    async fn check(&self) -> Result<Readiness, RepositoryError> {
        Err(self.0())
    }
}

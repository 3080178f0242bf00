//! A server for one test.

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use anyhow::{Context, Result};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use metricd_access::{Access, Verifier};
use metricd_api::{ApiState, ServerOptions, Uploads, start};
use metricd_domain::{
    Actor, Dashboard, DashboardId, DashboardSummary, IngestionId, IngestionReport, MetricDefinition, MetricId,
    MetricPatterns, MetricVersion, Query, QueryId, QueryVersion,
};
use metricd_execution::testing::{ScriptedResolver, ScriptedRunner};
use metricd_repository::contract::{TestIngestion, metric, query};
use metricd_repository::{
    DefinitionFilter, Definitions, Idempotency, Ingestion, MemoryRepository, MetricChange, MetricRepository, NewMetric,
    Readiness, RepositoryError,
};
use reqwest::header::HeaderMap;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::document;

/// A server on a free port, stopped with the test.
pub(crate) struct TestApp {
    address: String,
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

impl TestApp {
    /// A server whose repository has the metric `m1` on the query `q1`: `SELECT 1`.
    pub(crate) async fn start() -> Result<Self> {
        Self::with(Self::store().await?)
    }

    /// A repository with this metric.
    pub(crate) async fn store() -> Result<Arc<dyn MetricRepository>> {
        let repository = MemoryRepository::default();
        let definitions = Definitions {
            queries: vec![query("q1", "-- Title \"one\"\nSELECT 1")],
            metrics: vec![metric("m1", "q1")],
            ..Definitions::default()
        };
        let (ingestion, _outcome) = TestIngestion::committing(definitions, Vec::new());
        repository.ingest(Box::new(ingestion)).await?;
        Ok(Arc::new(repository))
    }

    /// A server on this repository.
    pub(crate) fn with(repository: Arc<dyn MetricRepository>) -> Result<Self> {
        Self::ruled(repository, |state| state)
    }

    /// A server with tokens on this repository.
    pub(crate) fn guarded(repository: Arc<dyn MetricRepository>, verifier: Verifier) -> Result<Self> {
        Self::ruled(repository, |state| ApiState { access: Access::Tokens(Arc::new(verifier)), ..state })
    }

    /// A server with tokens and these options on an empty repository.
    pub(crate) fn guarded_with(options: ServerOptions, verifier: Verifier) -> Result<Self> {
        let rules = |state| ApiState { access: Access::Tokens(Arc::new(verifier)), ..state };
        Self::run(Arc::new(MemoryRepository::default()), options, rules)
    }

    /// A server with these quotas on this repository.
    pub(crate) fn ruled(
        repository: Arc<dyn MetricRepository>,
        rules: impl FnOnce(ApiState) -> ApiState,
    ) -> Result<Self> {
        Self::run(repository, ServerOptions::default(), rules)
    }

    /// A server on this repository with this size limit of uploads.
    pub(crate) fn limited(repository: Arc<dyn MetricRepository>, max_upload_bytes: u64) -> Result<Self> {
        Self::ruled(repository, |state| ApiState { max_upload_bytes, ..state })
    }

    /// A server with these options and one thread on an empty repository.
    pub(crate) fn with_options(options: ServerOptions) -> Result<Self> {
        Self::with_options_on(Arc::new(MemoryRepository::default()), options)
    }

    /// The same on this repository.
    pub(crate) fn with_options_on(repository: Arc<dyn MetricRepository>, options: ServerOptions) -> Result<Self> {
        Self::run(repository, options, |state| state)
    }

    fn run(
        repository: Arc<dyn MetricRepository>,
        options: ServerOptions,
        rules: impl FnOnce(ApiState) -> ApiState,
    ) -> Result<Self> {
        let runner = Arc::new(ScriptedRunner::default());
        let resolver = Arc::new(ScriptedResolver::default());
        runner.script("check", || Ok(Vec::new()));
        let now = || DateTime::from_timestamp(1_780_000_000, 0).unwrap_or_default();
        let folder = tempfile::tempdir()?;
        let uploads = Uploads::below(&folder.path().join("uploads"))?;
        let state = ApiState::new(Arc::clone(&repository), runner.clone(), resolver.clone(), uploads);
        let state = rules(ApiState { now, max_upload_bytes: 1 << 20, ..state });
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = format!("http://{}", listener.local_addr()?);
        let server = start(listener, state, ServerOptions { workers: 1, ..options })?;
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Ok(Self { address, repository, runner, resolver, handle, _uploads: folder })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer> {
        self.send(reqwest::Client::new().get(self.url(path))).await
    }

    /// Sends a JSON body with these headers.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<Answer> {
        let mut request = reqwest::Client::new().request(method.parse()?, self.url(path));
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
        let response = reqwest::Client::new().execute(request).await?;
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

    async fn check(&self) -> Result<Readiness, RepositoryError> {
        Err(self.0())
    }
}

//! Runs the program as a process.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// Creates a temporary folder that every user may enter.
pub(crate) fn folder() -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("metricd-test-").tempdir_in("/tmp")?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

/// Returns the command of the program. Its environment has `PATH`, to find PostgreSQL, the data folder and a free port.
pub(crate) fn metricd(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_metricd"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("METRICD_DATA_DIR", data_dir).env("METRICD_LISTEN", "127.0.0.1:0").stdin(Stdio::null());
    command
}

/// Runs the program to its end. Returns its exit code, standard output and standard error.
pub(crate) fn run(command: &mut Command) -> Result<(i32, String, String)> {
    let Output { status, stdout, stderr } = command.output()?;
    Ok((status.code().context("ended by a signal")?, String::from_utf8(stdout)?, String::from_utf8(stderr)?))
}

/// Writes a file and returns its path.
pub(crate) fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, text)?;
    Ok(path)
}

/// Writes files with the query `q1` and the metric `m1` that reads it. Returns their folder.
pub(crate) fn definitions(folder: &Path, sql: &str) -> Result<PathBuf> {
    let files = folder.join("definitions");
    fs::create_dir_all(&files)?;
    write(&files, "queries.csv", &format!("id,query\nq1,\"{}\"\n", sql.replace('"', "\"\"")))?;
    write(&files, "metrics.json", r#"{"items": [{"id": "m1", "queryId": "q1", "isEditable": true}]}"#)?;
    Ok(files)
}

/// A running server, and what it printed until it listened.
pub(crate) struct Server {
    pub(crate) process: Child,
    pub(crate) greeting: String,
    pub(crate) address: String,
    stdout: BufReader<ChildStdout>,
    log: Option<JoinHandle<String>>,
}

impl Server {
    /// Starts the program and waits until it listens.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut stdout = BufReader::new(process.stdout.take().context("a pipe")?);
        // The log must be read: a full pipe would block the server.
        let mut log = process.stderr.take().context("a pipe")?;
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = log.read_to_string(&mut text);
            text
        });
        let mut greeting = String::new();
        loop {
            let mut line = String::new();
            if stdout.read_line(&mut line)? == 0 {
                bail!("the server did not start: {}", log.join().unwrap_or_default());
            }
            greeting += &line;
            if let Some((_, rest)) = line.split_once("listens on ") {
                let address = rest.split(';').next().context("an address")?.to_owned();
                return Ok(Self { process, greeting, address, stdout, log: Some(log) });
            }
        }
    }

    /// Sends a `GET` request, and returns status and body of the response.
    pub(crate) async fn get(&self, path: &str) -> Result<(u16, Value)> {
        let response = reqwest::get(format!("{}{path}", self.address)).await?;
        Ok((response.status().as_u16(), response.json().await?))
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.process.id())?), signal)?)
    }

    /// Stops the server with a signal. Returns its exit code and the rest of its output.
    pub(crate) fn stop(mut self, signal: Signal) -> Result<(i32, String)> {
        self.signal(signal)?;
        let status = self.process.wait()?;
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest)?;
        Ok((status.code().context("ended by the signal")?, rest))
    }
}

impl Server {
    /// Stops the server, and returns its log.
    pub(crate) fn log(mut self) -> Result<String> {
        self.signal(Signal::SIGTERM)?;
        self.process.wait()?;
        let log = self.log.take().context("taken once")?;
        log.join().map_err(|_| anyhow::anyhow!("the log could not be read"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server must not outlive its test. Its database stops with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the process id of a private PostgreSQL.
pub(crate) fn postmaster(data_dir: &Path) -> Result<i32> {
    let pid_file = fs::read_to_string(data_dir.join("cluster/postmaster.pid"))?;
    Ok(pid_file.lines().next().context("a process id")?.trim().parse()?)
}

/// Returns PostgreSQL's processes, the postmaster first.
pub(crate) fn processes(data_dir: &Path) -> Result<Vec<Pid>> {
    let postmaster = postmaster(data_dir)?;
    let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"))?;
    let children: Vec<i32> = children.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    Ok([postmaster].into_iter().chain(children).map(Pid::from_raw).collect())
}

/// Connects to a private PostgreSQL as the owner.
pub(crate) async fn connect_as_owner(data_dir: &Path) -> Result<Client> {
    let passwords: Value = serde_json::from_str(&fs::read_to_string(data_dir.join("credentials.json"))?)?;
    let pid_file = fs::read_to_string(data_dir.join("cluster/postmaster.pid"))?;
    let port = pid_file.lines().nth(3).context("a port")?.parse()?;
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(port).dbname("metricd").user("metricd");
    let (client, connection) =
        config.password(passwords["metricd"].as_str().context("a password")?).connect(NoTls).await?;
    actix_web::rt::spawn(connection);
    Ok(client)
}

pub(crate) fn is_running(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).is_some_and(|state| state != "Z")
}

/// Waits until the condition holds.
pub(crate) async fn eventually<F: Future<Output = Result<bool>>>(what: &str, condition: impl Fn() -> F) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition().await? {
        ensure!(Instant::now() < deadline, "{what}: not within 30 s");
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Prints a measurement, for runs with `--nocapture`.
#[expect(clippy::print_stdout, reason = "the figures are worth reading even if the test passes")]
pub(crate) fn show(measured: &str) {
    println!("{measured}");
}

/// Returns an address whose port is in use while the listener lives.
pub(crate) fn taken_port() -> Result<(TcpListener, String)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    Ok((listener, address))
}

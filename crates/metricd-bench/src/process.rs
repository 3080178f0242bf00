//! Starts and stops other programs.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// The timeout for a server to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Kept open: a program that prints into a closed pipe fails.
    _stdout: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
    /// The time from its start until it listened.
    pub(crate) start: Duration,
}

impl Server {
    /// Starts the program and waits until it prints its address. Its log goes to the file.
    pub(crate) async fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let began = Instant::now();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(log)?);
        // The program is not in the terminal's process group: Ctrl-C reaches only this program, which then stops the
        // others in order.
        let mut child = command.kill_on_drop(true).process_group(0).spawn().context("a server could not be started")?;
        let mut stdout = BufReader::new(child.stdout.take().context("a server has no standard output")?);
        loop {
            let mut line = String::new();
            if stdout.read_line(&mut line).await? == 0 {
                bail!("a server did not start: {}", without_records(&std::fs::read_to_string(log)?));
            }
            if let Some(address) = parse_address(&line) {
                return Ok(Self { child, _stdout: stdout, address, start: began.elapsed() });
            }
        }
    }

    /// The memory that the process has in use. `None` on systems other than Linux.
    pub(crate) fn memory(&self) -> Option<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        Memory::parse(&status)
    }

    /// Sends the process SIGTERM and waits until it has ended.
    pub(crate) async fn stop(mut self) -> Result<()> {
        if let Some(id) = self.child.id() {
            kill(Pid::from_raw(id.try_into()?), Signal::SIGTERM)?;
        }
        timeout(STOP_TIMEOUT, self.child.wait()).await.context("a server does not stop")??;
        Ok(())
    }
}

/// The text of a log without the records of metricd's logger: what the program says itself.
fn without_records(log: &str) -> String {
    log.lines().filter(|line| !line.starts_with('[')).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

/// The last error in a log of metricd, without its time and its place in the code.
pub(crate) fn last_error(log: &Path) -> Option<String> {
    let log = std::fs::read_to_string(log).ok()?;
    log.lines()
        .rev()
        .filter_map(|line| line.strip_prefix('[')?.split_once("] "))
        .find_map(|(head, message)| head.contains(" ERROR ").then(|| message.to_owned()))
}

/// Parses `… listens on http://127.0.0.1:8080; …`.
fn parse_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listens on http://")?;
    rest.split([';', '\n']).next()?.parse().ok()
}

/// Runs a program until it ends, and returns its output.
pub(crate) async fn run(command: &mut Command) -> Result<String> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("`{program}` could not be started"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{program}` failed ({}): {}", output.status, stderr.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The resident memory of a process, in bytes: at present, and at most so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Memory {
    pub(crate) resident_bytes: u64,
    pub(crate) peak_bytes: u64,
}

impl Memory {
    fn parse(status: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            let kibibytes: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
            Some(kibibytes * 1_024)
        };
        Some(Self { resident_bytes: bytes("VmRSS")?, peak_bytes: bytes("VmHWM")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_address_in_the_output() {
        let expected = Some("127.0.0.1:8080".parse().unwrap());
        assert_eq!(parse_address("metricd listens on http://127.0.0.1:8080; Ctrl-C stops it. Try:\n"), expected);
        assert_eq!(parse_address("listens on http://127.0.0.1:8080\n"), expected);
        assert_eq!(parse_address("  curl http://127.0.0.1:8080/metrics/a\n"), None);
    }

    #[test]
    fn errors_are_found_in_the_log() {
        let log = "[2026-11-30T20:47:04Z WARN  metricd::access] anyone\nmetricd: cannot connect\nto it\n\n";
        assert_eq!(without_records(log), "metricd: cannot connect\nto it");
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(last_error(file.path()), None);
        std::fs::write(file.path(), "[t ERROR m] a\n[t ERROR m] b [1]\n[t INFO  m] GET / 500\n").unwrap();
        assert_eq!(last_error(file.path()).as_deref(), Some("b [1]"));
    }

    #[test]
    fn parses_the_memory_status_of_linux() {
        let status = "Name:\tmetricd\nVmPeak:\t  999 kB\nVmHWM:\t    3072 kB\nVmRSS:\t    2048 kB\n";
        assert_eq!(Memory::parse(status), Some(Memory { resident_bytes: 2 << 20, peak_bytes: 3 << 20 }));
        assert_eq!(Memory::parse("Name:\tmetricd\n"), None);
    }

    #[tokio::test]
    async fn the_error_of_a_failed_program_has_its_output() {
        let error = run(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).await.unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
        assert_eq!(run(Command::new("sh").args(["-c", "echo so"])).await.unwrap(), "so\n");
    }
}

//! Programs that run beside this one.

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

/// How long a program may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Kept open: a program that prints into a closed pipe fails.
    _stdout: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
    /// How long it took from its start until it listened.
    pub(crate) start: Duration,
}

impl Server {
    /// Starts the program and waits until it prints where it listens. What it logs goes into the file.
    pub(crate) async fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let began = Instant::now();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(log)?);
        // Not in the terminal's group: Ctrl-C is this program's alone, which then stops the others in their order.
        let mut child = command.kill_on_drop(true).process_group(0).spawn().context("a server could not be started")?;
        let mut stdout = BufReader::new(child.stdout.take().context("a server has no standard output")?);
        loop {
            let mut line = String::new();
            if stdout.read_line(&mut line).await? == 0 {
                bail!("a server did not start: {}", std::fs::read_to_string(log)?);
            }
            if let Some(address) = parse_address(&line) {
                return Ok(Self { child, _stdout: stdout, address, start: began.elapsed() });
            }
        }
    }

    /// How many bytes of memory the process has in use, now and at most so far. Only Linux tells.
    pub(crate) fn memory(&self) -> Option<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        Memory::parse(&status)
    }

    /// Tells the process to end, and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<()> {
        if let Some(id) = self.child.id() {
            kill(Pid::from_raw(id.try_into()?), Signal::SIGTERM)?;
        }
        timeout(STOP_LIMIT, self.child.wait()).await.context("a server does not stop")??;
        Ok(())
    }
}

/// `… listens on http://127.0.0.1:8080; …`
fn parse_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listens on http://")?;
    rest.split([';', '\n']).next()?.parse().ok()
}

/// Runs a program to its end, and answers with what it printed.
pub(crate) async fn run(command: &mut Command) -> Result<String> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("`{program}` could not be started"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{program}` failed ({}): {}", output.status, stderr.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The resident memory of a process, in bytes.
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
    fn finds_the_address_in_what_is_printed() {
        let expected = Some("127.0.0.1:8080".parse().unwrap());
        assert_eq!(parse_address("metricd listens on http://127.0.0.1:8080; Ctrl-C stops it. Try:\n"), expected);
        assert_eq!(parse_address("listens on http://127.0.0.1:8080\n"), expected);
        assert_eq!(parse_address("  curl http://127.0.0.1:8080/metrics/a\n"), None);
    }

    #[test]
    fn reads_what_linux_tells_of_memory() {
        let status = "Name:\tmetricd\nVmPeak:\t  999 kB\nVmHWM:\t    3072 kB\nVmRSS:\t    2048 kB\n";
        assert_eq!(Memory::parse(status), Some(Memory { resident_bytes: 2 << 20, peak_bytes: 3 << 20 }));
        assert_eq!(Memory::parse("Name:\tmetricd\n"), None);
    }

    #[tokio::test]
    async fn a_program_that_fails_is_an_error_with_its_words() {
        let error = run(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).await.unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
        assert_eq!(run(Command::new("sh").args(["-c", "echo so"])).await.unwrap(), "so\n");
    }
}

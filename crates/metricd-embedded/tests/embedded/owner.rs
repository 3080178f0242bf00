//! Another process that owns a cluster. It runs this test binary again, with the one test below.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use metricd_embedded::Cluster;

use crate::support::{open, search};

const DATA_DIR: &str = "METRICD_TEST_OWNER";

/// A process with a ready cluster. Dropping it kills it, as with kill -9.
pub(crate) struct Owner {
    process: Child,
    pub(crate) data_dir: PathBuf,
}

impl Owner {
    pub(crate) fn open(data_dir: &Path) -> Self {
        Self::spawn(data_dir.to_str().unwrap())
    }

    pub(crate) fn ephemeral() -> Self {
        Self::spawn("")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn spawn(data_dir: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "owner::runs_until_killed_if_a_folder_is_given", "--nocapture"])
            .env(DATA_DIR, data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = lines.find_map(|line| line.unwrap().split_once("ready: ").map(|(_, folder)| folder.to_owned()));
        Self { process, data_dir: ready.expect("the owner got no cluster").into() }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // The process may have been killed already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the test that started this process waits for it")]
fn runs_until_killed_if_a_folder_is_given() {
    let Ok(data_dir) = std::env::var(DATA_DIR) else { return };
    let cluster = if data_dir.is_empty() { Cluster::ephemeral(&search(), &[]).unwrap() } else { open(data_dir) };
    println!("ready: {}", cluster.data_dir().display());
    loop {
        std::thread::park();
    }
}

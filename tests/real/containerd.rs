//! A containerd that is not kiln's own.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::host::{Host, until};

/// Dropped, it is killed.
pub(crate) struct Containerd {
    dir: PathBuf,
    process: Option<Child>,
}

impl Containerd {
    pub(crate) fn of(host: &Host) -> Self {
        let dir = host.path().join("own");
        fs::create_dir(&dir).unwrap();
        let config = format!(
            "version = 2\nroot = {root:?}\nstate = {state:?}\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {socket:?}\n",
            root = dir.join("root"),
            state = dir.join("state"),
            socket = dir.join("c.sock"),
        );
        fs::write(dir.join("config.toml"), config).unwrap();
        let mut containerd = Self { dir, process: None };
        containerd.start();
        containerd
    }

    pub(crate) fn address(&self) -> PathBuf {
        self.dir.join("c.sock")
    }

    pub(crate) fn start(&mut self) {
        let mut command = Command::new("containerd");
        command.arg("--config").arg(self.dir.join("config.toml")).process_group(0);
        let log = fs::File::create(self.dir.join("log")).unwrap();
        self.process = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        until("containerd serves", || ctr(&self.address(), &["version"]).is_some());
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill(); // it may have ended by itself
            process.wait().unwrap();
        }
    }

    /// `kiln` on this containerd.
    pub(crate) fn kiln(&self, host: &Host, verb: &str) -> Command {
        let mut command = host.kiln(verb);
        command.env("KILN_CONTAINERD", self.address());
        command
    }

    /// Everything of kiln's in it but images.
    pub(crate) fn left(&self) -> Vec<String> {
        let lists: [&[&str]; 3] =
            [&["containers", "list", "-q"], &["tasks", "list", "-q"], &["leases", "list", "-q"]];
        let lists = lists.iter().map(|list| ctr(&self.address(), list).unwrap());
        let snapshots = ctr(&self.address(), &["snapshots", "list"]).unwrap();
        let active = snapshots.lines().filter(|line| line.ends_with("Active")).map(str::to_owned);
        lists
            .flat_map(|list| list.lines().map(str::to_owned).collect::<Vec<_>>())
            .chain(active)
            .collect()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What it prints; `None` if it fails.
fn ctr(address: &Path, args: &[&str]) -> Option<String> {
    let mut command = Command::new("ctr");
    command.arg("-a").arg(address).args(["-n", "kiln"]).args(args);
    let output = command.stdin(Stdio::null()).output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

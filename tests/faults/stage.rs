//! Everything that can break: kiln, containerd, shims, monitors, a registry, two disks.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::containerd::Containerd;
use super::host::{Host, until};
use super::leftovers;

pub(crate) const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";

/// How long an answer may take from a kiln that is frozen.
const ANSWER: Duration = Duration::from_secs(3);
/// How long what no pod has may stay on the host.
const CLEARED_IN: Duration = Duration::from_mins(1);

/// A file system of its own, which can be filled.
pub(crate) struct Disk(PathBuf);

impl Disk {
    fn at(path: PathBuf, size: &str) -> Self {
        fs::create_dir(&path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]).arg(&path);
        assert!(mount.status().unwrap().success());
        Self(path)
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    pub(crate) fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    pub(crate) fn empty(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A registry that was started again.
#[derive(Default)]
struct Registry(Option<Child>);

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(mut process) = self.0.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

pub(crate) struct Stage {
    pub(crate) kiln: Option<Child>,
    pub(crate) containerd: Containerd,
    pub(crate) store: Disk,
    pub(crate) logs: Disk,
    registry: Registry,
    host: Host,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let host = Host::new();
        let containerd = Containerd::of(&host);
        let store = Disk::at(host.path().join("kiln"), "64m");
        let logs = Disk::at(host.path().join("logs"), "256m");
        fs::create_dir(host.path().join("c")).unwrap();
        let registry = Registry::default();
        let mut stage = Self { kiln: None, containerd, store, logs, registry, host };
        stage.start_kiln();
        until("kiln serves", || stage.get(JOBS).is_some());
        stage
    }

    pub(crate) fn start_kiln(&mut self) {
        let mut command = self.containerd.kiln(&self.host, "serve");
        command.args(["--listen", "none", "--socket"]).arg(self.socket());
        command.args(["--network", "cni", "--cni-conf-dir"]).arg(self.host.path().join("none"));
        for (name, time) in [("POD", "100ms"), ("RESTART", "100ms"), ("PULL", "1s")] {
            command.env(format!("KILN_{name}_BACKOFF"), time);
            command.env(format!("KILN_{name}_BACKOFF_MAX"), "2s");
        }
        let log = File::options().create(true).append(true).open(self.kiln_log()).unwrap();
        command.env("KILN_LOG_DIR", self.log_dir());
        self.kiln = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    pub(crate) fn kill_kiln(&mut self) {
        let mut process = self.kiln.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Kiln gives up when there is no containerd as it starts: whoever looks after it starts it again.
    pub(crate) fn tend_kiln(&mut self) {
        if self.kiln.as_mut().is_some_and(|kiln| kiln.try_wait().unwrap().is_some()) {
            self.start_kiln();
        }
    }

    pub(crate) fn containerd_pid(&self) -> Option<u32> {
        let config = self.host.path().join("own/config.toml");
        pids(&["containerd\0--config", &config.to_string_lossy()]).pop().map(|(pid, _)| pid)
    }

    /// The shims of this containerd, each with its command line.
    pub(crate) fn shims(&self) -> Vec<(u32, String)> {
        pids(&["containerd-shim", &self.containerd.address().to_string_lossy()])
    }

    pub(crate) fn monitors(&self) -> Vec<(u32, String)> {
        let mut all = pids(&["monitor", &self.log_dir().to_string_lossy()]);
        all.retain(|(_, line)| !line.contains("containerd-shim"));
        all
    }

    pub(crate) fn kill_registry(&mut self) {
        let config = self.host.path().join("registry.yml");
        for (pid, _) in pids(&["docker-registry", &config.to_string_lossy()]) {
            signal("-KILL", pid);
        }
        drop(std::mem::take(&mut self.registry));
    }

    pub(crate) fn start_registry(&mut self) {
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(self.host.path().join("registry.yml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.registry = Registry(Some(command.spawn().unwrap()));
    }

    fn socket(&self) -> PathBuf {
        self.host.path().join("kiln.sock")
    }

    fn kiln_log(&self) -> PathBuf {
        self.host.path().join("kiln.log")
    }

    pub(crate) fn log_dir(&self) -> PathBuf {
        self.host.path().join("logs")
    }

    /// The directory that all containers share.
    pub(crate) fn shared(&self) -> PathBuf {
        self.host.path().join("c")
    }

    /// What the containers have written down.
    pub(crate) fn ledger(&self) -> String {
        fs::read_to_string(self.shared().join("ledger")).unwrap_or_default()
    }

    /// The code and the JSON; `None` while nobody answers.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (code, text) = self.exchange(method, path, &body)?;
        Some((code, serde_json::from_str(&text).ok()?))
    }

    fn exchange(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = UnixStream::connect(self.socket()).ok()?;
        stream.set_read_timeout(Some(ANSWER)).ok()?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: kiln\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + body).as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, text) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, text.to_owned()))
    }

    /// The objects of a list.
    pub(crate) fn get(&self, path: &str) -> Option<Vec<Value>> {
        let (code, list) = self.ask("GET", path, &Value::Null)?;
        (code == 200).then(|| list["items"].as_array().cloned())?
    }

    /// Deletes everything and stops. Answers what is left, and what else is not as it should be.
    pub(crate) fn end(mut self, is_well: bool) -> Vec<String> {
        let uids: Vec<String> = self.get(PODS).unwrap_or_default().iter().map(uid).collect();
        self.ask("DELETE", JOBS, &Value::Null);
        let since = Instant::now();
        let left = |stage: &Self| -> Vec<String> {
            let records =
                stage.containerd.left().into_iter().map(|id| format!("in containerd: {id}"));
            records
                .chain(cgroups(&uids))
                .chain(below(&stage.host.path().join("kiln/pods")))
                .collect()
        };
        while since.elapsed() < CLEARED_IN && !left(&self).is_empty() {
            thread::sleep(Duration::from_millis(500));
        }
        let mut found = left(&self);
        let bridge = bridge(&self.host.path().join("kiln/network/bridge.json"));
        let mut kiln = self.kiln.take().unwrap();
        signal("-TERM", kiln.id());
        let ended = kiln.wait().unwrap();
        if !ended.success() {
            found.push(format!("kiln serve ended with {ended}"));
        }
        found.extend(bridge.into_iter().flat_map(|bridge| links_and_rules(&bridge)));
        self.containerd.kill();
        let ours = leftovers::below(self.host.path());
        let is_own = |line: &str| {
            line.contains("stand-in-registry")
                || line.starts_with("mount") && line.contains(" tmpfs none ")
        };
        found.extend(ours.into_iter().filter(|line| !is_own(line)));
        if !is_well || !found.is_empty() {
            let log = fs::read_to_string(self.kiln_log()).unwrap_or_default();
            let kept = std::env::temp_dir().join("kiln-faults.log");
            fs::write(&kept, log).unwrap();
            eprintln!("-- kiln's log is in {}", kept.display());
        }
        for (pid, _) in self.shims() {
            signal("-KILL", pid);
        }
        found
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut kiln) = self.kiln.take() {
            let _ = kiln.kill();
            let _ = kiln.wait();
        }
    }
}

fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap().to_owned()
}

/// The processes whose command line has all these words.
fn pids(words: &[&str]) -> Vec<(u32, String)> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let named = entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        Some((pid, String::from_utf8_lossy(&line).into_owned()))
    });
    named.filter(|(_, line)| words.iter().all(|word| line.contains(word))).collect()
}

pub(crate) fn signal(signal: &str, pid: u32) {
    // It may have ended by itself.
    let _ = Command::new("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()).status();
}

fn below(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().display().to_string()).collect()
}

fn cgroups(uids: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            if uids.iter().any(|uid| name.contains(uid.as_str())) {
                found.push(format!("cgroup {}", entry.path().display()));
            }
            open.push(entry.path());
        }
    }
    found
}

fn bridge(file: &Path) -> Option<String> {
    let bridge: Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    Some(bridge["name"].as_str()?.to_owned())
}

fn links_and_rules(name: &str) -> Vec<String> {
    let said = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let all = said("iptables-save", &[]) + &said("ip", &["-o", "link"]);
    all.lines().filter(|line| line.contains(name)).map(str::to_owned).collect()
}

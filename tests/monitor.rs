//! The monitor as containerd's shim starts it: real containerd, real runc, real containers.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use kiln::monitor::Options;
use kiln::monitor::record::ExitRecord;

/// How often a condition is looked at, and for how long, before the test gives up.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOKS: u32 = 1500;

/// A private containerd and a root file system of busybox, below one directory.
struct Host {
    dir: tempfile::TempDir,
    containerd: Option<Child>,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        fs::create_dir_all(path.join("rootfs/bin")).unwrap();
        fs::copy("/bin/busybox", path.join("rootfs/bin/busybox"))
            .expect("busybox-static is installed by scripts/test");
        for applet in ["sh", "echo", "seq", "sleep"] {
            std::os::unix::fs::symlink("busybox", path.join("rootfs/bin").join(applet)).unwrap();
        }
        let config = format!(
            "version = 2\nroot = {root:?}\nstate = {state:?}\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {socket:?}\n",
            root = path.join("root"),
            state = path.join("state"),
            socket = path.join("c.sock"),
        );
        fs::write(path.join("config.toml"), config).unwrap();
        let mut host = Self { dir, containerd: None };
        host.start();
        host
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn start(&mut self) {
        let mut command = Command::new("containerd");
        command.arg("-c").arg(self.path().join("config.toml")).process_group(0);
        let log = fs::File::create(self.path().join("containerd.log")).unwrap();
        command.stdout(Stdio::null()).stderr(log);
        self.containerd = Some(command.spawn().expect("containerd is installed by scripts/test"));
        until("containerd serves", || self.ctr(&["version"]).output().unwrap().status.success());
    }

    fn kill_containerd(&mut self) {
        if let Some(mut containerd) = self.containerd.take() {
            let _ = containerd.kill(); // it may have ended by itself
            containerd.wait().unwrap();
        }
    }

    fn ctr(&self, args: &[&str]) -> Command {
        let mut command = Command::new("ctr");
        command.arg("-a").arg(self.path().join("c.sock")).args(["-n", "kiln"]).args(args);
        command.stdin(Stdio::null());
        command
    }

    /// `ctr run` of a shell script with a monitor of its own.
    fn run(&self, id: &str, script: &str, more: &[&str]) -> (Command, Options) {
        let state_dir = self.path().join("state-of").join(id);
        fs::create_dir_all(&state_dir).unwrap();
        let options = Options {
            state_dir,
            log_path: self.path().join("logs").join(id).join("0.log"),
            max_bytes: 0,
            max_files: 1,
            cgroup: None,
        };
        let uri = options.uri(Path::new(env!("CARGO_BIN_EXE_kiln")));
        let rootfs = self.path().join("rootfs");
        let mut command = self.ctr(&["run", "--log-uri", &uri, "--rootfs"]);
        command.args(more).arg(rootfs).args([id, "/bin/sh", "-c", script]);
        (command, options)
    }

    /// Shims and monitors that still belong to this containerd.
    fn processes(&self) -> Vec<PathBuf> {
        let ours = self.path().to_string_lossy().into_owned();
        let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
        let mine = processes.filter(|process| {
            let line = fs::read(process.join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            line.contains(&ours) && (line.contains("shim") || line.contains("monitor"))
        });
        mine.collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill_containerd();
        for process in self.processes() {
            let pid = process.file_name().unwrap().to_string_lossy().into_owned();
            let _ = Command::new("kill").args(["-9", &pid]).status(); // it may be gone by now
        }
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let ours = self.path().to_string_lossy().into_owned();
        for mount in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
            if mount.starts_with(&ours) {
                let _ = Command::new("umount").args(["-l", mount]).status();
            }
        }
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if is_so() {
            return;
        }
        thread::sleep(LOOK_EVERY);
    }
    panic!("in vain: {what}");
}

fn record(options: &Options) -> ExitRecord {
    let read = || ExitRecord::read(&options.state_dir).unwrap();
    until("the exit is recorded", || read().is_some());
    read().unwrap()
}

/// The lines of one stream, without time and tags.
fn lines(options: &Options, stream: &str) -> Vec<String> {
    let log = fs::read_to_string(&options.log_path).unwrap();
    let parts = log.lines().map(|line| line.splitn(4, ' ').collect::<Vec<_>>());
    parts.filter(|parts| parts[1] == stream).map(|parts| parts[3].to_owned()).collect()
}

#[test]
fn streams_are_kept_apart_no_line_is_lost_and_the_end_is_recorded() {
    let host = Host::new();
    let script = "echo first; echo oops >&2; seq 1 200000; exit 7";
    let (mut run, options) = host.run("many", script, &["--rm"]);
    assert_eq!(run.status().unwrap().code(), Some(7));
    let record = record(&options);
    assert_eq!((record.code, record.oom_killed), (7, false));
    assert_eq!(lines(&options, "stderr"), ["oops"]);
    let stdout = lines(&options, "stdout");
    assert_eq!(stdout[0], "first");
    let numbers: Vec<String> = (1..=200_000).map(|n| n.to_string()).collect();
    assert!(stdout[1..] == numbers, "{} lines of 200000", stdout.len() - 1);
    until("nothing is left", || host.processes().is_empty());
}

#[test]
fn a_container_that_dies_at_once_leaves_its_words_and_its_code() {
    let host = Host::new();
    for n in 0..5 {
        let (mut run, options) = host.run(&format!("quick{n}"), "echo gone; exit 3", &["--rm"]);
        assert_eq!(run.status().unwrap().code(), Some(3));
        assert_eq!((record(&options).code, lines(&options, "stdout")), (3, vec!["gone".into()]));
    }
}

#[test]
fn the_end_is_recorded_also_while_containerd_is_away() {
    let mut host = Host::new();
    let gate = host.path().join("rootfs/gate");
    let script = "echo before; until [ -e /gate ]; do sleep 0.05; done; echo after; exit 9";
    let (mut run, options) = host.run("away", script, &["-d"]);
    assert!(run.status().unwrap().success());
    until("it runs", || options.log_path.exists() && !lines(&options, "stdout").is_empty());

    host.kill_containerd();
    fs::write(gate, "").unwrap();
    assert_eq!(record(&options).code, 9);
    assert_eq!(lines(&options, "stdout"), ["before", "after"]);

    host.start();
    until("the task is deleted", || {
        let _ = host.ctr(&["tasks", "delete", "away"]).output().unwrap();
        host.ctr(&["containers", "delete", "away"]).output().unwrap().status.success()
    });
    until("nothing is left", || host.processes().is_empty());
    assert_eq!(record(&options).code, 9);
}

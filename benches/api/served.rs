//! The server in a process of its own, and what the kernel says of that.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kiln::api::amounts::Amounts;
use kiln::cli::serve::{Daemon, Parts};
use kiln::engine::{Clock, Settings};
use kiln::runtime::fake::Fake;
use kiln::server::Listen;
use kiln::server::objects::{Seed, admit};
use kiln::store::Store;
use kiln::{job, pod};
use serde_json::json;

/// What a process that this one starts is to do, and where.
const ROLE: &str = "KILN_BENCH_ROLE";
const DIR: &str = "KILN_BENCH_DIR";

/// Plays the role that this process was started for, if for one.
pub(crate) async fn play() -> bool {
    let (Ok(role), Ok(dir)) = (std::env::var(ROLE), std::env::var(DIR)) else { return false };
    match role.as_str() {
        "serve" => serve(Path::new(&dir)).await,
        finished => fill(Path::new(&dir), finished.parse().unwrap()).await,
    }
    true
}

/// The daemon as `kiln serve` runs it, on a host that exists only in memory.
async fn serve(dir: &Path) {
    let clock = Clock::system();
    let now = clock.clone();
    let parts = Parts {
        runtime: Arc::new(Fake::new(move || now.now())),
        store: Store::open(dir).unwrap(),
        clock,
        settings: Settings::new(job::Rules::default(), pod::Rules::default()),
        log_dir: dir.to_owned(),
        listen: Listen {
            socket: Some(socket(dir)),
            address: None,
            root: dir.to_owned(),
            host: "here".to_owned(),
            host_ips: Vec::new(),
            container_runtime: "containerd://0".to_owned(),
            capacity: Amounts::default(),
            allocatable: Amounts::default(),
        },
    };
    let daemon = Daemon::start(parts).await.unwrap();
    println!("ready");
    // Until whoever started it goes away.
    let end = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]));
    drop(end.await);
    daemon.stop().await;
}

/// Finished Jobs, straight into the store.
async fn fill(dir: &Path, count: usize) {
    let store = Store::open(dir).unwrap();
    let now = Timestamp::now();
    for chunk in 0..count.div_ceil(100) {
        let mut txn = store.txn();
        for number in 0..100.min(count - chunk * 100) {
            let job = a_job(&format!("finished-{chunk}-{number}"), false);
            let job: Job = serde_json::from_value(job).unwrap();
            let mut job = admit(job, &Seed::random().unwrap(), now).unwrap();
            job.status = serde_json::from_value(json!({
                "startTime": now.to_string(), "completionTime": now.to_string(), "succeeded": 1,
                "conditions": [{
                    "type": "Complete", "status": "True", "reason": "CompletionsReached",
                    "message": "Reached expected number of succeeded pods",
                    "lastTransitionTime": now.to_string(), "lastProbeTime": now.to_string(),
                }],
                "ready": 0, "terminating": 0, "uncountedTerminatedPods": {},
            }))
            .unwrap();
            txn.create(&job);
        }
        txn.commit().await.unwrap();
    }
}

pub(crate) fn a_job(name: &str, suspend: bool) -> serde_json::Value {
    let container = json!({"name": "main", "image": "busybox:1", "command": ["echo", "complete"]});
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"suspend": suspend, "template": {"spec": {
            "restartPolicy": "Never", "containers": [container],
        }}},
    })
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("kiln.sock")
}

fn process(role: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(ROLE, role).env(DIR, dir);
    command
}

/// Puts finished Jobs into the store of a server that does not run.
pub(crate) fn finished(dir: &Path, count: usize) {
    assert!(process(&count.to_string(), dir).status().unwrap().success());
}

/// A server in a process of its own; dropping it ends it.
pub(crate) struct Served {
    child: Child,
    pub(crate) socket: PathBuf,
}

/// What a process has used since it began.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    pub(crate) cpu: Duration,
    /// How often its threads went to sleep.
    pub(crate) sleeps: u64,
}

impl Served {
    pub(crate) fn start(dir: &Path) -> Self {
        let mut command = process("serve", dir);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { child, socket: socket(dir) }
    }

    pub(crate) fn resident_mib(&self) -> f64 {
        let status = fs::read_to_string(self.proc("status")).unwrap();
        let kilobytes: f64 = field(&status, "VmRSS:").parse().unwrap();
        kilobytes / 1024.0
    }

    pub(crate) fn used(&self) -> Used {
        let stat = fs::read_to_string(self.proc("stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 =
            [11, 12].map(|index: usize| fields[index].parse::<u64>().unwrap()).iter().sum();
        let tasks = fs::read_dir(self.proc("task")).unwrap();
        let sleeps = tasks.filter_map(|task| {
            let status = fs::read_to_string(task.unwrap().path().join("status")).ok()?;
            field(&status, "voluntary_ctxt_switches:").parse::<u64>().ok()
        });
        Used { cpu: Duration::from_millis(ticks * 10), sleeps: sleeps.sum() }
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap()
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

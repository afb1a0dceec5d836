//! How fast kiln is, against containerd itself, in one run: see `scripts/bench`.
//!
//! Each measurement is taken in turns with its reference, several times; medians with the spread are
//! printed. The reference of the engine is a loop that makes the same containers of the same OCI spec with
//! the same monitor, by the shortest way that containerd's API has.
#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "its results are its output")]

mod direct;
mod tap;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kiln::api::object::Kind;
use kiln::engine::{Clock, Engine, Settings};
use kiln::runtime::containerd::Client;
use kiln::runtime::managed::Managed;
use kiln::runtime::{Containerd, Network, Runtime};
use kiln::store::Store;
use kiln::{api, job, monitor, pod, server};

use self::tap::Tap;

/// How often each measurement is taken.
const ROUNDS: usize = 5;
/// How many containers one round of the throughput runs.
const COMPLETIONS: u32 = 64;
const PARALLELISM: [u32; 3] = [1, 4, 8];
/// Present after the first pull, so that no start asks the registry.
const POLICY: &str = "IfNotPresent";

/// What is measured with.
struct Bench {
    dir: PathBuf,
    kiln: PathBuf,
    image: String,
    hosts_dir: PathBuf,
    managed: Managed,
}

fn main() {
    // `cargo bench` hands on flags that mean nothing here.
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let (Some(hosts_dir), Some(image)) = (args.next(), args.next()) else {
        println!("run it by scripts/bench");
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure(PathBuf::from(hosts_dir), image));
}

async fn measure(hosts_dir: PathBuf, image: String) {
    let dir = tempfile::Builder::new().prefix("kiln-bench").tempdir().unwrap();
    let never = tokio_util::sync::CancellationToken::new();
    let managed = Managed::start(&dir.path().join("containerd"), &never).await.unwrap();
    let kiln = PathBuf::from(env!("CARGO_BIN_EXE_kiln"));
    let bench = Bench { dir: dir.path().to_owned(), kiln, image, hosts_dir, managed };

    println!("kiln {}, {} rounds, medians (lowest to highest)", env!("CARGO_PKG_VERSION"), ROUNDS);
    let size = fs::metadata(&bench.kiln).unwrap().len();
    println!("(e) size of the release binary: {:.1} MiB", mib(size));
    bench.engine().await;
    bench.one_container();
    bench.managed.stop().await;
}

impl Bench {
    /// (a) One container of `true`.
    fn one_container(&self) {
        let manifest = self.dir.join("one.json");
        fs::write(&manifest, serde_json::to_vec(&job_of("one", &self.image, 1, 1)).unwrap())
            .unwrap();
        let address = self.managed.address();
        let mut kiln = Vec::new();
        let mut ctr = Vec::new();
        for round in 0..=ROUNDS * 2 {
            let mut command = Command::new(&self.kiln);
            // ctr makes no network either.
            command.args(["run", "--progress", "none", "--network", "none", "-f"]).arg(&manifest);
            command.arg("--containerd").arg(&address).arg("--hosts-dir").arg(&self.hosts_dir);
            let ours = timed(command);
            let mut command = Command::new("ctr");
            command.arg("-a").arg(&address).args(["-n", "kiln", "run", "--rm", &self.image]);
            command.args([&format!("ctr{round}"), "/bin/true"]);
            let theirs = timed(command);
            // The first of each warms up.
            if round > 0 {
                kiln.push(ours);
                ctr.push(theirs);
            }
        }
        let (ours, theirs) = (Spread::of(&kiln), Spread::of(&ctr));
        println!("(a) one container: kiln run {ours}, ctr run --rm {theirs}");
        println!("    ratio {:.2} (goal: at most 1.5)", ours.median / theirs.median);
    }

    /// (b), (c) and (d): through the engine and by the direct loop.
    async fn engine(&self) {
        let client = Client::new(&self.managed.address());
        let runtime = Arc::new(Tap::new(self.runtime(&client)));
        let store = Store::open(&self.dir).unwrap();
        let rules = job::Rules::default();
        let settings = Settings::new(rules, pod::Rules::default());
        let engine =
            Engine::start(store.clone(), Arc::<Tap>::clone(&runtime), Clock::system(), settings);
        let direct = self.direct(&store, client).await;
        let mut latencies = Latencies::default();
        for parallelism in PARALLELISM {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for round in 0..ROUNDS {
                let name = format!("job-{parallelism}-{round}");
                ours.push(self.through_engine(&store, &runtime, &name, parallelism).await);
                let run = direct.run(COMPLETIONS, parallelism, &name).await;
                theirs.push(per_second(run.took));
                if parallelism == 1 {
                    latencies.direct.extend(run.to_started);
                }
            }
            let (ours, theirs) = (Spread::of(&ours), Spread::of(&theirs));
            println!(
                "(b) {COMPLETIONS} pods, {parallelism} at a time: engine {ours}/s, direct loop {theirs}/s"
            );
            println!("    ratio {:.2} (goal: at least 0.85)", ours.median / theirs.median);
        }
        for round in 0..ROUNDS * 4 {
            self.latency(&store, &runtime, &format!("single-{round}"), &mut latencies).await;
        }
        latencies.print();
        println!(
            "(d) peak memory of the engine's process: {:.1} MiB (goal: 40, of kiln alone)",
            peak_mib()
        );
        self.monitor_memory(&store, &runtime).await;
        engine.stop().await;
        runtime.inner.finish().await;
    }

    fn runtime(&self, client: &Client) -> Containerd {
        let settings = kiln::runtime::Settings {
            root: self.dir.clone(),
            log_dir: self.dir.join("logs"),
            hosts_dir: self.hosts_dir.clone(),
            network: Network::None,
            seccomp_default: true,
            seccomp_dir: "/var/lib/kubelet/seccomp".into(),
            pod_pids_limit: None,
            runtime: "io.containerd.runc.v2".to_owned(),
            runtime_binary: None,
            monitor: monitor::binary(&self.kiln),
            log_max_bytes: 10 << 20,
            log_max_files: 5,
        };
        Containerd::new(client.clone(), settings, Arc::new(Timestamp::now))
    }

    /// The direct loop, with the OCI spec that the engine makes.
    async fn direct(&self, store: &Store, client: Client) -> direct::Loop {
        let mut sleeper = job_of("sleeper", &self.image, 1, 1);
        let command = ["sleep", "1000"].map(str::to_owned);
        let template = sleeper.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
        template.containers[0].command = Some(command.to_vec());
        // A program that does not mind its signals is killed after that.
        template.termination_grace_period_seconds = Some(1);
        create(store, sleeper).await;
        until_running(store).await;
        let sample = direct::sample(&client).await;
        let direct = direct::Loop::new(
            client,
            sample,
            &monitor::binary(&self.kiln),
            &self.dir.join("direct"),
        );
        delete(store, "sleeper").await;
        direct
    }

    async fn through_engine(
        &self,
        store: &Store,
        runtime: &Tap,
        name: &str,
        parallelism: u32,
    ) -> f64 {
        let job = job_of(name, &self.image, COMPLETIONS, parallelism);
        let begin = Instant::now();
        create(store, job).await;
        until_complete(store, name).await;
        settled(runtime).await;
        let took = begin.elapsed();
        delete(store, name).await;
        per_second(took)
    }

    async fn latency(&self, store: &Store, runtime: &Tap, name: &str, to: &mut Latencies) {
        let begin = Instant::now();
        create(store, job_of(name, &self.image, 1, 1)).await;
        until_running(store).await;
        to.started.push(begin.elapsed().as_secs_f64() * 1000.0);
        until_complete(store, name).await;
        let seen = Timestamp::now();
        to.complete.push(seen.duration_since(runtime.last_exit()).as_secs_f64() * 1000.0);
        settled(runtime).await;
        delete(store, name).await;
    }

    async fn monitor_memory(&self, store: &Store, runtime: &Tap) {
        let mut sleeper = job_of("monitored", &self.image, 1, 1);
        let template = sleeper.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
        template.containers[0].command = Some(["sleep", "1000"].map(str::to_owned).to_vec());
        template.termination_grace_period_seconds = Some(1);
        create(store, sleeper).await;
        until_running(store).await;
        let pss: Vec<f64> =
            monitors(&monitor::binary(&self.kiln)).iter().map(|pid| pss_mib(*pid)).collect();
        println!("(d) PSS of a monitor: {:.2} MiB (goal: 2)", Spread::of(&pss).median);
        delete(store, "monitored").await;
        settled(runtime).await;
    }
}

#[derive(Default)]
struct Latencies {
    direct: Vec<f64>,
    started: Vec<f64>,
    complete: Vec<f64>,
}

impl Latencies {
    fn print(&self) {
        let (direct, started) = (Spread::of(&self.direct), Spread::of(&self.started));
        println!(
            "(c) admission to running, as the API shows it: {started} ms, direct loop {direct} ms"
        );
        println!("    {:.1} ms more (goal: at most 15)", started.median - direct.median);
        println!("(c) exit to Job Complete: {} ms (goal: at most 15)", Spread::of(&self.complete));
    }
}

/// A median, and what it lies between.
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            low: sorted.first().copied().unwrap_or(f64::NAN),
            median: sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN),
            high: sorted.last().copied().unwrap_or(f64::NAN),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} ({:.1} to {:.1})", self.median, self.low, self.high)
    }
}

fn job_of(name: &str, image: &str, completions: u32, parallelism: u32) -> Job {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"completions": completions, "parallelism": parallelism, "template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "main", "image": image, "imagePullPolicy": POLICY, "command": ["true"],
            }],
        }}},
    }))
    .unwrap()
}

async fn create(store: &Store, job: Job) {
    server::objects::create_job(store, job, Timestamp::now()).await.unwrap();
}

/// Deletes a Job with its pods, and waits until they are gone.
async fn delete(store: &Store, name: &str) {
    let how = server::objects::Propagation::Background;
    server::objects::delete_job(store, "default", name, how, Timestamp::now()).await.unwrap();
    let mut pods = store.watch(Kind::Pod, 0);
    while !store.list::<Pod>(None).await.unwrap().0.is_empty() {
        pods.next().await.unwrap();
    }
}

async fn until_complete(store: &Store, name: &str) {
    let from = store.list::<Job>(None).await.unwrap().1;
    let mut jobs = store.watch(Kind::Job, from);
    let mut job = store.get::<Job>("default", name).await.unwrap();
    while job.as_ref().is_none_or(|job| api::job::is_finished(job).is_none()) {
        let change = jobs.next().await.unwrap();
        if change.key.name == name {
            job = change.object().unwrap();
        }
    }
}

/// Until some container is said to run, or to have run.
async fn until_running(store: &Store) {
    let (pods, from) = store.list::<Pod>(None).await.unwrap();
    let started = |pod: &Pod| {
        api::pod::container_statuses(pod).iter().any(|status| {
            let state = status.state.clone().unwrap_or_default();
            state.running.is_some() || state.terminated.is_some()
        })
    };
    if pods.iter().any(started) {
        return;
    }
    let mut changes = store.watch(Kind::Pod, from);
    loop {
        let change = changes.next().await.unwrap();
        if change.object::<Pod>().unwrap().is_some_and(|pod| started(&pod)) {
            return;
        }
    }
}

/// Until nothing of an ended pod is left on the host.
async fn settled(runtime: &Tap) {
    while !runtime.observe().await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn timed(mut command: Command) -> f64 {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let begin = Instant::now();
    let output = command.output().unwrap();
    let took = begin.elapsed();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    took.as_secs_f64() * 1000.0
}

fn per_second(took: Duration) -> f64 {
    f64::from(COMPLETIONS) / took.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn peak_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    kib_of(&status, "VmHWM:") / 1024.0
}

fn pss_mib(pid: i32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    kib_of(&rollup, "Pss:") / 1024.0
}

fn kib_of(text: &str, field: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN)
}

/// The monitors that run now.
fn monitors(binary: &Path) -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.starts_with(&*binary.to_string_lossy()) && line.contains("\0monitor\0")
    })
    .collect()
}

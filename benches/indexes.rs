//! A Job of 100,000 indexes on a host that exists only in memory, with the store of `kiln serve` on the
//! disk: how long it takes from its submission to its end, and the most memory that it took.
//!
//! Every container ends as soon as it runs, so that all the time and memory are the engine's and the
//! store's. `cargo bench --bench indexes -- 10000` runs one of so many indexes.
#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "its results are its output")]

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::batch::v1::Job;
use kiln::api::job::is_finished;
use kiln::engine::{Clock, Engine, Settings};
use kiln::runtime::fake::Fake;
use kiln::server::objects::{self, Seed};
use kiln::store::Store;
use kiln::{job, pod};
use serde_json::json;

const INDEXES: u32 = 100_000;
const PARALLELISM: u32 = 1_000;
/// How often to look whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

fn main() {
    // `cargo bench` hands on flags that mean nothing here.
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let indexes = args.next().map_or(INDEXES, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run(indexes));
}

async fn run(indexes: u32) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let clock = Clock::system();
    let tells = clock.clone();
    let host = Arc::new(Fake::new(move || tells.now()));
    host.set_brief(true);
    let settings = Settings::new(job::Rules::default(), pod::Rules::default());
    let engine = Engine::start(store.clone(), Arc::clone(&host) as Arc<_>, clock.clone(), settings);
    let since = Instant::now();
    let wish: Job = serde_json::from_value(json!({
        "metadata": {"name": "j", "namespace": "default"},
        "spec": {
            "completionMode": "Indexed", "completions": indexes, "parallelism": PARALLELISM,
            "template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox:1"}],
            }},
        },
    }))
    .unwrap();
    let job = objects::admit(wish, &Seed::fixed(7), clock.now()).unwrap();
    objects::create_jobs(&store, vec![job]).await.unwrap();
    let ended = loop {
        let job = store.get::<Job>("default", "j").await.unwrap().unwrap();
        if is_finished(&job).is_some() {
            break job.status.unwrap();
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    let took = since.elapsed();
    assert_eq!(ended.completed_indexes, Some(format!("0-{}", indexes - 1)));
    assert_eq!(host.doubled(), [""; 0]);
    let rate = f64::from(indexes) / took.as_secs_f64();
    println!("{indexes} indexes, {PARALLELISM} at once: {:.1} s, {rate:.0}/s", took.as_secs_f64());
    println!("peak memory: {}", peak());
    engine.stop().await;
}

/// The most memory that this process has had.
fn peak() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    format!("{} MiB", kib / 1024)
}

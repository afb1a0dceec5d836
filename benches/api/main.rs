//! How fast the API is and what the daemon costs: see `scripts/bench api`.
//!
//! The server runs in a process of its own, on a disk, every commit synced; its host exists only in memory.
//! The reference of creates is a bare loop over SQLite that syncs as many rows at once, in turns with them.
#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "its results are its output")]

mod client;
mod served;

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;

use self::client::{Client, JOBS, TABLE};
use self::served::{Served, a_job, finished};

const CONNECTIONS: usize = 8;
const ROUNDS: usize = 5;
/// Jobs that are created in one round.
const CREATES: usize = 4_000;
/// Jobs of which a watcher is told, one after the other.
const EVENTS: usize = 300;
const FINISHED: usize = 10_000;
/// Jobs that are not finished; `KILN_BENCH_JOBS` says how many else.
const UNFINISHED: usize = 50_000;
/// Those of them that have a pod that runs.
const RUNNING: usize = 1_000;
const IDLE: Duration = Duration::from_secs(10);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if !served::play().await {
            measure().await;
        }
    });
}

async fn measure() {
    let place = tempfile::Builder::new().prefix("kiln-bench-api").tempdir().unwrap();
    let dir = |name: &str| {
        let dir = place.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        dir
    };
    println!("kiln {}, {ROUNDS} rounds, medians (lowest to highest)", env!("CARGO_PKG_VERSION"));
    idle(&dir("idle")).await;
    creates(&dir("creates")).await;
    events(&dir("events")).await;
    pages(&dir("pages")).await;
    let jobs = std::env::var("KILN_BENCH_JOBS").map_or(UNFINISHED, |text| text.parse().unwrap());
    unfinished(&dir("unfinished"), jobs, true).await;
    unfinished(&dir("running"), RUNNING, false).await;
}

/// A fresh server that nobody asks anything.
async fn idle(dir: &Path) {
    let served = Served::start(dir);
    rest(&served, "fresh").await;
}

async fn rest(served: &Served, what: &str) {
    // What begins with the server has ended by then.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = served.used();
    tokio::time::sleep(IDLE).await;
    let after = served.used();
    println!(
        "idle, {what}: {:.1} MiB resident, {:.2} % of a core, {:.1} wake-ups a second",
        served.resident_mib(),
        (after.cpu - before.cpu).as_secs_f64() / IDLE.as_secs_f64() * 100.0,
        seconds(after.sleeps - before.sleeps) / IDLE.as_secs_f64(),
    );
}

fn seconds(count: u64) -> f64 {
    count as f64
}

/// Suspended Jobs from several connections at once, each durable when it is answered.
async fn creates(dir: &Path) {
    let served = Served::start(dir);
    let (mut rates, mut bare_rates, mut latencies) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (rate, took) = create(&served, &format!("r{round}"), CREATES, true).await;
        rates.push(rate);
        latencies.extend(took);
        let batch = batch_size(&served).await;
        bare_rates.push(bare(&dir.join(format!("bare-{round}.db")), batch));
    }
    latencies.sort();
    let at = |part: usize| latencies[latencies.len() * part / 100].as_secs_f64() * 1e3;
    let (ours, bare) = (Spread::of(rates), Spread::of(bare_rates));
    println!(
        "creates from {CONNECTIONS} connections: {ours}/s; p50 {:.1} ms, p99 {:.1} ms",
        at(50),
        at(99)
    );
    println!(
        "    bare SQLite, as many rows to a sync: {bare}/s; ratio {:.2} (goal: 2,000/s, or 0.7)",
        ours.median / bare.median
    );
}

/// Creates Jobs; answers how many a second, and how long each took.
async fn create(
    served: &Served,
    prefix: &str,
    count: usize,
    suspend: bool,
) -> (f64, Vec<Duration>) {
    let begun = Instant::now();
    let workers = (0..CONNECTIONS).map(|worker| async move {
        let mut client = Client::connect(&served.socket).await;
        let mut took = Vec::new();
        for number in (worker..count).step_by(CONNECTIONS) {
            let body = a_job(&format!("{prefix}-{number}"), suspend).to_string();
            let begun = Instant::now();
            client.post(JOBS, Bytes::from(body)).await;
            took.push(begun.elapsed());
        }
        took
    });
    let took: Vec<_> = join_all(workers).await.concat();
    (seconds(count as u64) / begun.elapsed().as_secs_f64(), took)
}

/// How many transactions the store has synced at once, on average.
async fn batch_size(served: &Served) -> usize {
    let text = Client::connect(&served.socket).await.get("/metrics", "*/*").await;
    let text = String::from_utf8(text.to_vec()).unwrap();
    let number = |name: &str| -> f64 {
        let name = format!("kiln_store_commit_batch_size_{name} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    };
    let mean = (number("sum") / number("count")).round();
    (1..=CONNECTIONS).find(|size| seconds(*size as u64) >= mean).unwrap_or(CONNECTIONS)
}

/// Rows of the size of a Job, so many to a transaction that is synced; answers how many a second.
fn bare(path: &Path, batch: usize) -> f64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA journal_mode = WAL;").unwrap();
    let table = "CREATE TABLE entries (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID";
    connection.execute_batch(table).unwrap();
    let value = vec![b'x'; 2_000];
    let begun = Instant::now();
    for first in (0..CREATES).step_by(batch) {
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        for number in first..CREATES.min(first + batch) {
            connection
                .prepare_cached("INSERT INTO entries VALUES (?1, ?2)")
                .unwrap()
                .execute(rusqlite::params![format!("/jobs/default/{number}"), value])
                .unwrap();
        }
        connection.execute_batch("COMMIT").unwrap();
    }
    seconds(CREATES as u64) / begun.elapsed().as_secs_f64()
}

/// How long after it was asked for a watcher knows of a change; the commit is between.
async fn events(dir: &Path) {
    let served = Served::start(dir);
    let mut client = Client::connect(&served.socket).await;
    let mut watch = Client::connect(&served.socket).await.watch().await;
    let (mut since_asked, mut since_answered) = (Vec::new(), Vec::new());
    for number in 0..EVENTS {
        let name = format!("e-{number}");
        let body = Bytes::from(a_job(&name, true).to_string());
        let asked = Instant::now();
        client.post(JOBS, body).await;
        let answered = Instant::now();
        let told = loop {
            let (told, at) = watch.recv().await.unwrap();
            if told == name {
                break at;
            }
        };
        since_asked.push((told - asked).as_secs_f64() * 1e3);
        since_answered.push(told.saturating_duration_since(answered).as_secs_f64() * 1e3);
    }
    let (asked, answered) = (Spread::of(since_asked), Spread::of(since_answered));
    println!("events: {asked} ms after the request, {answered} ms after its answer (goal: 10 ms)");
}

/// Many Jobs that are over.
async fn pages(dir: &Path) {
    finished(dir, FINISHED);
    let served = Served::start(dir);
    let mut client = Client::connect(&served.socket).await;
    let mut took = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        client.get(&format!("{JOBS}?limit=500"), TABLE).await;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let took = Spread::of(took);
    println!("{FINISHED} finished Jobs: first page of `get jobs` {took} ms (goal: 100 ms)");
    rest(&served, &format!("{FINISHED} finished Jobs")).await;
}

/// Many Jobs that are not over.
async fn unfinished(dir: &Path, count: usize, suspend: bool) {
    let served = Served::start(dir);
    let before = served.resident_mib();
    create(&served, "u", count, suspend).await;
    let what = if suspend { "suspended Jobs" } else { "Jobs with a pod that runs" };
    rest(&served, &format!("{count} {what}")).await;
    let each = (served.resident_mib() - before) * 1024.0 / seconds(count as u64);
    println!("    {each:.1} KiB for each");
}

/// Several measurements of the same.
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let (low, high) = (values[0], values[values.len() - 1]);
        Self { low, median: values[values.len() / 2], high }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} ({:.1} to {:.1})", self.median, self.low, self.high)
    }
}

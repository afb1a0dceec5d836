//! Real faults: `kiln serve` on a real containerd, whose parts are killed, frozen and starved at random.
//!
//! `scripts/faults` runs it. What was done follows from a seed, which is printed; when the machine comes to
//! do it does not. Each container writes down for itself that it starts and how it ends, and
//! [`checker`] compares that with what the API and the logs say.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "real faults take real time")]

mod checker;
#[path = "../real/containerd.rs"]
mod containerd;
mod fault;
#[path = "../real/host.rs"]
#[expect(dead_code, reason = "shared with the other tests on a real containerd")]
mod host;
#[path = "../real/leftovers.rs"]
mod leftovers;
mod random;
mod stage;
mod workload;

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::fault::Injector;
use self::random::Random;
use self::stage::Stage;
use self::workload::Workload;

/// How long the campaign looks between two things that it does.
const STEP: Duration = Duration::from_millis(100);
/// How long it may take until all Jobs have ended, once nothing is broken any more.
const PATIENCE: Duration = Duration::from_mins(4);

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn nothing_is_lost_nothing_doubled_nothing_left() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = setting("FAULT_SEED").unwrap_or(now);
    let time = Duration::from_secs_f64(60.0 * setting("FAULT_MINUTES").unwrap_or(1.5));
    eprintln!("FAULT_SEED={seed}, {time:?}");
    let mut random = Random::new(seed);
    let mut stage = Stage::new();
    let (mut injector, mut workload) = (Injector::default(), Workload::default());
    let until = Instant::now() + time;
    while Instant::now() < until {
        injector.step(&mut stage, &mut random);
        workload.step(&stage, &mut random);
        thread::sleep(STEP);
    }
    injector.mend(&mut stage);
    workload.end(&stage, PATIENCE);
    let mut checked = checker::check(&stage, &workload, &injector);
    checked.violations.extend(stage.end(checked.violations.is_empty()));
    eprintln!("{}\n{checked}", injector.summary());
    let broken = &checked.violations;
    assert!(broken.is_empty(), "FAULT_SEED={seed}: {}\n{}", broken.len(), broken.join("\n"));
}

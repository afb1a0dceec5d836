//! Plays Jobs on a host where everything fails: the engine on SQLite on a disk that loses what was not
//! synced, a runtime whose answers get lost, kills of the engine and losses of power in the middle of any
//! step, users who change their minds. Whatever happens, nothing is lost and nothing is doubled.
//!
//! `scripts/simulate --seeds N` plays more seeds than the tests do, `scripts/simulate --seed N` tells the
//! story of one.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stdout, reason = "a story is told as it goes, where one is asked for")]

mod dice;
mod disk;
mod host;
mod story;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use story::{Told, play};
use world::Kept;

/// How many seeds are played where nobody asks for more.
const SEEDS: u64 = 60;
/// How many are played at most until one notices that something is missing.
const SEEDS_TO_FIND: u64 = 2_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Plays seeds on all cores until one breaks; answers the first that did.
fn search(seeds: std::ops::Range<u64>, kept: Kept) -> Option<Told> {
    let (next, broken) = (AtomicU64::new(seeds.start), std::sync::Mutex::new(None::<Told>));
    std::thread::scope(|threads| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            threads.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || broken.lock().unwrap().is_some() {
                        return;
                    }
                    let told = play(seed, kept);
                    if told.broken.is_some() {
                        broken.lock().unwrap().get_or_insert(told);
                    }
                }
            });
        }
    });
    broken.into_inner().unwrap()
}

#[test]
fn nothing_is_lost_and_nothing_is_doubled_whatever_fails() {
    let seeds = match number("KILN_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("KILN_SEEDS").unwrap_or(SEEDS),
    };
    if let Some(told) = search(seeds, Kept::ALL) {
        panic!("{told}");
    }
}

/// Some seed notices that one of the promises is not kept.
fn is_noticed(kept: Kept, how: &[&str]) {
    let told = search(0..SEEDS_TO_FIND, kept).expect("some seed breaks");
    let broken = told.broken.clone().unwrap_or_default();
    assert!(how.iter().any(|how| broken.contains(how)), "{told}");
}

#[test]
fn it_is_noticed_when_attempts_have_no_names_of_their_own() {
    is_noticed(Kept { names: false, ..Kept::ALL }, &["an attempt ran twice"]);
}

#[test]
fn it_is_noticed_when_what_runs_is_not_adopted() {
    let how = ["side by side", "ran twice", "and is told", "are counted"];
    is_noticed(Kept { adoption: false, ..Kept::ALL }, &how);
}

#[test]
fn it_is_noticed_when_a_commit_is_not_synced() {
    let how = ["does not open", "is lost", "counted", "was over", "ran twice", "and is told"];
    is_noticed(Kept { syncs: false, ..Kept::ALL }, &how);
}

//! Plays Jobs at random, ends the engine between any two steps, and checks what must always hold.
//!
//! `KILN_SEEDS=1000` plays more of them; `KILN_SEED=7` plays one.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kiln::api;
use kiln::api::intervals::Intervals;
use kiln::api::object::Object;
use kiln::server::objects::Propagation;
use world::World;

const STEPS: u64 = 40;
const SEEDS: u64 = 40;

#[tokio::test]
async fn a_job_ends_and_counts_right_whatever_happens_meanwhile() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("KILN_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("KILN_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        play(seed).await;
    }
}

/// Numbers that look random and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

async fn play(seed: u64) {
    let mut dice = Dice(seed);
    let mut world = World::new();
    let policy = if dice.below(2) == 0 { "Never" } else { "OnFailure" };
    let mut spec = serde_json::json!({
        "parallelism": 1 + dice.below(4),
        "backoffLimit": dice.below(5),
    });
    let indexed = dice.below(3) == 0;
    if indexed || dice.below(4) > 0 {
        spec["completions"] = (1 + dice.below(6)).into();
    }
    if indexed {
        spec["completionMode"] = "Indexed".into();
        if dice.below(2) == 0 {
            spec["backoffLimitPerIndex"] = dice.below(3).into();
        }
    }
    if dice.below(3) == 0 {
        spec["podReplacementPolicy"] = "Failed".into();
    }
    world.submit("j", spec, policy).await;
    let mut deleted = false;
    for _ in 0..STEPS {
        deleted |= step(&mut world, &mut dice, indexed).await;
        world.check_invariants().await;
    }
    world.set("suspend", false.into()).await;
    drive_to_end(&world, &mut dice, seed).await;
    if indexed {
        check_indexes(&world, deleted, seed).await;
    } else {
        check_counts(&world, deleted, seed).await;
    }

    world.delete(Propagation::Foreground).await;
    if dice.below(2) == 0 {
        world.kill().await;
    }
    world.until(&format!("seed {seed}: the end"), async |world| world.job().await.is_none()).await;
    assert!(world.pods().await.is_empty(), "seed {seed}: pods outlived their Job");
    world.check_invariants().await;
    world.stop().await;
}

/// One thing that happens. Whether it is that somebody deletes pods.
async fn step(world: &mut World, dice: &mut Dice, indexed: bool) -> bool {
    match dice.below(12) {
        0 => world.crash(),
        1 => world.restart().await,
        2 => world.advance(Duration::from_secs(dice.below(30))),
        3 | 4 => end_one(world, dice),
        5 if indexed => world.scale(i32::try_from(1 + dice.below(6)).unwrap()).await,
        5 => world.set("parallelism", (1 + dice.below(4)).into()).await,
        6 => world.set("suspend", (dice.below(3) == 0).into()).await,
        7 if dice.below(4) == 0 => {
            world.delete_pods().await;
            return true;
        }
        _ => {
            for _ in 0..dice.below(50) {
                tokio::task::yield_now().await;
            }
        }
    }
    false
}

fn end_one(world: &World, dice: &mut Dice) {
    let running = world.host.running();
    let Ok(count) = u64::try_from(running.len()) else { return };
    if count > 0 {
        let chosen = usize::try_from(dice.below(count)).unwrap();
        let (uid, instance) = &running[chosen];
        world.host.exit(uid, instance, i32::from(dice.below(3) == 0));
    }
}

/// Lets everything that runs end and time go by until the Job has ended.
async fn drive_to_end(world: &World, dice: &mut Dice, seed: u64) {
    let ends = async |world: &World| {
        let job = world.job().await;
        while !world.host.running().is_empty() {
            end_one(world, dice);
        }
        world.advance(Duration::from_secs(60));
        job.is_some_and(|job| api::job::is_finished(&job).is_some())
    };
    world.until(&format!("seed {seed}: a verdict"), ends).await;
    let cleared = async |world: &World| world.host.pods_left() == 0 || nudge(world);
    world.until(&format!("seed {seed}: an empty host"), cleared).await;
}

fn nudge(world: &World) -> bool {
    world.advance(Duration::from_secs(1));
    false
}

/// Every pod that ended was counted once, and none waits to be.
async fn check_counts(world: &World, deleted: bool, seed: u64) {
    let (job, pods) = (world.job().await.unwrap(), world.pods().await);
    // Pods that went because fewer were wanted count for nothing.
    let pods: Vec<_> = pods.into_iter().filter(|pod| !pod.is_deleting()).collect();
    let ended = |phase| pods.iter().filter(|pod| api::pod::phase(pod) == phase).count();
    let succeeded = usize::try_from(api::job::succeeded(&job)).unwrap();
    let seen = ended(api::pod::Phase::Succeeded);
    // One that ended well although it was deleted is gone and counted.
    assert!(succeeded == seen || deleted && succeeded > seen, "seed {seed}: {succeeded} {seen}");
    let failed = usize::try_from(api::job::failed(&job)).unwrap();
    assert!(failed >= ended(api::pod::Phase::Failed), "seed {seed}");
    check_none_held(&pods, seed);
}

/// Every index that is complete had a pod that succeeded, and is counted once.
async fn check_indexes(world: &World, deleted: bool, seed: u64) {
    let (job, pods) = (world.job().await.unwrap(), world.pods().await);
    let status = job.status.clone().unwrap_or_default();
    let read = |text: &Option<String>| Intervals::read(text.as_deref().unwrap_or_default(), 100);
    let (completed, failed) = (read(&status.completed_indexes), read(&status.failed_indexes));
    assert_eq!(completed.len(), api::job::succeeded(&job), "seed {seed}");
    assert_eq!(completed.shared(&failed), 0, "seed {seed}: an index is both");
    for index in (0..100).filter(|index| completed.contains(*index) && !deleted) {
        let label = Some(index.to_string());
        let won = pods.iter().any(|pod| {
            let labels = pod.metadata.labels.as_ref();
            let own = labels.and_then(|l| l.get("batch.kubernetes.io/job-completion-index"));
            own == label.as_ref() && api::pod::phase(pod) == api::pod::Phase::Succeeded
        });
        assert!(won, "seed {seed}: nobody did {index}");
    }
    check_none_held(&pods, seed);
}

fn check_none_held(pods: &[Pod], seed: u64) {
    for pod in pods.iter().filter(|pod| !pod.is_deleting()) {
        assert!(!pod.has_finalizer(kiln::job::TRACKING_FINALIZER), "seed {seed}: {}", pod.name());
    }
}

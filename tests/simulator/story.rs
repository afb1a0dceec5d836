//! What happens in the course of one seed.
//!
//! Owns: the order of what happens, all of it from the seed. Must not know: what must hold.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::dice::Dice;
use crate::world::{Kept, World};

/// How much happens to a Job before it is let alone.
const STEPS: u64 = 40;
/// How many times a minute goes by until a Job that is let alone has to be over.
const MINUTES_MAX: u32 = 200;

/// How a seed ended.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    seed: u64,
    pub(crate) broken: Option<String>,
    story: Vec<String>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}:", self.seed)?;
        self.story.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        match &self.broken {
            Some(broken) => {
                write!(f, "BROKEN: {broken}\nagain: scripts/simulate --seed {}", self.seed)
            }
            None => write!(f, "all held"),
        }
    }
}

pub(crate) fn play(seed: u64, kept: Kept) -> Told {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut dice = Dice::new(seed);
        let own = Dice::new(dice.below(u64::MAX));
        let mut world = match World::new(own, kept) {
            Ok(world) => world,
            Err(broken) => return Told { seed, broken: Some(broken), story: Vec::new() },
        };
        let mut broken = course(&mut world, &mut dice).await.err();
        if let Some(broken) = &mut broken {
            *broken = format!("{broken}\n{}", world.describe().await);
        }
        Told { seed, broken, story: std::mem::take(&mut world.story) }
    })
}

async fn course(world: &mut World, dice: &mut Dice) -> Result<(), String> {
    if dice.once_in(2) {
        world.host.set_trouble(2 + dice.below(10));
    }
    let (spec, policy) = wish(dice);
    world.tell(format!("wish: {spec}, {policy}"));
    while !world.is_acknowledged() {
        world.submit(spec.clone(), policy).await;
    }
    let mut untouched = true;
    for _ in 0..STEPS {
        untouched &= !step(world, dice).await?;
        world.settle().await;
        recover(world, dice).await?;
        world.check().await?;
    }
    let_alone(world, dice).await?;
    world.check_end(untouched).await?;
    take_away(world).await
}

fn wish(dice: &mut Dice) -> (Value, &'static str) {
    let policy = if dice.once_in(2) { "Never" } else { "OnFailure" };
    let mut spec = json!({"parallelism": 1 + dice.below(3), "backoffLimit": dice.below(5)});
    let indexed = dice.once_in(3);
    if indexed || !dice.once_in(4) {
        spec["completions"] = (1 + dice.below(5)).into();
    }
    if indexed {
        spec["completionMode"] = "Indexed".into();
        if policy == "Never" && dice.once_in(2) {
            spec["backoffLimitPerIndex"] = dice.below(3).into();
        }
    }
    (spec, policy)
}

/// One thing that happens. Answers whether it is that somebody interferes with the pods.
async fn step(world: &mut World, dice: &mut Dice) -> Result<bool, String> {
    match dice.below(20) {
        0 => {
            world.tell("the engine is killed");
            world.crash()?;
        }
        1 => {
            world.tell("the engine is restarted");
            world.restart().await;
        }
        2 => {
            world.tell("the power fails");
            world.lose_power(dice)?;
        }
        3 | 4 => {
            let writes = 1 + dice.below(12);
            world.tell(format!("the disk dies after {writes} writes"));
            world.disk.die_after(writes);
        }
        5 | 6 => {
            let sides = 1 + dice.below(8);
            world.tell(format!("the engine is to be killed after {sides} sides of calls"));
            world.host.stop_at(world.host.steps() + sides);
        }
        7 => {
            let full = !dice.once_in(3);
            world.tell(if full { "the disk is full" } else { "the disk has room" });
            world.disk.set_full(full);
        }
        8 => {
            let away = !dice.once_in(3);
            world.tell(if away { "containerd goes away" } else { "containerd is back" });
            world.host.set_away(away);
        }
        9 => {
            let (field, value) = match dice.below(2) {
                0 => ("suspend", Value::from(dice.once_in(3))),
                _ => ("parallelism", Value::from(1 + dice.below(3))),
            };
            let done = world.set(field, value.clone()).await;
            world.tell(format!("{field} is set to {value}: {done}"));
            return Ok(true);
        }
        10 if dice.once_in(3) => {
            world.tell("a pod is deleted");
            world.delete_pod(dice).await;
            return Ok(true);
        }
        11..=15 => {
            let code = i32::from(dice.once_in(3));
            world.end_one(dice, code);
        }
        _ => {
            let seconds = 1 + dice.below(30);
            world.tell(format!("{seconds}s go by"));
            world.advance(Duration::from_secs(seconds));
        }
    }
    Ok(false)
}

/// An engine that does not go on is started again; where its disk failed, after a loss of power.
async fn recover(world: &mut World, dice: &mut Dice) -> Result<(), String> {
    if world.disk.is_dead() {
        if dice.once_in(2) {
            world.tell("the power fails while the disk writes");
            world.lose_power(dice)?;
        } else {
            world.tell("the engine is killed while the disk writes");
            world.crash()?;
        }
        world.settle().await;
    } else if world.host.has_stopped() {
        world.tell("the engine is killed in the middle of a call");
        world.crash()?;
        world.settle().await;
    }
    Ok(())
}

/// Nothing fails any more: the Job gets to its end.
async fn let_alone(world: &mut World, dice: &mut Dice) -> Result<(), String> {
    world.tell("nothing fails any more");
    world.host.set_trouble(0);
    world.host.set_away(false);
    world.disk.set_full(false);
    if world.disk.is_dead() || world.host.has_stopped() {
        world.crash()?;
    }
    world.calm();
    world.set("suspend", false.into()).await;
    for _ in 0..MINUTES_MAX {
        world.settle().await;
        world.check().await?;
        let is_over = world.job().await.is_some_and(|j| kiln::api::job::is_finished(&j).is_some());
        if is_over && world.host.fake.pods_left() == 0 {
            return Ok(());
        }
        world.end_one(dice, 0);
        world.settle().await;
        world.advance(Duration::from_secs(60));
    }
    Err("it does not come to its end".to_owned())
}

/// The Job is deleted, and nothing of it stays.
async fn take_away(world: &mut World) -> Result<(), String> {
    world.tell("the Job is deleted");
    if !world.delete().await {
        return Err("it cannot be deleted".to_owned());
    }
    for _ in 0..MINUTES_MAX {
        world.settle().await;
        if world.job().await.is_none() && world.pods().await.is_empty() {
            return Ok(());
        }
        world.advance(Duration::from_secs(60));
    }
    Err("the Job is deleted, and something of it stays".to_owned())
}

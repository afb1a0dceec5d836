//! Plays `tests/scenarios/*.txt`: what a Job and its pods do, told line by line.
//!
//! `job FIELD=VALUE...`, `exit CODE`, `advance 10s`, `restart`, `crash`, `image missing|back`, `delete`,
//! and `await`: `active= succeeded= failed= running= pods= restarts= condition= reason=`, or `gone`.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use std::time::Duration;

use kiln::api;
use serde_json::{Map, Value};
use world::World;

const IMAGE: &str = "busybox:1";

#[tokio::test]
async fn every_scenario_plays_as_it_is_written() {
    let mut files: Vec<_> =
        std::fs::read_dir("tests/scenarios").unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut world = World::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                let place = format!("{}:{}: {line}", file.display(), number + 1);
                step(&mut world, line, &place).await;
            }
        }
        world.check_invariants().await;
        world.stop().await;
    }
}

async fn step(world: &mut World, line: &str, place: &str) {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    match verb {
        "job" => submit(world, rest).await,
        "exit" => {
            world.until(place, async |world| !world.host.running().is_empty()).await;
            let (uid, instance) = world.host.running().remove(0);
            world.host.exit(&uid, &instance, rest.parse().unwrap());
        }
        "advance" => {
            world.advance(Duration::from_secs(rest.trim_end_matches('s').parse().unwrap()));
        }
        "restart" => world.restart().await,
        "crash" => world.crash(),
        "image" => world.host.set_missing(IMAGE, rest == "missing"),
        "delete" => world.delete().await,
        "await" => {
            for expected in rest.split(' ') {
                world.until(place, async |world| holds(world, expected).await).await;
            }
        }
        other => panic!("{place}: there is no `{other}`"),
    }
}

async fn submit(world: &World, fields: &str) {
    let (mut spec, mut policy) = (Map::new(), "Never".to_owned());
    for field in fields.split(' ') {
        let (name, value) = field.split_once('=').unwrap();
        match name {
            "restartPolicy" => policy = value.to_owned(),
            name => drop(spec.insert(name.to_owned(), value.parse::<i64>().unwrap().into())),
        }
    }
    world.submit(Value::Object(spec), &policy).await;
}

async fn holds(world: &World, expected: &str) -> bool {
    let job = world.job().await;
    if expected == "gone" {
        return job.is_none() && world.pods().await.is_empty();
    }
    let (name, value) = expected.split_once('=').unwrap();
    let job = job.unwrap_or_default();
    let number = |found: usize| value.parse::<usize>().unwrap() == found;
    let count = |found: u32| value.parse::<u32>().unwrap() == found;
    match name {
        "active" => count(api::job::active(&job)),
        "succeeded" => count(api::job::succeeded(&job)),
        "failed" => count(api::job::failed(&job)),
        "running" => number(world.host.running().len()),
        "pods" => number(world.pods().await.len()),
        "restarts" => count(world.pods().await.iter().map(api::pod::restarts).sum()),
        "condition" => api::job::true_condition(&job, value).is_some(),
        "reason" => job
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten())
            .any(|condition| condition.reason.as_deref() == Some(value)),
        "waiting" => world.pods().await.iter().any(|pod| {
            api::pod::container_statuses(pod).iter().any(|status| {
                let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
                waiting.and_then(|waiting| waiting.reason.as_deref()) == Some(value)
            })
        }),
        other => panic!("there is no `{other}=`"),
    }
}

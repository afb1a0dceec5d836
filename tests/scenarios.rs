//! Plays `tests/scenarios/*.txt`: what a Job and its pods do, told line by line.
//!
//! `job FIELD=VALUE...`, `other NAME FIELD=VALUE...` (a Job beside it, without the annotations), `helper` (pods
//! have a second container from now on), `room cpu=N pods=N` (of the host), `asks cpu=N` (of the pods of Jobs that
//! are made from now on), `set FIELD=VALUE`, `scale N` (completions and parallelism), `exit CODE
//! [first|again|INDEX|CONTAINER]` (of a container that runs for the first time, or not, or in the pod of that
//! index, or is called so), `delete-pods`, `annotate NAME=VALUE` (the Job that is made next), `strip owners|labels|both` (of
//! the pods that run), `evict-pods`, `cron FIELD=VALUE...`, `set-cron FIELD=VALUE`, `delete-cron
//! [background|orphan]`, `advance 10s`, `restart`, `crash`, `image missing|back`, `stubborn` (containers
//! do not stop when they are asked to), `removals work|fail|hang` (from the host), `delete [background|orphan]`, `kill`, and `await`: `active=
//! succeeded= failed= running= pods= terminating= uncounted= restarts= condition= reason= waiting=
//! phase= status= completed= failedIndexes= owned= jobs= job=gone cron=gone|held`, `unscheduled=` (pods that wait for room), `place=N/M` (in the line), `left=` (pods on the host) and `told=`
//! (an Event's reason) while time goes by, `untold=`, `gone`, or `untouched`. `KILN_SCENARIO=case_33` plays those that are called like it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Event, Pod, PodCondition};
use kiln::api;
use kiln::api::object::Object;
use kiln::pod::Instance;
use kiln::runtime::fake::Removals;
use kiln::server::objects::{self, Propagation};
use serde_json::{Map, Value};
use world::World;

const IMAGE: &str = "busybox:1";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// Each plays in a thread that is called like it, so that what breaks says where.
#[test]
fn every_scenario_plays_as_it_is_written() {
    let wanted = std::env::var("KILN_SCENARIO").unwrap_or_default();
    let mut files: Vec<_> = std::fs::read_dir("tests/scenarios")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains(&wanted))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let broken: Vec<_> = files
        .iter()
        .filter(|file| {
            let (name, file) = (file.file_name().unwrap().to_string_lossy(), (*file).clone());
            let thread = std::thread::Builder::new().name(name.into_owned());
            thread.spawn(move || play_alone(&file)).unwrap().join().is_err()
        })
        .collect();
    assert!(broken.is_empty(), "{} of {} broke: {broken:#?}", broken.len(), files.len());
}

fn play_alone(file: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(play(file));
}

async fn play(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
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

async fn step(world: &mut World, line: &str, place: &str) {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    match verb {
        "job" => submit(world, "j", rest).await,
        "other" => {
            let (name, fields) = rest.split_once(' ').unwrap_or((rest, ""));
            submit(world, name, fields).await;
        }
        "helper" => world.helper = true,
        "room" | "asks" => prepare(world, verb, rest).await,
        "set" => {
            let (name, value) = rest.split_once('=').unwrap();
            world.set(name, read(value)).await;
        }
        "annotate" => {
            let (name, value) = rest.split_once('=').unwrap();
            world.annotations.push((name.to_owned(), value.to_owned()));
        }
        "cron" => schedule(world, rest).await,
        "set-cron" => {
            let (name, value) = rest.split_once('=').unwrap();
            set_cron(world, name, read(&value.replace('_', " "))).await;
        }
        "delete-cron" => delete_cron(world, propagation(rest)).await,
        "evict-pods" => evict(world).await,
        "strip" => strip(world, rest).await,
        "scale" => world.scale(rest.parse().unwrap()).await,
        "delete-pods" => world.delete_pods().await,
        "exit" => exit(world, rest, place).await,
        "advance" => {
            world.advance(Duration::from_secs(rest.trim_end_matches('s').parse().unwrap()));
        }
        "restart" => world.restart().await,
        "crash" => world.crash(),
        "image" => world.host.set_missing(IMAGE, rest == "missing"),
        "stubborn" => world.host.set_stubborn(true),
        "removals" => world.host.set_removals(match rest {
            "work" => Removals::Work,
            "fail" => Removals::Fail,
            "hang" => Removals::Hang,
            other => panic!("{place}: removals do not `{other}`"),
        }),
        "delete" => world.delete(propagation(rest)).await,
        "kill" => world.kill().await,
        "await" => {
            for expected in rest.split(' ') {
                world.until(place, async |world| holds(world, expected).await).await;
            }
        }
        other => panic!("{place}: there is no `{other}`"),
    }
}

/// What Jobs find, and what those ask for that are made from now on.
async fn prepare(world: &mut World, verb: &str, rest: &str) {
    match verb {
        "room" => {
            for amount in rest.split(' ') {
                let (name, value) = amount.split_once('=').unwrap();
                match name {
                    "cpu" => world.room.cpu_millis = 1000 * value.parse::<u64>().unwrap(),
                    _ => world.room.pods = value.parse().unwrap(),
                }
            }
            world.restart().await;
        }
        "asks" => {
            let (name, value) = rest.split_once('=').unwrap();
            world.requests.insert(name.to_owned(), value.into());
        }
        other => panic!("there is no `{other}`"),
    }
}

fn propagation(word: &str) -> Propagation {
    match word {
        "background" => Propagation::Background,
        "orphan" => Propagation::Orphan,
        _ => Propagation::Foreground,
    }
}

async fn cron(world: &World) -> Option<CronJob> {
    world.store.get::<CronJob>("default", "c").await.unwrap()
}

async fn set_cron(world: &World, field: &str, value: Value) {
    loop {
        let mut next = serde_json::to_value(cron(world).await.unwrap()).unwrap();
        next["spec"][field] = value.clone();
        let next: CronJob = serde_json::from_value(next).unwrap();
        assert_eq!(api::validation::validate_cron_job(&next), []);
        let mut txn = world.store.txn();
        txn.update(&next);
        if txn.commit().await.is_ok() {
            return;
        }
    }
}

async fn delete_cron(world: &World, propagation: Propagation) {
    while let Some(found) = cron(world).await {
        let now = world.clock.now();
        if objects::write_cron_deletion(&world.store, found, propagation, now).await.is_ok() {
            return;
        }
    }
}

/// Deletes the pods that have not ended, as an eviction does.
async fn evict(world: &World) {
    for pod in world.pods().await.into_iter().filter(|pod| !api::pod::is_terminal(pod)) {
        loop {
            let found = world.store.get::<Pod>(pod.namespace(), pod.name()).await.unwrap();
            let mut pod = found.unwrap();
            let status = pod.status.get_or_insert_default();
            status.conditions.get_or_insert_default().push(PodCondition {
                type_: "DisruptionTarget".to_owned(),
                status: "True".to_owned(),
                reason: Some("EvictionByEvictionAPI".to_owned()),
                ..PodCondition::default()
            });
            api::deletion::mark_pod(&mut pod, None, world.clock.now());
            let mut txn = world.store.txn();
            txn.update(&pod);
            if txn.commit().await.is_ok() {
                break;
            }
        }
    }
}

async fn exit(world: &World, rest: &str, place: &str) {
    let (code, which) = rest.split_once(' ').unwrap_or((rest, ""));
    let fits = |pods: &[Pod], uid: &str, instance: &Instance| match which {
        "" => true,
        "first" => instance.attempt == 0,
        "again" => instance.attempt > 0,
        name if instance.container == name => true,
        index => pods.iter().any(|pod| {
            let labels = pod.metadata.labels.as_ref();
            pod.uid() == uid
                && labels.and_then(|labels| labels.get(INDEX)).is_some_and(|own| own == index)
        }),
    };
    let chosen = async |world: &World| {
        let pods = world.pods().await;
        let mut running = world.host.running().into_iter();
        running.find(|(uid, instance)| fits(&pods, uid, instance))
    };
    world.until(place, async |world| chosen(world).await.is_some()).await;
    let (uid, instance) = chosen(world).await.unwrap();
    world.host.exit(&uid, &instance, code.parse().unwrap());
}

async fn submit(world: &World, name: &str, fields: &str) {
    let (mut spec, mut policy) = (Map::new(), "Never".to_owned());
    for field in fields.split(' ').filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once('=').unwrap();
        match name {
            "restartPolicy" => policy = value.to_owned(),
            name => drop(spec.insert(name.to_owned(), read(value))),
        }
    }
    world.submit(name, Value::Object(spec), &policy).await;
}

/// Takes the owners, or the labels, off the pods that have not ended.
async fn strip(world: &World, what: &str) {
    let pods = world.pods().await.into_iter().filter(|pod| !api::pod::is_terminal(pod));
    for pod in pods {
        loop {
            let found = world.store.get::<Pod>(pod.namespace(), pod.name()).await.unwrap();
            let mut pod = found.unwrap();
            match what {
                "owners" => pod.metadata.owner_references = None,
                "labels" => pod.metadata.labels = None,
                _ => (pod.metadata.owner_references, pod.metadata.labels) = (None, None),
            }
            let mut txn = world.store.txn();
            txn.update(&pod);
            if txn.commit().await.is_ok() {
                break;
            }
        }
    }
}

/// A value of a Job's spec: JSON without spaces, or a word.
fn read(value: &str) -> Value {
    serde_json::from_str(value).unwrap_or_else(|_| value.into())
}

/// Submits a CronJob with these fields of its spec; `_` stands for a space.
async fn schedule(world: &World, fields: &str) {
    let mut spec = Map::new();
    for field in fields.split(' ') {
        let (name, value) = field.split_once('=').unwrap();
        spec.insert(name.to_owned(), read(&value.replace('_', " ")));
    }
    let containers = serde_json::json!([{"name": "main", "image": IMAGE}]);
    let pod = serde_json::json!({"restartPolicy": "Never", "containers": containers});
    spec.insert("jobTemplate".to_owned(), serde_json::json!({"spec": {"template": {"spec": pod}}}));
    let mut cron: CronJob = serde_json::from_value(serde_json::json!({
        "metadata": {
            "name": "c", "namespace": "default", "uid": "u", "creationTimestamp": world.clock.now(),
        },
        "spec": spec,
    }))
    .unwrap();
    api::cron::apply_defaults(&mut cron);
    assert_eq!(api::validation::validate_cron_job(&cron), []);
    let mut txn = world.store.txn();
    txn.create(&cron);
    txn.commit().await.unwrap();
}

/// What is waited for comes with time only.
fn pass_time(world: &World) -> bool {
    world.advance(Duration::from_secs(60));
    false
}

/// What the pods were told that wait for room.
fn places(pods: &[Pod]) -> Vec<String> {
    let held = |pod: &Pod| {
        let found = api::pod::condition(pod, "PodScheduled")?;
        (found.status == "False").then(|| found.message.clone().unwrap_or_default())
    };
    pods.iter().filter_map(held).collect()
}

fn pass_a_second(world: &World) -> bool {
    world.advance(Duration::from_secs(1));
    false
}

async fn is_told(world: &World, reason: &str) -> bool {
    let (events, _) = world.store.list::<Event>(None).await.unwrap();
    events.iter().any(|event| event.reason.as_deref() == Some(reason))
}

async fn holds(world: &World, expected: &str) -> bool {
    let job = world.job().await;
    if expected == "gone" {
        return job.is_none() && world.pods().await.is_empty();
    }
    if expected == "untouched" {
        return job.is_some_and(|job| job.status.is_none()) && world.pods().await.is_empty();
    }
    let (name, value) = expected.split_once('=').unwrap();
    let is_gone = job.is_none();
    let job = job.unwrap_or_default();
    let number = |found: usize| value.parse::<usize>().unwrap() == found;
    let count = |found: u32| value.parse::<u32>().unwrap() == found;
    let pods = world.pods().await;
    match name {
        "job" => value == "gone" && is_gone,
        "terminating" => number(pods.iter().filter(|pod| pod.is_deleting()).count()),
        "uncounted" => {
            let held = |pod: &&_| Object::has_finalizer(*pod, kiln::job::TRACKING_FINALIZER);
            number(pods.iter().filter(held).count())
        }
        "cron" => match cron(world).await {
            None => value == "gone",
            Some(cron) => value == "held" && cron.is_deleting(),
        },
        "jobs" => number(world.store.list::<Job>(None).await.unwrap().0.len()),
        "owned" => number(pods.iter().filter(|p| api::pod::is_controlled_by(p, job.uid())).count()),
        "phase" => pods.iter().any(|pod| api::pod::phase(pod).as_str() == value),
        "status" => api::columns::job_row(&job, world.clock.now())[1] == value,
        "active" => count(api::job::active(&job)),
        "succeeded" => count(api::job::succeeded(&job)),
        "failed" => count(api::job::failed(&job)),
        "completed" | "failedIndexes" => {
            let status = job.status.unwrap_or_default();
            let all =
                if name == "completed" { status.completed_indexes } else { status.failed_indexes };
            all.as_deref() == Some(value)
        }
        "running" => number(world.host.running().len()),
        "left" => number(world.host.pods_left()) || pass_time(world),
        "told" => is_told(world, value).await || pass_time(world),
        "untold" => !is_told(world, value).await,
        "unscheduled" => number(places(&pods).len()) || pass_a_second(world),
        "place" => {
            let place = format!("Queue position {}.", value.replace('/', " of "));
            places(&pods).iter().any(|told| told.ends_with(&place)) || pass_a_second(world)
        }
        "pods" => number(pods.len()),
        "restarts" => count(pods.iter().map(api::pod::restarts).sum()),
        "condition" => api::job::true_condition(&job, value).is_some(),
        "reason" => job
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten())
            .any(|condition| condition.reason.as_deref() == Some(value)),
        "waiting" => pods.iter().any(|pod| {
            api::pod::container_statuses(pod).iter().any(|status| {
                let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
                waiting.and_then(|waiting| waiting.reason.as_deref()) == Some(value)
            })
        }),
        other => panic!("there is no `{other}=`"),
    }
}

//! The engine on SQLite on a disk that fails, with a host that does not answer, on a clock that is told.
//!
//! Owns: what can happen to them, and what must hold whatever happens. Must not know: what happens when.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kiln::api::object::Object;
use kiln::engine::{Clock, Engine, Settings};
use kiln::runtime::fake::Fake;
use kiln::server::objects::{self, Propagation, Seed};
use kiln::store::Store;
use kiln::{api, job, pod};
use serde_json::Value;

use crate::dice::Dice;
use crate::disk::Disk;
use crate::host::Host;

/// How many turns all tasks get until nothing is left to be done at one moment.
const TURNS: u32 = 120;
/// How many pods of the Job there are at most at a time: see `story`.
const AT_ONCE_MAX: u32 = 3;
/// The name of the Job.
const NAME: &str = "j";

/// What keeps the promises; each can be taken away, to see that somebody notices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) adoption: bool,
    pub(crate) names: bool,
    pub(crate) syncs: bool,
}

impl Kept {
    pub(crate) const ALL: Self = Self { adoption: true, names: true, syncs: true };
}

pub(crate) struct World {
    pub(crate) host: Arc<Host>,
    pub(crate) clock: Clock,
    pub(crate) disk: Disk,
    /// `None` while there is no power.
    store: Option<Store>,
    engine: Option<Engine>,
    kept: Kept,
    root: tempfile::TempDir,
    dir: PathBuf,
    boots: u32,
    /// What the API has answered: this Job is there.
    acknowledged: bool,
    /// The most that was seen of each.
    counted: (u32, u32),
    finished: Option<String>,
    pub(crate) story: Vec<String>,
}

impl World {
    pub(crate) fn new(dice: Dice, kept: Kept) -> Result<Self, String> {
        let clock = Clock::virtual_at("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap());
        let tells = clock.clone();
        let fake = Fake::new(move || tells.now());
        fake.set_named(kept.names);
        let host = Host::new(fake, dice);
        host.set_adopts(kept.adoption);
        let memory = std::path::Path::new("/dev/shm");
        let root = match memory.is_dir() {
            true => tempfile::tempdir_in(memory).unwrap(),
            false => tempfile::tempdir().unwrap(),
        };
        let mut world = Self {
            host: Arc::new(host),
            clock,
            disk: Disk::default(),
            store: None,
            engine: None,
            kept,
            dir: root.path().to_owned(),
            root,
            boots: 0,
            acknowledged: false,
            counted: (0, 0),
            finished: None,
            story: Vec::new(),
        };
        world.boot(BTreeMap::new())?;
        Ok(world)
    }

    /// No disk and no engine is to be ended any more.
    pub(crate) fn calm(&self) {
        self.disk.die_after(u64::MAX / 2);
        self.host.stop_at(u64::MAX);
    }

    pub(crate) fn tell(&mut self, what: impl Into<String>) {
        let at = self.clock.now().as_second() - 1_767_225_600;
        let line = format!("+{at}s {}", what.into());
        // At once: one that hangs has no end at which to tell.
        if std::env::var_os("KILN_SEED").is_some() {
            println!("{line}");
        }
        self.story.push(line);
    }

    /// Starts an engine on a disk with these files.
    fn boot(&mut self, files: BTreeMap<String, Vec<u8>>) -> Result<(), String> {
        self.store = None;
        Disk::forget(&self.dir);
        self.boots += 1;
        self.dir = self.root.path().canonicalize().unwrap().join(format!("boot-{}", self.boots));
        std::fs::create_dir(&self.dir).unwrap();
        // The index of the log is of the process, not of the disk.
        for (name, bytes) in files.iter().filter(|(name, _)| !name.ends_with("-shm")) {
            std::fs::write(self.dir.join(name), bytes).unwrap();
        }
        self.disk = Disk::new(&self.dir, !self.kept.syncs);
        let store = Store::open_unthreaded(&self.dir)
            .map_err(|error| format!("the store does not open: {error}"))?;
        self.store = Some(store);
        self.start();
        Ok(())
    }

    fn start(&mut self) {
        self.host.go_on();
        let settings = Settings {
            starts_at_once: 4,
            removals_at_once: 4,
            ..Settings::new(job::Rules::default(), pod::Rules::default())
        };
        let host = Arc::clone(&self.host);
        self.engine = Some(Engine::start(self.store().clone(), host, self.clock.clone(), settings));
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("there is power")
    }

    /// Lets everything go on until nothing is left to do at this moment.
    pub(crate) async fn settle(&self) {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance_to(self.clock.now().checked_add(by).unwrap());
    }

    /// The engine is killed, and started again; its files are as they are.
    pub(crate) fn crash(&mut self) -> Result<(), String> {
        let files = self.disk.after_kill();
        drop(self.engine.take());
        self.boot(files)
    }

    /// The engine ends in order, and is started again.
    pub(crate) async fn restart(&mut self) {
        let Some(engine) = self.engine.take() else { return };
        let mut ends = Box::pin(engine.stop());
        // What goes on ends with time.
        for _ in 0..100 {
            if futures::poll!(&mut ends).is_ready() {
                break;
            }
            self.settle().await;
            self.advance(Duration::from_secs(1));
        }
        drop(ends);
        self.start();
    }

    /// The host loses power: so do all containers, and what was not synced may be lost.
    pub(crate) fn lose_power(&mut self, dice: &mut Dice) -> Result<(), String> {
        let files = self.disk.after_power_loss(dice);
        drop(self.engine.take());
        self.host.fake.reboot();
        self.boot(files)
    }

    pub(crate) async fn submit(&mut self, spec: Value, restart_policy: &str) {
        let mut spec = spec;
        spec["template"] = serde_json::json!({"spec": {
            "restartPolicy": restart_policy,
            "containers": [{"name": "main", "image": "busybox:1"}],
        }});
        let wish: Job = serde_json::from_value(serde_json::json!({
            "metadata": {"name": NAME, "namespace": "default"}, "spec": spec,
        }))
        .unwrap();
        let job = objects::admit(wish, &Seed::fixed(0), self.clock.now()).unwrap();
        let created = objects::create_jobs(self.store(), vec![job]).await;
        // What failed may have been written all the same, as whoever tries again sees.
        self.acknowledged = created.is_ok() || self.job().await.is_some();
        self.tell(format!("submitted, and acknowledged: {}", self.acknowledged));
    }

    pub(crate) fn is_acknowledged(&self) -> bool {
        self.acknowledged
    }

    /// Changes a field of the Job's spec, if the store can be written.
    pub(crate) async fn set(&self, field: &str, value: Value) -> bool {
        let Ok(Some(job)) = self.store().get::<Job>("default", NAME).await else { return false };
        let mut job = serde_json::to_value(job).unwrap();
        job["spec"][field] = value;
        let mut txn = self.store().txn();
        txn.update(&serde_json::from_value::<Job>(job).unwrap());
        txn.commit().await.is_ok()
    }

    /// Somebody deletes a pod that has not ended.
    pub(crate) async fn delete_pod(&self, dice: &mut Dice) {
        let mut pods = self.pods().await;
        pods.retain(|pod| !api::pod::is_terminal(pod));
        if pods.is_empty() {
            return;
        }
        let which = usize::try_from(dice.below(pods.len() as u64)).unwrap();
        let mut pod = pods.swap_remove(which);
        api::deletion::mark_pod(&mut pod, None, self.clock.now());
        let mut txn = self.store().txn();
        txn.update(&pod);
        // Where that fails, nobody was told that it was done.
        let _ = txn.commit().await;
    }

    pub(crate) async fn delete(&mut self) -> bool {
        let now = self.clock.now();
        let deleting =
            objects::delete_job(self.store(), "default", NAME, Propagation::Foreground, now);
        let deleted = deleting.await.is_ok();
        self.acknowledged &= !deleted;
        deleted
    }

    pub(crate) async fn job(&self) -> Option<Job> {
        self.store().get::<Job>("default", NAME).await.unwrap_or_default()
    }

    pub(crate) async fn pods(&self) -> Vec<Pod> {
        self.store().list::<Pod>(None).await.map(|(pods, _)| pods).unwrap_or_default()
    }

    /// One of the containers that run ends.
    pub(crate) fn end_one(&mut self, dice: &mut Dice, code: i32) {
        let running = self.host.fake.running();
        if running.is_empty() {
            return;
        }
        let which = usize::try_from(dice.below(running.len() as u64)).unwrap();
        let (uid, instance) = &running[which];
        self.tell(format!("{uid} {instance} ends with {code}"));
        self.host.fake.exit(uid, instance, code);
    }

    /// What must hold at every moment.
    pub(crate) async fn check(&mut self) -> Result<(), String> {
        let doubled = self.host.fake.doubled();
        if !doubled.is_empty() {
            return Err(format!("an attempt ran twice: {doubled:?}"));
        }
        let mut running: Vec<_> = self
            .host
            .fake
            .running()
            .into_iter()
            .map(|(uid, instance)| format!("{uid} {}", instance.container))
            .collect();
        running.sort();
        if let Some(twice) = running.windows(2).find(|two| two[0] == two[1]) {
            return Err(format!("two attempts run side by side: {}", twice[0]));
        }
        self.check_job().await?;
        self.check_ends().await
    }

    async fn check_job(&mut self) -> Result<(), String> {
        let Some(job) = self.job().await else {
            return match self.acknowledged {
                true => Err("a Job is lost that was acknowledged".to_owned()),
                false => Ok(()),
            };
        };
        let counted = (api::job::succeeded(&job), api::job::failed(&job));
        let before = std::mem::replace(&mut self.counted, counted);
        if counted.0 < before.0 || counted.1 < before.1 {
            return Err(format!("counted {counted:?}, and before {before:?}"));
        }
        let finished = api::job::is_finished(&job).map(|verdict| format!("{verdict:?}"));
        if self.finished.is_some() && finished != self.finished {
            return Err(format!("was over ({:?}), and is now {finished:?}", self.finished));
        }
        self.finished = finished;
        Ok(())
    }

    /// What the API says of an end is how it was.
    async fn check_ends(&self) -> Result<(), String> {
        let ends = self.host.fake.ends();
        for pod in self.pods().await {
            for status in api::pod::container_statuses(&pod) {
                let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref());
                let attempt = u32::try_from(status.restart_count).unwrap_or(0);
                let Some(ended) = ended else { continue };
                let instance = pod::Instance { container: status.name.clone(), attempt };
                match ends.get(&(pod.uid().to_owned(), instance.clone())) {
                    Some(code) if *code != ended.exit_code => {
                        return Err(format!(
                            "{} {instance} ended with {code}, and is told with {} ({:?})",
                            pod.uid(),
                            ended.exit_code,
                            ended.reason
                        ));
                    }
                    None if self.host.fake.starts(pod.uid(), &instance) > 0 => {
                        return Err(format!("{} {instance} runs, and is told ended", pod.uid()));
                    }
                    Some(_) | None => {}
                }
            }
        }
        Ok(())
    }

    /// What must hold when the Job is over. `untouched`: nobody deleted or suspended anything.
    pub(crate) async fn check_end(&self, untouched: bool) -> Result<(), String> {
        let job = self.job().await.ok_or("the Job is lost")?;
        let succeeded = api::job::succeeded(&job);
        let ends = self.host.fake.ends();
        let won: Vec<_> = ends.iter().filter(|(_, code)| **code == 0).collect();
        let counted = u32::try_from(won.len()).unwrap();
        if succeeded > counted || untouched && succeeded != counted {
            return Err(format!("{counted} pods succeeded, and {succeeded} are counted: {won:?}"));
        }
        let pods = self.pods().await;
        let held = pods.iter().find(|pod| pod.has_finalizer(job::TRACKING_FINALIZER));
        if let Some(held) = held {
            return Err(format!("{} waits to be counted", held.name()));
        }
        let phase = |phase| pods.iter().filter(|pod| api::pod::phase(pod) == phase).count();
        let failed = u32::try_from(phase(api::pod::Phase::Failed)).unwrap();
        let counted = api::job::failed(&job);
        // A Job that fails deletes what still runs, and counts it.
        let fails = api::job::true_condition(&job, "FailureTarget").is_some();
        let deleted = if fails { AT_ONCE_MAX } else { 0 };
        if untouched && !(failed..=failed + deleted).contains(&counted) {
            return Err(format!("{failed} pods failed, and {counted} are counted"));
        }
        Ok(())
    }

    pub(crate) async fn describe(&self) -> String {
        let job = self.job().await.and_then(|job| job.status);
        let pods: Vec<_> = self.pods().await.iter().map(|p| (p.key(), p.status.clone())).collect();
        format!("job: {job:?}\npods: {pods:?}\nhost: {:?}", self.host.fake)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.engine.take());
        self.store = None;
        Disk::forget(&self.dir);
    }
}

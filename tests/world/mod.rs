//! An engine on a store in memory, a host that exists only in memory, and a clock that is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kiln::api::amounts::Amounts;
use kiln::api::object::{Kind, Object};
use kiln::engine::{Clock, Engine, Settings};
use kiln::runtime::fake::Fake;
use kiln::server::objects::{self, Propagation, Seed};
use kiln::store::Store;
use kiln::{api, job, pod};

/// How long a condition may take in real time before the test says what it waits for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often to look although the store has not changed.
const GLANCE: Duration = Duration::from_millis(50);

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) host: Arc<Fake>,
    /// The annotations of a Job that is submitted.
    pub(crate) annotations: Vec<(String, String)>,
    /// Whether the pods of Jobs that are submitted have a second container.
    pub(crate) helper: bool,
    /// What the host has.
    pub(crate) room: Amounts,
    /// What containers of Jobs that are submitted ask for.
    pub(crate) requests: serde_json::Map<String, serde_json::Value>,
    /// How many Jobs were submitted: each has a uid of its own.
    submitted: AtomicU8,
    engine: Option<Engine>,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = Clock::virtual_at("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap());
        let tells = clock.clone();
        let mut world = Self {
            store: Store::in_memory().unwrap(),
            clock,
            host: Arc::new(Fake::new(move || tells.now())),
            annotations: Vec::new(),
            helper: false,
            room: Amounts::UNLIMITED,
            requests: serde_json::Map::new(),
            submitted: AtomicU8::new(0),
            engine: None,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        let rules = job::Rules::default();
        let settings = Settings { room: self.room, ..Settings::new(rules, pod::Rules::default()) };
        let host = Arc::clone(&self.host);
        let engine = Engine::start(self.store.clone(), host, self.clock.clone(), settings);
        self.engine = Some(engine);
    }

    /// Ends the engine in order and starts another one.
    pub(crate) async fn restart(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.stop().await;
        }
        self.start();
    }

    /// Ends the engine where it stands and starts another one.
    pub(crate) fn crash(&mut self) {
        drop(self.engine.take());
        self.start();
    }

    pub(crate) async fn stop(mut self) {
        if let Some(engine) = self.engine.take() {
            engine.stop().await;
        }
    }

    /// Submits a Job of one container with these fields of its spec.
    pub(crate) async fn submit(&self, name: &str, spec: serde_json::Value, restart_policy: &str) {
        let mut spec = spec;
        let mut containers = vec![serde_json::json!({
            "name": "main", "image": "busybox:1", "resources": {"requests": self.requests},
        })];
        if self.helper {
            containers.push(serde_json::json!({"name": "helper", "image": "busybox:1"}));
        }
        spec["template"] = serde_json::json!({"spec": {
            "restartPolicy": restart_policy, "containers": containers,
        }});
        let own = self.annotations.iter().filter(|_| name == "j");
        let annotations: BTreeMap<_, _> = own.cloned().collect();
        let wish: Job = serde_json::from_value(serde_json::json!({
            "metadata": {"name": name, "namespace": "default", "annotations": annotations},
            "spec": spec,
        }))
        .unwrap();
        let seed = Seed::fixed(self.submitted.fetch_add(1, Ordering::Relaxed));
        let job = objects::admit(wish, &seed, self.clock.now()).unwrap();
        objects::create_jobs(&self.store, vec![job]).await.unwrap();
    }

    /// Changes a field of the Job's spec.
    pub(crate) async fn set(&self, field: &str, value: serde_json::Value) {
        self.change(&[(field, value)]).await;
    }

    /// Changes how many indexes there are, and how many run at once.
    pub(crate) async fn scale(&self, to: i32) {
        self.change(&[("completions", to.into()), ("parallelism", to.into())]).await;
    }

    async fn change(&self, fields: &[(&str, serde_json::Value)]) {
        loop {
            let mut job = serde_json::to_value(self.job().await.unwrap()).unwrap();
            for (field, value) in fields {
                job["spec"][field] = value.clone();
            }
            let job: Job = serde_json::from_value(job).unwrap();
            let mut txn = self.store.txn();
            txn.update(&job);
            if txn.commit().await.is_ok() {
                return;
            }
        }
    }

    pub(crate) async fn delete(&self, propagation: Propagation) {
        let now = self.clock.now();
        objects::delete_job(&self.store, "default", "j", propagation, now).await.unwrap();
    }

    /// Somebody deletes the pods that have not ended.
    pub(crate) async fn delete_pods(&self) {
        for pod in self.pods().await.into_iter().filter(|pod| !api::pod::is_terminal(pod)) {
            loop {
                let name = pod.name();
                let mut pod = self.store.get::<Pod>("default", name).await.unwrap().unwrap();
                api::deletion::mark_pod(&mut pod, None, self.clock.now());
                let mut txn = self.store.txn();
                txn.update(&pod);
                if txn.commit().await.is_ok() {
                    break;
                }
            }
        }
    }

    /// Gives the pods no more time to end.
    pub(crate) async fn kill(&self) {
        let Some(job) = self.job().await else { return };
        objects::kill_pods(&self.store, job.uid(), self.clock.now()).await.unwrap();
    }

    pub(crate) async fn job(&self) -> Option<Job> {
        self.store.get::<Job>("default", "j").await.unwrap()
    }

    pub(crate) async fn pods(&self) -> Vec<Pod> {
        self.store.list::<Pod>(None).await.unwrap().0
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance_to(self.clock.now().checked_add(by).unwrap());
    }

    /// Waits until `is_so`; looks whenever the store has changed, and at times.
    pub(crate) async fn until(&self, what: &str, mut is_so: impl AsyncFnMut(&Self) -> bool) {
        let (mut jobs, mut pods) = (self.store.watch(Kind::Job, 0), self.store.watch(Kind::Pod, 0));
        let waiting = async {
            while !is_so(self).await {
                let changed = async {
                    tokio::select! {
                        change = jobs.next() => drop(change.unwrap()),
                        change = pods.next() => drop(change.unwrap()),
                    }
                };
                // The host changes without a word.
                let _ = tokio::time::timeout(GLANCE, changed).await;
                // One look for all that has changed meanwhile.
                while jobs.next().now_or_never().is_some() || pods.next().now_or_never().is_some() {
                }
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("in vain: {what}\n{}", self.describe().await);
        }
    }

    async fn describe(&self) -> String {
        let job = self.job().await.and_then(|job| job.status);
        let pods: Vec<_> = self.pods().await.iter().map(|p| (p.key(), p.status.clone())).collect();
        format!("job: {job:#?}\npods: {pods:#?}\nhost: {:?}", self.host)
    }

    /// What no crash and no order of events may break.
    pub(crate) async fn check_invariants(&self) {
        assert_eq!(self.host.doubled(), Vec::<String>::new(), "an attempt ran twice");
    }
}

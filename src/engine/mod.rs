//! The engine: carries out what the rules decide.
//!
//! Owns: every task, the order in which they start and stop, and the bounds on what goes on at once.
//! Must not know: why something is to be done (`job`, `pod`), or how (`runtime`, `store`).
//!
//! Two loops meet only in the store. `jobs` looks at a Job and its pods and commits what follows in
//! one transaction; a worker of `pods` looks at one pod and what the host has of it, commits what it
//! saw and begins what is to be done. Whatever wakes them only ever says "look again".

mod admission;
mod cache;
mod claims;
pub mod clock;
mod commit;
mod crons;
mod events;
mod follow;
mod gc;
mod held;
mod jobs;
mod listed;
pub(crate) mod metrics;
mod objects;
mod operations;
mod pod_security;
mod pods;
mod queue;
mod retention;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{RwLock, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::api::amounts::Amounts;
use crate::runtime::Runtime;
use crate::store::Store;
use crate::{job, pod};

use self::cache::Cache;
pub use self::clock::Clock;
pub use self::metrics::Metrics;
pub use self::retention::LogRetention;

/// How long to wait before the store or the runtime is asked again after it failed.
const RETRY: Duration = Duration::from_secs(1);

/// What an operator may change.
#[derive(Debug, Clone)]
pub struct Settings {
    pub job: job::Rules,
    pub pod: pod::Rules,
    /// What the pods may ask for together.
    pub room: Amounts,
    /// How many sandboxes and containers may be started at once.
    pub starts_at_once: usize,
    /// How many containers and sandboxes may be removed at once.
    pub removals_at_once: usize,
    /// How often to look for what stands on the host without a pod, and for Events past their time.
    pub sweep_every: Duration,
    /// For how long logs outlive their pods; of no use where the store keeps nothing of those.
    pub log_retention: LogRetention,
}

impl Settings {
    /// The rules, with bounds that fit this host.
    pub fn new(job: job::Rules, pod: pod::Rules) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let at_once = (2 * cores).max(2);
        Self {
            job,
            pod,
            room: Amounts::UNLIMITED,
            starts_at_once: at_once,
            removals_at_once: at_once,
            sweep_every: Duration::from_mins(5),
            log_retention: LogRetention::default(),
        }
    }
}

/// A running engine. Dropping it aborts its tasks where they are; [`Engine::stop`] ends them in order.
/// Containers outlive it either way, and the next engine takes them over.
#[derive(Debug)]
pub struct Engine {
    control: Part,
    pods: Part,
    watches: Part,
    shared: Arc<Shared>,
}

/// Tasks that end together.
#[derive(Debug, Default)]
struct Part {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// What all loops work with.
#[derive(Debug)]
struct Shared {
    store: Store,
    runtime: RuntimeHandle,
    clock: Clock,
    settings: Settings,
    cache: Cache,
    changes: objects::Changes,
    events: events::Memory,
    metrics: Arc<Metrics>,
    starts: Semaphore,
    removals: Semaphore,
    /// Held for reading when a pod's worker is born, for writing during a sweep: a sweep that does not
    /// know of a pod must not meet what that pod puts on the host.
    births: RwLock<()>,
}

impl Shared {
    fn new(store: Store, runtime: Arc<dyn Runtime>, clock: Clock, settings: Settings) -> Self {
        Self {
            starts: Semaphore::new(settings.starts_at_once),
            removals: Semaphore::new(settings.removals_at_once),
            store,
            runtime: RuntimeHandle(runtime),
            clock,
            settings,
            cache: Cache::new(),
            changes: objects::Changes::new(),
            events: events::Memory::default(),
            metrics: Arc::new(Metrics::new()),
            births: RwLock::default(),
        }
    }
}

struct RuntimeHandle(Arc<dyn Runtime>);

impl std::fmt::Debug for RuntimeHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Runtime")
    }
}

impl std::ops::Deref for RuntimeHandle {
    type Target = dyn Runtime;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl Engine {
    /// Starts the loops; needs a tokio runtime around it. Returns at once: what already runs on the
    /// host is taken over, and a container runtime that is away is waited for, in the background.
    pub fn start(
        store: Store,
        runtime: Arc<dyn Runtime>,
        clock: Clock,
        settings: Settings,
    ) -> Self {
        let shared = Arc::new(Shared::new(store, runtime, clock, settings));
        let (mut control, mut pods, mut watches) =
            (Part::default(), Part::default(), Part::default());
        watches.run(|stop| follow::run(Arc::clone(&shared), stop));
        watches.run(|stop| objects::run(Arc::clone(&shared), stop));
        pods.run(|stop| workers::run(Arc::clone(&shared), stop));
        control.run(|stop| jobs::run(Arc::clone(&shared), stop));
        control.run(|stop| crons::run(Arc::clone(&shared), stop));
        control.run(|stop| gc::run_orphans(Arc::clone(&shared), stop));
        control.run(|stop| gc::run_expiries(Arc::clone(&shared), stop));
        control.run(|stop| gc::run_sweeps(Arc::clone(&shared), stop));
        control.run(|stop| claims::run(Arc::clone(&shared), stop));
        control.run(|stop| retention::run(Arc::clone(&shared), stop));
        Self { control, pods, watches, shared }
    }

    /// What is measured of it.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.shared.metrics)
    }

    /// Stops deciding, lets the operations that go on end, and returns when no task is left.
    /// Containers go on running.
    pub async fn stop(mut self) {
        self.control.end().await;
        self.shared.starts.close();
        self.shared.removals.close();
        self.pods.end().await;
        self.watches.end().await;
    }
}

impl Part {
    fn run<F>(&mut self, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(task(self.stop.clone()));
    }

    async fn end(&mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(broken) = ended {
                error!(error = %broken, "a task of the engine broke");
            }
        }
    }
}

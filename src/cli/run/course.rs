//! The course of a run: from Jobs that were admitted to a host on which nothing of them is left.
//!
//! Owns: the engine while it lasts, the order of things, and the exit code. Must not know: where Jobs
//! come from, which runtime and which terminal there is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use tokio::sync::{mpsc, watch};

use super::feed::{Feed, News};
use super::follow::{Followers, Style};
use super::options::{Host, Options, Progress};
use super::outcome::{self, Evidence};
use super::report::{Detail, Report};
use super::view::View;
use crate::api::job::{Finished, is_finished};
use crate::api::object::{Key, Object};
use crate::api::pod::{all_container_statuses, grace_period, is_terminal};
use crate::cli::Exit;
use crate::cli::output::{Output, Target};
use crate::engine::Engine;
use crate::pod::{Instance, Signal};
use crate::runtime::Pulls;
use crate::server::manifests::Admitted;
use crate::server::objects::{
    self, Propagation, create_jobs, create_others, delete_job, kill_pods,
};

/// Runs the Jobs to their end, and removes them. Every message of `interrupts` is a wish to stop: the
/// first deletes the Jobs, the second kills what runs, the third gives up.
///
/// # Errors
/// The store failed. Nothing is left on the host, as far as the runtime answers.
pub async fn core(
    host: &Host,
    options: Options,
    admitted: Admitted,
    output: Output,
    interrupts: mpsc::Receiver<()>,
) -> anyhow::Result<Exit> {
    let engine = Engine::start(
        host.store.clone(),
        Arc::clone(&host.runtime),
        host.clock.clone(),
        host.settings.clone(),
    );
    let mut course = Course::new(host, options, &admitted.jobs, output, interrupts);
    let exit = course.run(&admitted).await;
    course.end_view();
    if course.gave_up {
        return exit;
    }
    engine.stop().await;
    if exit.is_err() {
        // The store does not tell any more what is to go: everything is.
        let everything = BTreeSet::new();
        let unknown = tokio::select! {
            swept = host.runtime.sweep(&everything) => swept.err().map(|error| error.to_string()),
            () = host.clock.sleep(PATIENCE) => Some("the runtime does not answer".to_owned()),
            Some(()) = course.interrupts.recv() => Some("interrupted".to_owned()),
        };
        if let Some(error) = unknown {
            course.output.say(&format!("error: containers may be left behind: {error}"));
        }
    }
    exit
}

/// How often one has to insist until the process ends whatever is left.
const GIVES_UP: u32 = 3;
/// How long a run that clears away waits for news of its pods beyond their grace period: a containerd that
/// never comes back must not keep it for ever, and its exit code from whoever waits for that.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait for the runtime to kill what runs. The engine goes on killing what is left.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// Every Job is complete or failed.
    Finished,
    /// All output is out.
    Printed,
    /// No Job and no pod is left.
    Gone,
}

/// Why one does not wait any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Interrupted,
    /// Nobody reads standard output any more.
    Closed,
    TimedOut,
    /// There are no news any more.
    GivesUp,
}

/// What happens meanwhile.
enum Step {
    Job(News<Job>),
    Pod(News<Pod>),
    Event(News<Event>),
    Pulls(Pulls),
    LogEnded,
    Cut(Cut),
}

struct Course<'a> {
    host: &'a Host,
    options: Options,
    output: Output,
    interrupts: mpsc::Receiver<()>,
    interrupted: u32,
    closed: bool,
    /// Whether it ends although something is left.
    gave_up: bool,
    /// When it gives up, once it clears away and if there are no news.
    gives_up_at: Option<Timestamp>,
    times_out_at: Option<Timestamp>,
    /// The Jobs in their order.
    order: Vec<Key>,
    jobs: BTreeMap<Key, Job>,
    /// The pods that are not over.
    live: BTreeMap<String, Pod>,
    job_feed: Feed<Job>,
    pod_feed: Feed<Pod>,
    event_feed: Feed<Event>,
    /// `None` when the runtime tells no more of them.
    pulls: Option<watch::Receiver<Pulls>>,
    followers: Followers,
    report: Report,
    evidence: Evidence,
    view: Option<View>,
}

impl<'a> Course<'a> {
    fn new(
        host: &'a Host,
        options: Options,
        jobs: &[Job],
        output: Output,
        interrupts: mpsc::Receiver<()>,
    ) -> Self {
        let stdout = if options.format.is_some() { Target::Stderr } else { Target::Stdout };
        let style = Style { prefix: options.prefix, stdout };
        let (detail, view) = match &options.progress {
            Progress::Live(screen) => (Detail::Trouble, Some(View::new(screen.clone()))),
            Progress::Plain => (Detail::All, None),
            Progress::Nothing => (Detail::Nothing, None),
        };
        let now = host.clock.now();
        Self {
            host,
            interrupts,
            interrupted: 0,
            closed: false,
            gave_up: false,
            gives_up_at: None,
            times_out_at: options
                .timeout
                .map(|timeout| now.checked_add(timeout).unwrap_or(Timestamp::MAX)),
            order: jobs.iter().map(Object::key).collect(),
            jobs: BTreeMap::new(),
            live: BTreeMap::new(),
            job_feed: Feed::new(&host.store),
            pod_feed: Feed::new(&host.store),
            event_feed: Feed::new(&host.store),
            pulls: Some(host.runtime.pulls()),
            followers: Followers::new(host.log_dir.clone(), style, output.clone()),
            report: Report::new(detail),
            evidence: Evidence::default(),
            view,
            options,
            output,
        }
    }

    async fn run(&mut self, admitted: &Admitted) -> anyhow::Result<Exit> {
        let Admitted { jobs, others } = admitted;
        create_others(&self.host.store, others).await.context("cannot store the objects")?;
        for (key, _) in others {
            let lines = self.report.created_other(key);
            self.say(lines);
        }
        create_jobs(&self.host.store, jobs.clone()).await.context("cannot store the Jobs")?;
        for job in jobs {
            let lines = self.report.created(job);
            self.say(lines);
        }
        let mut cut = self.pursue(Goal::Finished).await?;
        if cut.is_none() {
            self.catch_up().await?;
            cut = self.pursue(Goal::Printed).await?;
        }
        self.end_view();
        let exit = self.conclude(cut)?;
        self.clear_away().await?;
        if cut.is_some() && !self.gave_up {
            let deleted = self.order.iter().map(|key| format!("job.batch/{} deleted", key.name));
            self.say(deleted.collect());
        }
        Ok(exit)
    }

    /// Waits until the goal is reached, and shows what happens meanwhile. Answers why it was left.
    async fn pursue(&mut self, goal: Goal) -> anyhow::Result<Option<Cut>> {
        while !self.reached(goal) {
            let step = self.next(goal).await?;
            if let Step::Cut(cut) = step {
                return Ok(Some(cut));
            }
            self.take(step);
        }
        Ok(None)
    }

    fn reached(&self, goal: Goal) -> bool {
        match goal {
            Goal::Finished => self
                .order
                .iter()
                .all(|key| self.jobs.get(key).is_some_and(|job| is_finished(job).is_some())),
            Goal::Printed => self.followers.is_idle(),
            Goal::Gone => self.job_feed.is_empty() && self.pod_feed.is_empty(),
        }
    }

    async fn next(&mut self, goal: Goal) -> anyhow::Result<Step> {
        let times_out_at = self.times_out_at.filter(|_| goal == Goal::Finished);
        let gives_up_at = self.gives_up_at.filter(|_| goal == Goal::Gone);
        let pulls = async {
            match &mut self.pulls {
                Some(pulls) => match pulls.changed().await {
                    Ok(()) => Some(pulls.borrow_and_update().clone()),
                    Err(_) => None,
                },
                None => std::future::pending().await,
            }
        };
        // All branches are cancel-safe: feeds, channels and the set of tasks keep what is not taken.
        let step = tokio::select! {
            biased;
            Some(()) = self.interrupts.recv() => {
                self.interrupted += 1;
                Step::Cut(Cut::Interrupted)
            }
            () = self.output.closed(), if !self.closed => {
                self.closed = true;
                Step::Cut(Cut::Closed)
            }
            news = self.event_feed.next() => Step::Event(news.context("cannot read Events")?),
            news = self.pod_feed.next() => Step::Pod(news.context("cannot read the pods")?),
            news = self.job_feed.next() => Step::Job(news.context("cannot read the Jobs")?),
            pulls = pulls => match pulls {
                Some(pulls) => Step::Pulls(pulls),
                None => {
                    self.pulls = None;
                    Step::Pulls(Pulls::new())
                }
            },
            () = self.followers.ended() => Step::LogEnded,
            () = self.host.clock.sleep_until(times_out_at) => Step::Cut(Cut::TimedOut),
            () = self.host.clock.sleep_until(gives_up_at) => Step::Cut(Cut::GivesUp),
        };
        Ok(step)
    }

    fn take(&mut self, step: Step) {
        if self.gives_up_at.is_some() && matches!(step, Step::Job(_) | Step::Pod(_)) {
            self.be_patient();
        }
        let lines = match step {
            Step::Job(news) => self.take_job(news),
            Step::Pod(news) => self.take_pod(news),
            Step::Event(News::Is(event)) => {
                self.evidence.event(&event);
                self.report.event(&event)
            }
            Step::Pulls(pulls) => {
                if let Some(view) = &mut self.view {
                    view.pulls(&pulls);
                }
                self.report.pulls(&pulls)
            }
            Step::Event(News::Gone { .. }) | Step::LogEnded | Step::Cut(_) => Vec::new(),
        };
        self.say(lines);
    }

    fn take_job(&mut self, news: News<Job>) -> Vec<String> {
        // What is gone was finished, or is not asked for any more: its last state stays.
        let News::Is(job) = news else { return Vec::new() };
        if let Some(view) = &mut self.view {
            view.job(&job);
        }
        let lines = self.report.job(&job);
        self.jobs.insert(job.key(), *job);
        lines
    }

    fn take_pod(&mut self, news: News<Pod>) -> Vec<String> {
        match news {
            News::Is(pod) => {
                self.followers.observe(&pod);
                self.evidence.pod(&pod);
                let lines = self.report.pod(&pod);
                if is_terminal(&pod) {
                    self.live.remove(pod.uid());
                } else {
                    self.live.insert(pod.uid().to_owned(), *pod);
                }
                lines
            }
            News::Gone { uid } => {
                self.followers.gone(&uid);
                self.report.pod_gone(&uid);
                self.live.remove(&uid);
                Vec::new()
            }
        }
    }

    /// A Job's end may be seen before the last that was stored of its pods.
    async fn catch_up(&mut self) -> anyhow::Result<()> {
        self.event_feed.resync().await.context("cannot read Events")?;
        self.pod_feed.resync().await.context("cannot read the pods")?;
        while let Some(news) = self.event_feed.pending() {
            self.take(Step::Event(news));
        }
        while let Some(news) = self.pod_feed.pending() {
            self.take(Step::Pod(news));
        }
        Ok(())
    }

    /// Says how it ended.
    fn conclude(&mut self, cut: Option<Cut>) -> anyhow::Result<Exit> {
        let jobs: Vec<&Job> = self.order.iter().filter_map(|key| self.jobs.get(key)).collect();
        let names = || {
            let names: Vec<_> = self.order.iter().map(|key| key.name.as_str()).collect();
            names.join(", ")
        };
        let now = self.host.clock.now();
        match cut {
            Some(Cut::Interrupted) => {
                let text = format!(
                    "interrupted: deleting {}; the containers get their grace period, a second \
                     interrupt kills them at once",
                    names()
                );
                self.output.say(&text);
                return Ok(Exit::Interrupted);
            }
            Some(Cut::GivesUp) => return Ok(Exit::Interrupted),
            Some(Cut::Closed) => {
                let text = format!("nobody reads standard output any more: deleting {}", names());
                self.output.say(&text);
                return Ok(Exit::Interrupted);
            }
            Some(Cut::TimedOut) => {
                let after = self.options.timeout.unwrap_or_default();
                let text = format!("timed out after {after:?}: deleting {}", names());
                let summary = outcome::summary(&jobs, &self.evidence, &self.host.log_dir, now);
                self.output.say(&format!("{text}\n{summary}"));
                return Ok(Exit::TimedOut);
            }
            None => {}
        }
        match self.options.format {
            Some(format) => {
                let document = outcome::document(&jobs, format)?;
                self.output.print(document);
            }
            None => {
                let summary = outcome::summary(&jobs, &self.evidence, &self.host.log_dir, now);
                self.output.say(&summary);
            }
        }
        let failed = jobs.iter().any(|job| is_finished(job) == Some(Finished::Failed));
        Ok(if failed { Exit::Failed } else { Exit::Done })
    }

    /// Deletes the Jobs, and returns when nothing of them is left.
    async fn clear_away(&mut self) -> anyhow::Result<()> {
        for key in &self.order {
            let (store, now) = (&self.host.store, self.host.clock.now());
            let how = Propagation::Foreground;
            match delete_job(store, &key.namespace, &key.name, how, now).await {
                Ok(()) | Err(objects::Error::NotFound { .. }) => {}
                failed => failed.context("cannot delete the Jobs")?,
            }
        }
        self.be_patient();
        self.job_feed.resync().await.context("cannot read the Jobs")?;
        for goal in [Goal::Gone, Goal::Printed] {
            while let Some(cut) = self.pursue(goal).await? {
                match cut {
                    Cut::Interrupted => self.insist().await?,
                    Cut::GivesUp => {
                        self.output.say("giving up: there are no news of the containers any more");
                        self.gave_up = true;
                    }
                    Cut::Closed | Cut::TimedOut => {}
                }
                if self.gave_up {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// One more interrupt while things are cleared away.
    async fn insist(&mut self) -> anyhow::Result<()> {
        if (2..GIVES_UP).contains(&self.interrupted) {
            self.output.say("killing the containers");
            self.kill().await?;
        }
        if self.interrupted >= GIVES_UP {
            self.output.say("giving up");
            self.gave_up = true;
            return Ok(());
        }
        self.be_patient();
        Ok(())
    }

    /// From now on, news have to come within the grace that the containers still have, and a while.
    fn be_patient(&mut self) {
        let grace = if self.interrupted > 1 {
            Duration::ZERO
        } else {
            self.live.values().map(grace_period).max().unwrap_or_default()
        };
        let patience = grace.saturating_add(PATIENCE);
        let now = self.host.clock.now();
        self.gives_up_at = Some(now.checked_add(patience).unwrap_or(Timestamp::MAX));
    }

    /// Kills what runs. The store is told too, for what is about to run.
    async fn kill(&mut self) -> anyhow::Result<()> {
        let now = self.host.clock.now();
        for job in self.jobs.values() {
            let told = kill_pods(&self.host.store, job.uid(), now).await;
            told.context("cannot delete the pods")?;
        }
        let runtime = &self.host.runtime;
        let running = self.live.values().flat_map(|pod| {
            let instances = running(pod);
            instances.map(move |instance| (pod, instance))
        });
        let killed = join_all(running.map(|(pod, instance)| async move {
            // The engine kills again what this could not.
            let _ = runtime.signal(pod, &instance, Signal::Kill).await;
        }));
        // A runtime that hangs must not keep one from insisting.
        tokio::select! {
            _ = killed => {}
            Some(()) = self.interrupts.recv() => self.interrupted += 1,
            () = self.host.clock.sleep(KILL_PATIENCE) => {}
        }
        Ok(())
    }

    fn say(&self, lines: Vec<String>) {
        if !lines.is_empty() {
            self.output.say(&lines.join("\n"));
        }
    }

    fn end_view(&mut self) {
        if let Some(mut view) = self.view.take() {
            view.end();
        }
    }
}

/// The instances that the pod says are running.
fn running(pod: &Pod) -> impl Iterator<Item = Instance> {
    let statuses = all_container_statuses(pod);
    let running = statuses
        .filter(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()));
    running.map(|status| Instance {
        container: status.name.clone(),
        attempt: u32::try_from(status.restart_count).unwrap_or(0),
    })
}

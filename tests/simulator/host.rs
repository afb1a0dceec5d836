//! A host whose answers get lost.
//!
//! Owns: what goes wrong between the engine and the containers, and stopping an engine in the middle of a
//! step. Must not know: what the engine makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use kiln::api::references::Referred;
use kiln::pod::{Container, Exit, Handler, Instance, PullPolicy, Signal, Usage};
use kiln::runtime::fake::Fake;
use kiln::runtime::{Error, Executed, Found, PullError, Pulled, Pulls, Runtime, StartError};
use tokio::sync::watch;

use crate::dice::Dice;

/// The containers' side of the world. It outlives engines.
pub(crate) struct Host {
    pub(crate) fake: Arc<Fake>,
    state: Mutex<State>,
    /// Whether containerd is away.
    away: watch::Sender<bool>,
}

struct State {
    dice: Dice,
    /// One in so many calls goes wrong; none, where it is zero.
    trouble: u64,
    /// How many sides of calls there were, and at which of them the engine stops.
    steps: u64,
    stop_at: Option<u64>,
    has_stopped: bool,
    /// Whether a new engine sees what runs.
    adopts: bool,
}

enum Fate {
    Works,
    /// It was not done.
    AskedInVain,
    /// It was done.
    AnswerLost,
    Slow(u64),
}

impl Host {
    pub(crate) fn new(fake: Fake, dice: Dice) -> Self {
        let state =
            State { dice, trouble: 0, steps: 0, stop_at: None, has_stopped: false, adopts: true };
        Self { fake: Arc::new(fake), state: Mutex::new(state), away: watch::Sender::new(false) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on one in so many calls goes wrong.
    pub(crate) fn set_trouble(&self, one_in: u64) {
        self.state().trouble = one_in;
    }

    pub(crate) fn set_adopts(&self, adopts: bool) {
        self.state().adopts = adopts;
    }

    pub(crate) fn set_away(&self, away: bool) {
        self.away.send_replace(away);
    }

    /// The engine that works at this side of a call does not come back from it.
    pub(crate) fn stop_at(&self, step: u64) {
        self.state().stop_at = Some(step);
    }

    pub(crate) fn steps(&self) -> u64 {
        self.state().steps
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.state().has_stopped
    }

    /// There is a new engine.
    pub(crate) fn go_on(&self) {
        let mut state = self.state();
        (state.stop_at, state.has_stopped) = (None, false);
    }

    /// One side of a call: nothing comes after it where the engine stops.
    async fn side(&self) {
        let stopped = {
            let mut state = self.state();
            state.steps += 1;
            state.has_stopped |= state.stop_at == Some(state.steps);
            state.has_stopped
        };
        if stopped {
            std::future::pending::<()>().await;
        }
    }

    fn fate(&self) -> Fate {
        if *self.away.borrow() {
            return Fate::AskedInVain;
        }
        let mut state = self.state();
        let trouble = state.trouble;
        if trouble == 0 || !state.dice.once_in(trouble) {
            return Fate::Works;
        }
        match state.dice.below(3) {
            0 => Fate::AskedInVain,
            1 => Fate::AnswerLost,
            _ => Fate::Slow(1 + state.dice.below(30)),
        }
    }

    /// Does something as fate wills it.
    async fn call<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>>,
        lost: impl FnOnce() -> E,
    ) -> Result<T, E> {
        self.side().await;
        match self.fate() {
            Fate::Works => {}
            Fate::AskedInVain => return Err(lost()),
            Fate::AnswerLost => {
                work.await?;
                self.side().await;
                return Err(lost());
            }
            Fate::Slow(turns) => {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            }
        }
        let done = work.await;
        self.side().await;
        done
    }
}

fn unreachable() -> Error {
    Error::Unreachable { address: "here".to_owned(), message: "cut off".to_owned() }
}

#[async_trait]
impl Runtime for Host {
    async fn observe(&self) -> Result<BTreeMap<String, Found>, Error> {
        let found = self.call(self.fake.observe(), unreachable).await?;
        Ok(if self.state().adopts { found } else { BTreeMap::new() })
    }

    async fn pull(
        &self,
        image: &str,
        policy: PullPolicy,
        referred: &Referred,
    ) -> Result<Pulled, PullError> {
        let lost = || PullError::Retry { message: "cut off".to_owned() };
        self.call(self.fake.pull(image, policy, referred), lost).await
    }

    async fn create_sandbox(&self, pod: &Pod, referred: &Referred) -> Result<Vec<String>, Error> {
        self.call(self.fake.create_sandbox(pod, referred), unreachable).await
    }

    async fn update_volumes(&self, pod: &Pod, referred: &Referred) -> Result<(), Error> {
        self.fake.update_volumes(pod, referred).await
    }

    async fn usage(&self, pod: &Pod) -> Result<Usage, Error> {
        self.fake.usage(pod).await
    }

    async fn start(
        &self,
        pod: &Pod,
        instance: &Instance,
        referred: &Referred,
    ) -> Result<Container, StartError> {
        let lost = || StartError::Retry { message: "cut off".to_owned() };
        self.call(self.fake.start(pod, instance, referred), lost).await
    }

    async fn wait(&self, pod: &Pod, instance: &Instance) -> Exit {
        let exit = self.fake.wait(pod, instance).await;
        // It waits out a containerd that is away. The sender lives as long as this host.
        let _ = self.away.subscribe().wait_for(|away| !away).await;
        self.side().await;
        exit
    }

    async fn exec(
        &self,
        pod: &Pod,
        instance: &Instance,
        command: &[String],
        timeout: Duration,
    ) -> Result<Executed, Error> {
        self.fake.exec(pod, instance, command, timeout).await
    }

    async fn check(
        &self,
        pod: &Pod,
        instance: &Instance,
        handler: &Handler,
        timeout: Duration,
    ) -> Result<Result<(), String>, Error> {
        self.fake.check(pod, instance, handler, timeout).await
    }

    async fn signal(&self, pod: &Pod, instance: &Instance, signal: Signal) -> Result<(), Error> {
        self.call(self.fake.signal(pod, instance, signal), unreachable).await
    }

    async fn remove(&self, pod: &Pod, instance: &Instance) -> Result<(), Error> {
        self.call(self.fake.remove(pod, instance), unreachable).await
    }

    async fn remove_sandbox(&self, pod_uid: &str) -> Result<(), Error> {
        self.call(self.fake.remove_sandbox(pod_uid), unreachable).await
    }

    async fn sweep(&self, live: &BTreeSet<String>) -> Result<Vec<String>, Error> {
        self.call(self.fake.sweep(live), unreachable).await
    }

    async fn log_bytes(&self, pod: &Pod) -> Result<u64, Error> {
        self.fake.log_bytes(pod).await
    }

    async fn remove_logs(&self, pod: &Pod) -> Result<(), Error> {
        self.fake.remove_logs(pod).await
    }

    async fn claims(&self) -> Result<BTreeSet<String>, Error> {
        self.fake.claims().await
    }

    async fn remove_claim(&self, uid: &str) -> Result<(), Error> {
        self.fake.remove_claim(uid).await
    }

    fn pulls(&self) -> watch::Receiver<Pulls> {
        self.fake.pulls()
    }
}

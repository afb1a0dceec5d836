//! The clock.
//!
//! Owns: reading the time and waiting for it. Everybody else takes `now` as an argument.
//! Must not know: what is waited for.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

/// A wait is cut into pieces of at most this length, so that it notices when the host's clock is set.
const NAP: Duration = Duration::from_secs(30);

/// The time, as the whole engine sees it. Clones tell the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Virtual(Arc<Virtual>),
}

struct Virtual {
    now: watch::Sender<Timestamp>,
    sleepers: Mutex<Sleepers>,
}

#[derive(Default)]
struct Sleepers {
    born: u64,
    until: BTreeSet<(Timestamp, u64)>,
}

impl Clock {
    /// The host's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until it is told to go on.
    pub fn virtual_at(start: Timestamp) -> Self {
        let now = watch::Sender::new(start);
        Self(Source::Virtual(Arc::new(Virtual { now, sleepers: Mutex::default() })))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Timestamp::now(),
            Source::Virtual(clock) => *clock.now.borrow(),
        }
    }

    /// Waits until `at`; forever where there is no such time. Cancel-safe.
    pub async fn sleep_until(&self, at: Option<Timestamp>) {
        let Some(at) = at else { return std::future::pending().await };
        match &self.0 {
            Source::System => self.sleep_on_the_host(at).await,
            Source::Virtual(clock) => clock.sleep_until(at).await,
        }
    }

    /// Waits for this long. Cancel-safe.
    pub async fn sleep(&self, time: Duration) {
        self.sleep_until(Some(later(self.now(), time))).await;
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that waits for the clock")]
    async fn sleep_on_the_host(&self, at: Timestamp) {
        while let Ok(left) = Duration::try_from(at.duration_since(self.now()))
            && !left.is_zero()
        {
            tokio::time::sleep(left.min(NAP)).await;
        }
    }

    /// Sets a virtual clock forward and wakes whoever waited for that. Nothing for the host's clock,
    /// and for a time that is past.
    pub fn advance_to(&self, at: Timestamp) {
        if let Source::Virtual(clock) = &self.0 {
            clock.now.send_if_modified(|now| {
                let moves = at > *now;
                *now = at.max(*now);
                moves
            });
        }
    }

    /// When the first sleeper of a virtual clock wants to be woken.
    pub fn next_wake(&self) -> Option<Timestamp> {
        match &self.0 {
            Source::System => None,
            Source::Virtual(clock) => clock.sleepers().until.first().map(|(at, _)| *at),
        }
    }
}

impl Virtual {
    fn sleepers(&self) -> std::sync::MutexGuard<'_, Sleepers> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sleep_until(&self, at: Timestamp) {
        let mut now = self.now.subscribe();
        let _entry = Sleeper::register(self, at);
        // The sender lives as long as this clock does, so waiting cannot fail.
        let _ = now.wait_for(|now| *now >= at).await;
    }
}

/// Takes the sleeper off the list when it wakes or is dropped.
struct Sleeper<'a> {
    clock: &'a Virtual,
    entry: (Timestamp, u64),
}

impl<'a> Sleeper<'a> {
    fn register(clock: &'a Virtual, at: Timestamp) -> Self {
        let mut sleepers = clock.sleepers();
        sleepers.born += 1;
        let entry = (at, sleepers.born);
        sleepers.until.insert(entry);
        Self { clock, entry }
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.clock.sleepers().until.remove(&self.entry);
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("System"),
            Self::Virtual(clock) => write!(f, "Virtual({})", *clock.now.borrow()),
        }
    }
}

/// `time` after `at`, or the end of time.
pub(super) fn later(at: Timestamp, time: Duration) -> Timestamp {
    at.checked_add(time).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp::UNIX_EPOCH;

    #[tokio::test]
    async fn a_virtual_clock_stands_still_until_it_is_told() {
        let clock = Clock::virtual_at(T0);
        let at = later(T0, Duration::from_secs(5));
        let sleep = clock.sleep_until(Some(at));
        tokio::pin!(sleep);

        assert!(futures::poll!(&mut sleep).is_pending());
        assert_eq!(clock.next_wake(), Some(at));

        clock.advance_to(at);
        sleep.await;
        assert_eq!((clock.now(), clock.next_wake()), (at, None));
    }

    #[tokio::test]
    async fn the_past_needs_no_wait() {
        Clock::system().sleep_until(Some(T0)).await;
        Clock::virtual_at(T0).sleep_until(Some(T0)).await;
    }

    #[test]
    fn a_dropped_sleeper_is_forgotten() {
        let clock = Clock::virtual_at(T0);
        let mut sleep = Box::pin(clock.sleep_until(Some(Timestamp::MAX)));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(sleep.as_mut().poll(&mut context).is_pending());
        drop(sleep);
        assert_eq!(clock.next_wake(), None);
    }
}

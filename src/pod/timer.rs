//! Time as the rules need it: later, in whole seconds, and when to look again.
//!
//! Owns: the arithmetic. Must not know: what the time now is.
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-restarts>

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// `delay` after `at`, or the end of time.
pub(super) fn later(at: Timestamp, delay: Duration) -> Timestamp {
    SignedDuration::try_from(delay)
        .ok()
        .and_then(|delay| at.checked_add(delay).ok())
        .unwrap_or(Timestamp::MAX)
}

/// A time as objects carry it, in whole seconds. Written any finer it would differ from itself once
/// it was stored.
pub(super) fn whole(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).expect("a time without its fraction is a time"))
}

/// What a back-off has come to after so many failures in a row: `first`, doubled up to `max`.
pub(super) fn backoff(failures: u32, first: Duration, max: Duration) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else {
        return Duration::ZERO;
    };
    first.saturating_mul(2u32.saturating_pow(doublings)).min(max)
}

/// The next of several times to come.
#[derive(Debug)]
pub(super) struct Alarm {
    now: Timestamp,
    next: Option<Timestamp>,
}

impl Alarm {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { now, next: None }
    }

    /// Adds a time; one that has come already wakes nobody.
    pub(super) fn set(&mut self, at: Timestamp) {
        if at > self.now {
            self.next = Some(self.next.map_or(at, |next| next.min(at)));
        }
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backoff_doubles_up_to_its_maximum() {
        let seconds = |failures| {
            backoff(failures, Duration::from_secs(10), Duration::from_secs(300)).as_secs()
        };
        let delays: Vec<u64> = [0, 1, 2, 3, 4, 5, 6, 7, 100].into_iter().map(seconds).collect();
        assert_eq!(delays, [0, 10, 20, 40, 80, 160, 300, 300, 300]);
    }

    #[test]
    fn the_earliest_time_to_come_wakes_and_a_time_that_has_come_does_not() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut alarm = Alarm::new(at(10));
        for second in [10, 9, 30, 20] {
            alarm.set(at(second));
        }
        assert_eq!(alarm.next(), Some(at(20)));
    }

    #[test]
    fn there_is_nothing_later_than_the_end_of_time() {
        assert_eq!(later(Timestamp::UNIX_EPOCH, Duration::MAX), Timestamp::MAX);
    }
}

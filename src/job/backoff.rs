//! How long a Job waits before it makes another pod.
//!
//! Owns: the failures since the last success, of the Job and of each index, and how they are
//! remembered. Must not know: limits.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-backoff-failure-policy>

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use super::indexes::annotation;
use super::template::{FAILURES, IGNORED};
use super::{IndexFailures, Ledger, Rules};
use crate::api;
use crate::api::extensions::listed;

const PODS_CREATED: &str = "kiln/pods-created";
const FAILED: &str = "kiln/backoff-failures";
const INDEX_FAILURES: &str = "kiln/index-failures";
const COMPLETE: &str = "kiln/after-complete";
const LAST_FAILURE: &str = "kiln/backoff-since";

/// A finish time is stored in whole seconds: the pod may have ended this much later.
const ROUNDED_OFF: Duration = Duration::from_secs(1);

impl Ledger {
    /// What the Job remembers; nothing, where that cannot be read.
    #[must_use]
    pub fn of(job: &Job) -> Self {
        let text = |key| job.metadata.annotations.as_ref().and_then(|all| all.get(key));
        Self {
            pods_created: text(PODS_CREATED).and_then(|t| t.parse().ok()).unwrap_or(0),
            failures: text(FAILED).and_then(|t| t.parse().ok()).unwrap_or(0),
            last_failure: text(LAST_FAILURE).and_then(|t| t.parse().ok()),
            indexes: text(INDEX_FAILURES).map(|text| read_indexes(text)).unwrap_or_default(),
            complete: text(COMPLETE)
                .map(|text| listed(text).into_iter().map(str::to_owned).collect())
                .unwrap_or_default(),
        }
    }

    /// Makes the Job remember this. What is nothing leaves no annotation.
    pub fn write(&self, job: &mut Job) {
        let failures = (self.failures > 0).then(|| self.failures.to_string());
        let created = (self.pods_created > 0).then(|| self.pods_created.to_string());
        let complete = self.complete.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        let values = [
            (COMPLETE, Some(complete).filter(|text| !text.is_empty())),
            (PODS_CREATED, created),
            (FAILED, failures),
            (LAST_FAILURE, self.last_failure.map(|at| at.to_string())),
            (INDEX_FAILURES, Some(write_indexes(&self.indexes)).filter(|text| !text.is_empty())),
        ];
        if job.metadata.annotations.is_none() && values.iter().all(|(_, value)| value.is_none()) {
            return;
        }
        let annotations = job.metadata.annotations.get_or_insert_default();
        for (key, value) in values {
            match value {
                Some(value) => drop(annotations.insert(key.to_owned(), value)),
                None => drop(annotations.remove(key)),
            }
        }
    }

    /// Takes in the pods that are counted now. A success forgets the failures up to it.
    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-backoff-failure-policy>
    pub(super) fn count(&mut self, succeeded: &[&Pod], failed: &[&Pod], now: Timestamp) {
        let success = succeeded.iter().map(|pod| finish_time(pod)).max();
        if success.is_some() {
            self.failures = 0;
            self.last_failure = None;
        }
        let failures: Vec<Timestamp> = failed
            .iter()
            .map(|pod| finish_time(pod))
            .filter(|at| success.is_none_or(|success| *at > success))
            .collect();
        if let Some(latest) = failures.iter().max() {
            let count = u32::try_from(failures.len()).unwrap_or(u32::MAX);
            self.failures = self.failures.saturating_add(count);
            let latest = later(*latest, ROUNDED_OFF).min(now);
            self.last_failure = Some(self.last_failure.map_or(latest, |before| before.max(latest)));
        }
    }

    /// Takes in that a pod of this index failed: the next pod of the index carries the count on.
    pub(super) fn count_index(&mut self, index: u32, pod: &Pod, ignored: bool, now: Timestamp) {
        let before = |key| annotation(pod, key).unwrap_or(0);
        let (failures, ignores) = (before(FAILURES), before(IGNORED));
        let next = IndexFailures {
            failures: failures.saturating_add(u32::from(!ignored)),
            ignored: ignores.saturating_add(u32::from(ignored)),
            last: later(finish_time(pod), ROUNDED_OFF).min(now),
        };
        let held = self.indexes.entry(index).or_insert(next);
        if (next.failures, next.last) > (held.failures, held.last) {
            *held = next;
        }
    }

    /// Until when no pod may be made, if there is such a time.
    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-backoff-failure-policy>
    pub(super) fn holds_until(&self, rules: &Rules) -> Option<Timestamp> {
        Some(later(self.last_failure?, delay(self.failures, rules)?))
    }

    /// Until when no pod of this index may be made.
    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#backoff-limit-per-index>
    pub(super) fn index_holds_until(&self, index: u32, rules: &Rules) -> Option<Timestamp> {
        let held = self.indexes.get(&index)?;
        Some(later(held.last, delay(held.failures.saturating_add(held.ignored), rules)?))
    }
}

fn delay(failures: u32, rules: &Rules) -> Option<Duration> {
    let doublings = failures.checked_sub(1)?;
    let delay = rules.backoff_first.saturating_mul(2_u32.saturating_pow(doublings));
    Some(delay.min(rules.backoff_max))
}

/// `index:failures:ignored:second`, separated by commas.
fn write_indexes(indexes: &BTreeMap<u32, IndexFailures>) -> String {
    let entries: Vec<String> = indexes
        .iter()
        .map(|(index, held)| {
            let second = held.last.as_second();
            format!("{index}:{}:{}:{second}", held.failures, held.ignored)
        })
        .collect();
    entries.join(",")
}

/// What cannot be read is as if it had not been.
fn read_indexes(text: &str) -> BTreeMap<u32, IndexFailures> {
    let entry = |entry: &str| {
        let mut parts = entry.split(':');
        let mut count = || parts.next()?.parse::<u32>().ok();
        let (index, failures, ignored) = (count()?, count()?, count()?);
        let last = Timestamp::from_second(parts.next()?.parse().ok()?).ok()?;
        Some((index, IndexFailures { failures, ignored, last }))
    };
    text.split(',').filter_map(entry).collect()
}

/// When a pod ended: its last container's end; else when it stopped being ready; else when it was
/// deleted; else when it was made.
fn finish_time(pod: &Pod) -> Timestamp {
    let containers = api::pod::containers(pod).len();
    let ended = api::pod::container_statuses(pod)
        .iter()
        .filter(|s| s.state.as_ref().is_some_and(|state| state.terminated.is_some()))
        .count();
    let all_ended = containers > 0 && ended == containers;
    let not_ready = || {
        api::pod::condition(pod, "Ready")
            .filter(|ready| ready.status == "False")
            .and_then(|ready| ready.last_transition_time.as_ref().map(|t| t.0))
    };
    let deleted = || {
        let at = pod.metadata.deletion_timestamp.as_ref()?.0;
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
        at.checked_sub(SignedDuration::from_secs(grace)).ok()
    };
    api::pod::finished_at(pod)
        .filter(|_| all_ended)
        .or_else(not_ready)
        .or_else(deleted)
        .or_else(|| pod.metadata.creation_timestamp.as_ref().map(|t| t.0))
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// `delay` after `at`, or the end of time.
pub(super) fn later(at: Timestamp, delay: Duration) -> Timestamp {
    SignedDuration::try_from(delay)
        .ok()
        .and_then(|delay| at.checked_add(delay).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::testing::{at, failed, succeeded};

    #[test]
    fn case_30_delays_are_10_20_40_80_160_320_600_600_seconds_and_a_success_resets_them() {
        let (mut ledger, rules, mut delays) = (Ledger::default(), Rules::default(), Vec::new());
        for n in 0..8 {
            let end = at(1000 * n);
            ledger.count(&[], &[&failed("p", end)], end);
            delays.push(ledger.holds_until(&rules).unwrap().as_second() - end.as_second());
        }
        assert_eq!(delays, [10, 20, 40, 80, 160, 320, 600, 600]);
        ledger.count(&[&succeeded("p", at(9000))], &[], at(9000));
        assert_eq!(ledger.holds_until(&rules), None);
    }

    #[test]
    fn case_30_a_failure_after_a_simultaneous_success_leaves_a_count_of_one() {
        let mut ledger = Ledger { failures: 5, ..Ledger::default() };
        let failures = [failed("a", at(10)), failed("b", at(11)), failed("c", at(12))];
        let failures: Vec<&Pod> = failures.iter().collect();
        ledger.count(&[&succeeded("d", at(11))], &failures, at(20));
        assert_eq!(ledger.failures, 1);
    }

    #[test]
    fn the_ledger_is_read_back_as_it_was_written() {
        let mut job = Job::default();
        let held = IndexFailures { failures: 1, ignored: 2, last: at(9) };
        let indexes = [(3, held), (7, held)].into();
        let complete = ["a".to_owned(), "b".to_owned()].into();
        let ledger =
            Ledger { pods_created: 7, failures: 2, last_failure: Some(at(12)), indexes, complete };
        ledger.write(&mut job);
        assert_eq!(Ledger::of(&job), ledger);
        Ledger::default().write(&mut job);
        assert_eq!(Ledger::of(&job), Ledger::default());
    }
}

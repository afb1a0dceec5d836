//! Which containers run again, and when.
//!
//! Owns: the restart policy, the restart back-off, and how the back-off is remembered.
//! Must not know: what runs now.
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-restarts>

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerRestartRule, ContainerStateTerminated, Pod};
use serde::{Deserialize, Serialize};

use super::timer::later;
use super::{Backoff, Ledger, Rules};
use crate::api::pod::RestartPolicy;

/// The annotation that holds the [`Ledger`].
const BACKOFF_ANNOTATION: &str = "kiln/restart-backoff";

/// Whether a container that ended like this runs again: the first of its own rules that is met says so, else
/// its policy does.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#individual-container-restart-policy-and-rules>
pub(super) fn restarts(
    container: &Container,
    policy: RestartPolicy,
    end: &ContainerStateTerminated,
) -> bool {
    let rules = container.restart_policy_rules.iter().flatten();
    if rules.into_iter().any(|rule| rule.action == "Restart" && is_met(rule, end.exit_code)) {
        return true;
    }
    match policy {
        RestartPolicy::Always => true,
        RestartPolicy::OnFailure => end.exit_code != 0,
        RestartPolicy::Never => false,
    }
}

fn is_met(rule: &ContainerRestartRule, code: i32) -> bool {
    rule.exit_codes.as_ref().is_some_and(|codes| {
        let named = codes.values.iter().flatten().any(|value| *value == code);
        match codes.operator.as_str() {
            "In" => named,
            "NotIn" => !named,
            _ => false,
        }
    })
}

/// How the annotation spells a [`Backoff`].
#[derive(Serialize, Deserialize)]
struct Entry {
    #[serde(rename = "delayMs")]
    delay_ms: u64,
    at: Timestamp,
}

impl Ledger {
    /// What the pod remembers; nothing, where that cannot be read.
    #[must_use]
    pub fn of(pod: &Pod) -> Self {
        let text = pod.metadata.annotations.as_ref().and_then(|all| all.get(BACKOFF_ANNOTATION));
        let entries: BTreeMap<String, Entry> =
            text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let restarts = entries.into_iter().map(|(container, entry)| {
            let delay = Duration::from_millis(entry.delay_ms);
            (container, Backoff { delay, advanced_at: entry.at })
        });
        Self { restarts: restarts.collect() }
    }

    /// Makes the pod remember this; an empty ledger leaves no annotation.
    pub fn write(&self, pod: &mut Pod) {
        if self.restarts.is_empty() {
            if let Some(annotations) = &mut pod.metadata.annotations {
                annotations.remove(BACKOFF_ANNOTATION);
            }
            return;
        }
        let entries: BTreeMap<&str, Entry> = self
            .restarts
            .iter()
            .map(|(container, backoff)| {
                let delay_ms = u64::try_from(backoff.delay.as_millis()).unwrap_or(u64::MAX);
                (container.as_str(), Entry { delay_ms, at: backoff.advanced_at })
            })
            .collect();
        let text = serde_json::to_string(&entries).expect("a map of numbers and times is JSON");
        let annotations = pod.metadata.annotations.get_or_insert_default();
        annotations.insert(BACKOFF_ANNOTATION.to_owned(), text);
    }

    /// How long a container that finished then has to wait for its restart. The first restart is
    /// immediate, and so is the first one after a long run.
    pub(super) fn delay(&self, container: &str, finished: Timestamp, rules: &Rules) -> Duration {
        self.current(container, finished, rules).map_or(Duration::ZERO, |backoff| backoff.delay)
    }

    /// Notes that the container is restarted now: the next restart waits longer.
    pub(super) fn advance(
        &mut self,
        container: &str,
        finished: Timestamp,
        rules: &Rules,
        now: Timestamp,
    ) {
        let first = rules.restart_backoff_first.min(rules.restart_backoff_max);
        let delay = self.current(container, finished, rules).map_or(first, |backoff| {
            backoff.delay.saturating_mul(2).min(rules.restart_backoff_max)
        });
        self.restarts.insert(container.to_owned(), Backoff { delay, advanced_at: now });
    }

    /// The back-off in force, unless the container ran for so long since that it starts over.
    fn current(&self, container: &str, finished: Timestamp, rules: &Rules) -> Option<Backoff> {
        let backoff = self.restarts.get(container).copied()?;
        let forgotten_at = later(backoff.advanced_at, rules.restart_backoff_max.saturating_mul(2));
        (finished <= forgotten_at).then_some(backoff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_rule_that_is_met_is_above_the_policy() {
        let container: Container = serde_json::from_value(serde_json::json!({
            "name": "a", "restartPolicy": "Never", "restartPolicyRules": [
                {"action": "Restart", "exitCodes": {"operator": "In", "values": [3, 42]}},
                {"action": "Restart", "exitCodes": {"operator": "NotIn", "values": [0, 1, 2]}},
            ],
        }))
        .unwrap();
        let plain = Container::default();
        let ended = |exit_code| ContainerStateTerminated { exit_code, ..Default::default() };
        for (code, expected) in [(0, false), (1, false), (3, true), (42, true), (137, true)] {
            let end = ended(code);
            assert_eq!(restarts(&container, RestartPolicy::Never, &end), expected, "{code}");
            assert!(restarts(&container, RestartPolicy::Always, &end));
            assert_eq!(restarts(&plain, RestartPolicy::OnFailure, &end), code != 0);
        }
    }

    #[test]
    fn restarts_wait_0_10_20_40_80_160_300_and_300_seconds() {
        let (rules, mut ledger, mut now) = (Rules::default(), Ledger::default(), at(0));
        let delays: Vec<u64> = std::iter::repeat_with(|| {
            let delay = ledger.delay("main", now, &rules);
            let finished = now;
            now = later(now, delay);
            ledger.advance("main", finished, &rules, now);
            delay.as_secs()
        })
        .take(8)
        .collect();
        assert_eq!(delays, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn a_container_that_ran_for_twice_the_maximum_starts_over() {
        let rules = Rules::default();
        let backoff = Backoff { delay: Duration::from_secs(160), advanced_at: at(1000) };
        let mut ledger = Ledger { restarts: [("main".to_owned(), backoff)].into() };
        assert_eq!(ledger.delay("main", at(1600), &rules), Duration::from_secs(160));
        assert_eq!(ledger.delay("main", at(1601), &rules), Duration::ZERO);

        ledger.advance("main", at(1601), &rules, at(1601));
        assert_eq!(ledger.restarts["main"].delay, Duration::from_secs(10));
    }

    #[test]
    fn the_ledger_is_read_back_as_it_was_written() {
        let mut pod = Pod::default();
        let backoff = Backoff { delay: Duration::from_millis(1500), advanced_at: at(7) };
        let ledger = Ledger { restarts: [("main".to_owned(), backoff)].into() };
        ledger.write(&mut pod);
        assert_eq!(Ledger::of(&pod), ledger);

        Ledger::default().write(&mut pod);
        assert_eq!(pod.metadata.annotations, Some(BTreeMap::new()));
    }

    #[test]
    fn a_ledger_that_cannot_be_read_is_empty() {
        let mut pod = Pod::default();
        let annotations = [(BACKOFF_ANNOTATION.to_owned(), "{\"main\":".to_owned())];
        pod.metadata.annotations = Some(annotations.into());
        assert_eq!(Ledger::of(&pod), Ledger::default());
    }
}

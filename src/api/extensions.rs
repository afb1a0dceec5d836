//! What a Job may say to kiln that it cannot say to Kubernetes: annotations under `kiln/`.
//!
//! Owns: their names, how their values are written, and what they mean. Must not know: what the engine
//! itself remembers under the same prefix. `docs/extensions.md` tells users of them.
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/>

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::object::{ENGINE_PREFIX, Object};
use super::validation::names;

/// How long a failed Job is kept, in seconds, instead of `ttlSecondsAfterFinished`.
pub const TTL_AFTER_FAILED: &str = "kiln/ttl-seconds-after-failed";
/// How long a pod may be without its image before its Job fails.
pub const PULL_DEADLINE: &str = "kiln/pull-deadline";

/// The Jobs of its namespace that have to be complete before a Job begins.
pub const AFTER: &str = "kiln/after";
/// The containers that decide how a pod ends; the others stop when these have ended.
pub const COMPLETION_CONTAINERS: &str = "kiln/completion-containers";
/// The Job that this one runs once more.
pub const RERUN_OF: &str = "kiln/rerun-of";
/// The Job that last ran this one once more.
pub const RERUN_AS: &str = "kiln/rerun-as";

/// The annotations under `kiln/` that are the user's.
pub const ALL: [&str; 6] =
    [TTL_AFTER_FAILED, PULL_DEADLINE, AFTER, COMPLETION_CONTAINERS, RERUN_OF, RERUN_AS];

/// No Job waits for more than these.
const AFTER_MAX: usize = 100;

/// The value of [`PULL_DEADLINE`] that waits for ever.
const NEVER: &str = "never";

/// Whether only the engine may say this annotation.
pub fn is_engines(key: &str) -> bool {
    key.starts_with(ENGINE_PREFIX) && !ALL.contains(&key)
}

/// How long the Job is kept once it has failed, if it says so.
pub fn ttl_after_failed(job: &Job) -> Option<Duration> {
    let seconds = annotation(job, TTL_AFTER_FAILED)?.parse::<u32>().ok()?;
    Some(Duration::from_secs(seconds.into()))
}

/// How long a pod of the Job may be without its image; `None`: for ever.
pub fn pull_deadline(job: &Job, otherwise: Option<Duration>) -> Option<Duration> {
    match annotation(job, PULL_DEADLINE) {
        None => otherwise,
        Some(NEVER) => None,
        Some(text) => duration(text).or(otherwise),
    }
}

/// The Jobs that have to be complete before this one begins, each once.
pub fn after(job: &Job) -> Vec<&str> {
    let mut all: Vec<&str> = annotation(job, AFTER).map(listed).unwrap_or_default();
    all.sort_unstable();
    all.dedup();
    all
}

/// The containers that decide how a pod ends; `None`: all of them do.
pub fn completion_containers(meta: &ObjectMeta) -> Option<Vec<&str>> {
    let text = meta.annotations.as_ref()?.get(COMPLETION_CONTAINERS)?;
    Some(listed(text)).filter(|names| !names.is_empty())
}

/// Whether the container of this name takes part in deciding how its pod ends.
pub fn decides(meta: &ObjectMeta, container: &str) -> bool {
    completion_containers(meta).is_none_or(|names| names.contains(&container))
}

/// `a, b`
pub fn listed(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// What is wrong with the value of an annotation that is the user's.
pub fn refusal(key: &str, value: &str) -> Option<&'static str> {
    match key {
        TTL_AFTER_FAILED => {
            let fits = value.parse::<u32>().is_ok_and(|seconds| i32::try_from(seconds).is_ok());
            (!fits).then_some("must be a number of seconds, from 0 to 2147483647")
        }
        PULL_DEADLINE => (value != NEVER && duration(value).is_none())
            .then_some("must be a duration such as 90s, 5m or 1h30m, or \"never\""),
        AFTER => {
            let names = listed(value);
            let fits = (1..=AFTER_MAX).contains(&names.len()) && names.iter().all(is_name);
            (!fits).then_some("must be the names of 1 to 100 Jobs, separated by commas")
        }
        COMPLETION_CONTAINERS => listed(value)
            .is_empty()
            .then_some("must be the names of containers, separated by commas"),
        RERUN_OF | RERUN_AS => (!is_name(&value)).then_some("must be the name of a Job"),
        _ => None,
    }
}

fn is_name(name: &&str) -> bool {
    names::subdomain(name).is_empty()
}

/// `90`, `90s`, `5m`, `1h30m`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let unit = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(unit);
        let seconds = match after.as_bytes().first()? {
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        total += Duration::from_secs(u64::from(number.parse::<u32>().ok()?) * seconds);
        rest = &after[1..];
    }
    (!text.is_empty()).then_some(total)
}

fn annotation<'a>(job: &'a Job, key: &str) -> Option<&'a str> {
    job.meta().annotations.as_ref()?.get(key).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(key: &str, value: &str) -> Job {
        let mut job = Job::default();
        job.metadata.annotations = Some([(key.to_owned(), value.to_owned())].into());
        job
    }

    #[test]
    fn a_deadline_for_pulls_is_a_duration_or_never() {
        let other = Some(Duration::from_secs(7));
        for (text, seconds) in [
            ("90", Some(90)),
            ("90s", Some(90)),
            ("5m", Some(300)),
            ("1h30m", Some(5400)),
            ("0", Some(0)),
            ("never", None),
        ] {
            let found = pull_deadline(&job(PULL_DEADLINE, text), other);
            assert_eq!(found, seconds.map(Duration::from_secs), "{text}");
            assert_eq!(refusal(PULL_DEADLINE, text), None);
        }
        for text in ["", "m", "5", "-1s", "5d", "1.5h", "5m ", "99999999999"] {
            assert_eq!(refusal(PULL_DEADLINE, text).is_none(), text == "5", "{text}");
        }
        assert_eq!(pull_deadline(&Job::default(), other), other);
        assert_eq!(pull_deadline(&job(PULL_DEADLINE, "soon"), other), other);
    }

    #[test]
    fn names_are_separated_by_commas() {
        assert_eq!(after(&job(AFTER, "b, a,b,")), ["a", "b"]);
        assert_eq!(after(&Job::default()), [""; 0]);
        for (value, fits) in
            [("a", true), ("a, b.c", true), ("", false), (",", false), ("A", false)]
        {
            assert_eq!(refusal(AFTER, value).is_none(), fits, "{value}");
        }
        assert!(refusal(AFTER, &"a,".repeat(101)).is_some());
        assert!(refusal(COMPLETION_CONTAINERS, " ").is_some());
        assert!(refusal(RERUN_OF, "a b").is_some() && refusal(RERUN_AS, "a").is_none());
        let meta = job(COMPLETION_CONTAINERS, "main").metadata;
        assert!(decides(&meta, "main") && !decides(&meta, "helper"));
        assert!(decides(&ObjectMeta::default(), "helper"));
    }

    #[test]
    fn only_what_is_documented_is_the_users() {
        assert!(
            !is_engines(TTL_AFTER_FAILED) && !is_engines("a") && is_engines("kiln/pods-created")
        );
        assert_eq!(refusal(TTL_AFTER_FAILED, "60"), None);
        assert!(refusal(TTL_AFTER_FAILED, "1m").is_some());
        let kept = ttl_after_failed(&job(TTL_AFTER_FAILED, "60"));
        assert_eq!(kept, Some(Duration::from_secs(60)));
    }
}

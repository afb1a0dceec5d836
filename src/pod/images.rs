//! Whether a container has its image.
//!
//! Owns: the pull policy and the back-off of pulls. Must not know: registries.
//! <https://kubernetes.io/docs/concepts/containers/images/>

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container as Wanted;

use super::timer::{backoff, later};
use super::{Image, ImageError, ImageReason, Observed, Operation, PullPolicy, Rules};
use crate::api::defaults::default_pull_policy;

/// For how long a pull that failed shows as such, before it shows as waiting for the next one.
const SHOWN_AS_FAILED: Duration = Duration::from_secs(1);

/// How far a container is with its image.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fetch<'a> {
    /// It is there, under this digest reference.
    Present { id: &'a str },
    /// To be asked for now, or asked for already. `failed`: what came of it before.
    Pulling { begin: bool, failed: Option<&'a ImageError> },
    /// The last try has just failed; look again at `until`.
    Failed { error: &'a ImageError, until: Option<Timestamp> },
    /// The next try is put off.
    BackOff { error: &'a ImageError, until: Timestamp },
}

/// <https://kubernetes.io/docs/concepts/containers/images/#image-pull-policy>
pub(super) fn policy(container: &Wanted) -> PullPolicy {
    let image = container.image.as_deref().unwrap_or_default();
    match container.image_pull_policy.as_deref().unwrap_or_else(|| default_pull_policy(image)) {
        "Never" => PullPolicy::Never,
        "IfNotPresent" => PullPolicy::IfNotPresent,
        _ => PullPolicy::Always,
    }
}

/// How far the image is for a container that is about to start.
pub(super) fn fetch<'a>(
    image: &str,
    observed: &'a Observed,
    rules: &Rules,
    now: Timestamp,
) -> Fetch<'a> {
    let known = observed.images.get(image);
    let begin = !observed.in_flight.contains(&Operation::Pull(image.to_owned()));
    match known {
        Some(Image::Present { id, .. }) => Fetch::Present { id },
        None => Fetch::Pulling { begin, failed: None },
        Some(Image::Failed { error, at, failures }) => {
            if !begin {
                return Fetch::Pulling { begin, failed: Some(error) };
            }
            if error.reason == ImageReason::InvalidImageName {
                return Fetch::Failed { error, until: None };
            }
            let delay = backoff(*failures, rules.pull_backoff_first, rules.pull_backoff_max);
            let shown_until = later(*at, SHOWN_AS_FAILED.min(delay / 2));
            let due = later(*at, delay);
            if now < shown_until {
                Fetch::Failed { error, until: Some(shown_until) }
            } else if now < due {
                Fetch::BackOff { error, until: due }
            } else {
                Fetch::Pulling { begin, failed: Some(error) }
            }
        }
    }
}

/// The reason as a status spells it.
pub(super) fn reason(error: &ImageError) -> &'static str {
    match error.reason {
        ImageReason::ErrImagePull => "ErrImagePull",
        ImageReason::InvalidImageName => "InvalidImageName",
        ImageReason::ErrImageNeverPull => "ErrImageNeverPull",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn failed(reason: ImageReason, failures: u32) -> Observed {
        let error = ImageError { reason, message: "no".to_owned() };
        let image = Image::Failed { error, at: at(0), failures };
        Observed { images: [("x".to_owned(), image)].into(), ..Observed::default() }
    }

    #[test]
    fn without_a_policy_the_tag_decides() {
        let container = |policy: Option<&str>, image: &str| Wanted {
            image: Some(image.to_owned()),
            image_pull_policy: policy.map(str::to_owned),
            ..Wanted::default()
        };
        assert_eq!(policy(&container(None, "busybox")), PullPolicy::Always);
        assert_eq!(policy(&container(None, "busybox:1")), PullPolicy::IfNotPresent);
        assert_eq!(policy(&container(Some("Never"), "busybox")), PullPolicy::Never);
    }

    #[test]
    fn failed_pulls_are_tried_again_after_10_20_40_80_160_and_300_seconds() {
        let rules = Rules::default();
        for (failures, delay) in [(1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 300), (7, 300)]
        {
            let observed = failed(ImageReason::ErrImagePull, failures);
            let fetch = |second| fetch("x", &observed, &rules, at(second));
            assert!(matches!(fetch(0), Fetch::Failed { .. }));
            assert!(matches!(fetch(delay - 1), Fetch::BackOff { until, .. } if until == at(delay)));
            assert!(matches!(fetch(delay), Fetch::Pulling { begin: true, failed: Some(_) }));
        }
    }

    #[test]
    fn a_name_that_is_no_reference_is_never_tried_again() {
        let observed = failed(ImageReason::InvalidImageName, 1);
        let fetch = fetch("x", &observed, &Rules::default(), at(1_000_000));
        assert!(matches!(fetch, Fetch::Failed { until: None, .. }));
    }
}

//! How an object says that it is to go.
//!
//! Owns: what a request to delete writes. Must not know: who asks, and what becomes of the containers.
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination>

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::object::Object;
use super::pod::grace_period;

/// Holds a deleted Job until its pods are gone.
/// <https://kubernetes.io/docs/concepts/architecture/garbage-collection/#foreground-deletion>
pub const FOREGROUND_FINALIZER: &str = "foregroundDeletion";

/// Marks a pod that is not yet counted in its Job's status.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-tracking-with-finalizers>
pub const TRACKING_FINALIZER: &str = "batch.kubernetes.io/job-tracking";

/// The shortest grace of a pod, in seconds, as the kubelet has one. Zero is what the engine writes when
/// nothing of the pod is left on the host, and would let go of an object whose containers still run.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination-forced>
const GRACE_MIN: i64 = 1;

/// Marks a pod as deleted: its containers have this long to end; `None`: as long as the pod says.
/// Asked for again, the shorter grace holds.
pub fn mark_pod(pod: &mut Pod, grace: Option<Duration>, now: Timestamp) {
    let grace = grace.unwrap_or_else(|| grace_period(pod));
    let grace = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX).max(GRACE_MIN);
    if pod.is_deleting() && pod.metadata.deletion_grace_period_seconds.is_none_or(|g| g <= grace) {
        return;
    }
    let end = now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(Timestamp::MAX);
    let asked = pod.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    pod.metadata.deletion_timestamp = Some(whole(asked.map_or(end, |before| before.min(end))));
    pod.metadata.deletion_grace_period_seconds = Some(grace);
}

/// Marks a Job as deleted; what else holds it is said by its finalizers.
pub fn mark_job(job: &mut Job, now: Timestamp) {
    if job.is_deleting() {
        return;
    }
    job.metadata.deletion_timestamp = Some(whole(now));
    job.metadata.deletion_grace_period_seconds = Some(0);
    job.metadata.generation = job.metadata.generation.map(|generation| generation + 1);
}

/// The same for a CronJob.
pub fn mark_cron(cron: &mut CronJob, now: Timestamp) {
    if cron.is_deleting() {
        return;
    }
    cron.metadata.deletion_timestamp = Some(whole(now));
    cron.metadata.deletion_grace_period_seconds = Some(0);
    cron.metadata.generation = cron.metadata.generation.map(|generation| generation + 1);
}

/// A time as objects carry it, in whole seconds.
fn whole(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(pod: &Pod) -> (i64, i64) {
        let meta = &pod.metadata;
        let at = meta.deletion_timestamp.as_ref().unwrap().0.as_second();
        (at, meta.deletion_grace_period_seconds.unwrap())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_grace_can_be_shortened_and_not_extended() {
        let mut pod = Pod::default();
        mark_pod(&mut pod, None, at(100));
        assert_eq!(marked(&pod), (130, 30));
        mark_pod(&mut pod, None, at(110));
        assert_eq!(marked(&pod), (130, 30));
        mark_pod(&mut pod, Some(Duration::from_secs(5)), at(110));
        assert_eq!(marked(&pod), (115, 5));
        mark_pod(&mut pod, Some(Duration::from_secs(60)), at(111));
        assert_eq!(marked(&pod), (115, 5));
    }

    #[test]
    fn a_pod_without_grace_is_held_until_its_containers_are_gone() {
        for (own, asked) in [(0, None), (30, Some(Duration::ZERO))] {
            let mut pod = Pod::default();
            pod.spec.get_or_insert_default().termination_grace_period_seconds = Some(own);
            mark_pod(&mut pod, asked, at(100));
            assert_eq!((marked(&pod), pod.is_released()), ((101, 1), false));
        }
    }

    #[test]
    fn what_the_engine_let_go_stays_let_go() {
        let mut pod = Pod::default();
        mark_pod(&mut pod, None, at(100));
        pod.metadata.deletion_grace_period_seconds = Some(0);
        mark_pod(&mut pod, Some(Duration::ZERO), at(101));
        assert!(pod.is_released());
    }
}

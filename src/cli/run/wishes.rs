//! What `run` asks of the store.
//!
//! Owns: admitting manifests, and writing that Jobs are to be there or to go. Must not know: what is
//! made of these wishes.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::sources::Source;
use crate::api::object::{Key, Object};
use crate::api::{defaults, manifest, validation};
use crate::store::{self, Store};

/// Holds a deleted Job until its pods are gone.
/// <https://kubernetes.io/docs/concepts/architecture/garbage-collection/#foreground-deletion>
const FOREGROUND_FINALIZER: &str = "foregroundDeletion";
/// The shortest grace that a pod can be given: zero says that nothing of it is left.
const GRACE_MIN: i64 = 1;

/// Reads, completes and checks all Jobs of all manifests.
///
/// # Errors
/// All that is wrong in all of them, a message each.
pub(super) fn admit(sources: &[Source], now: Timestamp) -> Result<Vec<Job>, Vec<String>> {
    let (mut jobs, mut errors) = (Vec::new(), Vec::new());
    let mut keys: BTreeSet<Key> = BTreeSet::new();
    for (source, bytes) in sources {
        match manifest::read(source, bytes) {
            Err(refusals) => errors.extend(refusals.iter().map(ToString::to_string)),
            Ok(read) => {
                for job in read {
                    match admit_one(job, now) {
                        Ok(job) if !keys.insert(job.key()) => errors
                            .push(format!("{source}: the Job {:?} is defined twice", job.name())),
                        Ok(job) => jobs.push(job),
                        Err(all) => errors.extend(all.iter().map(|e| format!("{source}: {e}"))),
                    }
                }
            }
        }
    }
    if errors.is_empty() { Ok(jobs) } else { Err(errors) }
}

fn admit_one(mut job: Job, now: Timestamp) -> Result<Job, Vec<String>> {
    let uid = uid().map_err(|e| vec![format!("cannot make a uid: {e}")])?;
    defaults::apply(&mut job, &uid);
    let errors = validation::validate(&job);
    if !errors.is_empty() {
        return Err(errors.iter().map(ToString::to_string).collect());
    }
    job.metadata.uid = Some(uid);
    job.metadata.generation = Some(1);
    job.metadata.creation_timestamp = Some(whole(now));
    job.status = None;
    Ok(job)
}

/// A random UUID, of the kernel's making.
pub(super) fn uid() -> std::io::Result<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    Ok(text.trim_end().to_owned())
}

/// Writes all Jobs, or none.
pub(super) async fn create(store: &Store, jobs: &[Job]) -> Result<(), store::Error> {
    let mut txn = store.txn();
    for job in jobs {
        txn.create(job);
    }
    txn.commit().await.map(drop)
}

/// Asks for a Job to go after its pods, which get their grace period.
pub(super) async fn delete(store: &Store, key: &Key, now: Timestamp) -> Result<(), store::Error> {
    loop {
        let Some(mut job) = store.get::<Job>(&key.namespace, &key.name).await? else {
            return Ok(());
        };
        if job.is_deleting() {
            return Ok(());
        }
        job.metadata.deletion_timestamp = Some(whole(now));
        job.metadata.deletion_grace_period_seconds = Some(0);
        let finalizers = job.metadata.finalizers.get_or_insert_default();
        finalizers.push(FOREGROUND_FINALIZER.to_owned());
        let mut txn = store.txn();
        txn.update(&job);
        match txn.commit().await {
            Err(error) if error.is_race() => {}
            done => return done.map(drop),
        }
    }
}

/// Asks for a pod to go as fast as it can.
pub(super) async fn kill(store: &Store, pod: &Pod, now: Timestamp) -> Result<(), store::Error> {
    loop {
        let Some(mut pod) = store
            .get::<Pod>(pod.namespace(), pod.name())
            .await?
            .filter(|known| known.uid() == pod.uid())
        else {
            return Ok(());
        };
        let grace = pod.metadata.deletion_grace_period_seconds;
        if pod.is_deleting() && grace.is_some_and(|grace| grace <= GRACE_MIN) {
            return Ok(());
        }
        let at = now.checked_add(SignedDuration::from_secs(GRACE_MIN)).unwrap_or(now);
        pod.metadata.deletion_timestamp = Some(whole(at));
        pod.metadata.deletion_grace_period_seconds = Some(GRACE_MIN);
        let mut txn = store.txn();
        txn.update(&pod);
        match txn.commit().await {
            Err(error) if error.is_race() => {}
            done => return done.map(drop),
        }
    }
}

/// Objects carry whole seconds.
fn whole(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = include_str!("../../../manifests/batch-job.yaml");

    fn source(name: &str, text: &str) -> Source {
        (name.to_owned(), text.as_bytes().to_vec())
    }

    #[test]
    fn an_admitted_job_has_what_a_server_sets() {
        let job = admit(&[source("a.yaml", JOB)], Timestamp::UNIX_EPOCH).unwrap().remove(0);
        assert_eq!(job.uid().len(), 36);
        assert_eq!(job.metadata.generation, Some(1));
        assert!(job.metadata.creation_timestamp.is_some());
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let typo = JOB.replace("restartPolicy:", "restartPolice:");
        let invalid = JOB.replace("OnFailure", "Always");
        let sources = [
            source("a.yaml", JOB),
            source("b.yaml", JOB),
            source("c.yaml", &typo),
            source("d.yaml", &invalid),
        ];
        let errors = admit(&sources, Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(errors[0], "b.yaml: the Job \"batch-job\" is defined twice");
        assert!(
            errors[1].starts_with("c.yaml:11: spec.template.spec.restartPolice: "),
            "{errors:?}"
        );
        assert!(errors[2].starts_with("d.yaml: spec.template.spec.restartPolicy: "), "{errors:?}");
        assert_eq!(errors.len(), 3);
    }
}

//! Jobs on their way into the store, and out of it.
//!
//! Owns: admission, and the three ways to delete. Must not know: files, or who asks.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use rustix::rand::{GetRandomFlags, getrandom};
use serde_json::Value;

use crate::api::deletion::{
    FOREGROUND_FINALIZER, TRACKING_FINALIZER, mark_cron, mark_job, mark_pod,
};
use crate::api::extensions::is_engines;
use crate::api::manifest::Refusal;
use crate::api::object::{Key, Object};
use crate::api::pod::{is_controlled_by, is_terminal};
use crate::api::validation::{FieldError, summary, validate};
use crate::api::{defaults, names};
use crate::store::{self, Store};

/// How often a name is generated before a name that is taken is told.
/// <https://kubernetes.io/docs/reference/using-api/api-concepts/#generated-values>
const NAMES_TRIED_MAX: u32 = 8;

/// Why a wish was refused, in the words of Kubernetes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}", summary(.name, .errors))]
    Invalid { name: String, errors: Vec<FieldError> },
    #[error("{}", lines(.refusals))]
    Refused { refusals: Vec<Refusal> },
    #[error("jobs.batch {name:?} already exists")]
    AlreadyExists { name: String },
    #[error("jobs.batch {name:?} not found")]
    NotFound { name: String },
    #[error("cannot get random bytes for a uid")]
    Random { source: rustix::io::Errno },
    #[error("cannot {attempt}")]
    Store { attempt: &'static str, source: store::Error },
}

fn lines(refusals: &[Refusal]) -> String {
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What chance decides of a new object: its uid, and the end of a name that is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed {
    pub(super) uid: [u8; 16],
    pub(super) suffix: [u8; names::SUFFIX_LENGTH],
}

impl Seed {
    /// # Errors
    /// [`Error::Random`] if the kernel has no random bytes.
    pub fn random() -> Result<Self, Error> {
        // The kernel gives up to 256 bytes at once, or none.
        let fill = |bytes: &mut [u8]| {
            let given = getrandom(bytes, GetRandomFlags::empty());
            given.map(drop).map_err(|source| Error::Random { source })
        };
        let mut seed = Self::fixed(0);
        fill(&mut seed.uid)?;
        fill(&mut seed.suffix)?;
        Ok(seed)
    }

    /// One that is always the same, for tests and simulation.
    pub fn fixed(byte: u8) -> Self {
        Self { uid: [byte; 16], suffix: [byte; names::SUFFIX_LENGTH] }
    }
}

/// What becomes of a Job's pods when the Job is deleted.
/// <https://kubernetes.io/docs/concepts/architecture/garbage-collection/#cascading-deletion>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// The Job goes at once, its pods after it.
    Background,
    /// The Job goes after its pods.
    Foreground,
    /// The pods stay, and belong to nobody.
    Orphan,
}

/// The Job as it is to be stored: with a name, a uid and its defaults, without what only the server
/// and the engine may say; or all that is wrong with it.
///
/// # Errors
/// [`Error::Invalid`]
pub fn admit(job: Job, seed: &Seed, now: Timestamp) -> Result<Job, Error> {
    let mut job = Job { metadata: wished(job.metadata, seed, now), spec: job.spec, status: None };
    let uid = job.uid().to_owned();
    defaults::apply(&mut job, &uid);
    let errors = validate(&job);
    if errors.is_empty() {
        return Ok(job);
    }
    Err(Error::Invalid { name: job.name().to_owned(), errors })
}

/// What a user may wish of metadata; the rest is the server's.
pub(super) fn wished(meta: ObjectMeta, seed: &Seed, now: Timestamp) -> ObjectMeta {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let generate_name = given(meta.generate_name);
    let generated = || generate_name.as_deref().map(|base| names::generated(base, seed.suffix));
    let annotations = meta.annotations.map(|mut annotations| {
        annotations.retain(|key, _| !is_engines(key));
        annotations
    });
    ObjectMeta {
        name: given(meta.name).or_else(generated),
        generate_name,
        namespace: given(meta.namespace),
        labels: meta.labels,
        annotations,
        uid: Some(names::uuid(seed.uid)),
        generation: Some(1),
        creation_timestamp: Some(Time(Timestamp::from_second(now.as_second()).unwrap_or(now))),
        ..ObjectMeta::default()
    }
}

/// Admits a Job and stores it. A generated name that is taken is generated again.
///
/// # Errors
/// [`Error::Invalid`], [`Error::AlreadyExists`], or the store's.
pub async fn create_job(store: &Store, job: Job, now: Timestamp) -> Result<Job, Error> {
    let named = job.metadata.name.as_deref().is_some_and(|name| !name.is_empty());
    let mut tries = if named { 1 } else { NAMES_TRIED_MAX };
    loop {
        tries -= 1;
        let admitted = admit(job.clone(), &Seed::random()?, now)?;
        match create_jobs(store, vec![admitted]).await {
            Err(Error::AlreadyExists { .. }) if tries > 0 => {}
            created => return created.map(|mut jobs| jobs.remove(0)),
        }
    }
}

/// Stores Jobs that were admitted: all of them, or none.
///
/// # Errors
/// [`Error::AlreadyExists`], or the store's.
pub async fn create_jobs(store: &Store, mut jobs: Vec<Job>) -> Result<Vec<Job>, Error> {
    let mut txn = store.txn();
    for job in &jobs {
        txn.create(job);
    }
    let written = txn.commit().await;
    let written = match written {
        Ok(written) => written,
        Err(store::Error::AlreadyExists { key }) => {
            let name = key.rsplit('/').next().unwrap_or_default().to_owned();
            return Err(Error::AlreadyExists { name });
        }
        Err(source) => return Err(Error::Store { attempt: "store the Job", source }),
    };
    for (job, revision) in jobs.iter_mut().zip(written.revisions()) {
        job.metadata.resource_version = Some(revision.to_string());
    }
    Ok(jobs)
}

/// Stores other objects that were admitted: all of them, or none.
///
/// # Errors
/// The store's.
pub async fn create_others(store: &Store, others: &[(Key, Value)]) -> Result<(), Error> {
    let mut txn = store.txn();
    for (key, value) in others {
        txn.create_value(key, value);
    }
    let failed = |source| Error::Store { attempt: "store what the Jobs need", source };
    txn.commit().await.map(drop).map_err(failed)
}

/// Asks for a Job to go.
///
/// # Errors
/// [`Error::NotFound`], or the store's.
pub async fn delete_job(
    store: &Store,
    namespace: &str,
    name: &str,
    propagation: Propagation,
    now: Timestamp,
) -> Result<(), Error> {
    let failed = |source| Error::Store { attempt: "delete the Job", source };
    loop {
        let found = store.get::<Job>(namespace, name).await.map_err(failed)?;
        let Some(job) = found else { return Err(Error::NotFound { name: name.to_owned() }) };
        match write_deletion(store, job, propagation, now).await {
            // Whoever was faster got on: it is never both that have to look again.
            Err(store::Error::Conflict { .. }) => {}
            written => return written.map_err(failed),
        }
    }
}

pub(super) async fn write_deletion(
    store: &Store,
    mut job: Job,
    propagation: Propagation,
    now: Timestamp,
) -> Result<(), store::Error> {
    let before = job.clone();
    mark_job(&mut job, now);
    job.remove_finalizer(FOREGROUND_FINALIZER);
    let mut txn = store.txn();
    match propagation {
        Propagation::Background => {}
        Propagation::Foreground => {
            let finalizers = job.metadata.finalizers.get_or_insert_default();
            finalizers.push(FOREGROUND_FINALIZER.to_owned());
            if job == before {
                return Ok(());
            }
        }
        // A pod that is made meanwhile changes the Job, and then nothing of this is written.
        Propagation::Orphan => {
            let (pods, _) = store.list::<Pod>(Some(job.namespace())).await?;
            for mut pod in pods.into_iter().filter(|pod| is_controlled_by(pod, job.uid())) {
                let owners = pod.metadata.owner_references.iter_mut();
                owners.for_each(|owners| owners.retain(|owner| owner.uid != job.uid()));
                pod.remove_finalizer(TRACKING_FINALIZER);
                txn.update(&pod);
            }
        }
    }
    txn.update(&job);
    txn.commit().await.map(drop)
}

/// Asks for a CronJob, as it was read, to go.
///
/// # Errors
/// The store's; it changed meanwhile, for one.
pub async fn write_cron_deletion(
    store: &Store,
    mut cron: CronJob,
    propagation: Propagation,
    now: Timestamp,
) -> Result<(), store::Error> {
    let before = cron.clone();
    mark_cron(&mut cron, now);
    cron.remove_finalizer(FOREGROUND_FINALIZER);
    let mut txn = store.txn();
    match propagation {
        Propagation::Background => {}
        Propagation::Foreground => {
            let finalizers = cron.metadata.finalizers.get_or_insert_default();
            finalizers.push(FOREGROUND_FINALIZER.to_owned());
            if cron == before {
                return Ok(());
            }
        }
        // A Job that is started meanwhile changes the CronJob, and then nothing of this is written.
        Propagation::Orphan => {
            let (jobs, _) = store.list::<Job>(Some(cron.namespace())).await?;
            for mut job in jobs {
                let owners = job.metadata.owner_references.get_or_insert_default();
                let all = owners.len();
                owners.retain(|owner| owner.uid != cron.uid());
                if owners.len() < all {
                    txn.update(&job);
                }
            }
        }
    }
    txn.update(&cron);
    txn.commit().await.map(drop)
}

/// Gives the pods of a Job that is being deleted no more time to end.
///
/// # Errors
/// The store's.
pub async fn kill_pods(store: &Store, job_uid: &str, now: Timestamp) -> Result<(), Error> {
    let failed = |source| Error::Store { attempt: "kill the Job's pods", source };
    let (pods, _) = store.list::<Pod>(None).await.map_err(failed)?;
    for pod in pods.into_iter().filter(|pod| is_controlled_by(pod, job_uid)) {
        kill_pod(store, pod, now).await.map_err(failed)?;
    }
    Ok(())
}

async fn kill_pod(store: &Store, pod: Pod, now: Timestamp) -> Result<(), store::Error> {
    let (namespace, name, uid) =
        (pod.namespace().to_owned(), pod.name().to_owned(), pod.uid().to_owned());
    let mut found = Some(pod);
    while let Some(pod) = found.take().filter(|pod| pod.uid() == uid && !is_terminal(pod)) {
        let mut next = pod.clone();
        mark_pod(&mut next, Some(Duration::ZERO), now);
        if next == pod {
            return Ok(());
        }
        let mut txn = store.txn();
        txn.update(&next);
        match txn.commit().await {
            // Its status was written meanwhile.
            Err(store::Error::Conflict { .. }) => found = store.get(&namespace, &name).await?,
            written => return written.map(drop),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::manifest;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn wish(meta: &str) -> Job {
        let text = format!(
            "{{apiVersion: batch/v1, kind: Job, metadata: {meta}, spec: {{template: {{spec: \
             {{restartPolicy: Never, containers: [{{name: a, image: b}}]}}}}}}}}"
        );
        // What begins with a brace would be read as JSON.
        manifest::read("job.yaml", format!("---\n{text}").as_bytes()).unwrap().remove(0)
    }

    fn pod_of(job: &Job, name: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = Some(name.to_owned());
        pod.metadata.namespace = Some("default".to_owned());
        pod.metadata.uid = Some(format!("uid-{name}"));
        pod.metadata.finalizers = Some(vec![TRACKING_FINALIZER.to_owned()]);
        let owner = k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
            api_version: "batch/v1".to_owned(),
            kind: "Job".to_owned(),
            name: job.name().to_owned(),
            uid: job.uid().to_owned(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        };
        pod.metadata.owner_references = Some(vec![owner]);
        pod
    }

    async fn stored(store: &Store) -> (Job, Pod) {
        let job = create_job(store, wish("{name: pi}"), at(1)).await.unwrap();
        let pod = pod_of(&job, "pi-1");
        let mut txn = store.txn();
        txn.create(&pod);
        txn.commit().await.unwrap();
        (job, pod)
    }

    async fn job(store: &Store) -> Option<Job> {
        store.get("default", "pi").await.unwrap()
    }

    async fn pod(store: &Store) -> Pod {
        store.get("default", "pi-1").await.unwrap().unwrap()
    }

    #[test]
    fn an_admitted_job_has_what_the_server_says_and_nothing_that_only_it_may_say() {
        let mut job = wish("{name: pi, annotations: {kiln/backoff-failures: '9', a: b}}");
        job.status = Some(Default::default());
        job.metadata.deletion_timestamp = Some(Time(at(1)));
        job.metadata.resource_version = Some("7".to_owned());
        let job = admit(job, &Seed::fixed(1), at(60)).unwrap();
        assert_eq!(job.uid(), "01010101-0101-4101-8101-010101010101");
        assert_eq!((job.status.as_ref(), job.is_deleting()), (None, false));
        let meta = &job.metadata;
        assert_eq!((meta.generation, meta.resource_version.as_ref()), (Some(1), None));
        assert_eq!(meta.creation_timestamp, Some(Time(at(60))));
        assert_eq!(meta.annotations.as_ref().unwrap().keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(job.spec.unwrap().backoff_limit, Some(6));
    }

    #[test]
    fn a_name_is_generated_where_there_is_none() {
        let name = |meta: &str| admit(wish(meta), &Seed::fixed(0), at(0)).unwrap().metadata.name;
        assert_eq!(name("{generateName: pi-}").as_deref(), Some("pi-bbbbb"));
        assert_eq!(name("{generateName: pi-, name: own}").as_deref(), Some("own"));
        let error = admit(wish("{}"), &Seed::fixed(0), at(0)).unwrap_err();
        let expected = "The Job \"\" is invalid: metadata.name: Required value: name or \
            generateName is required";
        assert_eq!(error.to_string(), expected);
        assert_ne!(Seed::random().unwrap(), Seed::random().unwrap());
    }

    #[tokio::test]
    async fn a_job_is_stored_once_and_an_invalid_one_is_not() {
        let store = Store::in_memory().unwrap();
        let stored = create_job(&store, wish("{name: pi}"), at(1)).await.unwrap();
        assert_eq!(job(&store).await, Some(stored));
        let again = create_job(&store, wish("{name: pi}"), at(1)).await.unwrap_err();
        assert_eq!(again.to_string(), "jobs.batch \"pi\" already exists");
        let wrong = create_job(&store, wish("{name: Pi}"), at(1)).await.unwrap_err();
        assert!(matches!(wrong, Error::Invalid { .. }), "{wrong}");

        let others = ["a", "pi", "b"]
            .map(|name| admit(wish(&format!("{{name: {name}}}")), &Seed::fixed(0), at(0)).unwrap());
        let refused = create_jobs(&store, others.to_vec()).await.unwrap_err();
        assert!(matches!(refused, Error::AlreadyExists { name } if name == "pi"));
        assert_eq!(store.list::<Job>(None).await.unwrap().0.len(), 1);
    }

    #[tokio::test]
    async fn in_the_background_the_job_goes_at_once() {
        let store = Store::in_memory().unwrap();
        stored(&store).await;
        for propagation in [Propagation::Foreground, Propagation::Background] {
            delete_job(&store, "default", "pi", propagation, at(2)).await.unwrap();
        }
        assert_eq!((job(&store).await, pod(&store).await.is_deleting()), (None, false));
        let again = delete_job(&store, "default", "pi", Propagation::Background, at(2)).await;
        assert_eq!(again.unwrap_err().to_string(), "jobs.batch \"pi\" not found");
    }

    #[tokio::test]
    async fn in_the_foreground_the_job_waits_for_its_pods() {
        let store = Store::in_memory().unwrap();
        stored(&store).await;
        for second in [2, 3] {
            delete_job(&store, "default", "pi", Propagation::Foreground, at(second)).await.unwrap();
        }
        let job = job(&store).await.unwrap();
        assert_eq!(job.metadata.finalizers, Some(vec![FOREGROUND_FINALIZER.to_owned()]));
        assert_eq!(job.metadata.deletion_timestamp, Some(Time(at(2))));
        assert_eq!(job.metadata.generation, Some(2));
    }

    #[tokio::test]
    async fn orphans_belong_to_nobody() {
        let store = Store::in_memory().unwrap();
        stored(&store).await;
        delete_job(&store, "default", "pi", Propagation::Orphan, at(2)).await.unwrap();
        let pod = pod(&store).await;
        assert_eq!((job(&store).await, pod.is_deleting()), (None, false));
        assert_eq!(pod.metadata.owner_references, Some(vec![]));
        assert!(!pod.has_finalizer(TRACKING_FINALIZER));
    }

    #[tokio::test]
    async fn killed_pods_have_a_second_left() {
        let store = Store::in_memory().unwrap();
        let (job, mine) = stored(&store).await;
        let stranger = Pod {
            metadata: ObjectMeta { owner_references: None, ..pod_of(&job, "x").metadata },
            ..mine
        };
        let mut txn = store.txn();
        txn.create(&stranger);
        txn.commit().await.unwrap();
        for second in [10, 11] {
            kill_pods(&store, job.uid(), at(second)).await.unwrap();
        }
        let pod = pod(&store).await;
        assert_eq!(pod.metadata.deletion_timestamp, Some(Time(at(11))));
        assert_eq!(pod.metadata.deletion_grace_period_seconds, Some(1));
        let stranger = store.get::<Pod>("default", "x").await.unwrap().unwrap();
        assert!(!stranger.is_deleting());
    }
}

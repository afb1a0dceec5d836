//! Jobs and pods for the tests of the rules.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodCondition,
    PodSpec, PodStatus, PodTemplateSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};

use super::TRACKING_FINALIZER;
use super::indexes::{INDEX, annotation};
use super::template::{FAILURES, IGNORED};

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A Job with this parallelism and these completions.
pub(super) fn job(parallelism: i32, completions: Option<i32>) -> Job {
    let container = Container { name: "main".into(), ..Container::default() };
    let spec = PodSpec {
        containers: vec![container],
        restart_policy: Some("Never".into()),
        ..PodSpec::default()
    };
    Job {
        metadata: ObjectMeta {
            name: Some("j".into()),
            namespace: Some("default".into()),
            uid: Some("u".into()),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            parallelism: Some(parallelism),
            completions,
            backoff_limit: Some(6),
            template: PodTemplateSpec { spec: Some(spec), ..PodTemplateSpec::default() },
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// The same for a Job with indexes.
pub(super) fn indexed_job(parallelism: i32, completions: i32) -> Job {
    let mut job = job(parallelism, Some(completions));
    job.spec.as_mut().unwrap().completion_mode = Some("Indexed".into());
    job
}

/// The pod with an index.
pub(super) fn indexed(mut pod: Pod, index: u32) -> Pod {
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(INDEX.to_owned(), index.to_string());
    pod
}

pub(super) fn index_of(pod: &Pod) -> u32 {
    annotation(pod, INDEX).unwrap()
}

/// How often the pod's index failed before, and how often that was ignored.
pub(super) fn failures_of(pod: &Pod) -> (Option<u32>, Option<u32>) {
    (annotation(pod, FAILURES), annotation(pod, IGNORED))
}

/// A pod of the Job in this phase, not counted yet.
pub(super) fn pod(name: &str, phase: &str) -> Pod {
    let owner = OwnerReference { uid: "u".into(), controller: Some(true), ..Default::default() };
    Pod {
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: Some("default".into()),
            uid: Some(format!("uid-{name}")),
            creation_timestamp: Some(Time(at(0))),
            finalizers: Some(vec![TRACKING_FINALIZER.into()]),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            containers: vec![Container { name: "main".into(), ..Container::default() }],
            ..PodSpec::default()
        }),
        status: Some(PodStatus { phase: Some(phase.into()), ..PodStatus::default() }),
    }
}

pub(super) fn ready(name: &str) -> Pod {
    let mut pod = pod(name, "Running");
    let condition =
        PodCondition { type_: "Ready".into(), status: "True".into(), ..PodCondition::default() };
    pod.status.as_mut().unwrap().conditions = Some(vec![condition]);
    pod
}

pub(super) fn deleted(mut pod: Pod) -> Pod {
    pod.metadata.deletion_timestamp = Some(Time(at(0)));
    pod
}

pub(super) fn restarted(name: &str, restarts: i32) -> Pod {
    let mut pod = pod(name, "Running");
    let status = ContainerStatus {
        name: "main".into(),
        restart_count: restarts,
        ..ContainerStatus::default()
    };
    pod.status.as_mut().unwrap().container_statuses = Some(vec![status]);
    pod
}

pub(super) fn failed(name: &str, end: Timestamp) -> Pod {
    ended(name, 1, end)
}

pub(super) fn succeeded(name: &str, end: Timestamp) -> Pod {
    ended(name, 0, end)
}

fn ended(name: &str, exit_code: i32, end: Timestamp) -> Pod {
    let mut pod = pod(name, "Running");
    exited(&mut pod, exit_code, end);
    pod
}

/// The pod's container ends.
pub(super) fn exited(pod: &mut Pod, exit_code: i32, end: Timestamp) {
    let terminated = ContainerStateTerminated {
        exit_code,
        finished_at: Some(Time(end)),
        ..ContainerStateTerminated::default()
    };
    let state = ContainerState { terminated: Some(terminated), ..ContainerState::default() };
    let status = pod.status.as_mut().unwrap();
    status.phase = Some(if exit_code == 0 { "Succeeded" } else { "Failed" }.into());
    status.container_statuses = Some(vec![ContainerStatus {
        name: "main".into(),
        state: Some(state),
        ..ContainerStatus::default()
    }]);
}

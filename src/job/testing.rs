//! Jobs and pods for the tests of the rules.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodCondition,
    PodSpec, PodStatus, PodTemplateSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};

use super::TRACKING_FINALIZER;

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
    ended(name, "Failed", 1, end)
}

pub(super) fn succeeded(name: &str, end: Timestamp) -> Pod {
    ended(name, "Succeeded", 0, end)
}

fn ended(name: &str, phase: &str, exit_code: i32, end: Timestamp) -> Pod {
    let mut pod = pod(name, phase);
    let terminated = ContainerStateTerminated {
        exit_code,
        finished_at: Some(Time(end)),
        ..ContainerStateTerminated::default()
    };
    let state = ContainerState { terminated: Some(terminated), ..ContainerState::default() };
    pod.status.as_mut().unwrap().container_statuses = Some(vec![ContainerStatus {
        name: "main".into(),
        state: Some(state),
        ..ContainerStatus::default()
    }]);
    pod
}

//! Which pods are a Job's.
//!
//! Owns: adopting pods that nobody controls, and releasing those that the selector no longer selects.
//! Must not know: what the pods do.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#specifying-your-own-pod-selector>

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};

use super::Action;
use crate::api::job::is_managed_elsewhere;
use crate::api::object::Object;
use crate::api::pod::{controller, is_controlled_by, is_terminal};
use crate::api::validation::selects;

/// What the selector of a Job asks for that has none of its own.
const UID_LABEL: &str = "batch.kubernetes.io/controller-uid";

/// The pods that are the Job's from now on, and what makes them so.
pub(super) fn claim<'a>(job: &Job, pods: &[&'a Pod]) -> (Vec<&'a Pod>, Vec<Action>) {
    let (mut mine, mut actions) = (Vec::new(), Vec::new());
    for pod in pods {
        let own = is_controlled_by(pod, job.uid());
        let name = || pod.name().to_owned();
        if own && selector(job).is_some_and(|selector| !is_selected(selector, pod)) {
            actions.push(Action::DisownPod { name: name(), owner: job.uid().to_owned() });
        } else if own {
            mine.push(*pod);
        } else if adopts(job, pod) {
            mine.push(*pod);
            actions.push(Action::AdoptPod { name: name(), owner: Box::new(owner(job)) });
        }
    }
    (mine, actions)
}

/// Which pods of its namespace a Job would make its own: all that is to be held of it to find out.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#specifying-your-own-pod-selector>
#[derive(Debug, Clone, PartialEq)]
pub enum Claims {
    Nothing,
    /// Those with the Job's uid as a label, as almost every Job says.
    Labelled(String),
    Selected(Box<LabelSelector>),
}

impl Claims {
    pub fn of(job: &Job) -> Self {
        if job.is_deleting() || is_managed_elsewhere(job) {
            return Self::Nothing;
        }
        match selector(job) {
            None => Self::Nothing,
            Some(selector) if asks_only_for_uid(selector, job.uid()) => {
                Self::Labelled(job.uid().to_owned())
            }
            Some(selector) => Self::Selected(Box::new(selector.clone())),
        }
    }

    /// Whether this pod is among them: one that nobody controls and the selector selects. One that has
    /// ended stays alone, for nobody knows whether it was counted before.
    pub fn include(&self, pod: &Pod) -> bool {
        let free = controller(pod).is_none() && !pod.is_deleting() && !is_terminal(pod);
        free && match self {
            Self::Nothing => false,
            Self::Labelled(uid) => {
                let labels = pod.metadata.labels.as_ref();
                labels.and_then(|labels| labels.get(UID_LABEL)) == Some(uid)
            }
            Self::Selected(selector) => is_selected(selector, pod),
        }
    }
}

fn asks_only_for_uid(selector: &LabelSelector, uid: &str) -> bool {
    let mut labels = selector.match_labels.iter().flatten();
    labels.next().is_some_and(|(key, value)| key == UID_LABEL && value == uid)
        && labels.next().is_none()
        && selector.match_expressions.iter().flatten().next().is_none()
}

pub(super) fn adopts(job: &Job, pod: &Pod) -> bool {
    pod.namespace() == job.namespace() && Claims::of(job).include(pod)
}

/// A selector that asks for nothing selects no pods here; it would be all that there are.
fn selector(job: &Job) -> Option<&LabelSelector> {
    let selector = job.spec.as_ref()?.selector.as_ref()?;
    let asks = selector.match_labels.iter().flatten().next().is_some()
        || selector.match_expressions.iter().flatten().next().is_some();
    asks.then_some(selector)
}

fn is_selected(selector: &LabelSelector, pod: &Pod) -> bool {
    selects(selector, pod.metadata.labels.as_ref())
}

/// How a pod says that it is the Job's.
pub(super) fn owner(job: &Job) -> OwnerReference {
    OwnerReference {
        api_version: "batch/v1".to_owned(),
        kind: "Job".to_owned(),
        name: job.name().to_owned(),
        uid: job.uid().to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

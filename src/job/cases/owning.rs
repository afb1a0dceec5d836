//! Whose a pod and whose a Job is: cases 100 to 104 of
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#specifying-your-own-pod-selector>.

use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};

use super::super::claim::adopts;
use super::super::testing::{at, deleted, job, pod, succeeded};
use super::super::{Action, Claims};
use super::{COMPLETE, conditions, counts, created, look};

fn selecting(parallelism: i32) -> Job {
    let mut job = job(parallelism, Some(5));
    let labels = [("app".to_owned(), "a".to_owned())].into();
    job.spec.as_mut().unwrap().selector =
        Some(LabelSelector { match_labels: Some(labels), match_expressions: None });
    job
}

fn labelled(mut pod: Pod) -> Pod {
    pod.metadata.labels = Some([("app".to_owned(), "a".to_owned())].into());
    pod
}

fn alone(mut pod: Pod) -> Pod {
    pod.metadata.owner_references = None;
    pod.metadata.finalizers = None;
    pod
}

#[test]
fn case_100_a_pod_that_nobody_controls_is_adopted_and_one_without_the_labels_released() {
    let job = selecting(2);
    let pods = [labelled(alone(pod("found", "Running"))), pod("lost", "Running")];
    let plan = look(&job, &pods, 1);
    assert!(plan.actions.iter().any(
        |a| matches!(a, Action::AdoptPod { name, owner } if name == "found" && owner.uid == "u")
    ));
    assert!(
        plan.actions.iter().any(
            |a| matches!(a, Action::DisownPod { name, owner } if name == "lost" && owner == "u")
        )
    );
    assert_eq!((created(&plan), counts(&plan)), (1, [2, 0, 0, 0, 0]));
}

#[test]
fn what_is_deleted_or_over_or_another_ones_is_not_adopted() {
    let job = selecting(2);
    let free = labelled(alone(pod("a", "Running")));
    assert!(adopts(&job, &free));
    let mut elsewhere = free.clone();
    elsewhere.metadata.namespace = Some("other".into());
    let mut others = labelled(pod("a", "Running"));
    others.metadata.owner_references.as_mut().unwrap()[0].uid = "x".into();
    let ended = labelled(alone(succeeded("a", at(1))));
    for pod in [deleted(free.clone()), elsewhere, others, ended, alone(pod("a", "Running"))] {
        assert!(!adopts(&job, &pod), "{pod:?}");
    }
    let mut deleting = job.clone();
    deleting.metadata.deletion_timestamp = Some(Time(at(1)));
    assert!(!adopts(&deleting, &free));
    let mut all = job;
    all.spec.as_mut().unwrap().selector = Some(LabelSelector::default());
    assert!(!adopts(&all, &free));
}

#[test]
fn a_job_without_a_selector_of_its_own_claims_what_bears_its_uid() {
    let mut job = job(2, Some(5));
    let uid_label = "batch.kubernetes.io/controller-uid".to_owned();
    let mut selector = LabelSelector {
        match_labels: Some([(uid_label.clone(), "u".to_owned())].into()),
        match_expressions: None,
    };
    job.spec.as_mut().unwrap().selector = Some(selector.clone());
    assert_eq!(Claims::of(&job), Claims::Labelled("u".to_owned()));
    let mut own = alone(pod("a", "Running"));
    assert!(!adopts(&job, &own));
    own.metadata.labels = Some([(uid_label, "u".to_owned())].into());
    assert!(adopts(&job, &own));

    let labels = selector.match_labels.get_or_insert_default();
    labels.insert("app".to_owned(), "a".to_owned());
    job.spec.as_mut().unwrap().selector = Some(selector.clone());
    assert_eq!(Claims::of(&job), Claims::Selected(Box::new(selector)));
    assert!(!adopts(&job, &own));
}

#[test]
fn case_101_a_job_of_another_controller_is_left_alone() {
    let mut theirs = job(2, Some(2));
    theirs.spec.as_mut().unwrap().managed_by = Some("example.com/theirs".into());
    let plan = look(&theirs, &[succeeded("a", at(1)), pod("b", "Running")], 2);
    assert!(plan.actions.is_empty() && plan.wake_at.is_none());
    assert_eq!(plan.record.status, JobStatus::default());
    theirs.spec.as_mut().unwrap().managed_by = Some("kubernetes.io/job-controller".into());
    assert_eq!(created(&look(&theirs, &[], 2)), 2);
}

fn with_condition(kind: &str, status: &str) -> Job {
    let mut job = job(1, Some(1));
    let condition =
        JobCondition { type_: kind.into(), status: status.into(), ..JobCondition::default() };
    job.status.get_or_insert_default().conditions = Some(vec![condition]);
    job
}

#[test]
fn case_103_an_interim_condition_that_is_false_is_ignored_and_kept() {
    for kind in ["FailureTarget", "SuccessCriteriaMet"] {
        let job = with_condition(kind, "False");
        let plan = look(&job, &[], 1);
        assert_eq!((created(&plan), conditions(&plan).len()), (1, 1));
        let plan = look(&job, &[succeeded("a", at(1))], 2);
        assert_eq!(conditions(&plan)[1..], COMPLETE);
    }
}

#[test]
fn case_104_a_condition_of_somebody_else_survives() {
    let job = with_condition("Mine", "True");
    assert_eq!(conditions(&look(&job, &[pod("a", "Running")], 1)), ["Mine "]);
}

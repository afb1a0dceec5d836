//! Jobs with indexes: cases 53 to 65 and 68 of
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode>.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{EnvVar, Pod};

use super::super::testing::{
    at, deleted, failed, index_of, indexed, indexed_job as job, pod, ready, succeeded,
};
use super::super::{Rules, TRACKING_FINALIZER, reconcile};
use super::{
    COMPLETE, after, conditions, counts, created, created_pods, deleted_pods, deletions, look,
    many, released,
};

/// The indexes of the pods that the plan makes.
fn made(plan: &super::Plan) -> Vec<u32> {
    created_pods(plan).iter().map(index_of).collect()
}

fn completed(plan: &super::Plan) -> &str {
    plan.record.status.completed_indexes.as_deref().unwrap_or_default()
}

fn with_completed(mut job: Job, indexes: &str, succeeded: i32) -> Job {
    let status = job.status.get_or_insert_default();
    status.completed_indexes = Some(indexes.into());
    status.succeeded = Some(succeeded);
    job
}

fn scaled(mut job: Job, completions: i32) -> Job {
    let spec = job.spec.as_mut().unwrap();
    (spec.completions, spec.parallelism) = (Some(completions), Some(completions));
    job
}

#[test]
fn case_53_a_pod_is_told_its_index_in_four_ways() {
    let mut job = job(2, 4);
    let pod = job.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
    pod.init_containers = Some(pod.containers.clone());
    let own = EnvVar {
        name: "JOB_COMPLETION_INDEX".into(),
        value: Some("x".into()),
        ..EnvVar::default()
    };
    let mut second = pod.containers[0].clone();
    second.env = Some(vec![own.clone()]);
    pod.containers.push(second);
    let pod = created_pods(&look(&job, &[], 0)).remove(1);
    let meta = &pod.metadata;
    let key = "batch.kubernetes.io/job-completion-index";
    assert_eq!(meta.annotations.as_ref().unwrap()[key], "1");
    assert_eq!(meta.labels.as_ref().unwrap()[key], "1");
    assert_eq!(meta.generate_name.as_deref(), Some("j-1-"));
    let spec = pod.spec.unwrap();
    assert_eq!(spec.hostname.as_deref(), Some("j-1"));
    let path = |env: &Option<Vec<EnvVar>>| {
        let source = env.as_ref().unwrap()[0].value_from.clone();
        source.unwrap().field_ref.unwrap().field_path
    };
    let label = format!("metadata.labels['{key}']");
    assert_eq!(path(&spec.containers[0].env), label);
    assert_eq!(path(&spec.init_containers.unwrap()[0].env), label);
    assert_eq!(spec.containers[1].env, Some(vec![own]));
}

#[test]
fn a_pod_has_the_finalizers_of_its_template_and_is_held_to_be_counted() {
    let mut job = job(1, 1);
    let meta = job.spec.as_mut().unwrap().template.metadata.get_or_insert_default();
    meta.finalizers = Some(vec![TRACKING_FINALIZER.into(), "a.b/c".into()]);
    let pod = created_pods(&look(&job, &[], 0)).remove(0);
    assert_eq!(pod.metadata.finalizers.unwrap(), ["a.b/c", TRACKING_FINALIZER]);
}

#[test]
fn case_54_the_lowest_indexes_come_first() {
    assert_eq!(made(&look(&job(2, 5), &[], 0)), [0, 1]);
}

#[test]
fn case_55_gaps_are_filled_from_below() {
    let job = with_completed(job(8, 20), "2,4,5,7-9", 6);
    let pods = [indexed(pod("a", "Running"), 0), indexed(pod("b", "Running"), 3)];
    let plan = look(&job, &pods, 0);
    assert_eq!((made(&plan), completed(&plan)), (vec![1, 6, 10, 11, 12, 13], "2,4,5,7-9"));
    assert_eq!(counts(&plan), [8, 0, 0, 6, 0]);
}

#[test]
fn case_56_an_index_that_succeeded_twice_counts_once() {
    let pods = [0, 1, 1].iter().enumerate();
    let pods: Vec<Pod> =
        pods.map(|(n, index)| indexed(succeeded(&format!("p{n}"), at(1)), *index)).collect();
    let plan = look(&job(2, 5), &pods, 2);
    assert_eq!((completed(&plan), counts(&plan)[3], released(&plan)), ("0,1", 2, 3));
}

#[test]
fn case_57_an_index_that_failed_is_tried_again() {
    let pods = [
        indexed(failed("a", at(1)), 0),
        indexed(pod("b", "Running"), 1),
        indexed(failed("c", at(1)), 2),
    ];
    let plan = look(&job(3, 3), &pods, 100);
    assert_eq!((made(&plan), counts(&plan)), (vec![0, 2], [3, 0, 0, 0, 2]));
}

#[test]
fn case_58_a_pod_without_an_index_counts_for_nothing() {
    let mut bad = pod("bad", "Running");
    bad.metadata.annotations = Some([(super::super::indexes::INDEX.into(), "x".into())].into());
    let pods = [pod("a", "Running"), bad, succeeded("c", at(1)), failed("d", at(1))];
    let plan = look(&job(2, 5), &pods, 2);
    assert_eq!((deleted_pods(&plan).len(), released(&plan), created(&plan)), (2, 2, 0));
    assert_eq!((completed(&plan), counts(&plan)), ("", [0, 0, 2, 0, 0]));
}

#[test]
fn case_59_of_two_pods_with_one_index_the_better_stays() {
    let pods = [indexed(pod("pending", "Pending"), 0), indexed(ready("ready"), 0)];
    let plan = look(&job(5, 5), &pods, 0);
    assert_eq!((deleted_pods(&plan), created(&plan)), (vec!["pending"], 0));
}

#[test]
fn case_60_a_pod_with_an_index_that_there_is_not_goes() {
    let pods = [
        indexed(pod("a", "Running"), 0),
        indexed(pod("b", "Running"), 2),
        indexed(succeeded("c", at(1)), 3),
        indexed(failed("d", at(1)), 4),
    ];
    let plan = look(&job(2, 2), &pods, 2);
    assert_eq!((deleted_pods(&plan), released(&plan)), (vec!["b"], 2));
    assert_eq!((completed(&plan), counts(&plan)), ("", [1, 0, 1, 0, 0]));
}

#[test]
fn case_61_a_success_is_final_whatever_failed_before() {
    let pods = [
        indexed(succeeded("a", at(1)), 0),
        indexed(failed("b", at(1)), 1),
        indexed(succeeded("c", at(1)), 1),
        indexed(succeeded("d", at(1)), 2),
    ];
    let plan = look(&job(3, 3), &pods, 2);
    assert_eq!((completed(&plan), counts(&plan)), ("0-2", [0, 0, 0, 3, 1]));
    assert_eq!(conditions(&plan), COMPLETE);
}

#[test]
fn case_62_a_job_can_grow() {
    let job = scaled(with_completed(job(3, 3), "0,1", 2), 4);
    let plan = look(&job, &[indexed(pod("a", "Running"), 2)], 0);
    assert_eq!(made(&plan), [3]);
    let pods = [indexed(succeeded("a", at(1)), 2), indexed(succeeded("b", at(1)), 3)];
    let plan = look(&after(job, &plan), &pods, 2);
    assert_eq!((completed(&plan), conditions(&plan)), ("0-3", COMPLETE.map(Into::into).into()));
}

#[test]
fn case_63_a_job_that_shrinks_forgets_the_indexes_that_there_are_no_more() {
    let mut wide = with_completed(job(3, 3), "1", 1);
    wide.status.as_mut().unwrap().failed = Some(1);
    let narrow = scaled(wide, 1);
    let plan = look(&narrow, &[indexed(pod("a", "Running"), 0)], 5);
    assert_eq!((completed(&plan), counts(&plan)), ("", [1, 0, 0, 0, 1]));
    let plan = look(&after(narrow, &plan), &[indexed(succeeded("a", at(6)), 0)], 7);
    assert_eq!((completed(&plan), counts(&plan)), ("0", [0, 0, 0, 1, 1]));
    assert_eq!(conditions(&plan), COMPLETE);
}

#[test]
fn case_64_an_index_that_was_scaled_away_runs_again() {
    let wide = with_completed(job(3, 3), "2", 1);
    let running = [indexed(pod("a", "Running"), 0), indexed(pod("b", "Running"), 1)];
    let narrow = scaled(wide, 2);
    let plan = look(&narrow, &running, 0);
    assert_eq!((completed(&plan), created(&plan)), ("", 0));
    let plan = look(&scaled(after(narrow, &plan), 3), &running, 1);
    assert_eq!(made(&plan), [2]);
}

#[test]
fn case_65_a_job_that_shrinks_to_nothing_is_complete_once_its_pods_have_ended() {
    let job = scaled(job(2, 2), 0);
    let plan = look(&job, &[indexed(pod("a", "Running"), 0)], 5);
    assert_eq!((deletions(&plan), conditions(&plan)), (1, vec![COMPLETE[0].to_owned()]));
    let job = after(job, &plan);
    let mut leaving = deleted(indexed(pod("a", "Running"), 0));
    leaving.metadata.finalizers = None;
    assert_eq!(conditions(&look(&job, &[leaving], 6)), COMPLETE[..1]);
    assert_eq!(conditions(&look(&job, &[], 7)), COMPLETE);
}

#[test]
fn case_68_a_long_name_is_cut_before_its_index() {
    let mut job = job(1, 13);
    job.metadata.name = Some("a".repeat(60));
    let job = with_completed(job, "0-11", 12);
    let pod = created_pods(&look(&job, &[], 0)).remove(0);
    assert_eq!(pod.metadata.generate_name.unwrap(), format!("{}-12-", "a".repeat(54)));
    assert_eq!(pod.metadata.name.unwrap().len(), 63);
}

#[test]
fn a_hundred_thousand_indexes_are_no_more_work_than_what_runs() {
    let job = with_completed(job(1000, 100_000), "0-49999", 50_000);
    let pods: Vec<Pod> =
        (50_000..50_999).zip(many(999, ready)).map(|(i, p)| indexed(p, i)).collect();
    let refs: Vec<&Pod> = pods.iter().collect();
    // If a look cost as much as there are indexes and pods together, this would take minutes.
    for _ in 0..200 {
        let plan = reconcile(&job, &refs, &[], &Rules::default(), at(0));
        assert_eq!(made(&plan), [50_999]);
    }
}

#[test]
fn a_plan_made_again_makes_the_same_pods() {
    let names = |plan: &super::Plan| -> BTreeSet<String> {
        created_pods(plan).into_iter().filter_map(|pod| pod.metadata.name).collect()
    };
    let job = job(3, 5);
    assert_eq!(names(&look(&job, &[], 0)), names(&look(&job, &[], 0)));
}

//! Limits of each index, policies of failure and of success: cases 69 to 93 of
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#backoff-limit-per-index>.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use serde_json::{Value, json};

use super::super::testing::{
    at, deleted, exited, failed, failures_of, index_of, indexed, indexed_job, job, pod, ready,
    restarted, succeeded,
};
use super::{
    COMPLETE, Rules, TOO_MANY_FAILED, after, conditions, counts, created, created_pods,
    deleted_pods, deletions, look, reconcile, released,
};

/// The Job with these fields of its spec.
fn with(job: Job, fields: Value) -> Job {
    let mut value = serde_json::to_value(job).unwrap();
    for (name, field) in fields.as_object().unwrap() {
        value["spec"][name] = field.clone();
    }
    serde_json::from_value(value).unwrap()
}

fn failure_rules(rules: Value) -> Value {
    json!({"podFailurePolicy": {"rules": rules}})
}

fn on_code(action: &str, code: i32) -> Value {
    json!({"action": action, "onExitCodes": {"operator": "In", "values": [code]}})
}

fn sets(plan: &super::Plan) -> (&str, Option<&str>) {
    let status = &plan.record.status;
    (status.completed_indexes.as_deref().unwrap_or_default(), status.failed_indexes.as_deref())
}

/// Plays a Job to its end: every pod ends at once, as `code` says of its index.
fn play(mut job: Job, code: impl Fn(u32) -> i32) -> (super::Plan, Vec<Pod>) {
    let (mut pods, mut all, mut now) = (Vec::<Pod>::new(), Vec::new(), 0);
    for _ in 0..100 {
        let plan = look(&job, &pods, now);
        job = after(job, &plan);
        if crate::api::job::is_finished(&job).is_some() {
            return (plan, all);
        }
        pods = created_pods(&plan);
        all.extend(pods.clone());
        let gone: Vec<&str> = deleted_pods(&plan);
        pods.retain(|pod| !gone.contains(&pod.metadata.name.as_deref().unwrap_or_default()));
        now += 10;
        pods.iter_mut().for_each(|pod| exited(pod, code(index_of(pod)), at(now)));
        now += 600;
    }
    panic!("it does not end: {:?}", job.status)
}

fn odd_fails(index: u32) -> i32 {
    i32::from(index % 2 == 1)
}

#[test]
fn case_69_indexes_fail_one_by_one_and_the_others_go_on() {
    let job = with(indexed_job(4, 4), json!({"backoffLimitPerIndex": 1, "backoffLimit": i32::MAX}));
    let (plan, _) = play(job, odd_fails);
    assert_eq!(sets(&plan), ("0,2", Some("1,3")));
    assert_eq!(counts(&plan), [0, 0, 0, 2, 4]);
    assert_eq!(conditions(&plan), ["FailureTarget FailedIndexes", "Failed FailedIndexes"]);
}

#[test]
fn case_70_too_many_failed_indexes_end_the_job() {
    let limits =
        json!({"backoffLimitPerIndex": 0, "maxFailedIndexes": 0, "backoffLimit": i32::MAX});
    let (plan, pods) = play(with(indexed_job(1, 4), limits), |_| 1);
    assert_eq!((sets(&plan), counts(&plan)[4], pods.len()), (("", Some("0")), 1, 1));
    assert_eq!(conditions(&plan)[1], "Failed MaxFailedIndexesExceeded");
}

#[test]
fn case_71_a_pod_knows_how_often_its_index_failed() {
    let job = with(indexed_job(2, 2), json!({"backoffLimitPerIndex": 1, "backoffLimit": i32::MAX}));
    let (plan, pods) = play(job, |_| 1);
    let of = |index| -> Vec<_> {
        pods.iter().filter(|pod| index_of(pod) == index).map(failures_of).collect()
    };
    assert_eq!((of(0), of(1)), (vec![(Some(0), None), (Some(1), None)], of(0)));
    assert_eq!(counts(&plan)[4], 4);
}

#[test]
fn case_72_the_job_fails_when_its_last_index_is_over() {
    let limits = json!({"backoffLimitPerIndex": 2, "backoffLimit": i32::MAX});
    let mut job = with(indexed_job(2, 2), limits);
    let other = indexed(pod("other", "Running"), 1);
    for failure in 0..3 {
        let mut lost = indexed(failed("lost", at(1000 * failure)), 0);
        let count = ("batch.kubernetes.io/job-index-failure-count".into(), failure.to_string());
        lost.metadata.annotations.as_mut().unwrap().extend([count]);
        let plan = look(&job, &[lost, other.clone()], 1000 * failure + 1);
        assert_eq!(sets(&plan).1, Some(if failure < 2 { "" } else { "0" }));
        assert!(conditions(&plan).is_empty());
        // The next pod of the index waits: 10 s, then 20 s.
        let wakes = plan.wake_at.map(|at| at.as_second() - 1000 * failure - 1);
        assert_eq!(wakes, [Some(10), Some(20), None][usize::try_from(failure).unwrap()]);
        job = after(job, &plan);
    }
    let plan = look(&job, &[indexed(succeeded("other", at(5000)), 1)], 5001);
    assert_eq!((sets(&plan), counts(&plan)), (("1", Some("0")), [0, 0, 0, 1, 3]));
    assert_eq!(conditions(&plan)[1], "Failed FailedIndexes");
}

#[test]
fn case_73_the_limit_of_the_job_holds_beside_those_of_its_indexes() {
    let mut job = with(indexed_job(3, 3), json!({"backoffLimitPerIndex": 1, "backoffLimit": 2}));
    job.status.get_or_insert_default().failed = Some(2);
    let pods = [
        indexed(failed("a", at(1)), 0),
        indexed(pod("b", "Running"), 1),
        indexed(pod("c", "Running"), 2),
    ];
    let plan = look(&job, &pods, 2);
    assert_eq!((counts(&plan), sets(&plan)), ([0, 0, 2, 0, 5], ("", Some(""))));
    assert_eq!(conditions(&plan), TOO_MANY_FAILED[..1]);
}

#[test]
fn case_74_the_second_failed_index_is_one_too_many() {
    let limits =
        json!({"backoffLimitPerIndex": 0, "maxFailedIndexes": 1, "backoffLimit": i32::MAX});
    let pods = [
        indexed(failed("a", at(1)), 0),
        indexed(failed("b", at(1)), 1),
        indexed(pod("c", "Running"), 2),
    ];
    let plan = look(&with(indexed_job(3, 4), limits), &pods, 2);
    assert_eq!((counts(&plan), sets(&plan)), ([0, 0, 1, 0, 3], ("", Some("0,1"))));
    assert_eq!((deletions(&plan), conditions(&plan).len()), (1, 1));
}

#[test]
fn case_75_where_no_index_failed_the_list_is_there_and_empty() {
    let job = with(indexed_job(2, 2), json!({"backoffLimitPerIndex": 1, "backoffLimit": i32::MAX}));
    let (plan, _) = play(job, |_| 0);
    assert_eq!(
        (sets(&plan), conditions(&plan)),
        (("0,1", Some("")), COMPLETE.map(Into::into).into())
    );
}

#[test]
fn indexes_wait_each_for_itself() {
    let limits = json!({"backoffLimitPerIndex": 5, "backoffLimit": i32::MAX});
    let job = with(indexed_job(2, 4), limits);
    let plan =
        look(&job, &[indexed(failed("a", at(100)), 0), indexed(pod("b", "Running"), 1)], 100);
    assert_eq!((created(&plan), plan.wake_at), (0, Some(at(110))));
    let job = after(job, &plan);
    // The free place is kept for the index that waits; index 1 does not delay anybody.
    let plan = look(&job, &[indexed(succeeded("b", at(101)), 1)], 102);
    assert_eq!(created_pods(&plan).iter().map(index_of).collect::<Vec<_>>(), [2]);
    let plan = look(&after(job, &plan), &[indexed(pod("c", "Running"), 2)], 110);
    let made = created_pods(&plan);
    assert_eq!((index_of(&made[0]), failures_of(&made[0])), (0, (Some(1), None)));
    assert!(plan.record.ledger.indexes.is_empty());
}

#[test]
fn case_77_a_failure_that_fails_the_job_does_so_at_once() {
    let job = with(job(2, Some(2)), failure_rules(json!([on_code("FailJob", 1)])));
    let plan = look(&job, &[failed("a", at(1)), ready("b")], 2);
    assert_eq!((deletions(&plan), counts(&plan)), (1, [0, 0, 1, 0, 2]));
    let condition = &plan.record.status.conditions.as_ref().unwrap()[0];
    assert_eq!(condition.reason.as_deref(), Some("PodFailurePolicy"));
    assert_eq!(
        condition.message.as_deref(),
        Some(
            "Container main for pod default/a failed with exit code 1 matching FailJob rule at index 0"
        )
    );
}

#[test]
fn case_78_a_job_that_is_to_fail_does_so_also_without_the_pod_that_was_the_reason() {
    let job = with(job(2, Some(2)), failure_rules(json!([on_code("FailJob", 1)])));
    let job = after(job.clone(), &look(&job, &[failed("a", at(1)), ready("b")], 2));
    let plan = look(&job, &[], 3);
    assert_eq!(conditions(&plan), ["FailureTarget PodFailurePolicy", "Failed PodFailurePolicy"]);
    assert_eq!(super::told(&plan), ["PodFailurePolicy"]);
}

#[test]
fn case_79_an_ignored_failure_does_not_count_and_delays_all_the_same() {
    let rules = failure_rules(json!([on_code("Ignore", 42)]));
    let mut lost = indexed(failed("a", at(100)), 0);
    exited(&mut lost, 42, at(100));
    let plain = with(indexed_job(1, 3), rules.clone());
    let plan = look(&plain, &[lost.clone()], 100);
    assert_eq!((counts(&plan), released(&plan), plan.wake_at), ([0, 0, 0, 0, 0], 1, Some(at(110))));
    // Where each index has a limit, its next pod carries the number on.
    let mut limits = rules;
    limits["backoffLimitPerIndex"] = 0.into();
    let limited = with(indexed_job(1, 3), limits);
    let plan = look(&limited, &[lost], 100);
    assert_eq!((sets(&plan).1, plan.wake_at), (Some(""), Some(at(110))));
    let next = created_pods(&look(&after(limited, &plan), &[], 110)).remove(0);
    assert_eq!(failures_of(&next), (Some(0), Some(1)));
}

#[test]
fn case_80_a_disruption_is_ignored() {
    let pattern = json!([{"type": "DisruptionTarget", "status": "True"}]);
    let rules = json!([{"action": "Ignore", "onPodConditions": pattern}]);
    let job = with(job(1, Some(1)), failure_rules(rules));
    let mut evicted = failed("a", at(1));
    let mut condition =
        PodCondition { type_: "DisruptionTarget".into(), ..PodCondition::default() };
    for (status, counted) in [("True", 0), ("False", 1)] {
        condition.status = status.into();
        evicted.status.as_mut().unwrap().conditions = Some(vec![condition.clone()]);
        let plan = look(&job, &[evicted.clone()], 100);
        assert_eq!((counts(&plan)[4], created(&plan)), (counted, 1), "{status}");
    }
}

#[test]
fn case_120_pods_that_a_lost_node_takes_along_are_replaced_and_do_not_count() {
    let pattern = json!([{"type": "DisruptionTarget"}]);
    let rules = json!([{"action": "Ignore", "onPodConditions": pattern}]);
    let job = with(job(2, Some(2)), failure_rules(rules));
    let mut lost = pod("a", "Failed");
    lost.status.as_mut().unwrap().conditions = Some(vec![PodCondition {
        type_: "DisruptionTarget".into(),
        status: "True".into(),
        reason: Some("DeletionByPodGC".into()),
        ..PodCondition::default()
    }]);
    let plan = look(&job, &[lost, pod("b", "Running")], 100);
    assert_eq!((counts(&plan), released(&plan), created(&plan)), ([2, 0, 0, 0, 0], 1, 1));
    assert!(conditions(&plan).is_empty());
}

#[test]
fn case_81_the_first_rule_that_matches_decides() {
    let rules = json!([on_code("Count", 1), on_code("FailJob", 1)]);
    let plan = look(&with(job(1, Some(1)), failure_rules(rules)), &[failed("a", at(1))], 100);
    assert_eq!((conditions(&plan).len(), counts(&plan)[4], created(&plan)), (0, 1, 1));
}

#[test]
fn case_82_a_failure_that_no_rule_matches_counts() {
    let rules = json!([on_code("FailJob", 7), {"action": "Dance", "onPodConditions": []}]);
    let plan = look(&with(job(1, Some(1)), failure_rules(rules)), &[failed("a", at(1))], 100);
    assert_eq!((conditions(&plan).len(), counts(&plan)[4]), (0, 1));
}

#[test]
fn case_83_a_failure_can_fail_its_index_without_another_try() {
    let mut limits = failure_rules(json!([on_code("FailIndex", 1)]));
    limits["backoffLimitPerIndex"] = 1.into();
    limits["backoffLimit"] = i32::MAX.into();
    let (plan, pods) = play(with(indexed_job(2, 2), limits), odd_fails);
    assert_eq!((sets(&plan), counts(&plan), pods.len()), (("0", Some("1")), [0, 0, 0, 1, 1], 2));
    assert_eq!(conditions(&plan)[1], "Failed FailedIndexes");
}

#[test]
fn case_84_what_ended_well_matches_no_exit_code() {
    let not_in =
        json!([{"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [5]}}]);
    let job = with(job(1, Some(1)), failure_rules(not_in));
    let mut two = failed("a", at(1));
    let statuses = two.status.as_mut().unwrap().container_statuses.as_mut().unwrap();
    let mut well = statuses[0].clone();
    well.name = "well".into();
    well.state.as_mut().unwrap().terminated.as_mut().unwrap().exit_code = 0;
    statuses.insert(0, well);
    for (code, fails) in [(5, false), (6, true)] {
        let state =
            two.status.as_mut().unwrap().container_statuses.as_mut().unwrap()[1].state.as_mut();
        state.unwrap().terminated.as_mut().unwrap().exit_code = code;
        let plan = look(&job, &[two.clone()], 100);
        assert_eq!(!conditions(&plan).is_empty(), fails, "{code}");
    }
    // A rule about one container does not see the others.
    let one = json!([{"action": "FailJob", "onExitCodes":
        {"containerName": "well", "operator": "NotIn", "values": [5]}}]);
    assert!(conditions(&look(&with(job, failure_rules(one)), &[two], 100)).is_empty());
}

#[test]
fn case_85_a_restart_in_the_pod_is_no_failure_of_the_pod() {
    let job = with(job(1, Some(1)), failure_rules(json!([on_code("FailJob", 1)])));
    let plan = look(&job, &[restarted("a", 3)], 1);
    assert!(conditions(&plan).is_empty());
}

fn success_rules(job: Job, rules: Value) -> Job {
    with(job, json!({"successPolicy": {"rules": rules}}))
}

#[test]
fn case_88_enough_successes_are_a_success() {
    let job = success_rules(indexed_job(2, 2), json!([{"succeededCount": 2}]));
    let pods = [indexed(succeeded("a", at(1)), 0), indexed(succeeded("b", at(1)), 1)];
    let plan = look(&job, &pods, 2);
    assert_eq!(conditions(&plan), ["SuccessCriteriaMet SuccessPolicy", "Complete SuccessPolicy"]);
    let message = plan.record.status.conditions.as_ref().unwrap()[0].message.clone();
    assert_eq!((message.as_deref(), counts(&plan)[4]), (Some("Matched rules at index 0"), 0));
}

#[test]
fn case_89_one_index_can_decide_for_all() {
    let job = success_rules(indexed_job(2, 5), json!([{"succeededIndexes": "0"}]));
    let plan = look(&job, &[indexed(succeeded("a", at(1)), 0), indexed(ready("b"), 1)], 2);
    assert_eq!((sets(&plan).0, counts(&plan), created(&plan)), ("0", [0, 0, 1, 1, 0], 0));
    assert_eq!(conditions(&plan), ["SuccessCriteriaMet SuccessPolicy"]);
    // What runs on for a while and then ends well does not count any more.
    let job = after(job, &plan);
    let plan = look(&job, &[], 3);
    assert_eq!((conditions(&plan).len(), counts(&plan)), (2, [0, 0, 0, 1, 0]));
}

#[test]
fn case_90_failures_do_not_stand_in_the_way_of_success() {
    let job = success_rules(indexed_job(5, 5), json!([{"succeededCount": 1}]));
    let pods = [indexed(failed("a", at(1)), 1), indexed(succeeded("b", at(1)), 0)];
    assert_eq!(conditions(&look(&job, &pods, 2))[1], "Complete SuccessPolicy");
}

#[test]
fn case_91_only_the_indexes_that_are_named_count() {
    let rules = json!([{"succeededIndexes": "1-4", "succeededCount": 3}]);
    let mut job = success_rules(indexed_job(5, 6), rules);
    job.status.get_or_insert_default().completed_indexes = Some("1,3,5".into());
    assert!(conditions(&look(&job, &[], 2)).is_empty());
    job.status.get_or_insert_default().completed_indexes = Some("1-3".into());
    assert_eq!(conditions(&look(&job, &[], 2))[0], "SuccessCriteriaMet SuccessPolicy");
}

#[test]
fn case_93_too_many_failures_outweigh_success() {
    let job = success_rules(indexed_job(5, 5), json!([{"succeededCount": 1}]));
    let job = with(job, json!({"backoffLimit": 0}));
    let pods = [indexed(failed("a", at(1)), 1), indexed(succeeded("b", at(1)), 0)];
    assert_eq!(conditions(&look(&job, &pods, 2)), TOO_MANY_FAILED);
}

fn only_failed(job: Job) -> Job {
    with(job, json!({"podReplacementPolicy": "Failed"}))
}

#[test]
fn case_94_a_deleted_pod_is_replaced_only_once_it_has_ended() {
    let job = only_failed(job(1, Some(1)));
    let leaving = deleted(pod("a", "Running"));
    let plan = look(&job, std::slice::from_ref(&leaving), 100);
    assert_eq!((created(&plan), released(&plan), counts(&plan)), (0, 0, [0, 0, 1, 0, 0]));
    let mut ended = leaving.clone();
    exited(&mut ended, 143, at(105));
    let plan = look(&job, &[ended], 120);
    assert_eq!((created(&plan), counts(&plan)), (1, [1, 0, 0, 0, 1]));
    // One that ends well meanwhile is a success.
    let mut well = leaving;
    exited(&mut well, 0, at(105));
    assert_eq!(conditions(&look(&job, &[well], 120)), COMPLETE);
}

#[test]
fn case_95_by_default_deleted_pods_are_replaced_at_once_and_count_once() {
    let job = job(2, Some(2));
    let leaving = ["a", "b"].map(|name| deleted(pod(name, "Running")));
    let plan = look(&job, &leaving, 100);
    assert_eq!((created(&plan), counts(&plan)), (2, [2, 0, 2, 0, 2]));
    let made = created_pods(&plan);
    let plan = look(&after(job, &plan), &made, 101);
    assert_eq!(counts(&plan), [2, 0, 0, 0, 2]);
}

#[test]
fn case_96_pods_that_are_too_many_go_also_while_others_end() {
    let job = only_failed(job(1, Some(9)));
    let mut pods: Vec<Pod> = super::many(4, |name| deleted(pod(name, "Running")));
    pods.extend([pod("x", "Running"), pod("y", "Running")]);
    let plan = look(&job, &pods, 1);
    assert_eq!((deletions(&plan), created(&plan), counts(&plan)[2]), (1, 0, 5));
}

#[test]
fn case_97_an_index_whose_pod_still_ends_has_no_second_one() {
    let pods = [indexed(deleted(pod("a", "Running")), 0)];
    let made = |job: &Job| -> Vec<u32> {
        created_pods(&look(job, &pods, 100)).iter().map(index_of).collect()
    };
    assert_eq!(made(&only_failed(indexed_job(2, 5))), [1]);
    assert_eq!(made(&indexed_job(2, 5)), [0, 1]);
}

#[test]
fn where_the_job_fails_a_pod_whose_end_was_awaited_counts_as_failed() {
    let job = only_failed(with(job(2, Some(2)), json!({"backoffLimit": 0})));
    let plan = look(&job, &[failed("a", at(1)), deleted(pod("b", "Running"))], 2);
    assert_eq!((released(&plan), counts(&plan)), (2, [0, 0, 1, 0, 2]));
}

#[test]
fn where_pods_are_refused_none_is_made_and_it_is_tried_again_later() {
    let job = job(2, Some(2));
    let why = "pods \"j-x\" is forbidden: violates PodSecurity";
    let rules = Rules { refusal: Some(why.to_owned()), ..Rules::default() };
    let plan = reconcile(&job, &[], &[], &rules, at(1));
    assert_eq!((created(&plan), counts(&plan), plan.wake_at), (0, [0; 5], Some(at(11))));
    assert_eq!(super::told(&plan), ["FailedCreate"]);
    assert_eq!(plan.record.ledger.pods_created, 0);
}

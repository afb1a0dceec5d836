//! CronJobs in numbers of Jobs:
//! <https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/>.

use k8s_openapi::api::batch::v1::JobCondition;
use serde_json::{Value, json};

use super::*;

fn at(text: &str) -> Timestamp {
    format!("2026-03-04T{text}Z").parse().unwrap()
}

fn cron(fields: Value) -> CronJob {
    let mut all = json!({
        "metadata": {
            "name": "c", "namespace": "n", "uid": "u", "creationTimestamp": "2026-03-04T09:50:30Z",
        },
        "spec": {"schedule": "*/10 * * * *", "jobTemplate": {
            "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
            "spec": {"template": {}},
        }},
    });
    for (name, value) in fields.as_object().unwrap() {
        all["spec"][name] = value.clone();
    }
    let mut cron: CronJob = serde_json::from_value(all).unwrap();
    api::cron::apply_defaults(&mut cron);
    cron
}

fn after(mut cron: CronJob, plan: &Plan) -> CronJob {
    cron.status = Some(plan.record.clone());
    cron
}

fn created(plan: &Plan) -> Vec<Job> {
    let made = plan.actions.iter();
    made.filter_map(|a| if let Action::CreateJob(job) = a { Some(*job.clone()) } else { None })
        .collect()
}

fn deleted(plan: &Plan) -> Vec<&str> {
    let gone = plan.actions.iter();
    gone.filter_map(|a| if let Action::DeleteJob { name } = a { Some(name.as_str()) } else { None })
        .collect()
}

fn told(plan: &Plan) -> Vec<&'static str> {
    let told = plan.actions.iter();
    told.filter_map(|a| if let Action::Tell(note) = a { Some(note.reason) } else { None }).collect()
}

fn ended(mut job: Job, kind: &str, at: Timestamp) -> Job {
    let condition =
        JobCondition { type_: kind.into(), status: "True".into(), ..Default::default() };
    let status = job.status.get_or_insert_default();
    status.conditions = Some(vec![condition]);
    status.start_time = Some(Time(at));
    status.completion_time = (kind == "Complete").then_some(Time(at));
    job
}

#[test]
fn nothing_is_started_before_its_time() {
    let plan = reconcile(&cron(json!({})), &[], at("09:55:00"));
    assert_eq!((plan.actions, plan.wake_at), (vec![], Some(at("10:00:00"))));
}

#[test]
fn a_job_is_started_at_its_minute_and_named_after_it() {
    let cron = cron(json!({"timeZone": "Europe/Berlin"}));
    let plan = reconcile(&cron, &[], at("10:00:02"));
    let job = created(&plan).remove(0);
    let minute = at("10:00:00").as_second() / 60;
    assert_eq!(job.name(), format!("c-{minute}"));
    let annotations = job.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations[SCHEDULED], "2026-03-04T11:00:00+01:00");
    assert_eq!(
        (annotations["c"].as_str(), &job.metadata.labels.as_ref().unwrap()["a"]),
        ("d", &"b".into())
    );
    assert_eq!(job.metadata.owner_references.as_ref().unwrap()[0].uid, "u");
    assert_eq!(plan.record.last_schedule_time, Some(Time(at("10:00:00"))));
    assert_eq!(plan.record.active.as_ref().unwrap()[0].uid, job.metadata.uid);
    assert_eq!((told(&plan), plan.wake_at), (vec!["SuccessfulCreate"], Some(at("10:10:00"))));
    // Looked at again, also where the status was not written, it is not started twice.
    let again = reconcile(&after(cron.clone(), &plan), &[&job], at("10:00:03"));
    assert_eq!((again.actions, &again.record), (vec![], &plan.record));
    let lost = reconcile(&cron, &[&job], at("10:00:03"));
    assert_eq!((created(&lost), &lost.record), (vec![], &plan.record));
}

#[test]
fn of_many_missed_starts_the_latest_is_made() {
    let mut cron = cron(json!({}));
    cron.metadata.creation_timestamp =
        Some(Time(at("10:00:00") - SignedDuration::from_hours(24 * 365)));
    let plan = reconcile(&cron, &[], at("10:05:00"));
    assert_eq!(plan.record.last_schedule_time, Some(Time(at("10:00:00"))));
    assert_eq!(told(&plan), ["TooManyMissedTimes", "SuccessfulCreate"]);
}

#[test]
fn a_start_that_is_too_late_is_not_made() {
    let cron = cron(json!({"startingDeadlineSeconds": 60}));
    let plan = reconcile(&cron, &[], at("10:01:01"));
    assert_eq!((created(&plan).len(), told(&plan)), (0, vec!["MissSchedule"]));
    assert_eq!(created(&reconcile(&cron, &[], at("10:01:00"))).len(), 1);
}

#[test]
fn what_still_runs_allows_forbids_or_is_replaced() {
    for (policy, made, gone, tells) in [
        ("Allow", 1, 0, vec!["SuccessfulCreate"]),
        ("Forbid", 0, 0, vec!["JobAlreadyActive"]),
        ("Replace", 1, 1, vec!["SuccessfulDelete", "SuccessfulCreate"]),
    ] {
        let cron = cron(json!({"concurrencyPolicy": policy}));
        let plan = reconcile(&cron, &[], at("10:00:00"));
        let first = created(&plan).remove(0);
        let plan = reconcile(&after(cron, &plan), &[&first], at("10:10:00"));
        assert_eq!((created(&plan).len(), deleted(&plan).len()), (made, gone), "{policy}");
        assert_eq!(told(&plan), tells);
        let active = plan.record.active.unwrap().len();
        assert_eq!(active, 1 + made - gone, "{policy}");
    }
}

#[test]
fn a_forbidden_start_is_made_once_the_job_before_has_ended() {
    let cron = cron(json!({"concurrencyPolicy": "Forbid"}));
    let plan = reconcile(&cron, &[], at("10:00:00"));
    let first = ended(created(&plan).remove(0), "Complete", at("10:13:00"));
    let plan = reconcile(&after(cron, &plan), &[&first], at("10:13:01"));
    assert_eq!(told(&plan), ["SawCompletedJob", "SuccessfulCreate"]);
    assert_eq!(plan.record.last_schedule_time, Some(Time(at("10:10:00"))));
    assert_eq!(plan.record.last_successful_time, Some(Time(at("10:13:00"))));
}

#[test]
fn a_job_that_went_missing_is_not_waited_for() {
    let cron = cron(json!({}));
    let plan = reconcile(&cron, &[], at("10:00:00"));
    let plan = reconcile(&after(cron, &plan), &[], at("10:01:00"));
    assert_eq!((told(&plan), plan.record.active), (vec!["MissingJob"], None));
}

#[test]
fn the_oldest_jobs_go() {
    let cron = cron(json!({"suspend": true, "successfulJobsHistoryLimit": 1}));
    let schedule = schedule(&cron).unwrap();
    let made = |minute: &str, kind: &str| {
        ended(job(&cron, &schedule, at(minute), at(minute)), kind, at(minute))
    };
    let jobs = [
        made("10:10:00", "Complete"),
        made("10:00:00", "Complete"),
        made("10:20:00", "Failed"),
        made("10:30:00", "Failed"),
    ];
    let plan = reconcile(&cron, &jobs.iter().collect::<Vec<_>>(), at("11:00:00"));
    assert_eq!(deleted(&plan), [jobs[1].name(), jobs[2].name()]);
}

#[test]
fn a_cron_job_that_waits_or_cannot_be_read_starts_nothing() {
    let plan = reconcile(&cron(json!({"suspend": true})), &[], at("10:00:00"));
    assert_eq!((plan.actions, plan.wake_at), (vec![], None));
    for (fields, reason) in [
        (json!({"schedule": "never"}), "UnparseableSchedule"),
        (json!({"timeZone": "Mars/Base"}), "UnknownTimeZone"),
    ] {
        let plan = reconcile(&cron(fields), &[], at("10:00:00"));
        assert_eq!((told(&plan), plan.wake_at), (vec![reason], None));
    }
}

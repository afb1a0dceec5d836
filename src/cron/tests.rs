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

#[test]
fn of_what_was_missed_only_that_counts_which_the_deadline_still_allowed() {
    for (deadline, tells) in [
        (3600, vec!["SuccessfulCreate"]),
        (200_000, vec!["TooManyMissedTimes", "SuccessfulCreate"]),
    ] {
        let mut cron = cron(json!({"startingDeadlineSeconds": deadline}));
        let year = SignedDuration::from_hours(24 * 365);
        cron.metadata.creation_timestamp = Some(Time(at("10:00:00") - year));
        let plan = reconcile(&cron, &[], at("10:05:00"));
        assert_eq!(told(&plan), tells, "{deadline}");
        let message = plan.actions.iter().find_map(|action| match action {
            Action::Tell(note) if note.reason == "TooManyMissedTimes" => Some(&note.message),
            Action::Tell(_) | Action::CreateJob(_) | Action::DeleteJob { .. } => None,
        });
        let counted =
            message.is_none_or(|text| text.starts_with("too many missed start times: 332"));
        assert!(counted, "{message:?}");
    }
}

#[test]
fn a_cron_job_that_goes_on_starts_the_latest_that_it_missed() {
    let waiting = cron(json!({"suspend": true}));
    let plan = reconcile(&waiting, &[], at("10:35:00"));
    let mut goes_on = after(waiting, &plan);
    goes_on.spec.suspend = Some(false);
    let plan = reconcile(&goes_on, &[], at("10:35:00"));
    assert_eq!(plan.record.last_schedule_time, Some(Time(at("10:30:00"))));
    assert_eq!((created(&plan).len(), plan.wake_at), (1, Some(at("10:40:00"))));
}

#[test]
fn a_cron_job_that_is_deleted_starts_nothing_more() {
    let mut deleted = cron(json!({}));
    deleted.metadata.deletion_timestamp = Some(Time(at("09:59:00")));
    let plan = reconcile(&deleted, &[], at("10:00:00"));
    assert_eq!((plan.actions, plan.wake_at), (vec![], None));
}

#[test]
fn as_many_jobs_are_kept_as_the_limits_say() {
    let jobs = |cron: &CronJob| -> Vec<Job> {
        let schedule = schedule(cron).unwrap();
        let ends = ["Complete", "Failed"].iter().cycle().take(10).enumerate();
        let made = ends.map(|(n, kind)| {
            let due = at("10:00:00") + SignedDuration::from_mins(10 * i64::try_from(n).unwrap());
            ended(job(cron, &schedule, due, due), kind, due)
        });
        made.collect()
    };
    for (limits, gone) in [
        (json!({}), 2 + 4),
        (json!({"successfulJobsHistoryLimit": 0, "failedJobsHistoryLimit": 0}), 10),
        (json!({"successfulJobsHistoryLimit": 9, "failedJobsHistoryLimit": 9}), 0),
    ] {
        let mut cron = cron(limits);
        cron.spec.suspend = Some(true);
        let jobs = jobs(&cron);
        let plan = reconcile(&cron, &jobs.iter().collect::<Vec<_>>(), at("12:00:00"));
        assert_eq!((deleted(&plan).len(), told(&plan).len()), (gone, gone));
    }
}

/// Follows a CronJob from look to look. Every plan is made twice, as if the engine had ended between;
/// the Jobs end at once. Answers for when they were started.
fn follow(mut cron: CronJob, from: &str, looks: usize) -> Vec<String> {
    let mut now: Timestamp = from.parse().unwrap();
    cron.metadata.creation_timestamp = Some(Time(now));
    let (mut starts, mut names) = (Vec::new(), std::collections::BTreeSet::new());
    for _ in 0..looks {
        let plan = reconcile(&cron, &[], now);
        assert_eq!(plan, reconcile(&cron, &[], now), "made again, it is another plan");
        for job in created(&plan) {
            assert!(names.insert(job.name().to_owned()), "{} is made twice", job.name());
            starts.push(job.metadata.annotations.as_ref().unwrap()[SCHEDULED].clone());
        }
        cron.status = Some(CronJobStatus { active: None, ..plan.record });
        now = plan.wake_at.unwrap();
    }
    starts
}

#[test]
fn where_the_clock_is_put_forward_a_start_of_the_missing_hour_is_made_once_after_it() {
    let daily = cron(json!({"schedule": "30 2 * * *", "timeZone": "Europe/Berlin"}));
    assert_eq!(
        follow(daily, "2026-03-27T12:00:00Z", 4),
        ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
    );
    let hourly = cron(json!({"schedule": "15 * * * *", "timeZone": "America/New_York"}));
    assert_eq!(
        follow(hourly, "2026-03-08T05:30:00Z", 4),
        ["2026-03-08T01:15:00-05:00", "2026-03-08T03:15:00-04:00", "2026-03-08T04:15:00-04:00"]
    );
}

#[test]
fn where_the_clock_is_put_back_a_start_of_the_double_hour_is_made_once_and_every_hour_has_its_own()
{
    let daily = cron(json!({"schedule": "30 2 * * *", "timeZone": "Europe/Berlin"}));
    assert_eq!(
        follow(daily, "2026-10-24T12:00:00Z", 3),
        ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]
    );
    let hourly = cron(json!({"schedule": "0 * * * *", "timeZone": "Europe/Berlin"}));
    assert_eq!(
        follow(hourly, "2026-10-24T23:30:00Z", 4),
        ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"]
    );
}

#[test]
fn every_time_of_a_schedule_is_started_once() {
    for (schedule, zone) in [
        ("* * * * *", "UTC"),
        ("*/7 9-17 * * MON-FRI", "Asia/Kolkata"),
        ("0 0 29 2 *", "UTC"),
        ("@monthly", "Pacific/Auckland"),
        ("@every 90m", "UTC"),
        ("0 */2 1,15 * 3", "America/St_Johns"),
    ] {
        let cron = cron(json!({"schedule": schedule, "timeZone": zone}));
        let times = super::schedule(&cron).unwrap();
        let mut at: Timestamp = "2026-01-01T00:00:30Z".parse().unwrap();
        let expected: Vec<String> = (0..60)
            .map(|_| {
                at = times.after(at).unwrap();
                times.shown(at)
            })
            .collect();
        assert_eq!(follow(cron, "2026-01-01T00:00:30Z", 61), expected, "{schedule}");
    }
}

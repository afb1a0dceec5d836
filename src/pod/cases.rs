//! The acceptance cases of <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/>.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container as Wanted, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::{
    Action, Cause, Container, Exit, Image, ImageError, ImageReason, Instance, Lack, Observed,
    Operation, Plan, RefusedReason, Rules, Sandbox, Signal, State, reconcile,
};
use crate::api::deletion::mark_pod;
use crate::api::event::Note;

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(super) fn pod(policy: &str, containers: &[&str]) -> Pod {
    let wanted = |name: &&str| Wanted {
        name: (*name).to_owned(),
        image: Some("busybox:1".into()),
        ..Wanted::default()
    };
    let mut pod = Pod::default();
    pod.metadata.name = Some("p".into());
    pod.metadata.namespace = Some("default".into());
    pod.metadata.uid = Some("u".into());
    pod.spec = Some(PodSpec {
        restart_policy: Some(policy.into()),
        containers: containers.iter().map(wanted).collect(),
        ..PodSpec::default()
    });
    pod
}

pub(super) fn instance(container: &str, attempt: u32) -> Instance {
    Instance { container: container.into(), attempt }
}

/// Image and sandbox are there.
pub(super) fn ready() -> Observed {
    let image = Image::Present { id: "busybox@sha256:0".into(), note: None };
    Observed {
        sandbox: Sandbox::Ready { ips: Vec::new() },
        images: [("busybox:1".to_owned(), image)].into(),
        ..Observed::default()
    }
}

pub(super) fn put(observed: &mut Observed, instance: Instance, state: State) {
    let id = format!("id-{instance}");
    let image_id = "busybox@sha256:0".to_owned();
    observed.containers.insert(instance, Container { id, image_id, state, signalled: None });
}

pub(super) fn running(second: i64) -> State {
    State::Running { started_at: at(second) }
}

pub(super) fn exited(code: i32, second: i64) -> State {
    let (started_at, finished_at) = (Some(at(0)), at(second));
    State::Exited(Exit { code, cause: Cause::Program, message: None, started_at, finished_at })
}

pub(super) fn look(pod: &Pod, observed: &Observed, second: i64) -> Plan {
    reconcile(pod, observed, &Rules::default(), at(second))
}

/// The pod as it stands in the store after the plan.
pub(super) fn after(pod: &Pod, plan: &Plan) -> Pod {
    let mut pod = pod.clone();
    pod.status = Some(plan.record.status.clone());
    plan.record.ledger.write(&mut pod);
    pod
}

pub(super) fn phase(plan: &Plan) -> &str {
    plan.record.status.phase.as_deref().unwrap_or_default()
}

/// What each container shows: `Running`, or the reason.
pub(super) fn reasons(plan: &Plan) -> Vec<String> {
    let all = plan.record.status.container_statuses.iter().flatten();
    all.map(|status| {
        let state = status.state.clone().unwrap();
        let waiting = state.waiting.and_then(|w| w.reason);
        let ended = state.terminated.and_then(|t| t.reason);
        waiting.or(ended).unwrap_or_else(|| "Running".into())
    })
    .collect()
}

pub(super) fn does(plan: &Plan, action: &Action) -> bool {
    plan.actions.contains(action)
}

#[test]
fn a_pod_waits_for_a_port_of_the_host_and_says_so_once() {
    let mut observed = ready();
    let message = "no free ports".to_owned();
    observed.sandbox = Sandbox::Failed { lack: Lack::Ports, message, at: at(0), failures: 9 };
    let mut pod = pod("Never", &["main"]);
    let told = |plan: &Plan| {
        let is_told =
            |action: &Action| matches!(action, Action::Tell(n) if n.reason == "FailedScheduling");
        plan.actions.iter().any(is_told)
    };
    let plan = look(&pod, &observed, 0);
    assert_eq!((told(&plan), plan.wake_at), (true, Some(at(1))));
    pod = after(&pod, &plan);
    let plan = look(&pod, &observed, 1);
    assert!(does(&plan, &Action::CreateSandbox) && !told(&plan), "{plan:?}");
}

#[test]
fn a_pod_says_where_it_is_found() {
    let mut observed = ready();
    observed.sandbox = Sandbox::Ready { ips: vec!["10.0.0.9".to_owned(), "fd00::9".to_owned()] };
    let rules = Rules { host_ips: vec!["192.0.2.7".to_owned()], ..Rules::default() };
    let plan = reconcile(&pod("Never", &["main"]), &observed, &rules, at(0));
    let status = serde_json::to_value(&plan.record.status).unwrap();
    assert_eq!((&status["podIP"], &status["hostIP"]), (&json!("10.0.0.9"), &json!("192.0.2.7")));
    assert_eq!(status["podIPs"], json!([{"ip": "10.0.0.9"}, {"ip": "fd00::9"}]));
    assert_eq!(status["hostIPs"], json!([{"ip": "192.0.2.7"}]));
}

#[test]
fn a_new_pod_gets_its_image_and_its_sandbox_then_its_containers() {
    let pod = pod("Never", &["a", "b"]);
    let plan = look(&pod, &Observed::default(), 5);
    let pulls = plan.actions.iter().filter(|a| matches!(a, Action::Pull { .. })).count();
    assert_eq!((pulls, does(&plan, &Action::CreateSandbox)), (1, true));
    assert_eq!((phase(&plan), reasons(&plan)[0].as_str()), ("Pending", "ContainerCreating"));
    assert_eq!(plan.record.status.start_time, Some(Time(at(5))));

    let plan = look(&pod, &ready(), 6);
    for name in ["a", "b"] {
        assert!(does(&plan, &Action::Start(instance(name, 0))));
    }
}

#[test]
fn an_exit_is_told_before_the_instance_is_removed() {
    let (pod, mut observed) = (pod("Never", &["main"]), ready());
    put(&mut observed, instance("main", 0), exited(0, 3));
    let plan = look(&pod, &observed, 4);
    assert_eq!((phase(&plan), reasons(&plan)), ("Succeeded", vec!["Completed".to_owned()]));
    let remove = Action::Remove(instance("main", 0));
    assert!(!does(&plan, &remove));

    let pod = after(&pod, &plan);
    let plan = look(&pod, &observed, 4);
    assert!(does(&plan, &remove) && !does(&plan, &Action::RemoveSandbox));
    observed.containers.clear();
    assert!(does(&look(&pod, &observed, 4), &Action::RemoveSandbox));
}

#[test]
fn the_phase_follows_the_containers_and_the_policy() {
    for (policy, first, second, expected) in [
        ("Never", exited(0, 1), exited(1, 1), "Failed"),
        ("OnFailure", exited(0, 1), exited(1, 1), "Running"),
        ("OnFailure", exited(0, 1), exited(0, 1), "Succeeded"),
        ("Never", exited(1, 1), running(0), "Running"),
        ("Never", running(0), running(0), "Running"),
    ] {
        let mut observed = ready();
        put(&mut observed, instance("a", 0), first);
        put(&mut observed, instance("b", 0), second);
        assert_eq!(phase(&look(&pod(policy, &["a", "b"]), &observed, 2)), expected, "{policy}");
    }
}

#[test]
fn case_114_the_pod_runs_until_all_its_containers_have_succeeded() {
    let (mut pod, mut observed) = (pod("OnFailure", &["a", "b"]), ready());
    put(&mut observed, instance("a", 0), exited(0, 1));
    put(&mut observed, instance("b", 0), exited(1, 1));
    let plan = look(&pod, &observed, 2);
    assert_eq!(phase(&plan), "Running");
    pod = after(&pod, &plan);
    // Only the one that failed runs again.
    let plan = look(&pod, &observed, 2);
    assert!(does(&plan, &Action::Start(instance("b", 1))));
    assert!(!does(&plan, &Action::Start(instance("a", 1))));
    put(&mut observed, instance("b", 1), running(2));
    pod = after(&pod, &look(&pod, &observed, 3));
    assert_eq!(pod.status.as_ref().unwrap().phase.as_deref(), Some("Running"));
    put(&mut observed, instance("b", 1), exited(0, 4));
    assert_eq!(phase(&look(&pod, &observed, 4)), "Succeeded");
}

#[test]
fn the_next_attempt_starts_only_after_the_store_tells_of_it() {
    let (pod, mut observed) = (pod("OnFailure", &["main"]), ready());
    put(&mut observed, instance("main", 0), exited(1, 3));
    let plan = look(&pod, &observed, 3);
    let start = Action::Start(instance("main", 1));
    assert!(!does(&plan, &start));
    let pod = after(&pod, &plan);
    let status = &plan.record.status.container_statuses.as_ref().unwrap()[0];
    assert_eq!(status.restart_count, 1);
    let plan = look(&pod, &observed, 3);
    assert!(does(&plan, &start) && does(&plan, &Action::Remove(instance("main", 0))));

    put(&mut observed, instance("main", 1), exited(1, 5));
    let plan = look(&pod, &observed, 5);
    assert_eq!((reasons(&plan)[0].as_str(), plan.wake_at), ("CrashLoopBackOff", Some(at(15))));
    let pod = after(&pod, &plan);
    assert!(does(&look(&pod, &observed, 6), &Action::Remove(instance("main", 1))));
    observed.containers.clear();
    let plan = look(&pod, &observed, 15);
    assert_eq!(plan.record.status.container_statuses.unwrap()[0].restart_count, 2);
}

#[test]
fn case_115_a_missing_entrypoint_ends_the_pod_or_is_tried_again() {
    for (policy, expected, shown) in
        [("Never", "Failed", "StartError"), ("OnFailure", "Running", "RunContainerError")]
    {
        let mut observed = ready();
        let cause = Cause::StartError { message: "no such file".into() };
        let exit = Exit { code: 128, cause, message: None, started_at: None, finished_at: at(3) };
        put(&mut observed, instance("main", 0), State::Exited(exit));
        let plan = look(&pod(policy, &["main"]), &observed, 3);
        assert_eq!((phase(&plan), reasons(&plan)[0].as_str()), (expected, shown));
    }
}

#[test]
fn case_116_a_deleted_pod_is_asked_to_stop_and_ends_as_its_containers_do() {
    for (code, expected) in [(0, "Succeeded"), (143, "Failed")] {
        let (mut pod, mut observed) = (pod("Never", &["main"]), ready());
        put(&mut observed, instance("main", 0), running(0));
        pod = after(&pod, &look(&pod, &observed, 1));
        pod.metadata.deletion_timestamp = Some(Time(at(40)));
        pod.metadata.deletion_grace_period_seconds = Some(30);
        let signal = |signal| Action::Signal { instance: instance("main", 0), signal };
        assert!(does(&look(&pod, &observed, 10), &signal(Signal::Stop)));

        observed.containers.get_mut(&instance("main", 0)).unwrap().signalled =
            Some((Signal::Stop, at(10)));
        let plan = look(&pod, &observed, 39);
        assert_eq!((plan.wake_at, does(&plan, &signal(Signal::Kill))), (Some(at(40)), false));
        assert!(does(&look(&pod, &observed, 40), &signal(Signal::Kill)));

        put(&mut observed, instance("main", 0), exited(code, 41));
        let plan = look(&pod, &observed, 41);
        assert_eq!(phase(&plan), expected);
        let pod = after(&pod, &plan);
        assert!(does(&look(&pod, &Observed::default(), 42), &Action::ReleasePod));
    }
}

#[test]
fn a_grace_that_is_shortened_ends_sooner() {
    let (mut pod, mut observed) = (pod("Never", &["main"]), ready());
    put(&mut observed, instance("main", 0), running(0));
    pod = after(&pod, &look(&pod, &observed, 1));
    mark_pod(&mut pod, None, at(10));
    let kill = Action::Signal { instance: instance("main", 0), signal: Signal::Kill };
    observed.containers.get_mut(&instance("main", 0)).unwrap().signalled =
        Some((Signal::Stop, at(10)));
    assert!(!does(&look(&pod, &observed, 12), &kill));
    mark_pod(&mut pod, Some(Duration::ZERO), at(12));
    let plan = look(&pod, &observed, 12);
    assert!(does(&plan, &kill) && !does(&plan, &Action::ReleasePod));

    // One that was not even asked to stop is asked, and killed a second later.
    observed.containers.get_mut(&instance("main", 0)).unwrap().signalled = None;
    let stop = Action::Signal { instance: instance("main", 0), signal: Signal::Stop };
    assert!(does(&look(&pod, &observed, 12), &stop));
    observed.containers.get_mut(&instance("main", 0)).unwrap().signalled =
        Some((Signal::Stop, at(12)));
    let plan = look(&pod, &observed, 12);
    assert_eq!((does(&plan, &kill), plan.wake_at), (false, Some(at(13))));
    assert!(does(&look(&pod, &observed, 13), &kill));
}

#[test]
fn a_pod_that_never_ran_goes_when_it_is_deleted() {
    let mut pod = pod("Never", &["main"]);
    pod.metadata.deletion_timestamp = Some(Time(at(40)));
    let plan = look(&pod, &Observed::default(), 10);
    assert_eq!((phase(&plan), plan.actions.len()), ("Failed", 0));
    assert!(does(&look(&after(&pod, &plan), &Observed::default(), 10), &Action::ReleasePod));
}

#[test]
fn a_pod_that_was_active_too_long_fails_whatever_its_exit_code() {
    let (mut pod, mut observed) = (pod("OnFailure", &["main"]), ready());
    pod.spec.as_mut().unwrap().active_deadline_seconds = Some(60);
    put(&mut observed, instance("main", 0), running(0));
    let plan = look(&pod, &observed, 0);
    assert_eq!(plan.wake_at, Some(at(60)));
    pod = after(&pod, &plan);
    let plan = look(&pod, &observed, 60);
    assert_eq!(plan.record.status.reason.as_deref(), Some("DeadlineExceeded"));
    assert_eq!(phase(&plan), "Running");
    pod = after(&pod, &plan);
    put(&mut observed, instance("main", 0), exited(0, 61));
    assert_eq!(phase(&look(&pod, &observed, 61)), "Failed");
}

#[test]
fn a_pull_that_fails_never_fails_the_pod() {
    let (pod, mut observed) = (pod("Never", &["main"]), ready());
    let error = ImageError { reason: ImageReason::ErrImagePull, message: "not found".into() };
    observed.images.insert("busybox:1".into(), Image::Failed { error, at: at(0), failures: 1 });
    let plan = look(&pod, &observed, 0);
    assert_eq!((phase(&plan), reasons(&plan)[0].as_str()), ("Pending", "ErrImagePull"));
    let pod = after(&pod, &plan);
    let plan = look(&pod, &observed, 5);
    assert_eq!((reasons(&plan)[0].as_str(), plan.wake_at), ("ImagePullBackOff", Some(at(10))));
    assert!(look(&pod, &observed, 10).actions.iter().any(|a| matches!(a, Action::Pull { .. })));
}

#[test]
fn a_container_that_is_refused_waits_and_does_not_count() {
    let (pod, mut observed) = (pod("Never", &["main"]), ready());
    let reason = RefusedReason::CreateContainerConfigError;
    let message = "container has runAsNonRoot and image will run as root".to_owned();
    let state = State::Refused { reason, message, at: at(0), failures: 1 };
    put(&mut observed, instance("main", 0), state);
    observed.containers.get_mut(&instance("main", 0)).unwrap().id.clear();
    let plan = look(&pod, &observed, 1);
    assert_eq!(
        (phase(&plan), reasons(&plan)[0].as_str()),
        ("Pending", "CreateContainerConfigError")
    );
    assert!(does(&look(&pod, &observed, 10), &Action::Start(instance("main", 0))));
}

/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/>
#[test]
fn a_pod_says_its_class_and_keeps_it() {
    let mut pod = pod("Never", &["main"]);
    let class = |pod: &Pod| look(pod, &ready(), 0).record.status.qos_class;
    assert_eq!(class(&pod).as_deref(), Some("BestEffort"));
    let resources = serde_json::json!({"requests": {"cpu": "1"}});
    let container = &mut pod.spec.as_mut().unwrap().containers[0];
    container.resources = serde_json::from_value(resources).unwrap();
    assert_eq!(class(&pod).as_deref(), Some("Burstable"));
    let plan = look(&pod, &ready(), 0);
    let mut later = after(&pod, &plan);
    later.spec.as_mut().unwrap().containers[0].resources = None;
    assert_eq!(class(&later).as_deref(), Some("Burstable"));
}

#[test]
fn a_container_that_ran_and_that_nobody_knows_any_more_is_lost() {
    let (pod, mut observed) = (pod("Never", &["main"]), ready());
    put(&mut observed, instance("main", 0), running(0));
    let pod = after(&pod, &look(&pod, &observed, 1));
    let plan = look(&pod, &Observed::default(), 9);
    let state = plan.record.status.container_statuses.as_ref().unwrap()[0].state.clone().unwrap();
    assert_eq!(state.terminated.unwrap().exit_code, 137);
    assert_eq!((phase(&plan), reasons(&plan)[0].as_str()), ("Failed", "ContainerStatusUnknown"));
}

#[test]
fn a_plan_that_is_stored_has_nothing_new_to_say() {
    let (pod, mut observed) = (pod("Never", &["main"]), ready());
    put(&mut observed, instance("main", 0), running(0));
    let plan = look(&pod, &observed, 1);
    let again = look(&after(&pod, &plan), &observed, 2);
    assert_eq!(again.record, plan.record);
    assert!(again.actions.is_empty(), "{:?}", again.actions);
}

#[test]
fn a_volume_that_cannot_be_had_is_told_once_and_tried_again() {
    let mut observed = ready();
    let message = "hostPath type check failed: /a is not a file".to_owned();
    let failed = Sandbox::Failed { lack: super::Lack::Volume, message, at: at(3), failures: 1 };
    observed.sandbox = failed;
    let mut pod = pod("Never", &["main"]);
    let tells = |plan: &Plan| {
        let told =
            |action: &&Action| matches!(action, Action::Tell(note) if note.reason == "FailedMount");
        plan.actions.iter().filter(told).count()
    };
    let plan = look(&pod, &observed, 4);
    assert_eq!((tells(&plan), reasons(&plan)), (1, vec!["ContainerCreating".to_owned()]));
    pod = after(&pod, &plan);
    let plan = look(&pod, &observed, 5);
    assert_eq!((tells(&plan), plan.wake_at), (0, Some(at(13))));
    assert!(does(&look(&pod, &observed, 13), &Action::CreateSandbox));
}

#[test]
fn a_pod_that_is_late_has_its_whole_grace_also_when_nobody_looked_in_time() {
    let (mut pod, mut observed) = (pod("Never", &["main"]), ready());
    pod.spec.as_mut().unwrap().active_deadline_seconds = Some(10);
    put(&mut observed, instance("main", 0), running(0));
    pod = after(&pod, &look(&pod, &observed, 1));
    let signal = |signal| Action::Signal { instance: instance("main", 0), signal };
    assert!(does(&look(&pod, &observed, 100), &signal(Signal::Stop)));
    observed.containers.get_mut(&instance("main", 0)).unwrap().signalled =
        Some((Signal::Stop, at(100)));
    let plan = look(&pod, &observed, 101);
    assert_eq!((does(&plan, &signal(Signal::Kill)), plan.wake_at), (false, Some(at(130))));
}

#[test]
fn a_container_that_lacks_an_object_starts_as_soon_as_that_is_there() {
    let (pod, mut observed) = (pod("Never", &["main"]), ready());
    let message = "configmap \"m\" not found".to_owned();
    let reason = RefusedReason::CreateContainerConfigError;
    let refused = State::Refused { reason, message: message.clone(), at: at(5), failures: 1 };
    put(&mut observed, instance("main", 0), refused);
    let start = Action::Start(instance("main", 0));
    let plan = look(&pod, &observed, 6);
    assert_eq!(
        (reasons(&plan)[0].as_str(), plan.wake_at),
        ("CreateContainerConfigError", Some(at(15)))
    );
    let note = Note::warning("Failed", format!("Error: {message}")).about("main");
    assert!(does(&plan, &Action::Tell(note.clone())) && !does(&plan, &start));
    // It is told once.
    let pod = after(&pod, &plan);
    assert!(!does(&look(&pod, &observed, 7), &Action::Tell(note)));

    observed.needs.changed_at = Some(at(4));
    assert!(!does(&look(&pod, &observed, 8), &start));
    observed.needs.changed_at = Some(at(8));
    assert!(does(&look(&pod, &observed, 8), &start));
}

#[test]
fn a_volume_that_lacks_an_object_is_made_as_soon_as_that_is_there() {
    let (pod, mut observed) = (pod("Never", &["main"]), ready());
    let message = "MountVolume.SetUp failed for volume \"v\" : secret \"s\" not found".to_owned();
    observed.sandbox =
        Sandbox::Failed { lack: Lack::Volume, message: message.clone(), at: at(5), failures: 1 };
    let plan = look(&pod, &observed, 6);
    assert!(does(&plan, &Action::Tell(Note::warning("FailedMount", message))));
    assert!(!does(&plan, &Action::CreateSandbox));
    observed.needs.changed_at = Some(at(6));
    assert!(does(&look(&pod, &observed, 6), &Action::CreateSandbox));
}

#[test]
fn volumes_follow_what_they_are_made_from_while_the_pod_runs() {
    let (pod, mut observed) = (pod("Never", &["main"]), ready());
    put(&mut observed, instance("main", 0), running(1));
    assert!(!does(&look(&pod, &observed, 2), &Action::UpdateVolumes));
    observed.needs.are_stale = true;
    assert!(does(&look(&pod, &observed, 2), &Action::UpdateVolumes));
    observed.in_flight.insert(Operation::UpdateVolumes);
    assert!(!does(&look(&pod, &observed, 2), &Action::UpdateVolumes));
    observed.in_flight.clear();
    put(&mut observed, instance("main", 0), exited(0, 3));
    assert!(!does(&look(&pod, &observed, 4), &Action::UpdateVolumes));
}

//! The order in which the containers of a pod start and stop.
//!
//! Owns: who may start, whether the pod's outcome is certain, and whose turn it is to stop. Must not know:
//! how one is started or stopped, or how it shows.
//! <https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#detailed-behavior>

use jiff::Timestamp;

use super::standing::{Member, Role, Standing};
use super::{Observed, Operation};

/// Whether the container at this place may start. What has started before the others may do so again at
/// any time; and once one of the pod's own containers has started, the init containers are behind it.
pub(super) fn may_start(members: &[Member<'_>], place: usize) -> bool {
    let own = |member: &Member<'_>| member.role == Role::App;
    let initialized = || members.iter().any(|member| own(member) && member.has_started());
    let earlier = members.iter().take(place).filter(|member| !own(member));
    members.get(place).is_some_and(Member::has_started)
        || earlier.into_iter().all(lets_the_next_start)
        || initialized()
}

/// An init container does when it has succeeded, a sidecar as soon as it has started.
/// <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/>
fn lets_the_next_start(member: &Member<'_>) -> bool {
    match member.role {
        Role::Init => member.end().is_some_and(|end| end.exit_code == 0),
        Role::Sidecar => member.up,
        Role::App => true,
    }
}

/// Whether it is certain how the pod ends: an init container has failed for good, or all of the pod's own
/// containers that decide have ended for good. What still runs then only has to stop.
pub(super) fn is_decided(members: &[Member<'_>]) -> bool {
    let over = |member: &Member<'_>| member.end().is_some_and(|end| !member.restarts(end));
    let failed = |member: &Member<'_>| {
        member.role == Role::Init && over(member) && !lets_the_next_start(member)
    };
    let own = members.iter().filter(|member| member.role == Role::App && member.decides);
    let mut own = own.peekable();
    members.iter().any(failed) || (own.peek().is_some() && own.all(over))
}

/// When the pod was decided: the last end of all.
pub(super) fn decided_at(members: &[Member<'_>]) -> Option<Timestamp> {
    let counted = members.iter().filter(|member| member.role != Role::Sidecar && member.decides);
    counted.filter_map(Member::finished_at).max()
}

/// Whether the container at this place may be stopped now: a sidecar goes after all that started later.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#termination-with-sidecars>
pub(super) fn is_its_turn_to_stop(
    members: &[Member<'_>],
    place: usize,
    observed: &Observed,
) -> bool {
    let Some(member) = members.get(place).filter(|member| member.role == Role::Sidecar) else {
        return true;
    };
    let starts =
        |other: &Member<'_>| observed.in_flight.contains(&Operation::Start(other.instance()));
    let holds_up = |other: &&Member<'_>| other.runs() || starts(other);
    let init = |other: &&Member<'_>| other.role == Role::Init && other.name() != member.name();
    !members.iter().skip(place + 1).any(|other| holds_up(&other))
        && !members.iter().filter(init).any(|other| holds_up(&other))
}

/// Whether anything of the pod runs, or is about to.
pub(super) fn is_active(members: &[Member<'_>], observed: &Observed) -> bool {
    let starts = |operation: &Operation| matches!(operation, Operation::Start(_));
    let runs = |member: &Member<'_>| matches!(member.standing, Standing::Running { .. });
    members.iter().any(runs) || observed.in_flight.iter().any(starts)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Container as Wanted, Pod};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use crate::api::columns::pod_row;
    use crate::pod::cases::{
        after, at, does, exited, instance, look, phase, pod, put, ready, reasons, running,
    };
    use crate::pod::{Action, Instance, Observed, Plan, Signal};

    /// A pod of one container `main` with these init containers; `+` marks a sidecar.
    fn pod_with(policy: &str, init: &[&str]) -> Pod {
        let mut pod = pod(policy, &["main"]);
        let wanted = |name: &&str| Wanted {
            name: name.trim_start_matches('+').to_owned(),
            image: Some("busybox:1".into()),
            restart_policy: name.starts_with('+').then(|| "Always".into()),
            ..Wanted::default()
        };
        pod.spec.as_mut().unwrap().init_containers = Some(init.iter().map(wanted).collect());
        pod
    }

    fn starts(plan: &Plan) -> Vec<String> {
        let (mut starts, mut stops) = (Vec::new(), Vec::new());
        sort(plan, &mut starts, &mut stops);
        starts
    }

    fn stops(plan: &Plan) -> Vec<String> {
        let (mut starts, mut stops) = (Vec::new(), Vec::new());
        sort(plan, &mut starts, &mut stops);
        stops
    }

    fn sort(plan: &Plan, starts: &mut Vec<String>, stops: &mut Vec<String>) {
        for action in &plan.actions {
            if let Action::Start(instance) = action {
                starts.push(instance.to_string());
            } else if let Action::Signal { instance, signal: Signal::Stop } = action {
                stops.push(instance.container.clone());
            }
        }
    }

    fn condition(plan: &Plan, kind: &str) -> (String, Option<String>) {
        let all = plan.record.status.conditions.iter().flatten();
        let found = all.into_iter().find(|condition| condition.type_ == kind).unwrap();
        (found.status.clone(), found.message.clone())
    }

    /// The plan after this has been stored.
    fn next(pod: &mut Pod, observed: &Observed, second: i64) -> Plan {
        *pod = after(pod, &look(pod, observed, second));
        look(pod, observed, second)
    }

    fn forget(observed: &mut Observed, instance: &Instance) {
        observed.containers.remove(instance);
    }

    #[test]
    fn init_containers_run_one_after_the_other_before_all_others() {
        let (mut pod, mut observed) = (pod_with("Never", &["one", "two"]), ready());
        let plan = next(&mut pod, &observed, 1);
        assert_eq!(
            (starts(&plan), reasons(&plan)),
            (vec!["one#0".into()], vec!["PodInitializing".into()])
        );
        put(&mut observed, instance("one", 0), running(1));
        assert_eq!(starts(&next(&mut pod, &observed, 2)), [""; 0]);
        assert_eq!(pod_row(&pod, at(2))[2], "Init:0/2");

        put(&mut observed, instance("one", 0), exited(0, 3));
        let plan = next(&mut pod, &observed, 3);
        assert_eq!((starts(&plan), phase(&plan)), (vec!["two#0".to_owned()], "Pending"));
        assert_eq!(pod_row(&pod, at(3))[2], "Init:1/2");
        let incomplete = Some("containers with incomplete status: [two]".to_owned());
        assert_eq!(condition(&plan, "Initialized"), ("False".into(), incomplete));

        // What has ended may be forgotten on the host.
        forget(&mut observed, &instance("one", 0));
        put(&mut observed, instance("two", 0), exited(0, 4));
        let plan = next(&mut pod, &observed, 4);
        assert_eq!((starts(&plan), phase(&plan)), (vec!["main#0".to_owned()], "Pending"));
        put(&mut observed, instance("main", 0), exited(0, 5));
        let plan = next(&mut pod, &observed, 5);
        assert_eq!((phase(&plan), starts(&plan)), ("Succeeded", vec![]));
    }

    #[test]
    fn case_113_an_init_container_that_fails_ends_the_pod_or_runs_again() {
        for (policy, expected, shown) in
            [("Never", "Failed", "Init:Error"), ("OnFailure", "Pending", "Init:CrashLoopBackOff")]
        {
            let (mut pod, mut observed) = (pod_with(policy, &["one"]), ready());
            put(&mut observed, instance("one", 0), exited(1, 3));
            let mut plan = next(&mut pod, &observed, 3);
            if policy == "OnFailure" {
                assert_eq!(starts(&plan), ["one#1"]);
                put(&mut observed, instance("one", 1), exited(1, 4));
                plan = next(&mut pod, &observed, 4);
            }
            assert_eq!(
                (phase(&plan), reasons(&plan)),
                (expected, vec!["PodInitializing".to_owned()])
            );
            assert_eq!((starts(&plan), pod_row(&pod, at(4))[2].as_str()), (vec![], shown));
            let restarts = u32::from(policy == "OnFailure");
            assert!(crate::api::pod::restarts(&pod) >= restarts);
        }
    }

    #[test]
    fn a_sidecar_lets_the_next_start_as_soon_as_it_runs() {
        let (mut pod, mut observed) = (pod_with("Never", &["+proxy", "one"]), ready());
        assert_eq!(starts(&next(&mut pod, &observed, 1)), ["proxy#0"]);
        put(&mut observed, instance("proxy", 0), running(1));
        assert_eq!(starts(&next(&mut pod, &observed, 2)), ["one#0"]);
        put(&mut observed, instance("one", 0), exited(0, 3));
        assert_eq!(starts(&next(&mut pod, &observed, 3)), ["main#0"]);
        put(&mut observed, instance("main", 0), running(4));
        let plan = next(&mut pod, &observed, 4);
        assert_eq!((phase(&plan), condition(&plan, "Ready").0.as_str()), ("Running", "True"));
        // Case 110.
        assert_eq!(pod_row(&pod, at(4))[1..3], ["2/2".to_owned(), "Running".to_owned()]);
    }

    #[test]
    fn a_sidecar_runs_again_whatever_the_policy_and_the_pod_stays_as_it_is() {
        let (mut pod, mut observed) = (pod_with("Never", &["+proxy"]), ready());
        put(&mut observed, instance("proxy", 0), running(1));
        put(&mut observed, instance("main", 0), running(2));
        next(&mut pod, &observed, 2);
        put(&mut observed, instance("proxy", 0), exited(1, 3));
        let plan = next(&mut pod, &observed, 3);
        assert_eq!((starts(&plan), phase(&plan)), (vec!["proxy#1".to_owned()], "Running"));
        let unready = Some("containers with unready status: [proxy]".to_owned());
        assert_eq!(condition(&plan, "Ready"), ("False".into(), unready));
        assert_eq!(condition(&plan, "Initialized").0, "True");
    }

    #[test]
    fn case_117_sidecars_stop_in_reverse_order_after_the_others_and_do_not_count() {
        let (mut pod, mut observed) = (pod_with("OnFailure", &["+one", "+two"]), ready());
        for name in ["one", "two", "main"] {
            put(&mut observed, instance(name, 0), running(1));
        }
        assert_eq!(stops(&next(&mut pod, &observed, 2)), [""; 0]);
        put(&mut observed, instance("main", 0), exited(0, 3));
        let plan = next(&mut pod, &observed, 3);
        assert_eq!((stops(&plan), phase(&plan)), (vec!["two".to_owned()], "Running"));
        put(&mut observed, instance("two", 0), exited(137, 4));
        let plan = next(&mut pod, &observed, 4);
        assert_eq!((stops(&plan), starts(&plan)), (vec!["one".to_owned()], vec![]));
        put(&mut observed, instance("one", 0), exited(143, 5));
        let plan = next(&mut pod, &observed, 5);
        assert_eq!((phase(&plan), starts(&plan)), ("Succeeded", vec![]));
    }

    #[test]
    fn sidecars_and_the_others_have_one_grace_period_together() {
        let (mut pod, mut observed) = (pod_with("Never", &["+proxy"]), ready());
        for name in ["proxy", "main"] {
            put(&mut observed, instance(name, 0), running(1));
        }
        next(&mut pod, &observed, 2);
        pod.metadata.deletion_timestamp = Some(Time(at(40)));
        pod.metadata.deletion_grace_period_seconds = Some(30);
        let plan = next(&mut pod, &observed, 10);
        assert_eq!((stops(&plan), plan.wake_at), (vec!["main".to_owned()], Some(at(41))));
        let stopped = |observed: &mut Observed, name, second| {
            let known = observed.containers.get_mut(&instance(name, 0)).unwrap();
            known.signalled = Some((Signal::Stop, at(second)));
        };
        stopped(&mut observed, "main", 10);
        let plan = next(&mut pod, &observed, 41);
        let kill = |name| Action::Signal { instance: instance(name, 0), signal: Signal::Kill };
        assert!(does(&plan, &kill("main")) && !does(&plan, &kill("proxy")));
        assert_eq!(stops(&plan), ["proxy"]);
        stopped(&mut observed, "proxy", 41);
        assert!(!does(&next(&mut pod, &observed, 42), &kill("proxy")));
        assert!(does(&next(&mut pod, &observed, 43), &kill("proxy")));
        put(&mut observed, instance("main", 0), exited(0, 41));
        put(&mut observed, instance("proxy", 0), exited(137, 43));
        assert_eq!(phase(&next(&mut pod, &observed, 43)), "Succeeded");
    }

    #[test]
    fn an_init_container_that_fails_for_good_takes_the_sidecars_with_it() {
        let (mut pod, mut observed) = (pod_with("Never", &["+proxy", "one"]), ready());
        put(&mut observed, instance("proxy", 0), running(1));
        put(&mut observed, instance("one", 0), exited(1, 2));
        let plan = next(&mut pod, &observed, 3);
        assert_eq!((stops(&plan), phase(&plan)), (vec!["proxy".to_owned()], "Pending"));
        put(&mut observed, instance("proxy", 0), exited(0, 4));
        let plan = next(&mut pod, &observed, 4);
        assert_eq!((phase(&plan), condition(&plan, "Initialized").0.as_str()), ("Failed", "False"));
    }
}

//! Whether a container has the rights of root, or may gain them.
//! Owns: the checks of privileges and users. Must not know: capabilities.
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>

use k8s_openapi::api::core::v1::{Container, SecurityContext};

use super::{Setters, Subject, Violation, containers};

pub(super) fn privileged(subject: &Subject<'_>) -> Option<Violation> {
    let bad = subject.named(|container| own(container, |own| own.privileged) == Some(true));
    let detail = format!("{} must not set securityContext.privileged=true", containers(&bad));
    (!bad.is_empty()).then_some(Violation { reason: "privileged", detail })
}

pub(super) fn escalation(subject: &Subject<'_>) -> Option<Violation> {
    let bad = subject
        .named(|container| own(container, |own| own.allow_privilege_escalation) != Some(false));
    let detail =
        format!("{} must set securityContext.allowPrivilegeEscalation=false", containers(&bad));
    let reason = "allowPrivilegeEscalation != false";
    (!bad.is_empty()).then_some(Violation { reason, detail })
}

pub(super) fn root_allowed(subject: &Subject<'_>) -> Option<Violation> {
    let reason = "runAsNonRoot != true";
    let pod = subject.pod.security_context.as_ref().and_then(|pod| pod.run_as_non_root);
    let said = |container: &Container| own(container, |own| own.run_as_non_root);
    let setters = Setters {
        pod: pod == Some(false),
        containers: subject.named(|container| said(container) == Some(false)),
        ..Setters::default()
    };
    // Where all containers say so themselves, what the pod says is of no effect.
    let silent = subject.named(|container| said(container).is_none());
    let of_effect = !setters.containers.is_empty() || (setters.pod && !silent.is_empty());
    if of_effect {
        let detail = format!("{} must not set securityContext.runAsNonRoot=false", setters.who());
        return Some(Violation { reason, detail });
    }
    if pod == Some(true) || silent.is_empty() {
        return None;
    }
    let detail =
        format!("pod or {} must set securityContext.runAsNonRoot=true", containers(&silent));
    Some(Violation { reason, detail })
}

/// Since 1.23.
pub(super) fn runs_as_root(subject: &Subject<'_>) -> Option<Violation> {
    let pod = subject.pod.security_context.as_ref().and_then(|pod| pod.run_as_user);
    let setters = Setters {
        pod: pod == Some(0),
        containers: subject.named(|container| own(container, |own| own.run_as_user) == Some(0)),
        ..Setters::default()
    };
    if setters.is_empty() || !subject.version.has(23) {
        return None;
    }
    let detail = format!("{} must not set runAsUser=0", setters.who());
    Some(Violation { reason: "runAsUser=0", detail })
}

fn own<T>(container: &Container, field: impl Fn(&SecurityContext) -> Option<T>) -> Option<T> {
    container.security_context.as_ref().and_then(field)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::violated;

    #[test]
    fn privileges_are_named_with_who_has_them() {
        let privileged = json!({"securityContext": {"privileged": true}});
        assert_eq!(
            violated("baseline:latest", json!({}), privileged),
            "privileged (container \"a\" must not set securityContext.privileged=true)"
        );
    }

    #[test]
    fn root_is_forbidden_by_the_pod_or_by_each_container() {
        let of = |pod: Option<bool>, container: Option<bool>| {
            let pod = json!({"securityContext": {"runAsNonRoot": pod}});
            let container = json!({"securityContext": {"runAsNonRoot": container}});
            let text = violated("restricted:latest", pod, container);
            let at = text.find("runAsNonRoot != true (");
            at.map(|at| {
                text[at..].split([')']).next().unwrap()["runAsNonRoot != true (".len()..].to_owned()
            })
        };
        assert_eq!(of(Some(true), None), None);
        assert_eq!(of(None, Some(true)), None);
        let no = "must not set securityContext.runAsNonRoot=false";
        assert_eq!(of(Some(false), None), Some(format!("pod {no}")));
        assert_eq!(of(Some(true), Some(false)), Some(format!("container \"a\" {no}")));
        let must = "pod or container \"a\" must set securityContext.runAsNonRoot=true";
        assert_eq!(of(None, None).as_deref(), Some(must));
    }

    #[test]
    fn since_1_23_no_user_is_root() {
        let pod = json!({"securityContext": {"runAsUser": 0}});
        let of = |level| violated(level, pod.clone(), json!({"securityContext": {"runAsUser": 0}}));
        let expected = "runAsUser=0 (pod and container \"a\" must not set runAsUser=0)";
        assert!(of("restricted:v1.23").contains(expected));
        assert!(!of("restricted:v1.22").contains(expected));
    }
}

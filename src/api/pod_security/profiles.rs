//! Under which profiles a container runs.
//! Owns: the checks of AppArmor, seccomp and the mount of `/proc`. Must not know: what a profile says.
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>

use k8s_openapi::api::core::v1::{Container, SecurityContext};

use super::{Setters, Subject, Violation, containers, plural, quoted};

/// How profiles were asked for before there was a field.
const APPARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

pub(super) fn apparmor(subject: &Subject<'_>) -> Option<Violation> {
    let allowed = |kind: &str| ["RuntimeDefault", "Localhost"].contains(&kind);
    let pod = subject.pod.security_context.as_ref().and_then(|pod| pod.app_armor_profile.as_ref());
    let of = |container: &Container| {
        own(container, |own| own.app_armor_profile.as_ref().map(|profile| profile.type_.clone()))
    };
    let setters =
        setters(subject, pod.map(|profile| profile.type_.clone()), of, |kind| !allowed(kind));
    let annotations: Vec<String> = subject
        .annotations
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.starts_with(APPARMOR_ANNOTATION))
        .filter(|(_, value)| {
            !(value.is_empty() || *value == "runtime/default" || value.starts_with("localhost/"))
        })
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    if setters.is_empty() && annotations.is_empty() {
        return None;
    }
    let mut who = Some(setters.who()).filter(|who| !who.is_empty()).into_iter().collect::<Vec<_>>();
    if !annotations.is_empty() {
        who.push(plural(annotations.len(), "annotation", "annotations").to_owned());
    }
    let values: Vec<&String> = setters.values.iter().chain(&annotations).collect();
    let reason = plural(values.len(), "forbidden AppArmor profile", "forbidden AppArmor profiles");
    let who = who.join(" and ");
    let detail = format!("{who} must not set AppArmor profile type to {}", quoted(values));
    Some(Violation { reason, detail })
}

pub(super) fn proc_mount(subject: &Subject<'_>) -> Option<Violation> {
    let of = |container: &Container| own(container, |own| own.proc_mount.clone());
    let setters = setters(subject, None, of, |kind| kind != "Default");
    let detail = format!(
        "{} must not set securityContext.procMount to {}",
        setters.who(),
        quoted(&setters.values)
    );
    (!setters.is_empty()).then_some(Violation { reason: "procMount", detail })
}

pub(super) fn unconfined_seccomp(subject: &Subject<'_>) -> Option<Violation> {
    let setters = seccomp(subject);
    (!setters.is_empty())
        .then(|| Violation { reason: "seccompProfile", detail: unconfined(&setters) })
}

pub(super) fn no_seccomp(subject: &Subject<'_>) -> Option<Violation> {
    let reason = "seccompProfile";
    let setters = seccomp(subject);
    let silent = subject.named(|container| seccomp_of(container).is_none());
    // Where all containers say so themselves, what the pod says is of no effect.
    if !setters.containers.is_empty() || (setters.pod && !silent.is_empty()) {
        return Some(Violation { reason, detail: unconfined(&setters) });
    }
    if of_pod(subject).is_some() || silent.is_empty() {
        return None;
    }
    let detail = format!(
        "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
        containers(&silent)
    );
    Some(Violation { reason, detail })
}

fn unconfined(setters: &Setters<'_>) -> String {
    format!(
        "{} must not set securityContext.seccompProfile.type to {}",
        setters.who(),
        quoted(&setters.values)
    )
}

fn seccomp<'a>(subject: &Subject<'a>) -> Setters<'a> {
    let allowed = |kind: &str| ["RuntimeDefault", "Localhost"].contains(&kind);
    setters(subject, of_pod(subject), seccomp_of, |kind| !allowed(kind))
}

fn of_pod(subject: &Subject<'_>) -> Option<String> {
    let pod = subject.pod.security_context.as_ref()?;
    pod.seccomp_profile.as_ref().map(|profile| profile.type_.clone())
}

fn seccomp_of(container: &Container) -> Option<String> {
    own(container, |own| own.seccomp_profile.as_ref().map(|profile| profile.type_.clone()))
}

fn setters<'a>(
    subject: &Subject<'a>,
    pod: Option<String>,
    of: impl Fn(&Container) -> Option<String>,
    is_bad: impl Fn(&str) -> bool,
) -> Setters<'a> {
    let bad = |value: Option<String>| value.filter(|value| is_bad(value));
    let pod = bad(pod);
    Setters {
        pod: pod.is_some(),
        containers: subject.named(|container| bad(of(container)).is_some()),
        values: subject
            .containers()
            .filter_map(|container| bad(of(container)))
            .chain(pod)
            .collect(),
    }
}

fn own<T>(container: &Container, field: impl Fn(&SecurityContext) -> Option<T>) -> Option<T> {
    container.security_context.as_ref().and_then(field)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::violated;

    #[test]
    fn profiles_that_confine_nothing_are_named_with_who_asks_for_them() {
        let kind = |field: &str| json!({"securityContext": {(field): {"type": "Unconfined"}}});
        let baseline = |pod, container| violated("baseline:latest", pod, container);
        assert_eq!(
            baseline(kind("seccompProfile"), kind("seccompProfile")),
            "seccompProfile (pod and container \"a\" must not set \
             securityContext.seccompProfile.type to \"Unconfined\")"
        );
        assert_eq!(
            baseline(json!({}), kind("appArmorProfile")),
            "forbidden AppArmor profile (container \"a\" must not set AppArmor profile type to \
             \"Unconfined\")"
        );
        assert_eq!(
            baseline(json!({}), json!({"securityContext": {"procMount": "Unmasked"}})),
            "procMount (container \"a\" must not set securityContext.procMount to \"Unmasked\")"
        );
    }

    #[test]
    fn what_each_container_says_of_seccomp_is_above_what_the_pod_says() {
        let kind = |kind: &str| json!({"securityContext": {"seccompProfile": {"type": kind}}});
        let of = |pod, container| {
            violated("restricted:latest", pod, container).contains("seccompProfile (")
        };
        assert!(!of(kind("Unconfined"), kind("RuntimeDefault")));
        assert!(of(kind("Unconfined"), json!({})));
        assert!(!of(kind("Localhost"), json!({})));
    }
}

//! Which capabilities a container may add, and which it must drop.
//! Owns: both checks. Must not know: what a capability is.
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Container;

use super::{Subject, Violation, containers, quoted};

const DEFAULT: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

pub(super) fn non_default(subject: &Subject<'_>) -> Option<Violation> {
    let detail = adds_more_than(subject, &DEFAULT)?;
    Some(Violation { reason: "non-default capabilities", detail })
}

pub(super) fn unrestricted(subject: &Subject<'_>) -> Option<Violation> {
    let keeps = subject.named(|container| !dropped(container).any(|name| name == "ALL"));
    let drops = (!keeps.is_empty()).then(|| {
        format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", containers(&keeps))
    });
    let adds = adds_more_than(subject, &["NET_BIND_SERVICE"]);
    let detail = drops.into_iter().chain(adds).collect::<Vec<_>>().join("; ");
    (!detail.is_empty()).then_some(Violation { reason: "unrestricted capabilities", detail })
}

fn adds_more_than(subject: &Subject<'_>, allowed: &[&str]) -> Option<String> {
    let more = |container: &Container| -> Vec<String> {
        added(container).filter(|name| !allowed.contains(name)).map(str::to_owned).collect()
    };
    let bad = subject.named(|container| !more(container).is_empty());
    let names: BTreeSet<String> = subject.containers().flat_map(more).collect();
    let names = quoted(&names);
    (!bad.is_empty()).then(|| {
        format!("{} must not include {names} in securityContext.capabilities.add", containers(&bad))
    })
}

fn added(container: &Container) -> impl Iterator<Item = &str> {
    let all = container.security_context.iter().filter_map(|own| own.capabilities.as_ref());
    all.filter_map(|all| all.add.as_ref()).flatten().map(String::as_str)
}

fn dropped(container: &Container) -> impl Iterator<Item = &str> {
    let all = container.security_context.iter().filter_map(|own| own.capabilities.as_ref());
    all.filter_map(|all| all.drop.as_ref()).flatten().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::violated;

    #[test]
    fn what_is_added_beyond_the_default_is_named() {
        let add = |names: &[&str]| json!({"securityContext": {"capabilities": {"add": names}}});
        assert_eq!(violated("baseline:latest", json!({}), add(&["CHOWN"])), "");
        assert_eq!(
            violated("baseline:latest", json!({}), add(&["SYS_ADMIN", "NET_RAW"])),
            "non-default capabilities (container \"a\" must not include \"NET_RAW\", \"SYS_ADMIN\" in \
             securityContext.capabilities.add)"
        );
        let text = violated("restricted:latest", json!({}), add(&["CHOWN"]));
        assert!(text.contains(
            "unrestricted capabilities (container \"a\" must set \
             securityContext.capabilities.drop=[\"ALL\"]; container \"a\" must not include \"CHOWN\" \
             in securityContext.capabilities.add)"
        ));
    }
}

//! Which parameters of the kernel a pod may set.
//! Owns: the check, and which release knew which of them to be safe. Must not know: their values.
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>

use super::{Subject, Violation};

/// Each with the release since which it is taken to be safe.
const SAFE: [(&str, u32); 12] = [
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];

pub(super) fn unsafe_ones(subject: &Subject<'_>) -> Option<Violation> {
    let all = subject.pod.security_context.as_ref().and_then(|own| own.sysctls.as_ref());
    let is_safe = |name: &str| {
        SAFE.iter().any(|(known, since)| *known == name && subject.version.has(*since))
    };
    let names = all.into_iter().flatten().map(|sysctl| sysctl.name.as_str());
    let found: Vec<&str> = names.filter(|name| !is_safe(name)).collect();
    let detail = found.join(", ");
    (!found.is_empty()).then_some(Violation { reason: "forbidden sysctls", detail })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::violated;

    #[test]
    fn what_was_not_yet_known_to_be_safe_is_forbidden() {
        let set = json!([
            {"name": "net.ipv4.tcp_syncookies", "value": "1"},
            {"name": "net.ipv4.tcp_rmem", "value": "1"},
        ]);
        let pod = json!({"securityContext": {"sysctls": set}});
        assert_eq!(violated("baseline:latest", pod.clone(), json!({})), "");
        let expected = "forbidden sysctls (net.ipv4.tcp_rmem)";
        assert_eq!(violated("baseline:v1.31", pod, json!({})), expected);
    }
}

//! What of the host a pod gets at.
//! Owns: the checks of namespaces, paths and ports of the host. Must not know: what they are.
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Probe};

use super::{Subject, Violation, containers, plural, quoted};

pub(super) fn namespaces(subject: &Subject<'_>) -> Option<Violation> {
    let pod = subject.pod;
    let shared: Vec<&str> = [
        (pod.host_network, "hostNetwork=true"),
        (pod.host_pid, "hostPID=true"),
        (pod.host_ipc, "hostIPC=true"),
    ]
    .into_iter()
    .filter(|(is, _)| *is == Some(true))
    .map(|(_, name)| name)
    .collect();
    let detail = shared.join(", ");
    (!shared.is_empty()).then_some(Violation { reason: "host namespaces", detail })
}

pub(super) fn paths(subject: &Subject<'_>) -> Option<Violation> {
    let volumes = subject.pod.volumes.iter().flatten();
    let names: Vec<&str> = volumes
        .filter(|volume| volume.host_path.is_some())
        .map(|volume| volume.name.as_str())
        .collect();
    let detail = format!("{} {}", plural(names.len(), "volume", "volumes"), quoted(&names));
    (!names.is_empty()).then_some(Violation { reason: "hostPath volumes", detail })
}

pub(super) fn ports(subject: &Subject<'_>) -> Option<Violation> {
    let of = |container: &Container| -> Vec<i32> {
        let ports = container.ports.iter().flatten().filter_map(|port| port.host_port);
        ports.filter(|port| *port != 0).collect()
    };
    let bad = subject.named(|container| !of(container).is_empty());
    let ports: BTreeSet<String> =
        subject.containers().flat_map(of).map(|port| port.to_string()).collect();
    let detail = uses(&bad, plural(ports.len(), "hostPort", "hostPorts"), &ports);
    (!bad.is_empty()).then_some(Violation { reason: "hostPort", detail })
}

/// A probe of another host could look around in the network of this one.
pub(super) fn probed(subject: &Subject<'_>) -> Option<Violation> {
    if !subject.version.has(34) {
        return None;
    }
    let bad = subject.named(|container| hosts(container).next().is_some());
    let names: BTreeSet<String> = subject
        .containers()
        .flat_map(|c| hosts(c).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let kind = plural(names.len(), "probe or lifecycle host", "probe or lifecycle hosts");
    let detail = uses(&bad, kind, &names);
    (!bad.is_empty()).then_some(Violation { reason: "probe or lifecycle host", detail })
}

fn uses(bad: &[&str], kind: &str, names: &BTreeSet<String>) -> String {
    let names = names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    format!("{} {} {kind} {names}", containers(bad), plural(bad.len(), "uses", "use"))
}

/// The hosts that a container's probes and hooks ask, but for the pod itself.
fn hosts(container: &Container) -> impl Iterator<Item = &str> {
    let probes = [&container.liveness_probe, &container.readiness_probe, &container.startup_probe];
    let hooks = container.lifecycle.iter().flat_map(|all| [&all.post_start, &all.pre_stop]);
    let of_probes = probes.into_iter().flatten().flat_map(|probe: &Probe| {
        let http = probe.http_get.as_ref().and_then(|get| get.host.as_deref());
        [http, probe.tcp_socket.as_ref().and_then(|tcp| tcp.host.as_deref())]
    });
    let of_hooks = hooks.flatten().flat_map(|hook: &LifecycleHandler| {
        let http = hook.http_get.as_ref().and_then(|get| get.host.as_deref());
        [http, hook.tcp_socket.as_ref().and_then(|tcp| tcp.host.as_deref())]
    });
    let own = ["", "127.0.0.1", "::1"];
    of_probes.chain(of_hooks).flatten().filter(move |host| !own.contains(host))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::violated;

    #[test]
    fn what_is_of_the_host_is_named() {
        let baseline = |pod, container| violated("baseline:latest", pod, container);
        assert_eq!(
            baseline(json!({"hostNetwork": true, "hostIPC": true}), json!({})),
            "host namespaces (hostNetwork=true, hostIPC=true)"
        );
        let path = json!({"path": "/"});
        let volumes = json!([{"name": "v", "hostPath": path}, {"name": "w", "hostPath": path}]);
        assert_eq!(
            baseline(json!({"volumes": volumes}), json!({})),
            "hostPath volumes (volumes \"v\", \"w\")"
        );
        let ports = json!([{"containerPort": 1, "hostPort": 80}]);
        assert_eq!(
            baseline(json!({}), json!({"ports": ports})),
            "hostPort (container \"a\" uses hostPort 80)"
        );
    }

    #[test]
    fn since_1_34_no_other_host_is_probed() {
        let container = json!({"livenessProbe": {"tcpSocket": {"port": 1, "host": "10.0.0.1"}}});
        assert_eq!(violated("baseline:v1.33", json!({}), container.clone()), "");
        assert_eq!(
            violated("baseline:v1.34", json!({}), container),
            "probe or lifecycle host (container \"a\" uses probe or lifecycle host 10.0.0.1)"
        );
    }
}

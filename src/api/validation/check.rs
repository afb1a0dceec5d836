//! Which hooks and probes a container may have.
//!
//! Owns: their checks. Must not know: the rest of the container.
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-probes>

use k8s_openapi::api::core::v1::{
    Container, ExecAction, HTTPGetAction, Lifecycle, LifecycleHandler, PodSpec, Probe,
    TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Found, Problem, names, quoted};
use crate::api::path::Path;

/// The actions of a hook or of a probe that ask something.
#[derive(Clone, Copy)]
struct Actions<'a> {
    exec: Option<&'a ExecAction>,
    http: Option<&'a HTTPGetAction>,
    tcp: Option<&'a TCPSocketAction>,
    /// Whether there is another one.
    other: bool,
}

impl Found {
    pub(super) fn checks(&mut self, path: &Path, pod: &PodSpec, container: &Container) {
        if let Some(lifecycle) = &container.lifecycle {
            self.lifecycle(&path.field("lifecycle"), pod, lifecycle);
        }
        for (name, probe) in probes(container) {
            if let Some(probe) = probe {
                self.probe(&path.field(name), name, probe);
            }
        }
    }

    /// An init container that runs to its end is asked nothing.
    pub(super) fn no_checks(&mut self, path: &Path, container: &Container) {
        let lifecycle = [("lifecycle", container.lifecycle.is_some())];
        let probes = probes(container).map(|(name, probe)| (name, probe.is_some()));
        for (name, _) in lifecycle.into_iter().chain(probes).filter(|(_, is_set)| *is_set) {
            let detail = "may not be set for init containers without restartPolicy=Always";
            self.add(&path.field(name), Problem::Forbidden(detail));
        }
    }

    fn lifecycle(&mut self, path: &Path, pod: &PodSpec, lifecycle: &Lifecycle) {
        for (name, hook) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)]
        {
            if let Some(hook) = hook {
                self.hook(&path.field(name), pod, hook);
            }
        }
        let os = pod.os.as_ref().map(|os| os.name.as_str()).unwrap_or_default();
        if lifecycle.stop_signal.is_some() && os.is_empty() {
            let detail = "may not be set for containers with empty `spec.os.name`";
            self.add(&path.field("stopSignal"), Problem::Forbidden(detail));
        }
    }

    fn hook(&mut self, path: &Path, pod: &PodSpec, hook: &LifecycleHandler) {
        let (exec, http, tcp) =
            (hook.exec.as_ref(), hook.http_get.as_ref(), hook.tcp_socket.as_ref());
        self.actions(path, Actions { exec, http, tcp, other: hook.sleep.is_some() });
        if let Some(sleep) = &hook.sleep {
            let grace = pod.termination_grace_period_seconds.unwrap_or(30);
            if !(0..=grace).contains(&sleep.seconds) {
                let detail = format!(
                    "must be non-negative and less than terminationGracePeriodSeconds ({grace})"
                );
                self.invalid(&path.field("sleep"), sleep.seconds.to_string(), detail);
            }
        }
    }

    fn probe(&mut self, path: &Path, name: &str, probe: &Probe) {
        let (exec, http, tcp) =
            (probe.exec.as_ref(), probe.http_get.as_ref(), probe.tcp_socket.as_ref());
        self.actions(path, Actions { exec, http, tcp, other: probe.grpc.is_some() });
        if let Some(grpc) = &probe.grpc {
            let port = path.field("grpc").field("port");
            self.within(&port, Some(grpc.port.into()), 1, u16::MAX.into());
        }
        for (field, value) in [
            ("initialDelaySeconds", probe.initial_delay_seconds),
            ("timeoutSeconds", probe.timeout_seconds),
            ("periodSeconds", probe.period_seconds),
            ("successThreshold", probe.success_threshold),
            ("failureThreshold", probe.failure_threshold),
        ] {
            self.not_negative(&path.field(field), value.map(i64::from));
        }
        let grace = path.field("terminationGracePeriodSeconds");
        match probe.termination_grace_period_seconds {
            Some(seconds) if name == "readinessProbe" => {
                self.invalid(&grace, seconds.to_string(), "must not be set for readinessProbes");
            }
            Some(seconds) if seconds <= 0 => {
                self.invalid(&grace, seconds.to_string(), "must be greater than 0");
            }
            Some(_) | None => {}
        }
        if let Some(count) = probe.success_threshold.filter(|count| *count > 1)
            && name != "readinessProbe"
        {
            self.invalid(&path.field("successThreshold"), count.to_string(), "must be 1");
        }
    }

    fn actions(&mut self, path: &Path, actions: Actions<'_>) {
        let Actions { exec, http, tcp, other } = actions;
        let all = [exec.is_some(), http.is_some(), tcp.is_some(), other];
        match all.iter().filter(|is_set| **is_set).count() {
            0 => self.add(path, Problem::Required("must specify a handler type".to_owned())),
            1 => {}
            2.. => {
                let detail = "may not specify more than 1 handler type";
                self.add(path, Problem::Forbidden(detail));
            }
        }
        if exec.is_some_and(|exec| exec.command.iter().flatten().next().is_none()) {
            let path = path.field("exec").field("command");
            self.add(&path, Problem::Required(String::new()));
        }
        if let Some(get) = http {
            let path = path.field("httpGet");
            self.port_of(&path.field("port"), &get.port);
            self.one_of(&path.field("scheme"), get.scheme.as_deref(), &["HTTP", "HTTPS"]);
        }
        if let Some(socket) = tcp {
            self.port_of(&path.field("tcpSocket").field("port"), &socket.port);
        }
    }

    fn port_of(&mut self, path: &Path, port: &IntOrString) {
        match port {
            IntOrString::Int(number) => {
                self.within(path, Some(i64::from(*number)), 1, u16::MAX.into());
            }
            IntOrString::String(name) if name.is_empty() => {
                self.invalid(path, quoted(name), "must not be empty");
            }
            IntOrString::String(name) => self.spelling(path, name, names::port(name)),
        }
    }
}

fn probes(container: &Container) -> [(&'static str, Option<&Probe>); 3] {
    [
        ("livenessProbe", container.liveness_probe.as_ref()),
        ("readinessProbe", container.readiness_probe.as_ref()),
        ("startupProbe", container.startup_probe.as_ref()),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::tests::{refused_container, refused_pod};

    #[test]
    fn the_refusals_of_hooks_and_probes_are_in_the_words_of_kubernetes() {
        for (fields, expected) in [
            ("livenessProbe: {}", "livenessProbe: Required value: must specify a handler type"),
            (
                "livenessProbe: {exec: {command: [a]}, tcpSocket: {port: 1}}",
                "livenessProbe: Forbidden: may not specify more than 1 handler type",
            ),
            (
                "livenessProbe: {httpGet: {port: 1, scheme: FTP}}",
                "livenessProbe.httpGet.scheme: Unsupported value: \"FTP\": supported values: \"HTTP\", \
                 \"HTTPS\"",
            ),
            (
                "livenessProbe: {grpc: {port: 0}}",
                "livenessProbe.grpc.port: Invalid value: 0: must be between 1 and 65535, inclusive",
            ),
            ("startupProbe: {exec: {}}", "startupProbe.exec.command: Required value"),
            (
                "livenessProbe: {tcpSocket: {port: 0}}",
                "livenessProbe.tcpSocket.port: Invalid value: 0: must be between 1 and 65535, inclusive",
            ),
            (
                "livenessProbe: {httpGet: {port: 1}, successThreshold: 2}",
                "livenessProbe.successThreshold: Invalid value: 2: must be 1",
            ),
            (
                "readinessProbe: {httpGet: {port: web}, terminationGracePeriodSeconds: 1}",
                "readinessProbe.terminationGracePeriodSeconds: Invalid value: 1: must not be set for \
                 readinessProbes",
            ),
            (
                "lifecycle: {preStop: {sleep: {seconds: 31}}}",
                "lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than \
                 terminationGracePeriodSeconds (30)",
            ),
            (
                "lifecycle: {stopSignal: SIGUSR1}",
                "lifecycle.stopSignal: Forbidden: may not be set for containers with empty `spec.os.name`",
            ),
        ] {
            let expected = format!("spec.template.spec.containers[0].{expected}");
            assert_eq!(refused_container(fields), [expected]);
        }
    }

    #[test]
    fn only_a_sidecar_among_the_init_containers_may_have_hooks_and_probes() {
        let init = |more: &str| {
            let probe = "livenessProbe: {exec: {command: [a]}}";
            refused_pod(&format!("initContainers: [{{name: i, image: b, {probe}{more}}}]"))
        };
        assert_eq!(
            init(""),
            ["spec.template.spec.initContainers[0].livenessProbe: Forbidden: may not be set for \
              init containers without restartPolicy=Always"]
        );
        assert_eq!(init(", restartPolicy: Always"), [""; 0]);
    }
}

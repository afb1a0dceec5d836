//! Which values a pod template may have.
//!
//! Owns: the checks of the pod, of its containers, their ports, variables and resources. Must not
//! know: the Job around it.
//! <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/>

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, ContainerPort, PodSpec, PodTemplateSpec};

use super::{Found, Problem, names, quoted};
use crate::api::path::Path;
use crate::api::pod::is_sidecar;

impl Found {
    pub(super) fn template(&mut self, template: &PodTemplateSpec) {
        let path = Path::of("spec.template");
        let meta = template.metadata.as_ref();
        let labels = meta.and_then(|meta| meta.labels.as_ref());
        self.labels(&path.field("labels"), labels.into_iter().flatten());
        let annotations = meta.and_then(|meta| meta.annotations.as_ref());
        self.annotations(&path.field("annotations"), annotations);
        match &template.spec {
            Some(pod) => {
                self.pod(&path.field("spec"), pod);
                self.job_restart_policy(&path.field("spec").field("restartPolicy"), pod);
            }
            None => self.add(&path.field("spec"), Problem::Required(String::new())),
        }
    }

    pub(super) fn pod(&mut self, path: &Path, pod: &PodSpec) {
        let containers = path.field("containers");
        if pod.containers.is_empty() {
            self.add(&containers, Problem::Required(String::new()));
        }
        self.volumes(&path.field("volumes"), pod.volumes.as_deref().unwrap_or_default());
        let mut names = BTreeSet::new();
        for (index, container) in pod.containers.iter().enumerate() {
            let path = containers.index(index);
            self.container(&path, container);
            self.mounts(&path.field("volumeMounts"), pod, container);
            self.checks(&path, pod, container);
            if !container.name.is_empty() && !names.insert(container.name.as_str()) {
                self.add(&path.field("name"), Problem::Duplicate { value: container.name.clone() });
            }
        }
        let init = path.field("initContainers");
        for (index, container) in pod.init_containers.iter().flatten().enumerate() {
            let path = init.index(index);
            self.container(&path, container);
            self.mounts(&path.field("volumeMounts"), pod, container);
            if is_sidecar(container) {
                self.checks(&path, pod, container);
            } else {
                self.no_checks(&path, container);
            }
            if !container.name.is_empty() && !names.insert(container.name.as_str()) {
                self.add(&path.field("name"), Problem::Duplicate { value: container.name.clone() });
            }
        }
        let secrets = path.field("imagePullSecrets");
        for (index, secret) in pod.image_pull_secrets.iter().flatten().enumerate() {
            self.object_name(&secrets.index(index).field("name"), &secret.name);
        }
        let policies = &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
        self.one_of(&path.field("dnsPolicy"), pod.dns_policy.as_deref(), policies);
        self.network(path, pod);
        let grace = path.field("terminationGracePeriodSeconds");
        self.not_negative(&grace, pod.termination_grace_period_seconds);
        let deadline = path.field("activeDeadlineSeconds");
        self.within(&deadline, pod.active_deadline_seconds, 1, i64::from(i32::MAX));
        if let Some(hostname) = pod.hostname.as_deref().filter(|name| !name.is_empty()) {
            self.spelling(&path.field("hostname"), hostname, names::label(hostname));
        }
        if let Some(security) = &pod.security_context {
            self.pod_security(&path.field("securityContext"), security);
        }
        if pod.share_process_namespace == Some(true) && pod.host_pid == Some(true) {
            let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
            self.invalid(&path.field("shareProcessNamespace"), "true".to_owned(), detail);
        }
        self.pod_resources(&path.field("resources"), pod);
        let tolerations = pod.tolerations.as_deref().unwrap_or_default();
        self.tolerations(&path.field("tolerations"), tolerations);
    }

    /// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-template>
    fn job_restart_policy(&mut self, path: &Path, pod: &PodSpec) {
        match pod.restart_policy.as_deref() {
            None | Some("" | "Always") => {
                let detail = "valid values: \"OnFailure\", \"Never\"";
                self.add(path, Problem::Required(detail.to_owned()));
            }
            policy @ Some(_) => self.one_of(path, policy, &["OnFailure", "Never"]),
        }
    }

    fn container(&mut self, path: &Path, container: &Container) {
        let name = path.field("name");
        if container.name.is_empty() {
            self.add(&name, Problem::Required(String::new()));
        } else {
            self.spelling(&name, &container.name, names::label(&container.name));
        }
        let image = container.image.as_deref().unwrap_or_default();
        if image.is_empty() {
            self.add(&path.field("image"), Problem::Required(String::new()));
        } else if image.trim() != image {
            let detail = "must not have leading or trailing whitespace";
            self.invalid(&path.field("image"), quoted(image), detail);
        }
        let policies = &["Always", "IfNotPresent", "Never"];
        self.one_of(
            &path.field("imagePullPolicy"),
            container.image_pull_policy.as_deref(),
            policies,
        );
        self.ports(&path.field("ports"), container.ports.as_deref().unwrap_or_default());
        self.variables(path, container);
        self.container_restarts(path, container);
        let policy = container.termination_message_policy.as_deref();
        self.one_of(
            &path.field("terminationMessagePolicy"),
            policy,
            &["FallbackToLogsOnError", "File"],
        );
        if let Some(resources) = &container.resources {
            self.resources(&path.field("resources"), resources);
        }
        if let Some(security) = &container.security_context {
            self.security(&path.field("securityContext"), security);
        }
    }

    fn ports(&mut self, path: &Path, ports: &[ContainerPort]) {
        let mut taken = BTreeSet::new();
        for (index, port) in ports.iter().enumerate() {
            let path = path.index(index);
            if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
                let wrong = names::port(name);
                if wrong.is_empty() && !taken.insert(name) {
                    self.add(&path.field("name"), Problem::Duplicate { value: name.to_owned() });
                }
                self.spelling(&path.field("name"), name, wrong);
            }
            let number = path.field("containerPort");
            if port.container_port == 0 {
                self.add(&number, Problem::Required(String::new()));
            } else {
                self.within(&number, Some(port.container_port.into()), 1, u16::MAX.into());
            }
            let protocol = port.protocol.as_deref();
            self.one_of(&path.field("protocol"), protocol, &["SCTP", "TCP", "UDP"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{refused, refused_container, refused_pod};

    #[test]
    fn the_pods_refusals_are_in_the_words_of_kubernetes() {
        for (fields, expected) in [
            (
                "terminationGracePeriodSeconds: -1",
                "terminationGracePeriodSeconds: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                "activeDeadlineSeconds: 0",
                "activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
            ),
            ("hostname: a.b", "hostname: Invalid value: \"a.b\": must not contain dots"),
            (
                "dnsPolicy: First",
                "dnsPolicy: Unsupported value: \"First\": supported values: \"ClusterFirst\", \
                 \"ClusterFirstWithHostNet\", \"Default\", \"None\"",
            ),
        ] {
            assert_eq!(refused_pod(fields), [format!("spec.template.spec.{expected}")]);
        }
        assert_eq!(
            refused("{template: {spec: {restartPolicy: Always, containers: []}}}"),
            [
                "spec.template.spec.containers: Required value",
                "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
            ]
        );
    }

    #[test]
    fn the_containers_refusals_are_in_the_words_of_kubernetes() {
        for (fields, expected) in [
            (
                "imagePullPolicy: Often",
                "imagePullPolicy: Unsupported value: \"Often\": supported values: \"Always\", \
                 \"IfNotPresent\", \"Never\"",
            ),
            (
                "ports: [{containerPort: 65536}]",
                "ports[0].containerPort: Invalid value: 65536: must be between 1 and 65535, inclusive",
            ),
            ("ports: [{name: a}]", "ports[0].containerPort: Required value"),
            (
                "ports: [{containerPort: 1, protocol: ICMP}]",
                "ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \
                 \"TCP\", \"UDP\"",
            ),
            (
                "ports: [{containerPort: 1, name: a}, {containerPort: 2, name: a}]",
                "ports[1].name: Duplicate value: \"a\"",
            ),
            (
                "ports: [{containerPort: 1, name: '80'}]",
                "ports[0].name: Invalid value: \"80\": must contain at least one letter (a-z)",
            ),
            ("env: [{name: ''}]", "env[0].name: Required value"),
            (
                "env: [{name: A=B}]",
                "env[0].name: Invalid value: \"A=B\": a valid environment variable name must \
                 consist only of printable ASCII characters other than '='",
            ),
            (
                "resources: {requests: {cpu: -1}}",
                "resources.requests[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            ),
            (
                "resources: {limits: {cpu: 1}, requests: {cpu: 1500m}}",
                "resources.requests: Invalid value: \"1500m\": must be less than or equal to cpu \
                 limit of 1",
            ),
        ] {
            let expected = format!("spec.template.spec.containers[0].{expected}");
            assert_eq!(refused_container(fields), [expected]);
        }
        assert_eq!(refused_container("env: [{name: a.b-c d}]"), [""; 0]);
        assert_eq!(refused_container("ports: [{containerPort: 1}, {containerPort: 1}]"), [""; 0]);
        assert_eq!(
            refused_container("resources: {limits: {memory: 1Gi}, requests: {memory: 1024Mi}}"),
            [""; 0]
        );
    }

    #[test]
    fn a_containers_name_and_image_are_looked_at() {
        let one = |container: &str| {
            refused(&format!(
                "{{template: {{spec: {{restartPolicy: Never, containers: [{container}]}}}}}}"
            ))
        };
        let path = "spec.template.spec.containers";
        assert_eq!(one("{image: b}"), [format!("{path}[0].name: Required value")]);
        assert_eq!(one("{name: a}"), [format!("{path}[0].image: Required value")]);
        let space = "Invalid value: \" b\": must not have leading or trailing whitespace";
        assert_eq!(one("{name: a, image: ' b'}"), [format!("{path}[0].image: {space}")]);
        assert!(one("{name: A, image: b}")[0].contains("a lowercase RFC 1123 label must consist"));
        assert_eq!(
            one("{name: a, image: b}, {name: a, image: b}"),
            [format!("{path}[1].name: Duplicate value: \"a\"")]
        );
    }
}

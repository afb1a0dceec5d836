//! By which names a pod is known and knows others, its ports of the host, and its part of the kernel.
//!
//! Owns: the checks of DNS, host aliases, host ports and sysctls. Must not know: the rest of the pod.
//! <https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/>

use core::net::IpAddr;
use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, HostAlias, PodSpec, Sysctl};

use super::{Found, Problem, names, quoted};
use crate::api::path::Path;

const NAME_SERVERS_MAX: usize = 3;
const IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

/// Those that are of the pod's own part of the kernel, and do no harm to others.
/// <https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/#safe-and-unsafe-sysctls>
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

impl Found {
    pub(super) fn network(&mut self, path: &Path, pod: &PodSpec) {
        self.dns(path, pod);
        let aliases = pod.host_aliases.as_deref().unwrap_or_default();
        self.host_aliases(&path.field("hostAliases"), aliases);
        if let Some(name) = pod.subdomain.as_deref().filter(|name| !name.is_empty()) {
            self.spelling(&path.field("subdomain"), name, names::label(name));
        }
        let on_host = pod.host_network == Some(true);
        self.host_ports(&path.field("containers"), &pod.containers, on_host);
        let init = pod.init_containers.as_deref().unwrap_or_default();
        self.host_ports(&path.field("initContainers"), init, on_host);
        let sysctls =
            pod.security_context.as_ref().and_then(|security| security.sysctls.as_deref());
        let at = path.field("securityContext").field("sysctls");
        self.sysctls(&at, pod, sysctls.unwrap_or_default());
    }

    fn dns(&mut self, path: &Path, pod: &PodSpec) {
        let servers = pod.dns_config.as_ref().and_then(|config| config.nameservers.as_deref());
        let servers = servers.unwrap_or_default();
        let at = path.field("dnsConfig").field("nameservers");
        if pod.dns_policy.as_deref() == Some("None") && servers.is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            self.add(&at, Problem::Required(detail.to_owned()));
        }
        if servers.len() > NAME_SERVERS_MAX {
            let value = serde_json::to_string(servers).expect("a list of texts is JSON");
            let detail = format!("must not have more than {NAME_SERVERS_MAX} nameservers");
            self.invalid(&at, value, detail);
        }
        for (index, server) in servers.iter().enumerate() {
            if server.parse::<IpAddr>().is_err() {
                self.invalid(&at.index(index), quoted(server), IP);
            }
        }
        let config = pod.dns_config.as_ref();
        for (index, option) in config.iter().flat_map(|c| c.options.iter().flatten()).enumerate() {
            if option.name.as_deref().unwrap_or_default().is_empty() {
                let path = path.field("dnsConfig").field("options").index(index);
                self.add(&path, Problem::Required("must not be empty".to_owned()));
            }
        }
    }

    fn host_aliases(&mut self, path: &Path, aliases: &[HostAlias]) {
        for (index, alias) in aliases.iter().enumerate() {
            let path = path.index(index);
            if alias.ip.parse::<IpAddr>().is_err() {
                self.invalid(&path.field("ip"), quoted(&alias.ip), IP);
            }
            for (index, name) in alias.hostnames.iter().flatten().enumerate() {
                let at = path.field("hostnames").index(index);
                self.spelling(&at, name, names::subdomain(name));
            }
        }
    }

    /// <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#ports>
    fn host_ports(&mut self, path: &Path, containers: &[Container], on_host: bool) {
        let mut taken = BTreeSet::new();
        for (index, container) in containers.iter().enumerate() {
            let path = path.index(index).field("ports");
            for (index, port) in container.ports.iter().flatten().enumerate() {
                let path = path.index(index);
                let ip = port.host_ip.as_deref().unwrap_or_default();
                if !ip.is_empty() && ip.parse::<IpAddr>().is_err() {
                    self.invalid(&path.field("hostIP"), quoted(ip), IP);
                }
                let Some(number) = port.host_port.filter(|number| *number != 0) else { continue };
                self.within(&path.field("hostPort"), Some(number.into()), 1, u16::MAX.into());
                let protocol = port.protocol.as_deref().unwrap_or("TCP");
                let value = format!("{protocol}/{ip}/{number}");
                if !taken.insert(value.clone()) {
                    self.add(&path.field("hostPort"), Problem::Duplicate { value });
                }
                if on_host && number != port.container_port {
                    self.invalid(
                        &path.field("containerPort"),
                        port.container_port.to_string(),
                        "must match `hostPort` when `hostNetwork` is true",
                    );
                }
            }
        }
    }

    fn sysctls(&mut self, path: &Path, pod: &PodSpec, sysctls: &[Sysctl]) {
        for (index, sysctl) in sysctls.iter().enumerate() {
            let at = path.index(index).field("name");
            let name = sysctl.name.replace('/', ".");
            if name.is_empty() {
                self.add(&at, Problem::Required(String::new()));
            } else if !SAFE_SYSCTLS.contains(&name.as_str()) {
                self.add(&at, Problem::Forbidden("only the safe sysctls are supported"));
            } else if name.starts_with("net.") && pod.host_network == Some(true) {
                self.invalid(
                    &at,
                    quoted(&sysctl.name),
                    "may not be specified when 'hostNetwork' is true",
                );
            } else if name.starts_with("kernel.") && pod.host_ipc == Some(true) {
                self.invalid(
                    &at,
                    quoted(&sysctl.name),
                    "may not be specified when 'hostIPC' is true",
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{refused_container, refused_pod};

    #[test]
    fn names_and_addresses_are_refused_in_the_words_of_kubernetes() {
        for (fields, expected) in [
            (
                "dnsPolicy: None",
                "dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when \
                 `dnsPolicy` is None",
            ),
            (
                "dnsConfig: {nameservers: [a]}",
                "dnsConfig.nameservers[0]: Invalid value: \"a\": must be a valid IP address, (e.g. \
                 10.9.8.7 or 2001:db8::ffff)",
            ),
            (
                "hostAliases: [{ip: '1.2.3', hostnames: [a]}]",
                "hostAliases[0].ip: Invalid value: \"1.2.3\": must be a valid IP address, (e.g. \
                 10.9.8.7 or 2001:db8::ffff)",
            ),
            (
                "securityContext: {sysctls: [{name: kernel.msgmax, value: '1'}]}",
                "securityContext.sysctls[0].name: Forbidden: only the safe sysctls are supported",
            ),
            (
                "hostNetwork: true, securityContext: {sysctls: [{name: net/ipv4/tcp_rmem, value: '1'}]}",
                "securityContext.sysctls[0].name: Invalid value: \"net/ipv4/tcp_rmem\": may not be \
                 specified when 'hostNetwork' is true",
            ),
        ] {
            assert_eq!(refused_pod(fields), [format!("spec.template.spec.{expected}")]);
        }
        let ports = |ports: &str| refused_container(&format!("ports: [{ports}]"));
        for (ports, expected) in [
            (ports("{containerPort: 1, hostPort: 65536}"), "[0].hostPort: Invalid value: 65536"),
            (
                ports("{containerPort: 1, hostIP: a, hostPort: 1}"),
                "[0].hostIP: Invalid value: \"a\"",
            ),
            (
                ports("{containerPort: 1, hostPort: 8}, {containerPort: 2, hostPort: 8}"),
                "[1].hostPort: Duplicate value: \"TCP//8\"",
            ),
        ] {
            let expected = format!("spec.template.spec.containers[0].ports{expected}");
            assert!(ports.len() == 1 && ports[0].starts_with(&expected), "{ports:?}");
        }
        let udp = "{containerPort: 1, hostPort: 8}, {containerPort: 1, hostPort: 8, protocol: UDP}";
        assert_eq!(ports(udp), [""; 0]);
        let well = "dnsPolicy: None, dnsConfig: {nameservers: ['::1']}, subdomain: a, hostAliases: \
                    [{ip: 1.2.3.4, hostnames: [a.b]}]";
        assert_eq!(refused_pod(well), [""; 0]);
    }
}

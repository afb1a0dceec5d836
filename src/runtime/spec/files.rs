//! The files that a pod finds below `/etc`.
//!
//! Owns: the pod's hostname, and the contents of `/etc/hosts` and `/etc/resolv.conf`. Must not know:
//! where these files are kept.

use k8s_openapi::api::core::v1::Pod;

/// A hostname has no more characters.
const HOSTNAME_LENGTH_MAX: usize = 63;

/// The name by which the pod's containers know their host.
/// <https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-hostname-and-subdomain-fields>
pub fn hostname(pod: &Pod) -> String {
    let asked = pod.spec.as_ref().and_then(|spec| spec.hostname.as_deref());
    let name = asked.filter(|name| !name.is_empty()).or(pod.metadata.name.as_deref());
    let cut: String = name.unwrap_or_default().chars().take(HOSTNAME_LENGTH_MAX).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

/// `/etc/hosts`: the host's own, for a pod on the host's network, else one that knows the pod. A pod
/// without an address finds itself on the loopback.
/// <https://kubernetes.io/docs/tasks/network/customize-hosts-file-for-pods/>
pub fn hosts_file(pod: &Pod, ip: Option<&str>, host_file: Option<&str>) -> String {
    let mut text = match host_file {
        Some(own) => format!("# Kubernetes-managed hosts file (host network).\n{own}"),
        None => format!(
            "# Kubernetes-managed hosts file.\n\
             127.0.0.1\tlocalhost\n\
             ::1\tlocalhost ip6-localhost ip6-loopback\n\
             fe00::0\tip6-localnet\n\
             fe00::0\tip6-mcastprefix\n\
             fe00::1\tip6-allnodes\n\
             fe00::2\tip6-allrouters\n\
             {}\t{}\n",
            ip.unwrap_or("127.0.0.1"),
            hostname(pod)
        ),
    };
    let aliases = pod.spec.as_ref().and_then(|spec| spec.host_aliases.as_deref());
    let aliases = aliases.unwrap_or_default();
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
    }
    for alias in aliases {
        let names = alias.hostnames.as_deref().unwrap_or_default();
        text.push_str(&format!("{}\t{}\n", alias.ip, names.join("\t")));
    }
    text
}

/// `/etc/resolv.conf`: what the host's says, without its comments. Policy `Default`; without cluster
/// DNS there is no other.
/// <https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-dns-policy>
pub fn resolv_conf(host: &str) -> String {
    let lines = host.lines().map(str::trim);
    let said = lines.filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    said.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, spec: serde_json::Value) -> Pod {
        let mut spec = spec;
        spec["containers"] = json!([]);
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
    }

    #[test]
    fn the_hostname_is_the_pods_name_unless_it_asks_for_another() {
        assert_eq!(hostname(&pod("p-x", json!({}))), "p-x");
        assert_eq!(hostname(&pod("p-x", json!({"hostname": "me"}))), "me");
        assert_eq!(hostname(&pod("p-x", json!({"hostname": ""}))), "p-x");
    }

    #[test]
    fn a_hostname_is_cut_to_63_characters_and_ends_with_one_that_may_end_it() {
        let long = format!("{}--.tail", "a".repeat(61));
        assert_eq!(hostname(&pod(&long, json!({}))), "a".repeat(61));
        assert_eq!(hostname(&pod(&"b".repeat(70), json!({}))).len(), 63);
    }

    #[test]
    fn the_hosts_file_knows_the_pod_by_its_address() {
        let text = hosts_file(&pod("p", json!({})), Some("10.0.0.5"), None);
        assert!(text.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"));
        assert!(text.ends_with("fe00::2\tip6-allrouters\n10.0.0.5\tp\n"), "{text}");
    }

    #[test]
    fn a_pod_without_an_address_finds_itself_on_the_loopback() {
        assert!(hosts_file(&pod("p", json!({})), None, None).ends_with("\n127.0.0.1\tp\n"));
    }

    #[test]
    fn on_the_hosts_network_the_hosts_file_is_the_hosts_with_the_pods_aliases() {
        let aliases = json!({"hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]});
        let text = hosts_file(&pod("p", aliases), None, Some("127.0.0.1 node\n"));
        assert_eq!(
            text,
            "# Kubernetes-managed hosts file (host network).\n127.0.0.1 node\n\n\
             # Entries added by HostAliases.\n1.2.3.4\ta\tb\n"
        );
    }

    #[test]
    fn resolv_conf_says_what_the_hosts_says_without_its_comments() {
        let host = "# generated\n\n; old\nnameserver 10.0.0.1\n  search a b\noptions ndots:2";
        assert_eq!(resolv_conf(host), "nameserver 10.0.0.1\nsearch a b\noptions ndots:2\n");
        assert_eq!(resolv_conf(""), "");
    }
}

//! The files that a pod finds below `/etc`.
//!
//! Owns: the pod's hostname, and the contents of `/etc/hosts` and `/etc/resolv.conf`. Must not know:
//! where these files are kept.

use k8s_openapi::api::core::v1::{Pod, PodDNSConfig};

/// A hostname has no more characters.
const HOSTNAME_LENGTH_MAX: usize = 63;

/// The name by which the pod's containers know their host.
/// <https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-hostname-and-subdomain-fields>
pub fn hostname(pod: &Pod) -> String {
    let whole = pod.spec.as_ref().and_then(|spec| spec.set_hostname_as_fqdn) == Some(true);
    full_name(pod).filter(|_| whole).unwrap_or_else(|| short_name(pod))
}

/// Where services of a cluster are, by name.
const CLUSTER_DOMAIN: &str = "cluster.local";

/// The name of a pod that says in which subdomain it is.
pub(super) fn full_name(pod: &Pod) -> Option<String> {
    let subdomain = pod.spec.as_ref()?.subdomain.as_deref().filter(|name| !name.is_empty())?;
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    Some(format!("{}.{subdomain}.{namespace}.svc.{CLUSTER_DOMAIN}", short_name(pod)))
}

fn short_name(pod: &Pod) -> String {
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
             {}\t{}{}\n",
            ip.unwrap_or("127.0.0.1"),
            full_name(pod).map(|name| format!("{name}\t")).unwrap_or_default(),
            short_name(pod)
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

/// `/etc/resolv.conf`: what the host's says, without its comments, and what the pod adds; or what the pod
/// says alone, if it wants nothing else. Without cluster DNS all other policies are `Default`.
/// <https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-dns-policy>
pub fn resolv_conf(pod: &Pod, host: &str) -> String {
    let spec = pod.spec.as_ref();
    let alone = spec.and_then(|spec| spec.dns_policy.as_deref()) == Some("None");
    let lines = host.lines().map(str::trim).filter(|_| !alone);
    let said: Vec<&str> =
        lines.filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])).collect();
    match spec.and_then(|spec| spec.dns_config.as_ref()) {
        Some(own) => with_own(&said, own),
        None => said.into_iter().map(|line| format!("{line}\n")).collect(),
    }
}

/// No more name servers are asked than this.
const NAME_SERVERS_MAX: usize = 3;

/// The pod's name servers and domains come after those of the host, its options in place of them.
fn with_own(said: &[&str], own: &PodDNSConfig) -> String {
    let words = |key: &str| {
        let lines = said.iter().filter_map(|line| line.split_once(char::is_whitespace));
        let found: Vec<&str> =
            lines.filter(|(known, _)| *known == key).map(|(_, rest)| rest).collect();
        found.into_iter().flat_map(str::split_whitespace).map(str::to_owned).collect::<Vec<_>>()
    };
    let (mut servers, mut searches, mut options) =
        (words("nameserver"), words("search"), words("options"));
    let add = |all: &mut Vec<String>, more: Option<&Vec<String>>| {
        for text in more.into_iter().flatten() {
            if !all.contains(text) {
                all.push(text.clone());
            }
        }
    };
    add(&mut servers, own.nameservers.as_ref());
    servers.truncate(NAME_SERVERS_MAX);
    add(&mut searches, own.searches.as_ref());
    for option in own.options.iter().flatten() {
        let name = option.name.as_deref().unwrap_or_default();
        options.retain(|known| known.split(':').next() != Some(name));
        let value = option.value.as_ref().map(|value| format!(":{value}")).unwrap_or_default();
        options.push(format!("{name}{value}"));
    }
    let mut text = String::new();
    if !searches.is_empty() {
        text.push_str(&format!("search {}\n", searches.join(" ")));
    }
    for server in servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !options.is_empty() {
        text.push_str(&format!("options {}\n", options.join(" ")));
    }
    text
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
    fn a_pod_in_a_subdomain_is_known_by_its_full_name_and_has_it_if_it_wants() {
        let of = |whole| pod("p", json!({"subdomain": "sub", "setHostnameAsFQDN": whole}));
        let text = hosts_file(&of(false), Some("10.0.0.5"), None);
        assert!(text.ends_with("10.0.0.5\tp.sub.default.svc.cluster.local\tp\n"), "{text}");
        assert_eq!(hostname(&of(false)), "p");
        assert_eq!(hostname(&of(true)), "p.sub.default.svc.cluster.local");
    }

    #[test]
    fn a_pod_adds_its_own_name_servers_or_has_no_others() {
        let own = json!({"nameservers": ["10.0.0.2"], "searches": ["b", "c"],
            "options": [{"name": "ndots", "value": "5"}, {"name": "edns0"}]});
        let host = "nameserver 10.0.0.1\nsearch a b\noptions ndots:2 rotate";
        assert_eq!(
            resolv_conf(&pod("p", json!({"dnsConfig": own})), host),
            "search a b c\nnameserver 10.0.0.1\nnameserver 10.0.0.2\noptions rotate ndots:5 edns0\n"
        );
        assert_eq!(
            resolv_conf(&pod("p", json!({"dnsConfig": own, "dnsPolicy": "None"})), host),
            "search b c\nnameserver 10.0.0.2\noptions ndots:5 edns0\n"
        );
    }

    #[test]
    fn resolv_conf_says_what_the_hosts_says_without_its_comments() {
        let host = "# generated\n\n; old\nnameserver 10.0.0.1\n  search a b\noptions ndots:2";
        let resolv_conf = |host| super::resolv_conf(&pod("p", json!({})), host);
        assert_eq!(resolv_conf(host), "nameserver 10.0.0.1\nsearch a b\noptions ndots:2\n");
        assert_eq!(resolv_conf(""), "");
    }
}

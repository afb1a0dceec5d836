//! The pods of one subdomain in each other's `/etc/hosts`.
//!
//! Owns: which pods know one another, by which names, and the part of the file that says so. Must not know:
//! where the file is, who is there.
//!
//! A cluster would have a headless Service for them, and DNS. The names are those that programs use there.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode>

use k8s_openapi::api::core::v1::Pod;

use super::files::full_name;

/// What stands around the part of the file.
const BEGIN: &str = "# Pods of the same subdomain, kept up to date by kiln.";
const END: &str = "# End of the pods of the same subdomain.";

/// The names by which the pods of its subdomain know a pod, the longest first; `None` without a subdomain. Pods
/// with the same name but for its first part know one another.
pub fn peer_names(pod: &Pod) -> Option<[String; 4]> {
    let full = full_name(pod)?;
    // Host, subdomain and namespace hold no dot.
    let cut = |parts| full.splitn(parts + 1, '.').take(parts).collect::<Vec<_>>().join(".");
    let names = [cut(4), cut(3), cut(2)];
    let [service, namespace, subdomain] = names;
    Some([full, service, namespace, subdomain])
}

/// The file with these lines as its part of pods; whatever else is in it stays.
pub fn with_peers(text: &str, peers: &[String]) -> String {
    let mut inside = false;
    let mut all = String::with_capacity(text.len());
    for line in text.lines() {
        inside |= line == BEGIN;
        if !inside {
            all.push_str(&format!("{line}\n"));
        }
        inside &= line != END;
    }
    if !peers.is_empty() {
        let lines: String = peers.iter().map(|line| format!("{line}\n")).collect();
        all.push_str(&format!("{BEGIN}\n{lines}{END}\n"));
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_of_a_subdomain_is_known_as_in_a_cluster() {
        let pod = |spec| -> Pod {
            let metadata = json!({"name": "w-0-x", "namespace": "n"});
            serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
        };
        let named = pod(json!({"containers": [], "hostname": "w-0", "subdomain": "ring"}));
        let expected = ["w-0.ring.n.svc.cluster.local", "w-0.ring.n.svc", "w-0.ring.n", "w-0.ring"];
        assert_eq!(peer_names(&named), Some(expected.map(str::to_owned)));
        assert_eq!(peer_names(&pod(json!({"containers": []}))), None);
    }

    #[test]
    fn only_its_own_part_of_the_file_is_changed() {
        let own = "127.0.0.1\tlocalhost\n# mine\n";
        let one = with_peers(own, &["10.0.0.1\ta.s".to_owned()]);
        assert_eq!(one, format!("{own}{BEGIN}\n10.0.0.1\ta.s\n{END}\n"));
        let grown = format!("{one}10.9.9.9\tadded\n");
        let two = with_peers(&grown, &["10.0.0.1\ta.s".to_owned(), "10.0.0.2\tb.s".to_owned()]);
        assert!(two.starts_with(&format!("{own}10.9.9.9\tadded\n{BEGIN}\n10.0.0.1")), "{two}");
        assert_eq!(with_peers(&two, &[]), format!("{own}10.9.9.9\tadded\n"));
    }
}

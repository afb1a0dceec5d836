//! Networks of plugins that are scripts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use super::*;

fn pod(uid: &str, ports: &[i32]) -> Pod {
    let ports: Vec<_> =
        ports.iter().map(|port| json!({"containerPort": 80, "hostPort": port})).collect();
    serde_json::from_value(json!({
        "metadata": {"name": uid, "uid": uid, "namespace": "n"},
        "spec": {"containers": [{"name": "a", "ports": ports}]},
    }))
    .unwrap()
}

/// A host with one network of two plugins, which note how they were called.
struct Host {
    dir: tempfile::TempDir,
}

impl Host {
    /// `fails`: what the second plugin does when it is to add.
    fn new(fails: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        let list = json!({"name": "net", "cniVersion": "1.0.0", "plugins": [
            {"type": "one"}, {"type": "two", "capabilities": {"portMappings": true}},
        ]});
        fs::create_dir(path.join("conf")).unwrap();
        fs::write(path.join("conf/a.conflist"), list.to_string()).unwrap();
        let answer = r#"printf '{"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.9/24"}]}'"#;
        let end = if fails { "printf '{\"msg\": \"full\"}'; exit 1" } else { answer };
        for (name, end) in [("one", answer), ("two", end)] {
            let book = path.join("book").display().to_string();
            let script = format!(
                "#!/bin/sh\nread input\necho \"$CNI_COMMAND {name} $CNI_CONTAINERID $input\" >> {book}\n\
                 [ $CNI_COMMAND = DEL ] || {{ {end}; }}\n"
            );
            fs::write(path.join(name), script).unwrap();
            fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn networks(&self, network: Network) -> Arc<Networks> {
        let layout = Layout::new(&self.path().join("root"), &self.path().join("logs"));
        Arc::new(Networks::new(&layout, network))
    }

    fn cni(&self) -> Arc<Networks> {
        let dir = self.path().to_owned();
        self.networks(Network::Cni(Plugins { conf_dir: dir.join("conf"), bin_dirs: vec![dir] }))
    }

    /// Makes the pod's directory, and a network namespace that stands: the host's.
    fn prepare(&self, uid: &str) {
        let ns = self.path().join("root/pods").join(uid).join("ns");
        fs::create_dir_all(&ns).unwrap();
        std::os::unix::fs::symlink("/proc/self/ns/net", ns.join("net")).unwrap();
    }

    /// `ADD one <uid>`, a line each.
    fn calls(&self) -> Vec<String> {
        let book = fs::read_to_string(self.path().join("book")).unwrap_or_default();
        let words = |line: &str| line.split(' ').take(3).collect::<Vec<_>>().join(" ");
        book.lines().map(words).collect()
    }
}

#[tokio::test]
async fn plugins_add_in_order_and_delete_in_reverse_also_for_another_engine() {
    let host = Host::new(false);
    host.prepare("p");
    let networks = host.cni();
    assert_eq!(networks.addresses("p"), None);
    assert_eq!(networks.attach(&pod("p", &[])).await.unwrap(), ["10.0.0.9"]);
    assert_eq!(networks.addresses("p"), None, "the rest of the sandbox is missing");
    networks.settle("p").await.unwrap();
    // Done twice is done once.
    assert_eq!(networks.attach(&pod("p", &[])).await.unwrap(), ["10.0.0.9"]);
    let book = fs::read_to_string(host.path().join("book")).unwrap();
    assert!(book.contains("\"prevResult\":{\"cniVersion\":\"1.0.0\""), "{book}");

    let next = host.networks(Network::None);
    assert_eq!(next.addresses("p"), Some(vec!["10.0.0.9".to_owned()]));
    next.detach("p").await.unwrap();
    next.detach("p").await.unwrap();
    assert_eq!(host.calls(), ["ADD one p", "ADD two p", "DEL two p", "DEL one p"]);
}

#[tokio::test]
async fn what_was_added_in_vain_is_taken_back_and_the_plugin_is_quoted() {
    let host = Host::new(true);
    host.prepare("p");
    let networks = host.cni();
    let error = networks.attach(&pod("p", &[80])).await.unwrap_err().to_string();
    assert_eq!(error, "cannot set up the pod's network: plugin type=\"two\" failed (add): full");
    assert_eq!(host.calls(), ["ADD one p", "ADD two p", "DEL two p", "DEL one p"]);
    assert!(networks.known().is_empty(), "the port is free");
}

#[tokio::test]
async fn an_addition_that_was_cut_short_is_taken_back_before_the_next() {
    let host = Host::new(false);
    host.prepare("p");
    let networks = host.cni();
    networks.attach(&pod("p", &[])).await.unwrap();
    let mut record = networks.known()["p"].clone();
    record.attachment.as_mut().unwrap().result = None;
    networks.store("p", record).unwrap();
    fs::remove_file(host.path().join("book")).unwrap();
    host.cni().attach(&pod("p", &[])).await.unwrap();
    assert_eq!(host.calls(), ["DEL two p", "DEL one p", "ADD one p", "ADD two p"]);
}

#[tokio::test]
async fn a_port_of_the_host_is_one_pods_at_a_time() {
    let host = Host::new(false);
    for uid in ["p", "q"] {
        host.prepare(uid);
    }
    let networks = host.cni();
    networks.attach(&pod("p", &[80, 81])).await.unwrap();
    let taken = networks.attach(&pod("q", &[81])).await;
    assert!(matches!(taken, Err(Error::PortsTaken)), "{taken:?}");
    networks.detach("p").await.unwrap();
    networks.attach(&pod("q", &[81])).await.unwrap();
}

#[tokio::test]
async fn without_plugins_there_are_no_addresses_and_no_ports() {
    let host = Host::new(false);
    host.prepare("p");
    let networks = host.networks(Network::None);
    assert_eq!(networks.attach(&pod("p", &[])).await.unwrap(), [""; 0]);
    host.prepare("q");
    let error = networks.attach(&pod("q", &[80])).await.unwrap_err().to_string();
    assert!(error.ends_with("needs the network `cni`"), "{error}");
    assert_eq!(host.calls(), [""; 0]);
}

#[tokio::test]
async fn pods_of_one_subdomain_know_who_is_there() {
    let host = Host::new(false);
    let networks = host.cni();
    let hosts = |uid: &str| host.path().join("root/pods").join(uid).join("etc/hosts");
    let text = |uid: &str| fs::read_to_string(hosts(uid)).unwrap();
    for (uid, subdomain) in [("p", "ring"), ("q", "ring"), ("r", "other")] {
        host.prepare(uid);
        fs::create_dir_all(hosts(uid).parent().unwrap()).unwrap();
        fs::write(hosts(uid), "127.0.0.1\tlocalhost\n").unwrap();
        let mut pod = pod(uid, &[]);
        pod.spec.as_mut().unwrap().subdomain = Some(subdomain.to_owned());
        networks.attach(&pod).await.unwrap();
        networks.settle(uid).await.unwrap();
    }
    let line = |uid: &str| {
        format!(
            "10.0.0.9\t{uid}.ring.n.svc.cluster.local\t{uid}.ring.n.svc\t{uid}.ring.n\t{uid}.ring\n"
        )
    };
    assert!(text("p").contains(&format!("{}{}", line("p"), line("q"))), "{}", text("p"));
    assert_eq!(text("p"), text("q"));
    assert!(text("r").contains("\tr.other\n") && !text("r").contains("ring"));
    networks.detach("q").await.unwrap();
    assert!(text("p").contains(&line("p")) && !text("p").contains(&line("q")));
}

#[test]
fn what_is_missing_is_named() {
    let host = Host::new(false);
    let dir = host.path().to_owned();
    let plugins = |bin_dir: &str, conf: &str| Plugins::new(vec![dir.join(bin_dir)], dir.join(conf));
    let state = plugins(".", "conf").state().unwrap();
    assert_eq!(state.list, Some(dir.join("conf/a.conflist")));
    assert!(plugins("none", "conf").state().unwrap_err().contains("CNI plugin `one` is not in"));
    assert!(plugins(".", "none").state().unwrap_err().contains("CNI plugin `bridge` is not in"));
    assert_eq!(Plugins::new(Vec::new(), dir).bin_dirs.len(), BIN_DIRS.len());
}

//! The networks of pods, by the plugins of this host.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::host::{Host, Outcome, until};
use super::running::Running;

/// A Job with fields of its own, of its pods and of their container.
fn job(fields: &str, spec: &str, container: &str, script: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: j}}\nspec:\n  backoffLimit: 0\n  {fields}\n  \
         template:\n    spec:\n      restartPolicy: Never\n      terminationGracePeriodSeconds: 1\n      \
         {spec}\n      containers:\n      - name: main\n        image: luksa/batch-job\n        \
         imagePullPolicy: IfNotPresent\n        {container}\n        command: [sh, -c, {}]\n",
        serde_json::to_string(script).unwrap()
    )
}

const ADDRESSES: &str = "env: [{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}, \
                         {name: HOST, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}]";

fn kiln(host: &Host, manifest: &str) -> Command {
    let file = host.file("job.yaml", manifest);
    let mut command = host.kiln("run");
    command.args(["--network", "cni", "--cni-conf-dir"]).arg(host.path().join("none"));
    command.arg("-f").arg(file);
    command
}

/// The name of the bridge of the run that goes on.
fn bridge(host: &Host) -> String {
    known_bridge(host).unwrap()
}

/// `None`: it has not come so far.
fn known_bridge(host: &Host) -> Option<String> {
    let runs = fs::read_dir(host.path().join("kiln/runs")).ok()?.flatten();
    let files = runs.map(|run| run.path().join("network/bridge.json"));
    let text = files.filter_map(|file| fs::read_to_string(file).ok()).next()?;
    let bridge: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(bridge["name"].as_str()?.to_owned())
}

/// What this host has by this name: the bridge, what hangs on it, rules.
fn left(name: &str) -> Vec<String> {
    let rules = Command::new("iptables-save").output().unwrap();
    let rules = String::from_utf8_lossy(&rules.stdout).into_owned();
    let links = Command::new("ip").args(["-o", "link"]).output().unwrap();
    let links = String::from_utf8_lossy(&links.stdout).into_owned();
    rules.lines().chain(links.lines()).filter(|l| l.contains(name)).map(str::to_owned).collect()
}

/// A program that does something around the plugin of this name.
fn wrap(dir: &Path, name: &str, before: &str, after: &str) {
    fs::create_dir_all(dir).unwrap();
    let plugins = ["/opt/cni/bin", "/usr/lib/cni"].map(PathBuf::from);
    let real = plugins.iter().map(|dir| dir.join(name)).find(|path| path.exists()).unwrap();
    let program = dir.join(name);
    let script = format!("#!/bin/sh\n{before}\n{}\ncode=$?\n{after}\nexit $code\n", real.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_pod_has_an_address_and_reaches_the_world_through_its_host() {
    let host = Host::new();
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    let script = format!(
        "ip -o addr show eth0 | grep -q \"inet $IP/\" && grep \"^$IP\" /etc/hosts; \
         echo hello from $IP | nc -w 5 $HOST {port}"
    );
    let outcome = Outcome::of(&mut kiln(&host, &job("", "", ADDRESSES, &script)));
    outcome.exits(0).prints("10.");
    assert!(heard.join().unwrap().starts_with("hello from 10."));
}

#[test]
fn a_port_of_the_host_leads_to_the_pod_and_nothing_of_it_stays() {
    let host = Host::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ports = format!("ports: [{{containerPort: 80, hostPort: {port}}}]");
    let script = "echo ready; echo served | nc -l -p 80; echo again | nc -l -p 80";
    let mut running = Running::of(&mut kiln(&host, &job("", "", &ports, script)));
    running.until_it_prints("ready");
    let name = bridge(&host);
    assert!(left(&name).len() >= 5, "bridge, veth, three rules: {:?}", left(&name));
    for expected in ["served\n", "again\n"] {
        let mut text = String::new();
        until("the port leads to the pod", || {
            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
            text.clear();
            stream.read_to_string(&mut text).is_ok() && !text.is_empty()
        });
        assert_eq!(text, expected);
    }
    running.end().exits(0);
    assert_eq!(left(&name), [""; 0]);
}

#[test]
fn two_pods_with_the_same_port_of_the_host_run_one_after_the_other() {
    let host = Host::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ports = format!("ports: [{{containerPort: 80, hostPort: {port}}}]");
    let many = "completions: 2\n  parallelism: 2";
    let mut command = kiln(&host, &job(many, "", &ports, "echo begins; sleep 1; echo ends"));
    let outcome = Outcome::of(&mut command);
    outcome.exits(0);
    let order: Vec<_> =
        outcome.stdout.lines().filter_map(|line| line.split(' ').next_back()).collect();
    assert_eq!(order, ["begins", "ends", "begins", "ends"]);
}

#[test]
fn the_pods_of_an_indexed_job_find_one_another_by_their_names() {
    let host = Host::new();
    // The first listens; the last comes later, and is seen by those that run.
    let script = "i=$JOB_COMPLETION_INDEX; test $i = 2 && sleep 1; \
                  until grep -q j-2.ring /etc/hosts; do sleep 0.1; done; \
                  for n in 0 1 2; do ping -c 1 -W 5 j-$n.ring >/dev/null && echo $i sees $n; done; \
                  if test $i = 0; then nc -l -p 5000; else sleep 2; test $i = 1 && \
                  echo one to nought | nc -w 5 j-0.ring.default.svc.cluster.local 5000; fi; true";
    let fields = "completions: 3\n  parallelism: 3\n  completionMode: Indexed";
    let outcome = Outcome::of(&mut kiln(&host, &job(fields, "subdomain: ring", "", script)));
    outcome.exits(0).prints("one to nought");
    for (index, other) in (0..3).flat_map(|index| (0..3).map(move |other| (index, other))) {
        outcome.prints(&format!("{index} sees {other}"));
    }
}

#[test]
fn what_a_plugin_complains_of_is_told() {
    let host = Host::new();
    let dir = host.path().join("plugins");
    wrap(
        &dir,
        "host-local",
        "[ $CNI_COMMAND = DEL ] || { echo '{\"msg\": \"no more\"}'; exit 1; }",
        "",
    );
    wrap(&dir, "bridge", "", "");
    let mut command = kiln(&host, &job("activeDeadlineSeconds: 2", "", "", "true"));
    command.arg("--cni-bin-dir").arg(&dir);
    Outcome::of(&mut command).exits(1).says("FailedCreatePodSandBox").says("no more");
}

#[test]
fn a_kiln_that_is_killed_while_plugins_are_called_leaves_nothing_for_long() {
    let host = Host::new();
    let dir = host.path().join("plugins");
    wrap(&dir, "bridge", "", &format!("touch {}/added; sleep 1", dir.display()));
    wrap(&dir, "host-local", "", "");
    wrap(&dir, "portmap", "", "");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ports = format!("ports: [{{containerPort: 80, hostPort: {port}}}]");
    let manifest = job("", "", &ports, "echo never");
    let mut command = kiln(&host, &manifest);
    let mut running = Running::of(command.arg("--cni-bin-dir").arg(&dir));
    until("the bridge is made", || dir.join("added").exists());
    let name = bridge(&host);
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    assert!(!left(&name).is_empty());
    // Whoever comes next clears up, and waits for the plugin that still runs.
    let outcome = Outcome::of(&mut kiln(&host, &job("", "", "", "echo next")));
    outcome.exits(0).prints("next").says("clearing up");
    until("nothing is left", || left(&name).is_empty());
    thread::sleep(Duration::from_millis(1200));
    assert_eq!(left(&name), [""; 0]);
}

#[test]
fn runs_that_end_at_any_moment_leave_no_network() {
    const TIMES: u32 = 8;
    let host = Host::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ports = format!("ports: [{{containerPort: 80, hostPort: {port}}}]");
    let fields = "completions: 4\n  parallelism: 2\n  completionMode: Indexed";
    let many = job(fields, "subdomain: ring", &ports, "sleep 0.5");
    let mut names = Vec::new();
    for time in 0..TIMES {
        let running = Running::of(&mut kiln(&host, &many));
        thread::sleep(Duration::from_millis(300) + Duration::from_millis(2400) * time / TIMES);
        names.extend(known_bridge(&host));
        running.signal(if time % 2 == 0 { "-INT" } else { "-KILL" });
        running.end();
    }
    Outcome::of(&mut kiln(&host, &many)).exits(0);
    assert!(!names.is_empty());
    for name in names {
        assert_eq!(left(&name), [""; 0]);
    }
}

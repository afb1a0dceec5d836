//! What bad input gets.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use super::host::Host;
use super::running::job;

#[test]
fn a_bad_manifest_is_refused_with_its_line_and_its_field_and_nothing_is_made() {
    let host = Host::new();
    let good = job("true", "backoffLimit: 1");
    for (text, words) in [
        (
            good.replace("backoffLimit: 1", "backofLimit: 1"),
            "job.yaml:5: spec.backofLimit: unknown",
        ),
        (good.replace("backoffLimit: 1", "backoffLimit: many"), "job.yaml:5: spec.backoffLimit: "),
        (good.replace("backoffLimit: 1", "completions: -1"), "job.yaml:5: spec.completions: "),
        (good.replace("backoffLimit: 1", "suspend: yes, please"), "job.yaml:5: spec.suspend: "),
        (good.replace("Never", "Always"), "spec.template.spec.restartPolicy: "),
        (good.replace("kind: Job", "kind: Pod"), "job.yaml:2: kind: Pod: not supported"),
        (good.replace("name: j", "name: J"), "job.yaml:3: metadata.name: "),
        (format!("{good}---\n{good}"), "metadata.name: Duplicate"),
        ("a: [1".to_owned(), "job.yaml:"),
        (String::new(), "job.yaml: no objects"),
    ] {
        host.run(&text, &[]).exits(2).says(words);
        assert!(!host.path().join("kiln").exists());
    }
}

/// A registry that answers everything alike, for as long as the test runs.
fn registry(host: &Host, answer: &'static str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request); // one that went away needs no answer
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let hosts = format!("server = \"http://{address}\"\n");
    fs::write(host.path().join("hosts/docker.io/hosts.toml"), hosts).unwrap();
}

#[test]
fn what_a_registry_answers_is_told_with_what_to_do() {
    let host = Host::new();
    for (answer, words) in [
        ("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"", "~/.docker/config.json"),
        ("429 Too Many Requests\r\nRetry-After: 60", "429 Too Many Requests"),
        (
            "200 OK\r\nContent-Type: text/html",
            "it answers text/html where a manifest was asked for",
        ),
    ] {
        let answer =
            format!("HTTP/1.1 {answer}\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
        registry(&host, answer.leak());
        let outcome = host.run(&job("true", ""), &["--pull-deadline", "2s"]);
        outcome.exits(1).says("ErrImagePull").says(words).says("ImagePullDeadlineExceeded");
    }
}

#[test]
fn an_oci_runtime_that_is_not_there_costs_no_attempt() {
    let host = Host::new();
    let job = job("true", "activeDeadlineSeconds: 8\n  backoffLimit: 0");
    let outcome = host.run(&job, &["--runtime-binary", "/no/such/runtime"]);
    outcome.exits(1).says("CreateContainerError").says("/no/such/runtime").says("DeadlineExceeded");
}

#[test]
fn the_default_seccomp_profile_keeps_a_container_from_making_namespaces() {
    let host = Host::new();
    let script = "unshare -U true && echo made it; exit 0";
    let outcome = host.run(&job(script, ""), &[]);
    outcome.exits(0).check("it is denied", !outcome.stdout.contains("made it"));
    let free = "        securityContext: {seccompProfile: {type: Unconfined}}\n        command:";
    host.run(&job(script, "").replace("        command:", free), &[]).exits(0).prints("made it");
}

#[test]
fn an_image_by_its_digest_is_run_and_one_that_may_not_be_pulled_is_not() {
    let host = Host::new();
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}"]);
    let image = format!("docker://{}/luksa/batch-job", host.registry());
    let digest = String::from_utf8(skopeo.arg(image).output().unwrap().stdout).unwrap();
    let by_digest = format!("luksa/batch-job@{}", digest.trim());
    host.run(&job("echo it", "").replace("luksa/batch-job", &by_digest), &[]).exits(0).prints("it");
    let never = job("echo it", "").replace("IfNotPresent", "Never");
    host.run(&never, &["--pull-deadline", "1s"]).exits(1).says("ErrImageNeverPull");
}

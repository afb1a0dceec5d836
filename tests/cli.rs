//! The binary, as far as it goes without containerd: usage, manifests, and what is said where there is
//! nothing to run on.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a run of the binary left.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

fn kiln(args: &[&str]) -> Ran {
    kiln_with(args, "")
}

fn kiln_with(args: &[&str], stdin: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    for (variable, _) in std::env::vars().filter(|(name, _)| name.starts_with("KILN_")) {
        command.env_remove(variable);
    }
    let pipes = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = pipes.stderr(Stdio::piped()).spawn().unwrap();
    // One that is refused does not read.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

const JOB: &str = "manifests/batch-job.yaml";

#[test]
fn wrong_usage_exits_with_2_and_help_with_0() {
    for args in [
        &[][..],
        &["walk"],
        &["run"],
        &["run", "-f", JOB, "--restart-backoff", "5"],
        &["run", "-f", JOB, "-o", "xml"],
        &["run", "-f", JOB, "--log-max-files", "0"],
    ] {
        let ran = kiln(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{args:?}: {}", ran.stderr);
    }
    for args in [&["--help"][..], &["run", "--help"], &["help", "run"]] {
        let ran = kiln(args);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{args:?}");
        assert!(ran.stdout.contains("kiln run -f job.yaml"), "{}", ran.stdout);
    }
    let version = format!("kiln {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(kiln(&["--version"]).stdout, version);
}

#[test]
fn all_that_is_wrong_in_manifests_is_told_with_file_line_and_field() {
    let dir = tempfile::tempdir().unwrap();
    let good = fs::read_to_string(JOB).unwrap();
    fs::write(dir.path().join("a.yaml"), &good).unwrap();
    fs::write(dir.path().join("b.yaml"), good.replace("containers:", "container:")).unwrap();
    fs::write(dir.path().join("c.yml"), "a: [").unwrap();
    fs::write(dir.path().join("d.json"), r#"{"apiVersion": "v1", "kind": "Pod"}"#).unwrap();
    let ran = kiln(&["run", "-f", text(dir.path())]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    let lines: Vec<_> = ran.stderr.lines().collect();
    let begins = |line: &str, file: &str, rest: &str| {
        let expected = format!("error: {}{rest}", dir.path().join(file).display());
        assert!(line.starts_with(&expected), "{line}\n--- instead of ---\n{expected}");
    };
    assert_eq!(lines.len(), 3, "{}", ran.stderr);
    begins(lines[0], "b.yaml", ":12: spec.template.spec.container: ");
    begins(lines[1], "c.yml", ":");
    begins(lines[2], "d.json", ":1: kind: Pod: not supported");
}

#[test]
fn a_manifest_comes_from_standard_input_too() {
    let ran = kiln_with(&["run", "-f", "-"], "kind: Job\n");
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.starts_with("error: <stdin>"), "{}", ran.stderr);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let ran = kiln(&["run", "-f", JOB, "-f", "/no/such.yaml"]);
    assert_eq!(ran.code, 2);
    assert_eq!(ran.stderr, "error: /no/such.yaml: there is no such file\n");
}

#[test]
fn a_network_whose_plugins_are_not_there_is_refused_with_the_cure() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let none = ["--network=cni", "--cni-bin-dir=/nowhere", "--cni-conf-dir=/nowhere"];
    let ran = kiln(&[&["run", "-f", JOB, "--root", text(&root)], &none[..]].concat());
    assert_eq!(ran.code, 3);
    let cure = "install containernetworking-plugins, or say where it is with --cni-bin-dir";
    assert!(ran.stderr.contains(cure), "{}", ran.stderr);
}

#[test]
fn a_containerd_that_is_not_there_is_told_with_the_cure_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, root) = (dir.path().join("c.sock"), dir.path().join("root"));
    let ran = kiln(&["run", "-f", JOB, "--containerd", text(&socket), "--root", text(&root)]);
    assert_eq!((ran.code, ran.stdout.as_str()), (3, ""));
    let expected = format!("error: containerd at `{}` cannot be reached: ", socket.display());
    assert!(ran.stderr.starts_with(&expected), "{}", ran.stderr);
    assert!(ran.stderr.contains("systemctl start containerd"), "{}", ran.stderr);
    assert!(!root.exists(), "a directory of the run is left");
}

#[test]
fn a_root_that_cannot_be_made_is_told_with_the_cure() {
    let ran = kiln(&["run", "-f", JOB, "--root", "/proc/kiln"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("name another one with `--root DIR`"), "{}", ran.stderr);
}

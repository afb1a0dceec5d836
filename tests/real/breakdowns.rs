//! What breaks in the middle: containerd, a shim, a monitor, kiln itself, a disk.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::containerd::Containerd;
use super::host::{Host, Outcome, until};
use super::leftovers;
use super::running::{Running, job};

const COUNTS: &str = "for i in $(seq 20); do echo line $i; sleep 0.1; done";
const STUBBORN: &str = "echo ready; while true; do sleep 0.1; done";

/// The processes whose command line has all these words.
fn pids(words: &[&str]) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let named = entries.filter_map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        Some((entry.file_name().to_string_lossy().into_owned(), line))
    });
    let matching = named.filter(|(_, line)| words.iter().all(|word| line.contains(word)));
    matching.map(|(pid, _)| pid).collect()
}

fn kill(pids: &[String]) {
    assert!(!pids.is_empty(), "there is nothing to kill");
    assert!(Command::new("kill").arg("-9").args(pids).status().unwrap().success());
}

#[test]
fn a_containerd_of_the_host_that_is_killed_and_started_again_is_waited_for() {
    let host = Host::new();
    let mut containerd = Containerd::of(&host);
    let file = host.file("j.yaml", &job(COUNTS, "completions: 2\n  parallelism: 2"));
    let mut running = Running::of(containerd.kiln(&host, "run").arg("-f").arg(file));
    running.until_it_prints("line 5");
    containerd.kill();
    thread::sleep(Duration::from_secs(1));
    containerd.start();
    let outcome = running.end();
    outcome.exits(0).says("2/2");
    let last = outcome.stdout.lines().filter(|line| line.ends_with("line 20"));
    assert_eq!(last.count(), 2, "{}", outcome.stdout);
    assert_eq!(containerd.left(), [""; 0]);
}

#[test]
fn a_containerd_that_dies_while_containers_are_made_costs_no_completion() {
    let host = Host::new();
    let mut containerd = Containerd::of(&host);
    let file = host.file("j.yaml", &job("echo did it", "completions: 16\n  parallelism: 4"));
    let mut running =
        Running::of(containerd.kiln(&host, "run").args(["--no-prefix", "-f"]).arg(file));
    running.until_it_prints("did it");
    for _ in 0..3 {
        containerd.kill();
        containerd.start();
        thread::sleep(Duration::from_millis(400));
    }
    let outcome = running.end();
    outcome.exits(0).says("16/16");
    assert_eq!(outcome.stdout.lines().count(), 15, "{}", outcome.stdout);
    assert_eq!(containerd.left(), [""; 0]);
}

#[test]
fn a_containerd_that_never_comes_back_does_not_keep_a_run_that_is_interrupted() {
    let host = Host::new();
    let mut containerd = Containerd::of(&host);
    let stubborn = job(STUBBORN, "")
        .replace("      containers:", "      terminationGracePeriodSeconds: 0\n      containers:");
    let file = host.file("j.yaml", &stubborn);
    let mut running = Running::of(containerd.kiln(&host, "run").arg("-f").arg(file));
    running.until_it_prints("ready");
    containerd.kill();
    running.signal("-TERM");
    let since = Instant::now();
    running.end().exits(130).says("giving up").says("containers may be left behind").says("runs/");
    assert!(since.elapsed() < Duration::from_secs(60), "{:?}", since.elapsed());

    containerd.start();
    assert!(!containerd.left().is_empty());
    let file = host.file("k.yaml", &job("echo fine", ""));
    let outcome = Outcome::of(containerd.kiln(&host, "run").arg("-f").arg(file));
    outcome.exits(0).says("clearing up").prints("fine");
    assert_eq!(containerd.left(), [""; 0]);
}

#[test]
fn a_kiln_killed_at_any_moment_leaves_what_the_next_one_takes_away() {
    const TIMES: u32 = 12;
    let host = Host::new();
    let containerd = Containerd::of(&host);
    let many = host.file("j.yaml", &job("sleep 0.7", "completions: 3\n  parallelism: 3"));
    let one = host.file("k.yaml", &job("echo fine", ""));
    for time in 0..TIMES {
        let mut command =
            if time % 2 == 0 { containerd.kiln(&host, "run") } else { host.kiln("run") };
        command.arg("-f").arg(&many).stdout(Stdio::null()).stderr(Stdio::null());
        let mut killed = command.spawn().unwrap();
        thread::sleep(Duration::from_millis(100) + Duration::from_secs(2) * time / TIMES);
        killed.kill().unwrap();
        killed.wait().unwrap();
        Outcome::of(containerd.kiln(&host, "run").arg("-f").arg(&one)).exits(0).prints("fine");
        assert_eq!(containerd.left(), [""; 0], "time {time}");
        assert!(!host.path().join("kiln").exists(), "time {time}");
        let left = leftovers::below(&host.path().join("kiln"));
        assert_eq!(left, [""; 0], "time {time}");
    }
}

#[test]
fn a_shim_that_is_killed_fails_its_pod_and_the_job_goes_on() {
    let host = Host::new();
    let file = host.file("j.yaml", &job(COUNTS, "backoffLimit: 1"));
    let mut command = host.kiln("run");
    let mut running = Running::of(command.args(["--pod-backoff", "100ms", "-f"]).arg(file));
    running.until_it_prints("line 3");
    kill(&pids(&["containerd-shim", &host.path().to_string_lossy()]));
    running.end().exits(0).says("137").prints("line 20");
}

#[test]
fn a_monitor_that_is_killed_takes_nobody_with_it_but_its_container() {
    let host = Host::new();
    let file = host.file("j.yaml", &job(&format!("{COUNTS}; exit 7"), "backoffLimit: 0"));
    let mut running = Running::of(host.kiln("run").arg("-f").arg(file));
    running.until_it_prints("line 3");
    kill(&pids(&["\0monitor\0", &host.path().to_string_lossy()]));
    running.end().exits(1).says("BackoffLimitExceeded");
}

#[test]
fn two_runs_on_one_containerd_and_one_root_leave_each_other_alone() {
    let host = Host::new();
    let containerd = Containerd::of(&host);
    let long = host.file("j.yaml", &job(COUNTS, ""));
    let short = host.file("k.yaml", &job("echo fine", ""));
    let mut running = Running::of(containerd.kiln(&host, "run").arg("-f").arg(long));
    running.until_it_prints("line 2");
    for _ in 0..2 {
        Outcome::of(containerd.kiln(&host, "run").arg("-f").arg(&short)).exits(0).prints("fine");
    }
    running.end().exits(0).prints("line 20");
    assert_eq!(containerd.left(), [""; 0]);
}

/// A file system of its own, which is soon full.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn at(path: &'a Path, size: &str) -> Self {
        fs::create_dir(path).unwrap();
        let size = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "none"]).arg(path);
        assert!(mount.status().unwrap().success());
        Self(path)
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_with_what_to_do_and_nothing_stays_on_it() {
    let host = Host::new();
    let path = host.path().join("small");
    let disk = SmallDisk::at(&path, "16k");
    fs::write(path.join("filler"), [0; 16 << 10]).unwrap();
    let file = host.file("j.yaml", &job("true", ""));
    let outcome =
        Outcome::of(host.kiln("run").arg("--root").arg(path.join("r")).arg("-f").arg(file));
    outcome.exits(3).says("No space left on device").says("--root");
    until("nothing is left", || !path.join("r").exists());
    drop(disk);
}

#[test]
fn a_disk_that_fills_up_later_is_told_with_what_to_do() {
    let host = Host::new();
    let path = host.path().join("small");
    let disk = SmallDisk::at(&path, "24m");
    let file = host.file("j.yaml", &job("yes | head -c 40000000; sleep 1", ""));
    let mut command = host.kiln("run");
    command.arg("--root").arg(path.join("r")).args(["--timeout", "15s", "-f"]).arg(file);
    let outcome = Outcome::of(command.stdout(Stdio::null()));
    outcome.says("its disk is full").says("--root");
    outcome.check("it ends", outcome.code.is_some_and(|code| code != 0));
    assert!(!path.join("r").exists());
    drop(disk);
}

#[test]
fn a_full_disk_of_logs_does_not_end_a_container() {
    let host = Host::new();
    let path = host.path().join("small");
    let disk = SmallDisk::at(&path, "1m");
    let file = host.file("j.yaml", &job("seq 1 300000; exit 5", "backoffLimit: 0"));
    let mut command = host.kiln("run");
    let outcome = Outcome::of(command.arg("--log-dir").arg(&path).arg("-f").arg(file));
    outcome.exits(1).says("exited with code 5");
    drop(disk);
}

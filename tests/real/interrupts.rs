//! Ctrl-C and SIGTERM, at any moment.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::containerd::Containerd;
use super::host::{Host, Outcome};
use super::running::{Running, job};

/// A run that was interrupted may not take longer: the containers end at once.
const BOUND: Duration = Duration::from_secs(20);

fn brief(script: &str, more: &str) -> String {
    job(script, more)
        .replace("      containers:", "      terminationGracePeriodSeconds: 1\n      containers:")
}

#[test]
fn an_interrupt_at_any_moment_leaves_nothing() {
    const TIMES: u32 = 12;
    let host = Host::new();
    let containerd = Containerd::of(&host);
    let many = brief("sleep 0.7", "completions: 4\n  parallelism: 2");
    let file = host.file("j.yaml", &many);
    for time in 0..TIMES {
        let mut command =
            if time % 2 == 0 { containerd.kiln(&host, "run") } else { host.kiln("run") };
        command.arg("-f").arg(&file).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        thread::sleep(Duration::from_millis(60) + Duration::from_millis(2400) * time / TIMES);
        let signal = if time % 3 == 0 { "-TERM" } else { "-INT" };
        let (id, since) = (child.id().to_string(), Instant::now());
        // Every fourth time, twice quickly.
        for _ in 0..=u32::from(time % 4 == 3) {
            let _ = Command::new("kill").args([signal, &id]).status(); // it may have ended
        }
        let outcome = Outcome::from(child.wait_with_output().unwrap());
        let ended = matches!(outcome.code, Some(130 | 0));
        outcome.check(&format!("time {time}: it ends in order"), ended);
        assert!(since.elapsed() < BOUND, "time {time}: {:?}", since.elapsed());
        assert_eq!(containerd.left(), [""; 0], "time {time}");
        assert!(!host.path().join("kiln").exists(), "time {time}");
    }
}

#[test]
fn an_interrupt_ends_a_back_off_and_a_wait_for_an_image() {
    let host = Host::new();
    let restarts = brief("echo tried; exit 1", "backoffLimit: 6").replace("Never", "OnFailure");
    let file = host.file("j.yaml", &restarts);
    let mut running = Running::of(host.kiln("run").arg("-f").arg(file));
    running.until_it_prints("tried");
    running.until_it_prints("tried");
    thread::sleep(Duration::from_millis(500));
    let since = Instant::now();
    running.signal("-INT");
    running.end().exits(130);
    assert!(since.elapsed() < BOUND, "{:?}", since.elapsed());

    let missing = brief("true", "").replace("luksa/batch-job", "luksa/nothing:1");
    let file = host.file("k.yaml", &missing);
    let mut command = host.kiln("run");
    let running = Running::of(command.arg("-f").arg(file));
    thread::sleep(Duration::from_secs(2));
    let since = Instant::now();
    running.signal("-INT");
    running.end().exits(130).says("ErrImagePull").says("interrupted");
    assert!(since.elapsed() < BOUND, "{:?}", since.elapsed());
}

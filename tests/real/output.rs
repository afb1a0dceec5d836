//! What containers write, in quantities.

use std::io::{BufRead, BufReader, Read};
use std::thread;
use std::time::Duration;

use super::host::{Host, Outcome};
use super::running::{Running, job};

/// A hundred thousand lines of a thousand bytes.
const MUCH: &str = "head -c 100000000 /dev/zero | tr '\\0' x | fold -w 993 | nl";
const MUCH_LINES: usize = 100_705;

/// How many lines there are, if they are numbered from one and none is missing.
fn numbered(stdout: impl Read) -> usize {
    let mut expected = 0;
    for line in BufReader::new(stdout).lines() {
        expected += 1;
        let line = line.unwrap();
        let number = line.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
        assert_eq!(number, Some(expected), "{}", &line[..line.len().min(80)]);
    }
    expected
}

#[test]
fn a_hundred_megabytes_at_once_are_printed_whole_though_the_log_is_rotated() {
    let host = Host::new();
    let file = host.file("j.yaml", &job(MUCH, ""));
    let running = Running::of(host.kiln("run").args(["--no-prefix", "-f"]).arg(file));
    let Running { child, stdout } = running;
    assert_eq!(numbered(stdout), MUCH_LINES);
    Outcome::from(child.wait_with_output().unwrap()).exits(0);
}

#[test]
fn a_reader_that_is_slow_misses_nothing_of_a_log_that_is_rotated() {
    let host = Host::new();
    let file = host.file("j.yaml", &job(MUCH, ""));
    let mut command = host.kiln("run");
    command.args(["--log-max-size", "5Mi", "--log-max-files", "2", "--no-prefix", "-f"]).arg(file);
    let Running { child, stdout } = Running::of(&mut command);
    thread::sleep(Duration::from_secs(4));
    assert_eq!(numbered(stdout), MUCH_LINES);
    Outcome::from(child.wait_with_output().unwrap()).exits(0);
}

#[test]
fn what_is_rotated_away_too_fast_is_told() {
    let host = Host::new();
    let args = ["--log-max-size", "20k", "--log-max-files", "1", "--no-prefix"];
    let outcome = host.run(&job("seq 1 1000000", ""), &args);
    outcome.exits(0).prints("1000000");
    if outcome.stdout.lines().count() < 1_000_000 {
        outcome.says("lines may be missing here");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_run() {
    let host = Host::new();
    let file = host.file("j.yaml", &job("while true; do echo more; done", ""));
    let mut running = Running::of(host.kiln("run").arg("-f").arg(file));
    running.until_it_prints("more");
    let Running { child, stdout } = running;
    drop(stdout);
    let outcome = Outcome::from(child.wait_with_output().unwrap());
    outcome.exits(130).says("nobody reads standard output");
}

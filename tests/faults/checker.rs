//! What the containers have written down, against what the API and the logs say.
//!
//! It knows the Kubernetes API and the layout of CRI logs, and nothing of the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::fault::Injector;
use super::stage::{JOBS, PODS, Stage};
use super::workload::{Kind, Workload, end, entries};

#[derive(Default)]
pub(crate) struct Checked {
    jobs: usize,
    pods: usize,
    runs: usize,
    log_bytes: usize,
    /// Starts that containerd did not survive.
    uncertain: usize,
    pub(crate) violations: Vec<String>,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} Jobs, {} pods, {} runs of programs and {} bytes of log checked, {} starts of which nobody \
             knows: {} violations",
            self.jobs,
            self.pods,
            self.runs,
            self.log_bytes,
            self.uncertain,
            self.violations.len()
        )
    }
}

/// What one pod's programs have written down: a code for each run that came to its end.
type Runs<'a> = BTreeMap<&'a str, Option<i64>>;

struct Checker<'a> {
    runs: BTreeMap<&'a str, Runs<'a>>,
    workload: &'a Workload,
    injector: &'a Injector,
    checked: Checked,
}

pub(crate) fn check(stage: &Stage, workload: &Workload, injector: &Injector) -> Checked {
    let ledger = stage.ledger();
    let mut runs: BTreeMap<&str, Runs<'_>> = BTreeMap::new();
    let mut jobs_of: BTreeMap<&str, &str> = BTreeMap::new();
    for entry in entries(&ledger) {
        jobs_of.insert(entry.uid, entry.job);
        let code = runs.entry(entry.uid).or_default().entry(entry.run).or_default();
        *code = entry.code.or(*code);
    }
    let mut checker = Checker { runs, workload, injector, checked: Checked::default() };
    let jobs = stage.get(JOBS).unwrap_or_default();
    let pods = stage.get(PODS).unwrap_or_default();
    checker.check_jobs(&jobs, &pods);
    for pod in &pods {
        checker.check_pod(pod, &stage.log_dir());
    }
    let known: BTreeSet<&str> = pods.iter().map(|pod| text(&pod["metadata"]["uid"])).collect();
    for (uid, job) in jobs_of {
        if !known.contains(uid) {
            checker.violation(format!("{job}: pod {uid} has run, and nobody knows it"));
        }
    }
    checker.checked
}

impl Checker<'_> {
    fn violation(&mut self, text: String) {
        self.checked.violations.push(text);
    }

    fn check_jobs(&mut self, jobs: &[Value], pods: &[Value]) {
        let names: BTreeSet<&str> = jobs.iter().map(|job| text(&job["metadata"]["name"])).collect();
        let lost = self.workload.jobs.keys().filter(|name| !names.contains(name.as_str()));
        let lost: Vec<String> =
            lost.map(|name| format!("{name}: it was acknowledged, and is gone")).collect();
        self.checked.violations.extend(lost);
        for job in jobs {
            let name = text(&job["metadata"]["name"]);
            // One whose acknowledgement got lost is not ours to judge.
            let Some(kind) = self.workload.jobs.get(name).copied() else { continue };
            self.checked.jobs += 1;
            let expected = if kind.fails() { "Failed" } else { "Complete" };
            let found = end(job);
            if found != Some(expected) {
                self.violation(format!(
                    "{name} ({kind:?}): {found:?}, expected {expected}: {}",
                    job["status"]
                ));
                continue;
            }
            let own = |pod: &&Value| pod["metadata"]["labels"]["job-name"] == name;
            let count = |phase: &str| {
                let all = pods.iter().filter(own);
                i64::try_from(all.filter(|pod| pod["status"]["phase"] == phase).count()).unwrap()
            };
            let (succeeded, failed) = (count("Succeeded"), count("Failed"));
            let told = |field: &str| job["status"][field].as_i64().unwrap_or(0);
            if (told("succeeded"), told("failed")) != (succeeded, failed) {
                self.violation(format!(
                    "{name}: {succeeded} succeeded and {failed} failed, it says {}",
                    job["status"]
                ));
            }
            let (of, expected) =
                if kind.fails() { (failed, 3) } else { (succeeded, kind.completions()) };
            if of != expected {
                self.violation(format!("{name} ({kind:?}): {of} pods count, expected {expected}"));
            }
        }
    }

    fn check_pod(&mut self, pod: &Value, log_dir: &Path) {
        let meta = &pod["metadata"];
        let (name, uid) = (text(&meta["name"]), text(&meta["uid"]));
        let job = text(&meta["labels"]["job-name"]);
        let Some(kind) = self.workload.jobs.get(job).copied() else { return };
        self.checked.pods += 1;
        let status = &pod["status"]["containerStatuses"][0];
        let restarts = usize::try_from(status["restartCount"].as_i64().unwrap_or(0)).unwrap();
        let runs = self.runs.get(uid).cloned().unwrap_or_default();
        self.checked.runs += runs.len();
        if runs.len() > restarts + 1 {
            self.violation(format!("{name}: {} runs, and {restarts} restarts", runs.len()));
        }
        if self.injector.hit.contains(uid) {
            return;
        }
        let reason = &status["state"]["terminated"]["reason"];
        if runs.is_empty() && reason == "ContainerStatusUnknown" {
            // containerd went in the middle of the start: nobody can know, and it must not start twice.
            self.checked.uncertain += 1;
            return;
        }
        let codes: BTreeSet<i64> = runs.values().flatten().copied().collect();
        let code = status["state"]["terminated"]["exitCode"].as_i64();
        let unfinished = runs.values().filter(|code| code.is_none()).count();
        let told = code.is_some_and(|code| codes.contains(&code));
        if runs.len() != restarts + 1 || unfinished > 0 || !told {
            self.violation(format!(
                "{name} ({kind:?}): it ran {runs:?}, the API says {}",
                pod["status"]
            ));
        }
        if (pod["status"]["phase"] == "Succeeded") != (code == Some(0)) {
            self.violation(format!("{name}: exit code {code:?} is {}", pod["status"]["phase"]));
        }
        if !self.injector.without_room.contains(uid) {
            let dir = log_dir.join(format!("default_{name}_{uid}/main"));
            self.check_logs(name, kind, &runs, &dir);
        }
    }

    /// Each run has a log of its own, with each line once and in order.
    fn check_logs(&mut self, name: &str, kind: Kind, runs: &Runs<'_>, dir: &Path) {
        let mut seen = BTreeSet::new();
        for file in fs::read_dir(dir).into_iter().flatten().flatten() {
            let log = fs::read_to_string(file.path()).unwrap();
            self.checked.log_bytes += log.len();
            // A time, a stream, and a tag are before each line.
            let lines: Vec<&str> =
                log.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).collect();
            // A creation that was cut short leaves what the OCI runtime said of it.
            let said = lines.iter().position(|line| line.starts_with("start ")).unwrap_or(0);
            let lines = &lines[said..];
            let run =
                lines.first().and_then(|line| line.strip_prefix("start ")).unwrap_or_default();
            let code = runs.get(run).copied().flatten().unwrap_or(-1);
            let numbered = (1..=kind.lines()).map(|number| format!("{run} {number}"));
            let expected = [format!("start {run}")].into_iter().chain(numbered);
            let expected: Vec<String> = expected.chain([format!("end {run} {code}")]).collect();
            if lines != expected {
                let at = lines.iter().zip(&expected).position(|(found, wanted)| found != wanted);
                self.violation(format!(
                    "{name} ({kind:?}): {} has {} lines of {}, the first wrong one is {at:?}: {:?}",
                    file.path().display(),
                    lines.len(),
                    expected.len(),
                    at.map(|at| lines[at])
                ));
            }
            seen.insert(run.to_owned());
        }
        for run in runs.keys().filter(|run| !seen.contains(**run)) {
            self.violation(format!("{name} ({kind:?}): run {run} has no log"));
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

//! What is said at the end.
//!
//! Owns: the table, why a Job failed, and the finished Jobs as JSON or YAML. Must not know: where it is
//! printed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use serde_json::{Value, json};

use super::report::{TOLD_OTHERWISE, ended, ends, failure, subject};
use crate::api::columns::{JOB_COLUMNS, job_row, pod_row};
use crate::api::job::{Finished, is_finished};
use crate::api::object::Object;
use crate::api::pod::{all_container_statuses, is_controlled_by};
use crate::cli::table::Columns;
use crate::cli::yaml;
use crate::pod::Instance;
use crate::runtime::logs;

/// So many pods of a Job are explained, the last ones.
const PODS_MAX: usize = 5;
/// So many Events are remembered, and so many of them shown for a Job.
const WARNINGS_KEPT: usize = 100;
const WARNINGS_MAX: usize = 5;
/// So many lines of a log are shown.
const LOG_LINES: usize = 10;

/// How the finished Jobs are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Json,
    Yaml,
}

/// What may explain a failure later; bounded.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// The pods in which something went wrong, by the uid of their Job, latest last.
    pods: BTreeMap<String, Suspects>,
    warnings: VecDeque<Event>,
}

#[derive(Debug, Default)]
struct Suspects {
    last: VecDeque<Pod>,
    dropped: usize,
}

impl Evidence {
    pub(super) fn pod(&mut self, pod: &Pod) {
        let owners = pod.metadata.owner_references.iter().flatten();
        let Some(owner) = owners.map(|owner| &owner.uid).find(|uid| is_controlled_by(pod, uid))
        else {
            return;
        };
        let suspects = self.pods.entry(owner.clone()).or_default();
        if !all_container_statuses(pod).any(went_wrong) {
            // Its troubles are over, unless it is stopped because of them.
            if !pod.is_deleting() {
                suspects.last.retain(|known| known.uid() != pod.uid());
            }
            return;
        }
        if let Some(known) = suspects.last.iter_mut().find(|known| known.uid() == pod.uid()) {
            *known = pod.clone();
            return;
        }
        suspects.last.push_back(pod.clone());
        if suspects.last.len() > PODS_MAX {
            suspects.last.pop_front();
            suspects.dropped += 1;
        }
    }

    pub(super) fn event(&mut self, event: &Event) {
        let reason = event.reason.as_deref().unwrap_or_default();
        if event.type_.as_deref() == Some("Warning") && !TOLD_OTHERWISE.contains(&reason) {
            self.warnings.retain(|known| known.name() != event.name());
            self.warnings.push_back(event.clone());
            if self.warnings.len() > WARNINGS_KEPT {
                self.warnings.pop_front();
            }
        }
    }

    /// Why a Job failed, as far as is known.
    fn explain(&self, job: &Job, log_dir: &Path, now: Timestamp, out: &mut String) {
        let none = Suspects::default();
        let suspects = self.pods.get(job.uid()).unwrap_or(&none);
        line(out, &failure(job));
        if suspects.dropped > 0 {
            line(out, &format!("  {} more pods, and the last ones:", suspects.dropped));
        }
        for pod in &suspects.last {
            let [_, _, status, ..] = pod_row(pod, now);
            line(out, &format!("  pod/{}: {status}", pod.name()));
            for status in all_container_statuses(pod) {
                explain_container(pod, status, log_dir, out);
            }
        }
        let about = |event: &&Event| {
            let uid = event.involved_object.uid.as_deref();
            uid == Some(job.uid()) || suspects.last.iter().any(|pod| Some(pod.uid()) == uid)
        };
        let warnings: Vec<_> = self.warnings.iter().filter(about).collect();
        if !warnings.is_empty() {
            line(out, "  warnings:");
        }
        for event in &warnings[warnings.len().saturating_sub(WARNINGS_MAX)..] {
            let text = |field: &Option<String>| field.clone().unwrap_or_default();
            let times = event.count.filter(|count| *count > 1);
            let times = times.map(|count| format!(" (x{count})")).unwrap_or_default();
            let (reason, message) = (text(&event.reason), text(&event.message));
            line(out, &format!("    {}: {reason}{times}: {message}", subject(event)));
        }
    }
}

fn went_wrong(status: &ContainerStatus) -> bool {
    ends(status).any(|(end, again)| end.exit_code != 0 || again) || waits(status).is_some()
}

/// Why a container waits, where that is more than a matter of time.
fn waits(status: &ContainerStatus) -> Option<(&str, &str)> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let message = waiting.message.as_deref().filter(|message| !message.is_empty())?;
    Some((waiting.reason.as_deref().unwrap_or_default(), message))
}

fn explain_container(pod: &Pod, status: &ContainerStatus, log_dir: &Path, out: &mut String) {
    let name = &status.name;
    if let Some((reason, message)) = waits(status) {
        line(out, &format!("    {name} waits: {reason}: {message}"));
    }
    let count = u32::try_from(status.restart_count).unwrap_or(0);
    let restarts = match count {
        0 => String::new(),
        1 => ", restarted once".to_owned(),
        count => format!(", restarted {count} times"),
    };
    let Some((end, _)) = ends(status).filter(|(end, _)| end.exit_code != 0).last() else { return };
    line(out, &format!("    {name} {}{restarts}", ended(end)));
    // A container that was started again has another id, or none yet.
    let is_current = status.container_id == end.container_id;
    let attempt = if is_current { count } else { count.saturating_sub(1) };
    let instance = Instance { container: name.clone(), attempt };
    match logs::tail(&logs::path(log_dir, pod, &instance), LOG_LINES) {
        Ok(lines) if lines.is_empty() => {}
        Ok(lines) => {
            line(out, &format!("    the last lines of {name}:"));
            for text in lines {
                line(out, &format!("      {}", String::from_utf8_lossy(&text.text)));
            }
        }
        Err(error) => line(out, &format!("    its log cannot be read: {error}")),
    }
}

/// The table, and below it why Jobs failed.
pub(super) fn summary(
    jobs: &[&Job],
    evidence: &Evidence,
    log_dir: &Path,
    now: Timestamp,
) -> String {
    let mut out = standing(jobs, now);
    for job in jobs {
        if is_finished(job) == Some(Finished::Failed) {
            out.push('\n');
            evidence.explain(job, log_dir, now, &mut out);
        }
    }
    out
}

/// The table; with the namespaces where there are several, as kubectl prints it.
fn standing(jobs: &[&Job], now: Timestamp) -> String {
    let namespaces: BTreeSet<&str> = jobs.iter().map(|job| job.namespace()).collect();
    let several = namespaces.len() > 1;
    let line = |namespace: &str, cells: [String; 5]| -> Vec<String> {
        several.then(|| namespace.to_owned()).into_iter().chain(cells).collect()
    };
    let mut rows = vec![line("NAMESPACE", JOB_COLUMNS.map(str::to_owned))];
    rows.extend(jobs.iter().map(|job| line(job.namespace(), job_row(job, now))));
    Columns::default().set(&rows)
}

/// The Jobs as kubectl prints them: one as it is, several as a list.
pub(super) fn document(jobs: &[&Job], format: Format) -> anyhow::Result<String> {
    let value = match jobs {
        [job] => serde_json::to_value(job)?,
        many => {
            let items = many.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
            let metadata = json!({"resourceVersion": ""});
            json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": metadata})
        }
    };
    Ok(match format {
        Format::Json => pretty(&value)? + "\n",
        Format::Yaml => yaml::write(&value)?,
    })
}

/// JSON, indented by four as kubectl does.
fn pretty(value: &Value) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    serde::Serialize::serialize(value, &mut serializer)?;
    Ok(String::from_utf8(bytes)?)
}

fn line(out: &mut String, text: &str) {
    // A String takes everything.
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str) -> Job {
        let mut job = Job::default();
        job.metadata.name = Some(name.into());
        job
    }

    #[test]
    fn jobs_of_several_namespaces_are_told_apart() {
        let (mut a, mut b) = (job("j"), job("j"));
        a.metadata.namespace = Some("one".into());
        b.metadata.namespace = Some("two".into());
        let text = standing(&[&a, &b], Timestamp::UNIX_EPOCH);
        let heads: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().take(2).collect()).collect();
        assert_eq!(heads, [["NAMESPACE", "NAME"], ["one", "j"], ["two", "j"]]);
    }

    #[test]
    fn one_job_is_printed_as_it_is_and_several_as_a_list() {
        let (a, b) = (job("a"), job("b"));
        assert_eq!(
            document(&[&a], Format::Json).unwrap(),
            "{\n    \"apiVersion\": \"batch/v1\",\n    \"kind\": \"Job\",\n    \"metadata\": {\n        \
             \"name\": \"a\"\n    }\n}\n"
        );
        assert_eq!(
            document(&[&a, &b], Format::Yaml).unwrap(),
            "apiVersion: v1\nitems:\n- apiVersion: batch/v1\n  kind: Job\n  metadata:\n    name: a\n\
             - apiVersion: batch/v1\n  kind: Job\n  metadata:\n    name: b\nkind: List\nmetadata:\n  \
             resourceVersion: ''\n"
        );
    }
}

//! `kiln wait`: until something holds of objects, or a Job is over.
//!
//! Owns: what may be waited for. Must not know: how it comes about.

use std::time::Duration;

use serde_json::Value;

use super::Exit;
use super::jsonpath;
use super::remote::{Error, Observer, Remote};
use super::targets::{Selection, Target};

/// Wait until a Job is over, or until something holds of an object
///
/// Without --for: ends with the Job, whichever way. Exit codes: 0 complete, 1 failed, 4 timed out.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kiln wait job/pi
  kiln wait --for=condition=complete jobs -l app=math --timeout 10m
  kiln wait --for=jsonpath='{.status.succeeded}'=3 job/pi
  kiln wait --for=delete pods --all")]
pub(super) struct Args {
    /// `TYPE NAME...`, `TYPE/NAME...`, or TYPE with --all or -l
    objects: Vec<String>,

    #[command(flatten)]
    selection: Selection,

    /// condition=NAME[=VALUE], jsonpath={.path}[=VALUE], create, delete; several: one after the other
    #[arg(long = "for", value_name = "WHAT")]
    wanted: Vec<String>,

    /// How long [default: 30s; without --for as long as it takes]
    #[arg(long, value_name = "TIME", value_parser = super::settings::duration)]
    timeout: Option<Duration>,
}

/// As kubectl has it.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, PartialEq)]
enum Wanted {
    /// Complete or failed.
    End,
    Condition {
        kind: String,
        status: String,
    },
    JsonPath {
        path: String,
        value: Option<String>,
    },
    Create,
    Delete,
}

impl Wanted {
    fn read(text: &str) -> Result<Self, Error> {
        if let Some(condition) = text.strip_prefix("condition=") {
            let (kind, status) = condition.split_once('=').unwrap_or((condition, "True"));
            return Ok(Self::Condition { kind: kind.to_owned(), status: status.to_owned() });
        }
        if let Some(path) = text.strip_prefix("jsonpath=") {
            // An equals sign within the path's braces is of a filter.
            let end = path.rfind('}').map_or(0, |at| at + 1);
            let equals = path[end..].find('=').map(|at| at + end);
            let (path, value) = match equals {
                Some(at) => {
                    (&path[..at], Some(path[at + 1..].trim_matches(['"', '\'']).to_owned()))
                }
                None => (path, None),
            };
            return Ok(Self::JsonPath { path: path.trim_matches(['"', '\'']).to_owned(), value });
        }
        match text {
            "create" => Ok(Self::Create),
            "delete" => Ok(Self::Delete),
            _ => Err(Error::usage(format!("unrecognized condition: {text:?}"))),
        }
    }

    /// How it ended, if it did.
    fn met(&self, object: Option<&Value>) -> Result<Option<Exit>, Error> {
        let Some(object) = object else {
            return Ok((*self == Self::Delete).then_some(Exit::Done));
        };
        let held = match self {
            Self::Delete => false,
            Self::Create => true,
            Self::End if holds(object, "Failed", "True") => return Ok(Some(Exit::Failed)),
            Self::End => holds(object, "Complete", "True"),
            Self::Condition { kind, status } => holds(object, kind, status),
            Self::JsonPath { path, value } => {
                let found = jsonpath::find(path, object).map_err(Error::usage)?;
                found.iter().any(|found| match value {
                    Some(value) => jsonpath::text(found) == *value,
                    None => true,
                })
            }
        };
        Ok(held.then_some(Exit::Done))
    }
}

fn holds(object: &Value, kind: &str, status: &str) -> bool {
    let is = |value: &Value, text: &str| {
        value.as_str().is_some_and(|value| value.eq_ignore_ascii_case(text))
    };
    // A condition of an object as it was before its last change says nothing of it now.
    let generation = object["metadata"]["generation"].as_i64().unwrap_or_default();
    let is_current = |condition: &Value| {
        condition["observedGeneration"].as_i64().is_none_or(|g| g >= generation)
    };
    let conditions = object["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|c| is(&c["type"], kind) && is(&c["status"], status) && is_current(c))
}

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    let mut wanted =
        args.wanted.iter().map(|text| Wanted::read(text)).collect::<Result<Vec<_>, _>>()?;
    // A Job takes as long as it takes.
    let timeout = args.timeout.or_else(|| (!wanted.is_empty()).then_some(TIMEOUT));
    if wanted.is_empty() {
        wanted.push(Wanted::End);
    }
    let targets = args.selection.find(&args.objects, remote).await?;
    if targets.is_empty() && !wanted.contains(&Wanted::Delete) {
        return Err(Error::failed("no matching resources found"));
    }
    let is_no_job = |target: &&Target| !target.resource.is("Job");
    if wanted.contains(&Wanted::End)
        && let Some(target) = targets.iter().find(is_no_job)
    {
        return Err(Error::usage(format!("say with --for what of {target} to wait for")));
    }
    let until = timeout.and_then(|timeout| remote.clock.now().checked_add(timeout).ok());
    let mut exit = Exit::Done;
    for target in &targets {
        for wanted in &wanted {
            // What was waited for in vain is dropped.
            let ended = tokio::select! {
                biased;
                ended = one(wanted, target, remote) => ended?,
                () = remote.clock.sleep_until(until) => {
                    let Target { resource, name, .. } = target;
                    let message = format!(
                        "timed out waiting for the condition on {}/{name}", resource.plural
                    );
                    return Err(Error::TimedOut { message });
                }
            };
            if ended == Exit::Failed {
                exit = Exit::Failed;
            }
        }
    }
    Ok(exit)
}

async fn one(wanted: &Wanted, target: &Target, remote: &Remote) -> Result<Exit, Error> {
    let mut observer = Observer::within(remote, &target.resource, &target.namespace, &target.name);
    loop {
        let object = observer.next().await?;
        if let Some(exit) = wanted.met(object.as_ref())? {
            let told = match (wanted, exit) {
                (Wanted::End, Exit::Failed) => "failed",
                (Wanted::End, _) => "complete",
                (..) => "condition met",
            };
            remote.print(format!("{target} {told}\n"));
            return Ok(exit);
        }
        if object.is_none() && *wanted != Wanted::Create {
            // The refusal is the server's to word.
            remote.get(&target.path()).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_that_failed_ends_the_wait_for_its_end_but_not_for_its_completion() {
        let job = json!({"status": {"conditions": [{"type": "Failed", "status": "True"}]}});
        assert_eq!(Wanted::End.met(Some(&job)).unwrap(), Some(Exit::Failed));
        let complete = Wanted::read("condition=complete").unwrap();
        assert_eq!(complete.met(Some(&job)).unwrap(), None);
        assert_eq!(Wanted::Delete.met(None).unwrap(), Some(Exit::Done));
    }

    #[test]
    fn a_path_is_met_by_its_value() {
        let job = json!({"status": {"succeeded": 2}});
        for (text, expected) in [
            ("jsonpath={.status.succeeded}=2", Some(Exit::Done)),
            ("jsonpath={.status.succeeded}=3", None),
            ("jsonpath={.status.succeeded}", Some(Exit::Done)),
            ("jsonpath=.status.failed=1", None),
        ] {
            assert_eq!(Wanted::read(text).unwrap().met(Some(&job)).unwrap(), expected, "{text}");
        }
        assert!(Wanted::read("complete").is_err());
    }
}

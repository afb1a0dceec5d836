//! Whole files on their way into the store.
//!
//! Owns: that all their Jobs are admitted, or none, with all that is wrong. Must not know: where a
//! file comes from, or how a field is checked.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;

use super::objects::{self, Error, Seed};
use crate::api::after::{Waits, circle};
use crate::api::extensions::{AFTER, after};
use crate::api::manifest::{Manifest, Refusal};
use crate::api::object::{Key, Object};
use crate::api::path::Path;
use crate::api::validation::{FieldError, Problem};

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What the user called it, and what refusals call it.
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Admits all Jobs of all files, in their order. Nothing is stored by it.
///
/// # Errors
/// [`Error::Refused`] with all that is wrong in all files.
pub fn admit(sources: &[Source], now: Timestamp) -> Result<Vec<Job>, Error> {
    let (mut jobs, mut refusals) = (Vec::new(), Vec::new());
    let mut taken = BTreeSet::new();
    for source in sources {
        match Manifest::read(&source.name, &source.bytes) {
            Ok(manifest) => {
                for index in 0..manifest.jobs().len() {
                    match admit_one(&manifest, index, &mut taken, now)? {
                        Ok(job) => jobs.push(job),
                        Err(wrong) => refusals.extend(wrong),
                    }
                }
            }
            Err(wrong) => refusals.extend(wrong),
        }
    }
    if refusals.is_empty() { Ok(jobs) } else { Err(Error::Refused { refusals }) }
}

/// Whether Jobs that nobody adds to can all begin: what each waits for is among them, and none waits for
/// itself by way of others.
///
/// # Errors
/// [`Error::Invalid`] with what is wrong with the first.
pub fn can_begin(jobs: &[Job]) -> Result<(), Error> {
    for job in jobs {
        let near: Vec<&Job> =
            jobs.iter().filter(|near| near.namespace() == job.namespace()).collect();
        let names = |job: &Job| after(job).into_iter().map(str::to_owned).collect::<Vec<_>>();
        let waits: Waits = near.iter().map(|job| (job.name().to_owned(), names(job))).collect();
        let missing = after(job).into_iter().find(|name| !waits.contains_key(*name));
        let missing = missing.map(|name| format!("no Job {name:?} is to be run"));
        if let Some(detail) = missing.or_else(|| circle(&waits, job.name())) {
            let value = format!("{:?}", after(job).join(","));
            let problem = Problem::Invalid { value, detail };
            let path = Path::of("metadata").field("annotations").key(AFTER);
            let errors = vec![FieldError { path, problem }];
            return Err(Error::Invalid { name: job.name().to_owned(), errors });
        }
    }
    Ok(())
}

fn admit_one(
    manifest: &Manifest<'_>,
    index: usize,
    taken: &mut BTreeSet<Key>,
    now: Timestamp,
) -> Result<Result<Job, Vec<Refusal>>, Error> {
    let errors = match objects::admit(manifest.jobs()[index].clone(), &Seed::random()?, now) {
        Ok(job) if taken.insert(job.key()) => return Ok(Ok(job)),
        Ok(job) => {
            let problem = Problem::Duplicate { value: job.name().to_owned() };
            vec![FieldError { path: Path::of("metadata.name"), problem }]
        }
        Err(Error::Invalid { errors, .. }) => errors,
        Err(other) => return Err(other),
    };
    Ok(Err(errors.iter().map(|error| manifest.refuse(index, error)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "\
apiVersion: batch/v1
kind: Job
metadata:
  name: one
spec:
  template:
    spec:
      containers:
      - name: main
        image: busybox
      restartPolicy: Never
";

    fn admitted(files: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let sources: Vec<Source> = files
            .iter()
            .map(|(name, text)| Source { name: (*name).to_owned(), bytes: (*text).into() })
            .collect();
        let jobs = admit(&sources, Timestamp::UNIX_EPOCH).map_err(|error| error.to_string())?;
        Ok(jobs.iter().map(|job| job.name().to_owned()).collect())
    }

    #[test]
    fn all_jobs_of_all_files_are_admitted_in_their_order() {
        let two = format!("{JOB}---\n{}", JOB.replace("one", "two"));
        let generated = JOB.replace("name: one", "generateName: three-");
        let names = admitted(&[("a", &two), ("b", &generated), ("c", &generated)]).unwrap();
        assert_eq!(names[..2], ["one", "two"]);
        assert!(names[2].starts_with("three-") && names[2] != names[3], "{names:?}");
    }

    #[test]
    fn jobs_that_wait_for_each_other_or_for_nobody_are_refused() {
        let after = |name: &str, after: &str| {
            let name = format!("name: {name}\n  annotations: {{kiln/after: {after}}}");
            JOB.replace("name: one", &name)
        };
        let begin = |text: &str| {
            let sources = [Source { name: "a".to_owned(), bytes: text.into() }];
            let jobs = admit(&sources, Timestamp::UNIX_EPOCH).unwrap();
            can_begin(&jobs).map_err(|error| error.to_string())
        };
        assert_eq!(begin(&format!("{JOB}---\n{}", after("two", "one"))), Ok(()));
        assert_eq!(
            begin(&after("two", "one")),
            Err("The Job \"two\" is invalid: metadata.annotations[kiln/after]: Invalid value: \
                 \"one\": no Job \"one\" is to be run"
                .to_owned())
        );
        let circle = begin(&format!("{}---\n{}", after("a", "b"), after("b", "a"))).unwrap_err();
        assert!(circle.ends_with("the Job would wait for itself: a -> b -> a"), "{circle}");
    }

    #[test]
    fn all_that_is_wrong_is_told_with_file_line_and_path() {
        let no_policy = JOB.replace("      restartPolicy: Never\n", "");
        let other = JOB.replace("one", "two").replace("name: main", "name: Main");
        let files = [
            ("a.yaml", format!("{JOB}---\n{no_policy}")),
            ("b.yaml", other),
            ("c.yaml", JOB.to_owned()),
            ("d.yaml", "kind: Pod".to_owned()),
        ];
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let text = admitted(&files).unwrap_err();
        let expected = [
            "a.yaml:19: spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\"",
            "b.yaml:9: spec.template.spec.containers[0].name: Invalid value: \"Main\": a lowercase",
            "c.yaml:4: metadata.name: Duplicate value: \"one\"",
            "d.yaml:1: kind: Pod: not supported; kiln runs batch/v1 Jobs",
        ];
        assert_eq!(text.lines().count(), expected.len(), "{text}");
        for (line, expected) in text.lines().zip(expected) {
            assert!(line.starts_with(expected), "{line}");
        }
    }
}

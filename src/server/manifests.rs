//! Whole files on their way into the store.
//!
//! Owns: that all their Jobs are admitted, or none, with all that is wrong. Must not know: where a
//! file comes from, or how a field is checked.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::kinds;
use super::objects::{self, Error, Seed, wished};
use crate::api::after::{Waits, circle};
use crate::api::extensions::{AFTER, after};
use crate::api::manifest::{Manifest, Other, Refusal};
use crate::api::object::{Key, Object};
use crate::api::path::Path;
use crate::api::validation::{FieldError, Problem, object};

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What the user called it, and what refusals call it.
    pub name: String,
    pub bytes: Vec<u8>,
}

/// What files amount to: Jobs, and the objects that these may need.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Admitted {
    pub jobs: Vec<Job>,
    pub others: Vec<(Key, Value)>,
}

/// Admits all Jobs of all files, in their order, and what else is in them. Nothing is stored by it.
///
/// # Errors
/// [`Error::Refused`] with all that is wrong in all files.
pub fn admit(sources: &[Source], now: Timestamp) -> Result<Admitted, Error> {
    let (mut all, mut refusals) = (Admitted::default(), Vec::new());
    let mut taken = BTreeSet::new();
    for source in sources {
        match Manifest::read(&source.name, &source.bytes) {
            Ok(manifest) => {
                for index in 0..manifest.jobs().len() {
                    match admit_one(&manifest, index, &mut taken, now)? {
                        Ok(job) => all.jobs.push(job),
                        Err(wrong) => refusals.extend(wrong),
                    }
                }
                for index in 0..manifest.others().len() {
                    match admit_other(&manifest, index, &mut taken, now)? {
                        Ok(other) => all.others.push(other),
                        Err(wrong) => refusals.extend(wrong),
                    }
                }
            }
            Err(wrong) => refusals.extend(wrong),
        }
    }
    if all.jobs.is_empty() && refusals.is_empty() {
        let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        refusals.push(Refusal {
            source: names.join(", "),
            line: None,
            path: String::new(),
            problem: "no Job in it; kiln runs batch/v1 Jobs".to_owned(),
        });
    }
    if refusals.is_empty() { Ok(all) } else { Err(Error::Refused { refusals }) }
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

fn admit_other(
    manifest: &Manifest<'_>,
    index: usize,
    taken: &mut BTreeSet<Key>,
    now: Timestamp,
) -> Result<Result<(Key, Value), Vec<Refusal>>, Error> {
    let Other { kind, value } = manifest.others()[index].clone();
    let checked = kinds::check_new(kind, &value);
    let wrong: Vec<String> = checked.mistyped.into_iter().chain(checked.unknown).collect();
    if !wrong.is_empty() {
        let wrong = wrong.into_iter().map(|problem| manifest.refuse_in_words(index, problem));
        return Ok(Err(wrong.collect()));
    }
    let mut value = checked.kept;
    let given: ObjectMeta = serde_json::from_value(value["metadata"].clone()).unwrap_or_default();
    let mut meta = wished(given, &Seed::random()?, now);
    meta.generation = None;
    meta.namespace.get_or_insert_with(|| "default".to_owned());
    let key = Key::new(
        kind,
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    );
    let mut errors = object::metadata(kind, &meta);
    if !taken.insert(key.clone()) {
        let problem = Problem::Duplicate { value: key.name.clone() };
        errors.push(FieldError { path: Path::of("metadata.name"), problem });
    }
    value["metadata"] = serde_json::to_value(&meta).unwrap_or_default();
    let mut refusals: Vec<Refusal> =
        errors.iter().map(|error| manifest.refuse_other(index, error)).collect();
    match kinds::create(kind, value) {
        Ok(value) if refusals.is_empty() => return Ok(Ok((key, value))),
        Ok(_) => {}
        Err(causes) => {
            let words = |cause: super::status::Cause| format!("{}: {}", cause.field, cause.message);
            let more = causes.into_iter().map(words);
            refusals.extend(more.map(|problem| manifest.refuse_in_words(index, problem)));
        }
    }
    Ok(Err(refusals))
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
        let all = admit(&sources, Timestamp::UNIX_EPOCH).map_err(|error| error.to_string())?;
        let jobs = all.jobs.iter().map(|job| job.name().to_owned());
        Ok(jobs.chain(all.others.iter().map(|(key, _)| key.to_string())).collect())
    }

    #[test]
    fn what_jobs_need_comes_along_from_whichever_file() {
        let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: hello}\n";
        let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, namespace: n}\n";
        let names = admitted(&[("s", secret), ("job", &format!("{map}---\n{JOB}"))]).unwrap();
        assert_eq!(names, ["one", "secrets/default/s", "configmaps/n/m"]);
        let alone = admitted(&[("s.yaml", secret), ("m.yaml", map)]).unwrap_err();
        assert_eq!(alone, "s.yaml, m.yaml: no Job in it; kiln runs batch/v1 Jobs");
        let wrong = secret.replace("name: s", "name: S").replace("stringData", "stringdata");
        let text = admitted(&[("job", JOB), ("s.yaml", &wrong)]).unwrap_err();
        assert_eq!(text, "s.yaml:1: unknown field \"stringdata\"");
        let wrong = secret.replace("name: s", "name: S").replace("{a:", "{'a b':");
        let text = admitted(&[("job", JOB), ("s.yaml", &wrong)]).unwrap_err();
        let expected = [
            "s.yaml:3: metadata.name: Invalid value: \"S\": a lowercase RFC 1123 subdomain",
            "s.yaml:1: data[a b]: Invalid value: \"a b\": a valid config key must consist",
        ];
        for (line, expected) in text.lines().zip(expected) {
            assert!(line.starts_with(expected), "{line}");
        }
        let text = admitted(&[("job", JOB), ("a.yaml", map), ("b.yaml", map)]).unwrap_err();
        assert_eq!(text, "b.yaml:3: metadata.name: Duplicate value: \"m\"");
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
            let all = admit(&sources, Timestamp::UNIX_EPOCH).unwrap();
            can_begin(&all.jobs).map_err(|error| error.to_string())
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

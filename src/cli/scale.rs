//! `kiln scale`: how many pods of a Job run at a time.
//!
//! Owns: the patch. Must not know: what the Job does then.

use http::Method;
use serde_json::json;

use super::Exit;
use super::remote::{Error, MERGE_PATCH, Remote, known};

/// Set how many pods of a Job run at a time
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// `job NAME` or `job/NAME`
    #[arg(required = true, num_args = 1..)]
    jobs: Vec<String>,

    /// spec.parallelism
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..))]
    replicas: u32,
}

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    let patch = json!({"spec": {"parallelism": args.replicas}});
    patch_jobs(&args.jobs, &patch, "scaled", remote).await
}

/// Patches each Job, and tells it.
pub(super) async fn patch_jobs(
    words: &[String],
    patch: &serde_json::Value,
    done: &str,
    remote: &Remote,
) -> Result<Exit, Error> {
    let resource = known("jobs").expect("Jobs are known");
    for name in job_names(words)? {
        let path = remote.path_of(&resource, &name);
        let before = remote.get(&path).await?;
        let after = remote.send(Method::PATCH, &path, MERGE_PATCH, patch).await?;
        let same = before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"];
        let no_change = if same { " (no change)" } else { "" };
        remote.print(format!("{resource}/{name} {done}{no_change}\n"));
    }
    Ok(Exit::Done)
}

/// `job a b`, `job/a job/b`
pub(super) fn job_names(words: &[String]) -> Result<Vec<String>, Error> {
    let is_job = |word: &str| known(word).is_some_and(|resource| resource.is("Job"));
    let not_a_job =
        |word: &str| Error::usage(format!("{word:?}: expected `job NAME` or `job/NAME`"));
    if let [kind, names @ ..] = words
        && is_job(kind)
        && !names.is_empty()
    {
        return Ok(names.to_vec());
    }
    let name = |word: &String| match word.split_once('/') {
        Some((kind, name)) if is_job(kind) && !name.is_empty() => Ok(name.to_owned()),
        Some(_) | None => Err(not_a_job(word)),
    };
    words.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_named_in_either_way() {
        let names = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            job_names(&words).map_err(|error| error.to_string())
        };
        assert_eq!(names(&["job", "a", "b"]), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(names(&["job/a", "jobs.batch/b"]), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert!(names(&["pod/a"]).is_err());
        assert!(names(&["job"]).is_err());
    }
}

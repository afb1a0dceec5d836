//! The session of every book, with kubectl and with kiln in its place: the same words come back.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::serving::{Client, Serving};

#[test]
fn the_session_of_every_book_reads_the_same_with_kubectl_and_with_kiln() {
    let serving = Serving::new();
    // Long enough to be seen while it runs.
    serving.host.push("luksa/batch-job", &["--config.env", "BATCH_SECONDS=3"]);
    // The first one pulls the image, which the others find.
    session(&serving, &Client::kubectl(), true);
    let (kubectl, kiln) = (Client::new_kubectl(), Client::kiln());
    let expected = session(&serving, &kubectl, true);
    let actual = session(&serving, &kiln, false);
    for ((words, expected), (_, actual)) in expected.iter().zip(&actual) {
        let own = actual.get(expected.len()..).unwrap_or_default();
        // kiln says at the end of a description in one sentence how it stands.
        let same =
            actual.starts_with(expected) && (own.is_empty() || words.starts_with("describe"));
        assert!(
            same,
            "{words}\n-- kubectl\n{}\n-- kiln\n{}",
            expected.join("\n"),
            actual.join("\n")
        );
    }
}

/// What was asked, and the lines of the answer without what differs each time.
type Said = Vec<(String, Vec<String>)>;

fn session(serving: &Serving, client: &Client, is_kubectl: bool) -> Said {
    let mut said = Vec::new();
    let mut ask = |words: &str, expected: &str| {
        let outcome = serving.run(client, &format!("$K {words}"));
        outcome.exits(0);
        outcome.check(expected, outcome.stdout.contains(expected));
        let text = outcome.stdout.clone() + &outcome.stderr;
        said.push((words.to_owned(), text.lines().map(plain).collect()));
    };
    let phase = "$K get pods -o 'jsonpath={.items[*].status.phase}'";
    ask("create -f manifests/batch-job.yaml", "job.batch/batch-job created\n");
    serving.until(client, phase, |phase| phase == "Running");
    ask(
        "get jobs",
        "NAME        STATUS    COMPLETIONS   DURATION   AGE\nbatch-job   Running   0/1 ",
    );
    ask("get pod", "1/1     Running   0 ");
    ask("get po -o wide", "NOMINATED NODE   READINESS GATES\n");
    ask("logs job/batch-job -f", "Finished succesfully\n");
    ask("wait --for=condition=complete job/batch-job", "job.batch/batch-job condition met\n");
    ask("get jobs", "batch-job   Complete   1/1 ");
    ask("get pod", "0/1     Completed   0 ");
    ask("describe job batch-job", "Created pod: batch-job-");
    if is_kubectl {
        serving.run(client, "$K patch job batch-job -p '{\"spec\":{\"parallelism\":3}}'").exits(0);
    } else {
        serving.run(client, "$K scale job batch-job --replicas=3").exits(0);
    }
    ask("get job batch-job -o 'jsonpath={.spec.parallelism}'", "3");
    ask("get job batch-job -o name", "job.batch/batch-job\n");
    ask("delete job batch-job", "job.batch \"batch-job\" deleted");
    serving.until(client, "$K get pods -o name", |pods| pods.is_empty());
    ask("get jobs", "");
    said.push(("get jobs -w".to_owned(), watched(serving, client)));
    said
}

/// The rows of `get jobs -w` while a Job runs to its end.
fn watched(serving: &Serving, client: &Client) -> Vec<String> {
    serving.run(client, "$K create -f manifests/batch-job.yaml").exits(0);
    let mut watch =
        serving.shell(client, "exec $K get jobs -w").stdout(Stdio::piped()).spawn().unwrap();
    let mut rows: Vec<String> = Vec::new();
    for row in BufReader::new(watch.stdout.take().unwrap()).lines() {
        // A row that differs from the one before in its ages alone says nothing new.
        let row = plain(&row.unwrap());
        if rows.last() != Some(&row) {
            rows.push(row);
        }
        if rows.last().is_some_and(|row| row.contains(" Complete ")) {
            break;
        }
    }
    watch.kill().unwrap();
    watch.wait().unwrap();
    serving.run(client, "$K delete job batch-job").exits(0);
    serving.until(client, "$K get pods -o name", |pods| pods.is_empty());
    rows
}

/// A line without times, ages, names that were generated, and the widths of columns.
fn plain(line: &str) -> String {
    for logged in ["Batch job starting", "Finished succesfully"] {
        if line.ends_with(logged) {
            return logged.to_owned();
        }
    }
    for label in ["Start Time:", "Completed At:", "Duration:"] {
        if line.starts_with(label) {
            return label.to_owned();
        }
    }
    line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

fn word(word: &str) -> String {
    let is_age = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_digit())
            && text.ends_with(['s', 'm', 'h'])
            && text.chars().all(|c| c.is_ascii_digit() || "hms".contains(c))
    };
    if is_age(word) || word == "<invalid>" {
        return "<age>".to_owned();
    }
    if let Some((name, uid)) = word.split_once('=')
        && uid.len() == 36
    {
        return format!("{name}=<uid>");
    }
    match word.rsplit_once("batch-job-") {
        Some((before, random)) if random.len() == 5 => format!("{before}batch-job-<random>"),
        Some(_) | None => word.to_owned(),
    }
}

//! kiln's own commands against the real server: what they print, and how they end.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![cfg_attr(test, expect(dead_code, reason = "the tests of the API use more of it"))]

mod following;
mod reading;
#[path = "../served/mod.rs"]
mod served;
mod writing;

use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kiln::cli::output::Printer;
use kiln::cli::{self, Exit};
use kiln::server::logs::{Logs, Missing, Pieces, Request};
use served::{JOBS, PODS, Served, a_job};

/// What a command printed, and how it ended.
async fn kiln(served: &Served, arguments: &[&str]) -> (Exit, String, String) {
    let (printer, captured) = Printer::captured().unwrap();
    let output = printer.output();
    let socket = served.socket();
    let server = ["--socket", socket.to_str().unwrap()];
    let at = arguments.iter().position(|word| *word == "--").unwrap_or(arguments.len());
    let all: Vec<_> = [&["kiln"], &arguments[..at], &server, &arguments[at..]].concat();
    let asked = Box::pin(cli::ask(&all, &output));
    let exit = tokio::time::timeout(served::PATIENCE, asked).await.expect("an end in time");
    drop(output);
    printer.finish().await;
    (exit, captured.stdout(), captured.stderr())
}

/// What a command prints that does what it is told.
async fn done(served: &Served, arguments: &[&str]) -> String {
    let (exit, stdout, stderr) = kiln(served, arguments).await;
    assert_eq!(exit, Exit::Done, "{arguments:?}: {stderr}");
    stdout
}

#[tokio::test]
async fn a_job_is_created_shown_changed_and_deleted() {
    let served = Served::idle().await;
    let made = ["create", "job", "pi", "--image", "perl:5", "--", "perl", "-v"];
    assert_eq!(done(&served, &made).await, "job.batch/pi created\n");
    let (exit, _, stderr) = kiln(&served, &made).await;
    assert_eq!(
        (exit, stderr.as_str()),
        (
            Exit::Failed,
            "Error from server (AlreadyExists): failed to create job: jobs.batch \"pi\" already \
             exists\n"
        )
    );
    let shown = done(&served, &["get", "jobs"]).await;
    assert!(
        shown.starts_with("NAME   STATUS    COMPLETIONS   DURATION   AGE\npi     Running   0/1"),
        "{shown}"
    );
    let wide = done(&served, &["get", "job", "pi", "-o", "wide"]).await;
    assert!(
        wide.lines().next().unwrap().ends_with("SELECTOR   WAITING FOR")
            || wide.contains("WAITING FOR")
    );
    assert!(wide.contains("its first pod"), "{wide}");
    assert_eq!(done(&served, &["get", "jobs", "-o", "name"]).await, "job.batch/pi\n");
    let command = "jsonpath={.spec.template.spec.containers[0].command}";
    assert_eq!(done(&served, &["get", "job", "pi", "-o", command]).await, "[\"perl\",\"-v\"]");
    let scaled = done(&served, &["scale", "job", "pi", "--replicas", "3"]).await;
    assert_eq!(scaled, "job.batch/pi scaled\n");
    let parallelism = ["get", "job", "pi", "-o", "jsonpath={.spec.parallelism}"];
    assert_eq!(done(&served, &parallelism).await, "3");
    let again = done(&served, &["rerun", "job", "pi", "--name", "pi2"]).await;
    assert_eq!(again, "job.batch/pi2 created\n");
    let link = |name: &'static str, annotation: &'static str| {
        ["get", "job", name, "-o", annotation].map(str::to_owned)
    };
    for (name, annotation, expected) in [
        ("pi2", "jsonpath={.metadata.annotations.kiln/rerun-of}", "pi"),
        ("pi", "jsonpath={.metadata.annotations.kiln/rerun-as}", "pi2"),
    ] {
        let words = link(name, annotation);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(done(&served, &words).await, expected);
    }
    let deleted = done(&served, &["delete", "job", "pi", "--wait=false"]).await;
    assert_eq!(deleted, "job.batch \"pi\" deleted from default namespace\n");
    served.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_told_as_kubectl_does() {
    let served = Served::idle().await;
    let nothing = kiln(&served, &["get", "jobs"]).await;
    assert_eq!(
        nothing,
        (Exit::Done, String::new(), "No resources found in default namespace.\n".to_owned())
    );
    let missing = "Error from server (NotFound): jobs.batch \"x\" not found\n";
    for words in
        [&["get", "job", "x"][..], &["wait", "job/x"], &["delete", "job", "x"], &["logs", "job/x"]]
    {
        let (exit, stdout, stderr) = kiln(&served, words).await;
        assert_eq!(
            (exit, stdout.as_str(), stderr.as_str()),
            (Exit::Failed, "", missing),
            "{words:?}"
        );
    }
    done(&served, &["delete", "job", "x", "--ignore-not-found"]).await;
    let (exit, _, stderr) = kiln(&served, &["get", "frobs"]).await;
    assert_eq!(exit, Exit::Failed);
    assert_eq!(stderr, "error: the server doesn't have a resource type \"frobs\"\n");
    served.stop().await;
}

#[tokio::test]
async fn manifests_are_created_applied_and_deleted_by_their_file() {
    let served = Served::idle().await;
    let file = served.root.path().join("all.yaml");
    let write = |value: &str| {
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{a: {value}}}\n---\n\
             apiVersion: batch/v1\nkind: Job\nmetadata: {{name: j}}\nspec: {{template: {{spec: \
             {{restartPolicy: Never, containers: [{{name: m, image: i}}]}}}}}}\n"
        );
        std::fs::write(&file, text).unwrap();
    };
    let name = file.to_str().unwrap();
    write("one");
    assert_eq!(
        done(&served, &["apply", "-f", name]).await,
        "configmap/c created\njob.batch/j created\n"
    );
    write("two");
    assert_eq!(
        done(&served, &["apply", "-f", name]).await,
        "configmap/c configured\njob.batch/j unchanged\n"
    );
    assert_eq!(done(&served, &["get", "cm", "c", "-o", "jsonpath={.data.a}"]).await, "two");
    assert_eq!(
        done(&served, &["delete", "-f", name, "--wait=false"]).await,
        "configmap \"c\" deleted from default namespace\n\
         job.batch \"j\" deleted from default namespace\n"
    );
    assert_eq!(
        done(&served, &["create", "-f", name]).await.lines().next(),
        Some("configmap/c created")
    );
    served.stop().await;
}

#[tokio::test]
async fn a_job_that_is_over_is_replaced_if_that_is_asked_for() {
    let served = Served::idle().await;
    let file = served.root.path().join("job.yaml");
    let name = file.to_str().unwrap();
    let write = |image: &str| {
        let text = format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: j}}\nspec: {{template: {{spec: \
             {{restartPolicy: Never, containers: [{{name: m, image: {image}}}]}}}}}}\n"
        );
        std::fs::write(&file, text).unwrap();
    };
    write("a");
    done(&served, &["apply", "-f", name]).await;
    write("b");
    let refused = "error: the Job \"j\" cannot become so: spec.template.spec.containers[0].image: \
                   \"a\" is to become \"b\": field is immutable; ";
    for (words, cure) in [
        (vec!["apply", "-f", name], "delete the Job first"),
        (vec!["apply", "-f", name, "--rerun"], "`--rerun` replaces a Job only when it is over"),
    ] {
        let (exit, _, stderr) = kiln(&served, &words).await;
        assert_eq!(exit, Exit::Failed);
        assert!(stderr.starts_with(&format!("{refused}{cure}")), "{stderr}");
        assert_eq!(stderr.lines().count(), 1);
    }
    let status = serde_json::json!({"status": {"conditions": [
        {"type": "Complete", "status": "True"},
    ]}});
    let path = format!("{}/j/status", served::JOBS);
    let merge = "application/merge-patch+json";
    served.patch(&path, merge, &status.to_string()).await.expect(200);
    let uid = ["get", "job", "j", "-o", "jsonpath={.metadata.uid}"];
    let before = done(&served, &uid).await;
    let (_, _, stderr) = kiln(&served, &["apply", "-f", name]).await;
    assert!(stderr.contains("`kiln apply --rerun` replaces the Job, which is over"), "{stderr}");
    // What would be refused replaces nothing, and a try tells so.
    write("''");
    let rerun = ["apply", "-f", name, "--rerun"];
    let tried = [rerun.as_slice(), &["--dry-run=server"]].concat();
    for words in [rerun.as_slice(), &tried] {
        let (exit, _, _) = kiln(&served, words).await;
        assert_eq!((exit, done(&served, &uid).await), (Exit::Failed, before.clone()));
    }
    write("b");
    assert_eq!(done(&served, &tried).await, "job.batch/j replaced (server dry run)\n");
    assert_eq!(done(&served, &uid).await, before);
    assert_eq!(done(&served, &["apply", "-f", name, "--rerun"]).await, "job.batch/j replaced\n");
    assert_ne!(done(&served, &uid).await, before);
    served.stop().await;
}

#[tokio::test]
async fn an_invalid_job_is_refused_with_its_field() {
    let served = Served::idle().await;
    let file = served.root.path().join("bad.yaml");
    let text = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: pi}\nspec: {template: {spec: \
                {restartPolicy: Always, containers: [{name: m, image: i}]}}}\n";
    std::fs::write(&file, text).unwrap();
    let (exit, _, stderr) = kiln(&served, &["create", "-f", file.to_str().unwrap()]).await;
    assert_eq!(exit, Exit::Failed);
    assert!(
        stderr.starts_with("The Job \"pi\" is invalid: spec.template.spec.restartPolicy: "),
        "{stderr}"
    );
    served.stop().await;
}

#[tokio::test]
async fn a_job_is_described_with_what_it_waits_for() {
    let served = Served::idle().await;
    done(&served, &["create", "job", "j", "--image", "busybox:1"]).await;
    let described = done(&served, &["describe", "job", "j"]).await;
    assert!(described.contains("Pods Statuses:"), "{described}");
    assert!(described.ends_with("The Job waits for its first pod.\n"), "{described}");
    served.stop().await;
}

/// Logs of one line each.
struct OneLine;

#[async_trait::async_trait]
impl Logs for OneLine {
    async fn read(&self, _: &Pod, request: Request) -> Result<Pieces, Missing> {
        let line = format!("{} was here\n", request.container);
        Ok(futures::stream::iter([Ok(line.into())]).boxed())
    }
}

#[tokio::test]
async fn the_logs_and_the_end_of_a_pod_outlive_it() {
    let served = Served::with(Arc::new(OneLine), true).await;
    let mut job = a_job("pi");
    job["spec"]["activeDeadlineSeconds"] = 1.into();
    served.post(JOBS, &job).await.expect(201);
    // Past its deadline a Job's pods are deleted.
    served.until(PODS, |pods| !pods.json()["items"].as_array().unwrap().is_empty()).await;
    served.until(PODS, |pods| pods.json()["items"].as_array().unwrap().is_empty()).await;
    served.until(&format!("{JOBS}/pi"), |job| job.json()["status"]["failed"] == 1).await;

    let gone = served.get(&format!("{PODS}?gone=true")).await.expect(200);
    let name = gone["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
    let path = format!("{PODS}/{name}");
    assert_eq!(served.get(&format!("{path}/log")).await.bytes, "main was here\n");
    let pod = served.get(&format!("{path}?gone=true")).await.expect(200);
    let state = &pod["status"]["containerStatuses"][0]["state"];
    assert_eq!(state["terminated"]["exitCode"], 143, "{pod}");
    served.get(&path).await.refused(404, "NotFound");

    for what in ["job/pi", &name] {
        assert_eq!(done(&served, &["logs", what]).await, "main was here\n");
        assert_eq!(done(&served, &["logs", "-f", what]).await, "main was here\n");
    }
    let told = done(&served, &["describe", "job", "pi"]).await;
    let row = told.lines().find(|line| line.contains(&format!("  {name}  Failed"))).expect(&told);
    assert!(row.contains("143") && row.contains("main"), "{row}");
    let told = done(&served, &["describe", "pod", &name]).await;
    assert!(told.contains("Exit Code:  143") || told.contains("Exit Code:    143"), "{told}");

    done(&served, &["delete", "job", "pi"]).await;
    assert_eq!(done(&served, &["logs", "job/pi"]).await, "main was here\n");
    assert_eq!(done(&served, &["logs", "-f", "job/pi"]).await, "main was here\n");
    let (exit, _, stderr) = kiln(&served, &["logs", "job/none"]).await;
    assert_eq!((exit, stderr.contains("\"none\" not found")), (Exit::Failed, true), "{stderr}");
    served.stop().await;
}

#[tokio::test]
async fn a_wait_that_is_too_long_times_out() {
    let served = Served::idle().await;
    done(&served, &["create", "job", "j", "--image", "busybox:1"]).await;
    let (exit, _, stderr) = kiln(&served, &["wait", "job/j", "--timeout", "100ms"]).await;
    assert_eq!(exit, Exit::TimedOut);
    assert_eq!(stderr, "error: timed out waiting for the condition on jobs/j\n");
    served.stop().await;
}

#[tokio::test]
async fn a_kubeconfig_leads_to_the_same_server_over_tls() {
    let served = Served::idle().await;
    done(&served, &["create", "namespace", "n"]).await;
    let (printer, captured) = Printer::captured().unwrap();
    let output = printer.output();
    let kubeconfig = served.root.path().join("kubeconfig");
    let words =
        ["kiln", "get", "ns", "n", "-o", "name", "--kubeconfig", kubeconfig.to_str().unwrap()];
    let exit = cli::ask(&words, &output).await;
    drop(output);
    printer.finish().await;
    assert_eq!(
        (exit, captured.stdout().as_str()),
        (Exit::Done, "namespace/n\n"),
        "{}",
        captured.stderr()
    );
    served.stop().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_with_the_cure() {
    let (printer, captured) = Printer::captured().unwrap();
    let output = printer.output();
    let exit = cli::ask(&["kiln", "get", "jobs", "--socket", "/no/such.sock"], &output).await;
    drop(output);
    printer.finish().await;
    assert_eq!(exit, Exit::Unreachable);
    let stderr = captured.stderr();
    assert!(stderr.contains("cannot reach the server at /no/such.sock"), "{stderr}");
    assert!(stderr.contains("is `kiln serve` running?"), "{stderr}");
}

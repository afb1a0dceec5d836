//! What kiln does beyond Kubernetes, on real containers.

use super::host::Host;

/// A Job with a container `main` that runs a shell script, and perhaps others.
fn job(name: &str, annotations: &str, spec: &str, containers: &[(&str, &str)]) -> String {
    let containers: String = containers
        .iter()
        .map(|(name, script)| {
            let script = serde_json::to_string(script).unwrap();
            format!(
                "      - name: {name}\n        image: luksa/batch-job\n        imagePullPolicy: \
                 IfNotPresent\n        command: [sh, -c, {script}]\n"
            )
        })
        .collect();
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\n  annotations: {annotations}\n\
         spec:\n  {spec}\n  template:\n    spec:\n      restartPolicy: Never\n      \
         terminationGracePeriodSeconds: 5\n      containers:\n{containers}"
    )
}

#[test]
fn a_job_begins_after_another_and_fails_with_it() {
    let host = Host::new();
    let pair = |code: u8| {
        let first = format!("sleep 1; echo first; exit {code}");
        let first = job("a-first", "{}", "backoffLimit: 0", &[("main", &first)]);
        let second = job("second", "{kiln/after: a-first}", "{}", &[("main", "echo second")]);
        format!("{}---\n{first}", second.replace("  {}\n", ""))
    };
    let outcome = host.run(&pair(0), &["--no-prefix"]);
    outcome.exits(0).check("one after the other", outcome.stdout == "first\nsecond\n");
    let outcome = host.run(&pair(3), &["--no-prefix"]);
    outcome.exits(1).says("DependencyFailed").says("Job a-first failed: BackoffLimitExceeded");
    outcome.check("the second never ran", outcome.stdout == "first\n");
}

#[test]
fn a_helper_that_never_ends_is_asked_to_stop_when_the_main_container_has_ended() {
    let helper = "trap 'echo asked; exit 9' TERM; while true; do sleep 0.1; done";
    let helped = |main: &str| {
        let annotation = "{kiln/completion-containers: main}";
        let containers = [("helper", helper), ("main", main)];
        job("j", annotation, "backoffLimit: 0", &containers)
    };
    let host = Host::new();
    let outcome = host.run(&helped("sleep 1; echo done"), &["--no-prefix"]);
    outcome.exits(0).prints("done").prints("asked");
    host.run(&helped("sleep 1; exit 4"), &["--no-prefix"]).exits(1).prints("asked");
}

#[test]
fn pods_wait_until_there_is_room_on_the_host() {
    let host = Host::new();
    let script = "echo begin; sleep 1; echo end";
    let manifest = job("j", "{}", "completions: 3\n  parallelism: 3", &[("main", script)]);
    let outcome = host.run(&manifest, &["--no-prefix", "--max-pods", "1"]);
    outcome.exits(0).says("FailedScheduling").says("1 Too many pods");
    outcome.check("one at a time", outcome.stdout == "begin\nend\n".repeat(3));
}

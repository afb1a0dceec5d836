//! The rules of Jobs, on real containers: by `kiln run` here, by `kiln serve` in what is below.

mod counting;
mod ending;
mod indexed;
mod owning;
mod policies;
mod suspending;

use super::host::{Host, Outcome};

/// A Job whose pods run a shell script.
fn run(script: &str, spec: &str) -> Outcome {
    let script = serde_json::to_string(script).unwrap();
    let manifest = format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: j}}\nspec:\n  {spec}\n  template:\n    \
         spec:\n      restartPolicy: Never\n      containers:\n      - name: main\n        image: \
         luksa/batch-job\n        imagePullPolicy: IfNotPresent\n        env:\n        - name: \
         POD\n          valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}\n        command: \
         [sh, -c, {script}]\n"
    );
    Host::new().run(&manifest, &["--no-prefix"])
}

#[test]
fn case_53_every_pod_knows_its_index_its_hostname_and_its_name() {
    let outcome = run(
        "echo \"$JOB_COMPLETION_INDEX $(hostname) ${POD%-*}\"",
        "completionMode: Indexed\n  completions: 4\n  parallelism: 2",
    );
    outcome.exits(0).says("4/4");
    let mut lines: Vec<&str> = outcome.stdout.lines().collect();
    lines.sort_unstable();
    let expected = ["0 j-0 j-0", "1 j-1 j-1", "2 j-2 j-2", "3 j-3 j-3"];
    outcome.check("each index says its names", lines == expected);
}

#[test]
fn case_69_indexes_that_fail_do_not_keep_the_others_from_ending() {
    let outcome = run(
        "exit $((JOB_COMPLETION_INDEX % 2))",
        "completionMode: Indexed\n  completions: 4\n  parallelism: 4\n  backoffLimitPerIndex: 0",
    );
    outcome.exits(1).says("FailedIndexes").says("2/4");
}

#[test]
fn case_77_a_failure_that_cannot_get_better_ends_the_job_at_once() {
    let outcome = run(
        "exit 42",
        "podFailurePolicy: {rules: [{action: FailJob, onExitCodes: {operator: In, values: [42]}}]}",
    );
    outcome.exits(1).says("PodFailurePolicy").says("failed with exit code 42");
}

#[test]
fn case_89_the_leader_decides_for_all() {
    let outcome = run(
        "[ $JOB_COMPLETION_INDEX = 0 ] && exit 0; exec sleep 1000",
        "completionMode: Indexed\n  completions: 3\n  parallelism: 3\n  successPolicy: {rules: \
         [{succeededIndexes: '0'}]}",
    );
    outcome.exits(0).says("1/3");
}

//! Pods with more than one kind of container, on the real thing.

use super::host::Host;

/// A Job of one pod: fields of its spec and of its container `main`, and the latter's script.
fn job(spec: &str, script: &str, more: &str) -> String {
    let fields = spec.trim().replace('\n', "\n      ");
    let more = more.trim().replace('\n', "\n        ");
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: j}}\nspec:\n  backoffLimit: 0\n  \
         template:\n    spec:\n      restartPolicy: Never\n      {fields}\n      containers:\n      \
         - name: main\n        image: luksa/batch-job\n        imagePullPolicy: IfNotPresent\n        \
         {more}\n        command: [sh, -c, {}]\n",
        serde_json::to_string(script).unwrap()
    )
}

/// An init container with a script.
fn init(name: &str, script: &str, more: &str) -> String {
    format!(
        "- {{name: {name}, image: luksa/batch-job, imagePullPolicy: IfNotPresent, {more}command: \
         [sh, -c, {}]}}\n",
        serde_json::to_string(script).unwrap()
    )
}

#[test]
fn init_containers_run_in_order_before_the_others() {
    let host = Host::new();
    let one = init("one", "sleep 0.3; echo 1 > /dev/shm/order; echo first", "");
    let two = init("two", "echo 2 >> /dev/shm/order; echo second", "");
    let spec = format!("initContainers:\n{one}{two}");
    let outcome = host.run(&job(&spec, "cat /dev/shm/order | tr '\\n' ,", ""), &[]);
    outcome.exits(0).prints("/one] first").prints("/two] second").prints("/main] 1,2,");
}

#[test]
fn an_init_container_that_fails_fails_the_pod_before_the_others_start() {
    let host = Host::new();
    let spec = format!("initContainers:\n{}", init("one", "echo no >&2; exit 7", ""));
    let outcome = host.run(&job(&spec, "echo never", ""), &[]);
    outcome.exits(1).says("BackoffLimitExceeded").says("one exited with code 7").says("no");
    outcome.check("the others never start", !outcome.stdout.contains("never"));
}

#[test]
fn an_init_container_runs_again_until_it_succeeds_where_the_policy_says_so() {
    let host = Host::new();
    let script = "test -e /dev/shm/once && exit 0; touch /dev/shm/once; exit 1";
    let spec = format!("initContainers:\n{}", init("one", script, ""));
    let job = job(&spec, "echo done", "").replace("Never", "OnFailure");
    let job = job.replace("backoffLimit: 0", "backoffLimit: 3");
    host.run(&job, &["--restart-backoff", "100ms"]).exits(0).prints("done");
}

#[test]
fn case_117_sidecars_serve_the_others_and_do_not_keep_the_job_from_its_end() {
    let host = Host::new();
    let sidecar = |name: &str| {
        let script = format!(
            "trap 'echo {name} goes; date +%s%N > /dev/shm/{name}; exit 3' TERM; \
             echo {name} > /dev/shm/{name}.up; while true; do sleep 0.05; done"
        );
        init(name, &script, "restartPolicy: Always, ")
    };
    let look = init("look", "until test -e /dev/shm/two.up; do sleep 0.1; done; echo seen", "");
    let spec = format!("initContainers:\n{}{}{look}", sidecar("one"), sidecar("two"));
    let outcome = host.run(&job(&spec, "cat /dev/shm/one.up", ""), &[]);
    outcome.exits(0).says("1/1").prints("/look] seen").prints("/main] one");
    let at = |words: &str| outcome.stdout.find(words);
    outcome.check(
        "they stop in the reverse order",
        at("two goes").is_some() && at("two goes") < at("one goes"),
    );
}

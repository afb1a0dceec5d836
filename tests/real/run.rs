//! `kiln run`, as a person or a pipeline runs it.

use std::fs;
use std::process::Command;

use super::host::{Host, Outcome, until};
use super::running::{Running, job};

fn manifest(name: &str) -> String {
    fs::read_to_string(format!("manifests/{name}")).unwrap()
}

#[test]
fn the_job_of_every_book_runs_to_its_end() {
    let host = Host::new();
    let outcome = host.run(&manifest("batch-job.yaml"), &[]);
    outcome.exits(0).prints("Batch job starting").prints("Finished succesfully");
    outcome.prints("[batch-job-").says("job.batch/batch-job created").says("Complete");
    outcome.says("COMPLETIONS").says("1/1");
    assert!(
        !host.path().join("kiln/pods").exists()
            || fs::read_dir(host.path().join("kiln/pods")).unwrap().next().is_none()
    );
}

#[test]
fn five_completions_run_up_to_three_at_a_time() {
    let host = Host::new();
    let outcome = host.run(&manifest("multi-completion-parallel-batch-job.yaml"), &["--no-prefix"]);
    outcome.exits(0).says("5/5");
    let finished = outcome.stdout.lines().filter(|line| line.ends_with("Finished succesfully"));
    assert_eq!(finished.count(), 5);
    outcome.check("no prefix", !outcome.stdout.contains('['));
}

#[test]
fn a_job_that_fails_says_why_with_the_last_words_of_its_pods() {
    let host = Host::new();
    let outcome =
        host.run(&job("echo first; echo this cannot work >&2; exit 3", "backoffLimit: 0"), &[]);
    outcome
        .exits(1)
        .says("BackoffLimitExceeded")
        .says("exited with code 3")
        .says("this cannot work");
    outcome.prints("first");
}

#[test]
fn output_is_whole_and_in_order_also_when_the_container_ends_at_once() {
    let host = Host::new();
    let outcome = host.run(&job("seq 1 100000", ""), &["--no-prefix"]);
    outcome.exits(0);
    let numbers: Vec<String> = (1..=100_000).map(|n| n.to_string()).collect();
    assert!(
        outcome.stdout.lines().eq(numbers.iter().map(String::as_str)),
        "{} lines",
        outcome.stdout.lines().count()
    );
}

#[test]
fn a_container_restarts_in_place_and_its_restarts_count() {
    let host = Host::new();
    let job = job("echo again; exit 1", "backoffLimit: 2").replace("Never", "OnFailure");
    let outcome = host.run(&job, &["--restart-backoff", "100ms"]);
    outcome.exits(1).says("BackoffLimitExceeded");
    outcome.check("it ran at least twice", outcome.stdout.matches("again").count() >= 2);
}

#[test]
fn a_program_that_is_not_there_is_a_start_error() {
    let host = Host::new();
    let job = job("", "backoffLimit: 0").replace("command: [sh, -c, \"\"]", "command: [nope]");
    host.run(&job, &[]).exits(1).says("StartError").says("nope").says("executable file not found");
}

#[test]
fn a_user_that_the_image_does_not_have_is_refused_by_name() {
    let host = Host::new();
    host.push("test/nobody:1", &["--config.user", "somebody"]);
    let job = job("id", "activeDeadlineSeconds: 3").replace("luksa/batch-job", "test/nobody:1");
    host.run(&job, &[]).exits(1).says("CreateContainerError").says("somebody");
}

#[test]
fn an_image_that_is_not_there_fails_the_job_after_the_deadline() {
    let host = Host::new();
    let job = job("true", "").replace("luksa/batch-job", "luksa/nothing:1");
    let outcome = host.run(&job, &["--pull-deadline", "2s"]);
    outcome.exits(1).says("ErrImagePull").says("docker.io/luksa/nothing:1").says("404 Not Found");
}

#[test]
fn memory_beyond_the_limit_is_told_as_such() {
    let host = Host::new();
    let script = "x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done";
    let job = job(script, "backoffLimit: 0").replace(
        "        command:",
        "        resources: {limits: {memory: 24Mi}}\n        command:",
    );
    host.run(&job, &[]).exits(1).says("OOMKilled").says("137");
}

#[test]
fn the_containers_of_a_pod_share_network_and_ipc() {
    let host = Host::new();
    let text = "
apiVersion: batch/v1
kind: Job
metadata: {name: two}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: server
        image: luksa/batch-job
        command: [sh, -c, 'echo shared > /dev/shm/it; echo hello | nc -l -p 7000 -w 20']
      - name: client
        image: luksa/batch-job
        command: [sh, -c, 'until nc 127.0.0.1 7000 </dev/null; do sleep 0.1; done; cat /dev/shm/it; hostname']
";
    let outcome = host.run(text, &[]);
    outcome.exits(0).prints("/client] hello").prints("/client] shared").prints("/client] two-");
}

#[test]
fn an_interrupt_gives_the_containers_their_grace() {
    let host = Host::new();
    let script = "trap 'echo cleaning up; exit 0' TERM; echo ready; while true; do sleep 0.1; done";
    let file = host.file("j.yaml", &job(script, ""));
    let mut running = Running::of(host.kiln("run").arg("-f").arg(file));
    running.until_it_prints("ready");
    running.signal("-INT");
    running.end().exits(130).prints("cleaning up");
}

#[test]
fn a_second_interrupt_kills_at_once() {
    let host = Host::new();
    let script = "trap 'echo stubborn' TERM; echo ready; while true; do sleep 0.1; done";
    let file = host.file("j.yaml", &job(script, ""));
    let mut running = Running::of(host.kiln("run").arg("-f").arg(file));
    running.until_it_prints("ready");
    running.signal("-INT");
    running.until_it_prints("stubborn");
    running.signal("-INT");
    running.end().exits(130);
}

#[test]
fn a_job_is_not_active_longer_than_its_deadline() {
    let host = Host::new();
    let outcome = host.run(
        &job("sleep 1000", "activeDeadlineSeconds: 2").replace(
            "      containers:",
            "      terminationGracePeriodSeconds: 1\n      containers:",
        ),
        &[],
    );
    outcome.exits(1).says("DeadlineExceeded");
}

#[test]
fn a_containerd_that_is_killed_is_waited_for() {
    let host = Host::new();
    let script = "echo ready; sleep 3; echo done";
    let file = host.file("j.yaml", &job(script, "completions: 2"));
    let mut running = Running::of(host.kiln("run").arg("-f").arg(file));
    running.until_it_prints("ready");
    let mut runs = fs::read_dir(host.path().join("kiln/runs")).unwrap().flatten();
    let pid =
        runs.find_map(|run| fs::read_to_string(run.path().join("containerd/containerd.pid")).ok());
    let pid = pid.unwrap();
    assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
    running.end().exits(0).prints("done").says("2/2");
}

#[test]
fn what_a_killed_kiln_has_left_is_taken_away_by_the_next_one() {
    let host = Host::new();
    let file = host.file("j.yaml", &job("echo ready; sleep 1000", ""));
    let mut running = Running::of(host.kiln("run").arg("-f").arg(file));
    running.until_it_prints("ready");
    running.signal("-KILL");
    running.end();
    until("something is left", || !super::leftovers::below(host.path()).is_empty());
    host.run(&job("echo fine", ""), &[]).exits(0).prints("fine");
}

#[test]
fn the_finished_jobs_are_printed_where_that_is_asked_for() {
    let host = Host::new();
    let outcome = host.run(&job("echo out", ""), &["-o", "json"]);
    outcome.exits(0).says("out");
    let job: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((&job["kind"], &job["status"]["succeeded"]), (&"Job".into(), &1.into()));
}

#[test]
fn manifests_come_from_standard_input_and_from_lists() {
    let host = Host::new();
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {}\n- {}\n",
        indented(&job("echo one", "")),
        indented(&job("echo two", "").replace("name: j", "name: k"))
    );
    let mut command = host.kiln("run");
    command.args(["-f", "-"]).stdin(fs::File::open(host.file("list.yaml", &list)).unwrap());
    Outcome::of(&mut command).exits(0).prints("one").prints("two");
}

fn indented(text: &str) -> String {
    text.trim().replace('\n', "\n  ")
}

#[test]
fn jobs_of_one_name_in_two_namespaces_are_two_jobs() {
    let host = Host::new();
    let in_namespace = |name: &str| {
        let meta = format!("{{name: j, namespace: {name}}}");
        job(&format!("echo in {name}"), "").replace("{name: j}", &meta)
    };
    let both = format!("{}---\n{}", in_namespace("one"), in_namespace("two"));
    host.run(&both, &[]).exits(0).prints("in one").prints("in two");
}

#[test]
fn a_directory_of_manifests_is_run_and_the_worst_of_its_jobs_counts() {
    let host = Host::new();
    let dir = host.path().join("jobs");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("a.yaml"), job("echo good", "")).unwrap();
    let bad = job("echo bad; exit 4", "backoffLimit: 0").replace("name: j", "name: k");
    fs::write(dir.join("b.yml"), bad).unwrap();
    fs::write(dir.join("README"), "not a manifest").unwrap();
    let outcome = Outcome::of(host.kiln("run").arg("-f").arg(dir));
    outcome.exits(1).prints("good").prints("bad").says("exited with code 4");
}

#[test]
fn nothing_to_do_is_complete_and_nothing_that_may_run_times_out() {
    let host = Host::new();
    host.run(&job("true", "completions: 0"), &[]).exits(0).says("0/0");
    let outcome = host.run(&job("true", "parallelism: 0"), &["--timeout", "1s"]);
    outcome.exits(4).says("timed out");
}

#[test]
fn a_pod_of_two_containers_fails_with_the_one_that_does() {
    let host = Host::new();
    let two = job("echo fine", "backoffLimit: 0")
        + "      - {name: other, image: luksa/batch-job, command: [sh, -c, 'echo no; exit 9']}\n";
    let outcome = host.run(&two, &[]);
    outcome.exits(1).prints("/main] fine").prints("/other] no").says("exited with code 9");
}

#[test]
fn long_names_large_environments_and_all_of_unicode_reach_the_program() {
    let host = Host::new();
    let (name, large) = ("n".repeat(63), "x".repeat(100_000));
    let more = format!(
        "        env: [{{name: LARGE, value: {large}}}, {{name: WORDS, value: 'grüße, 世界 🦀'}}]\n        \
         command:"
    );
    let job = job("echo ${#LARGE} $WORDS; hostname", "")
        .replace("{name: j}", &format!("{{name: {name}}}"))
        .replace("        command:", &more);
    host.run(&job, &[]).exits(0).prints("100000 grüße, 世界 🦀").says(&name);
}

#[test]
fn a_program_without_rights_finds_its_directory_and_a_root_that_it_cannot_write() {
    let host = Host::new();
    let more = "        workingDir: /not/there/yet\n        securityContext: {runAsUser: 65534, \
                readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}\n        command:";
    let script =
        "id -u; pwd; grep CapBnd /proc/self/status; touch /x 2>/dev/null || echo read-only";
    let outcome = host.run(&job(script, "").replace("        command:", more), &[]);
    outcome.exits(0).prints("65534").prints("/not/there/yet").prints("read-only");
    outcome.prints("CapBnd:\t0000000000000000");
}

#[test]
fn a_pod_on_the_network_of_the_host_reaches_its_loopback() {
    let host = Host::new();
    let (address, port) =
        host.registry().rsplit_once(':').map(|(a, p)| (a.to_owned(), p.to_owned())).unwrap();
    let script = format!("nc -w 2 {address} {port} </dev/null && echo reached || echo apart");
    host.run(&job(&script, ""), &[]).exits(0).prints("apart");
    host.run(&job(&script, ""), &["--network", "host"]).exits(0).prints("reached");
    let own = job(&script, "")
        .replace("      restartPolicy", "      hostNetwork: true\n      restartPolicy");
    host.run(&own, &[]).exits(0).prints("reached");
}

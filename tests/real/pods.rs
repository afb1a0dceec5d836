//! Pods with more than one kind of container, on the real thing.

use super::host::Host;
use super::job::job;

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

#[test]
fn what_a_container_leaves_to_be_read_is_told_with_its_end() {
    let host = Host::new();
    let more = "terminationMessagePath: /tmp/why";
    let outcome =
        host.run(&job("", "echo out; printf 'disk on fire' > /tmp/why; exit 4", more), &[]);
    outcome.exits(1).says("disk on fire");
    let more = "terminationMessagePolicy: FallbackToLogsOnError";
    let outcome = host.run(&job("", "echo last words >&2; exit 4", more), &["-o", "json"]);
    outcome.exits(1).says("last words");
}

#[test]
fn hooks_run_in_the_container_after_the_start_and_before_the_stop() {
    let host = Host::new();
    let main = "until test -e /dev/shm/started; do sleep 0.05; done; echo the hook ran";
    let more = "lifecycle: {postStart: {exec: {command: [sh, -c, 'touch /dev/shm/started']}}}";
    host.run(&job("", main, more), &[]).exits(0).prints("the hook ran");

    let main = "trap 'cat /dev/shm/bye; exit 0' TERM; while true; do sleep 0.05; done";
    let more = "lifecycle: {preStop: {exec: {command: [sh, -c, 'echo prepared > /dev/shm/bye']}}}";
    let job = job("activeDeadlineSeconds: 4\nterminationGracePeriodSeconds: 5", main, more);
    host.run(&job, &[]).exits(1).prints("prepared");

    let more = "lifecycle: {postStart: {exec: {command: [sh, -c, 'echo oh no; exit 3']}}}";
    let job = self::job("terminationGracePeriodSeconds: 1", "sleep 1000", more);
    host.run(&job, &[]).exits(1).says("FailedPostStartHook").says("oh no");
}

#[test]
fn a_container_stops_for_the_signal_that_it_asks_for() {
    let host = Host::new();
    let main = "trap 'echo usr1; exit 0' USR1; while true; do sleep 0.05; done";
    let more = "lifecycle: {stopSignal: SIGUSR1}";
    let job = job("activeDeadlineSeconds: 4\nos: {name: linux}", main, more);
    host.run(&job, &[]).exits(1).prints("usr1");
}

#[test]
fn probes_ask_in_the_pods_own_network_and_in_its_container() {
    let host = Host::new();
    let serve = "touch /dev/shm/alive; while true; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\n' | nc -l -p 8080; done";
    let sidecar = init(
        "web",
        serve,
        "restartPolicy: Always, startupProbe: {httpGet: {port: 8080}, periodSeconds: 1}, \
         livenessProbe: {exec: {command: [test, -e, /dev/shm/alive]}, periodSeconds: 1}, ",
    );
    let spec = format!("initContainers:\n{sidecar}terminationGracePeriodSeconds: 1");
    let outcome = host.run(&job(&spec, "echo served | nc -w 5 127.0.0.1 8080", ""), &[]);
    outcome.exits(0).prints("200 OK");

    let more = "livenessProbe: {tcpSocket: {port: 9}, periodSeconds: 1, failureThreshold: 2}";
    let job = job("terminationGracePeriodSeconds: 1", "sleep 1000", more);
    host.run(&job, &[]).exits(1).says("Liveness probe failed").says("137");
}

#[test]
fn an_empty_directory_is_shared_by_the_containers_of_a_pod_and_goes_with_it() {
    let host = Host::new();
    let mount = "volumeMounts: [{name: work, mountPath: /work}], ";
    let spec = format!(
        "securityContext: {{fsGroup: 4321}}\nvolumes: [{{name: work}}, {{name: ram, emptyDir: {{medium: \
         Memory, sizeLimit: 8Mi}}}}]\ninitContainers:\n{}",
        init("one", "echo from init > /work/file", mount)
    );
    let main = "cat /work/file; stat -c %g:%a /work; df -k /ram | tail -1; ls -a /part; \
                echo x > /ro/y || echo read-only";
    let more = "volumeMounts: [{name: work, mountPath: /work}, {name: ram, mountPath: /ram}, {name: work, \
                mountPath: /part, subPath: a/b}, {name: work, mountPath: /ro, readOnly: true}]";
    let outcome = host.run(&job(&spec, main, more), &[]);
    outcome.exits(0).prints("from init").prints("4321:2777").prints("8192").prints("read-only");
}

#[test]
fn a_path_of_the_host_is_the_containers_and_stays_when_the_pod_goes() {
    let host = Host::new();
    let data = host.path().join("data");
    std::fs::create_dir_all(data.join("in")).unwrap();
    std::fs::write(data.join("in/kept"), "kept").unwrap();
    std::os::unix::fs::symlink("/etc", data.join("out")).unwrap();
    let spec = |kind: &str| {
        format!(
            "activeDeadlineSeconds: 4\nvolumes: [{{name: d, hostPath: {{path: {}, type: {kind}}}}}]",
            data.display()
        )
    };
    let more = |part: &str| format!("volumeMounts: [{{name: d, mountPath: /d, subPath: {part}}}]");
    let script = "cat /d/kept; echo new > /d/new";
    let outcome = host.run(&job(&spec("Directory"), script, &more("in")), &[]);
    outcome.exits(0).prints("kept");
    assert_eq!(std::fs::read_to_string(data.join("in/new")).unwrap(), "new\n");
    assert_eq!(std::fs::read_to_string(data.join("in/kept")).unwrap(), "kept");

    let outcome = host.run(&job(&spec("Directory"), "ls /d", &more("out")), &[]);
    outcome.exits(1).says("CreateContainerConfigError").says("leads out of the volume");
    host.run(&job(&spec("File"), "true", &more("in")), &[]).exits(1).says("is not a file");
}

#[test]
fn a_pod_has_the_names_and_the_kernel_that_it_asks_for() {
    let host = Host::new();
    let spec = "subdomain: sub\nhostname: me\nsetHostnameAsFQDN: true\ndnsPolicy: None\ndnsConfig: \
                {nameservers: [10.9.8.7], searches: [a.b]}\nhostAliases: [{ip: 1.2.3.4, hostnames: \
                [alias]}]\nsecurityContext: {sysctls: [{name: net.ipv4.ip_unprivileged_port_start, \
                value: '77'}]}";
    let script =
        "hostname; cat /etc/hosts /etc/resolv.conf /proc/sys/net/ipv4/ip_unprivileged_port_start";
    let outcome = host.run(&job(spec, script, ""), &["--no-prefix"]);
    outcome.exits(0).prints("me.sub.default.svc.cluster.local\n").prints("1.2.3.4\talias\n");
    outcome.prints("search a.b\nnameserver 10.9.8.7\n").prints("\n77\n");
    // Two dollar signs stand for one.
    let script = "test $$$$ -ne 1 && echo not the first process";
    host.run(&job("hostPID: true", script, ""), &[]).exits(0).prints("not the first process");
}

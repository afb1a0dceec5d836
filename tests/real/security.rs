//! What a container may do, and what it must not get at.

use std::fs;
use std::os::unix::fs::symlink;

use super::host::Host;
use super::job::job;

#[test]
fn a_part_of_a_volume_that_is_a_link_leads_nowhere_else() {
    let host = Host::new();
    let data = host.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(host.path().join("secret"), "secret").unwrap();
    symlink(host.path().join("secret"), data.join("absolute")).unwrap();
    symlink("../secret", data.join("relative")).unwrap();
    symlink("..", data.join("up")).unwrap();
    let spec = format!(
        "activeDeadlineSeconds: 3\nvolumes: [{{name: d, hostPath: {{path: {}}}}}]",
        data.display()
    );
    for part in ["absolute", "relative", "up"] {
        let more = format!("volumeMounts: [{{name: d, mountPath: /d, subPath: {part}}}]");
        let outcome = host.run(&job(&spec, "cat /d /d/secret; true", &more), &[]);
        outcome.exits(1).says("CreateContainerConfigError");
        outcome.check("it sees nothing", !outcome.stdout.contains("secret"));
    }
}

#[test]
fn a_path_that_climbs_is_refused_before_anything_runs() {
    let host = Host::new();
    let spec = "volumes: [{name: d, hostPath: {path: /tmp/../etc}}]";
    let more = "volumeMounts: [{name: d, mountPath: /d}]";
    host.run(&job(spec, "ls /d", more), &[]).exits(2).says("must not contain '..'");
    let spec = "volumes: [{name: d, emptyDir: {}}]";
    let more = "volumeMounts: [{name: d, mountPath: /d, subPath: ../../etc}]";
    host.run(&job(spec, "ls /d", more), &[]).exits(2).says("must not contain '..'");
}

#[test]
fn devices_are_out_of_reach_unless_the_container_is_privileged() {
    let host = Host::new();
    // The memory of the host, by its numbers; what can be made need not open.
    let script = "mknod /mem c 1 1 && head -c 1 /mem > /dev/null && echo reached; \
                  test -e /dev/kmsg && echo found; exit 0";
    let outcome = host.run(&job("", script, ""), &[]);
    outcome.exits(0).says("not permitted");
    outcome.check("no device is there", !outcome.stdout.contains("main]"));
    let more = "securityContext: {privileged: true}";
    let script = "ls /dev | wc -l; test -e /dev/kmsg && echo found";
    host.run(&job("", script, more), &[]).exits(0).prints("found");
}

#[test]
fn a_capability_that_was_dropped_is_gone_and_one_that_was_added_is_there() {
    let host = Host::new();
    let bounding = "grep CapBnd /proc/self/status";
    let more = "securityContext: {capabilities: {drop: [ALL]}}";
    host.run(&job("", bounding, more), &[]).exits(0).prints("0000000000000000");
    let script = "touch /x; chown 1 /x && echo allowed || echo denied";
    host.run(&job("", script, more), &[]).exits(0).prints("denied");
    let more = "securityContext: {capabilities: {drop: [ALL], add: [CHOWN]}}";
    host.run(&job("", &format!("{bounding}; {script}"), more), &[])
        .exits(0)
        .prints("0000000000000001")
        .prints("allowed");
    let script = "mount -t tmpfs t /dev/shm || echo denied";
    host.run(&job("", script, ""), &[]).exits(0).prints("denied");
}

#[test]
fn what_the_kernel_shows_cannot_be_written() {
    let host = Host::new();
    let script = "for file in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/irq/default_smp_affinity \
                  /sys/kernel/uevent_helper /sys/fs/cgroup/memory/memory.limit_in_bytes; do \
                  (echo x > $file) 2> /dev/null && echo wrote $file; done; \
                  head -c 1 /proc/kcore | wc -c; exit 0";
    let outcome = host.run(&job("", script, ""), &["--no-prefix"]);
    outcome.exits(0).prints("0\n");
    outcome.check("nothing was written", !outcome.stdout.contains("wrote"));
}

#[test]
fn nothing_is_gained_by_a_program_that_changes_its_user_where_that_is_forbidden() {
    let host = Host::new();
    let spec = "volumes: [{name: t, emptyDir: {}}]\ninitContainers: [{name: i, image: luksa/batch-job, \
                imagePullPolicy: IfNotPresent, volumeMounts: [{name: t, mountPath: /t}], command: [sh, -c, 'cp \
                /bin/busybox /t/id && chmod 4755 /t/id']}]";
    let more = |allow: bool| {
        format!(
            "volumeMounts: [{{name: t, mountPath: /t}}]\nsecurityContext: {{runAsUser: 1000, \
             allowPrivilegeEscalation: {allow}}}"
        )
    };
    // busybox is `id` by the name it is called with, and prints the effective user.
    let script = "/t/id -u; grep NoNewPrivs /proc/self/status";
    host.run(&job(spec, script, &more(false)), &["--no-prefix"])
        .exits(0)
        .prints("1000\n")
        .prints("NoNewPrivs:\t1");
    host.run(&job(spec, script, &more(true)), &["--no-prefix"]).exits(0).prints("NoNewPrivs:\t0");
}

#[test]
fn a_fork_bomb_stays_within_the_limit_of_its_pod() {
    let host = Host::new();
    let script = "for n in $(seq 200); do sleep 60 & done; echo never";
    let job = job("terminationGracePeriodSeconds: 1", script, "");
    let outcome = host.run(&job, &["--pod-pids-limit", "40"]);
    outcome.exits(1).says("fork").check("it ends there", !outcome.stdout.contains("never"));
}

#[test]
fn root_is_refused_where_it_is_forbidden() {
    let host = Host::new();
    let spec = "activeDeadlineSeconds: 3\nsecurityContext: {runAsNonRoot: true}";
    let outcome = host.run(&job(spec, "id -u", ""), &[]);
    outcome.exits(1).says("container has runAsNonRoot and image will run as root");
    let spec = "securityContext: {runAsNonRoot: true, runAsUser: 65534, runAsGroup: 65533, \
                supplementalGroups: [7], supplementalGroupsPolicy: Strict}";
    host.run(&job(spec, "id -u; id -G", ""), &["--no-prefix"])
        .exits(0)
        .prints("65534\n")
        .prints("65533 7");
}

#[test]
fn a_profile_of_the_hosts_files_denies_what_it_denies() {
    let host = Host::new();
    let dir = host.path().join("seccomp");
    fs::create_dir(&dir).unwrap();
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}"#;
    fs::write(dir.join("no-mkdir.json"), profile).unwrap();
    let more = |name: &str| {
        format!(
            "securityContext: {{seccompProfile: {{type: Localhost, localhostProfile: {name}}}}}"
        )
    };
    let args = ["--seccomp-dir", dir.to_str().unwrap()];
    let script = "mkdir /x && echo allowed || echo denied";
    host.run(&job("", script, &more("no-mkdir.json")), &args).exits(0).prints("denied");
    let late = "activeDeadlineSeconds: 3";
    let outcome = host.run(&job(late, script, &more("gone.json")), &args);
    outcome.exits(1).says("CreateContainerError").says("cannot load seccomp profile");
}

#[test]
fn a_container_with_a_terminal_has_one_stream_and_an_end() {
    let host = Host::new();
    let script = "test -t 1 && echo a terminal; echo two >&2; echo $TERM; exit 3";
    let outcome = host.run(&job("", script, "tty: true\nstdin: true"), &["--no-prefix"]);
    outcome.exits(1).prints("a terminal").prints("two").prints("xterm").says("code 3");
    let outcome = host.run(&job("", "cat; echo end", "stdin: true"), &["--no-prefix"]);
    outcome.exits(0).prints("end\n");
}

#[test]
fn a_child_that_was_killed_for_want_of_memory_is_told_from_its_container() {
    let host = Host::new();
    let more = "resources: {limits: {memory: 32Mi}}";
    let eat = "tail -c 200m /dev/zero";
    let outcome = host.run(&job("", &format!("exec {eat}"), more), &["-o", "json"]);
    outcome.exits(1).says("OOMKilled");
    let outcome = host.run(&job("", &format!("{eat}; exit 4"), more), &[]);
    outcome.exits(1).says("code 4").says("the kernel killed a process of the container");
}

#[test]
fn a_limit_of_the_pod_holds_for_all_its_containers_together() {
    let host = Host::new();
    let spec = "resources: {limits: {memory: 48Mi, cpu: 1}}";
    let more = "securityContext: {privileged: true}";
    let script = "tail -c 200m /dev/zero; echo outlived";
    host.run(&job(spec, script, more), &["-o", "json"]).exits(0).prints("j");
    let script = "exec tail -c 200m /dev/zero";
    host.run(&job(spec, script, ""), &[]).exits(1).says("OOMKilled");
}

#[test]
fn a_rule_of_the_containers_own_starts_it_again_in_a_pod_that_never_does() {
    let host = Host::new();
    let more = "restartPolicy: Never\nrestartPolicyRules: [{action: Restart, exitCodes: {operator: In, \
                values: [42]}}]";
    let script = "test -e /dev/shm/once && echo again && exit 0; touch /dev/shm/once; exit 42";
    let args = ["--restart-backoff", "100ms"];
    host.run(&job("", script, more), &args).exits(0).prints("again");
    host.run(&job("", "exit 41", more), &args).exits(1).says("code 41");
}

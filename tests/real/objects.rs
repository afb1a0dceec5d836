//! What pods have of ConfigMaps, Secrets and themselves, on the real thing.

use std::process::{Child, Command, Stdio};

use super::host::{Host, Outcome, until};
use super::job::job;

const OBJECTS: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: red, app.conf: \"a=1\\n\"}
---
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {user: admin, password: hunter2}
---
";

/// `kiln serve` on this host, which is told what to do by its socket.
struct Serving<'a> {
    host: &'a Host,
    child: Child,
}

impl<'a> Serving<'a> {
    fn new(host: &'a Host) -> Self {
        let mut command = host.kiln("serve");
        command.args(["--listen", "none", "--log-dir"]).arg(host.path().join("logs"));
        let errors = std::fs::File::create(host.path().join("serve.log")).unwrap();
        let child = command
            .env("KILN_SOCKET", Self::socket(host))
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .unwrap();
        let serving = Self { host, child };
        until("kiln serves", || serving.tell(&["get", "jobs"]).code == Some(0));
        serving
    }

    fn socket(host: &Host) -> std::path::PathBuf {
        host.path().join("kiln.sock")
    }

    fn tell(&self, words: &[&str]) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        let socket = Self::socket(self.host);
        Outcome::of(command.args(words).arg("--socket").arg(socket).stdin(Stdio::null()))
    }

    fn create(&self, name: &str, text: &str) {
        let file = self.host.file(name, text);
        self.tell(&["apply", "-f", file.to_str().unwrap()]).exits(0);
    }

    fn logs(&self) -> String {
        self.tell(&["logs", "job/j"]).stdout
    }

    /// Ends it when nothing of the Job is left.
    fn end(mut self) {
        self.tell(&["delete", "job", "j"]).exits(0);
        until("the pods are gone", || self.tell(&["get", "pods", "-o", "name"]).stdout.is_empty());
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        let _ =
            Command::new("kill").arg(self.child.id().to_string()).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

#[test]
fn variables_come_from_config_maps_secrets_and_the_containers_own_limits() {
    let host = Host::new();
    let more = "env:
- {name: COLOR, valueFrom: {configMapKeyRef: {name: settings, key: color}}}
- {name: URL, value: 'http://$(USER_user):$(PASSWORD)@db'}
- {name: PASSWORD, valueFrom: {secretKeyRef: {name: login, key: password}}}
- {name: LATER, value: 'http://$(USER_user):$(PASSWORD)@db'}
- {name: NONE, valueFrom: {secretKeyRef: {name: none, key: a, optional: true}}}
- {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
envFrom:
- {prefix: USER_, secretRef: {name: login}}
- {configMapRef: {name: none, optional: true}}
resources: {limits: {memory: 64Mi}}";
    let script = "echo \"$COLOR $URL $LATER ${NONE-unset} $MEMORY\"";
    let manifest = format!("{OBJECTS}{}", job("", script, more));
    let outcome = host.run(&manifest, &["--no-prefix"]);
    outcome
        .exits(0)
        .says("configmap/settings created")
        .says("secret/login created")
        .prints("red http://admin:$(PASSWORD)@db http://admin:hunter2@db unset 64\n");
}

#[test]
fn volumes_are_made_of_config_maps_secrets_and_the_pod_itself() {
    let host = Host::new();
    let spec = "securityContext: {fsGroup: 4321}
volumes:
- {name: all, configMap: {name: settings}}
- {name: secret, secret: {secretName: login, defaultMode: 0400, items: [{key: password, path: in/pw}]}}
- {name: none, secret: {secretName: none, optional: true}}
- name: pod
  downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
- name: mixed
  projected:
    sources:
    - {configMap: {name: settings, items: [{key: color, path: c}]}}
    - {secret: {name: login}}
    - downwardAPI: {items: [{path: m, resourceFieldRef: {containerName: main, resource: limits.memory}}]}
- {name: work, emptyDir: {}}";
    let more = "env: [{name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
resources: {limits: {memory: 64Mi}}
volumeMounts:
- {name: all, mountPath: /all}
- {name: all, mountPath: /app.conf, subPath: app.conf}
- {name: secret, mountPath: /secret}
- {name: none, mountPath: /none}
- {name: pod, mountPath: /pod}
- {name: mixed, mountPath: /mixed}
- {name: work, mountPath: /mine, subPathExpr: $(POD)}
- {name: work, mountPath: /work}";
    let script = "cat /all/color; echo; cat /app.conf /secret/in/pw; echo; cat /mixed/c /mixed/user \
                  /mixed/m; echo; grep app /pod/labels; stat -Lc %g:%a /secret/in/pw /all/color; ls \
                  /none | wc -l; touch /all/x || echo read-only; df /secret | tail -1 | cut -d' ' -f1; \
                  ls /work | sed s/$POD/mine/";
    let outcome = host.run(&format!("{OBJECTS}{}", job(spec, script, more)), &["--no-prefix"]);
    outcome.exits(0).prints("red\na=1\nhunter2\nredadmin67108864\napp=\"shop\"\n");
    outcome.prints("4321:440\n4321:644\n0\nread-only\ntmpfs\nmine\n");
}

#[test]
fn a_pod_waits_for_what_it_lacks_and_follows_what_it_has() {
    let host = Host::new();
    let serving = Serving::new(&host);
    let spec =
        "terminationGracePeriodSeconds: 1\nvolumes: [{name: v, configMap: {name: settings}}]";
    let more = "env: [{name: P, valueFrom: {secretKeyRef: {name: login, key: password}}}]
volumeMounts: [{name: v, mountPath: /v}, {name: v, mountPath: /part, subPath: color}]";
    let script = "echo $P; while true; do cat /v/color /part; echo; sleep 0.2; done";
    serving.create("job.yaml", &job(spec, script, more));
    let events = || serving.tell(&["get", "events"]).stdout;
    let no_map = "MountVolume.SetUp failed for volume \"v\" : configmap \"settings\" not found";
    until("the lack of the volume is told", || events().contains(no_map));
    let (map, secret) = OBJECTS.split_once("---\n").unwrap();
    serving.create("map.yaml", map);
    until("the lack of the Secret is told", || {
        events().contains("Error: secret \"login\" not found")
    });
    let pods = serving.tell(&["get", "pods"]);
    pods.prints("CreateContainerConfigError");
    serving.create("secret.yaml", secret.trim_end_matches("---\n"));
    until("it runs", || serving.logs().starts_with("hunter2\nredred\n"));
    serving.create("map.yaml", &map.replace("red", "blue"));
    until("it sees the change, but not in the part", || serving.logs().contains("bluered\n"));
    serving.end();
}

#[test]
fn a_pod_that_writes_more_than_it_may_is_evicted() {
    let host = Host::new();
    let write = "head -c 4194304 /dev/zero > /work/big; sleep 60";
    let spec = "terminationGracePeriodSeconds: 1\nvolumes: [{name: w, emptyDir: {sizeLimit: 1Mi}}]";
    let outcome = host.run(&job(spec, write, "volumeMounts: [{name: w, mountPath: /work}]"), &[]);
    outcome.exits(1).says("Usage of EmptyDir volume \"w\" exceeds the limit \"1Mi\".");
    let write = "head -c 4194304 /dev/zero > /big; sleep 60";
    let more = "resources: {limits: {ephemeral-storage: 2Mi}}";
    let outcome = host.run(&job("terminationGracePeriodSeconds: 1", write, more), &[]);
    outcome
        .exits(1)
        .says("ephemeral local storage usage exceeds the total limit of containers 2Mi.");
}

const CLAIM: &str = "\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: work}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}
";

/// Its container reads what the one before it wrote.
fn using(script: &str) -> String {
    let spec = "terminationGracePeriodSeconds: 1
volumes: [{name: w, persistentVolumeClaim: {claimName: work}}]";
    job(spec, script, "volumeMounts: [{name: w, mountPath: /work}]")
}

#[test]
fn a_claim_outlives_a_job_stays_while_it_is_used_and_takes_its_directory_along() {
    let host = Host::new();
    let serving = Serving::new(&host);
    serving.create("job.yaml", &using("echo first > /work/note"));
    until("the lack of the claim is told", || {
        serving.tell(&["get", "events"]).stdout.contains("persistentvolumeclaim \"work\" not found")
    });
    serving.create("claim.yaml", CLAIM);
    serving.tell(&["wait", "--for=condition=Complete", "--timeout=30s", "job/j"]).exits(0);
    serving.tell(&["delete", "job", "j"]).exits(0);
    serving.create("job.yaml", &using("cat /work/note; while true; do sleep 0.2; done"));
    until("the second reads what the first wrote", || serving.logs() == "first\n");
    serving.tell(&["delete", "pvc", "work", "--wait=false"]).exits(0);
    serving.tell(&["get", "pvc"]).prints("Terminating");
    let volumes = host.path().join("kiln/volumes");
    let count = || std::fs::read_dir(&volumes).unwrap().count();
    assert_eq!(count(), 1);
    serving.tell(&["delete", "job", "j"]).exits(0);
    until("the directory is gone", || count() == 0);
    serving.tell(&["get", "pvc", "work"]).exits(1);
    serving.create("job.yaml", &using("true"));
    serving.end();
}

#[test]
fn a_run_takes_its_claims_along() {
    let host = Host::new();
    let manifest = using("echo one >> /work/note; wc -l < /work/note");
    let manifest = manifest.replace("  backoffLimit: 0", "  backoffLimit: 0\n  completions: 2");
    let outcome = host.run(&format!("{CLAIM}---\n{manifest}"), &["--no-prefix"]);
    outcome.exits(0).check("the second finds what the first left", outcome.stdout == "1\n2\n");
}

//! `kiln serve` on a containerd of its own, and the Jobs that a test steers on it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;

use serde_json::{Map, Value, json};

use super::containerd::Containerd;
use super::host::{Host, until};

/// How many cases are played side by side.
const AT_ONCE: usize = 6;

const MERGE: &str = "application/merge-patch+json";
const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";

/// Runs until a file that is called like its host is there, and ends with the code in it.
pub(crate) const STEERED: &str = "trap 'exit 143' TERM; f=/c/$(hostname); \
    until [ -e $f ]; do sleep 0.1; done; code=$(cat $f); rm $f; exit $code";

/// A case with its name.
pub(crate) type Case = (&'static str, fn(&Daemon));

/// Names each function.
macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        &[$((stringify!($case), $case as fn(&crate::daemon::Daemon))),*]
    };
}
pub(crate) use cases;

/// Plays the cases on one daemon, and fails with the names of those that do not hold.
pub(crate) fn play(cases: &[Case]) {
    let daemon = Daemon::new();
    let (next, broken) = (Mutex::new(cases.iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let take = || next.lock().unwrap().next();
                while let Some((name, case)) = take() {
                    let thread = thread::Builder::new().name((*name).to_owned());
                    let played = thread.spawn_scoped(scope, || case(&daemon)).unwrap().join();
                    if played.is_err() {
                        broken.lock().unwrap().push(*name);
                    }
                }
            });
        }
    });
    let broken = broken.into_inner().unwrap();
    daemon.end(broken.is_empty());
    assert!(broken.is_empty(), "{} of {}: {broken:#?}", broken.len(), cases.len());
}

/// Dropped, it is killed; [`Daemon::end`] ends it in order.
pub(crate) struct Daemon {
    process: Child,
    socket: PathBuf,
    containerd: Containerd,
    host: Host,
}

impl Daemon {
    pub(crate) fn new() -> Self {
        let host = Host::new();
        let containerd = Containerd::of(&host);
        let socket = host.path().join("kiln.sock");
        fs::create_dir(host.path().join("c")).unwrap();
        let mut command = containerd.kiln(&host, "serve");
        command.args(["--listen", "none", "--socket"]).arg(&socket);
        for (name, time) in [("POD", "100ms"), ("RESTART", "100ms"), ("PULL", "1s")] {
            command.env(format!("KILN_{name}_BACKOFF"), time);
        }
        let log = File::create(host.path().join("kiln.log")).unwrap();
        command.env("KILN_LOG_DIR", host.path().join("logs"));
        let process = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let daemon = Self { process, socket, containerd, host };
        until("kiln serves", || UnixStream::connect(&daemon.socket).is_ok());
        daemon
    }

    /// `kiln` as a client of it.
    pub(crate) fn kiln(&self, verb: &str) -> Command {
        let mut command = self.host.kiln(verb);
        command.env("KILN_SOCKET", &self.socket);
        command
    }

    /// Asks with this body. Answers the code and the JSON.
    pub(crate) fn ask(&self, method: &str, path: &str, media: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: kiln\r\nconnection: close\r\n\
             content-type: {media}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        (code, serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}")))
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, "application/json", &Value::Null)
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let (code, answer) = self.ask("POST", path, "application/json", body);
        assert_eq!(code, 201, "{answer}");
        answer
    }

    #[track_caller]
    pub(crate) fn patch(&self, path: &str, body: &Value) -> Value {
        let (code, answer) = self.ask("PATCH", path, MERGE, body);
        assert_eq!(code, 200, "{answer}");
        answer
    }

    /// Submits a Job whose pods run this script.
    pub(crate) fn job(&self, name: &str, script: &str, spec: Value) -> Played<'_> {
        self.post(JOBS, &json!({"metadata": {"name": name}, "spec": self.spec(script, spec)}));
        Played { daemon: self, name: name.to_owned(), chosen: Mutex::default() }
    }

    /// These fields of a Job's spec, with a template. `restartPolicy` is one of the template's.
    pub(crate) fn spec(&self, script: &str, spec: Value) -> Value {
        let mut spec: Map<String, Value> = serde_json::from_value(spec).unwrap();
        let policy = spec.remove("restartPolicy").unwrap_or_else(|| "Never".into());
        let image = spec.remove("image").unwrap_or_else(|| "luksa/batch-job".into());
        spec.insert(
            "template".to_owned(),
            json!({"spec": {
                "restartPolicy": policy, "terminationGracePeriodSeconds": 2,
                "containers": [{
                    "name": "main", "image": image, "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", script],
                    "volumeMounts": [{"name": "c", "mountPath": "/c"}],
                }],
                "volumes": [{"name": "c", "hostPath": {"path": self.host.path().join("c")}}],
            }}),
        );
        Value::Object(spec)
    }

    /// A file in the directory that all pods share.
    fn put(&self, name: &str, text: &str) {
        let dir = self.host.path().join("c");
        let draft = dir.join(format!(".{name}"));
        fs::write(&draft, text).unwrap();
        fs::rename(draft, dir.join(name)).unwrap();
    }

    /// Deletes everything and stops. `in_order`: what is left fails the test.
    pub(crate) fn end(mut self, in_order: bool) {
        let collections = ["/apis/batch/v1/namespaces/default/cronjobs", JOBS];
        for path in collections {
            self.ask("DELETE", path, "application/json", &Value::Null);
        }
        let pods = "/api/v1/namespaces/default/pods";
        for pod in self.get(pods).1["items"].as_array().into_iter().flatten() {
            let path = format!("{pods}/{}", pod["metadata"]["name"].as_str().unwrap());
            self.ask("DELETE", &path, "application/json", &Value::Null);
        }
        let log = || fs::read_to_string(self.host.path().join("kiln.log")).unwrap_or_default();
        for _ in 0..400 {
            if self.containerd.left().is_empty() {
                break;
            }
            thread::sleep(std::time::Duration::from_millis(100));
        }
        let left = self.containerd.left();
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let ended = self.process.wait().unwrap();
        if in_order {
            assert!(left.is_empty(), "left: {left:?}\n{}", log());
            assert!(ended.success(), "{ended}\n{}", log());
        } else {
            eprintln!("-- kiln's log\n{}", log());
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it has ended, if all is well
        let _ = self.process.wait();
    }
}

/// A Job that runs on the daemon.
pub(crate) struct Played<'a> {
    daemon: &'a Daemon,
    name: String,
    /// The pods that were told to end.
    chosen: Mutex<BTreeSet<String>>,
}

impl Played<'_> {
    fn path(&self) -> String {
        format!("{JOBS}/{}", self.name)
    }

    pub(crate) fn object(&self) -> Option<Value> {
        let (code, job) = self.daemon.get(&self.path());
        (code == 200).then_some(job)
    }

    pub(crate) fn status(&self) -> Value {
        self.object().unwrap_or_default()["status"].clone()
    }

    /// The types of the conditions, in order.
    pub(crate) fn conditions(&self) -> Vec<String> {
        let status = self.status();
        let all = status["conditions"].as_array().into_iter().flatten();
        all.map(|condition| condition["type"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn pods(&self) -> Vec<Value> {
        let path = "/api/v1/namespaces/default/pods?labelSelector=job-name%3D";
        let (_, list) = self.daemon.get(&format!("{path}{}", self.name));
        list["items"].as_array().unwrap().clone()
    }

    /// Waits until all this is so: `active=2 condition=Complete pods=3`.
    #[track_caller]
    pub(crate) fn until(&self, expected: &str) -> &Self {
        let mut tries = 600;
        while !self.is(expected) {
            tries -= 1;
            assert!(tries > 0, "in vain: {expected}: {}\n{:#?}", self.status(), self.pods());
            thread::sleep(std::time::Duration::from_millis(100));
        }
        self
    }

    /// All this is so now.
    #[track_caller]
    pub(crate) fn now(&self, expected: &str) -> &Self {
        assert!(self.is(expected), "not so: {expected}: {}\n{:#?}", self.status(), self.pods());
        self
    }

    fn is(&self, expected: &str) -> bool {
        let (status, pods) = (self.status(), self.pods());
        expected.split(' ').all(|one| holds(&status, &pods, one))
    }

    pub(crate) fn until_gone(&self) {
        until("the Job and its pods are gone", || {
            self.object().is_none() && self.pods().is_empty()
        });
    }

    /// Changes fields of the spec.
    #[track_caller]
    pub(crate) fn set(&self, spec: &Value) -> &Self {
        self.daemon.patch(&self.path(), &json!({"spec": spec}));
        self
    }

    /// The message with which a change of the spec is refused.
    #[track_caller]
    pub(crate) fn refused(&self, spec: &Value) -> String {
        let (code, answer) = self.daemon.ask("PATCH", &self.path(), MERGE, &json!({"spec": spec}));
        assert_eq!(code, 422, "{answer}");
        answer["message"].as_str().unwrap().to_owned()
    }

    /// Ends the pod of an index that runs, or the next one.
    pub(crate) fn end_index(&self, index: u32, code: i32) -> &Self {
        self.daemon.put(&format!("{}-{index}", self.name), &code.to_string());
        self
    }

    /// Ends a pod that runs, and that was not told to end before.
    pub(crate) fn end_one(&self, code: i32) -> &Self {
        let next = || {
            let running = self.pods().into_iter().filter(is_running);
            let mut names = running.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned());
            names.find(|name| !self.chosen.lock().unwrap().contains(name))
        };
        until("a pod runs", || next().is_some());
        let name = next().unwrap();
        self.daemon.put(&name, &code.to_string());
        self.chosen.lock().unwrap().insert(name);
        self
    }

    /// Somebody deletes the pods.
    pub(crate) fn delete_pods(&self) -> &Self {
        for pod in self.pods() {
            let name = pod["metadata"]["name"].as_str().unwrap();
            let path = format!("/api/v1/namespaces/default/pods/{name}");
            self.daemon.ask("DELETE", &path, "application/json", &Value::Null);
        }
        self
    }

    pub(crate) fn delete(&self, propagation: &str) -> &Self {
        let options = json!({"propagationPolicy": propagation});
        let (code, answer) = self.daemon.ask("DELETE", &self.path(), "application/json", &options);
        assert_eq!(code, 200, "{answer}");
        self
    }
}

/// Nothing of it is needed any more.
impl Drop for Played<'_> {
    fn drop(&mut self) {
        self.daemon.ask("DELETE", &self.path(), "application/json", &Value::Null);
    }
}

fn is_running(pod: &Value) -> bool {
    pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null()
}

fn holds(status: &Value, pods: &[Value], expected: &str) -> bool {
    let (name, value) = expected.split_once('=').unwrap();
    let number = |found: usize| value.parse() == Ok(found);
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    match name {
        "active" | "succeeded" | "failed" | "ready" | "terminating" => {
            value.parse() == Ok(status[name].as_i64().unwrap_or(0))
        }
        "completed" => status["completedIndexes"].as_str().unwrap_or_default() == value,
        "failedIndexes" => status["failedIndexes"] == value,
        "condition" => conditions.any(|c| c["type"] == value && c["status"] == "True"),
        "reason" => conditions.any(|c| c["reason"] == value),
        "conditions" => number(conditions.count()),
        "pods" => number(pods.len()),
        "running" => number(pods.iter().filter(|pod| is_running(pod)).count()),
        "held" => {
            let held = |pod: &&Value| {
                let finalizers = &pod["metadata"]["finalizers"];
                finalizers.as_array().is_some_and(|all| !all.is_empty())
            };
            number(pods.iter().filter(held).count())
        }
        other => panic!("there is no `{other}=`"),
    }
}

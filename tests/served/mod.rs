//! A server on a store in memory, an engine with a host that exists only in memory, and a client that
//! speaks plain HTTP with it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use kiln::api::amounts::Amounts;
use kiln::engine::{Clock, Engine, Settings};
use kiln::runtime::fake::Fake;
use kiln::server::api::Api;
use kiln::server::logs::{Logs, NoLogs};
use kiln::server::{Listen, Server};
use kiln::store::Store;
use kiln::{job, pod};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

/// How long anything may take before a test says that it waits in vain.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What this host has.
const ROOM: Amounts = Amounts { cpu_millis: 2000, memory_bytes: 4 << 30, pods: 110 };

pub(crate) const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";
pub(crate) const MAPS: &str = "/api/v1/namespaces/default/configmaps";

pub(crate) struct Served {
    pub(crate) store: Store,
    pub(crate) root: tempfile::TempDir,
    pub(crate) server: Option<Server>,
    engine: Option<Engine>,
}

pub(crate) struct Answered {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.bytes);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    #[track_caller]
    pub(crate) fn expect(self, code: u16) -> Value {
        let text = String::from_utf8_lossy(&self.bytes);
        assert_eq!(self.code, code, "{text}");
        self.json()
    }

    /// The message of a refusal.
    #[track_caller]
    pub(crate) fn refused(self, code: u16, reason: &str) -> String {
        let status = self.expect(code);
        assert_eq!((&status["kind"], &status["code"]), (&json!("Status"), &json!(code)));
        assert_eq!(status["reason"], reason, "{status}");
        status["message"].as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

impl Served {
    /// With an engine that carries out what is wished.
    pub(crate) async fn new() -> Self {
        Self::with(Arc::new(NoLogs), true).await
    }

    /// Without: objects stay as they are written.
    pub(crate) async fn idle() -> Self {
        Self::with(Arc::new(NoLogs), false).await
    }

    pub(crate) async fn with(logs: Arc<dyn Logs>, engine: bool) -> Self {
        let root = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let (tells, now) = (clock.clone(), clock.clone());
        let store = Store::in_memory().unwrap();
        let host = Arc::new(Fake::new(move || tells.now()));
        let engine = engine.then(|| {
            let settings = Settings::new(job::Rules::default(), pod::Rules::default());
            Engine::start(store.clone(), host, clock, settings)
        });
        let api = Arc::new(Api::new(store.clone(), Arc::new(move || now.now()), logs));
        let listen = Listen {
            socket: Some(root.path().join("kiln.sock")),
            address: Some("127.0.0.1:0".parse().unwrap()),
            root: root.path().to_owned(),
            host: "here".to_owned(),
            host_ips: vec!["127.0.0.1".to_owned()],
            container_runtime: "containerd://0".to_owned(),
            capacity: ROOM,
            allocatable: ROOM,
        };
        let server = Server::start(api, listen).await.unwrap();
        Self { store, root, server: Some(server), engine }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.root.path().join("kiln.sock")
    }

    pub(crate) async fn stop(mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
        if let Some(engine) = self.engine.take() {
            engine.stop().await;
        }
    }

    /// Asks with these headers; the body is sent as it is.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answered {
        let stream = UnixStream::connect(self.socket()).await.unwrap();
        ask_over(stream, method, path, headers, body.into()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answered {
        self.ask("GET", path, &[], "").await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: &Value) -> Answered {
        let headers = [("content-type", "application/json")];
        self.ask(method, path, &headers, body.to_string()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answered {
        self.send("POST", path, body).await
    }

    pub(crate) async fn patch(&self, path: &str, media: &str, body: &str) -> Answered {
        self.ask("PATCH", path, &[("content-type", media)], body.to_owned()).await
    }

    pub(crate) async fn watch(&self, path: &str) -> Watch {
        self.watch_as(path, "application/json").await
    }

    pub(crate) async fn watch_as(&self, path: &str, accept: &str) -> Watch {
        let stream = UnixStream::connect(self.socket()).await.unwrap();
        let headers = [("accept", accept)];
        let (tasks, response) = begin(stream, "GET", path, &headers, Bytes::new()).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        Watch { _tasks: tasks, body: response.into_body(), read: Vec::new() }
    }

    /// Asks until the answer is as it should be.
    pub(crate) async fn until(&self, path: &str, mut is_so: impl FnMut(&Answered) -> bool) {
        let waiting = async {
            loop {
                if is_so(&self.get(path).await) {
                    return;
                }
                tokio::time::timeout(Duration::from_millis(10), std::future::pending::<()>())
                    .await
                    .unwrap_err();
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            let answer = self.get(path).await;
            panic!("in vain: {path}: {}", String::from_utf8_lossy(&answer.bytes));
        }
    }
}

/// The events of a watch.
pub(crate) struct Watch {
    _tasks: JoinSet<()>,
    body: Incoming,
    read: Vec<u8>,
}

impl Watch {
    /// The next event; `None`: the watch is over.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let next = async {
            loop {
                if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = self.read.drain(..=end).collect();
                    return Some(serde_json::from_slice(&line).unwrap());
                }
                let frame = self.body.frame().await?.unwrap();
                self.read.extend_from_slice(frame.data_ref().unwrap());
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("an event in time")
    }

    /// The type and the object's name of the next event.
    pub(crate) async fn told(&mut self) -> (String, String) {
        let event = self.next().await.expect("an event");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}

pub(crate) async fn ask_over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Answered {
    let asked = async {
        let (_tasks, response) = begin(stream, method, path, headers, body).await;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answered { code: head.status.as_u16(), headers: head.headers, bytes }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("an answer in time")
}

async fn begin(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> (JoinSet<()>, hyper::Response<Incoming>) {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // The server may end it first.
        let _ = connection.await;
    });
    let mut request = Request::builder().method(method).uri(path).header("host", "kiln");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body)).unwrap();
    (tasks, sender.send_request(request).await.unwrap())
}

pub(crate) fn a_job(name: &str) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox:1"}],
        }}},
    })
}

pub(crate) fn a_map(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"},
    })
}

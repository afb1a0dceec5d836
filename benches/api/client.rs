//! One connection to the API.

use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub(crate) const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
pub(crate) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
    _connection: JoinSet<()>,
}

impl Client {
    pub(crate) async fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(connection.await) });
        Self { sender, _connection: tasks }
    }

    async fn send(&mut self, request: http::request::Builder, body: Bytes) -> Incoming {
        let request = request.header("host", "kiln").header("content-type", "application/json");
        self.sender.ready().await.unwrap();
        let answer =
            self.sender.send_request(request.body(Full::new(body)).unwrap()).await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        answer.into_body()
    }

    pub(crate) async fn post(&mut self, path: &str, body: Bytes) {
        let answer = self.send(Request::post(path), body).await;
        answer.collect().await.unwrap();
    }

    pub(crate) async fn get(&mut self, path: &str, accept: &str) -> Bytes {
        let answer = self.send(Request::get(path).header("accept", accept), Bytes::new()).await;
        answer.collect().await.unwrap().to_bytes()
    }

    /// Tells the name of each Job that changes from now on, and when that was known here.
    pub(crate) async fn watch(mut self) -> mpsc::UnboundedReceiver<(String, Instant)> {
        let list = self.get(&format!("{JOBS}?limit=1"), "application/json").await;
        let list: Value = serde_json::from_slice(&list).unwrap();
        let version = list["metadata"]["resourceVersion"].as_str().unwrap();
        let path = format!("{JOBS}?watch=true&resourceVersion={version}");
        let mut body = self.send(Request::get(path), Bytes::new()).await;
        let (told, events) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _client = self;
            let mut read = Vec::new();
            while let Some(Ok(frame)) = body.frame().await {
                let at = Instant::now();
                read.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                while let Some(end) = read.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = read.drain(..=end).collect();
                    let event: Value = serde_json::from_slice(&line).unwrap();
                    let name = event["object"]["metadata"]["name"].as_str().unwrap();
                    if told.send((name.to_owned(), at)).is_err() {
                        return;
                    }
                }
            }
        });
        // It ends with the receiver.
        tasks.detach_all();
        events
    }
}

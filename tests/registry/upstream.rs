//! A registry that misbehaves as it is told: HTTP/1.1 by hand, one connection for each request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::artifact::Artifact;

/// What was asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Ask {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_blob(&self) -> bool {
        self.path.contains("/blobs/")
    }
}

/// What is answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// After so many bytes of the body the connection is closed...
    pub(crate) cut_at: Option<usize>,
    /// ...or nothing comes any more until the client goes away.
    pub(crate) stall_at: Option<usize>,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, body: body.into(), ..Self::default() }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// An error in the words of registries.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
        Self::new(status, body.to_string())
    }
}

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Ask>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Serves until it is dropped. The answer may depend on how many requests there were before.
    pub(crate) fn new(answer: impl Fn(&Ask, &[Ask]) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Ask>>> = Arc::default();
        let is_over = Arc::new(AtomicBool::new(false));
        let (asked, over) = (Arc::clone(&seen), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            let answer = &answer;
            let asked = &asked;
            std::thread::scope(|scope| {
                for stream in listener.incoming() {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    scope.spawn(move || serve(stream, asked, answer));
                }
            });
        });
        Self { address, seen, is_over, thread: Some(thread) }
    }

    /// A registry of one image that does what it should.
    pub(crate) fn of(artifact: Artifact) -> Self {
        Self::new(move |ask, _| serve_artifact(&artifact, ask))
    }

    pub(crate) fn seen(&self) -> Vec<Ask> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }

    pub(crate) fn reference(&self) -> String {
        format!("{}/team/app:1", self.address)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address); // wakes the listener
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The answer of an honest registry.
pub(crate) fn serve_artifact(artifact: &Artifact, ask: &Ask) -> Reply {
    let name = ask.path.rsplit('/').next().unwrap();
    if ask.is_blob() {
        let Some(blob) = artifact.blobs.get(name) else {
            return Reply::error(404, "BLOB_UNKNOWN", "blob unknown to registry");
        };
        let offset = ask.header("range").and_then(|range| {
            range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()
        });
        return match offset {
            Some(offset) => Reply::new(206, &blob[offset..]),
            None => Reply::new(200, blob.as_slice()),
        };
    }
    let digest = if name == "1" { &artifact.digest } else { name };
    match artifact.manifests.get(digest) {
        Some((media_type, bytes)) => Reply::new(200, bytes.as_slice())
            .with("content-type", media_type)
            .with("docker-content-digest", digest),
        None => Reply::error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<Ask>>, answer: &dyn Fn(&Ask, &[Ask]) -> Reply) {
    let Some(ask) = read(&stream) else { return };
    let reply = {
        let mut seen = seen.lock().unwrap();
        let reply = answer(&ask, &seen);
        seen.push(ask.clone());
        reply
    };
    // The client may go away at any time.
    let _ = write(stream, &ask, &reply);
}

fn read(stream: &TcpStream) -> Option<Ask> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut ask = Ask { method, path: path.to_owned(), query: query.to_owned(), ..Ask::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        ask.headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length = ask.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    ask.body = String::from_utf8_lossy(&body).into_owned();
    Some(ask)
}

fn write(mut stream: TcpStream, ask: &Ask, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", reply.status);
    head += &format!("content-length: {}\r\n", reply.body.len());
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if ask.method == "HEAD" {
        return Ok(());
    }
    let end = reply.cut_at.or(reply.stall_at).unwrap_or(reply.body.len());
    stream.write_all(&reply.body[..end.min(reply.body.len())])?;
    if reply.stall_at.is_some() {
        stream.flush()?;
        stream.read_exact(&mut [0])?;
    }
    Ok(())
}

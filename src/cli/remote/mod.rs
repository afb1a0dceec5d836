//! The server, as kiln's commands see it: a client of the Kubernetes API.
//!
//! Owns: requests and answers, watches, and what is said when nobody answers. Must not know: what a
//! command makes of them. Objects are JSON here: whatever kind a server has can be shown and written.

mod connection;
mod error;
mod lister;
mod observe;
mod resources;

use std::collections::BTreeSet;
use std::fmt;

use http::{Method, Request, Response, header};
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::Pod;
use kube::client::Body;
use kube::core::Status;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::connection::Connection;
pub use self::error::Error;
pub(super) use self::lister::{Event, Lister};
pub(super) use self::observe::Observer;
pub use self::resources::Resource;
pub(super) use self::resources::{all_of, known, named, named_all, of_manifest};
use super::output::Output;
use crate::engine::Clock;

pub(super) const JSON: &str = "application/json";
pub(super) const JSON_PATCH: &str = "application/json-patch+json";
pub(super) const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";
pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";
pub(super) const APPLY_PATCH: &str = "application/apply-patch+yaml";
pub(super) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
/// Who owns the fields that kiln's commands write.
pub(super) const FIELD_MANAGER: &str = "kiln";
/// What of a query needs no escape.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A server, and where to print.
pub struct Remote {
    client: kube::Client,
    address: String,
    cure: &'static str,
    pub(super) namespace: String,
    /// The user named the namespace: objects of others are not meant.
    pub(super) namespace_is_named: bool,
    pub(super) output: Output,
    pub(super) clock: Clock,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({})", self.address)
    }
}

impl Remote {
    /// # Errors
    /// The kubeconfig cannot be used.
    pub async fn new(connection: &Connection, output: Output, clock: Clock) -> Result<Self, Error> {
        let connected = connection.connect().await?;
        let own = || connected.client.default_namespace().to_owned();
        let namespace = connection.namespace.clone().unwrap_or_else(own);
        Ok(Self {
            client: connected.client,
            address: connected.address,
            cure: connected.cure,
            namespace,
            namespace_is_named: connection.namespace.is_some(),
            output,
            clock,
        })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Error> {
        self.get_as(path, JSON).await
    }

    pub(super) async fn get_as(&self, path: &str, accept: &str) -> Result<Value, Error> {
        let request = Request::get(path).header(header::ACCEPT, accept);
        self.whole(request.body(Body::empty())).await
    }

    /// Reads an object as its type.
    pub(super) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        typed(self.get(path).await?)
    }

    /// Reads all items of a list, of which each may lack its kind.
    pub(super) async fn items<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Error> {
        let mut list = self.get(path).await?;
        let items = list["items"].take();
        if items.is_null() { Ok(Vec::new()) } else { typed(items) }
    }

    /// Reads a pod, or what a kiln remembers of it when it is gone; whether it is. Other servers know of
    /// no such thing.
    pub(super) async fn pod(&self, name: &str) -> Result<(Pod, bool), Error> {
        let path = self.path_of(&known("pods").expect("pods are known"), name);
        match self.read(&path).await {
            Err(error) if error.is_not_found() => {
                let gone = self.read(&(path + "?gone=true")).await;
                gone.map(|pod| (pod, true)).map_err(|_| error)
            }
            read => read.map(|pod| (pod, false)),
        }
    }

    /// The pods with these labels that are gone, as far as a kiln remembers them.
    pub(super) async fn gone_pods(&self, labels: &str) -> Result<Vec<Pod>, Error> {
        let path = known("pods").expect("pods are known").path(Some(&self.namespace));
        let asks = query(&[("labelSelector", labels), ("gone", "true")]);
        let list = self.get(&(path.clone() + &asks)).await?;
        // Whoever does not know what was asked for answers with those that are there.
        let there: Vec<Pod> = self.items(&(path + &query(&[("labelSelector", labels)]))).await?;
        let there: BTreeSet<_> = there.into_iter().filter_map(|pod| pod.metadata.uid).collect();
        let mut gone: Vec<Pod> = typed(list["items"].clone())?;
        gone.retain(|pod| pod.metadata.uid.as_ref().is_none_or(|uid| !there.contains(uid)));
        Ok(gone)
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        media: &str,
        body: &Value,
    ) -> Result<Value, Error> {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::ACCEPT, JSON).header(header::CONTENT_TYPE, media);
        self.whole(request.body(Body::from(body.to_string().into_bytes()))).await
    }

    async fn whole(&self, request: Result<Request<Body>, http::Error>) -> Result<Value, Error> {
        let answer = self.ask(request).await?;
        let bytes = answer.into_body().collect().await;
        let bytes = bytes.map_err(|error| self.unreachable(&error))?.to_bytes();
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::failed(format!("the server's answer is not JSON: {error}")))
    }

    /// Begins to read what comes without an end.
    pub(super) async fn stream(&self, path: &str, accept: &str) -> Result<Stream, Error> {
        let request = Request::get(path).header(header::ACCEPT, accept);
        let answer = self.ask(request.body(Body::empty())).await?;
        Ok(Stream { body: answer.into_body(), read: Vec::new() })
    }

    async fn ask(
        &self,
        request: Result<Request<Body>, http::Error>,
    ) -> Result<Response<Body>, Error> {
        let request = request.map_err(|error| Error::usage(error.to_string()))?;
        let answer = self.client.send(request).await.map_err(|error| self.unreachable(&error))?;
        for warning in answer.headers().get_all(header::WARNING) {
            if let Some(text) = warning.to_str().ok().and_then(spoken) {
                self.output.say(&format!("Warning: {text}"));
            }
        }
        if answer.status().is_success() {
            return Ok(answer);
        }
        let code = answer.status();
        let bytes = answer.into_body().collect().await;
        let bytes = bytes.map_err(|error| self.unreachable(&error))?.to_bytes();
        // What is between client and server answers in its own words.
        let status = serde_json::from_slice(&bytes).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(&bytes).trim().to_owned();
            Status::failure(&text, code.canonical_reason().unwrap_or_default())
                .with_code(code.as_u16())
        });
        Err(Error::Refused { status: Box::new(status), during: None })
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> Error {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            // The last one says it without the others around it.
            message = inner.to_string();
            source = inner.source();
        }
        Error::Unreachable { address: self.address.clone(), message, cure: self.cure }
    }

    pub(super) fn print(&self, text: impl Into<String>) {
        self.output.print(text.into());
    }

    /// The path of one object.
    pub(super) fn path_of(&self, resource: &Resource, name: &str) -> String {
        format!("{}/{}", resource.path(Some(&self.namespace)), escape(name))
    }
}

/// Reads the type of what a server sent.
pub(super) fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|error| {
        Error::failed(format!("the server's answer is not as it should be: {error}"))
    })
}

/// A value in a path or a query.
pub(super) fn escape(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// `?a=b&c=d`; empty values are left out.
pub(super) fn query(parameters: &[(&str, &str)]) -> String {
    let set = parameters.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<_> = set.map(|(name, value)| format!("{name}={}", escape(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// An answer that goes on.
pub(super) struct Stream {
    body: Body,
    read: Vec<u8>,
}

impl Stream {
    /// The next piece as it comes; `None`: it is over, or the connection broke.
    pub(super) async fn piece(&mut self) -> Option<Vec<u8>> {
        loop {
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                return Some(data.to_vec());
            }
        }
    }

    /// The next event of a watch. Cancel-safe: what was read stays.
    pub(super) async fn event(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return serde_json::from_slice(&line).ok();
            }
            let piece = self.piece().await?;
            self.read.extend(piece);
        }
    }
}
/// The text of `299 - "..."`, in which quotes are escaped.
/// <https://datatracker.ietf.org/doc/html/rfc7234#section-5.5>
fn spoken(warning: &str) -> Option<String> {
    let (_, text) = warning.split_once('"')?;
    let (mut said, mut rest) = (String::new(), text.chars());
    loop {
        match rest.next()? {
            '"' => return Some(said),
            '\\' => said.push(rest.next()?),
            other => said.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_told_with_its_quotes() {
        let text = |header| spoken(header).unwrap_or_default();
        assert_eq!(text("299 - \"a \\\"b\\\" c\""), "a \"b\" c");
        assert_eq!(text("299 - \"plain\" \"a date\""), "plain");
        assert_eq!(text("299 - \"cut"), "");
    }
}

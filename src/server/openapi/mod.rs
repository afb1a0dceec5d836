//! The documents that describe the API: OpenAPI v3, one for each group version, and v2 for what still
//! asks for it.
//!
//! Owns: what is in them, made from the table of resources and the types themselves; that they are
//! made once, when they are first asked for, and kept compressed.
//! Must not know: HTTP, who asks.
//! <https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-interface-definition>
//!
//! kubectl reads v3 as JSON (`explain`; whether a PATCH declares `fieldValidation`, and so whether the
//! server validates; which patches there are), and v2 as protobuf (kinds that v3 does not have, such as
//! `List`; kubectl before 1.27). Nothing that is known asks for v3 as protobuf.

pub mod gnostic;
pub mod lists;
mod paths;
mod schemas;
mod v2;
mod v3;

use std::io::{self, BufWriter, Read, Write};
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// What a client accepts that wants v2 as protobuf; both forms are in use.
pub const V2_PROTOBUF_ACCEPTED: [&str; 2] =
    ["application/com.github.proto-openapi.spec.v2@v1.0+protobuf", V2_PROTOBUF];

/// What it is answered with: clients parse it, and `@` cannot stand in a media type.
pub const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// What is served, as far as a description needs it.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    pub namespaced: bool,
    /// `create`, `delete`, `deletecollection`, `get`, `list`, `patch`, `update`, `watch`.
    pub verbs: Vec<&'static str>,
    /// `status`, `log`.
    pub subresources: Vec<&'static str>,
}

impl Resource {
    /// `api/v1`, `apis/batch/v1`: the path of its group version, and the name of its document.
    fn root(&self) -> String {
        match self.group {
            "" => format!("api/{}", self.version),
            group => format!("apis/{group}/{}", self.version),
        }
    }

    fn can(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }

    /// `x-kubernetes-group-version-kind`
    fn gvk(&self, kind: &str) -> Value {
        json!({"group": self.group, "kind": kind, "version": self.version})
    }
}

/// One document, as it is kept.
#[derive(Debug)]
pub struct Document {
    /// Of what it says, not of its compressed form.
    hash: String,
    gzip: Bytes,
}

impl Document {
    /// Keeps what `write` writes, of which there is never a whole copy.
    fn new(write: impl FnOnce(&mut Content) -> io::Result<()>) -> Self {
        let encoder = GzEncoder::new(Vec::new(), Compression::default());
        let mut content = Content { encoder, hash: Sha256::new() };
        write(&mut content).expect("memory takes everything");
        let gzip = content.encoder.finish().expect("memory takes everything");
        Self { hash: hex::encode_upper(content.hash.finalize()), gzip: gzip.into() }
    }

    fn json(value: &Value) -> Self {
        Self::new(|content| {
            let mut content = BufWriter::with_capacity(64 * 1024, content);
            serde_json::to_writer(&mut content, value)?;
            content.flush()
        })
    }

    /// The hash of what it says: for an `ETag`, in quotes, and for the `hash` of its address.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// For clients that accept gzip.
    pub fn gzip(&self) -> Bytes {
        self.gzip.clone()
    }

    /// For those that do not.
    pub fn plain(&self) -> Bytes {
        let mut content = Vec::new();
        let read = GzDecoder::new(self.gzip.as_ref()).read_to_end(&mut content);
        read.expect("it was compressed here");
        content.into()
    }
}

/// The content of a document on its way to be kept.
struct Content {
    encoder: GzEncoder<Vec<u8>>,
    hash: Sha256,
}

impl Write for Content {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.encoder.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The description of everything that is served.
#[derive(Debug)]
pub struct OpenApi {
    resources: Vec<Resource>,
    documents: OnceLock<Documents>,
}

#[derive(Debug)]
struct Documents {
    index: Document,
    v3: Vec<(String, Document)>,
    v2: Document,
    v2_protobuf: Document,
}

impl OpenApi {
    pub fn new(resources: Vec<Resource>) -> Self {
        Self { resources, documents: OnceLock::new() }
    }

    /// `/openapi/v3`: which documents there are.
    pub fn index(&self) -> &Document {
        &self.documents().index
    }

    /// `/openapi/v3/{root}` with a root such as `api/v1` or `apis/batch/v1`.
    pub fn v3(&self, root: &str) -> Option<&Document> {
        self.documents().v3.iter().find(|(name, _)| name == root).map(|(_, document)| document)
    }

    /// `/openapi/v2` as JSON.
    pub fn v2(&self) -> &Document {
        &self.documents().v2
    }

    /// `/openapi/v2` as protobuf, for who accepts one of [`V2_PROTOBUF_ACCEPTED`].
    pub fn v2_protobuf(&self) -> &Document {
        &self.documents().v2_protobuf
    }

    /// Takes about a tenth of a second when it is called first.
    fn documents(&self) -> &Documents {
        self.documents.get_or_init(|| Documents::of(&self.resources))
    }
}

impl Documents {
    fn of(resources: &[Resource]) -> Self {
        let mut v3 = Vec::new();
        let mut index = Map::new();
        for (root, resources) in by_root(resources) {
            let document = Document::json(&v3::document(&resources));
            let address = format!("/openapi/v3/{root}?hash={}", document.hash());
            index.insert(root.clone(), json!({"serverRelativeURL": address}));
            v3.push((root, document));
        }
        let index = json!({"paths": index});
        let all: Vec<_> = resources.iter().collect();
        let v2 = v2::document(&all);
        Self {
            index: Document::json(&index),
            v3,
            v2_protobuf: Document::new(|content| content.write_all(&gnostic::encode(&v2))),
            v2: Document::json(&v2),
        }
    }
}

fn by_root(resources: &[Resource]) -> Vec<(String, Vec<&Resource>)> {
    let mut found: Vec<(String, Vec<&Resource>)> = Vec::new();
    for resource in resources {
        let root = resource.root();
        match found.iter_mut().find(|(name, _)| *name == root) {
            Some((_, of)) => of.push(resource),
            None => found.push((root, vec![resource])),
        }
    }
    found
}

/// Who this describes.
fn info() -> Value {
    json!({"title": "kiln", "version": env!("CARGO_PKG_VERSION")})
}

#[cfg(test)]
mod tests;

//! Answers as HTTP carries them.
//!
//! Owns: bodies, their types, compression, ETags, and the headers around them. Must not know: what
//! they say.

use std::convert::Infallible;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::openapi::Document;
use super::request::{Encoding, encoding};
use super::status::Error;
use super::yaml;

/// A body that ends by itself, or that is written while it is read.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;
pub(super) type Response = http::Response<Body>;

/// Answers of this size are compressed for whoever can read that, as an API server does.
const GZIP_FROM_BYTES: usize = 128 * 1024;

/// An object to answer with.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: StatusCode,
    pub(super) value: Value,
    /// What the client should know although it was done.
    pub(super) warnings: Vec<String>,
}

impl Answer {
    pub(super) fn ok(value: Value) -> Self {
        Self { code: StatusCode::OK, value, warnings: Vec::new() }
    }

    pub(super) fn with(code: StatusCode, value: Value, warnings: Vec<String>) -> Self {
        Self { code, value, warnings }
    }

    pub(super) fn into_response(self, asked: &HeaderMap) -> Response {
        let (bytes, media) = match encoding(asked) {
            Encoding::Yaml => (yaml::write(&self.value), "application/yaml"),
            Encoding::Json => (format!("{}\n", self.value), "application/json"),
        };
        let mut response = compressed(asked, bytes.into_bytes(), media);
        *response.status_mut() = self.code;
        for warning in self.warnings {
            // 299: it persists; the agent is not told, as an API server does.
            let text = format!("299 - \"{}\"", warning.replace('\\', "\\\\").replace('"', "\\\""));
            if let Ok(value) = HeaderValue::from_str(&text) {
                response.headers_mut().append(header::WARNING, value);
            }
        }
        response
    }
}

/// The error as an answer; for people and machines.
pub(super) fn failure(error: &Error, asked: &HeaderMap) -> Response {
    let code = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Answer::with(code, error.status(), Vec::new()).into_response(asked);
    if let Some(seconds) = error.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// A short text.
pub(super) fn text(code: StatusCode, text: impl Into<Bytes>) -> Response {
    let mut response = whole(text.into(), "text/plain; charset=utf-8");
    *response.status_mut() = code;
    response
}

/// Bytes of a type.
pub(super) fn whole(bytes: Bytes, media: &str) -> Response {
    let mut response = http::Response::new(Full::new(bytes).boxed_unsync());
    let media = HeaderValue::from_str(media);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        media.unwrap_or(HeaderValue::from_static("application/octet-stream")),
    );
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// The same, compressed where that is worth it.
pub(super) fn compressed(asked: &HeaderMap, bytes: Vec<u8>, media: &str) -> Response {
    if bytes.len() < GZIP_FROM_BYTES || !takes_gzip(asked) {
        return whole(bytes.into(), media);
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 8), Compression::fast());
    // A vector takes everything.
    let written = encoder.write_all(&bytes).and_then(|()| encoder.finish());
    let Ok(small) = written else { return whole(bytes.into(), media) };
    let mut response = whole(small.into(), media);
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

fn takes_gzip(asked: &HeaderMap) -> bool {
    let values = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| {
        let mut words = part.split(';').map(str::trim);
        words.next() == Some("gzip") && !words.any(|word| matches!(word, "q=0" | "q=0.0"))
    })
}

/// A document that is kept compressed.
pub(super) fn document(asked: &HeaderMap, document: &Document, media: &str) -> Response {
    let tag = format!("\"{}\"", document.hash());
    let mut response = if is_known(asked, &tag) {
        unchanged(media)
    } else if takes_gzip(asked) {
        let mut response = whole(document.gzip(), media);
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
    } else {
        whole(document.plain(), media)
    };
    tag_with(&mut response, &tag);
    response
}

/// A document that changes seldom: with an ETag, and without a body for whoever has it already.
pub(super) fn tagged(asked: &HeaderMap, bytes: Vec<u8>, media: &str) -> Response {
    let tag = format!("\"{}\"", hex::encode_upper(Sha256::digest(&bytes)));
    let mut response =
        if is_known(asked, &tag) { unchanged(media) } else { compressed(asked, bytes, media) };
    tag_with(&mut response, &tag);
    response
}

fn is_known(asked: &HeaderMap, tag: &str) -> bool {
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
    known.flat_map(|value| value.split(',')).any(|value| value.trim() == tag)
}

fn unchanged(media: &str) -> Response {
    let mut response = whole(Bytes::new(), media);
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response
}

fn tag_with(response: &mut Response, tag: &str) {
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
}

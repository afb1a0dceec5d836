//! Bodies that clients send.
//!
//! Owns: the media types that are read. Must not know: what the objects mean.

use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::Value;

use super::api::Call;
use super::protobuf;
use super::status::Error;
use crate::api::manifest;

const ACCEPTED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// An object as it was sent.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) value: Value,
    /// What a strict reader minds and another one does not: fields that are there twice.
    pub(super) doubtful: Vec<String>,
}

/// The media type of the body, without its parameters.
pub(super) fn media(headers: &HeaderMap) -> &str {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media.and_then(|media| media.split(';').next()).map_or("application/json", str::trim)
}

/// Reads an object.
pub(super) fn decode(call: &Call<'_>, bytes: &Bytes) -> Result<Decoded, Error> {
    match media(&call.headers) {
        "application/json" | "" => json(bytes),
        "application/yaml" | "application/x-yaml" | "text/yaml" => yaml(bytes),
        protobuf::CONTENT_TYPE => protobuf(bytes),
        _ => Err(Error::UnsupportedMediaType { accepted: ACCEPTED }),
    }
}

fn protobuf(bytes: &[u8]) -> Result<Decoded, Error> {
    match protobuf::decode(bytes) {
        Ok(value) => Ok(Decoded { value, doubtful: Vec::new() }),
        Err(protobuf::Error::TooLarge { .. }) => {
            Err(Error::TooLarge { limit: protobuf::BYTES_MAX })
        }
        Err(error) => Err(Error::bad(format!("cannot read the body: {error}"))),
    }
}

pub(super) fn json(bytes: &[u8]) -> Result<Decoded, Error> {
    let broken =
        |error: &dyn std::fmt::Display| Error::bad(format!("cannot read the body: {error}"));
    match manifest::json(bytes) {
        Ok(value) => Ok(Decoded { value, doubtful: Vec::new() }),
        Err(strict) => {
            let value = serde_json::from_slice(bytes).map_err(|error| broken(&error))?;
            Ok(Decoded { value, doubtful: vec![strict] })
        }
    }
}

pub(super) fn yaml(bytes: &[u8]) -> Result<Decoded, Error> {
    let read = manifest::yaml(bytes);
    let value = read.map_err(|error| Error::bad(format!("cannot read the body: {error}")))?;
    Ok(Decoded { value, doubtful: Vec::new() })
}

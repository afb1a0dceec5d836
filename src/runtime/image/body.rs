//! What a host sends.
//!
//! Owns: reading an answer to its end, or up to a bound, and noticing silence.
//! Must not know: what was asked.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use reqwest::Response;

use super::refusal::{Kind, Refusal};

/// A blob on its way.
#[derive(Debug)]
pub(super) struct Blob {
    host: String,
    response: Response,
    stall: Duration,
    /// So many bytes are known already, and the host sends them all the same.
    skip: u64,
}

impl Blob {
    pub(super) fn new(host: String, response: Response, stall: Duration, skip: u64) -> Self {
        Self { host, response, stall, skip }
    }

    /// The next bytes; nothing at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let chunk = match tokio::time::timeout(self.stall, self.response.chunk()).await {
                Ok(chunk) => chunk.map_err(|error| Refusal::of_failure(&self.host, &error))?,
                Err(_) => return Err(silence(&self.host, self.stall)),
            };
            let Some(mut chunk) = chunk else { return Ok(None) };
            let known = usize::try_from(self.skip).unwrap_or(usize::MAX).min(chunk.len());
            let fresh = chunk.split_off(known);
            self.skip -= known as u64;
            if !fresh.is_empty() {
                return Ok(Some(fresh));
            }
        }
    }

    /// The refusal of a host whose blob ends too early, or goes on for too long.
    pub(super) fn wrong_length(&self, offset: u64, total: u64) -> Refusal {
        let words = format!("the transfer ended at {offset} of {total} bytes");
        Refusal::new(&self.host, Kind::Broken, words)
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }
}

/// A body, and whether that is all of it.
pub(super) async fn read(
    host: &str,
    mut response: Response,
    bytes_max: usize,
    stall: Duration,
) -> Result<(Bytes, bool), Refusal> {
    let announced = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|length| length.parse::<usize>().ok()).unwrap_or_default();
    let mut body = Vec::with_capacity(announced.min(bytes_max));
    loop {
        match tokio::time::timeout(stall, response.chunk()).await {
            Ok(Ok(Some(chunk))) if body.len() + chunk.len() > bytes_max => {
                return Ok((body.into(), false));
            }
            Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
            Ok(Ok(None)) => return Ok((body.into(), true)),
            Ok(Err(error)) => return Err(Refusal::of_failure(host, &error)),
            Err(_) => return Err(silence(host, stall)),
        }
    }
}

/// The refusal of a host that says nothing.
pub(super) fn silence(host: &str, stall: Duration) -> Refusal {
    let words = format!("nothing came for {} s", stall.as_secs_f64());
    Refusal::new(host, Kind::Broken, words)
}

//! What it means that a registry does not give what it is asked for.
//!
//! Owns: telling the kinds of refusal apart, the registry's own words, and the cure.
//! Must not know: how a registry is asked, or whether it is asked again.

use std::error::Error;
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use oci_client::errors::{OciEnvelope, OciErrorCode};

/// As much of an answer is shown that is not in the words of registries.
const WORDS_MAX: usize = 200;

/// A host's refusal, or its silence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{before}{host}: {words}{}", cure(.kind, .host, .note.as_deref()))]
pub(super) struct Refusal {
    pub(super) host: String,
    pub(super) kind: Kind,
    /// What was answered, in the host's words where it has any.
    pub(super) words: String,
    pub(super) retry_after: Option<Duration>,
    /// Why a credential that may be there was not used.
    pub(super) note: Option<String>,
    /// What the hosts before this one said.
    pub(super) before: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    NotFound,
    Unauthorized,
    Throttled,
    /// The host has a trouble of its own, and may be over it soon.
    Unavailable,
    /// A transfer broke off, or nothing came for too long.
    Broken,
    Unreachable,
    /// The name of the host has no address.
    Nameless,
    Untrusted,
    /// It speaks plain HTTP where TLS was expected.
    Plain,
    /// The answer makes no sense.
    Garbage,
    Other,
}

impl Refusal {
    pub(super) fn new(host: &str, kind: Kind, words: impl Into<String>) -> Self {
        let (host, words) = (host.to_owned(), words.into());
        Self { host, kind, words, retry_after: None, note: None, before: String::new() }
    }

    /// A host that sends something else than what it was asked for.
    pub(super) fn mismatch(host: &str, digest: &str) -> Self {
        let words = format!("what it sends does not have the digest {digest}");
        Self::new(host, Kind::Garbage, words)
    }

    /// Whether the same question may have another answer soon.
    pub(super) fn may_pass(&self) -> bool {
        match self.kind {
            Kind::Throttled | Kind::Unavailable | Kind::Broken => true,
            Kind::NotFound
            | Kind::Unauthorized
            | Kind::Unreachable
            | Kind::Nameless
            | Kind::Untrusted
            | Kind::Plain
            | Kind::Garbage
            | Kind::Other => false,
        }
    }

    /// What a status and a body say.
    pub(super) fn of_answer(host: &str, status: StatusCode, body: &[u8]) -> Self {
        let envelope = serde_json::from_slice::<OciEnvelope>(body).ok();
        let codes = || envelope.iter().flat_map(|envelope| &envelope.errors).map(|e| &e.code);
        let kind = match status.as_u16() {
            401 | 403 => Kind::Unauthorized,
            404 => Kind::NotFound,
            429 => Kind::Throttled,
            408 | 500..=599 => Kind::Unavailable,
            _ if codes().any(|code| *code == OciErrorCode::Toomanyrequests) => Kind::Throttled,
            _ => Kind::Other,
        };
        let told = match &envelope {
            Some(envelope) => envelope.errors.iter().map(words_of).collect::<Vec<_>>().join("; "),
            None => plain_words(body),
        };
        let separator = if told.is_empty() { "" } else { ": " };
        Self::new(host, kind, format!("{status}{separator}{told}"))
    }

    /// What a failed exchange says.
    pub(super) fn of_failure(host: &str, error: &reqwest::Error) -> Self {
        let words = chain(error);
        let any = |signs: &[&str]| signs.iter().any(|sign| words.contains(sign));
        let kind = if any(&["InvalidContentType", "corrupt message"]) {
            Kind::Plain
        } else if any(&["certificate", "UnknownIssuer", "NotValidForName", "fatal alert"]) {
            Kind::Untrusted
        } else if any(&["dns error", "failed to lookup address"]) {
            Kind::Nameless
        } else if error.is_connect() {
            Kind::Unreachable
        } else if error.is_builder() {
            Kind::Other
        } else {
            Kind::Broken
        };
        Self::new(host, kind, words)
    }

    /// The same, after other hosts had been asked in vain.
    pub(super) fn after(mut self, others: &[Self]) -> Self {
        self.before =
            others.iter().map(|other| format!("{}: {}; ", other.host, other.words)).collect();
        self
    }
}

fn cure(kind: &Kind, host: &str, note: Option<&str>) -> String {
    // People know it by another name.
    let host = if host == "registry-1.docker.io" { "docker.io" } else { host };
    let cure = match kind {
        Kind::NotFound => "; there is no such image or tag: check its name".to_owned(),
        Kind::Unauthorized => format!(
            "; the image does not exist or needs a login: put credentials for {host} into \
             ~/.docker/config.json (`docker login {host}`)"
        ),
        Kind::Throttled => {
            "; rate limited: retry later, log in for a higher limit, or use a mirror".to_owned()
        }
        Kind::Unavailable | Kind::Broken => "; retry later, or use a mirror".to_owned(),
        Kind::Unreachable => {
            "; check that it is up, and the network, proxy and firewall".to_owned()
        }
        Kind::Nameless => "; check the name of the registry, and this host's DNS".to_owned(),
        Kind::Untrusted => {
            format!("; name its CA in hosts.toml of {host} (`ca = \"/path/ca.crt\"`)")
        }
        Kind::Plain => {
            format!("; it speaks plain HTTP: say so in hosts.toml (`server = \"http://{host}\"`)")
        }
        Kind::Garbage | Kind::Other => String::new(),
    };
    match note {
        Some(note) => format!("{cure} ({note})"),
        None => cure,
    }
}

/// How long a host wants to be left alone: seconds, or a date.
pub(super) fn retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = rfc2822::DateTimeParser::new().parse_timestamp(header).ok()?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
}

fn words_of(error: &oci_client::errors::OciError) -> String {
    let code = serde_json::to_value(&error.code).ok();
    let code = code.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
    let code = code.to_lowercase().replace('_', " ");
    match error.message.as_str() {
        "" => code,
        message if message.eq_ignore_ascii_case(&code) => message.to_owned(),
        message => format!("{code}: {message}"),
    }
}

/// The first words of a body that is text and no page.
fn plain_words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if text.trim_start().starts_with('<') {
        return String::new();
    }
    // A token server answers `{"details": "incorrect username or password"}`, or something like it.
    let value = serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default();
    let told = ["details", "message", "error_description", "error"]
        .iter()
        .find_map(|key| value.get(key)?.as_str());
    let text = told.unwrap_or(&text);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect()
}

/// An error and its causes, each told once.
fn chain(error: &dyn Error) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        // The outermost ones name the address, which the reader knows, and say that something failed.
        let is_empty = text.starts_with("error sending request")
            || text == "client error (Connect)"
            || text == "client error (SendRequest)";
        if !is_empty && !words.iter().any(|word| word.contains(&text)) {
            words.push(text);
        }
        next = error.source();
    }
    if words.is_empty() { error.to_string() } else { words.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Refusal {
        Refusal::of_answer("r.example", StatusCode::from_u16(status).unwrap(), body.as_bytes())
    }

    #[test]
    fn a_registrys_own_words_are_shown_with_the_cure() {
        let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
        let refusal = answer(404, body);
        assert_eq!(refusal.kind, Kind::NotFound);
        assert_eq!(
            refusal.to_string(),
            "r.example: 404 Not Found: manifest unknown; there is no such image or tag: check its name"
        );
        let body = r#"{"errors":[{"code":"DENIED","message":"access to the resource is denied"}]}"#;
        let text = answer(403, body).to_string();
        assert!(text.contains("denied: access to the resource is denied"), "{text}");
        assert!(text.contains("credentials for r.example into ~/.docker/config.json"), "{text}");
    }

    #[test]
    fn pages_are_not_shown_and_long_words_are_cut() {
        assert_eq!(answer(502, "<html>sorry</html>").words, "502 Bad Gateway");
        assert!(answer(500, &"x ".repeat(1000)).words.len() < 2 * WORDS_MAX);
        let told = answer(401, r#"{"details":"incorrect username or password"}"#).words;
        assert_eq!(told, "401 Unauthorized: incorrect username or password");
    }

    #[test]
    fn what_may_pass_is_what_is_of_the_moment() {
        for (status, may_pass) in [
            (401, false),
            (404, false),
            (408, true),
            (429, true),
            (500, true),
            (503, true),
            (418, false),
        ] {
            assert_eq!(answer(status, "").may_pass(), may_pass, "{status}");
        }
    }

    #[test]
    fn what_the_hosts_before_said_is_told_too() {
        let mirror = Refusal::new("mirror", Kind::Unreachable, "connection refused");
        let text = answer(404, "").after(&[mirror]).to_string();
        assert!(text.starts_with("mirror: connection refused; r.example: 404"), "{text}");
    }

    #[test]
    fn retry_after_is_in_seconds_or_a_date() {
        let now: Timestamp = "2024-02-29T10:00:00Z".parse().unwrap();
        for (header, seconds) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Thu, 29 Feb 2024 10:00:30 GMT", Some(30)),
            ("Thu, 29 Feb 2024 09:00:00 GMT", Some(0)),
            ("soon", None),
        ] {
            assert_eq!(retry_after(header, now), seconds.map(Duration::from_secs), "{header}");
        }
    }
}

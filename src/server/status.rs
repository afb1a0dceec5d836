//! Errors as Kubernetes tells them.
//!
//! Owns: every way in which a request can fail, and the one place where that becomes a
//! `metav1.Status`. Must not know: what was tried.
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/>

use serde_json::{Map, Value, json};

use super::resources::{self, Resource};
use crate::api::strict::NotBuilt;
use crate::api::validation::{FieldError, Problem};
use crate::store;

/// Why a request was not answered with what it asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the server could not find the requested resource; kiln serves {}", resources::names())]
    NoSuchPath,
    #[error("{} {name:?} not found", .resource.qualified())]
    NotFound { resource: &'static Resource, name: String },
    #[error("{} {name:?} already exists", .resource.qualified())]
    AlreadyExists { resource: &'static Resource, name: String },
    #[error("Operation cannot be fulfilled on {} {name:?}: {why}", .resource.qualified())]
    Conflict { resource: &'static Resource, name: String, why: String },
    #[error("{message}")]
    Apply { message: String, causes: Vec<Cause> },
    #[error("{} {name:?} is invalid: {}", .resource.qualified_kind(), listed(.causes))]
    Invalid { resource: &'static Resource, name: String, causes: Vec<Cause> },
    #[error("{message}")]
    BadRequest { message: String },
    #[error("{} {name:?} is forbidden: {why}", .resource.qualified())]
    Forbidden { resource: &'static Resource, name: String, why: String },
    #[error("Unauthorized")]
    Unauthorized,
    #[error("the server does not allow this method on the requested resource")]
    MethodNotAllowed,
    #[error("{what} is not built into this kiln")]
    NotBuilt { what: String },
    #[error("only the following media types are accepted: {accepted}")]
    NotAcceptable { accepted: &'static str },
    #[error(
        "the body of the request was in an unknown format - accepted media types include: {accepted}"
    )]
    UnsupportedMediaType { accepted: &'static str },
    #[error("Request entity too large: limit is {limit}")]
    TooLarge { limit: usize },
    #[error("{message}")]
    Expired { message: String },
    #[error("Too large resource version: {asked}, current: {current}")]
    RevisionTooLarge { asked: u64, current: u64 },
    #[error("Too many requests, please try again later.")]
    TooManyRequests,
    #[error("the request was cut short")]
    CutShort,
    /// Nothing was changed.
    #[error("{message}")]
    NoRoom { message: String },
    #[error("Internal error occurred: {message}")]
    Internal { message: String },
}

/// One field's share in an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) field: String,
}

impl Error {
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::BadRequest { message: message.into() }
    }

    /// The store failed in a way that no client can do anything about, or somebody was faster.
    pub(super) fn store(resource: &'static Resource, name: &str, error: store::Error) -> Self {
        if matches!(error, store::Error::Conflict { .. }) {
            return Self::modified(resource, name);
        }
        if matches!(error, store::Error::AlreadyExists { .. }) {
            return Self::AlreadyExists { resource, name: name.to_owned() };
        }
        Self::from(error)
    }

    pub(super) fn modified(resource: &'static Resource, name: &str) -> Self {
        Self::Conflict {
            resource,
            name: name.to_owned(),
            why:
                "the object has been modified; please apply your changes to the latest version and \
                  try again"
                    .to_owned(),
        }
    }

    /// HTTP's number for it.
    pub(super) fn code(&self) -> u16 {
        self.parts().0
    }

    /// How many seconds a client is to wait before it tries again.
    pub(super) fn retry_after(&self) -> Option<u32> {
        matches!(self, Self::TooManyRequests | Self::RevisionTooLarge { .. }).then_some(1)
    }

    /// The number, the reason that machines read, and what the error is about.
    fn parts(&self) -> (u16, &'static str, Map<String, Value>) {
        let about = |resource: &Resource, name: &str| {
            details(json!({"name": name, "group": resource.group, "kind": resource.plural}))
        };
        match self {
            Self::NoSuchPath => (404, "NotFound", Map::new()),
            Self::NotFound { resource, name } => (404, "NotFound", about(resource, name)),
            Self::AlreadyExists { resource, name } => (409, "AlreadyExists", about(resource, name)),
            Self::Conflict { resource, name, .. } => (409, "Conflict", about(resource, name)),
            Self::Apply { causes, .. } => {
                (409, "Conflict", details(json!({"causes": told(causes)})))
            }
            Self::Invalid { resource, name, causes } => {
                let about = json!({
                    "name": name, "group": resource.group, "kind": resource.kind,
                    "causes": told(causes),
                });
                (422, "Invalid", details(about))
            }
            Self::BadRequest { .. } => (400, "BadRequest", Map::new()),
            Self::Forbidden { resource, name, .. } => (403, "Forbidden", about(resource, name)),
            Self::Unauthorized => (401, "Unauthorized", Map::new()),
            Self::MethodNotAllowed => (405, "MethodNotAllowed", Map::new()),
            Self::NotBuilt { .. } => (501, "NotImplemented", Map::new()),
            Self::NotAcceptable { .. } => (406, "NotAcceptable", Map::new()),
            Self::UnsupportedMediaType { .. } => (415, "UnsupportedMediaType", Map::new()),
            Self::TooLarge { .. } => (413, "RequestEntityTooLarge", Map::new()),
            Self::Expired { .. } => (410, "Expired", Map::new()),
            Self::RevisionTooLarge { .. } => {
                let cause = json!({
                    "reason": "ResourceVersionTooLarge", "message": "Too large resource version",
                });
                (504, "Timeout", details(json!({"causes": [cause]})))
            }
            Self::TooManyRequests => (429, "TooManyRequests", Map::new()),
            Self::NoRoom { .. } => (507, "InsufficientStorage", Map::new()),
            Self::CutShort => (400, "BadRequest", Map::new()),
            Self::Internal { message } => {
                (500, "InternalError", details(json!({"causes": [{"message": message}]})))
            }
        }
    }

    /// The error as an object.
    pub(super) fn status(&self) -> Value {
        let (code, reason, mut details) = self.parts();
        if let Some(seconds) = self.retry_after() {
            details.insert("retryAfterSeconds".to_owned(), seconds.into());
        }
        details.retain(|_, value| value.as_str() != Some(""));
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.to_string(), "reason": reason, "code": code,
        });
        if !details.is_empty() {
            status["details"] = Value::Object(details);
        }
        status
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Compacted { from, oldest } => {
                Self::Expired { message: format!("too old resource version: {from} ({oldest})") }
            }
            full @ store::Error::Full { .. } => Self::NoRoom { message: full.to_string() },
            other @ (store::Error::Conflict { .. }
            | store::Error::AlreadyExists { .. }
            | store::Error::Open { .. }
            | store::Error::Newer { .. }
            | store::Error::Thread { .. }
            | store::Error::Read { .. }
            | store::Error::Write { .. }
            | store::Error::Damaged { .. }
            | store::Error::Encode { .. }
            | store::Error::Decode { .. }
            | store::Error::Closed) => {
                tracing::error!(error = &other as &dyn std::error::Error, "the store failed");
                Self::Internal { message: other.to_string() }
            }
        }
    }
}

impl From<&FieldError> for Cause {
    fn from(error: &FieldError) -> Self {
        let reason = match &error.problem {
            Problem::Required(_) => "FieldValueRequired",
            Problem::Invalid { .. } => "FieldValueInvalid",
            Problem::Unsupported { .. } => "FieldValueNotSupported",
            Problem::Duplicate { .. } | Problem::DuplicateNumber { .. } => "FieldValueDuplicate",
            Problem::Forbidden(_) => "FieldValueForbidden",
            Problem::TooLong { .. } => "FieldValueTooLong",
            Problem::TooMany { .. } => "FieldValueTooMany",
            Problem::NotFound { .. } => "FieldValueNotFound",
        };
        Self { reason, message: error.problem.to_string(), field: error.path.to_string() }
    }
}

impl From<&NotBuilt> for Cause {
    fn from(found: &NotBuilt) -> Self {
        Self {
            reason: "FieldValueForbidden",
            message: format!("Forbidden: {}", found.problem),
            field: found.path.to_string(),
        }
    }
}

/// What is answered when something was done and there is no object to show.
pub(super) fn success(resource: &Resource, name: &str, uid: &str) -> Value {
    let mut about = details(json!({
        "name": name, "group": resource.group, "kind": resource.plural, "uid": uid,
    }));
    about.retain(|_, value| value.as_str() != Some(""));
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": about,
    })
}

fn details(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

fn told(causes: &[Cause]) -> Vec<Value> {
    let told = |cause: &Cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field});
    causes.iter().map(told).collect()
}

fn line(cause: &Cause) -> String {
    match cause.field.as_str() {
        "" => cause.message.clone(),
        field => format!("{field}: {}", cause.message),
    }
}

fn listed(causes: &[Cause]) -> String {
    match causes {
        [one] => line(one),
        many => format!("[{}]", many.iter().map(line).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::object::Kind;

    #[test]
    fn clients_find_the_words_that_they_look_for() {
        let job = resources::of(Kind::Job);
        let error = Error::modified(job, "x");
        assert_eq!(
            error.to_string(),
            "Operation cannot be fulfilled on jobs.batch \"x\": the object has been modified; please \
             apply your changes to the latest version and try again"
        );
        let status = Error::NotFound { resource: job, name: "x".into() }.status();
        assert_eq!(status["message"], "jobs.batch \"x\" not found");
        assert_eq!(status["details"], json!({"name": "x", "group": "batch", "kind": "jobs"}));
        let pods = Error::NotFound { resource: resources::of(Kind::Pod), name: "x".into() };
        assert_eq!(pods.status()["details"], json!({"name": "x", "kind": "pods"}));
    }

    #[test]
    fn that_the_disk_is_full_is_told_as_what_it_is() {
        let full = store::Error::full();
        let status = Error::store(resources::of(Kind::Job), "x", full).status();
        assert_eq!(
            (&status["code"], &status["reason"]),
            (&json!(507), &json!("InsufficientStorage"))
        );
        assert!(status["message"].as_str().unwrap().contains("its disk is full"), "{status}");
    }

    #[test]
    fn an_invalid_object_names_each_field() {
        let cause = |field: &str| Cause {
            reason: "FieldValueRequired",
            message: "Required value".into(),
            field: field.into(),
        };
        let resource = resources::of(Kind::Job);
        let one = Error::Invalid { resource, name: "x".into(), causes: vec![cause("a")] };
        assert_eq!(one.to_string(), "Job.batch \"x\" is invalid: a: Required value");
        let causes = vec![cause("a"), cause("b")];
        let two = Error::Invalid { resource, name: "x".into(), causes };
        let text = "Job.batch \"x\" is invalid: [a: Required value, b: Required value]";
        assert_eq!(two.to_string(), text);
        assert_eq!(two.status()["details"]["causes"][1]["field"], "b");
    }
}

//! What can go wrong between kiln's commands and a server, in kubectl's words.
//!
//! Owns: the messages and what each of them means for the exit code. Must not know: what was asked for.

use kube::core::Status;

use crate::cli::Exit;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server says no.
    #[error("{}", refusal(.status, .during.as_deref()))]
    Refused {
        status: Box<Status>,
        /// `error when creating "job.yaml"`
        during: Option<String>,
    },
    #[error("error: cannot reach the server at {address}: {message}; {cure}")]
    Unreachable { address: String, message: String, cure: &'static str },
    #[error("error: {message}")]
    Usage { message: String },
    #[error("error: {message}")]
    Failed { message: String },
    #[error("error: {message}")]
    TimedOut { message: String },
}

impl Error {
    pub(in crate::cli) fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into() }
    }

    pub(in crate::cli) fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into() }
    }

    /// Whether there is no such object.
    pub(in crate::cli) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if status.code == 404)
    }

    /// Whether there is an object of this name already.
    pub(in crate::cli) fn is_already_there(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if status.reason == "AlreadyExists")
    }

    /// The fields that were to be changed and cannot be; none, if anything else is wrong, too.
    pub(in crate::cli) fn immutable_fields(&self) -> Vec<&str> {
        let Self::Refused { status, .. } = self else { return Vec::new() };
        let causes = status.details.as_ref().map_or(&[][..], |details| &details.causes);
        let all = causes.iter().all(|cause| cause.message.ends_with("field is immutable"));
        let fields = causes.iter().filter(|_| all).map(|cause| cause.field.as_str());
        fields.collect()
    }

    /// Tells what was being done, as kubectl does for files.
    pub(in crate::cli) fn during(self, what: String) -> Self {
        match self {
            Self::Refused { status, .. } => Self::Refused { status, during: Some(what) },
            other @ (Self::Unreachable { .. }
            | Self::Usage { .. }
            | Self::Failed { .. }
            | Self::TimedOut { .. }) => other,
        }
    }

    pub fn exit(&self) -> Exit {
        match self {
            Self::Refused { .. } | Self::Failed { .. } => Exit::Failed,
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Usage { .. } => Exit::Usage,
            Self::TimedOut { .. } => Exit::TimedOut,
        }
    }
}

fn refusal(status: &Status, during: Option<&str>) -> String {
    if status.reason == "Invalid"
        && let Some(details) = &status.details
    {
        let causes: Vec<_> = details
            .causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        let kind = &details.kind;
        let name = &details.name;
        return match causes.as_slice() {
            [] => format!("The {kind} {name:?} is invalid: {}", status.message),
            [one] => format!("The {kind} {name:?} is invalid: {one}"),
            several => format!("The {kind} {name:?} is invalid: \n* {}", several.join("\n* ")),
        };
    }
    let reason =
        if status.reason.is_empty() { String::new() } else { format!(" ({})", status.reason) };
    let during = during.map(|during| format!("{during}: ")).unwrap_or_default();
    format!("Error from server{reason}: {during}{}", status.message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(status: serde_json::Value) -> Error {
        let status = Box::new(serde_json::from_value(status).unwrap());
        Error::Refused { status, during: None }
    }

    #[test]
    fn a_refusal_reads_as_kubectl_prints_it() {
        let exists = refused(json!({
            "status": "Failure", "reason": "AlreadyExists", "code": 409,
            "message": "jobs.batch \"pi\" already exists",
        }));
        assert_eq!(
            exists.during("error when creating \"f.yaml\"".to_owned()).to_string(),
            "Error from server (AlreadyExists): error when creating \"f.yaml\": jobs.batch \"pi\" \
             already exists"
        );
        let plain = refused(json!({"status": "Failure", "code": 500, "message": "no"}));
        assert_eq!(plain.to_string(), "Error from server: no");
    }

    #[test]
    fn an_invalid_object_names_its_fields() {
        let cause = |field: &str| json!({"field": field, "message": "Required value", "reason": "FieldValueRequired"});
        let invalid = |causes: Vec<serde_json::Value>| {
            refused(json!({
                "status": "Failure", "reason": "Invalid", "code": 422, "message": "long",
                "details": {"name": "pi", "kind": "Job", "causes": causes},
            }))
        };
        assert_eq!(
            invalid(vec![cause("spec.a")]).to_string(),
            "The Job \"pi\" is invalid: spec.a: Required value"
        );
        assert_eq!(
            invalid(vec![cause("spec.a"), cause("spec.b")]).to_string(),
            "The Job \"pi\" is invalid: \n* spec.a: Required value\n* spec.b: Required value"
        );
    }
}

//! Events as the rules write them: what happened, without saying when or under which name.

/// What an Event says. The engine adds the object, the time and the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub severity: Severity,
    /// CamelCase, for machines: `SuccessfulCreate`.
    pub reason: &'static str,
    pub message: String,
    /// The part of the object that is meant: `spec.containers{main}`.
    pub field_path: Option<String>,
}

/// The two types that an Event may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Normal,
    Warning,
}

impl Note {
    pub fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Normal, reason, message: message.into(), field_path: None }
    }

    pub fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, reason, message: message.into(), field_path: None }
    }

    /// Says which container is meant.
    #[must_use]
    pub fn about(mut self, container: &str) -> Self {
        self.field_path = Some(format!("spec.containers{{{container}}}"));
        self
    }

    /// Says which init container is meant.
    #[must_use]
    pub fn about_init(mut self, container: &str) -> Self {
        self.field_path = Some(format!("spec.initContainers{{{container}}}"));
        self
    }
}

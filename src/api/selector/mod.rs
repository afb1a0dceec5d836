//! Which objects a list, a watch or a deletion means.
//!
//! Owns: the two languages of a request's query, over labels and over fields. Must not know: where
//! the objects come from.
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#api>

pub mod field;
pub mod label;
mod lexer;

/// A selector that cannot be understood, in the words of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

//! Changing an object by a patch: three languages in which a client says what is to be different.
//!
//! Owns: what each of them means, and how a patch that cannot be is refused. Must not know: whether
//! the object that comes out may be, nor who asks.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply>

pub mod json;
pub mod merge;
pub mod strategic;

/// A patch that cannot be done, in the words of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not a patch at all: a bad request.
    #[error("{0}")]
    Malformed(String),
    /// It does not fit the object: unprocessable.
    #[error("{0}")]
    DoesNotApply(String),
    /// It would do more than one patch may do.
    #[error("{0}")]
    TooLarge(String),
}

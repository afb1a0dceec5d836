//! Manifests for a server: of any kind, and unchecked, since the server checks them.
//!
//! Owns: from files to objects. Must not know: what becomes of them.

use std::path::PathBuf;

use serde_json::Value;

use super::remote::Error;
use super::run::sources;
use crate::api::manifest::{Refusal, documents};

/// One object of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Named {
    /// What the file is called.
    pub(super) source: String,
    pub(super) object: Value,
}

/// Reads all files.
///
/// # Errors
/// All that cannot be read.
pub(super) fn read(names: &[PathBuf]) -> Result<Vec<Named>, Error> {
    let sources = sources::read(names).map_err(|errors| Error::usage(errors.join("\nerror: ")))?;
    let (mut all, mut wrong) = (Vec::new(), Vec::new());
    for source in sources {
        match documents(&source.name, &source.bytes) {
            Ok(objects) => all.extend(
                objects.into_iter().map(|object| Named { source: source.name.clone(), object }),
            ),
            Err(refusals) => wrong.extend(refusals.iter().map(Refusal::to_string)),
        }
    }
    if wrong.is_empty() { Ok(all) } else { Err(Error::usage(wrong.join("\nerror: "))) }
}

impl Named {
    pub(super) fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// The namespace that it says, or else `other`.
    pub(super) fn namespace<'a>(&'a self, other: &'a str) -> &'a str {
        self.object["metadata"]["namespace"].as_str().unwrap_or(other)
    }
}

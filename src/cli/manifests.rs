//! Manifests for a server: of any kind, and unchecked, since the server checks them.
//!
//! Owns: from files to objects. Must not know: what becomes of them.

use std::path::PathBuf;

use serde_json::Value;

use super::kustomize;
use super::remote::Error;
use super::run::sources;
use crate::api::manifest::{Refusal, documents};

/// Which files.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Files {
    /// File, directory, or `-` for standard input
    #[arg(short, long, value_name = "FILE")]
    filename: Vec<PathBuf>,

    /// Also what is in the directories below
    #[arg(short = 'R', long, requires = "filename")]
    recursive: bool,

    /// Directory with a kustomization
    #[arg(short = 'k', long, value_name = "DIR", conflicts_with = "filename")]
    kustomize: Option<PathBuf>,
}

/// One object of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Named {
    /// What the file is called.
    pub(super) source: String,
    pub(super) object: Value,
}

impl Files {
    pub(super) fn is_empty(&self) -> bool {
        self.filename.is_empty() && self.kustomize.is_none()
    }

    /// Reads all of them.
    ///
    /// # Errors
    /// All that cannot be read, or none is named.
    pub(super) fn read(&self) -> Result<Vec<Named>, Error> {
        if let Some(dir) = &self.kustomize {
            let objects = kustomize::build(dir).map_err(Error::usage)?;
            let source = dir.display().to_string();
            let named = |object| Named { source: source.clone(), object };
            return Ok(objects.into_iter().map(named).collect());
        }
        if self.is_empty() {
            return Err(Error::usage("must specify one of -f and -k"));
        }
        let sources = sources::read(&self.filename, self.recursive);
        let sources = sources.map_err(|errors| Error::usage(errors.join("\nerror: ")))?;
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
}

impl Named {
    pub(super) fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }
}

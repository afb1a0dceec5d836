//! A directory for what other programs are to read or write, gone when it is dropped.
//!
//! Owns: that nobody else reads it. Must not know: what is in it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::remote::Error;
use super::rerun::letters;

#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// # Errors
    /// It cannot be made.
    pub(super) fn new(what: &str) -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("kiln-{what}-{}", letters()?));
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(|error| wrong(&path, &error))?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A directory in it.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn dir(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        fs::create_dir(&path).map_err(|error| wrong(&path, &error))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is of the system's cleaning.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// # Errors
/// It cannot be written.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Error> {
    let mut open = fs::OpenOptions::new();
    let opened = open.write(true).create(true).truncate(true).mode(0o600).open(path);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| wrong(path, &error))
}

/// # Errors
/// It cannot be read.
pub(super) fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|error| wrong(path, &error))
}

fn wrong(path: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!("{}: {error}; is there room in $TMPDIR?", path.display()))
}

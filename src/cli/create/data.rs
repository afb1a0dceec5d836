//! Keys and values of a ConfigMap or a Secret, as a line names them.
//!
//! Owns: where they are read from. Must not know: what is made of them.

use std::fs;
use std::path::Path;

use crate::cli::remote::Error;

#[derive(Debug, clap::Args)]
pub(super) struct Data {
    /// KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) from_literal: Vec<String>,

    /// A file, by its own name or by KEY; or all files of a directory
    #[arg(long, value_name = "[KEY=]FILE")]
    pub(super) from_file: Vec<String>,

    /// A file of lines KEY=VALUE
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from_literal", "from_file"])]
    pub(super) from_env_file: Vec<String>,
}

impl Data {
    /// # Errors
    /// A file cannot be read, or a key is there twice.
    pub(super) fn read(&self) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut pairs = Vec::new();
        for literal in &self.from_literal {
            pairs.push(self::literal(literal)?);
        }
        for file in &self.from_file {
            pairs.extend(of_file(file, Path::new(""))?);
        }
        for file in &self.from_env_file {
            pairs.extend(of_env_file(file, Path::new(""))?);
        }
        unique(&pairs)?;
        Ok(pairs)
    }
}

/// # Errors
/// A key is there twice.
pub(in crate::cli) fn unique(pairs: &[(String, Vec<u8>)]) -> Result<(), Error> {
    let mut known = std::collections::BTreeSet::new();
    match pairs.iter().find(|(key, _)| !known.insert(key)) {
        Some((key, _)) => Err(Error::usage(format!(
            "cannot add key {key:?}, another key by that name already exists"
        ))),
        None => Ok(()),
    }
}

/// # Errors
/// There is no `=` in it.
pub(in crate::cli) fn literal(text: &str) -> Result<(String, Vec<u8>), Error> {
    let (key, value) =
        text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
            Error::usage(format!("invalid literal source {text}, expected key=value"))
        })?;
    Ok((key.to_owned(), value.as_bytes().to_vec()))
}

/// `KEY=FILE`, `FILE`, or a directory, relative to another.
///
/// # Errors
/// It cannot be read.
pub(in crate::cli) fn of_file(text: &str, from: &Path) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let (key, name) = match text.split_once('=') {
        Some((key, name)) => (Some(key), name),
        None => (None, text),
    };
    let path = from.join(name);
    let wrong = |path: &Path, error: std::io::Error| {
        Error::usage(format!("error reading {}: {error}", path.display()))
    };
    if !path.is_dir() {
        let own = || path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = fs::read(&path).map_err(|error| wrong(&path, error))?;
        return Ok(vec![(key.map_or_else(own, str::to_owned), bytes)]);
    }
    if key.is_some() {
        return Err(Error::usage(format!("{text}: cannot give a key name for a directory path")));
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(&path).map_err(|error| wrong(&path, error))? {
        let file = entry.map_err(|error| wrong(&path, error))?.path();
        if file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    let read = |file: &std::path::PathBuf| {
        let bytes = fs::read(file).map_err(|error| wrong(file, error))?;
        Ok((file.file_name().unwrap_or_default().to_string_lossy().into_owned(), bytes))
    };
    files.iter().map(read).collect()
}

/// Lines of `KEY=VALUE`; a key alone has its value from the environment.
///
/// # Errors
/// It cannot be read.
pub(in crate::cli) fn of_env_file(
    name: &str,
    from: &Path,
) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let path = from.join(name);
    let text = fs::read_to_string(&path)
        .map_err(|error| Error::usage(format!("error reading {}: {error}", path.display())))?;
    let mut pairs = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines().map(str::trim_start) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once('=') {
            Some(("", _)) => {
                return Err(Error::usage(format!(
                    "{}: a line without a key: {line}",
                    path.display()
                )));
            }
            Some((key, value)) => pairs.push((key.to_owned(), value.as_bytes().to_vec())),
            None => {
                if let Ok(value) = std::env::var(line) {
                    pairs.push((line.to_owned(), value.into_bytes()));
                }
            }
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_come_from_literals_files_and_directories() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("b", "2"), ("a", "1"), ("env", "# no\nX=y=z\n\n  Q=\"q\"\n")] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let pair = |key: &str, value: &str| (key.to_owned(), value.as_bytes().to_vec());
        assert_eq!(literal("k=a=b").unwrap(), pair("k", "a=b"));
        assert_eq!(literal("k='a b'").unwrap(), pair("k", "'a b'"));
        assert!(literal("k").is_err());
        assert_eq!(of_file("a", dir.path()).unwrap(), [pair("a", "1")]);
        assert_eq!(of_file("k=a", dir.path()).unwrap(), [pair("k", "1")]);
        let all = of_file(".", dir.path()).unwrap();
        assert_eq!(all.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["a", "b", "env"]);
        assert!(of_file("k=.", dir.path()).is_err());
        assert_eq!(of_env_file("env", dir.path()).unwrap(), [pair("X", "y=z"), pair("Q", "\"q\"")]);
        assert!(unique(&[pair("a", "1"), pair("a", "2")]).is_err());
    }
}

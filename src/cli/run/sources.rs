//! From what `-f` names to bytes.
//!
//! Owns: files, directories and standard input. Must not know: what a manifest says.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::server::manifests::Source;

/// What stands for standard input.
const STDIN: &str = "-";
/// The files of a directory that are manifests, as kubectl has it.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// Reads everything; a directory is its manifests in the order of their names. `recursive`: with what is
/// in the directories below it.
///
/// # Errors
/// All that cannot be read, a message each.
pub(in crate::cli) fn read(names: &[PathBuf], recursive: bool) -> Result<Vec<Source>, Vec<String>> {
    let (mut sources, mut errors) = (Vec::new(), Vec::new());
    for name in names {
        let text = name.to_string_lossy();
        if ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme)) {
            errors.push(format!(
                "{text}: files of the web are not read: use `curl -fsSL {text} | kiln ... -f -`"
            ));
            continue;
        }
        match files(name, recursive) {
            Ok(files) if files.is_empty() => errors.push(format!(
                "{}: no manifests in it: no file ends in .yaml, .yml or .json",
                name.display()
            )),
            Ok(files) => {
                for file in files {
                    match bytes(&file) {
                        Ok(source) => sources.push(source),
                        Err(error) => errors.push(refusal(&file, &error)),
                    }
                }
            }
            Err(error) => errors.push(refusal(name, &error)),
        }
    }
    if errors.is_empty() { Ok(sources) } else { Err(errors) }
}

fn files(name: &Path, recursive: bool) -> io::Result<Vec<PathBuf>> {
    if name.as_os_str() == STDIN || !fs::metadata(name)?.is_dir() {
        return Ok(vec![name.to_owned()]);
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(name)? {
        let entry = entry?;
        // A link may lead back up: no directory is entered through one.
        entries.push((entry.path(), entry.file_type()?.is_dir()));
    }
    entries.sort();
    let mut found = Vec::new();
    for (path, is_directory) in entries {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if is_directory {
            if recursive {
                found.extend(files(&path, recursive)?);
            }
        } else if extension.is_some_and(|e| EXTENSIONS.contains(&e)) && path.is_file() {
            found.push(path);
        }
    }
    Ok(found)
}

fn bytes(file: &Path) -> io::Result<Source> {
    if file.as_os_str() == STDIN {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes)?;
        return Ok(Source { name: "<stdin>".to_owned(), bytes });
    }
    Ok(Source { name: file.display().to_string(), bytes: fs::read(file)? })
}

fn refusal(file: &Path, error: &io::Error) -> String {
    let file = file.display();
    if error.kind() == io::ErrorKind::NotFound {
        format!("{file}: there is no such file")
    } else {
        format!("{file}: {error}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_its_manifests_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.json", "c.yml", "notes.txt"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        fs::create_dir(dir.path().join("below.yaml")).unwrap();
        fs::write(dir.path().join("below.yaml/d.yaml"), "d.yaml").unwrap();
        std::os::unix::fs::symlink("..", dir.path().join("below.yaml/up")).unwrap();
        let texts = |recursive| -> Vec<_> {
            let sources = read(&[dir.path().to_owned()], recursive).unwrap();
            sources.into_iter().map(|source| String::from_utf8(source.bytes).unwrap()).collect()
        };
        assert_eq!(texts(false), ["a.json", "b.yaml", "c.yml"]);
        assert_eq!(texts(true), ["a.json", "b.yaml", "d.yaml", "c.yml"]);
    }

    #[test]
    fn an_address_is_refused_with_the_cure() {
        let errors = read(&["https://example.com/job.yaml".into()], false).unwrap_err();
        assert!(errors[0].contains("curl -fsSL https://example.com/job.yaml | kiln"), "{errors:?}");
    }

    #[test]
    fn all_that_cannot_be_read_is_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let errors = read(&["/no/such.yaml".into(), dir.path().to_owned()], false).unwrap_err();
        assert_eq!(errors[0], "/no/such.yaml: there is no such file");
        assert!(errors[1].ends_with("no file ends in .yaml, .yml or .json"), "{errors:?}");
    }
}

//! Kustomizations: manifests put together from others, as `kubectl -k` does it.
//!
//! Owns: what is read, in which order it is changed, and the order of what comes out. Must not know: what
//! becomes of the objects. What a kustomization says and is not built here is refused by name.
//! <https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/>

mod file;
mod generate;
mod item;
mod names;
mod patches;
mod transform;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use self::file::Kustomization;
use self::item::Item;
use crate::api::manifest::{Refusal, documents};

/// What a directory's kustomization is called.
const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The objects that come out, in the order in which they can be created.
///
/// # Errors
/// What is wrong, and in which file.
pub(super) fn build(dir: &Path) -> Result<Vec<Value>, String> {
    let text = dir.to_string_lossy();
    if text.contains("://") || text.starts_with("github.com/") {
        return Err(format!(
            "{text}: kustomizations are not fetched: clone the repository, and name its directory"
        ));
    }
    let mut items = read(dir, &mut Vec::new())?;
    generate::add_hashes(&mut items);
    items.sort_by_cached_key(item::order);
    Ok(items.into_iter().map(|item| item.object).collect())
}

/// A directory, and those that it is made of. `within`: the directories that led here.
fn read(dir: &Path, within: &mut Vec<PathBuf>) -> Result<Vec<Item>, String> {
    let root = fs::canonicalize(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    if within.contains(&root) {
        return Err(format!("{}: it is made of itself", dir.display()));
    }
    within.push(root.clone());
    let found: Vec<_> = NAMES.iter().map(|name| dir.join(name)).filter(|f| f.is_file()).collect();
    let [path] = found.as_slice() else {
        return Err(match found.is_empty() {
            true => format!("{}: unable to find one of {}", dir.display(), NAMES.join(", ")),
            false => format!("{}: found more than one of {}", dir.display(), NAMES.join(", ")),
        });
    };
    let at = |problem: String| format!("{}: {problem}", path.display());
    let bytes = fs::read(path).map_err(|error| at(error.to_string()))?;
    let wanted = Kustomization::read(&bytes).map_err(at)?;
    let dir = Dir { path: dir, root };
    let mut items = Vec::new();
    for resource in &wanted.resources {
        let more = resources(&dir, resource, within).map_err(at)?;
        item::add(&mut items, more).map_err(at)?;
    }
    generate::run(&wanted, &dir, &mut items).map_err(at)?;
    patches::run(&wanted, &dir, &mut items).map_err(at)?;
    transform::run(&wanted, &mut items).map_err(at)?;
    patches::run_after(&wanted, &dir, &mut items).map_err(at)?;
    transform::images(&wanted.images, &mut items);
    within.pop();
    Ok(items)
}

fn resources(dir: &Dir<'_>, name: &str, within: &mut Vec<PathBuf>) -> Result<Vec<Item>, String> {
    if name.contains("://") || name.starts_with("github.com/") || name.contains("?ref=") {
        return Err(format!(
            "resources: {name}: nothing is fetched: clone it, and name its directory"
        ));
    }
    let path = dir.path.join(name);
    if path.is_dir() {
        return read(&path, within);
    }
    let bytes = dir.read(name)?;
    let objects = documents(&path.display().to_string(), &bytes).map_err(|refusals| {
        refusals.iter().map(Refusal::to_string).collect::<Vec<_>>().join("\n")
    })?;
    Ok(objects.into_iter().map(Item::new).collect())
}

/// A directory with a kustomization.
struct Dir<'a> {
    path: &'a Path,
    root: PathBuf,
}

impl Dir<'_> {
    /// A file of it: what is elsewhere is not the kustomization's to read.
    fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        let path = self.inside(name)?;
        fs::read(&path).map_err(|error| format!("{name}: {error}"))
    }

    fn inside(&self, name: &str) -> Result<PathBuf, String> {
        let path = self.path.join(name);
        let real = fs::canonicalize(&path).map_err(|error| format!("{name}: {error}"))?;
        if !real.starts_with(&self.root) {
            return Err(format!(
                "{name}: security; the file is not in or below '{}': copy it there, or give its \
                 directory a kustomization of its own",
                self.root.display()
            ));
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests;

//! Files that change all at once.
//!
//! Owns: replacing the files of a directory in one step, as the kubelet does. Must not know: where the files
//! come from.
//!
//! The files are in a directory of their own, `..<time>`, to which `..data` points; what a reader sees are
//! links through `..data`. Whoever follows it sees all files as they were, or all as they are.
//! <https://kubernetes.io/docs/concepts/configuration/configmap/#mounted-configmaps-are-updated-automatically>

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::files::{Content, Files};

const DATA: &str = "..data";
const NEXT_DATA: &str = "..data_tmp";
const DIR_MODE: u32 = 0o755;
/// What a group to which the volume belongs may do with its files, and with its directories.
const GROUP_READS: u32 = 0o440;
const GROUP_ENTERS: u32 = 0o2550;

/// Makes the directory hold these files and no others. Answers whether anything changed. Blocks.
pub(super) fn write(
    dir: &Path,
    files: &Files,
    group: Option<u32>,
    now: Timestamp,
) -> io::Result<bool> {
    let old = fs::read_link(dir.join(DATA)).ok();
    if let Some(old) = &old
        && read(&dir.join(old)).ok().as_ref() == Some(&expected(files, group))
    {
        link(dir, files)?;
        return Ok(false);
    }
    let new = make_dir(dir, now)?;
    for (path, content) in files {
        put(&dir.join(&new), Path::new(path), content, group)?;
    }
    own(&dir.join(&new), group, DIR_MODE | GROUP_ENTERS)?;
    let next = dir.join(NEXT_DATA);
    remove_file(&next)?;
    symlink(&new, &next)?;
    fs::rename(&next, dir.join(DATA))?;
    link(dir, files)?;
    sweep(dir, &new)?;
    Ok(true)
}

/// The files with the modes that they get.
fn expected(files: &Files, group: Option<u32>) -> Files {
    let add = if group.is_some() { GROUP_READS } else { 0 };
    let with = |content: &Content| Content { mode: content.mode | add, ..content.clone() };
    files.iter().map(|(path, content)| (path.clone(), with(content))).collect()
}

/// All files below a directory.
fn read(dir: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    let mut open = vec![PathBuf::new()];
    while let Some(below) = open.pop() {
        for entry in fs::read_dir(dir.join(&below))? {
            let (entry, path) = entry.map(|entry| (entry.path(), below.join(entry.file_name())))?;
            if entry.is_dir() {
                open.push(path);
                continue;
            }
            let mode = fs::metadata(&entry)?.permissions().mode() & 0o777;
            let content = Content { bytes: fs::read(&entry)?, mode };
            files.insert(path.to_string_lossy().into_owned(), content);
        }
    }
    Ok(files)
}

/// A new directory, named by the time.
fn make_dir(dir: &Path, now: Timestamp) -> io::Result<OsString> {
    let time = now.strftime("%Y_%m_%d_%H_%M_%S");
    let mut number = 0_u32;
    loop {
        let name = OsString::from(format!("..{time}.{number}"));
        match fs::create_dir(dir.join(&name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            made => {
                made?;
                fs::set_permissions(dir.join(&name), Permissions::from_mode(DIR_MODE))?;
                return Ok(name);
            }
        }
    }
}

fn put(root: &Path, path: &Path, content: &Content, group: Option<u32>) -> io::Result<()> {
    let mut dir = root.to_owned();
    for part in path.parent().into_iter().flat_map(Path::components) {
        dir.push(part);
        if !dir.exists() {
            fs::create_dir(&dir)?;
            fs::set_permissions(&dir, Permissions::from_mode(DIR_MODE))?;
            own(&dir, group, DIR_MODE | GROUP_ENTERS)?;
        }
    }
    let file = root.join(path);
    fs::write(&file, &content.bytes)?;
    fs::set_permissions(&file, Permissions::from_mode(content.mode))?;
    own(&file, group, content.mode | GROUP_READS)
}

/// Gives it to the group, if there is one.
fn own(path: &Path, group: Option<u32>, mode: u32) -> io::Result<()> {
    let Some(group) = group else { return Ok(()) };
    chown(path, None, Some(group))?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Makes the links that readers see, and removes those to what is not there any more.
fn link(dir: &Path, files: &Files) -> io::Result<()> {
    let names: BTreeSet<&OsStr> =
        files.keys().filter_map(|path| Path::new(path).iter().next()).collect();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if !is_own(&name) && !names.contains(name.as_os_str()) {
            remove_file(&dir.join(name))?;
        }
    }
    for name in names {
        let link = dir.join(name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new(DATA).join(name), link)?;
        }
    }
    Ok(())
}

/// Removes the directories that nothing points to any more.
fn sweep(dir: &Path, current: &OsStr) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_own(&name) && name != current && entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Whether a name is none that a volume's file can have.
fn is_own(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"..")
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(all: &[(&str, &str)]) -> Files {
        let content = |text: &str| Content { bytes: text.as_bytes().to_owned(), mode: 0o640 };
        all.iter().map(|(path, text)| ((*path).to_owned(), content(text))).collect()
    }

    fn text(dir: &Path, path: &str) -> Option<String> {
        fs::read_to_string(dir.join(path)).ok()
    }

    fn names(dir: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let all = fs::read_dir(dir).unwrap().map(name);
        let mut all: Vec<String> = all.map(|name| name.to_string_lossy().into_owned()).collect();
        all.sort();
        all
    }

    #[test]
    fn all_files_are_replaced_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let now = Timestamp::UNIX_EPOCH;
        assert!(write(dir, &files(&[("a", "1"), ("b/c", "2"), ("b/d", "3")]), None, now).unwrap());
        assert_eq!(names(dir), ["..1970_01_01_00_00_00.0", "..data", "a", "b"]);
        assert_eq!((text(dir, "a"), text(dir, "b/c")), (Some("1".into()), Some("2".into())));
        assert_eq!(fs::read_link(dir.join("b")).unwrap(), Path::new("..data/b"));
        let mode = fs::metadata(dir.join("a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o640);

        // Whoever holds on to what was there goes on seeing it.
        let held = fs::File::open(dir.join("..data")).unwrap();
        assert!(write(dir, &files(&[("a", "9"), ("e", "4")]), None, now).unwrap());
        assert_eq!(names(dir), ["..1970_01_01_00_00_00.1", "..data", "a", "e"]);
        assert_eq!((text(dir, "a"), text(dir, "b/c")), (Some("9".into()), None));
        drop(held);
    }

    #[test]
    fn what_is_the_same_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let group = Some(rustix::process::getgid().as_raw());
        for group in [None, group] {
            let content = files(&[("a", "1"), ("b/c", "2")]);
            assert!(write(dir.path(), &content, group, now).unwrap());
            let before = names(dir.path());
            // A link that somebody took away comes back.
            fs::remove_file(dir.path().join("a")).unwrap();
            assert!(!write(dir.path(), &content, group, now).unwrap());
            assert_eq!(names(dir.path()), before);
            write(dir.path(), &Files::new(), group, now).unwrap();
        }
    }

    #[test]
    fn the_files_belong_to_the_group_which_may_read_them() {
        let dir = tempfile::tempdir().unwrap();
        let group = rustix::process::getgid().as_raw();
        let mut content = files(&[("b/c", "2")]);
        content.get_mut("b/c").unwrap().mode = 0o400;
        write(dir.path(), &content, Some(group), Timestamp::UNIX_EPOCH).unwrap();
        let mode =
            |path: &str| fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("b/c"), mode("b"), mode("..data")), (0o440, 0o2755, 0o2755));
    }
}

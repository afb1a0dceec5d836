//! What must not stay on a host: processes, mounts, and with them namespaces.

use std::fs;
use std::path::Path;

/// Everything that still stands and has to do with `dir`: a line each.
pub(crate) fn below(dir: &Path) -> Vec<String> {
    let dir = dir.to_string_lossy().into_owned();
    let mut left = processes(&dir);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    left.extend(
        mounts.lines().filter(|line| line.contains(&dir)).map(|line| format!("mount {line}")),
    );
    left
}

fn processes(word: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok());
    let lines = pids.filter_map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        Some(format!("process {} {line}", entry.file_name().to_string_lossy()))
    });
    let ours = |line: &String| line.contains(word) && !line.contains("docker-registry");
    lines.filter(ours).collect()
}

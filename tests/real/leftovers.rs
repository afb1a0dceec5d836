//! What must not stay on a host: processes, mounts and with them namespaces, the OCI runtime's notes.

use std::fs;
use std::path::{Path, PathBuf};

/// Everything that still stands and has to do with `dir`: a line each.
pub(crate) fn below(dir: &Path) -> Vec<String> {
    let dir = dir.to_string_lossy().into_owned();
    let mut left = processes(&dir);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    left.extend(
        mounts.lines().filter(|line| line.contains(&dir)).map(|line| format!("mount {line}")),
    );
    left.extend(runc_states(&dir));
    left
}

/// What the OCI runtime has noted of containers, which is below no root.
fn runc_states(word: &str) -> Vec<String> {
    let entries = fs::read_dir("/run/containerd/runc/kiln").into_iter().flatten().flatten();
    let states = entries.map(|entry| entry.path().join("state.json"));
    let ours = |state: &PathBuf| {
        fs::read(state).is_ok_and(|text| String::from_utf8_lossy(&text).contains(word))
    };
    states.filter(ours).map(|state| format!("state {}", state.display())).collect()
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

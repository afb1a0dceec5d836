//! The manifests below `tests/manifests`: each is run to its end, and held against the lines at its head.
//!
//! `# <what it shows>`, then any of:
//! - `# args: --network cni`: further arguments of `kiln run`
//! - `# exits: 1`: the exit code, instead of 0
//! - `# prints: words`: in what the containers print
//! - `# says: words`: in what kiln itself says
//! - `# not: words`: in neither
//! - `# leaves: dir/a b`: all that is in this directory of the host afterwards
//!
//! `${DIR}` in a manifest is a directory of the host that is its alone.
//! `MANIFEST=<part of a name> scripts/test real` runs only some.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::host::{Host, Outcome};

/// How many are run at a time.
const WORKERS: usize = 3;

/// Fewer than these, and some were lost.
const AT_LEAST: usize = 60;

#[test]
fn every_manifest_does_what_its_head_says() {
    let host = Host::new();
    host.push(
        "library/busybox:1.36",
        &["--clear", "config.entrypoint", "--config.cmd", "sh", "--config.env", "PATH=/bin"],
    );
    let wanted = std::env::var("MANIFEST").unwrap_or_default();
    let files = manifests();
    assert!(files.len() >= AT_LEAST, "{} manifests", files.len());
    let files: Vec<_> =
        files.into_iter().filter(|f| f.to_string_lossy().contains(&wanted)).collect();
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(file) = files.get(number) else { return };
                    if let Err(what) = try_one(&host, number, file) {
                        wrong.lock().unwrap().push(what);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), files.len(), wrong.join("\n\n"));
}

fn manifests() -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir("tests/manifests").unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Runs one manifest. What is not as its head says comes back with all that was said.
fn try_one(host: &Host, number: usize, file: &Path) -> Result<(), String> {
    let name = file.file_stem().unwrap().to_string_lossy().into_owned();
    let dir = host.path().join("dirs").join(&name);
    fs::create_dir_all(&dir).unwrap();
    let text = fs::read_to_string(file).unwrap();
    let manifest =
        host.file(&format!("{name}.yaml"), &text.replace("${DIR}", &dir.to_string_lossy()));
    let head = Head::of(&text);

    let mut command = host.kiln("run");
    // By number: the path of a socket has room for 104 bytes.
    command.env("KILN_ROOT", host.path().join(number.to_string()));
    let outcome = Outcome::of(command.args(&head.args).arg("-f").arg(manifest));

    let mut wrong = Vec::new();
    if outcome.code != Some(head.exits) {
        wrong.push(format!("exits with {:?}, not {}", outcome.code, head.exits));
    }
    let Outcome { stdout, stderr, .. } = &outcome;
    for (key, words) in &head.claims {
        let so = match key.as_str() {
            "prints" => stdout.contains(words),
            "says" => stderr.contains(words),
            "not" => !stdout.contains(words) && !stderr.contains(words),
            "leaves" => left(&dir, words),
            other => panic!("{name}: no such claim: {other}"),
        };
        if !so {
            wrong.push(format!("not so: {key}: {words}"));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("{name}: {}\n-- stdout\n{stdout}\n-- stderr\n{stderr}", wrong.join("; ")))
}

/// Whether `<directory>/<name> <name>...` is exactly what is there.
fn left(dir: &Path, words: &str) -> bool {
    let (dir, names) = words
        .split_once('/')
        .map_or((dir.to_owned(), words), |(sub, names)| (dir.join(sub), names));
    let Ok(entries) = fs::read_dir(dir) else { return false };
    let mut found: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    found.sort();
    let mut wanted: Vec<_> = names.split(' ').map(str::to_owned).collect();
    wanted.sort();
    found == wanted
}

/// What the comments at the head of a manifest ask for.
struct Head {
    args: Vec<String>,
    exits: i32,
    claims: Vec<(String, String)>,
}

impl Head {
    fn of(text: &str) -> Self {
        let mut head = Self { args: Vec::new(), exits: 0, claims: Vec::new() };
        for line in text.lines().map_while(|line| line.strip_prefix("# ")) {
            let Some((key, words)) = line.split_once(": ") else { continue };
            match key {
                "args" => head.args = words.split(' ').map(str::to_owned).collect(),
                "exits" => head.exits = words.parse().unwrap(),
                "prints" | "says" | "not" | "leaves" => {
                    head.claims.push((key.to_owned(), words.to_owned()));
                }
                _ => {}
            }
        }
        head
    }
}

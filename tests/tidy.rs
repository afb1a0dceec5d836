//! Reads the tree and checks what no compiler does: who may import whom, that every file says what
//! it owns, sizes, and words that do not belong.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Who may import whom: reading this table is reading the architecture. `(module, what it may use)`.
const IMPORTS: [(&str, &[&str]); 14] = [
    // Rules: pure.
    ("plan", &[]),
    ("api", &[]),
    ("admission", &["api"]),
    ("job", &["api", "plan"]),
    ("cron", &["api", "plan"]),
    ("pod", &["api", "plan"]),
    // Adaptors.
    ("store", &["api"]),
    ("monitor", &[]),
    ("runtime", &["api", "pod", "monitor"]),
    // Shell.
    ("engine", &["admission", "api", "cron", "job", "plan", "pod", "runtime", "store"]),
    ("server", &["api", "store"]),
    ("cli", &["api", "engine", "job", "monitor", "pod", "runtime", "server", "store"]),
    ("main", &["cli", "monitor"]),
    ("bin", &["monitor"]),
];

/// No file has more lines of code than this before its tests.
const FILE_LINES_MAX: usize = 500;

/// Files that are data in the shape of code.
const LONG_FILES: [&str; 2] = ["src/server/protobuf/table.rs", "src/api/fields.rs"];

#[test]
fn modules_import_downwards_only() {
    let mut found = Vec::new();
    for file in rust_files("src") {
        let module = module_of(&file);
        if module == "lib" {
            continue;
        }
        let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == module) else {
            found.push(format!("{}: module `{module}` is not in the table", file.display()));
            continue;
        };
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate() {
            for used in crate_paths(line) {
                if used != module && !allowed.contains(&used.as_str()) {
                    found.push(format!(
                        "{}:{}: `{module}` must not import `{used}`",
                        file.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn the_rules_do_no_io_and_read_no_clock() {
    let banned = ["tokio", "std::fs", "std::net", "std::process", "async fn", "rand::", "::now()"];
    let mut found = Vec::new();
    for file in ["src/admission", "src/api", "src/cron", "src/job", "src/pod", "src/plan.rs"]
        .iter()
        .flat_map(|d| rust_files(d))
    {
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in code_of(&text).enumerate() {
            if let Some(word) = banned.iter().find(|word| without_comment(line).contains(**word)) {
                found.push(format!("{}:{}: `{word}` in a rule", file.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn only_the_runtime_knows_containerd_and_only_the_store_its_backend() {
    let owners = [
        ("containerd_client", "runtime"),
        ("tonic", "runtime"),
        ("oci_spec", "runtime"),
        ("oci_client", "runtime"),
        ("rusqlite", "store"),
        ("clap", "cli"),
        ("anyhow", "cli"),
        ("indicatif", "cli"),
    ];
    let mut found = Vec::new();
    for file in rust_files("src") {
        let module = module_of(&file);
        let text = fs::read_to_string(&file).unwrap();
        for (name, owner) in owners {
            let used = text.lines().any(|line| {
                let line = without_comment(line);
                line.contains(&format!("{name}::")) || line.contains(&format!("use {name}"))
            });
            if used && module != owner && !(module == "main" && owner == "cli") {
                found.push(format!("{}: `{name}` belongs to `{owner}`", file.display()));
            }
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn serde_yaml_is_in_one_file_for_reading_and_one_for_writing() {
    let users: Vec<_> = rust_files("src")
        .into_iter()
        .filter(|file| {
            let text = fs::read_to_string(file).unwrap();
            code_of(&text).any(|line| without_comment(line).contains("serde_yaml"))
        })
        .collect();
    assert!(users.len() <= 2, "serde_yaml is used in {users:?}");
}

#[test]
fn every_file_opens_with_what_it_owns() {
    let missing: Vec<_> = ["src", "tests", "benches"]
        .iter()
        .flat_map(|dir| rust_files(dir))
        .filter(|file| !fs::read_to_string(file).unwrap().starts_with("//!"))
        .collect();
    assert!(missing.is_empty(), "no `//!` header in {missing:?}");
}

#[test]
fn no_file_grows_without_limit() {
    let mut found = Vec::new();
    for file in rust_files("src") {
        let text = fs::read_to_string(&file).unwrap();
        let lines = code_of(&text).count();
        let name = file.to_string_lossy().into_owned();
        if lines > FILE_LINES_MAX && !LONG_FILES.contains(&name.as_str()) {
            found.push(format!("{name}: {lines} lines; split it by concept"));
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn rules_of_kubernetes_cite_their_page() {
    let missing: Vec<_> = ["src/cron", "src/job", "src/pod"]
        .iter()
        .flat_map(|dir| rust_files(dir))
        .chain([PathBuf::from("src/api/defaults.rs")])
        .filter(|file| file.exists() && !file.ends_with("testing.rs"))
        .filter(|file| !file.components().any(|part| part.as_os_str() == "tests"))
        .filter(|file| !fs::read_to_string(file).unwrap().contains("https://kubernetes.io/docs/"))
        .collect();
    assert!(missing.is_empty(), "no link to the rule's documentation in {missing:?}");
}

#[test]
fn no_module_is_named_after_nothing() {
    let vague = ["util", "utils", "common", "helpers", "helper", "misc", "manager"];
    let found: Vec<_> = rust_files("src")
        .into_iter()
        .filter(|file| {
            file.iter().any(|part| {
                let part = part.to_string_lossy();
                vague.contains(&part.trim_end_matches(".rs"))
            })
        })
        .collect();
    assert!(found.is_empty(), "{found:?}: if a function has no home, a concept is missing");
}

#[test]
fn nothing_unfinished_is_left_behind() {
    // Written in two halves so that this file does not find itself.
    let banned = [
        ("todo", "!("),
        ("unimplemented", "!("),
        ("#[ig", "nore"),
        ("FIX", "ME"),
        ("XX", "X"),
        ("allow(dead", "_code"),
        ("allow(unu", "sed"),
        ("dbg", "!("),
    ]
    .map(|(a, b)| format!("{a}{b}"));
    let mut found = Vec::new();
    for file in ["src", "tests", "benches"].iter().flat_map(|dir| rust_files(dir)) {
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate() {
            if let Some(word) = banned.iter().find(|word| line.contains(word.as_str())) {
                found.push(format!("{}:{}: {word}", file.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_markdown_file_has_one_title() {
    for file in files(Path::new("."), "md") {
        let text = fs::read_to_string(&file).unwrap();
        let mut fenced = false;
        let titles = text
            .lines()
            .filter(|line| {
                if line.starts_with("```") {
                    fenced = !fenced;
                }
                !fenced && line.starts_with("# ")
            })
            .count();
        assert_eq!(titles, 1, "{} has {titles} titles", file.display());
    }
}

fn rust_files(dir: &str) -> Vec<PathBuf> {
    let path = Path::new(dir);
    if path.is_file() { vec![path.to_path_buf()] } else { files(path, "rs") }
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = BTreeSet::new();
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.insert(path);
        }
    }
    found.into_iter().collect()
}

/// `src/runtime/image/mod.rs` and `src/runtime.rs` are both of `runtime`.
fn module_of(file: &Path) -> String {
    let below = file.strip_prefix("src").unwrap();
    let first = below.iter().next().unwrap().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The lines before the tests.
fn code_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"))
}

fn without_comment(line: &str) -> &str {
    match line.trim_start().starts_with("//") {
        true => "",
        false => line,
    }
}

/// The modules named after `crate::` in one line of code.
fn crate_paths(line: &str) -> Vec<String> {
    let line = without_comment(line);
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find("crate::") {
        rest = &rest[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let group = group.split('}').next().unwrap_or_default();
            found.extend(group.split(',').map(|part| first_segment(part.trim())));
        } else {
            found.push(first_segment(rest));
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

fn first_segment(path: &str) -> String {
    path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

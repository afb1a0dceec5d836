//! Calling the plugins of a network.
//!
//! Owns: how a plugin is found, started and understood. Must not know: what a network is made of, pods.
//! <https://github.com/containernetworking/cni/blob/main/SPEC.md#section-2-execution-protocol>

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::super::pause::pause;

/// The name of the pod's interface.
pub(super) const INTERFACE: &str = "eth0";
/// No plugin takes longer: it is ended then.
pub(super) const PLUGIN_TIMEOUT: Duration = Duration::from_secs(60);
/// So much at most is told of what a plugin writes to standard error.
const STDERR_BYTES_MAX: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Add,
    Del,
}

impl Verb {
    fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
        }
    }

    /// As people read it.
    fn in_words(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Del => "delete",
        }
    }
}

/// What is the same for all plugins of one network.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) verb: Verb,
    pub(super) bin_dirs: &'a [PathBuf],
    pub(super) container: &'a str,
    /// Empty where there is none any more.
    pub(super) netns: &'a Path,
    pub(super) args: &'a str,
    /// Where plugins complain. A plugin that outlives this process keeps it open, and locked.
    pub(super) stderr: &'a File,
}

/// What a plugin says when it has failed.
#[derive(Debug, Default, Deserialize)]
struct Complaint {
    #[serde(default)]
    msg: String,
    #[serde(default)]
    details: String,
}

impl Call<'_> {
    /// Runs one plugin; answers what it says. The error is what it complains of, for people.
    pub(super) async fn run(&self, config: &Value) -> Result<Value, String> {
        let kind = config["type"].as_str().unwrap_or_default();
        let failed = |why: String| {
            format!("plugin type=\"{kind}\" failed ({}): {why}", self.verb.in_words())
        };
        let program = find(kind, self.bin_dirs).ok_or_else(|| {
            let dirs = self.bin_dirs.iter().map(|dir| dir.display().to_string());
            failed(format!("failed to find plugin \"{kind}\" in path [{}]", join(dirs, " ")))
        })?;
        let began = self.stderr.metadata().map_or(0, |meta| meta.len());
        let mut child = self.command(&program).map_err(|error| failed(error.to_string()))?;
        let input = serde_json::to_vec(config).expect("a plugin's configuration is JSON");
        if let Some(mut stdin) = child.stdin.take() {
            // A plugin that does not read it says why.
            let _ = stdin.write_all(&input).await;
        }
        let output = tokio::select! {
            output = child.wait_with_output() => output.map_err(|error| failed(error.to_string()))?,
            () = pause(PLUGIN_TIMEOUT) => {
                return Err(failed(format!("it took more than {} seconds", PLUGIN_TIMEOUT.as_secs())));
            }
        };
        if output.status.success() {
            return match output.stdout.trim_ascii() {
                [] => Ok(Value::Null),
                said => serde_json::from_slice(said).map_err(|error| failed(error.to_string())),
            };
        }
        let complaint: Complaint = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let said = [complaint.msg, complaint.details].map(|text| text.trim().to_owned());
        let said = join(said.into_iter().filter(|text| !text.is_empty()), "; ");
        if said.is_empty() {
            return Err(failed(format!("{}: {}", output.status, self.complained_since(began))));
        }
        Err(failed(said))
    }

    fn command(&self, program: &Path) -> io::Result<tokio::process::Child> {
        let path = std::env::join_paths(self.bin_dirs).map_err(io::Error::other)?;
        Command::new(program)
            .env("PATH", self::path())
            .env("CNI_COMMAND", self.verb.as_str())
            .env("CNI_CONTAINERID", self.container)
            .env("CNI_NETNS", self.netns)
            .env("CNI_IFNAME", INTERFACE)
            .env("CNI_ARGS", self.args)
            .env("CNI_PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(self.stderr.try_clone()?)
            .kill_on_drop(true)
            .spawn()
    }

    /// What was written to standard error after so many bytes.
    fn complained_since(&self, began: u64) -> String {
        use std::os::unix::fs::FileExt;
        let mut bytes = vec![0; STDERR_BYTES_MAX];
        let read = self.stderr.read_at(&mut bytes, began).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..read]).trim().to_owned()
    }
}

/// The first program of this name.
pub(super) fn find(kind: &str, dirs: &[PathBuf]) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        fs::metadata(path)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    dirs.iter().map(|dir| dir.join(kind)).find(is_program)
}

/// Where plugins look for `iptables`, which is not on the path of every service.
pub(super) fn path() -> OsString {
    let own = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    let all: Vec<PathBuf> = std::env::split_paths(&own).chain(system).collect();
    std::env::join_paths(all).unwrap_or(own)
}

fn join(parts: impl Iterator<Item = String>, with: &str) -> String {
    parts.collect::<Vec<_>>().join(with)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Runs a plugin that is this script.
    async fn run(script: &str) -> Result<Value, String> {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("test");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let mut options = File::options();
        let stderr = options.read(true).append(true).create(true).open(dir.path().join("stderr"));
        let stderr = stderr.unwrap();
        let call = Call {
            verb: Verb::Add,
            bin_dirs: &["/nowhere".into(), dir.path().to_owned()],
            container: "c",
            netns: Path::new("/ns"),
            args: "A=b",
            stderr: &stderr,
        };
        call.run(&json!({"type": "test", "name": "n"})).await
    }

    #[tokio::test]
    async fn a_plugin_is_told_by_its_environment_and_its_input() {
        let script = "read input; printf '{\"input\": %s, \"env\": \"%s\"}' \"$input\" \
                      \"$CNI_COMMAND $CNI_CONTAINERID $CNI_NETNS $CNI_IFNAME $CNI_ARGS\"";
        let said = run(script).await.unwrap();
        assert_eq!(
            said,
            json!({"input": {"type": "test", "name": "n"}, "env": "ADD c /ns eth0 A=b"})
        );
        assert_eq!(run("true").await, Ok(Value::Null));
    }

    #[tokio::test]
    async fn what_a_plugin_complains_of_is_told() {
        let failed = |why: &str| Err(format!("plugin type=\"test\" failed (add): {why}"));
        let script =
            "echo '{\"code\": 999, \"msg\": \"no IP addresses\", \"details\": \"\"}'; exit 1";
        assert_eq!(run(script).await, failed("no IP addresses"));
        assert_eq!(run("echo oh >&2; exit 3").await, failed("exit status: 3: oh"));
    }

    #[test]
    fn a_plugin_that_is_nowhere_is_not_found() {
        assert_eq!(find("sh", &["/nowhere".into(), "/bin".into()]), Some("/bin/sh".into()));
        assert_eq!(find("passwd", &["/etc".into()]), None);
    }
}

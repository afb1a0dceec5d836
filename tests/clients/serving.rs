//! A `kiln serve` for one test, and the clients that drive it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::host::{Host, Outcome, until};

/// Dropped, it deletes all that runs, and ends in order.
pub(crate) struct Serving {
    pub(crate) host: Host,
    serve: Child,
}

impl Serving {
    pub(crate) fn new() -> Self {
        let host = Host::new();
        let dir = host.path();
        let mut serve = host.kiln("serve");
        serve.args(["--listen", "127.0.0.1:0", "--socket"]).arg(dir.join("kiln.sock"));
        serve.env("KILN_LOG_DIR", dir.join("logs"));
        serve.stdout(Stdio::null()).stderr(File::create(dir.join("serve.log")).unwrap());
        let mut serving = Self { serve: serve.spawn().unwrap(), host };
        until("kiln serves", || {
            let log = fs::read_to_string(serving.host.path().join("serve.log")).unwrap();
            assert!(serving.serve.try_wait().unwrap().is_none(), "{log}");
            serving.kubeconfig().exists()
        });
        serving
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.host.path().join("kiln/kubeconfig")
    }

    /// A shell script in which `$K` is the client.
    pub(crate) fn shell(&self, client: &Client, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-ec", script]).stdin(Stdio::null());
        command.env("K", &client.program).env("DIR", self.host.path());
        // Their caches are not the user's.
        command.env("HOME", self.host.path()).env("KUBECONFIG", self.kubeconfig());
        command.env("KILN_SOCKET", self.host.path().join("kiln.sock"));
        command
    }

    pub(crate) fn run(&self, client: &Client, script: &str) -> Outcome {
        Outcome::of(&mut self.shell(client, script))
    }

    /// Looks until the client prints what is waited for.
    pub(crate) fn until(&self, client: &Client, script: &str, is_so: impl Fn(&str) -> bool) {
        until(script, || is_so(&self.run(client, script).stdout));
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let script = "$K delete cronjobs,jobs,pods --all -A --grace-period=1 --timeout=60s";
        let deleted = self.run(&Client::kubectl(), script);
        let _ = Command::new("kill").arg(self.serve.id().to_string()).status();
        let ended = self.serve.wait();
        if !std::thread::panicking() {
            deleted.exits(0);
            assert!(ended.unwrap().success());
        }
    }
}

/// A program that is driven as kubectl is.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) program: PathBuf,
}

impl Client {
    /// The machine's.
    pub(crate) fn kubectl() -> Self {
        Self { program: "kubectl".into() }
    }

    /// A new one.
    pub(crate) fn new_kubectl() -> Self {
        Self { program: python().join("kubectl") }
    }

    pub(crate) fn kiln() -> Self {
        Self { program: env!("CARGO_BIN_EXE_kiln").into() }
    }

    /// 32 for kubectl 1.32.
    pub(crate) fn minor(&self) -> u32 {
        let said = Command::new(&self.program).args(["version", "--client", "-o", "json"]).output();
        let said: serde_json::Value = serde_json::from_slice(&said.unwrap().stdout).unwrap();
        let minor = said["clientVersion"]["minor"].as_str().unwrap();
        minor.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
    }
}

/// The programs of a Python environment with what the tests need; it is made once.
pub(crate) fn python() -> PathBuf {
    static MAKING: Mutex<()> = Mutex::new(());
    let _turn = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let (requirements, made) = ("tests/clients/requirements.txt", dir.join("made"));
    let wanted = fs::read_to_string(requirements).unwrap();
    if fs::read_to_string(&made).ok().as_ref() != Some(&wanted) {
        Outcome::of(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir)).exits(0);
        let mut pip = Command::new(dir.join("bin/pip"));
        let pip =
            pip.args(["install", "--quiet", "--disable-pip-version-check", "-r", requirements]);
        Outcome::of(pip).exits(0);
        fs::write(&made, wanted).unwrap();
    }
    dir.join("bin")
}

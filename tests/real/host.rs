//! A host for one test: a directory, and a registry on loopback that serves images of busybox in the place
//! of Docker Hub.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use super::leftovers;

/// How often a condition is looked at, and how often at most, before the test gives up.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOKS: u32 = 3000;

/// Dropped, it ends what it started, and fails the test if kiln has left anything.
pub(crate) struct Host {
    dir: tempfile::TempDir,
    registry: Child,
}

impl Host {
    /// `luksa/batch-job` sleeps for a second.
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("kiln-test-").tempdir().unwrap();
        let mut command = Command::new("scripts/stand-in-registry");
        command.arg(dir.path()).env("BATCH_SECONDS", "1").stdin(Stdio::null());
        let said = fs::File::create(dir.path().join("said")).unwrap();
        let errors = fs::File::create(dir.path().join("errors")).unwrap();
        let registry = command.stdout(said).stderr(errors).spawn().unwrap();
        let mut host = Self { dir, registry };
        let serves = |host: &mut Self| {
            assert!(host.registry.try_wait().unwrap().is_none(), "{}", host.read("errors"));
            !host.read("said").is_empty()
        };
        until("the registry serves", || serves(&mut host));
        host
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).unwrap_or_default()
    }

    /// `127.0.0.1:<port>`
    pub(crate) fn registry(&self) -> String {
        self.read("said").trim().rsplit(' ').next().unwrap().to_owned()
    }

    /// Writes a file; answers where.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Pushes a variant of the batch image under this name, configured by these flags of `umoci config`.
    pub(crate) fn push(&self, name: &str, config: &[&str]) {
        let layout = self.path().join("layout");
        let tag = name.replace(['/', ':'], "-");
        let image = format!("{}:{tag}", layout.display());
        let mut umoci = Command::new("umoci");
        umoci.args(["config", "--image", &format!("{}:latest", layout.display()), "--tag", &tag]);
        succeed(umoci.args(config));
        let to = format!("docker://{}/{name}", self.registry());
        let from = format!("oci:{image}");
        succeed(Command::new("skopeo").args(["copy", "-q", "--dest-tls-verify=false", &from, &to]));
    }

    /// `kiln` with everything that keeps it to this host.
    pub(crate) fn kiln(&self, verb: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        command.arg(verb).stdin(Stdio::null());
        command.env("KILN_CONTAINERD", "managed");
        command.env("KILN_HOSTS_DIR", self.path().join("hosts"));
        command.env("KILN_ROOT", self.path().join("kiln")).env("KILN_NETWORK", "none");
        command
    }

    /// `kiln run` of one manifest to its end.
    pub(crate) fn run(&self, manifest: &str, args: &[&str]) -> Outcome {
        let file = self.file("job.yaml", manifest);
        Outcome::of(self.kiln("run").args(args).arg("-f").arg(file))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.registry.id().to_string()).status();
        let _ = self.registry.wait();
        let left = leftovers::below(self.path());
        if !thread::panicking() {
            assert!(left.is_empty(), "left behind:\n{}", left.join("\n"));
        }
    }
}

/// What a command said, and how it ended.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::from(command.output().unwrap())
    }

    /// Fails with everything that was said, unless this is so.
    pub(crate) fn check(&self, claim: &str, is_so: bool) {
        let Self { code, stdout, stderr } = self;
        assert!(
            is_so,
            "not so: {claim}\nexit code {code:?}\n-- stdout\n{stdout}\n-- stderr\n{stderr}"
        );
    }

    pub(crate) fn exits(&self, code: i32) -> &Self {
        self.check(&format!("it exits with {code}"), self.code == Some(code));
        self
    }

    pub(crate) fn says(&self, words: &str) -> &Self {
        self.check(&format!("it says {words:?}"), self.stderr.contains(words));
        self
    }

    pub(crate) fn prints(&self, words: &str) -> &Self {
        self.check(&format!("it prints {words:?}"), self.stdout.contains(words));
        self
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if is_so() {
            return;
        }
        thread::sleep(LOOK_EVERY);
    }
    panic!("in vain: {what}");
}

fn succeed(command: &mut Command) {
    let outcome = Outcome::of(command);
    outcome.exits(0);
}

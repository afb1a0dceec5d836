//! A private containerd and a private registry below one directory, gone with it.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use kiln::engine::clock::Clock;
use kiln::runtime::containerd::Client;
use kiln::runtime::image::{Images, Settings};

/// How often a condition is looked at, and for how long, before the test gives up.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOKS: u32 = 1500;

pub(crate) struct Host {
    dir: tempfile::TempDir,
    containerd: Option<Child>,
    registry: Option<Child>,
}

impl Host {
    pub(crate) fn new() -> Self {
        let mut host = Self { dir: tempfile::tempdir().unwrap(), containerd: None, registry: None };
        host.prepare();
        host
    }

    /// containerd's files are on a disk of this many MiB.
    pub(crate) fn with_disk(mib: u32) -> Self {
        let mut host = Self { dir: tempfile::tempdir().unwrap(), containerd: None, registry: None };
        let root = host.path("root");
        fs::create_dir(&root).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "kiln-test"]).arg(root);
        assert!(mount.status().unwrap().success());
        host.prepare();
        host
    }

    fn prepare(&mut self) {
        let config = format!(
            "version = 2\nroot = {root:?}\nstate = {state:?}\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {socket:?}\n",
            root = self.path("root"),
            state = self.path("state"),
            socket = self.path("c.sock"),
        );
        fs::write(self.path("config.toml"), config).unwrap();
        fs::create_dir_all(self.path("hosts")).unwrap();
        fs::create_dir_all(self.path("docker")).unwrap();
        self.start_containerd();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn start_containerd(&mut self) {
        let mut command = Command::new("containerd");
        command.arg("-c").arg(self.path("config.toml")).process_group(0);
        let log = fs::File::create(self.path("containerd.log")).unwrap();
        command.stdout(Stdio::null()).stderr(log);
        self.containerd = Some(command.spawn().expect("containerd is installed by scripts/test"));
        until("containerd serves", || self.ctr(&["version"]).status.success());
    }

    pub(crate) fn kill_containerd(&mut self) {
        end(&mut self.containerd);
    }

    /// A registry; answers its address. `more` goes into its settings.
    pub(crate) fn start_registry(&mut self, more: &str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener); // the registry wants to bind it itself
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {:?}}}}}\n\
             http:\n  addr: \"{address}\"\n  secret: x\n{more}",
            self.path("registry")
        );
        fs::write(self.path("registry.yml"), config).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(self.path("registry.yml")).process_group(0);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.registry =
            Some(command.spawn().expect("docker-registry is installed by scripts/test"));
        until("the registry serves", || TcpStream::connect(address).is_ok());
        address
    }

    pub(crate) fn stop_registry(&mut self) {
        end(&mut self.registry);
    }

    pub(crate) fn ctr(&self, args: &[&str]) -> Output {
        let mut command = Command::new("ctr");
        command.arg("-a").arg(self.path("c.sock")).args(["-n", "kiln"]).args(args);
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// The words that `ctr` prints.
    pub(crate) fn words(&self, args: &[&str]) -> Vec<String> {
        let output = self.ctr(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
    }

    /// Has containerd collect its garbage, now.
    pub(crate) fn collect_garbage(&self) {
        self.words(&["leases", "create", "--id", "garbage"]);
        self.words(&["leases", "delete", "--sync", "garbage"]);
    }

    pub(crate) fn hosts_toml(&self, registry: &str, text: &str) {
        let dir = self.path("hosts").join(registry);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("hosts.toml"), text).unwrap();
    }

    pub(crate) fn docker_config(&self, text: &str) {
        fs::write(self.path("docker/config.json"), text).unwrap();
    }

    /// Impatient ones, so that the tests are quick.
    pub(crate) fn images(&self) -> Images {
        let settings = Settings {
            hosts_dir: self.path("hosts"),
            docker_config: Some(self.path("docker")),
            stall: Duration::from_millis(500),
            backoff_first: Duration::from_millis(5),
            ..Settings::default()
        };
        let clock = Clock::system();
        Images::new(Client::new(&self.path("c.sock")), settings, Arc::new(move || clock.now()))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        end(&mut self.containerd);
        end(&mut self.registry);
        let ours = self.dir.path().to_string_lossy().into_owned();
        kill_shims(&ours);
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        for mount in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)) {
            if mount.starts_with(&ours) {
                let _ = Command::new("umount").args(["-l", mount]).status();
            }
        }
    }
}

/// Shims that `ctr run` left, when a test failed in the middle.
fn kill_shims(ours: &str) {
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        if line.contains("containerd-shim") && line.contains(ours) {
            let pid = entry.file_name().to_string_lossy().into_owned();
            let _ = Command::new("kill").args(["-9", &pid]).status(); // it may be gone by now
        }
    }
}

fn end(process: &mut Option<Child>) {
    if let Some(mut process) = process.take() {
        let _ = process.kill(); // it may have ended by itself
        let _ = process.wait();
    }
}

pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if is_so() {
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    panic!("in vain: {what}");
}

/// A CA, and a certificate of it for 127.0.0.1 which serves for servers and clients.
pub(crate) fn certificates(dir: &Path) {
    let script = "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=ca \
         && openssl req -newkey rsa:2048 -nodes -keyout me.key -out me.csr -subj /CN=me \
         && printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' >me.ext \
         && openssl x509 -req -in me.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
            -extfile me.ext -out me.cert";
    fs::create_dir_all(dir).unwrap();
    let output = Command::new("sh").args(["-c", script]).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

//! What this host has and lacks for running containers.
//!
//! Owns: what is looked at, what is enough, and the cure where it is not. Must not know: how it is shown.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use containerd_client::services::v1 as services;
use rustix::process::Resource;
use serde::Serialize;
use tokio::process::Command;

use super::Error;
use super::cgroups::Cgroups;
use super::containerd::{Client, NAMESPACE, call, plain};
use super::network::{Plugins, State};

/// How good it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    /// Something that some containers want is missing.
    Warn,
    /// No container runs without it.
    Fail,
}

/// What was found of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub check: &'static str,
    pub verdict: Verdict,
    pub found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

/// What kiln would be told.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Its socket; `None`: one is to be started.
    pub containerd: Option<&'a Path>,
    pub runtime: &'a str,
    pub runtime_binary: Option<&'a Path>,
    pub monitor: &'a Path,
    pub root: &'a Path,
    pub log_dir: &'a Path,
    /// Where CNI plugins are looked for; `None`: pods are on no network of theirs.
    pub plugins: Option<&'a Plugins>,
    /// Whether pods are to be on one, come what may.
    pub needs_plugins: bool,
}

const SNAPSHOTTER: &str = "overlayfs";
const SNAPSHOTTER_TYPE: &str = "io.containerd.snapshotter.v1";
/// The oldest kernel on which overlayfs and pidfds work as containerd needs them.
const KERNEL: (u32, u32) = (4, 18);
/// Less room is not enough to unpack an image, or soon will not be.
const ROOM_FAIL: u64 = 100 << 20;
const ROOM_WARN: u64 = 1 << 30;
/// Each container needs some of these.
const INOTIFY_INSTANCES_MIN: u64 = 128;
const PIDS_MIN: u64 = 4096;
const FILES_MIN: u64 = 4096;
/// Those with which the limits of a container are set.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// Looks at everything.
pub async fn inspect(asked: &Asked<'_>) -> Vec<Finding> {
    let mut found = vec![user(), kernel(&rustix::system::uname().release().to_string_lossy())];
    found.extend(containerd(asked.containerd).await);
    found.push(oci_runtime(asked.runtime_binary).await);
    found.push(shim(asked.runtime));
    found.push(monitor(asked.monitor));
    found.push(cgroups(&Cgroups::of_host()));
    found.push(overlay(&fs::read_to_string("/proc/filesystems").unwrap_or_default()));
    found.push(seccomp());
    found.push(apparmor());
    found.push(match asked.plugins {
        Some(plugins) => cni(plugins.state(), asked.needs_plugins),
        None => ok("cni", "not in use"),
    });
    found.push(room("root", asked.root));
    found.push(room("log dir", asked.log_dir));
    found.push(at_least(
        "inotify",
        number("/proc/sys/fs/inotify/max_user_instances"),
        INOTIFY_INSTANCES_MIN,
        "instances for each user",
        "sysctl -w fs.inotify.max_user_instances=8192",
    ));
    found.push(at_least(
        "pids",
        number("/proc/sys/kernel/pid_max"),
        PIDS_MIN,
        "at most",
        "sysctl -w kernel.pid_max=4194304",
    ));
    let files = rustix::process::getrlimit(Resource::Nofile).current;
    found.push(at_least(
        "open files",
        Some(files.unwrap_or(u64::MAX)),
        FILES_MIN,
        "for this process",
        "ulimit -n 65536, or LimitNOFILE= of the service",
    ));
    found
}

fn ok(check: &'static str, found: impl Into<String>) -> Finding {
    Finding { check, verdict: Verdict::Ok, found: found.into(), cure: None }
}

fn bad(
    check: &'static str,
    verdict: Verdict,
    found: impl Into<String>,
    cure: impl Into<String>,
) -> Finding {
    Finding { check, verdict, found: found.into(), cure: Some(cure.into()) }
}

fn user() -> Finding {
    let user = rustix::process::geteuid();
    if user.is_root() {
        ok("user", "root")
    } else {
        bad(
            "user",
            Verdict::Fail,
            format!("uid {}", user.as_raw()),
            "run kiln as root: sudo kiln ...",
        )
    }
}

fn kernel(release: &str) -> Finding {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || parts.next().and_then(|part| part.parse::<u32>().ok());
    let found = format!("Linux {release}");
    match (next(), next()) {
        (Some(major), Some(minor)) if (major, minor) >= KERNEL => ok("kernel", found),
        _ => {
            let (major, minor) = KERNEL;
            let cure = format!("use a kernel of {major}.{minor} or newer");
            bad("kernel", Verdict::Warn, found, cure)
        }
    }
}

/// The daemon, and what it unpacks images with.
async fn containerd(socket: Option<&Path>) -> Vec<Finding> {
    let installed = in_path("containerd");
    let Some(socket) = socket else {
        return vec![match installed {
            Some(path) => ok("containerd", format!("{}, to be started", path.display())),
            None => bad(
                "containerd",
                Verdict::Fail,
                "not installed",
                "apt-get install containerd, or your distribution's package",
            ),
        }];
    };
    let client = Client::new(socket);
    match client.check().await {
        Ok(version) => {
            let found = format!("{version} at {}, namespace {NAMESPACE}", socket.display());
            vec![ok("containerd", found), snapshotter(&client).await]
        }
        Err(Error::Unreachable { message, .. }) => {
            let found = format!("{}: {message}", socket.display());
            let cure = match installed {
                Some(_) => {
                    "systemctl start containerd, name its socket with --containerd ADDRESS, or let \
                     kiln start a private one with --containerd managed"
                }
                None => "apt-get install containerd, or your distribution's package",
            };
            vec![bad("containerd", Verdict::Fail, found, cure)]
        }
        Err(error) => {
            vec![bad(
                "containerd",
                Verdict::Fail,
                error.to_string(),
                "look at containerd's own log",
            )]
        }
    }
}

async fn snapshotter(client: &Client) -> Finding {
    let filter = format!("type=={SNAPSHOTTER_TYPE},id=={SNAPSHOTTER}");
    let asked = call(services::PluginsRequest { filters: vec![filter] });
    let plugins = match client.introspection().plugins(asked).await {
        Ok(answer) => answer.into_inner().plugins,
        Err(status) => {
            let cure = "look at containerd's own log";
            return bad("snapshotter", Verdict::Warn, plain(&status), cure);
        }
    };
    match plugins.first() {
        Some(plugin) => match &plugin.init_err {
            None => ok("snapshotter", SNAPSHOTTER),
            Some(error) => bad(
                "snapshotter",
                Verdict::Fail,
                format!("{SNAPSHOTTER}: {}", error.message),
                "put containerd's root on a file system on which overlayfs works: ext4, or xfs with \
                 ftype=1",
            ),
        },
        None => bad(
            "snapshotter",
            Verdict::Fail,
            format!("containerd has no {SNAPSHOTTER}"),
            "remove it from `disabled_plugins` of /etc/containerd/config.toml",
        ),
    }
}

async fn oci_runtime(binary: Option<&Path>) -> Finding {
    let named = binary.map(Path::to_owned);
    let found = named.clone().filter(|path| path.exists()).or_else(|| match named {
        Some(_) => None,
        None => in_path("runc"),
    });
    let Some(path) = found else {
        let wanted = binary.unwrap_or_else(|| Path::new("runc"));
        let cure = match in_path("crun") {
            Some(crun) => format!("--runtime-binary {}, or apt-get install runc", crun.display()),
            None => {
                "apt-get install runc, or name another one with --runtime-binary PATH".to_owned()
            }
        };
        return bad("oci runtime", Verdict::Fail, format!("no {}", wanted.display()), cure);
    };
    let ran = Command::new(&path).arg("--version").output().await;
    match ran {
        Ok(ran) if ran.status.success() => {
            let text = String::from_utf8_lossy(&ran.stdout);
            let first = text.lines().next().unwrap_or_default();
            ok("oci runtime", format!("{first} at {}", path.display()))
        }
        Ok(ran) => bad(
            "oci runtime",
            Verdict::Fail,
            format!("{} --version: {}", path.display(), ran.status),
            "install it anew",
        ),
        Err(error) => bad(
            "oci runtime",
            Verdict::Fail,
            format!("{}: {error}", path.display()),
            "make it executable, or install it anew",
        ),
    }
}

/// `io.containerd.runc.v2` is `containerd-shim-runc-v2`, looked up by containerd itself.
fn shim(runtime: &str) -> Finding {
    let mut parts = runtime.rsplitn(3, '.');
    let (Some(version), Some(name)) = (parts.next(), parts.next()) else {
        return ok("shim", runtime.to_owned());
    };
    let binary = format!("containerd-shim-{name}-{version}");
    match in_path(&binary) {
        Some(path) => ok("shim", path.display().to_string()),
        None => bad(
            "shim",
            Verdict::Warn,
            format!("no {binary} in PATH"),
            "it comes with containerd; fine if containerd finds it in a PATH of its own",
        ),
    }
}

fn monitor(binary: &Path) -> Finding {
    let found = binary.display().to_string();
    if binary.file_name().is_some_and(|name| name == "kiln-monitor") {
        return ok("monitor", found);
    }
    bad(
        "monitor",
        Verdict::Warn,
        format!("{found} itself"),
        "put kiln-monitor into the same directory: each container needs two megabytes less",
    )
}

fn cgroups(cgroups: &Cgroups) -> Finding {
    let version = if cgroups.is_v2() { "v2" } else { "v1" };
    let missing: Vec<&str> =
        CONTROLLERS.into_iter().filter(|name| !cgroups.has_controller(name)).collect();
    if missing.is_empty() {
        return ok("cgroups", format!("{version}: {}", CONTROLLERS.join(", ")));
    }
    bad(
        "cgroups",
        Verdict::Warn,
        format!("{version}: {} cannot be limited", missing.join(", ")),
        "mount the controllers writable; in a container: run it privileged, with --cgroupns=host",
    )
}

fn overlay(filesystems: &str) -> Finding {
    let has = filesystems.lines().any(|line| line.split_whitespace().last() == Some("overlay"));
    if has {
        return ok("overlayfs", "in the kernel");
    }
    bad("overlayfs", Verdict::Warn, "not loaded", "modprobe overlay")
}

fn seccomp() -> Finding {
    if Path::new("/proc/sys/kernel/seccomp/actions_avail").exists() {
        return ok("seccomp", "in the kernel");
    }
    let cure = "use a kernel with CONFIG_SECCOMP_FILTER, or --seccomp-default=false";
    bad("seccomp", Verdict::Warn, "not in the kernel", cure)
}

fn apparmor() -> Finding {
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    if !enabled.is_ok_and(|text| text.trim() == "Y") {
        return ok("apparmor", "not in use");
    }
    match in_path("apparmor_parser") {
        Some(_) => ok("apparmor", "in use"),
        None => bad(
            "apparmor",
            Verdict::Warn,
            "in use, but there is no apparmor_parser",
            "apt-get install apparmor",
        ),
    }
}

/// What pods would be connected by.
fn cni(state: Result<State, String>, is_needed: bool) -> Finding {
    match state {
        Ok(State { list: Some(file), .. }) => {
            ok("cni", format!("the network of {}", file.display()))
        }
        Ok(State { list: None, confined: None }) => ok("cni", "a bridge of kiln's own"),
        Ok(State { list: None, confined: Some(why) }) => bad(
            "cni",
            Verdict::Warn,
            format!("a bridge of kiln's own, from which pods reach this host only: {why}"),
            "apt-get install iptables",
        ),
        Err(why) => {
            let verdict = if is_needed { Verdict::Fail } else { Verdict::Warn };
            let (found, cure) = why.split_once("; ").unwrap_or((&why, "mend that file"));
            bad(
                "cni",
                verdict,
                found,
                format!("{cure}; or choose --network host or --network none"),
            )
        }
    }
}

/// Of the file system on which a directory is, or will be.
fn room(check: &'static str, dir: &Path) -> Finding {
    let there = dir.ancestors().find(|path| path.exists()).unwrap_or_else(|| Path::new("/"));
    let found = match rustix::fs::statvfs(there) {
        Ok(found) => found,
        Err(error) => {
            let cure = "name another directory with --root DIR or --log-dir DIR";
            return bad(check, Verdict::Fail, format!("{}: {error}", dir.display()), cure);
        }
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let text = format!("{}: {} free", dir.display(), mebibytes(free));
    let cure = "make room, or name another directory with --root DIR or --log-dir DIR";
    match free {
        free if free < ROOM_FAIL => bad(check, Verdict::Fail, text, cure),
        free if free < ROOM_WARN => bad(check, Verdict::Warn, text, cure),
        _ => ok(check, text),
    }
}

fn mebibytes(bytes: u64) -> String {
    match bytes >> 20 {
        mebibytes if mebibytes >= 10 * 1024 => format!("{} GiB", mebibytes / 1024),
        mebibytes => format!("{mebibytes} MiB"),
    }
}

fn number(file: &str) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn at_least(check: &'static str, found: Option<u64>, wanted: u64, of: &str, cure: &str) -> Finding {
    match found {
        Some(u64::MAX) => ok(check, format!("unlimited {of}")),
        Some(found) if found >= wanted => ok(check, format!("{found} {of}")),
        Some(found) => bad(check, Verdict::Warn, format!("{found} {of}, of {wanted}"), cure),
        None => bad(check, Verdict::Warn, "unknown", cure),
    }
}

/// The program that a shell would start.
fn in_path(name: &str) -> Option<PathBuf> {
    let path: OsString = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_known_by_its_first_two_numbers() {
        for (release, expected) in [
            ("6.1.0-13-amd64", Verdict::Ok),
            ("4.18.0", Verdict::Ok),
            ("4.4.0", Verdict::Warn),
            ("unknown", Verdict::Warn),
        ] {
            assert_eq!(kernel(release).verdict, expected, "{release}");
        }
    }

    #[test]
    fn what_is_too_little_comes_with_the_cure() {
        let found = |number| at_least("pids", number, 10, "at most", "more");
        assert_eq!(found(Some(10)).verdict, Verdict::Ok);
        let little = found(Some(9));
        assert_eq!((little.verdict, little.cure.as_deref()), (Verdict::Warn, Some("more")));
        assert_eq!(little.found, "9 at most, of 10");
        assert_eq!(found(None).verdict, Verdict::Warn);
    }

    #[test]
    fn a_directory_that_is_not_there_yet_has_the_room_of_what_it_will_be_in() {
        let dir = tempfile::tempdir().unwrap();
        let there = room("root", dir.path());
        let not_yet = room("root", &dir.path().join("a/b"));
        assert_eq!(there.verdict, not_yet.verdict);
        assert!(not_yet.found.contains("/a/b: "), "{not_yet:?}");
    }

    #[test]
    fn a_file_system_is_in_the_kernel_by_its_name() {
        assert_eq!(overlay("nodev\tproc\nnodev\toverlay\n").verdict, Verdict::Ok);
        assert_eq!(overlay("nodev\toverlayx\n").verdict, Verdict::Warn);
    }

    #[test]
    fn a_network_that_is_asked_for_and_cannot_be_made_fails() {
        let state = Plugins::new(vec!["/nowhere".into()], "/nowhere".into()).state();
        assert_eq!(cni(state.clone(), false).verdict, Verdict::Warn);
        let found = cni(state, true);
        assert_eq!(found.verdict, Verdict::Fail);
        assert_eq!(found.found, "the CNI plugin `bridge` is not in /nowhere");
        assert!(found.cure.unwrap().starts_with("install containernetworking-plugins, or "));
        let confined = State { list: None, confined: Some("no iptables".to_owned()) };
        assert_eq!(cni(Ok(confined), true).verdict, Verdict::Warn);
    }

    #[tokio::test]
    async fn a_containerd_that_is_not_there_fails() {
        let found = containerd(Some(Path::new("/no/such.sock"))).await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].verdict, Verdict::Fail);
        assert!(found[0].found.starts_with("/no/such.sock: "), "{found:?}");
        assert!(found[0].cure.is_some());
    }
}

//! The settings of the engine: a flag and an environment variable each.
//!
//! Owns: their names, defaults and how they are read. Must not know: who starts the engine.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgAction, Args};

use super::room::{Reserved, of_host};
use crate::api::quantity::Quantity;
use crate::{engine, job, pod, runtime};

/// What is set alike wherever the engine runs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings of the engine")]
pub struct Settings {
    /// Directory of kiln's own files; `run` makes one of its own below it, removed at the end
    #[arg(long, env = "KILN_ROOT", value_name = "DIR", default_value = "/var/lib/kiln")]
    pub root: PathBuf,

    /// Socket of containerd; `managed` starts a private containerd below the root
    #[arg(
        long,
        env = "KILN_CONTAINERD",
        value_name = "ADDRESS",
        default_value = "/run/containerd/containerd.sock"
    )]
    pub containerd: Containerd,

    /// Directory of registries' `hosts.toml` files (mirrors, plain HTTP, certificates)
    #[arg(
        long,
        env = "KILN_HOSTS_DIR",
        value_name = "DIR",
        default_value = "/etc/containerd/certs.d"
    )]
    pub hosts_dir: PathBuf,

    /// Network of the pods: `cni` (plugins), `host`, or `none` (loopback only) [default: cni, or none
    /// where there are no plugins]
    #[arg(long, env = "KILN_NETWORK", value_name = "MODE")]
    pub network: Option<Network>,

    /// Directory of CNI plugins; may be given several times [default: $CNI_PATH, or /opt/cni/bin,
    /// /usr/lib/cni and /usr/libexec/cni]
    #[arg(long, env = "KILN_CNI_BIN_DIR", value_name = "DIR", value_delimiter = ':')]
    pub cni_bin_dir: Vec<PathBuf>,

    /// Directory of CNI networks, of which the first rules; without one, pods are on a bridge of kiln's own
    #[arg(long, env = "KILN_CNI_CONF_DIR", value_name = "DIR", default_value = "/etc/cni/net.d")]
    pub cni_conf_dir: PathBuf,

    /// Whether pods that say nothing of seccomp get the profile RuntimeDefault
    #[arg(
        long,
        env = "KILN_SECCOMP_DEFAULT",
        value_name = "BOOL",
        default_value_t = true,
        action = ArgAction::Set
    )]
    pub seccomp_default: bool,

    /// Directory of the seccomp profiles that pods name with `Localhost`
    #[arg(
        long,
        env = "KILN_SECCOMP_DIR",
        value_name = "DIR",
        default_value = "/var/lib/kubelet/seccomp"
    )]
    pub seccomp_dir: PathBuf,

    /// How many processes a pod may have; -1: as many as the host
    #[arg(
        long,
        env = "KILN_POD_PIDS_LIMIT",
        value_name = "N",
        default_value_t = -1,
        allow_negative_numbers = true
    )]
    pub pod_pids_limit: i64,

    /// containerd's runtime that runs the containers
    #[arg(
        long,
        env = "KILN_RUNTIME",
        value_name = "NAME",
        default_value = "io.containerd.runc.v2"
    )]
    pub runtime: String,

    /// OCI runtime that the shim calls, instead of runc: crun, youki and others
    #[arg(long, env = "KILN_RUNTIME_BINARY", value_name = "PATH")]
    pub runtime_binary: Option<PathBuf>,

    /// Directory of the containers' logs [default: below the root]
    #[arg(long, env = "KILN_LOG_DIR", value_name = "DIR")]
    pub log_dir: Option<PathBuf>,

    /// Size at which a container's log is rotated: 500k, 10Mi; 0 never
    #[arg(
        long,
        env = "KILN_LOG_MAX_SIZE",
        value_name = "BYTES",
        default_value = "10Mi",
        value_parser = bytes
    )]
    pub log_max_size: u64,

    /// How many log files a container may have
    #[arg(
        long,
        env = "KILN_LOG_MAX_FILES",
        value_name = "N",
        default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub log_max_files: u32,

    /// How long the second restart of a container waits; doubles with each further one
    #[arg(
        long,
        env = "KILN_RESTART_BACKOFF",
        value_name = "TIME",
        default_value = "10s",
        value_parser = duration
    )]
    pub restart_backoff: Duration,

    /// Where the doubling of --restart-backoff ends
    #[arg(
        long,
        env = "KILN_RESTART_BACKOFF_MAX",
        value_name = "TIME",
        default_value = "300s",
        value_parser = duration
    )]
    pub restart_backoff_max: Duration,

    /// How long the first pod after a failed one waits; doubles with each further failure
    #[arg(
        long,
        env = "KILN_POD_BACKOFF",
        value_name = "TIME",
        default_value = "10s",
        value_parser = duration
    )]
    pub pod_backoff: Duration,

    /// Where the doubling of --pod-backoff ends
    #[arg(
        long,
        env = "KILN_POD_BACKOFF_MAX",
        value_name = "TIME",
        default_value = "10m",
        value_parser = duration
    )]
    pub pod_backoff_max: Duration,

    /// How long the second try to pull an image waits; doubles with each further one
    #[arg(
        long,
        env = "KILN_PULL_BACKOFF",
        value_name = "TIME",
        default_value = "10s",
        value_parser = duration
    )]
    pub pull_backoff: Duration,

    /// Where the doubling of --pull-backoff ends
    #[arg(
        long,
        env = "KILN_PULL_BACKOFF_MAX",
        value_name = "TIME",
        default_value = "300s",
        value_parser = duration
    )]
    pub pull_backoff_max: Duration,

    /// How many pods may run at once; more wait for their turn
    #[arg(
        long,
        env = "KILN_MAX_PODS",
        value_name = "N",
        default_value_t = 110,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub max_pods: u32,

    /// What of this host the pods' requests may not use up: cpu=500m,memory=1Gi
    #[arg(long, env = "KILN_RESERVE", value_name = "AMOUNTS", default_value = "")]
    pub reserve: Reserved,
}

impl Settings {
    /// What the engine is told. `pull_deadline`: how long a Job may wait for an image.
    pub fn engine(&self, pull_deadline: Option<Duration>) -> engine::Settings {
        let job = job::Rules {
            backoff_first: self.pod_backoff,
            backoff_max: self.pod_backoff_max,
            pull_deadline,
            refusal: None,
        };
        let node_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let pod = pod::Rules {
            restart_backoff_first: self.restart_backoff,
            restart_backoff_max: self.restart_backoff_max,
            pull_backoff_first: self.pull_backoff,
            pull_backoff_max: self.pull_backoff_max,
            node_name,
            host_ips: runtime::host_addresses(),
            apparmor: runtime::has_apparmor(),
        };
        let (_, room) = of_host(self.max_pods, self.reserve);
        engine::Settings { room, ..engine::Settings::new(job, pod) }
    }

    /// The network of pods. The error says what is missing for the one that is asked for.
    pub fn network(&self) -> Result<runtime::Network, String> {
        let plugins = self.plugins();
        match self.network {
            Some(Network::None) => Ok(runtime::Network::None),
            Some(Network::Host) => Ok(runtime::Network::Host),
            Some(Network::Cni) => {
                let missing = |why| format!("{why}; or choose --network host or --network none");
                plugins.state().map_err(missing)?;
                Ok(runtime::Network::Cni(plugins))
            }
            None => Ok(match plugins.state() {
                Ok(_) => runtime::Network::Cni(plugins),
                Err(_) => runtime::Network::None,
            }),
        }
    }

    /// Where CNI plugins are looked for.
    pub fn plugins(&self) -> runtime::Plugins {
        let mut dirs = self.cni_bin_dir.clone();
        if dirs.is_empty()
            && let Some(path) = std::env::var_os("CNI_PATH").filter(|path| !path.is_empty())
        {
            dirs = std::env::split_paths(&path).collect();
        }
        runtime::Plugins::new(dirs, self.cni_conf_dir.clone())
    }
}

/// Which containerd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Containerd {
    /// A private one.
    Managed,
    Socket(PathBuf),
}

impl fmt::Display for Containerd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Managed => f.write_str("managed"),
            Self::Socket(path) => write!(f, "{}", path.display()),
        }
    }
}

impl FromStr for Containerd {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix://").unwrap_or(text) {
            "" => Err("expected the path of a socket, or `managed`".to_owned()),
            "managed" => Ok(Self::Managed),
            path => Ok(Self::Socket(path.into())),
        }
    }
}

/// What pods share with the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    None,
    Host,
    Cni,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "host" => Ok(Self::Host),
            "cni" => Ok(Self::Cni),
            _ => Err("expected `cni`, `host` or `none`".to_owned()),
        }
    }
}

/// Reads `300s`, `5m`, `1h30m`, `1.5s`, `500ms`; a bare number is refused, except `0`.
pub fn duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a time with a unit, as in 500ms, 30s, 5m or 1h30m";
    let mut rest = text;
    let mut total = Duration::ZERO;
    if text == "0" {
        return Ok(total);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(EXPECTED)?;
        let (number, tail) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| EXPECTED)?;
        let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86400.0)];
        let (unit, seconds) =
            units.into_iter().find(|(unit, _)| tail.starts_with(unit)).ok_or(EXPECTED)?;
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|e| e.to_string())?;
        total = total.checked_add(part).ok_or(EXPECTED)?;
        rest = &tail[unit.len()..];
    }
    if text.is_empty() { Err(EXPECTED.to_owned()) } else { Ok(total) }
}

/// Reads `1048576`, `500k`, `10Mi`.
pub fn bytes(text: &str) -> Result<u64, String> {
    Quantity::parse(text)
        .ok()
        .filter(|size| size.millis() % 1000 == 0)
        .and_then(|size| u64::try_from(size.value()).ok())
        .ok_or_else(|| "expected a number of bytes, as in 500k or 10Mi".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        for (text, millis) in [
            ("0", 0),
            ("500ms", 500),
            ("300s", 300_000),
            ("1.5s", 1500),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "m", "5x", "-5s", "5m3", "1..2s", "99999999999999999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(bytes("0"), Ok(0));
        assert_eq!(bytes("500k"), Ok(500_000));
        assert_eq!(bytes("10Mi"), Ok(10 << 20));
        for text in ["", "Mi", "10m", "10MiB", "-1"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_network_is_one_of_three_and_needs_its_plugins_where_it_is_asked_for() {
        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(flatten)]
            settings: Settings,
        }
        let network = |args: &[&str]| {
            let none = ["kiln", "--cni-bin-dir=/nowhere", "--cni-conf-dir=/nowhere"];
            let line = <Line as clap::Parser>::try_parse_from(none.iter().chain(args)).unwrap();
            line.settings.network()
        };
        assert_eq!(network(&["--network=none"]), Ok(runtime::Network::None));
        assert_eq!(network(&["--network=host"]), Ok(runtime::Network::Host));
        assert!("bridge".parse::<Network>().unwrap_err().contains("expected `cni`"));
        let why = network(&["--network=cni"]).unwrap_err();
        assert!(why.contains("`bridge` is not in /nowhere") && why.contains("--network host"));
    }
}

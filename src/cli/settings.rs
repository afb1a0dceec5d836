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
use crate::{engine, job, pod};

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

    /// Network of the pods: `none` (loopback only) or `host`
    #[arg(long, env = "KILN_NETWORK", value_name = "MODE", default_value = "none")]
    pub network: Network,

    /// Whether pods that say nothing of seccomp get the profile RuntimeDefault
    #[arg(
        long,
        env = "KILN_SECCOMP_DEFAULT",
        value_name = "BOOL",
        default_value_t = true,
        action = ArgAction::Set
    )]
    pub seccomp_default: bool,

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
        };
        let node_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let pod = pod::Rules {
            restart_backoff_first: self.restart_backoff,
            restart_backoff_max: self.restart_backoff_max,
            pull_backoff_first: self.pull_backoff,
            pull_backoff_max: self.pull_backoff_max,
            node_name,
        };
        let (_, room) = of_host(self.max_pods, self.reserve);
        engine::Settings { room, ..engine::Settings::new(job, pod) }
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
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "host" => Ok(Self::Host),
            "cni" => Err("cni is not supported yet: use `host` for the network of this host, or \
                          `none` for loopback only"
                .to_owned()),
            _ => Err("expected `none` or `host`".to_owned()),
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
fn bytes(text: &str) -> Result<u64, String> {
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
    fn a_network_that_there_is_not_yet_is_refused_with_the_cure() {
        assert_eq!("none".parse(), Ok(Network::None));
        assert!("cni".parse::<Network>().unwrap_err().contains("use `host`"));
    }
}

//! The network that kiln makes where the host has none of its own: a bridge.
//!
//! Owns: its name and its addresses, which no other engine on this host has; its rules of the packet filter;
//! and taking all of it away. Must not know: pods, but for whose an address is.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::firewall;
use crate::runtime::adaptor::blocking;
use crate::runtime::netlink;
use crate::runtime::{Error, layout::Layout};

/// A bridge takes 1024 ports, this many addresses.
const PREFIX: u32 = 22;
/// How many networks are tried that may be in use already.
const TRIES: u32 = 256;

/// The bridge of one engine.
#[derive(Debug)]
pub(super) struct Own {
    /// Where it is written down, with its addresses.
    dir: PathBuf,
    root: PathBuf,
    /// The name of bridge and network.
    name: String,
    /// As it was last made sure of.
    ready: Mutex<Option<Bridge>>,
    /// Whether it was told that there is no way to the world.
    told: AtomicBool,
}

/// What is written down of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Bridge {
    name: String,
    /// `10.130.4.0/22`
    subnet: String,
    mtu: u32,
}

impl Own {
    pub(super) fn new(layout: &Layout) -> Self {
        Self {
            dir: layout.network(),
            root: layout.root().to_owned(),
            name: layout.bridge(),
            ready: Mutex::default(),
            told: AtomicBool::default(),
        }
    }

    /// The list of plugins. The bridge itself is made by its plugin.
    pub(super) async fn list(&self, with_ports: bool) -> Result<Value, Error> {
        let mut ready = self.ready.lock().await;
        let bridge = if let Some(bridge) = &*ready {
            bridge
        } else {
            let (dir, root, name) = (self.dir.clone(), self.root.clone(), self.name.clone());
            let made = blocking("make a network", move || prepare(&dir, &root, &name)).await?;
            let (bridge, refused) = made;
            if let Some(error) = refused
                && !self.told.swap(true, Ordering::Relaxed)
            {
                tracing::warn!(
                    %error,
                    "pods reach this host only, and no one beyond: iptables cannot be used"
                );
            }
            ready.insert(bridge)
        };
        Ok(bridge.list(&self.dir, with_ports))
    }

    /// Lets go of the addresses of pods that are not in `live`, and has the rules looked at again.
    pub(super) async fn sweep(&self, live: &BTreeSet<String>) {
        *self.ready.lock().await = None;
        let addresses = self.dir.join(ADDRESSES).join(&self.name);
        for entry in fs::read_dir(addresses).into_iter().flatten().flatten() {
            let is_address =
                entry.file_name().to_str().is_some_and(|name| name.parse::<IpAddr>().is_ok());
            let Ok(text) = fs::read_to_string(entry.path()) else { continue };
            let owner = text.lines().next().unwrap_or_default().trim();
            if is_address && !live.contains(owner) {
                // It is tried again with the next sweep.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Takes everything away. Blocks. No pod is left.
    pub(super) fn remove(&self) -> io::Result<()> {
        let Some(bridge) = Bridge::read(&self.dir) else { return Ok(()) };
        firewall::forget(&bridge.name)?;
        netlink::delete_link(&bridge.name)?;
        fs::remove_dir_all(&self.dir)
    }
}

const FILE: &str = "bridge.json";
const ADDRESSES: &str = "addresses";

impl Bridge {
    fn read(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(dir.join(FILE)).ok()?).ok()
    }

    fn list(&self, dir: &Path, with_ports: bool) -> Value {
        let mut plugins = vec![json!({
            "type": "bridge",
            "bridge": self.name,
            "isGateway": true,
            "hairpinMode": true,
            "mtu": self.mtu,
            "ipam": {
                "type": "host-local",
                "dataDir": dir.join(ADDRESSES),
                "ranges": [[{"subnet": self.subnet}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        })];
        // It takes its time also where there is nothing to do.
        if with_ports {
            plugins.push(json!({"type": "portmap", "capabilities": {"portMappings": true}}));
        }
        json!({"cniVersion": "1.0.0", "name": self.name, "plugins": plugins})
    }
}

/// The bridge as it is written down, or a new one; and why its pods do not reach the world, if so.
fn prepare(dir: &Path, root: &Path, name: &str) -> io::Result<(Bridge, Option<io::Error>)> {
    let bridge = if let Some(bridge) = Bridge::read(dir) {
        bridge
    } else {
        let routes = Route::all(&fs::read_to_string("/proc/net/route").unwrap_or_default());
        let subnet = choose(root, &routes).ok_or_else(|| {
            io::Error::other("no network between 10.128.0.0 and 10.228.0.0 is free")
        })?;
        let bridge = Bridge {
            name: name.to_owned(),
            subnet: format!("{subnet}/{PREFIX}"),
            mtu: mtu(&routes),
        };
        fs::create_dir_all(dir)?;
        let new = dir.join("bridge.json.new");
        fs::write(&new, serde_json::to_vec(&bridge)?)?;
        fs::rename(new, dir.join(FILE))?;
        bridge
    };
    let refused = firewall::allow(&bridge.name, &bridge.subnet).err();
    Ok((bridge, refused))
}

/// A network that nothing of this host leads to: where to begin is said by the root, so that several engines
/// that begin at once are apart.
fn choose(root: &Path, routes: &[Route]) -> Option<Ipv4Addr> {
    let mut digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    for _ in 0..TRIES {
        let (second, third) = (128 + digest[0] % 100, digest[1] / 4 * 4);
        let subnet = Ipv4Addr::new(10, second, third, 0);
        if !routes.iter().any(|route| route.meets(subnet)) {
            return Some(subnet);
        }
        digest = Sha256::digest(digest);
    }
    None
}

/// A way of this host to other networks.
#[derive(Debug, PartialEq, Eq)]
struct Route {
    device: String,
    to: u32,
    mask: u32,
}

impl Route {
    /// The routes in the text of `/proc/net/route`.
    fn all(text: &str) -> Vec<Self> {
        let lines = text.lines().skip(1).filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |index: usize| {
                let number = u32::from_str_radix(words.get(index)?, 16).ok()?;
                Some(u32::from_be(number))
            };
            Some(Self { device: (*words.first()?).to_owned(), to: number(1)?, mask: number(7)? })
        });
        lines.collect()
    }

    fn is_default(&self) -> bool {
        self.mask == 0
    }

    /// Whether it leads into this network, or this network is part of where it leads.
    fn meets(&self, subnet: Ipv4Addr) -> bool {
        let common = self.mask & u32::MAX << (32 - PREFIX);
        !self.is_default() && (self.to ^ u32::from(subnet)) & common == 0
    }
}

/// As large as what this host sends to the world may be.
fn mtu(routes: &[Route]) -> u32 {
    let device = routes.iter().find(|route| route.is_default()).map(|route| route.device.as_str());
    let file = device.map(|device| Path::new("/sys/class/net").join(device).join("mtu"));
    let text = file.and_then(|file| fs::read_to_string(file).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(1500)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t010000AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        br0\t0004820A\t00000000\t0001\t0\t0\t0\t00FCFFFF\t0\t0\t0\n";

    #[cfg(target_endian = "little")]
    #[test]
    fn a_network_that_the_host_leads_to_is_not_taken() {
        let routes = Route::all(ROUTES);
        assert!(routes[0].is_default());
        assert_eq!(Ipv4Addr::from(routes[1].to), Ipv4Addr::new(10, 130, 4, 0));
        assert!(routes[1].meets(Ipv4Addr::new(10, 130, 4, 0)));
        assert!(!routes[1].meets(Ipv4Addr::new(10, 130, 8, 0)));
        assert!(!routes[0].meets(Ipv4Addr::new(10, 130, 8, 0)));
    }

    #[test]
    fn each_root_begins_with_a_network_of_its_own_and_goes_on_where_it_is_taken() {
        let (one, two) = (Path::new("/var/lib/kiln"), Path::new("/tmp/kiln"));
        let first = choose(one, &[]).unwrap();
        assert_eq!(choose(one, &[]), Some(first));
        assert_ne!(choose(two, &[]), Some(first));
        let taken = Route { device: "b".into(), to: first.into(), mask: u32::MAX << 10 };
        assert_ne!(choose(one, &[taken]), Some(first));
        let all =
            Route { device: "b".into(), to: u32::from_be_bytes([10, 0, 0, 0]), mask: 0xff00_0000 };
        assert_eq!(choose(one, &[all]), None);
    }

    #[test]
    fn ports_are_mapped_only_where_they_are_asked_for() {
        let bridge = Bridge { name: "b".into(), subnet: "10.130.4.0/22".into(), mtu: 1400 };
        let kinds = |with_ports| {
            let list = bridge.list(Path::new("/d"), with_ports);
            let plugins = list["plugins"].as_array().unwrap().clone();
            plugins.into_iter().map(|plugin| plugin["type"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(kinds(false), ["bridge"]);
        assert_eq!(kinds(true), ["bridge", "portmap"]);
    }

    #[tokio::test]
    async fn an_address_of_nobody_is_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let own = Own::new(&Layout::new(dir.path(), dir.path()));
        let addresses = own.dir.join(ADDRESSES).join(&own.name);
        fs::create_dir_all(&addresses).unwrap();
        for (file, text) in [
            ("10.1.0.2", "a\r\neth0"),
            ("10.1.0.3", "b\r\neth0"),
            ("last_reserved_ip.0", "10.1.0.3"),
        ] {
            fs::write(addresses.join(file), text).unwrap();
        }
        own.sweep(&["a".to_owned()].into()).await;
        let left = |file: &str| addresses.join(file).exists();
        assert!(left("10.1.0.2") && !left("10.1.0.3") && left("last_reserved_ip.0"));
    }
}

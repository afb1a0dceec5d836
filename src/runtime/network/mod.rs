//! The networks of pods.
//!
//! Owns: giving a pod its addresses and its ports of the host, by CNI plugins, and taking them back on every
//! way out, also after a crash. Must not know: containers, images, how namespaces are made.
//!
//! What was asked of plugins is written down below the pod's directory before they are called. Whatever is
//! found there is taken back by its word alone, whatever this engine is told to do with new pods.
//! <https://github.com/containernetworking/cni/blob/main/SPEC.md>

mod firewall;
mod hosts;
mod list;
mod own;
mod plugin;
mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use self::own::Own;
use self::plugin::{Call, Verb};
use self::record::{Attachment, Record};
use super::adaptor::blocking;
use super::layout::Layout;
use super::{Error, inventory, namespaces};
use crate::api::object::Object;

/// Where plugins are, if nothing else is said: as upstream puts them, Debian, Fedora.
const BIN_DIRS: [&str; 3] = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];
/// What kiln's own network takes.
const OWN_PLUGINS: [&str; 2] = ["bridge", "host-local"];

/// The network of pods that do not ask for the host's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// Its own, with a loopback interface.
    None,
    /// The host's.
    Host,
    /// Its own, connected by plugins.
    Cni(Plugins),
}

/// Where plugins are found, and the list that says which are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugins {
    pub bin_dirs: Vec<PathBuf>,
    /// The directory of lists; where it has none, pods are on a bridge of kiln's own.
    pub conf_dir: PathBuf,
}

/// What pods would be connected by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The file of the list, if it is not kiln's own.
    pub list: Option<PathBuf>,
    /// Why pods of kiln's own network reach this host only, and no one beyond.
    pub confined: Option<String>,
}

impl Plugins {
    /// In these directories, or in the usual ones.
    pub fn new(bin_dirs: Vec<PathBuf>, conf_dir: PathBuf) -> Self {
        let usual = || BIN_DIRS.map(PathBuf::from).to_vec();
        Self { bin_dirs: if bin_dirs.is_empty() { usual() } else { bin_dirs }, conf_dir }
    }

    /// What pods would be connected by. The error says what is missing, and what to do.
    pub fn state(&self) -> Result<State, String> {
        let missing = |wanted: &[&str]| {
            let missing = wanted.iter().find(|kind| plugin::find(kind, &self.bin_dirs).is_none());
            missing.map_or(Ok(()), |kind| {
                let dirs: Vec<_> =
                    self.bin_dirs.iter().map(|dir| dir.display().to_string()).collect();
                Err(format!(
                    "the CNI plugin `{kind}` is not in {}; install containernetworking-plugins, or \
                     say where it is with --cni-bin-dir",
                    dirs.join(", ")
                ))
            })
        };
        if let Some((file, list)) = list::first(&self.conf_dir)? {
            let kinds = list["plugins"].as_array().into_iter().flatten();
            let kinds: Vec<&str> = kinds.filter_map(|plugin| plugin["type"].as_str()).collect();
            missing(&kinds)?;
            return Ok(State { list: Some(file), confined: None });
        }
        missing(&OWN_PLUGINS)?;
        let confined = firewall::check().err().map(|error| format!("iptables: {error}"));
        Ok(State { list: None, confined })
    }
}

/// The addresses of this host: the one under which it reaches the world. Nothing is sent.
pub fn host_addresses() -> Vec<String> {
    let from = |own: &str, to: &str| {
        let socket = UdpSocket::bind((own, 0)).ok()?;
        socket.connect((to, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip().to_string())
    };
    // Addresses of documentation: whatever leads to the world leads there.
    let found = from("0.0.0.0", "192.0.2.1").or_else(|| from("::", "2001:db8::1"));
    vec![found.unwrap_or_else(|| "127.0.0.1".to_owned())]
}

/// What all pods have of the network.
#[derive(Debug)]
pub(super) struct Networks {
    layout: Layout,
    network: Network,
    own: Own,
    known: Mutex<BTreeMap<String, Record>>,
    /// Held while hosts files are written: the last to write has seen all.
    introducing: Mutex<()>,
}

impl Networks {
    /// With what is written down below the root.
    pub(super) fn new(layout: &Layout, network: Network) -> Self {
        let uids = inventory::pods_on_disk(layout).unwrap_or_default();
        let read = |uid: String| Record::read(&layout.pod(&uid)).map(|record| (uid, record));
        Self {
            known: Mutex::new(uids.into_iter().filter_map(read).collect()),
            introducing: Mutex::default(),
            own: Own::new(layout),
            layout: layout.clone(),
            network,
        }
    }

    /// Whether the pod is in the network of the host.
    pub(super) fn is_on_host(&self, pod: &Pod) -> bool {
        let asked = pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or(false);
        asked || self.network == Network::Host
    }

    /// The pod's addresses; `None` while its sandbox does not stand.
    pub(super) fn addresses(&self, uid: &str) -> Option<Vec<String>> {
        self.known().get(uid).filter(|record| record.ready).map(|record| record.ips.clone())
    }

    /// Gives the pod its addresses and ports, unless it has them. Its namespaces stand.
    pub(super) async fn attach(self: &Arc<Self>, pod: &Pod) -> Result<Vec<String>, Error> {
        let uid = pod.uid();
        let known = self.known().get(uid).cloned();
        if let Some(known) = known {
            if known.is_attached() {
                return Ok(known.ips);
            }
            self.detach(uid).await?;
        }
        let record = Record::of(pod);
        self.reserve(uid, &record)?;
        let attached = match self.add(pod, record).await {
            Ok(record) => self.store(uid, record).map_err(failed),
            Err(error) => Err(error),
        };
        if attached.is_err()
            && let Err(error) = self.detach(uid).await
        {
            tracing::debug!(uid, %error, "cannot take back what was given in vain");
        }
        attached
    }

    /// Notes that everything of the sandbox stands, and has the pods of its subdomain know it.
    pub(super) async fn settle(self: &Arc<Self>, uid: &str) -> Result<(), Error> {
        let Some(mut record) = self.known().get(uid).cloned() else { return Ok(()) };
        record.ready = true;
        self.store(uid, record.clone()).map_err(failed)?;
        self.introduce(&record).await
    }

    /// Takes back what the pod has. Its namespaces may be gone.
    pub(super) async fn detach(self: &Arc<Self>, uid: &str) -> Result<(), Error> {
        let known = self.known().get(uid).cloned();
        let Some(record) = known else { return Ok(()) };
        if let Some(attachment) = &record.attachment {
            self.del(uid, attachment, &record).await?;
        }
        Record::remove(&self.layout.pod(uid)).map_err(failed)?;
        self.known().remove(uid);
        if let Err(error) = self.introduce(&record).await {
            tracing::debug!(uid, %error, "a pod that is gone is still known to others");
        }
        Ok(())
    }

    /// Takes back what nobody has any more, besides what is written down of pods.
    pub(super) async fn sweep(&self, live: &BTreeSet<String>) {
        let known: BTreeSet<String> = self.known().keys().cloned().collect();
        self.own.sweep(&live.union(&known).cloned().collect()).await;
    }

    /// Takes the network itself away. No pod is left.
    pub(super) async fn remove(self: Arc<Self>) -> Result<(), Error> {
        blocking("remove the network", move || self.own.remove()).await
    }

    /// Keeps the ports that a pod asks for from others.
    fn reserve(&self, uid: &str, record: &Record) -> Result<(), Error> {
        let mut known = self.known();
        let mut others = known.iter().filter(|(other, _)| *other != uid);
        let taken = |port: &record::PortMapping| {
            others.any(|(_, other)| other.ports.iter().any(|theirs| theirs.collides(port)))
        };
        if record.ports.iter().any(taken) {
            return Err(Error::PortsTaken);
        }
        known.insert(uid.to_owned(), record.clone());
        Ok(())
    }

    async fn add(&self, pod: &Pod, mut record: Record) -> Result<Record, Error> {
        if self.is_on_host(pod) {
            record.ips = host_addresses();
            return Ok(record);
        }
        let plugins = match &self.network {
            Network::Cni(plugins) => plugins,
            Network::None | Network::Host if record.ports.is_empty() => return Ok(record),
            Network::None | Network::Host => {
                return Err(failed("a port of the host needs the network `cni`"));
            }
        };
        let found = list::first(&plugins.conf_dir).map_err(failed)?;
        let list = match found {
            Some((_, list)) => list,
            None => self.own.list(!record.ports.is_empty()).await?,
        };
        if !record.ports.is_empty() && !list::maps_ports(&list) {
            let name = list["name"].as_str().unwrap_or_default();
            return Err(failed(format!(
                "the network `{name}` maps no ports of the host: add the plugin portmap to its list"
            )));
        }
        let (bin_dirs, args) = (plugins.bin_dirs.clone(), record::args(pod));
        record.attachment = Some(Attachment { bin_dirs, list, args, result: None });
        self.store(pod.uid(), record.clone()).map_err(failed)?;
        let result = self.call_all(pod.uid(), &record).await.map_err(failed)?;
        record.ips = list::addresses(&result);
        if record.ips.is_empty() {
            return Err(failed("the network has given the pod no address"));
        }
        if let Some(attachment) = &mut record.attachment {
            attachment.result = Some(result);
        }
        Ok(record)
    }

    /// Calls the plugins in order, each with what has come of those before.
    async fn call_all(&self, uid: &str, record: &Record) -> Result<Value, String> {
        let Some(attachment) = &record.attachment else { return Ok(Value::Null) };
        let stderr =
            record::turn(&self.layout.pod(uid)).await.map_err(|error| error.to_string())?;
        let netns = self.netns(uid).ok_or("the pod's network namespace is gone")?;
        let call = Call {
            verb: Verb::Add,
            bin_dirs: &attachment.bin_dirs,
            container: uid,
            netns: &netns,
            args: &attachment.args,
            stderr: &stderr,
        };
        let mut result = Value::Null;
        for mut config in list::configs(&attachment.list, &record.ports) {
            if !result.is_null() {
                config["prevResult"] = result;
            }
            result = call.run(&config).await?;
        }
        Ok(result)
    }

    /// Calls the plugins in the reverse order. It does not matter to them how far the addition came.
    async fn del(&self, uid: &str, attachment: &Attachment, record: &Record) -> Result<(), Error> {
        let stderr = record::turn(&self.layout.pod(uid)).await.map_err(failed)?;
        let call = Call {
            verb: Verb::Del,
            bin_dirs: &attachment.bin_dirs,
            container: uid,
            netns: &self.netns(uid).unwrap_or_default(),
            args: &attachment.args,
            stderr: &stderr,
        };
        for mut config in list::configs(&attachment.list, &record.ports).into_iter().rev() {
            if let Some(result) = &attachment.result
                && list::tells_at_end(&attachment.list)
            {
                config["prevResult"] = result.clone();
            }
            call.run(&config).await.map_err(|message| Error::Failed {
                attempt: "take down the pod's network",
                message,
            })?;
        }
        Ok(())
    }

    /// The pod's network namespace, if it stands.
    fn netns(&self, uid: &str) -> Option<PathBuf> {
        let path = namespaces::network(&self.layout.namespaces(uid));
        namespaces::is_pinned(&path).then_some(path)
    }

    fn store(&self, uid: &str, record: Record) -> io::Result<Vec<String>> {
        record.write(&self.layout.pod(uid))?;
        let ips = record.ips.clone();
        self.known().insert(uid.to_owned(), record);
        Ok(ips)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Record>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(why: impl ToString) -> Error {
    Error::Failed { attempt: "set up the pod's network", message: why.to_string() }
}

/// The pod with the addresses in its status that a program of it may ask for, which the store may not have yet.
pub(super) fn with_addresses(pod: &Pod, ips: &[String]) -> Pod {
    use k8s_openapi::api::core::v1::{HostIP, PodIP};
    let mut pod = pod.clone();
    let status = pod.status.get_or_insert_default();
    if status.host_ip.is_none() {
        let host = host_addresses();
        status.host_ip = host.first().cloned();
        status.host_ips = Some(host.into_iter().map(|ip| HostIP { ip }).collect());
    }
    status.pod_ip = ips.first().cloned();
    status.pod_ips = Some(ips.iter().map(|ip| PodIP { ip: ip.clone() }).collect());
    pod
}

#[cfg(test)]
mod tests;

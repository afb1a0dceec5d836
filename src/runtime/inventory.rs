//! What containerd and the disk hold under this engine's name.
//!
//! Owns: the labels of a container's record, and finding records by them. Must not know: tasks.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use containerd_client::services::v1 as services;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;

use super::Error;
use super::containerd::{Client, call, is_not_found};
use super::layout::Layout;
use crate::api::object::Object;
use crate::pod::{Instance, Signal};

const ROOT: &str = "kiln/root";
const POD_UID: &str = "kiln/pod-uid";
const CONTAINER: &str = "kiln/container";
const ATTEMPT: &str = "kiln/attempt";
const IMAGE_ID: &str = "kiln/image-id";
const STOP_SIGNAL: &str = "kiln/stop-signal";
const SPEAKING_LOG: &str = "kiln/speaking-log";

const SIGKILL: u32 = 9;
const SIGTERM: u32 = 15;

/// A label with its key takes no more than this.
const LABEL_BYTES_MAX: usize = 4096;

/// What a container's record tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// The engine's root.
    pub(super) root: String,
    pub(super) uid: String,
    pub(super) instance: Instance,
    pub(super) image_id: String,
    /// The number of the signal that asks the program to end.
    pub(super) stop_signal: u32,
    /// The log that speaks for it when it fails without a word, if one does.
    pub(super) speaking_log: Option<PathBuf>,
}

impl Known {
    /// For kiln, and for whoever looks at the host with other tools: `crictl`, `nerdctl`, cAdvisor.
    pub(super) fn labels(&self, pod: &Pod) -> HashMap<String, String> {
        let own = [
            (ROOT, self.root.clone()),
            (POD_UID, self.uid.clone()),
            (CONTAINER, self.instance.container.clone()),
            (ATTEMPT, self.instance.attempt.to_string()),
            (IMAGE_ID, self.image_id.clone()),
            (STOP_SIGNAL, self.stop_signal.to_string()),
            ("io.kubernetes.pod.name", pod.name().to_owned()),
            ("io.kubernetes.pod.namespace", pod.namespace().to_owned()),
            ("io.kubernetes.pod.uid", self.uid.clone()),
            ("io.kubernetes.container.name", self.instance.container.clone()),
        ];
        let log = self.speaking_log.as_ref().map(|log| (SPEAKING_LOG, log.display().to_string()));
        let fits = |(key, value): &(&str, String)| key.len() + value.len() <= LABEL_BYTES_MAX;
        own.into_iter()
            .chain(log)
            .filter(fits)
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    fn read(labels: &HashMap<String, String>) -> Option<Self> {
        let text = |key: &str| labels.get(key).cloned();
        Some(Self {
            root: text(ROOT)?,
            uid: text(POD_UID)?,
            instance: Instance {
                container: text(CONTAINER)?,
                attempt: text(ATTEMPT)?.parse().ok()?,
            },
            image_id: text(IMAGE_ID).unwrap_or_default(),
            stop_signal: text(STOP_SIGNAL).and_then(|text| text.parse().ok()).unwrap_or(SIGTERM),
            speaking_log: text(SPEAKING_LOG).map(PathBuf::from),
        })
    }
}

/// All containers of this engine.
pub(super) async fn containers(client: &Client, root: &Path) -> Result<Vec<Known>, Error> {
    list(client, format!("labels.\"{ROOT}\"=={}", quoted(&root.display().to_string()))).await
}

/// Those of one pod.
pub(super) async fn containers_of_pod(
    client: &Client,
    root: &Path,
    uid: &str,
) -> Result<Vec<Known>, Error> {
    let root = quoted(&root.display().to_string());
    list(client, format!("labels.\"{ROOT}\"=={root},labels.\"{POD_UID}\"=={}", quoted(uid))).await
}

async fn list(client: &Client, filter: String) -> Result<Vec<Known>, Error> {
    let failed = |status: tonic::Status| client.error("list the containers", &status);
    let request = services::ListContainersRequest { filters: vec![filter] };
    // A plain list is cut off at 4 MiB, which is less than two thousand containers.
    let answer = client.containers().list_stream(call(request)).await.map_err(failed)?;
    let mut stream = answer.into_inner();
    let mut found = Vec::new();
    while let Some(message) = stream.next().await {
        let container = message.map_err(failed)?.container;
        found.extend(container.and_then(|container| Known::read(&container.labels)));
    }
    Ok(found)
}

/// The number of a signal to this container's program.
pub(super) async fn signal_number(client: &Client, id: &str, signal: Signal) -> Result<u32, Error> {
    match signal {
        Signal::Kill => Ok(SIGKILL),
        Signal::Stop => stop_signal(client, id).await,
    }
}

/// The signal that asks this container's program to end.
async fn stop_signal(client: &Client, id: &str) -> Result<u32, Error> {
    let request = services::GetContainerRequest { id: id.to_owned() };
    match client.containers().get(call(request)).await {
        Ok(answer) => {
            let container = answer.into_inner().container.unwrap_or_default();
            Ok(Known::read(&container.labels).map_or(SIGTERM, |known| known.stop_signal))
        }
        // What is gone takes no signal.
        Err(status) if is_not_found(&status) => Ok(SIGTERM),
        Err(status) => Err(client.error("read a container's record", &status)),
    }
}

/// The uids of the pods that have a container or a directory.
pub(super) async fn pods(client: &Client, layout: &Layout) -> Result<BTreeSet<String>, Error> {
    let known = containers(client, layout.root()).await?;
    let on_disk = pods_on_disk(layout)?;
    Ok(known.into_iter().map(|known| known.uid).chain(on_disk).collect())
}

/// The uids of the pods that have a directory.
pub(super) fn pods_on_disk(layout: &Layout) -> Result<Vec<String>, Error> {
    let failed = |error: io::Error| Error::Failed {
        attempt: "read the directory of pods",
        message: error.to_string(),
    };
    let entries = match fs::read_dir(layout.pods()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_string()));
    Ok(names.collect::<Result<Vec<_>, _>>().map_err(failed)?.into_iter().flatten().collect())
}

/// A value as containerd's filters take it, whatever is in it.
fn quoted(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_tells_what_was_written_on_it() {
        let known = Known {
            root: "/var/lib/kiln".to_owned(),
            uid: "u".to_owned(),
            instance: Instance { container: "main".to_owned(), attempt: 3 },
            image_id: "docker.io/library/busybox@sha256:0".to_owned(),
            stop_signal: 10,
            speaking_log: Some("/var/log/pods/p/main/3.log".into()),
        };
        assert_eq!(Known::read(&known.labels(&Pod::default())), Some(known));
    }

    #[test]
    fn a_record_of_somebody_else_is_none_of_ours() {
        let labels = [("io.kubernetes.pod.uid".to_owned(), "u".to_owned())].into();
        assert_eq!(Known::read(&labels), None);
    }
}

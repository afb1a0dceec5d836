//! The shortest way from an OCI spec to a container that has run, as containerd's API has it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use containerd_client::services::v1 as services;
use containerd_client::services::v1::container::Runtime;
use containerd_client::services::v1::snapshots;
use kiln::monitor::Options;
use kiln::runtime::containerd::{Client, NAMESPACE};
use prost_types::Any;
use tokio::task::JoinSet;

const SPEC_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
const SNAPSHOTTER: &str = "overlayfs";

/// Makes containers, one after the other or several at once.
#[derive(Clone)]
pub(crate) struct Loop {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    spec: serde_json::Value,
    image: String,
    parent: String,
    monitor: PathBuf,
    dir: PathBuf,
}

/// What came of a run.
pub(crate) struct Run {
    pub(crate) took: Duration,
    /// From the first call to the answer to `Start`, in milliseconds.
    pub(crate) to_started: Vec<f64>,
}

/// What stands in the record of the only container.
pub(crate) struct Sample {
    spec: serde_json::Value,
    image: String,
    parent: String,
}

/// The OCI spec of the only container that there is, and what its root file system is made of.
pub(crate) async fn sample(client: &Client) -> Sample {
    let request = call(services::ListContainersRequest::default());
    let containers = client.containers().list(request).await.unwrap().into_inner().containers;
    let [container] = containers.try_into().unwrap();
    let request = snapshots::StatSnapshotRequest {
        snapshotter: SNAPSHOTTER.to_owned(),
        key: container.snapshot_key.clone(),
    };
    let info = client.snapshots().stat(call(request)).await.unwrap().into_inner().info.unwrap();
    let mut spec: serde_json::Value =
        serde_json::from_slice(&container.spec.unwrap().value).unwrap();
    spec["process"]["args"] = serde_json::json!(["true"]);
    Sample { spec, image: container.image, parent: info.parent }
}

impl Loop {
    pub(crate) fn new(client: Client, sample: Sample, monitor: &Path, dir: &Path) -> Self {
        let Sample { mut spec, image, parent } = sample;
        own_files(&mut spec, dir);
        let (monitor, dir) = (monitor.to_owned(), dir.to_owned());
        Self { shared: Arc::new(Shared { client, spec, image, parent, monitor, dir }) }
    }

    /// Runs so many containers, so many at a time.
    pub(crate) async fn run(&self, count: u32, parallelism: u32, name: &str) -> Run {
        let next = Arc::new(AtomicU32::new(0));
        let begin = Instant::now();
        let mut workers = JoinSet::new();
        for _ in 0..parallelism {
            let (shared, next, name) =
                (Arc::clone(&self.shared), Arc::clone(&next), name.to_owned());
            workers.spawn(async move {
                let mut to_started = Vec::new();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        return to_started;
                    }
                    to_started.push(shared.one(&format!("direct-{name}-{n}")).await);
                }
            });
        }
        let to_started = workers.join_all().await.into_iter().flatten().collect();
        Run { took: begin.elapsed(), to_started }
    }
}

impl Shared {
    async fn one(&self, id: &str) -> f64 {
        let begin = Instant::now();
        let state_dir = self.dir.join(id);
        fs::create_dir_all(&state_dir).unwrap();
        let mut spec = self.spec.clone();
        spec["linux"]["cgroupsPath"] = format!("/kiln/{id}").into();
        let options = Options {
            log_path: self.dir.join("logs").join(id).join("0.log"),
            state_dir: state_dir.clone(),
            max_bytes: 10 << 20,
            max_files: 5,
            cgroup: Some(format!("/kiln/{id}").into()),
        };
        let output = options.uri(&self.monitor);
        self.create(id, &spec).await;
        let rootfs = self.prepare(id).await;
        let request = services::CreateTaskRequest {
            container_id: id.to_owned(),
            rootfs,
            stdout: output.clone(),
            stderr: output,
            ..services::CreateTaskRequest::default()
        };
        self.client.tasks().create(call(request)).await.unwrap();
        let wait = services::WaitRequest { container_id: id.to_owned(), ..Default::default() };
        let mut waits = self.client.waits();
        let ended = waits.wait(call(wait));
        let start = services::StartRequest { container_id: id.to_owned(), ..Default::default() };
        self.client.tasks().start(call(start)).await.unwrap();
        let to_started = begin.elapsed().as_secs_f64() * 1000.0;
        assert_eq!(ended.await.unwrap().into_inner().exit_status, 0);
        self.remove(id).await;
        fs::remove_dir_all(state_dir).unwrap();
        to_started
    }

    async fn create(&self, id: &str, spec: &serde_json::Value) {
        let container = services::Container {
            id: id.to_owned(),
            labels: HashMap::new(),
            image: self.image.clone(),
            runtime: Some(Runtime { name: "io.containerd.runc.v2".to_owned(), options: None }),
            spec: Some(Any {
                type_url: SPEC_TYPE.to_owned(),
                value: serde_json::to_vec(spec).unwrap(),
            }),
            snapshotter: SNAPSHOTTER.to_owned(),
            snapshot_key: id.to_owned(),
            ..services::Container::default()
        };
        let request = services::CreateContainerRequest { container: Some(container) };
        self.client.containers().create(call(request)).await.unwrap();
    }

    async fn prepare(&self, id: &str) -> Vec<containerd_client::types::Mount> {
        let request = snapshots::PrepareSnapshotRequest {
            snapshotter: SNAPSHOTTER.to_owned(),
            key: id.to_owned(),
            parent: self.parent.clone(),
            ..snapshots::PrepareSnapshotRequest::default()
        };
        self.client.snapshots().prepare(call(request)).await.unwrap().into_inner().mounts
    }

    async fn remove(&self, id: &str) {
        let request = services::DeleteTaskRequest { container_id: id.to_owned() };
        self.client.tasks().delete(call(request)).await.unwrap();
        let request = services::DeleteContainerRequest { id: id.to_owned() };
        self.client.containers().delete(call(request)).await.unwrap();
        let request = snapshots::RemoveSnapshotRequest {
            snapshotter: SNAPSHOTTER.to_owned(),
            key: id.to_owned(),
        };
        // The garbage collector is often faster.
        let _ = self.client.snapshots().remove(call(request)).await;
    }
}

/// Namespaces are the container's own, and what is mounted from the pod stands in a directory that stays.
fn own_files(spec: &mut serde_json::Value, dir: &Path) {
    for namespace in spec["linux"]["namespaces"].as_array_mut().unwrap() {
        namespace.as_object_mut().unwrap().remove("path");
    }
    fs::create_dir_all(dir).unwrap();
    for mount in spec["mounts"].as_array_mut().unwrap() {
        let Some(source) = mount["source"].as_str().filter(|source| source.starts_with('/')) else {
            continue;
        };
        let source = Path::new(source);
        let own = dir.join(source.file_name().unwrap());
        if source.is_dir() {
            fs::create_dir_all(&own).unwrap();
        } else {
            fs::copy(source, &own).unwrap();
        }
        mount["source"] = own.to_string_lossy().into_owned().into();
    }
}

fn call<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("containerd-namespace", NAMESPACE.parse().unwrap());
    request
}

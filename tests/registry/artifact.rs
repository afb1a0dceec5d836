//! Images made by hand: blobs and manifests, and a way to put them into a registry.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

#[derive(Clone, Copy)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

#[derive(Clone, Copy)]
pub(crate) enum Format {
    Oci,
    Docker,
}

/// Everything that a registry has of an image.
#[derive(Clone, Default)]
pub(crate) struct Artifact {
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    /// By digest: media type and bytes.
    pub(crate) manifests: BTreeMap<String, (String, Vec<u8>)>,
    /// What the tag `1` stands for.
    pub(crate) digest: String,
    pub(crate) layers: Vec<String>,
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Busybox in its lowest layer, and a file `/layer<n>` in each further one.
pub(crate) fn image(format: Format, packings: &[Packing]) -> Artifact {
    let layers = packings.iter().enumerate().map(|(n, packing)| (layer(n), *packing));
    of_layers(format, &layers.collect::<Vec<_>>(), std::env::consts::ARCH)
}

/// One layer of this many bytes that do not compress.
pub(crate) fn incompressible(bytes: usize) -> Artifact {
    let mut noise = vec![0; bytes];
    let mut state = 1_u64;
    for byte in &mut noise {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = state.to_be_bytes()[0];
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("noise"), noise).unwrap();
    of_layers(Format::Oci, &[(tar(dir.path()), Packing::Plain)], std::env::consts::ARCH)
}

pub(crate) fn for_architecture(architecture: &str) -> Artifact {
    of_layers(Format::Oci, &[(layer(0), Packing::Plain)], architecture)
}

fn of_layers(format: Format, layers: &[(Vec<u8>, Packing)], architecture: &str) -> Artifact {
    let (manifest_type, config_type, layer_type) = match format {
        Format::Oci => (
            "application/vnd.oci.image.manifest.v1+json",
            "application/vnd.oci.image.config.v1+json",
            "application/vnd.oci.image.layer.v1.tar",
        ),
        Format::Docker => (
            "application/vnd.docker.distribution.manifest.v2+json",
            "application/vnd.docker.container.image.v1+json",
            "application/vnd.docker.image.rootfs.diff.tar",
        ),
    };
    let mut made = Artifact::default();
    let mut descriptors = Vec::new();
    for (tar, packing) in layers {
        let (bytes, suffix) = match (packing, format) {
            (Packing::Plain, _) => (tar.clone(), ""),
            (Packing::Gzip, Format::Oci) => (filter("gzip", tar), "+gzip"),
            (Packing::Gzip, Format::Docker) => (filter("gzip", tar), ".gzip"),
            (Packing::Zstd, _) => (filter("zstd", tar), "+zstd"),
        };
        let descriptor = made.blob(&format!("{layer_type}{suffix}"), bytes);
        made.layers.push(descriptor["digest"].as_str().unwrap().to_owned());
        descriptors.push(descriptor);
    }
    let diff_ids: Vec<_> = layers.iter().map(|(tar, _)| digest(tar)).collect();
    let config = json!({
        "architecture": named(architecture), "os": "linux",
        "config": { "Env": ["PATH=/bin"], "Entrypoint": ["/bin/busybox"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = made.blob(config_type, config.to_string().into_bytes());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": descriptors,
    });
    made.digest = made.manifest(manifest_type, &manifest);
    made
}

impl Artifact {
    fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let descriptor =
            json!({ "mediaType": media_type, "digest": digest(&bytes), "size": bytes.len() });
        self.blobs.insert(digest(&bytes), bytes);
        descriptor
    }

    fn manifest(&mut self, media_type: &str, manifest: &Value) -> String {
        let bytes = manifest.to_string().into_bytes();
        let digest = digest(&bytes);
        self.manifests.insert(digest.clone(), (media_type.to_owned(), bytes));
        digest
    }

    /// An index of these images, by platform.
    pub(crate) fn index(images: &[(Value, &Self)]) -> Self {
        let mut made = Self::default();
        let mut entries = Vec::new();
        for (platform, image) in images {
            made.blobs.extend(image.blobs.clone());
            made.manifests.extend(image.manifests.clone());
            let (media_type, bytes) = &image.manifests[&image.digest];
            entries.push(json!({
                "mediaType": media_type, "digest": image.digest, "size": bytes.len(),
                "platform": platform,
            }));
        }
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": entries });
        made.digest = made.manifest(media_type, &index);
        made
    }

    /// All digests.
    pub(crate) fn digests(&self) -> Vec<String> {
        self.blobs.keys().chain(self.manifests.keys()).cloned().collect()
    }

    /// Puts everything into a registry that asks for nothing.
    pub(crate) async fn push(&self, registry: SocketAddr, repository: &str) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let base = format!("http://{registry}/v2/{repository}");
        for (digest, bytes) in &self.blobs {
            let begun = client.post(format!("{base}/blobs/uploads/")).send().await.unwrap();
            let location = begun.headers()["location"].to_str().unwrap();
            let mut url: reqwest::Url = begun.url().join(location).unwrap();
            url.query_pairs_mut().append_pair("digest", digest);
            let put = client.put(url).body(bytes.clone()).send().await.unwrap();
            assert!(put.status().is_success(), "{}", put.text().await.unwrap());
        }
        // Images before the index that names them.
        let mut manifests: Vec<_> = self.manifests.iter().collect();
        manifests.sort_by_key(|(digest, _)| **digest == self.digest);
        for (digest, (media_type, bytes)) in manifests {
            let reference = if *digest == self.digest { "1" } else { digest };
            let put = client.put(format!("{base}/manifests/{reference}"));
            let put =
                put.header("content-type", media_type).body(bytes.clone()).send().await.unwrap();
            assert!(put.status().is_success(), "{}", put.text().await.unwrap());
        }
    }
}

/// As images spell it.
pub(crate) fn named(architecture: &str) -> &str {
    match architecture {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn layer(n: usize) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    if n == 0 {
        let bin = dir.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::fs::copy("/bin/busybox", bin.join("busybox"))
            .expect("busybox-static is installed by scripts/test");
        std::os::unix::fs::symlink("busybox", bin.join("true")).unwrap();
        std::os::unix::fs::symlink("busybox", bin.join("cat")).unwrap();
    } else {
        std::fs::write(dir.path().join(format!("layer{n}")), format!("layer {n}\n")).unwrap();
    }
    tar(dir.path())
}

/// The same bytes each time, so that images have layers in common.
fn tar(dir: &std::path::Path) -> Vec<u8> {
    let mut command = Command::new("tar");
    command.args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-C"]);
    let output = command.arg(dir).args(["-cf", "-", "."]).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

fn filter(program: &str, bytes: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = command.spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(bytes).unwrap());
        process.wait_with_output().unwrap().stdout
    })
}

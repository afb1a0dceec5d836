//! What the documents of an image say.
//!
//! Owns: reading indexes, manifests and configurations, and refusing those that make no sense. Pure.
//! Must not know: where they come from.

use std::sync::Arc;

use oci_client::manifest::{self, OciDescriptor, OciImageIndex, OciImageManifest};
use oci_spec::image::ImageConfiguration;
use serde::Deserialize;

use super::platform::{self, Platform};
use super::{content, digest};

/// A configuration of this size is no configuration.
pub(super) const CONFIG_BYTES_MAX: usize = 8 << 20;

/// What a reference stands for.
#[derive(Debug)]
pub(super) enum Document {
    Index(OciImageIndex),
    Image(Box<OciImageManifest>),
}

/// What is known of an image.
#[derive(Debug)]
pub(super) struct Known {
    /// The snapshots of its layers, from the lowest up.
    pub(super) chain: Vec<String>,
    pub(super) config: Arc<ImageConfiguration>,
}

impl Known {
    /// The snapshot of its top layer; empty for an image without layers.
    pub(super) fn chain_id(&self) -> &str {
        self.chain.last().map_or("", String::as_str)
    }
}

impl Document {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Shape {
            schema_version: Option<u8>,
            manifests: Option<serde::de::IgnoredAny>,
            config: Option<serde::de::IgnoredAny>,
        }
        let no_json = |error: serde_json::Error| format!("its manifest makes no sense: {error}");
        let shape: Shape = serde_json::from_slice(bytes).map_err(no_json)?;
        match shape {
            Shape { schema_version: Some(1), .. } => Err(
                "its manifest has schema version 1, which nobody supports any more: push it anew"
                    .to_owned(),
            ),
            Shape { manifests: Some(_), config: None, .. } => {
                let index: OciImageIndex = serde_json::from_slice(bytes).map_err(no_json)?;
                check(index.manifests.iter().map(|m| (m.digest.as_str(), m.size)))?;
                Ok(Self::Index(index))
            }
            Shape { config: Some(_), manifests: None, .. } => {
                let image: Box<OciImageManifest> =
                    serde_json::from_slice(bytes).map_err(no_json)?;
                let blobs = image.layers.iter().chain([&image.config]);
                check(blobs.map(|blob| (blob.digest.as_str(), blob.size)))?;
                Ok(Self::Image(image))
            }
            Shape { .. } => Err("its manifest is neither an image's nor an index".to_owned()),
        }
    }

    /// How the content store names a write of it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Index(_) => "index",
            Self::Image(_) => "manifest",
        }
    }

    pub(super) fn media_type(&self) -> String {
        let (told, assumed) = match self {
            Self::Index(index) => (&index.media_type, manifest::OCI_IMAGE_INDEX_MEDIA_TYPE),
            Self::Image(image) => (&image.media_type, manifest::OCI_IMAGE_MEDIA_TYPE),
        };
        told.clone().unwrap_or_else(|| assumed.to_owned())
    }

    /// What keeps its parts from the garbage collector.
    pub(super) fn labels(&self) -> content::Labels {
        const PART: &str = "containerd.io/gc.ref.content";
        match self {
            Self::Index(index) => {
                let parts = index.manifests.iter().enumerate();
                parts.map(|(n, part)| (format!("{PART}.m.{n}"), part.digest.clone())).collect()
            }
            Self::Image(image) => {
                let layers = image.layers.iter().enumerate();
                let layers = layers.map(|(n, part)| (format!("{PART}.l.{n}"), part.digest.clone()));
                layers.chain([(format!("{PART}.config"), image.config.digest.clone())]).collect()
            }
        }
    }
}

/// The image of an index that is for this host.
pub(super) fn choose(index: &OciImageIndex, platform: Platform) -> Result<OciDescriptor, String> {
    let Some(entry) = platform.choose(&index.manifests) else {
        let found = platform::list(&index.manifests);
        return Err(format!("there is no image for {platform}; there are images for: {found}"));
    };
    let (media_type, digest) = (entry.media_type.clone(), entry.digest.clone());
    Ok(OciDescriptor { media_type, digest, size: entry.size, ..OciDescriptor::default() })
}

/// Reads an image's configuration and sees that it belongs to the manifest and to this host.
pub(super) fn know(
    bytes: &[u8],
    image: &OciImageManifest,
    platform: Platform,
) -> Result<Known, String> {
    let kind = &image.config.media_type;
    let config: ImageConfiguration = serde_json::from_slice(bytes).map_err(|error| {
        format!("its configuration ({kind}) is none of a container image: {error}")
    })?;
    let (os, architecture) = (config.os().to_string(), config.architecture().to_string());
    if !platform.runs(&os, &architecture) {
        return Err(format!("it is for {os}/{architecture}, and this host is {platform}"));
    }
    let diff_ids = config.rootfs().diff_ids();
    if diff_ids.len() != image.layers.len() {
        let (layers, ids) = (image.layers.len(), diff_ids.len());
        return Err(format!("its manifest has {layers} layers, and its configuration has {ids}"));
    }
    if let Some(wrong) = diff_ids.iter().find(|id| !digest::is_valid(id)) {
        return Err(format!("its configuration names a layer `{wrong}`, which is no digest"));
    }
    Ok(Known { chain: digest::chain(diff_ids), config: Arc::new(config) })
}

fn check<'a>(mut parts: impl Iterator<Item = (&'a str, i64)>) -> Result<(), String> {
    match parts.find(|(digest, size)| !digest::is_valid(digest) || *size < 0) {
        Some((digest, size)) => {
            Err(format!("its manifest names a part `{digest}` of {size} bytes, which cannot be"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(layers: usize) -> serde_json::Value {
        let part = |n: usize| {
            let digest = digest::sha256(&n.to_ne_bytes());
            serde_json::json!({ "mediaType": "x", "digest": digest, "size": n })
        };
        serde_json::json!({
            "schemaVersion": 2,
            "config": part(100),
            "layers": (0..layers).map(part).collect::<Vec<_>>(),
        })
    }

    fn read(value: &serde_json::Value) -> Result<Document, String> {
        Document::read(value.to_string().as_bytes())
    }

    #[test]
    fn a_manifest_keeps_its_parts() {
        let document = read(&image(2)).unwrap();
        assert_eq!(document.kind(), "manifest");
        assert_eq!(document.media_type(), manifest::OCI_IMAGE_MEDIA_TYPE);
        let labels = document.labels();
        let mut keys: Vec<_> = labels.keys().map(|key| key.rsplit("content.").next()).collect();
        keys.sort_unstable();
        assert_eq!(keys, [Some("config"), Some("l.0"), Some("l.1")]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_reason() {
        let mut escaping = image(1);
        escaping["layers"][0]["digest"] = "sha256:../../etc/passwd".into();
        let mut negative = image(1);
        negative["config"]["size"] = (-1).into();
        for (value, why) in [
            (serde_json::json!({}), "neither"),
            (serde_json::json!({ "schemaVersion": 1, "fsLayers": [] }), "schema version 1"),
            (serde_json::json!({ "manifests": 3 }), "makes no sense"),
            (escaping, "which cannot be"),
            (negative, "which cannot be"),
        ] {
            let error = read(&value).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(Document::read(b"<html>").unwrap_err().contains("makes no sense"));
    }

    #[test]
    fn a_configuration_has_to_fit_its_manifest_and_its_host() {
        let Ok(Document::Image(one)) = read(&image(1)) else { panic!("it is an image") };
        let platform = Platform::of_this_host();
        let name = platform.to_string();
        let (_, here) = name.split_once('/').unwrap();
        let config = |architecture: &str, ids: &[&str]| {
            serde_json::json!({
                "os": "linux", "architecture": architecture,
                "rootfs": { "type": "layers", "diff_ids": ids },
            })
            .to_string()
        };
        let id = digest::sha256(b"");
        let known = know(config(here, &[&id]).as_bytes(), &one, platform).unwrap();
        assert_eq!(known.chain_id(), id);
        for (config, why) in [
            (config(here, &[]), "1 layers, and its configuration has 0"),
            (config(here, &["x"]), "no digest"),
            (config("s390x", &[&id]), "it is for linux/s390x"),
            ("{}".to_owned(), "none of a container image"),
        ] {
            let error = know(config.as_bytes(), &one, platform).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}

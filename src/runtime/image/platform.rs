//! Which image of a multi-arch index is for this host.
//!
//! Owns: the names of platforms and the order of preference among variants. Pure.
//! Must not know: registries, containerd.

use std::fmt;

use oci_client::manifest::ImageIndexEntry;

/// What a host runs. The system is always Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Platform {
    architecture: &'static str,
}

impl Platform {
    /// This host, in the words of images.
    pub(super) fn of_this_host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            "loongarch64" => "loong64",
            other => other,
        };
        Self { architecture }
    }

    /// The entry that fits best; the first of those that fit equally.
    pub(super) fn choose(self, entries: &[ImageIndexEntry]) -> Option<&ImageIndexEntry> {
        let ranked = entries.iter().filter_map(|entry| Some((self.rank(entry)?, entry)));
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, entry)| entry)
    }

    /// Whether an image with this configuration runs here.
    pub(super) fn runs(self, os: &str, architecture: &str) -> bool {
        os == "linux"
            && (architecture == self.architecture
                || (self.architecture == "amd64" && architecture == "386"))
    }

    /// Lower is better; nothing does not run.
    fn rank(self, entry: &ImageIndexEntry) -> Option<usize> {
        /// Whoever names no platform is looked at last: its configuration tells.
        const UNNAMED: usize = 100;
        /// Runs, and something better may be there.
        const FOREIGN: usize = 50;
        let Some(platform) = &entry.platform else { return Some(UNNAMED) };
        let (os, architecture) = (platform.os.to_string(), platform.architecture.to_string());
        if !self.runs(&os, &architecture) {
            return None;
        }
        if architecture != self.architecture {
            return Some(FOREIGN);
        }
        // Best first. An ordinary amd64 processor is `v1`; what needs more is left alone.
        let variants: &[&str] = match self.architecture {
            "amd64" => &["", "v1"],
            "arm64" => &["v8", "", "v8.0"],
            "arm" => &["v7", "", "v6", "v5"],
            _ => &[""],
        };
        let variant = platform.variant.as_deref().unwrap_or_default();
        variants.iter().position(|known| *known == variant)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.architecture)
    }
}

/// The platforms that an index has, for people. Attestations, which say `unknown`, are no images.
pub(super) fn list(entries: &[ImageIndexEntry]) -> String {
    let names = entries.iter().filter_map(|entry| {
        let platform = entry.platform.as_ref()?;
        let mut name = format!("{}/{}", platform.os, platform.architecture);
        if let Some(variant) = platform.variant.as_deref().filter(|v| !v.is_empty()) {
            name = format!("{name}/{variant}");
        }
        (name != "unknown/unknown").then_some(name)
    });
    let names: Vec<_> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(platforms: &[&str]) -> Vec<ImageIndexEntry> {
        let entry = |(n, text): (usize, &&str)| {
            let mut parts = text.split('/');
            let platform = parts.next().filter(|os| !os.is_empty()).map(|os| {
                let architecture = parts.next().unwrap();
                let variant = parts.next();
                serde_json::json!({ "os": os, "architecture": architecture, "variant": variant })
            });
            let entry = serde_json::json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": format!("sha256:{n}"), "size": n, "platform": platform,
            });
            serde_json::from_value(entry).unwrap()
        };
        platforms.iter().enumerate().map(entry).collect()
    }

    fn chosen(architecture: &'static str, platforms: &[&str]) -> Option<i64> {
        Platform { architecture }.choose(&index(platforms)).map(|entry| entry.size)
    }

    #[test]
    fn the_entry_of_the_own_architecture_is_chosen() {
        let all = ["linux/arm64/v8", "windows/amd64", "linux/amd64", "linux/arm/v7"];
        assert_eq!(chosen("amd64", &all), Some(2));
        assert_eq!(chosen("arm64", &all), Some(0));
        assert_eq!(chosen("arm", &all), Some(3));
        assert_eq!(chosen("s390x", &all), None);
    }

    #[test]
    fn a_variant_that_the_processor_may_lack_is_left_alone() {
        assert_eq!(chosen("amd64", &["linux/amd64/v3", "linux/amd64"]), Some(1));
        assert_eq!(chosen("amd64", &["linux/amd64/v3"]), None);
        assert_eq!(chosen("arm", &["linux/arm/v5", "linux/arm/v6"]), Some(1));
    }

    #[test]
    fn attestations_are_no_images() {
        assert_eq!(chosen("amd64", &["unknown/unknown", "linux/386"]), Some(1));
        assert_eq!(list(&index(&["linux/arm/v7", "unknown/unknown"])), "linux/arm/v7");
        assert_eq!(list(&[]), "none");
    }

    #[test]
    fn an_entry_that_names_no_platform_is_the_last_resort() {
        assert_eq!(chosen("amd64", &["", "linux/amd64"]), Some(1));
        assert_eq!(chosen("amd64", &["", "linux/arm64"]), Some(0));
    }
}

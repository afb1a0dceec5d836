//! What a kustomization says.
//!
//! Owns: its fields. Must not know: what they do.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::api::manifest;

pub(super) type Texts = BTreeMap<String, String>;

/// Fields that are read.
const FIELDS: [&str; 17] = [
    "apiVersion",
    "commonAnnotations",
    "commonLabels",
    "configMapGenerator",
    "generatorOptions",
    "images",
    "kind",
    "labels",
    "metadata",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "patches",
    "patchesJson6902",
    "patchesStrategicMerge",
    "resources",
    "secretGenerator",
];

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Kustomization {
    pub(super) resources: Vec<String>,
    pub(super) namespace: String,
    pub(super) name_prefix: String,
    pub(super) name_suffix: String,
    pub(super) common_labels: Texts,
    pub(super) labels: Vec<Labels>,
    pub(super) common_annotations: Texts,
    pub(super) images: Vec<Image>,
    pub(super) patches: Vec<Patch>,
    pub(super) patches_strategic_merge: Vec<String>,
    pub(super) patches_json6902: Vec<Patch>,
    pub(super) config_map_generator: Vec<Generator>,
    pub(super) secret_generator: Vec<Generator>,
    pub(super) generator_options: Options,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Labels {
    pub(super) pairs: Texts,
    pub(super) include_selectors: bool,
    pub(super) include_templates: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Image {
    pub(super) name: String,
    pub(super) new_name: String,
    pub(super) new_tag: String,
    pub(super) digest: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Patch {
    pub(super) path: String,
    pub(super) patch: String,
    pub(super) target: Option<Target>,
    pub(super) options: PatchOptions,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PatchOptions {
    pub(super) allow_name_change: bool,
    pub(super) allow_kind_change: bool,
}

/// What a patch is for; texts are regular expressions.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Target {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) label_selector: String,
    pub(super) annotation_selector: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Generator {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) behavior: Behavior,
    pub(super) literals: Vec<String>,
    pub(super) files: Vec<String>,
    pub(super) envs: Vec<String>,
    /// Of a Secret.
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) options: Options,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Behavior {
    #[default]
    Create,
    Merge,
    Replace,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Options {
    pub(super) labels: Texts,
    pub(super) annotations: Texts,
    pub(super) disable_name_suffix_hash: bool,
    pub(super) immutable: bool,
}

impl Options {
    /// What is said of one is said besides what is said of all.
    pub(super) fn over(&self, all: &Self) -> Self {
        let both = |own: &Texts, all: &Texts| {
            all.iter().chain(own).map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        Self {
            labels: both(&self.labels, &all.labels),
            annotations: both(&self.annotations, &all.annotations),
            disable_name_suffix_hash: self.disable_name_suffix_hash || all.disable_name_suffix_hash,
            immutable: self.immutable || all.immutable,
        }
    }
}

impl Kustomization {
    /// # Errors
    /// It is not as it should be, or says what is not built.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let value = manifest::yaml(bytes)?;
        if value.is_null() {
            return Err("it is empty".to_owned());
        }
        let fields = value.as_object().ok_or("expected a map")?;
        let not_built = |(name, value): &(&String, &Value)| {
            !FIELDS.contains(&name.as_str()) && **value != Value::Null
        };
        if let Some((name, _)) = fields.iter().find(not_built) {
            let cure = match name.as_str() {
                "bases" => "it is now `resources`".to_owned(),
                "vars" => "not supported; name the values with `patches`".to_owned(),
                _ => format!(
                    "not supported; use `kubectl kustomize DIR | kiln ... -f -`, or one of {}",
                    FIELDS.join(", ")
                ),
            };
            return Err(format!("{name}: {cure}"));
        }
        match fields.get("kind").and_then(Value::as_str) {
            None | Some("Kustomization") => {}
            Some(kind) => return Err(format!("kind: {kind}: not supported; use Kustomization")),
        }
        let fields = value.as_object().into_iter().flatten();
        let set = fields.filter(|(_, value)| !value.is_null());
        let value = set.map(|(name, value)| (name.clone(), value.clone())).collect();
        serde_json::from_value(Value::Object(value)).map_err(|error| error.to_string())
    }
}

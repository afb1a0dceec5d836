//! ConfigMaps and Secrets made of files and literals, with names that tell what they hold.
//!
//! Owns: their data, and the hashes, which are those of kustomize. Must not know: who uses them.
//! <https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/configmapgenerator/>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::file::{Behavior, Generator, Kustomization, Options, Texts};
use super::item::{self, Item};
use super::{Dir, names};
use crate::cli::create;

/// So much of a hash is in a name.
const HASH_LENGTH: usize = 10;
/// kustomize breaks base64 into lines of this length before it hashes.
const LINE_LENGTH: usize = 70;

/// # Errors
/// A file cannot be read, or there is nothing to merge with.
pub(super) fn run(
    wanted: &Kustomization,
    dir: &Dir<'_>,
    items: &mut Vec<Item>,
) -> Result<(), String> {
    for generator in &wanted.config_map_generator {
        if !generator.kind.is_empty() {
            return Err("configMapGenerator: type: a ConfigMap has none".to_owned());
        }
        let made = create::config_map(&generator.name, data(generator, dir, "configMapGenerator")?);
        place(generator, &wanted.generator_options, made, items)?;
    }
    for generator in &wanted.secret_generator {
        let kind = if generator.kind.is_empty() { "Opaque" } else { &generator.kind };
        let made = create::secret(&generator.name, kind, data(generator, dir, "secretGenerator")?);
        place(generator, &wanted.generator_options, made, items)?;
    }
    Ok(())
}

fn data(
    generator: &Generator,
    dir: &Dir<'_>,
    field: &str,
) -> Result<Vec<(String, Vec<u8>)>, String> {
    let name = &generator.name;
    if name.is_empty() {
        return Err(format!("{field}: name: required"));
    }
    let at = |error: crate::cli::remote::Error| {
        let text = error.to_string();
        format!("{field}: {name}: {}", text.trim_start_matches("error: "))
    };
    let mut pairs = Vec::new();
    for file in &generator.envs {
        dir.inside(file).map_err(|error| format!("{field}: {name}: {error}"))?;
        pairs.extend(create::of_env_file(file, dir.path).map_err(at)?);
    }
    for literal in &generator.literals {
        let (key, value) = create::literal(literal).map_err(at)?;
        let value = match value.as_slice() {
            [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => inner.to_vec(),
            _ => value,
        };
        pairs.push((key, value));
    }
    for file in &generator.files {
        let path = file.split_once('=').map_or(file.as_str(), |(_, path)| path);
        dir.inside(path).map_err(|error| format!("{field}: {name}: {error}"))?;
        pairs.extend(create::of_file(file, dir.path).map_err(at)?);
    }
    create::unique(&pairs).map_err(at)?;
    Ok(pairs)
}

fn place(
    generator: &Generator,
    all: &Options,
    mut made: Value,
    items: &mut Vec<Item>,
) -> Result<(), String> {
    let options = generator.options.over(all);
    if !generator.namespace.is_empty() {
        made["metadata"]["namespace"] = generator.namespace.clone().into();
    }
    set(&mut made["metadata"], "labels", &options.labels);
    set(&mut made["metadata"], "annotations", &options.annotations);
    if options.immutable {
        made["immutable"] = true.into();
    }
    let is_hashed = !options.disable_name_suffix_hash;
    if generator.behavior == Behavior::Create {
        let mut item = Item::new(made);
        item.is_hashed = is_hashed;
        return item::add(items, vec![item]);
    }
    let kind = made["kind"].as_str().unwrap_or_default().to_owned();
    let namespace = item::namespace_or_default(&generator.namespace);
    let known = |item: &&mut Item| {
        item.kind() == kind
            && item.names().any(|(name, of)| {
                name == generator.name && item::namespace_or_default(of) == namespace
            })
    };
    let Some(there) = items.iter_mut().find(known) else {
        return Err(format!(
            "{kind} {:?}: there is none to merge with or to replace; leave out `behavior`",
            generator.name
        ));
    };
    for field in ["data", "binaryData"] {
        if generator.behavior == Behavior::Replace
            && let Some(fields) = there.object.as_object_mut()
        {
            fields.remove(field);
        }
        for (key, value) in made[field].as_object().into_iter().flatten() {
            there.object[field][key] = value.clone();
        }
    }
    set(&mut there.object["metadata"], "labels", &options.labels);
    set(&mut there.object["metadata"], "annotations", &options.annotations);
    if options.immutable {
        there.object["immutable"] = true.into();
    }
    there.is_hashed |= is_hashed;
    Ok(())
}

/// Adds texts to a map, which is made for them.
pub(super) fn set(object: &mut Value, field: &str, texts: &Texts) {
    for (key, value) in texts {
        object[field][key] = value.clone().into();
    }
}

pub(super) fn add_hashes(items: &mut [Item]) {
    names::rename(items, |item| {
        item.is_hashed.then(|| format!("{}-{}", item.name(), hash(&item.object)))
    });
}

/// Of kind, type and data; the name is empty in it, as it is in kustomize.
fn hash(object: &Value) -> String {
    let or_empty = |field: &str| object.get(field).cloned().unwrap_or_else(|| json!(""));
    let broken = |field: &str| {
        let mut data = or_empty(field);
        for value in data.as_object_mut().into_iter().flat_map(|data| data.values_mut()) {
            let lines = value.as_str().map(in_lines).unwrap_or_default();
            *value = lines.into();
        }
        data
    };
    let mut hashed = BTreeMap::from([("kind", object["kind"].clone()), ("name", json!(""))]);
    if object["kind"] == "Secret" {
        hashed.insert("type", or_empty("type"));
        hashed.insert("data", broken("data"));
    } else {
        hashed.insert("data", or_empty("data"));
        if object["binaryData"].is_object() {
            hashed.insert("binaryData", broken("binaryData"));
        }
    }
    let digest = Sha256::digest(as_go_writes(&json!(hashed)));
    // No word that offends comes of these letters.
    let letter = |letter: char| match letter {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        other => other,
    };
    hex::encode(digest).chars().take(HASH_LENGTH).map(letter).collect()
}

fn in_lines(base64: &str) -> String {
    let is_plain = STANDARD.decode(base64).is_ok();
    if !is_plain || base64.len() < LINE_LENGTH {
        return base64.to_owned();
    }
    let mut lines = String::new();
    for (at, letter) in base64.chars().enumerate() {
        if at > 0 && at % LINE_LENGTH == 0 {
            lines.push('\n');
        }
        lines.push(letter);
    }
    lines + "\n"
}

/// Go's JSON escapes what could end a script, and sorts keys.
fn as_go_writes(value: &Value) -> String {
    let text = sorted(value).to_string();
    let escapes = [
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ];
    escapes.iter().fold(text, |text, (letter, escape)| text.replace(*letter, escape))
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> =
                fields.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            fields.into_iter().collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            plain.clone()
        }
    }
}

//! `metadata.managedFields`: who owns which fields, by which operation, since when.
//!
//! Owns: how it is read and written. Must not know: how ownership changes hands.
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::fields::Set;

/// Of those who update there are no more: the oldest are counted as one.
const UPDATERS_MAX: usize = 10;
/// Under this name.
const ANCIENT: &str = "ancient-changes";

/// How a manager comes by its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// What one owner is told from another by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    pub(super) manager: String,
    pub(super) operation: Operation,
    /// Of an update; who applies is the same in every version.
    pub(super) api_version: Option<String>,
    pub(super) subresource: Option<String>,
}

/// What it owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) fields: Set,
    pub(super) api_version: String,
    pub(super) time: Option<Timestamp>,
}

/// All owners of an object.
pub(super) type Owners = BTreeMap<Owner, Owned>;

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.manager)?;
        if let Some(subresource) = &self.subresource {
            write!(f, " with subresource {subresource:?}")?;
        }
        match &self.api_version {
            Some(version) => write!(f, " using {version}"),
            None => Ok(()),
        }
    }
}

/// Reads the owners of an object; what is wrong with them, where something is.
pub(super) fn read(object: &Value) -> Result<Owners, String> {
    let entries = object["metadata"]["managedFields"].as_array();
    entries.into_iter().flatten().enumerate().map(|(i, entry)| read_entry(i, entry)).collect()
}

/// Whether the object says that nobody shall own anything.
pub(super) fn is_reset(object: &Value) -> bool {
    match object["metadata"]["managedFields"].as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([one]) => one.as_object().is_some_and(serde_json::Map::is_empty),
        Some(_) | None => false,
    }
}

fn read_entry(index: usize, entry: &Value) -> Result<(Owner, Owned), String> {
    let text = |name: &str| entry[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let operation = match entry["operation"].as_str() {
        Some("Apply") => Operation::Apply,
        Some("Update") => Operation::Update,
        Some(_) | None => return Err("operation must be `Apply` or `Update`".to_owned()),
    };
    let Some(api_version) = text("apiVersion") else {
        return Err("apiVersion must not be empty".to_owned());
    };
    match entry["fieldsType"].as_str() {
        Some("FieldsV1") => {}
        None | Some("") => {
            return Err(format!("missing fieldsType in managed fields entry {index}"));
        }
        Some(other) => {
            return Err(format!("invalid fieldsType {other:?} in managed fields entry {index}"));
        }
    }
    let nothing = entry["fieldsV1"].is_null().then(Set::default);
    let Some(fields) = nothing.or_else(|| Set::from_json(&entry["fieldsV1"])) else {
        return Err(format!("error decoding set in managed fields entry {index}"));
    };
    let owner = Owner {
        manager: text("manager").unwrap_or_default(),
        operation,
        api_version: (operation == Operation::Update).then(|| api_version.clone()),
        subresource: text("subresource"),
    };
    let time = text("time").and_then(|time| time.parse().ok());
    Ok((owner, Owned { fields, api_version, time }))
}

/// Writes the owners into an object, in the order in which Kubernetes has them.
pub(super) fn write(object: &mut Value, owners: &Owners) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    if owners.is_empty() {
        metadata.remove("managedFields");
        return;
    }
    let mut entries: Vec<(&Owner, &Owned)> = owners.iter().collect();
    entries.sort_by(|(a, of_a), (b, of_b)| {
        let order = |owner: &Owner, owned: &Owned| (owner.operation, seconds(owned));
        order(a, of_a).cmp(&order(b, of_b)).then_with(|| a.cmp(b))
    });
    let entries = entries.into_iter().map(|(owner, owned)| entry(owner, owned)).collect();
    metadata.insert("managedFields".to_owned(), Value::Array(entries));
}

/// Takes the owners out of an object, so that nobody owns them.
pub(super) fn strip(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

fn entry(owner: &Owner, owned: &Owned) -> Value {
    let operation = match owner.operation {
        Operation::Apply => "Apply",
        Operation::Update => "Update",
    };
    let mut entry = json!({
        "apiVersion": owned.api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": owned.fields.to_json(),
        "manager": owner.manager,
        "operation": operation,
    });
    if let Some(subresource) = &owner.subresource {
        entry["subresource"] = subresource.clone().into();
    }
    if let Some(time) = owned.time {
        entry["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
    }
    entry
}

fn seconds(owned: &Owned) -> i64 {
    owned.time.map_or(0, Timestamp::as_second)
}

/// Counts the oldest of too many updaters as one.
pub(super) fn cap(owners: &mut Owners) {
    let mut updaters: Vec<Owner> =
        owners.keys().filter(|o| o.operation == Operation::Update).cloned().collect();
    updaters.sort_by_key(|owner| (owners.get(owner).map(seconds), owner.clone()));
    let mut surplus = updaters.len().saturating_sub(UPDATERS_MAX);
    let mut first_of: BTreeMap<Option<String>, Owner> = BTreeMap::new();
    for updater in updaters {
        if surplus == 0 {
            return;
        }
        let bucket = Owner {
            manager: ANCIENT.to_owned(),
            operation: Operation::Update,
            api_version: updater.api_version.clone(),
            subresource: None,
        };
        let Some(first) = first_of.get(&updater.api_version) else {
            first_of.insert(updater.api_version.clone(), updater);
            continue;
        };
        if !owners.contains_key(&bucket)
            && let Some(oldest) = owners.remove(first)
        {
            owners.insert(bucket.clone(), oldest);
        }
        if updater != bucket
            && let Some(merged) = owners.remove(&updater)
            && let Some(ancient) = owners.get_mut(&bucket)
        {
            ancient.fields = ancient.fields.union(&merged.fields);
            ancient.time = merged.time;
        }
        surplus -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(entries: Value) -> Value {
        json!({"metadata": {"managedFields": entries}})
    }

    #[test]
    fn owners_read_back_as_they_are_written_and_stand_in_order() {
        let applied = json!({
            "manager": "z", "operation": "Apply", "apiVersion": "batch/v1",
            "time": "2026-01-02T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:a": {}},
        });
        let updated = json!({
            "manager": "a", "operation": "Update", "apiVersion": "batch/v1",
            "subresource": "status", "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:status": {"f:b": {}}},
        });
        let owners = read(&object(json!([updated, applied]))).unwrap();
        let mut written = json!({"metadata": {}});
        write(&mut written, &owners);
        assert_eq!(written, object(json!([applied, updated])));
        let shown: Vec<String> = owners.keys().map(ToString::to_string).collect();
        assert_eq!(shown, ["\"a\" with subresource \"status\" using batch/v1", "\"z\""]);
        write(&mut written, &Owners::new());
        assert_eq!(written, json!({"metadata": {}}));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (entry, expected) in [
            (json!({"operation": "Delete"}), "operation must be `Apply` or `Update`"),
            (json!({"operation": "Apply"}), "apiVersion must not be empty"),
            (
                json!({"operation": "Apply", "apiVersion": "v1"}),
                "missing fieldsType in managed fields entry 0",
            ),
            (
                json!({"operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV2"}),
                "invalid fieldsType \"FieldsV2\" in managed fields entry 0",
            ),
        ] {
            assert_eq!(read(&object(json!([entry]))).unwrap_err(), expected);
        }
        assert!(is_reset(&object(json!([]))) && is_reset(&object(json!([{}]))));
        assert!(!is_reset(&json!({"metadata": {}})));
    }

    #[test]
    fn the_oldest_of_too_many_updaters_are_counted_as_one() {
        let mut owners: Owners = (0..13)
            .map(|index| {
                let owner = Owner {
                    manager: format!("m{index:02}"),
                    operation: Operation::Update,
                    api_version: Some("v1".to_owned()),
                    subresource: None,
                };
                let owned = Owned {
                    fields: Set::of(&[&[format!("f{index}").as_str()]]),
                    api_version: "v1".to_owned(),
                    time: Timestamp::from_second(index).ok(),
                };
                (owner, owned)
            })
            .collect();
        cap(&mut owners);
        assert_eq!(owners.len(), UPDATERS_MAX);
        let (_, ancient) = owners.iter().find(|(owner, _)| owner.manager == ANCIENT).unwrap();
        assert_eq!(ancient.fields.paths(), [".f0", ".f1", ".f2", ".f3"]);
        assert_eq!(ancient.time, Timestamp::from_second(3).ok());
        let before = owners.clone();
        cap(&mut owners);
        assert_eq!(owners, before);
    }
}

//! Server-side apply: every field has owners, and who applies a configuration owns what it says.
//!
//! Owns: how fields come to their owners and go, and when appliers are in conflict. Must not know:
//! defaults, validation, the store.
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/>

pub mod fields;
mod managed;
mod walk;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};

use self::fields::Set;
use self::managed::{Operation, Owned, Owner, Owners};
use self::walk::Comparison;
use crate::api::patch::strategic::drop_nulls;
use crate::api::topology::{self, Type};

/// Who changes an object: the `fieldManager` of a request, and the subresource that it is made to.
#[derive(Debug, Clone, Copy)]
pub struct Manager<'a> {
    pub name: &'a str,
    pub subresource: Option<&'a str>,
}

/// A configuration that is not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It cannot be one: a bad request.
    #[error("{0}")]
    Malformed(String),
    /// Others own fields that it would change.
    #[error("{0}")]
    Conflicts(Conflicts),
}

/// By owner, then by field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflicts(pub Vec<Conflict>);

/// One field that somebody else owns: a cause of the type [`CAUSE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// `conflict with "kubectl" using batch/v1`
    pub message: String,
    /// `.spec.parallelism`
    pub field: String,
}

/// The type of a cause that is a conflict.
pub const CAUSE: &str = "FieldManagerConflict";

/// Where a client that applies on its own side keeps what it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The one client that has changed over from there.
const KUBECTL: &str = "kubectl";
/// Who owns what was there before anybody was asked.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [one] = self.0.as_slice() {
            return write!(f, "Apply failed with 1 conflict: {}: {}", one.message, one.field);
        }
        write!(f, "Apply failed with {} conflicts: ", self.0.len())?;
        let mut lines = Vec::new();
        let mut last = "";
        for conflict in &self.0 {
            if conflict.message != last {
                last = &conflict.message;
                lines.push(format!("{}:", last.replacen("conflict", "conflicts", 1)));
            }
            lines.push(format!("- {}", conflict.field));
        }
        f.write_str(&lines.join("\n"))
    }
}

/// What applying a configuration makes of an object, or of nothing. Defaults are still to be filled in.
///
/// Applied again it changes nothing, not even the time.
pub fn apply(
    live: Option<&Value>,
    configuration: &Value,
    manager: Manager<'_>,
    force: bool,
    now: Timestamp,
) -> Result<Value, Refused> {
    let attempt = Attempt::new(live, configuration, manager, now)?;
    let applied = match attempt.run(force) {
        Err(conflicts) if manager.name == KUBECTL => {
            let rest = conflicts_without(&conflicts, &attempt.applied_by_client());
            if rest.is_empty() { attempt.run(true) } else { Err(rest) }
        }
        other => other,
    };
    applied.map_err(|conflicts| Refused::Conflicts(listed(&conflicts)))
}

/// Notes in `after` who made it of `before`, or of nothing. Where nothing differs, nothing is noted.
pub fn record_update(
    before: Option<&Value>,
    after: &mut Value,
    manager: Manager<'_>,
    now: Timestamp,
) {
    let of = topology::of(kind(after));
    let known = before.and_then(|before| managed::read(before).ok()).unwrap_or_default();
    let mut owners = if manager.subresource.is_some() {
        known
    } else if managed::is_reset(after) {
        Owners::new()
    } else {
        managed::read(after).ok().filter(|owners| !owners.is_empty()).unwrap_or(known)
    };
    managed::strip(after);
    // Whoever has thrown the owners away does not want them back, until the next apply.
    if owners.is_empty() && before.is_some() {
        return;
    }
    let mut old = before.cloned().unwrap_or_else(|| Value::Object(Map::new()));
    managed::strip(&mut old);
    let comparison = compare(&old, after, of, manager.subresource);
    let version = api_version(after).to_owned();
    take_over(&mut owners, comparison, updater(manager, &version), now);
    managed::cap(&mut owners);
    managed::write(after, &owners);
}

/// One configuration that meets one object.
struct Attempt<'a> {
    /// Without its owners.
    live: Value,
    configuration: Value,
    owners: Owners,
    of: &'static Type,
    manager: Manager<'a>,
    now: Timestamp,
}

impl<'a> Attempt<'a> {
    fn new(
        live: Option<&Value>,
        configuration: &Value,
        manager: Manager<'a>,
        now: Timestamp,
    ) -> Result<Self, Refused> {
        let of = topology::of(kind(configuration));
        if !configuration["metadata"]["managedFields"].is_null() {
            return Err(Refused::Malformed("metadata.managedFields must be nil".to_owned()));
        }
        walk::check(configuration, of).map_err(|why| {
            Refused::Malformed(format!("failed to create typed patch object: {why}"))
        })?;
        let mut configuration = configuration.clone();
        if let Some(map) = configuration.as_object_mut() {
            map.retain(|name, _| !is_ignored(name, of, manager.subresource));
        }
        // Clients write `creationTimestamp: null` where they mean nothing by it.
        if let Some(metadata) = configuration.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|_, value| !value.is_null());
        }
        let mut owners = live
            .map_or_else(|| Ok(Owners::new()), managed::read)
            .map_err(|why| Refused::Malformed(format!("failed to decode managed fields: {why}")))?;
        let mut object = live.cloned().unwrap_or_else(|| Value::Object(Map::new()));
        managed::strip(&mut object);
        if owners.is_empty() && live.is_some() {
            let nothing = Value::Object(Map::new());
            let all = compare(&nothing, &object, of, manager.subresource);
            let before = Manager { name: BEFORE_FIRST_APPLY, ..manager };
            let owner = updater(before, api_version(&configuration));
            take_over(&mut owners, all, owner, now);
        }
        Ok(Self { live: object, configuration, owners, of, manager, now })
    }

    fn run(&self, force: bool) -> Result<Value, BTreeMap<Owner, Set>> {
        let owner = Owner {
            manager: self.manager.name.to_owned(),
            operation: Operation::Apply,
            api_version: None,
            subresource: self.manager.subresource.map(str::to_owned),
        };
        let mut owners = self.owners.clone();
        let last = owners.remove(&owner);
        let own = walk::fields(&self.configuration, self.of);
        let merged = walk::merge(&self.live, &self.configuration, self.of);
        let mut new = match &last {
            Some(last) => {
                let pruned = self.prune(&merged, &last.fields, &own, &owners);
                // A map that lost all that was in it may still be applied, as an empty one.
                walk::merge(&pruned, &self.configuration, self.of)
            }
            None => merged,
        };
        let comparison = compare(&self.live, &new, self.of, self.manager.subresource);
        let changed = comparison.modified.union(&comparison.added);
        let conflicts = conflicts(&owners, &changed);
        if !force && !conflicts.is_empty() {
            return Err(conflicts);
        }
        give_up(&mut owners, &changed.union(&comparison.removed));

        drop_nulls(&mut new);
        if self.manager.name == KUBECTL {
            keep_last_applied(&mut new, &self.configuration);
        }
        let fields = own.difference(&of_the_server());
        let time = match last {
            Some(last) if last.fields == fields && new == self.live => last.time,
            Some(_) | None => Some(self.now),
        };
        if !fields.is_empty() {
            let api_version = api_version(&self.configuration).to_owned();
            owners.insert(owner, Owned { fields, api_version, time });
        }
        managed::write(&mut new, &owners);
        Ok(new)
    }

    /// Takes away what the manager applied last time, does not apply now, and nobody else owns.
    fn prune(&self, merged: &Value, last: &Set, own: &Set, others: &Owners) -> Value {
        let last = last.with_parents();
        let all = walk::fields(merged, self.of).with_parents();
        let fields_of = |object: &Value| walk::fields(object, self.of).with_parents();

        let pruned = walk::without(merged, &last, self.of);
        // Back comes what is owned, by whomever.
        let owned = others.values().fold(own.clone(), |all, other| all.union(&other.fields));
        let kept = fields_of(&pruned).union(&owned.with_parents());
        let pruned = walk::without(merged, &all.difference(&kept), self.of);
        // Back comes what was never the manager's to take away.
        let gone = all.difference(&fields_of(&pruned)).intersection(&last);
        walk::without(merged, &gone, self.of)
    }

    /// What a client applied on its own side, and what has not been changed since: of this it may
    /// take over the ownership.
    fn applied_by_client(&self) -> Set {
        let annotation = self.live["metadata"]["annotations"][LAST_APPLIED].as_str();
        let Some(last) = annotation.and_then(|text| serde_json::from_str::<Value>(text).ok())
        else {
            return Set::default();
        };
        if api_version(&last) != api_version(&self.configuration) {
            return Set::default();
        }
        let since = walk::compare(&last, &self.live, self.of);
        walk::fields(&last, self.of)
            .difference(&since.modified)
            .difference(&since.added)
            .difference(&since.removed)
    }
}

/// Whoever updates takes what it changes from all others.
fn take_over(owners: &mut Owners, comparison: Comparison, owner: Owner, now: Timestamp) {
    let changed = comparison.modified.union(&comparison.added);
    give_up(owners, &changed.union(&comparison.removed));
    let changed = changed.difference(&of_the_server());
    if changed.is_empty() {
        return;
    }
    let api_version = owner.api_version.clone().unwrap_or_default();
    let owned = owners.entry(owner).or_insert_with(|| Owned {
        fields: Set::default(),
        api_version,
        time: None,
    });
    owned.fields = owned.fields.union(&changed);
    owned.time = Some(now);
}

fn give_up(owners: &mut Owners, fields: &Set) {
    owners.values_mut().for_each(|owned| owned.fields = owned.fields.difference(fields));
    owners.retain(|_, owned| !owned.fields.is_empty());
}

fn conflicts(owners: &Owners, changed: &Set) -> BTreeMap<Owner, Set> {
    let both =
        owners.iter().map(|(owner, owned)| (owner.clone(), owned.fields.intersection(changed)));
    both.filter(|(_, fields)| !fields.is_empty()).collect()
}

fn conflicts_without(conflicts: &BTreeMap<Owner, Set>, allowed: &Set) -> BTreeMap<Owner, Set> {
    let rest = conflicts.iter().map(|(owner, set)| (owner.clone(), set.difference(allowed)));
    rest.filter(|(_, fields)| !fields.is_empty()).collect()
}

fn listed(conflicts: &BTreeMap<Owner, Set>) -> Conflicts {
    let of = |(owner, fields): (&Owner, &Set)| {
        let message = format!("conflict with {owner}");
        let conflict = move |field| Conflict { message: message.clone(), field };
        fields.paths().into_iter().map(conflict).collect::<Vec<_>>()
    };
    Conflicts(conflicts.iter().flat_map(of).collect())
}

/// Of whoever asks for the subresource `status` only the status counts; of all others it does not.
fn compare(
    before: &Value,
    after: &Value,
    of: &'static Type,
    subresource: Option<&str>,
) -> Comparison {
    let fields = ["spec", "status"].map(|name| [name]);
    let ignored: Vec<&[&str]> = fields
        .iter()
        .filter(|[name]| is_ignored(name, of, subresource))
        .map(<[&str; 1]>::as_slice)
        .collect();
    let ignored = Set::of(&ignored);
    let Comparison { removed, modified, added } = walk::compare(before, after, of);
    Comparison {
        removed: removed.without(&ignored),
        modified: modified.without(&ignored),
        added: added.without(&ignored),
    }
}

fn is_ignored(field: &str, of: &Type, subresource: Option<&str>) -> bool {
    let has_status = of.field("status").is_some();
    field == if subresource == Some("status") { "spec" } else { "status" } && has_status
}

/// What nobody owns: the server sets it, or it names the object.
fn of_the_server() -> Set {
    Set::of(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
}

/// Keeps the annotation true for clients that still go by it, where there is one.
fn keep_last_applied(object: &mut Value, configuration: &Value) {
    let Some(annotation) = object
        .pointer_mut("/metadata/annotations")
        .and_then(|annotations| annotations.get_mut(LAST_APPLIED))
        .filter(|annotation| annotation.as_str().is_some_and(|text| !text.is_empty()))
    else {
        return;
    };
    let mut configuration = configuration.clone();
    if let Some(annotations) = configuration.pointer_mut("/metadata/annotations")
        && let Some(annotations) = annotations.as_object_mut()
    {
        annotations.remove(LAST_APPLIED);
    }
    *annotation = Value::String(format!("{configuration}\n"));
}

fn updater(manager: Manager<'_>, api_version: &str) -> Owner {
    Owner {
        manager: if manager.name.is_empty() { "unknown" } else { manager.name }.to_owned(),
        operation: Operation::Update,
        api_version: Some(api_version.to_owned()),
        subresource: manager.subresource.map(str::to_owned),
    }
}

fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

fn api_version(object: &Value) -> &str {
    object["apiVersion"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod cases;

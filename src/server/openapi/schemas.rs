//! The schemas of the types, from the types themselves.
//!
//! Owns: which type a kind is, and what is added to a schema: its kind, its list, how its lists are
//! merged. Must not know: how v2 and v3 differ; the schemas here have the form of v2.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{SelfSubjectAccessReview, SelfSubjectRulesReview};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Event, Namespace, Node, PersistentVolumeClaim, Pod, Secret, ServiceAccount,
};
use k8s_openapi::api::events::v1::Event as EventsEvent;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ListMeta, Patch, Status};
use k8s_openapi::schemars::generate::SchemaSettings;
use k8s_openapi::schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::Resource;
use super::lists::{ATOMIC, LISTS};

/// Where the references of these schemas lead.
pub(super) const DEFINITIONS: &str = "#/definitions/";

pub(super) const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
pub(super) const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
pub(super) const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
pub(super) const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
pub(super) const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";

const GVK: &str = "x-kubernetes-group-version-kind";

/// The schemas of some resources and of all that these refer to, by name.
pub(super) fn definitions(resources: &[&Resource]) -> Map<String, Value> {
    let mut generator = SchemaSettings::draft07().into_generator();
    let mut kinds = Vec::new();
    for resource in resources {
        if let Some(described) = described(resource) {
            (described.add)(&mut generator);
            kinds.push((described.name, *resource));
        }
    }
    for described in [of::<DeleteOptions>(), of::<ListMeta>(), of::<Patch>(), of::<Status>()] {
        (described.add)(&mut generator);
    }
    let mut definitions = generator.take_definitions(false);

    for (name, resource) in &kinds {
        let schema = object(&mut definitions, name);
        schema.insert(GVK.to_owned(), json!([resource.gvk(resource.kind)]));
        // The types say so since they always have the field; a manifest may do without.
        if let Some(Value::Array(required)) = schema.get_mut("required") {
            required.retain(|field| field != "metadata");
            if required.is_empty() {
                schema.remove("required");
            }
        }
        if resource.can("list") {
            definitions.insert(list_name(name), list_of(name, resource));
        }
    }
    name_the_kinds_of_every_group(&mut definitions, resources);
    say_how_lists_are_merged(&mut definitions);
    definitions
}

/// The name of the schema of a resource.
pub(super) fn name(resource: &Resource) -> Option<String> {
    described(resource).map(|described| described.name)
}

/// The name of the schema of a list of what has this name.
pub(super) fn list_name(name: &str) -> String {
    format!("{name}List")
}

/// A reference to the schema of this name.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("{DEFINITIONS}{name}")})
}

/// A type that has a schema.
struct Described {
    name: String,
    /// Adds it to a generator, with all that it refers to.
    add: fn(&mut SchemaGenerator),
}

fn of<T: JsonSchema>() -> Described {
    let add = |generator: &mut SchemaGenerator| drop(generator.subschema_for::<T>());
    Described { name: T::schema_name().into_owned(), add }
}

/// The type of a resource.
fn described(resource: &Resource) -> Option<Described> {
    Some(match (resource.group, resource.kind) {
        ("", "ConfigMap") => of::<ConfigMap>(),
        ("", "Event") => of::<Event>(),
        ("", "Namespace") => of::<Namespace>(),
        ("", "Node") => of::<Node>(),
        ("", "PersistentVolumeClaim") => of::<PersistentVolumeClaim>(),
        ("", "Pod") => of::<Pod>(),
        ("", "Secret") => of::<Secret>(),
        ("", "ServiceAccount") => of::<ServiceAccount>(),
        ("authentication.k8s.io", "SelfSubjectReview") => of::<SelfSubjectReview>(),
        ("authorization.k8s.io", "SelfSubjectAccessReview") => of::<SelfSubjectAccessReview>(),
        ("authorization.k8s.io", "SelfSubjectRulesReview") => of::<SelfSubjectRulesReview>(),
        ("batch", "CronJob") => of::<CronJob>(),
        ("batch", "Job") => of::<Job>(),
        ("coordination.k8s.io", "Lease") => of::<Lease>(),
        ("events.k8s.io", "Event") => of::<EventsEvent>(),
        _ => return None,
    })
}

/// The types have no schema of their lists.
fn list_of(name: &str, resource: &Resource) -> Value {
    let kind = format!("{}List", resource.kind);
    let list_meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
    json!({
        "description": format!("{kind} is a list of {}.", resource.plural),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"description": "The version of the schema of this list.", "type": "string"},
            "items": {
                "description": format!("The {}.", resource.plural),
                "type": "array",
                "items": reference(name),
            },
            "kind": {"description": "The kind of this list.", "type": "string"},
            "metadata": {
                "description": "Standard list metadata.",
                "$ref": format!("{DEFINITIONS}{list_meta}"),
            },
        },
        GVK: [resource.gvk(&kind)],
    })
}

/// Every group version has a `DeleteOptions`, and the core group a `Status`.
fn name_the_kinds_of_every_group(definitions: &mut Map<String, Value>, resources: &[&Resource]) {
    let mut options: Vec<Value> = Vec::new();
    for resource in resources {
        let gvk = resource.gvk("DeleteOptions");
        if !options.contains(&gvk) {
            options.push(gvk);
        }
    }
    object(definitions, DELETE_OPTIONS).insert(GVK.to_owned(), options.into());
    let status = json!([{"group": "", "kind": "Status", "version": "v1"}]);
    object(definitions, STATUS).insert(GVK.to_owned(), status);
}

fn say_how_lists_are_merged(definitions: &mut Map<String, Value>) {
    for list in LISTS.iter() {
        let Some(field) = field(definitions, list.schema, list.field) else { continue };
        let mut say = |name: &str, value: Value| {
            field.insert(format!("x-kubernetes-{name}"), value);
        };
        if !list.kind.is_empty() {
            say("list-type", list.kind.into());
        }
        if !list.keys.is_empty() {
            say("list-map-keys", json!(list.keys));
        }
        if !list.strategy.is_empty() {
            say("patch-strategy", list.strategy.into());
        }
        if !list.merge_key.is_empty() {
            say("patch-merge-key", list.merge_key.into());
        }
    }
    for (schema, name) in ATOMIC {
        let found = match name {
            "" => definitions.get_mut(schema).and_then(Value::as_object_mut),
            name => field(definitions, schema, name),
        };
        if let Some(found) = found {
            found.insert("x-kubernetes-map-type".to_owned(), "atomic".into());
        }
    }
}

/// The schema of a field, if this document has it.
fn field<'a>(
    definitions: &'a mut Map<String, Value>,
    schema: &str,
    field: &str,
) -> Option<&'a mut Map<String, Value>> {
    definitions.get_mut(schema)?.get_mut("properties")?.get_mut(field)?.as_object_mut()
}

fn object<'a>(definitions: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let schema = definitions.get_mut(name).and_then(Value::as_object_mut);
    schema.expect("the generator has the types that were added to it")
}

#[cfg(test)]
mod tests {
    use super::super::tests::resources;
    use super::*;
    use crate::api::topology::{self, List, Patch};

    #[test]
    fn every_list_that_the_table_names_is_a_field_of_a_type() {
        let resources = resources();
        let mut definitions = definitions(&resources.iter().collect::<Vec<_>>());
        for list in LISTS.iter() {
            // Not all types are of the kinds that are served here.
            if definitions.contains_key(list.schema) {
                let found = field(&mut definitions, list.schema, list.field);
                let found = found.unwrap_or_else(|| panic!("no {}.{}", list.schema, list.field));
                assert_eq!(found["type"], "array", "{}.{}", list.schema, list.field);
            }
        }
    }

    #[test]
    fn lists_are_merged_as_they_are_said_to_be() {
        let mut wrong = Vec::new();
        for of in topology::TYPES {
            for said in LISTS.iter().filter(|list| list.schema == of.name) {
                let done = of.field(said.field);
                let (list, patch) =
                    done.map_or((List::Atomic, Patch::Replace), |f| (f.list, f.patch));
                let keys: Vec<_> = match list {
                    List::Map(keys) => keys.iter().map(|key| key.name).collect(),
                    List::Atomic | List::Set => Vec::new(),
                };
                let done =
                    (list.name(), keys, patch.strategy().unwrap_or(""), patch.key().unwrap_or(""));
                // A list of which nothing is said is applied as a whole.
                let kind = if said.kind.is_empty() { "atomic" } else { said.kind };
                let said_is = (kind, said.keys.to_vec(), said.strategy, said.merge_key);
                if done != said_is {
                    wrong.push(format!("{}.{}: {done:?}, not {said_is:?}", of.name, said.field));
                }
            }
        }
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    }

    #[test]
    fn what_a_reference_names_is_there() {
        let resources = resources();
        let definitions = definitions(&resources.iter().collect::<Vec<_>>());
        let text = Value::Object(definitions.clone()).to_string();
        for reference in text.split(DEFINITIONS).skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(definitions.contains_key(name), "{name}");
        }
    }
}

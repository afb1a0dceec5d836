//! Kinds that are served in more than one version: Events, by the core group and by `events.k8s.io`.
//!
//! Owns: what the fields of an object are called in each. Must not know: who asks for which.
//! <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>

use serde_json::{Map, Value};

/// The version of Events that is not the one they are stored in.
pub const EVENTS: &str = "events.k8s.io/v1";
/// The one that is.
const CORE: &str = "v1";

/// What the same field is called in the core group and in `events.k8s.io`. All others are called alike.
const NAMES: [(&str, &str); 7] = [
    ("count", "deprecatedCount"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("involvedObject", "regarding"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
];

/// An object as it is served in this version.
pub fn served(version: &str, object: Value) -> Value {
    if version == EVENTS { renamed(object, EVENTS) } else { object }
}

/// An object that was sent in this version, as it is stored. A field that this version does not have is
/// none there either.
pub fn stored(version: &str, object: Value) -> Value {
    if version == EVENTS { renamed(object, CORE) } else { object }
}

/// The object with the names of the other version, which is this one.
fn renamed(mut object: Value, version: &str) -> Value {
    if let Value::Object(fields) = &mut object {
        swap(fields, "");
        fields.insert("apiVersion".to_owned(), version.into());
    }
    if let Some(entries) =
        object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut)
    {
        for entry in entries {
            entry["apiVersion"] = version.into();
            if let Some(Value::Object(owned)) = entry.get_mut("fieldsV1") {
                swap(owned, "f:");
            }
        }
    }
    object
}

/// Exchanges the names: what is called as only the other version calls it is then as unknown as before.
fn swap(fields: &mut Map<String, Value>, before: &str) {
    for (core, events) in NAMES {
        let (core, events) = (format!("{before}{core}"), format!("{before}{events}"));
        let taken = (fields.remove(&core), fields.remove(&events));
        fields.extend(taken.0.map(|value| (events, value)));
        fields.extend(taken.1.map(|value| (core, value)));
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Event as Core;
    use k8s_openapi::api::events::v1::Event as Events;
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {
                "name": "e", "managedFields": [{
                    "apiVersion": "v1", "fieldsType": "FieldsV1", "manager": "m", "operation": "Update",
                    "fieldsV1": {"f:message": {}, "f:involvedObject": {"f:name": {}}, "f:type": {}},
                }],
            },
            "action": "a", "count": 2, "eventTime": "2026-01-01T00:00:00.000000Z",
            "firstTimestamp": "2026-01-01T00:00:00Z", "involvedObject": {"name": "pi"},
            "lastTimestamp": "2026-01-01T00:00:01Z", "message": "text", "reason": "Why",
            "related": {"name": "r"}, "reportingComponent": "c", "reportingInstance": "i",
            "series": {"count": 3, "lastObservedTime": "2026-01-01T00:00:02.000000Z"},
            "source": {"component": "c"}, "type": "Normal",
        })
    }

    #[test]
    fn an_event_is_the_same_in_both_versions() {
        let served = served(EVENTS, event());
        assert_eq!(served["apiVersion"], EVENTS);
        assert_eq!((&served["note"], &served["regarding"]["name"]), (&json!("text"), &json!("pi")));
        let owned = &served["metadata"]["managedFields"][0];
        assert_eq!(
            owned["fieldsV1"],
            json!({"f:note": {}, "f:regarding": {"f:name": {}}, "f:type": {}})
        );
        assert_eq!(owned["apiVersion"], EVENTS);
        // No field is lost on the way: each version's own type reads all of them.
        let read: Events = serde_json::from_value(served.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), served);
        let read: Core = serde_json::from_value(event()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), event());
        assert_eq!(stored(EVENTS, served), event());
    }

    #[test]
    fn other_versions_are_left_as_they_are() {
        assert_eq!((served("v1", event()), stored("v1", event())), (event(), event()));
    }

    #[test]
    fn what_only_the_other_version_has_stays_unknown() {
        let stored = stored(EVENTS, json!({"message": "x"}));
        assert_eq!(stored, json!({"apiVersion": "v1", "note": "x"}));
    }
}

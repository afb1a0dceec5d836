//! What remains of a pod that is gone.
//!
//! Owns: what of it is worth keeping: whose it was, what ran in it, how that ended; and since when it is
//! gone. Must not know: where it is kept, or for how long.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// What a client keeps in an annotation for itself, as long as the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The pod, without what only concerned those who ran it.
pub fn remains(pod: &Value) -> Value {
    let mut metadata = part(
        &pod["metadata"],
        &[
            "name",
            "namespace",
            "uid",
            "labels",
            "annotations",
            "ownerReferences",
            "creationTimestamp",
            "deletionTimestamp",
        ],
    );
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    let mut spec = part(&pod["spec"], &["nodeName", "restartPolicy"]);
    for list in ["initContainers", "containers"] {
        if let Some(containers) = pod["spec"][list].as_array() {
            let fields = ["name", "image", "command", "args", "restartPolicy"];
            let kept = containers.iter().map(|container| Value::Object(part(container, &fields)));
            spec.insert(list.to_owned(), kept.collect());
        }
    }
    let mut all = part(pod, &["kind", "apiVersion", "status"]);
    all.insert("metadata".to_owned(), metadata.into());
    all.insert("spec".to_owned(), spec.into());
    all.into()
}

/// Since when a pod is gone, as far as it says: when it was to go, or what ran in it ended, whichever
/// came last.
pub fn gone_since(pod: &Value) -> Timestamp {
    let time = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let metadata = &pod["metadata"];
    let told = ["creationTimestamp", "deletionTimestamp"].map(|field| time(&metadata[field]));
    let lists = ["initContainerStatuses", "containerStatuses"];
    let statuses = lists.iter().filter_map(|list| pod["status"][*list].as_array()).flatten();
    let ended = statuses.map(|status| time(&status["state"]["terminated"]["finishedAt"]));
    told.into_iter().chain(ended).flatten().max().unwrap_or(Timestamp::UNIX_EPOCH)
}

fn part(value: &Value, fields: &[&str]) -> Map<String, Value> {
    let there = fields.iter().filter_map(|field| Some((*field, value.get(field)?)));
    there.map(|(field, value)| (field.to_owned(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_tells_how_a_pod_ended_remains() {
        let status = json!({"phase": "Failed", "containerStatuses": [{
            "name": "a", "state": {"terminated": {
                "exitCode": 3, "finishedAt": "2026-01-01T00:00:09Z",
            }},
        }]});
        let pod = json!({
            "metadata": {
                "name": "p", "uid": "u", "labels": {"a": "b"}, "managedFields": [{}],
                "annotations": {LAST_APPLIED: "{}", "x": "y"},
                "deletionTimestamp": "2026-01-01T00:00:05Z",
            },
            "spec": {
                "containers": [{"name": "a", "image": "i", "env": [{"name": "E"}]}],
                "volumes": [{"name": "v"}], "nodeName": "here",
            },
            "status": status,
        });
        let expected = json!({
            "metadata": {
                "name": "p", "uid": "u", "labels": {"a": "b"}, "annotations": {"x": "y"},
                "deletionTimestamp": "2026-01-01T00:00:05Z",
            },
            "spec": {"containers": [{"name": "a", "image": "i"}], "nodeName": "here"},
            "status": status,
        });
        assert_eq!(remains(&pod), expected);
        assert_eq!(gone_since(&expected).to_string(), "2026-01-01T00:00:09Z");
        assert_eq!(gone_since(&json!({})), Timestamp::UNIX_EPOCH);
    }
}

//! A Job whose manifest says what cannot be changed.
//!
//! Owns: telling which field that is, and putting a new Job in the place of one that is over. Must not know:
//! why a field cannot be changed.

use http::Method;
use serde_json::{Value, json};

use super::manifests::Named;
use super::remote::{Error, FIELD_MANAGER, JSON, Observer, Remote, query};
use super::targets::Target;

/// A value is shown up to so many characters.
const SHOWN_MAX: usize = 60;

/// The refusal of a change, in one line that names the field.
pub(super) fn refusal(named: &Named, live: &Value, error: Error, rerun: bool) -> Error {
    let fields = error.immutable_fields();
    let Some(field) = fields.first() else { return error };
    let pointer = format!("/{}", field.replace('.', "/"));
    let (wanted, held) = (named.object.pointer(&pointer), live.pointer(&pointer));
    let change =
        wanted.and_then(|wanted| first_change(field, wanted, held.unwrap_or(&Value::Null)));
    let change = change.unwrap_or_else(|| (*field).to_owned());
    let cure = match (is_over(live), rerun) {
        (true, _) => "`kiln apply --rerun` replaces the Job, which is over",
        (false, false) => "delete the Job first, or wait for its end and use `kiln apply --rerun`",
        (false, true) => "`--rerun` replaces a Job only when it is over: wait for it, or delete it",
    };
    let name = named.name();
    Error::failed(format!(
        "the Job {name:?} cannot become so: {change}: field is immutable; {cure}"
    ))
}

/// Whether the Job is complete or has failed.
pub(super) fn is_over(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| {
        condition["status"] == "True"
            && ["Complete", "Failed"].iter().any(|kind| condition["type"] == *kind)
    })
}

/// What would stand in the place of a Job, as the server has it; an error if it would be refused.
pub(super) async fn try_out(
    remote: &Remote,
    target: &Target,
    wanted: &Value,
) -> Result<Value, Error> {
    let parameters =
        [("fieldManager", FIELD_MANAGER), ("fieldValidation", "Strict"), ("dryRun", "All")];
    let tried = target.list() + &query(&parameters);
    match remote.send(Method::POST, &tried, JSON, wanted).await {
        // All else is looked at before the name is.
        Err(error) if error.is_already_there() => Ok(wanted.clone()),
        tried => tried,
    }
}

/// Deletes a Job that is over, unless what is to stand in its place would be refused.
pub(super) async fn make_room(
    remote: &Remote,
    target: &Target,
    wanted: &Value,
    live: &Value,
) -> Result<(), Error> {
    try_out(remote, target, wanted).await?;
    let meta = &live["metadata"];
    let options = json!({
        "kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background",
        "preconditions": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]},
    });
    remote.send(Method::DELETE, &target.path(), JSON, &options).await?;
    let mut observer = Observer::within(remote, &target.resource, &target.namespace, &target.name);
    while let Some(object) = observer.next().await? {
        if object["metadata"]["uid"] != meta["uid"] {
            break;
        }
    }
    Ok(())
}

/// The first field that a manifest says otherwise.
fn first_change(path: &str, wanted: &Value, held: &Value) -> Option<String> {
    match (wanted, held) {
        (Value::Object(wanted), Value::Object(held)) => wanted.iter().find_map(|(name, wanted)| {
            let held = held.get(name).unwrap_or(&Value::Null);
            first_change(&format!("{path}.{name}"), wanted, held)
        }),
        (Value::Array(wanted), Value::Array(held)) if wanted.len() == held.len() => {
            let pairs = wanted.iter().zip(held).enumerate();
            let mut changes = pairs.filter_map(|(index, (wanted, held))| {
                first_change(&format!("{path}[{index}]"), wanted, held)
            });
            changes.next()
        }
        (wanted, held) if wanted == held => None,
        (wanted, held) => Some(format!("{path}: {} is to become {}", shown(held), shown(wanted))),
    }
}

fn shown(value: &Value) -> String {
    let text = if value.is_null() { "nothing".to_owned() } else { value.to_string() };
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_field_that_differs_is_named_with_both_values() {
        let held = json!({"containers": [{"image": "a:1", "name": "m", "tty": false}], "x": 1});
        let change = |wanted: Value| first_change("spec", &wanted, &held);
        assert_eq!(
            change(json!({"containers": [{"image": "a:2", "name": "m"}]})).unwrap(),
            "spec.containers[0].image: \"a:1\" is to become \"a:2\""
        );
        assert_eq!(change(json!({"y": "z"})).unwrap(), "spec.y: nothing is to become \"z\"");
        let more = change(json!({"containers": []})).unwrap();
        assert!(more.starts_with("spec.containers: [{") && more.ends_with("is to become []"));
        assert_eq!(change(json!({"x": 1})), None);
    }

    #[test]
    fn a_job_is_over_when_a_final_condition_is_true() {
        let job = |kind: &str, status: &str| json!({"status": {"conditions": [{"type": kind, "status": status}]}});
        assert!(is_over(&job("Complete", "True")) && is_over(&job("Failed", "True")));
        assert!(!is_over(&job("Failed", "False")) && !is_over(&job("Suspended", "True")));
        assert!(!is_over(&json!({})));
    }
}

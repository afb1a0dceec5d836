//! Strategic merge patch: a merge patch that knows by which keys lists are merged.
//!
//! Owns: the merge, and the directives by which a patch says more than a merge patch can:
//! `$patch`, `$retainKeys`, `$deleteFromPrimitiveList/<list>`, `$setElementOrder/<list>`.
//! Must not know: which keys there are.
//! <https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/>

use serde_json::{Map, Value};

use super::Error;
use crate::api::topology::{PLAIN, Patch, Type};

/// `replace`, `delete` or, in a list, an element to be deleted.
const PATCH: &str = "$patch";
/// The fields that a map may have; others go.
const RETAIN: &str = "$retainKeys";
/// Values that go from a list of plain values.
const DELETE: &str = "$deleteFromPrimitiveList/";
/// The order of a list, of which the patch may tell but a part.
const ORDER: &str = "$setElementOrder/";

type Object = Map<String, Value>;

/// What the patch makes of an object of this type. Nulls remove, and none are left.
pub fn apply(document: &Value, patch: &Value, of: &Type) -> Result<Value, Error> {
    let (Value::Object(document), Value::Object(patch)) = (document, patch) else {
        return Err(malformed("invalid JSON document"));
    };
    let mut patched = Value::Object(merge_maps(document.clone(), patch.clone(), of)?);
    drop_nulls(&mut patched);
    Ok(patched)
}

/// Takes the fields that are null out of all maps: the API has no nulls.
pub fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn merge_maps(mut original: Object, mut patch: Object, of: &Type) -> Result<Object, Error> {
    if let Some(directive) = patch.remove(PATCH) {
        return match directive.as_str() {
            Some("replace") => Ok(patch),
            Some("delete") => Ok(Object::new()),
            Some(_) | None => Err(unknown_directive(&directive, patch)),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    set_orders(&mut original, &mut patch, of)?;
    for (name, change) in patch {
        match name.strip_prefix(DELETE) {
            Some(list) => delete_values(&mut original, list, &change)?,
            None => merge_field(&mut original, name, change, of)?,
        }
    }
    Ok(original)
}

fn merge_field(original: &mut Object, name: String, change: Value, of: &Type) -> Result<(), Error> {
    let merged = match (original.remove(&name), change) {
        (_, Value::Null) => None,
        (Some(Value::Object(old)), Value::Object(new)) => {
            Some(Value::Object(merge_maps(old, new, shape(of, &name).1)?))
        }
        (Some(Value::Array(old)), Value::Array(new)) => {
            let (patch, of) = shape(of, &name);
            Some(Value::Array(merge_lists(old, new, patch, of)?))
        }
        (Some(_) | None, new) => without_directives(new),
    };
    if let Some(merged) = merged {
        original.insert(name, merged);
    }
    Ok(())
}

/// How the field is merged, and what it is made of.
fn shape(of: &Type, name: &str) -> (Patch, &'static Type) {
    of.field(name).map_or((Patch::Replace, &PLAIN), |field| (field.patch, field.of))
}

fn merge_lists(
    original: Vec<Value>,
    patch: Vec<Value>,
    strategy: Patch,
    of: &Type,
) -> Result<Vec<Value>, Error> {
    if strategy == Patch::Replace {
        return Ok(patch);
    }
    same_types(&original, &patch)?;
    let order = patch.clone();
    let (merged, original) = match strategy.key() {
        Some(key) => merge_elements(original, patch, key, of)?,
        None => (merge_values(&original, patch), original),
    };
    arrange(merged, &order, &original, strategy.key())
}

fn merge_values(original: &[Value], patch: Vec<Value>) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::with_capacity(original.len() + patch.len());
    for value in original.iter().cloned().chain(patch) {
        if !merged.contains(&value) {
            merged.push(value);
        }
    }
    merged
}

/// The elements of both, those of the same key merged; and the list whose order the server knows.
fn merge_elements(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
    of: &Type,
) -> Result<(Vec<Value>, Vec<Value>), Error> {
    let mut replaces = false;
    let mut changes = Vec::new();
    for element in patch {
        let Value::Object(element) = element else { return Err(not_a_map(&element)) };
        match element.get(PATCH) {
            None => changes.push(element),
            Some(Value::String(directive)) if directive == "replace" => replaces = true,
            Some(Value::String(directive)) if directive == "delete" => {
                let Some(gone) = element.get(key).cloned() else {
                    return Err(no_merge_key(element, key));
                };
                original.retain(|old| old.get(key) != Some(&gone));
            }
            Some(Value::String(directive)) if directive == "merge" => {
                let why = "merging lists cannot yet be specified in the patch";
                return Err(Error::DoesNotApply(why.to_owned()));
            }
            Some(directive) => return Err(unknown_directive(&directive.clone(), element)),
        }
    }
    if replaces {
        let new: Vec<Value> = changes.into_iter().map(Value::Object).collect();
        return Ok((new.clone(), new));
    }
    let known = original.clone();
    for change in changes {
        let Some(wanted) = change.get(key) else { return Err(no_merge_key(change, key)) };
        match original.iter_mut().find(|old| old.get(key) == Some(wanted)) {
            Some(Value::Object(old)) => *old = merge_maps(std::mem::take(old), change, of)?,
            Some(other) => return Err(not_a_map(other)),
            None => original.extend(without_directives(Value::Object(change))),
        }
    }
    Ok((original, known))
}

fn delete_values(original: &mut Object, list: &str, gone: &Value) -> Result<(), Error> {
    if list.is_empty() {
        return Err(malformed("invalid patch format of primitive list"));
    }
    let Value::Array(gone) = gone else {
        return Err(malformed("invalid patch format of primitive list"));
    };
    if let Some(Value::Array(values)) = original.get_mut(list) {
        values.retain(|value| !gone.contains(value));
    }
    Ok(())
}

fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), Error> {
    let wrong = || malformed("invalid patch format of retainKeys");
    let Some(kept) = patch.remove(RETAIN) else { return Ok(()) };
    let Value::Array(kept) = kept else { return Err(wrong()) };
    let kept: Vec<&str> = kept.iter().filter_map(Value::as_str).collect();
    for (name, value) in &*patch {
        let directive = name.starts_with(DELETE) || name.starts_with(ORDER);
        if !directive && !value.is_null() && !kept.contains(&name.as_str()) {
            return Err(wrong());
        }
    }
    original.retain(|name, _| kept.contains(&name.as_str()));
    Ok(())
}

/// Merges the lists whose order the patch sets, and takes them out of the patch.
fn set_orders(original: &mut Object, patch: &mut Object, of: &Type) -> Result<(), Error> {
    let ordered: Vec<String> = patch.keys().filter(|k| k.starts_with(ORDER)).cloned().collect();
    for directive in ordered {
        let wrong = || malformed("invalid patch format of setElementOrder list");
        let list = &directive[ORDER.len()..];
        let Some(Value::Array(order)) = patch.remove(&directive) else { return Err(wrong()) };
        if list.is_empty() {
            return Err(wrong());
        }
        // A change of the list to null, or to something else, is none of the order's business.
        if patch.get(list).is_some_and(|change| !change.is_array()) {
            continue;
        }
        let known = match original.remove(list) {
            Some(Value::Array(known)) => Some(known),
            Some(other) => {
                original.insert(list.to_owned(), other);
                continue;
            }
            None => None,
        };
        let changes = match patch.remove(list) {
            Some(Value::Array(changes)) => Some(changes),
            Some(_) | None => None,
        };
        if known.is_none() && changes.is_none() {
            continue;
        }
        let (strategy, of) = shape(of, list);
        let server_order = server_order(
            known.as_deref().unwrap_or_default(),
            changes.as_deref().unwrap_or_default(),
            strategy.key(),
        );
        check_order(changes.as_deref().unwrap_or_default(), &order, strategy.key())?;
        let merged = match changes {
            Some(changes) => merge_lists(known.unwrap_or_default(), changes, strategy, of)?,
            None => known.unwrap_or_default(),
        };
        let arranged = arrange(merged, &order, &server_order, strategy.key())?;
        original.insert(list.to_owned(), Value::Array(arranged));
    }
    Ok(())
}

/// Where the server has the elements, by which those that the patch does not name find their place.
/// What is added takes the places of what is deleted: so it is in Kubernetes, and clients see it.
fn server_order(known: &[Value], changes: &[Value], key: Option<&str>) -> Vec<Value> {
    let deleted = |value: &&Value| {
        let gone =
            |change: &Value| change.get(PATCH).is_some_and(|directive| directive == "delete");
        changes.iter().any(|change| gone(change) && same(change, value, key))
    };
    let added = |change: &&Value| {
        change.get(PATCH).is_none() && !known.iter().any(|value| same(value, change, key))
    };
    let kept = known.iter().filter(|value| !deleted(value));
    kept.chain(changes.iter().filter(added)).take(known.len()).cloned().collect()
}

/// The elements of the patch are of the order that it sets, and stand in it.
fn check_order(changes: &[Value], order: &[Value], key: Option<&str>) -> Result<(), Error> {
    if order.is_empty() {
        return Ok(());
    }
    let mut rest = order.iter();
    for change in changes.iter().filter(|change| change.get(PATCH).is_none()) {
        if key.is_some_and(|key| change.get(key).is_none()) {
            let map = change.as_object().cloned().unwrap_or_default();
            return Err(no_merge_key(map, key.unwrap_or_default()));
        }
        if !rest.any(|ordered| same(ordered, change, key)) {
            return Err(Error::DoesNotApply(format!(
                "The order in patch list:\n{}\n doesn't match {} list:\n{}\n",
                shown(&Value::from(changes)),
                ORDER.trim_end_matches('/'),
                shown(&Value::from(order)),
            )));
        }
    }
    Ok(())
}

/// Puts those that the patch names in its order, and the others where the server had them, which is
/// before the first of the patch's that they were before.
fn arrange(
    merged: Vec<Value>,
    order: &[Value],
    server_order: &[Value],
    key: Option<&str>,
) -> Result<Vec<Value>, Error> {
    if let Some(key) = key
        && let Some(Value::Object(map)) = merged.iter().find(|value| value.get(key).is_none())
    {
        return Err(no_merge_key(map.clone(), key));
    }
    let place = |list: &[Value], value: &Value| list.iter().position(|v| same(v, value, key));
    let (mut named, mut others): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|value| place(order, value).is_some());
    named.sort_by_key(|value| place(order, value));
    others.sort_by_key(|value| place(server_order, value));

    let mut arranged = Vec::with_capacity(named.len() + others.len());
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    while let (Some(left), Some(right)) = (others.peek(), named.peek()) {
        let places = place(server_order, left).zip(place(server_order, right));
        let before = places.is_some_and(|(left, right)| left < right);
        arranged.extend(if before { others.next() } else { named.next() });
    }
    arranged.extend(others);
    arranged.extend(named);
    Ok(arranged)
}

fn same(a: &Value, b: &Value, key: Option<&str>) -> bool {
    match key {
        None => a == b,
        Some(key) => a.get(key).is_some() && a.get(key) == b.get(key),
    }
}

/// What a patch adds where nothing was: a map with a directive has nothing to act on.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(PATCH) => None,
        Value::Object(map) => {
            let directive =
                |name: &str| name == RETAIN || name.starts_with(DELETE) || name.starts_with(ORDER);
            let kept = map.into_iter().filter(|(name, _)| !directive(name));
            Some(kept.filter_map(|(name, v)| Some((name, without_directives(v)?))).collect())
        }
        Value::Array(list) => Some(list.into_iter().filter_map(without_directives).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => Some(plain),
    }
}

/// A list is of maps, or of plain values.
fn same_types(original: &[Value], patch: &[Value]) -> Result<(), Error> {
    let mut all = original.iter().chain(patch);
    if all.clone().any(Value::is_array) {
        return Err(Error::DoesNotApply("lists of lists are not supported".to_owned()));
    }
    let maps = all.clone().next().is_some_and(Value::is_object);
    if all.any(|value| value.is_object() != maps) {
        let lists = Value::from(vec![Value::from(original), Value::from(patch)]);
        let why = format!("list element types are not identical: {}", shown(&lists));
        return Err(Error::DoesNotApply(why));
    }
    Ok(())
}

fn malformed(why: &str) -> Error {
    Error::Malformed(why.to_owned())
}

fn not_a_map(value: &Value) -> Error {
    Error::DoesNotApply(format!("value {} is not a map", shown(value)))
}

fn no_merge_key(map: Object, key: &str) -> Error {
    let map = shown(&Value::Object(map));
    Error::DoesNotApply(format!("map: {map} does not contain declared merge key: {key}"))
}

fn unknown_directive(directive: &Value, mut map: Object) -> Error {
    map.insert(PATCH.to_owned(), directive.clone());
    let map = shown(&Value::Object(map));
    Error::DoesNotApply(format!("unknown patch type: {} in map: {map}", shown(directive)))
}

/// A value as the API server of Kubernetes, which is written in Go, prints it.
fn shown(value: &Value) -> String {
    let join = |parts: Vec<String>| parts.join(" ");
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", join(list.iter().map(shown).collect())),
        Value::Object(map) => {
            let fields = map.iter().map(|(name, value)| format!("{name}:{}", shown(value)));
            format!("map[{}]", join(fields.collect()))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::api::patch::merge;
    use crate::api::topology::{JOB, POD};

    fn patched(document: Value, patch: Value) -> Value {
        apply(&document, &patch, &POD).unwrap()
    }

    fn spec(spec: Value) -> Value {
        json!({"spec": spec})
    }

    #[test]
    fn containers_and_what_is_in_them_are_merged_by_their_keys() {
        let pod = spec(json!({
            "containers": [
                {"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}], "args": ["x"]},
                {"name": "b", "image": "b:1"},
            ],
            "tolerations": [{"key": "k"}],
        }));
        let patch = spec(json!({
            "containers": [
                {"name": "a", "env": [{"name": "Y", "value": "2"}], "args": ["y"],
                 "volumeMounts": [{"mountPath": "/m", "name": "v"}]},
                {"name": "c", "image": "c:1"},
            ],
            "tolerations": [{"key": "l"}],
        }));
        let expected = spec(json!({
            "containers": [
                {"name": "a", "image": "a:1", "args": ["y"],
                 "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}],
                 "volumeMounts": [{"mountPath": "/m", "name": "v"}]},
                {"name": "c", "image": "c:1"},
                {"name": "b", "image": "b:1"},
            ],
            "tolerations": [{"key": "l"}],
        }));
        let merged = patched(pod.clone(), patch);
        // Those that the patch does not name stay where they were before what it adds.
        let names = |pod: &Value| {
            let list = pod["spec"]["containers"].as_array().unwrap().clone();
            list.into_iter().map(|c| c["name"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&merged), names(&expected));
        assert_eq!(merged, expected);
    }

    #[test]
    fn a_pod_template_inside_a_job_is_merged_as_a_pod_is() {
        let wrap =
            |containers: Value| json!({"spec": {"template": {"spec": {"containers": containers}}}});
        let job = wrap(json!([{"name": "a", "image": "1", "ports": [{"containerPort": 80}]}]));
        let patch = wrap(json!([{"name": "a", "ports": [{"containerPort": 80, "name": "http"}]}]));
        let expected = json!([
            {"name": "a", "image": "1", "ports": [{"containerPort": 80, "name": "http"}]},
        ]);
        assert_eq!(apply(&job, &patch, &JOB).unwrap(), wrap(expected));
    }

    #[test]
    fn null_removes_a_field_and_a_directive_removes_an_element() {
        let pod = spec(json!({
            "nodeName": "n",
            "containers": [{"name": "a", "image": "1"}, {"name": "b"}],
        }));
        let patch = spec(json!({
            "nodeName": null,
            "containers": [{"name": "a", "image": null}, {"name": "b", "$patch": "delete"}],
        }));
        assert_eq!(patched(pod, patch), spec(json!({"containers": [{"name": "a"}]})));
    }

    #[test]
    fn a_directive_replaces_a_map_or_a_list_as_a_whole() {
        let pod = json!({
            "metadata": {"labels": {"a": "1", "b": "2"}},
            "spec": {"containers": [{"name": "a"}, {"name": "b"}]},
        });
        let patch = json!({
            "metadata": {"labels": {"$patch": "replace", "c": "3"}},
            "spec": {"containers": [{"name": "c"}, {"$patch": "replace"}]},
        });
        let expected = json!({
            "metadata": {"labels": {"c": "3"}},
            "spec": {"containers": [{"name": "c"}]},
        });
        assert_eq!(patched(pod.clone(), patch), expected);
        let emptied = patched(pod, json!({"metadata": {"labels": {"$patch": "delete"}}}));
        assert_eq!(emptied["metadata"]["labels"], json!({}));
    }

    #[test]
    fn finalizers_are_added_and_deleted_one_by_one() {
        let pod = json!({"metadata": {"finalizers": ["a", "b"]}});
        let added = patched(pod.clone(), json!({"metadata": {"finalizers": ["c", "a"]}}));
        assert_eq!(added["metadata"]["finalizers"], json!(["c", "a", "b"]));
        let gone = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a", "x"]}});
        assert_eq!(patched(pod, gone)["metadata"]["finalizers"], json!(["b"]));
    }

    #[test]
    fn an_order_is_set_for_what_the_patch_knows_of_a_list() {
        let pod = spec(json!({"containers": [{"name": "a"}, {"name": "mine"}, {"name": "b"}]}));
        let patch = spec(json!({
            "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}, {"name": "c"}],
            "containers": [{"name": "c", "image": "1"}],
        }));
        let expected = json!([
            {"name": "mine"}, {"name": "b"}, {"name": "a"}, {"name": "c", "image": "1"},
        ]);
        assert_eq!(patched(pod.clone(), patch)["spec"]["containers"], expected);

        let mismatch = spec(json!({
            "$setElementOrder/containers": [{"name": "a"}, {"name": "b"}],
            "containers": [{"name": "b"}, {"name": "a"}],
        }));
        let refusal = apply(&pod, &mismatch, &POD).unwrap_err().to_string();
        assert!(refusal.starts_with("The order in patch list:\n[map[name:b]"), "{refusal}");
        assert!(refusal.contains("doesn't match $setElementOrder list:\n[map[name:a]"));
    }

    #[test]
    fn a_volume_keeps_only_the_source_that_the_patch_retains() {
        let pod = spec(json!({"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]}));
        let change = |retained: Value| {
            let volume = json!({"name": "v", "hostPath": {"path": "/"}, "$retainKeys": retained});
            apply(&pod, &spec(json!({"volumes": [volume]})), &POD)
        };
        let expected = json!([{"name": "v", "hostPath": {"path": "/"}}]);
        assert_eq!(change(json!(["name", "hostPath"])).unwrap()["spec"]["volumes"], expected);
        for wrong in [json!(["name"]), json!("name")] {
            let refusal = change(wrong).unwrap_err();
            assert_eq!(refusal, Error::Malformed("invalid patch format of retainKeys".to_owned()));
        }
    }

    #[test]
    fn what_is_added_has_no_directives_and_no_nulls() {
        let patch = spec(json!({
            "containers": [{
                "name": "a", "image": null,
                "$setElementOrder/env": [{"name": "X"}],
                "env": [{"name": "X"}, {"name": "Y", "$patch": "delete"}],
            }],
        }));
        let expected = spec(json!({"containers": [{"name": "a", "env": [{"name": "X"}]}]}));
        assert_eq!(patched(spec(json!({})), patch.clone()), expected);
        assert_eq!(patched(spec(json!({"containers": []})), patch), expected);
    }

    #[test]
    fn a_patch_that_makes_no_sense_is_refused_in_the_words_of_kubernetes() {
        let pod = spec(json!({"containers": [{"name": "a"}]}));
        for (patch, expected) in [
            (
                json!([{"image": "1"}]),
                "map: map[image:1] does not contain declared merge key: name",
            ),
            (
                json!([{"$patch": "delete"}]),
                "map: map[$patch:delete] does not contain declared merge key: name",
            ),
            (
                json!([{"name": "a", "$patch": "odd"}]),
                "unknown patch type: odd in map: map[$patch:odd name:a]",
            ),
            (json!(["a"]), "list element types are not identical: [[map[name:a]] [a]]"),
            (json!([["a"]]), "lists of lists are not supported"),
        ] {
            let refusal = apply(&pod, &spec(json!({"containers": patch})), &POD).unwrap_err();
            assert_eq!(refusal.to_string(), expected);
        }
        let odd = apply(&pod, &json!({"spec": {"$patch": "odd"}}), &POD).unwrap_err();
        assert_eq!(odd.to_string(), "unknown patch type: odd in map: map[$patch:odd]");
        assert!(apply(&pod, &json!([]), &POD).is_err());
    }

    proptest! {
        #[test]
        fn where_there_are_no_keys_it_is_a_merge_patch(
            before in merge::tests::document(), after in merge::tests::document(),
        ) {
            let patch = merge::between(&before, &after);
            prop_assert_eq!(apply(&before, &patch, &POD).unwrap(), merge::apply(before, &patch));
        }

        #[test]
        fn a_patch_done_twice_is_done_once(
            names in prop::collection::vec("[a-d]", 0..4), more in prop::collection::vec("[a-f]", 0..4),
        ) {
            let list = |names: &[String]| {
                let mut names = names.to_vec();
                names.sort();
                names.dedup();
                let list: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
                json!({"spec": {"containers": list}})
            };
            let (pod, patch) = (list(&names), list(&more));
            let once = apply(&pod, &patch, &POD).unwrap();
            prop_assert_eq!(&apply(&once, &patch, &POD).unwrap(), &once);
        }
    }
}

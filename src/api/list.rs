//! Lists of objects, as a manifest or a server writes them.
//!
//! Owns: what is a list, and its items. Must not know: what is in them.

use serde_json::Value;

/// The items of a list, each with the kind that the list says all of them have.
pub(super) fn items(list: &mut Value) -> Option<Vec<Value>> {
    let of = list.get("kind")?.as_str()?.strip_suffix("List")?.to_owned();
    let version = list.get("apiVersion").cloned();
    let Some(Value::Array(items)) = list.get_mut("items") else { return None };
    let mut items = std::mem::take(items);
    for item in items.iter_mut().filter_map(Value::as_object_mut).filter(|_| !of.is_empty()) {
        item.entry("kind").or_insert_with(|| of.clone().into());
        if let Some(version) = &version {
            item.entry("apiVersion").or_insert_with(|| version.clone());
        }
    }
    Some(items)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn items_are_of_the_kind_of_their_list() {
        let mut maps = json!({
            "apiVersion": "v1", "kind": "ConfigMapList", "items": [{"metadata": {"name": "m"}}],
        });
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}});
        assert_eq!(items(&mut maps), Some(vec![map]));
        let mut any = json!({"kind": "List", "items": [{"kind": "Job"}]});
        assert_eq!(items(&mut any), Some(vec![json!({"kind": "Job"})]));
        let mut other = json!({"kind": "Job", "items": []});
        assert_eq!(items(&mut other), None);
    }
}

//! Appliers and updaters, as they meet on one object.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Conflict, Conflicts, Manager, Refused, apply, record_update};

const ANN: Manager<'_> = Manager { name: "ann", subresource: None };
const BOB: Manager<'_> = Manager { name: "bob", subresource: None };
const KUBECTL: Manager<'_> = Manager { name: "kubectl", subresource: None };

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn job(spec: Value) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "pi"}, "spec": spec})
}

fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data})
}

fn template(containers: Value) -> Value {
    json!({"template": {"spec": {"containers": containers}}})
}

/// What the manager owns by the operation.
fn owned(object: &Value, manager: &str, operation: &str) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let of = |entry: &&Value| entry["manager"] == manager && entry["operation"] == operation;
    entries.iter().find(of).map_or(Value::Null, |entry| entry["fieldsV1"].clone())
}

fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"].as_object_mut().unwrap().remove("managedFields");
    object
}

fn conflicts(result: Result<Value, Refused>) -> Conflicts {
    match result {
        Err(Refused::Conflicts(conflicts)) => conflicts,
        other => panic!("no conflict: {other:?}"),
    }
}

#[test]
fn an_object_that_is_applied_for_the_first_time_is_created_and_owned() {
    let configuration = job(json!({"parallelism": 2, "template": {
        "metadata": {"labels": {"app": "pi"}},
        "spec": {"containers": [{"name": "a", "image": "b", "ports": [{"containerPort": 80}]}]},
    }}));
    let made = apply(None, &configuration, ANN, false, at(0)).unwrap();
    assert_eq!(bare(&made), configuration);
    let entry = json!({
        "apiVersion": "batch/v1", "manager": "ann", "operation": "Apply",
        "time": "1970-01-01T00:00:00Z", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {
            "f:parallelism": {},
            "f:template": {
                "f:metadata": {"f:labels": {"f:app": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {
                    ".": {}, "f:name": {}, "f:image": {},
                    "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {
                        ".": {}, "f:containerPort": {},
                    }},
                }}},
            },
        }},
    });
    assert_eq!(made["metadata"]["managedFields"], json!([entry]));
}

#[test]
fn a_field_that_is_no_longer_applied_goes_unless_somebody_else_owns_it() {
    let first = config_map(json!({"mine": "1", "ours": "1", "stays": "1"}));
    let live = apply(None, &first, ANN, false, at(0)).unwrap();
    let theirs = config_map(json!({"ours": "1", "theirs": "1"}));
    let live = apply(Some(&live), &theirs, BOB, false, at(1)).unwrap();
    let live = apply(Some(&live), &config_map(json!({"stays": "1"})), ANN, false, at(2)).unwrap();
    assert_eq!(live["data"], json!({"ours": "1", "stays": "1", "theirs": "1"}));
    assert_eq!(owned(&live, "ann", "Apply"), json!({"f:data": {"f:stays": {}}}));
    let live = apply(Some(&live), &config_map(json!({})), BOB, false, at(3)).unwrap();
    assert_eq!(live["data"], json!({"stays": "1"}));
}

#[test]
fn elements_of_a_list_go_with_their_applier() {
    let both = job(template(json!([{"name": "a", "image": "1"}, {"name": "b", "image": "1"}])));
    let live = apply(None, &both, ANN, false, at(0)).unwrap();
    let theirs = job(template(json!([{"name": "c", "image": "1"}])));
    let mut live = apply(Some(&live), &theirs, BOB, false, at(1)).unwrap();
    // The server fills in what nobody owns.
    for container in live["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap() {
        container["imagePullPolicy"] = "Always".into();
    }
    let one = job(template(json!([{"name": "b", "image": "2"}])));
    let live = apply(Some(&live), &one, ANN, false, at(2)).unwrap();
    let expected = json!([
        {"name": "b", "image": "2", "imagePullPolicy": "Always"},
        {"name": "c", "image": "1", "imagePullPolicy": "Always"},
    ]);
    assert_eq!(live["spec"]["template"]["spec"]["containers"], expected);
}

#[test]
fn a_field_of_another_manager_is_a_conflict() {
    let live = apply(None, &job(json!({"parallelism": 1})), ANN, false, at(0)).unwrap();
    let other = job(json!({"parallelism": 2}));
    let found = conflicts(apply(Some(&live), &other, BOB, false, at(1)));
    let expected = Conflict {
        message: "conflict with \"ann\"".to_owned(),
        field: ".spec.parallelism".to_owned(),
    };
    assert_eq!(found.0, [expected]);
    assert_eq!(
        found.to_string(),
        "Apply failed with 1 conflict: conflict with \"ann\": .spec.parallelism"
    );
    // What is the same is owned by both.
    let shared = apply(Some(&live), &job(json!({"parallelism": 1})), BOB, false, at(1)).unwrap();
    for manager in ["ann", "bob"] {
        assert_eq!(owned(&shared, manager, "Apply"), json!({"f:spec": {"f:parallelism": {}}}));
    }
}

#[test]
fn an_update_owns_what_it_changes_and_conflicts_with_who_applies() {
    let mut live = job(json!({"parallelism": 1, "completions": 1}));
    record_update(None, &mut live, KUBECTL, at(0));
    let all = json!({"f:spec": {"f:completions": {}, "f:parallelism": {}}});
    assert_eq!(owned(&live, "kubectl", "Update"), all);

    let other = job(json!({"parallelism": 2, "completions": 2}));
    let found = conflicts(apply(Some(&live), &other, ANN, false, at(1)));
    assert_eq!(
        found.to_string(),
        "Apply failed with 2 conflicts: conflicts with \"kubectl\" using batch/v1:\n\
         - .spec.completions\n- .spec.parallelism"
    );
    let forced = apply(Some(&live), &other, ANN, true, at(1)).unwrap();
    assert_eq!(forced["spec"], json!({"parallelism": 2, "completions": 2}));
    assert_eq!(owned(&forced, "kubectl", "Update"), Value::Null);
    assert_eq!(owned(&forced, "ann", "Apply"), all);
}

#[test]
fn a_created_job_is_noted_as_kubernetes_notes_it() {
    let mut made = job(json!({
        "backoffLimit": 4,
        "selector": {"matchLabels": {"a": "b"}},
        "template": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {
                "containers": [{
                    "name": "pi", "image": "perl", "command": ["perl"], "resources": {},
                    "env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec"}}}],
                }],
                "nodeSelector": {"disk": "ssd"},
                "securityContext": {},
            },
        },
    }));
    made["metadata"] = json!({
        "name": "pi", "uid": "u", "generation": 1, "creationTimestamp": "1970-01-01T00:00:00Z",
        "annotations": {"n": ""}, "finalizers": ["f"],
        "ownerReferences": [{"uid": "o", "name": "c"}],
    });
    record_update(None, &mut made, KUBECTL, at(0));
    let expected = json!({
        "f:metadata": {
            "f:annotations": {".": {}, "f:n": {}},
            "f:finalizers": {".": {}, "v:\"f\"": {}},
            "f:ownerReferences": {".": {}, "k:{\"uid\":\"o\"}": {}},
        },
        "f:spec": {
            "f:backoffLimit": {},
            "f:selector": {},
            "f:template": {
                "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
                "f:spec": {
                    "f:containers": {"k:{\"name\":\"pi\"}": {
                        ".": {}, "f:command": {}, "f:image": {}, "f:name": {}, "f:resources": {},
                        "f:env": {".": {}, "k:{\"name\":\"X\"}": {
                            ".": {}, "f:name": {}, "f:valueFrom": {".": {}, "f:fieldRef": {}},
                        }},
                    }},
                    "f:nodeSelector": {},
                    "f:securityContext": {},
                },
            },
        },
    });
    assert_eq!(owned(&made, "kubectl", "Update"), expected);
}

#[test]
fn an_update_takes_fields_from_appliers() {
    let live = apply(None, &job(json!({"parallelism": 1, "suspend": true})), ANN, false, at(0));
    let live = live.unwrap();
    let mut scaled = live.clone();
    scaled["spec"]["parallelism"] = 5.into();
    record_update(Some(&live), &mut scaled, KUBECTL, at(1));
    let parallelism = json!({"f:spec": {"f:parallelism": {}}});
    assert_eq!(owned(&scaled, "kubectl", "Update"), parallelism);
    assert_eq!(owned(&scaled, "ann", "Apply"), json!({"f:spec": {"f:suspend": {}}}));

    let again = job(json!({"parallelism": 1, "suspend": true}));
    let found = conflicts(apply(Some(&scaled), &again, ANN, false, at(2)));
    assert_eq!(found.0[0].message, "conflict with \"kubectl\" using batch/v1");
    // Without the field the applier lets go of it, and it stays as it is.
    let less = apply(Some(&scaled), &job(json!({"suspend": true})), ANN, false, at(2)).unwrap();
    assert_eq!(less["spec"]["parallelism"], 5);
}

#[test]
fn an_update_that_removes_a_field_ends_every_ownership_of_it() {
    let live = apply(None, &config_map(json!({"a": "1", "b": "1"})), ANN, false, at(0)).unwrap();
    let mut less = live.clone();
    less["data"].as_object_mut().unwrap().remove("a");
    record_update(Some(&live), &mut less, BOB, at(1));
    assert_eq!(owned(&less, "ann", "Apply"), json!({"f:data": {"f:b": {}}}));
    assert_eq!(owned(&less, "bob", "Update"), Value::Null);
}

#[test]
fn an_update_that_changes_nothing_notes_nothing() {
    let live = apply(None, &config_map(json!({"a": "1"})), ANN, false, at(0)).unwrap();
    let mut same = live.clone();
    record_update(Some(&live), &mut same, BOB, at(9));
    assert_eq!(same, live);
}

#[test]
fn a_status_is_owned_by_who_writes_it_through_its_subresource() {
    let engine = Manager { name: "engine", subresource: Some("status") };
    let mut live = job(json!({"parallelism": 1}));
    live["status"] = json!({"active": 9});
    record_update(None, &mut live, ANN, at(0));
    assert_eq!(owned(&live, "ann", "Update"), json!({"f:spec": {"f:parallelism": {}}}));

    let mut counted = live.clone();
    counted["status"] = json!({
        "active": 1, "conditions": [{"type": "Suspended", "status": "True"}],
    });
    record_update(Some(&live), &mut counted, engine, at(1));
    let entry = &counted["metadata"]["managedFields"][1];
    assert_eq!(entry["subresource"], "status");
    let expected = json!({"f:status": {"f:active": {}, "f:conditions": {}}});
    assert_eq!(entry["fieldsV1"], expected);

    let status = |active| {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "pi"},
            "spec": {"parallelism": 7}, "status": {"active": active}})
    };
    let bob = Manager { name: "bob", subresource: Some("status") };
    let found = conflicts(apply(Some(&counted), &status(2), bob, false, at(2)));
    assert_eq!(
        found.0[0].message,
        "conflict with \"engine\" with subresource \"status\" using batch/v1"
    );
    let forced = apply(Some(&counted), &status(2), bob, true, at(2)).unwrap();
    assert_eq!(
        (&forced["status"]["active"], &forced["spec"]["parallelism"]),
        (&2.into(), &1.into())
    );
}

#[test]
fn what_was_there_before_the_first_apply_has_an_owner_too() {
    let live = config_map(json!({"a": "1", "b": "1"}));
    let found = conflicts(apply(Some(&live), &config_map(json!({"a": "2"})), ANN, false, at(0)));
    assert_eq!(found.0[0].message, "conflict with \"before-first-apply\" using v1");
    let taken = apply(Some(&live), &config_map(json!({"a": "1"})), ANN, false, at(0)).unwrap();
    let taken = apply(Some(&taken), &config_map(json!({})), ANN, false, at(1)).unwrap();
    assert_eq!(taken["data"], json!({"a": "1", "b": "1"}));
}

#[test]
fn kubectl_takes_over_what_it_applied_on_its_own_side() {
    let annotation = "kubectl.kubernetes.io/last-applied-configuration";
    let client_side = Manager { name: "kubectl-client-side-apply", subresource: None };
    let mut live = config_map(json!({"a": "1"}));
    let applied = live.to_string();
    live["metadata"]["annotations"] = json!({annotation: applied});
    record_update(None, &mut live, client_side, at(0));

    let changed = config_map(json!({"a": "2"}));
    conflicts(apply(Some(&live), &changed, ANN, false, at(1)));
    let taken = apply(Some(&live), &changed, KUBECTL, false, at(1)).unwrap();
    assert_eq!(taken["data"], json!({"a": "2"}));
    let kept = taken["metadata"]["annotations"][annotation].as_str().unwrap();
    assert_eq!(kept, format!("{changed}\n"));

    // What was changed since then is somebody else's.
    let mut edited = live.clone();
    edited["data"]["a"] = "3".into();
    record_update(Some(&live), &mut edited, BOB, at(1));
    let found = conflicts(apply(Some(&edited), &changed, KUBECTL, false, at(2)));
    assert_eq!(found.0[0].field, ".data.a");
}

#[test]
fn a_configuration_that_cannot_be_applied_is_refused() {
    let owned_already = json!({"kind": "Job", "metadata": {"managedFields": []}});
    let twice = job(template(json!([{"name": "a"}, {"name": "a"}])));
    let nameless = job(template(json!([{"image": "a"}])));
    for (configuration, expected) in [
        (owned_already, "metadata.managedFields must be nil"),
        (
            twice,
            "failed to create typed patch object: .spec.template.spec.containers: duplicate \
             entries for key [name=\"a\"]",
        ),
        (
            nameless,
            "failed to create typed patch object: .spec.template.spec.containers: element 0: \
             associative list with keys has an element that omits all key fields [\"name\"] (and \
             doesn't have default values for any key fields)",
        ),
    ] {
        let refusal = apply(None, &configuration, ANN, false, at(0)).unwrap_err();
        assert_eq!(refusal, Refused::Malformed(expected.to_owned()));
    }
}

#[test]
fn owners_survive_an_update_that_does_not_know_them_and_can_be_thrown_away() {
    let live = apply(None, &config_map(json!({"a": "1"})), ANN, false, at(0)).unwrap();
    let mut naive = bare(&live);
    record_update(Some(&live), &mut naive, BOB, at(1));
    assert_eq!(naive, live);
    let mut reset = live.clone();
    reset["metadata"]["managedFields"] = json!([{}]);
    record_update(Some(&live), &mut reset, BOB, at(1));
    assert_eq!(reset, bare(&live));
    // Nobody is noted from then on, until somebody applies.
    let mut changed = reset.clone();
    changed["data"]["a"] = "2".into();
    record_update(Some(&reset), &mut changed, BOB, at(2));
    assert_eq!(owned(&changed, "bob", "Update"), Value::Null);
}

#[test]
fn an_applied_list_keeps_its_order_and_others_keep_their_place() {
    let names = |names: &[&str]| {
        let list: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
        job(template(Value::from(list)))
    };
    for (live, applied, expected) in [
        (&["a", "b", "c"][..], &["c", "a"][..], &["b", "c", "a"][..]),
        (&["a", "b"], &["c"], &["a", "b", "c"]),
        (&["a", "b", "c"], &["a", "d", "c"], &["a", "b", "d", "c"]),
        (&["a", "b", "c"], &["c", "b", "a"], &["c", "b", "a"]),
        (&["x", "a", "y"], &["n", "a"], &["x", "n", "a", "y"]),
    ] {
        let mut object = names(live);
        record_update(None, &mut object, BOB, at(0));
        let made = apply(Some(&object), &names(applied), ANN, false, at(1)).unwrap();
        assert_eq!(bare(&made), names(expected), "{live:?} {applied:?}");
    }
}

fn data() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-d]", "[0-2]", 0..4)
        .prop_map(|map| Value::Object(map.into_iter().map(|(k, v)| (k, v.into())).collect()))
}

fn containers() -> impl Strategy<Value = Value> {
    let container =
        (0..3_i32, prop::collection::btree_set("[A-C]", 0..3)).prop_map(|(image, env)| {
            let env: Vec<_> = env.into_iter().map(|name| json!({"name": name})).collect();
            json!({"image": image.to_string(), "env": env})
        });
    prop::collection::btree_map("[a-c]", container, 1..4).prop_map(|map| {
        let named = map.into_iter().map(|(name, mut container)| {
            container["name"] = name.into();
            container
        });
        Value::Array(named.collect())
    })
}

proptest! {
    #[test]
    fn applied_twice_is_applied_once(first in data(), second in data(), third in data()) {
        let live = apply(None, &config_map(first), ANN, false, at(0)).unwrap();
        let live = apply(Some(&live), &config_map(second), BOB, true, at(1)).unwrap();
        let once = apply(Some(&live), &config_map(third.clone()), ANN, true, at(2)).unwrap();
        let twice = apply(Some(&once), &config_map(third), ANN, false, at(3)).unwrap();
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn a_sole_applier_gets_what_it_applies(first in containers(), second in containers()) {
        let live = apply(None, &job(template(first)), ANN, false, at(0)).unwrap();
        let applied = apply(Some(&live), &job(template(second.clone())), ANN, false, at(1)).unwrap();
        let by_name = |list: &Value| {
            let mut list = list.as_array().unwrap().clone();
            list.sort_by_key(|container| container["name"].to_string());
            // An empty list says no more than none.
            for container in &mut list {
                if container["env"] == json!([]) {
                    container.as_object_mut().unwrap().remove("env");
                }
            }
            list
        };
        let found = by_name(&applied["spec"]["template"]["spec"]["containers"]);
        prop_assert_eq!(found, by_name(&second));
    }

    #[test]
    fn after_a_forced_apply_the_object_says_what_was_applied(
        first in data(), second in data(), third in data(),
    ) {
        let live = apply(None, &config_map(first), ANN, false, at(0)).unwrap();
        let mut updated = bare(&live);
        updated["data"] = second;
        record_update(Some(&live), &mut updated, BOB, at(1));
        let made = apply(Some(&updated), &config_map(third.clone()), ANN, true, at(2)).unwrap();
        for (name, value) in third.as_object().unwrap() {
            prop_assert_eq!(&made["data"][name], value);
        }
    }
}

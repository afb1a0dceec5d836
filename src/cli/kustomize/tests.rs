//! Kustomizations against what kustomize itself makes of them.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kustomize")
}

/// kustomize breaks base64 into lines, and puts what a patch adds to a list before the rest.
fn plain(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields.iter_mut() {
                if name == "data" || name == "binaryData" {
                    for text in inner.as_object_mut().unwrap().values_mut() {
                        let lines = text.as_str().unwrap();
                        if lines.ends_with("==\n") {
                            *text = lines.replace('\n', "").into();
                        }
                    }
                } else if name == "env" {
                    inner.as_array_mut().unwrap().sort_by_key(|item| item["name"].to_string());
                }
                plain(inner);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn a_tree_of_kustomizations_comes_out_as_kustomize_makes_it() {
    let mut made = build(&here().join("over")).unwrap();
    let expected = fs::read(here().join("expected.yaml")).unwrap();
    let mut expected = documents("expected.yaml", &expected).unwrap();
    made.iter_mut().for_each(plain);
    expected.iter_mut().for_each(plain);
    let names = |objects: &[Value]| -> Vec<String> {
        let name = |o: &Value| format!("{}/{}", o["kind"], o["metadata"]["name"]);
        objects.iter().map(name).collect()
    };
    assert_eq!(names(&made), names(&expected));
    for (made, expected) in made.iter().zip(&expected) {
        assert_eq!(made, expected);
    }
}

/// What comes of a kustomization with one ConfigMap `m` beside it.
fn of(kustomization: &str) -> Result<Vec<Value>, String> {
    let dir = tempfile::tempdir().unwrap();
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a: b}\n";
    fs::write(dir.path().join("m.yaml"), map).unwrap();
    fs::write(dir.path().join("kustomization.yaml"), kustomization).unwrap();
    build(dir.path())
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    for (kustomization, expected) in [
        ("helmCharts: [{name: x}]", "helmCharts: not supported"),
        ("bases: [x]", "bases: it is now `resources`"),
        ("labels: [{pairs: {a: b}, fields: []}]", "unknown field `fields`"),
        ("kind: Component", "kind: Component: not supported"),
        ("resources: ['https://example.com/x']", "nothing is fetched"),
        ("resources: [no.yaml]", "no.yaml: No such file"),
        ("resources: [/etc/passwd]", "security; the file is not in or below"),
        ("resources: [m.yaml, m.yaml]", "already registered id: ConfigMap/m"),
        ("resources: [.]", "it is made of itself"),
        ("patches: [{patch: 'kind: X'}]", "no matches for X/"),
        ("patches: [{patch: '[]'}]", "must specify a target"),
        (
            "configMapGenerator: [{name: x, behavior: merge, literals: [a=b]}]",
            "there is none to merge with",
        ),
    ] {
        let error = of(kustomization).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_patch_may_take_an_object_away_or_rename_it() {
    let patched = |patch: &str, options: &str| {
        let text = format!(
            "resources: [m.yaml]\nconfigMapGenerator: [{{name: x, literals: [a=b], options: \
             {{disableNameSuffixHash: true}}}}]\npatches: [{{target: {{name: m}}, patch: '{patch}'\
             {options}}}]"
        );
        let names = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
        of(&text).unwrap().iter().map(names).collect::<Vec<_>>()
    };
    assert_eq!(patched("{$patch: delete}", ""), ["x"]);
    assert_eq!(patched("{metadata: {name: z}}", ""), ["m", "x"]);
    let options = ", options: {allowNameChange: true}";
    assert_eq!(patched("{metadata: {name: z}}", options), ["x", "z"]);
}

//! The environment of a container.
//!
//! Owns: which variables there are, which wins, and what `$(NAME)` stands for. Must not know: where a
//! text is used.
//! <https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/>

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVarSource, Pod};

use super::{Inputs, Refusal, hostname};
use crate::api::downward::{Capacity, FieldPath, resource_of};
use crate::api::object::Object;
use crate::api::references::Referred;

/// Where programs are looked for if the image does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The variables that the pod defines for the container, by name.
pub type Variables = BTreeMap<String, String>;

/// What the variables of a pod's containers are made from, besides the pod.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    pub referred: &'a Referred,
    pub capacity: &'a Capacity,
}

/// What the pod defines. A reference sees what stands above it; the last of a name wins, and one that
/// stands alone wins over one of many.
///
/// # Errors
/// An object or a key is missing that is not optional.
/// <https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-container/>
pub fn variables(
    pod: &Pod,
    container: &Container,
    origin: Origin<'_>,
) -> Result<Variables, Refusal> {
    let mut known = Variables::new();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let all = all_of(source, origin.referred)?.into_iter();
        known.extend(all.map(|(key, value)| (format!("{prefix}{key}"), value)));
    }
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            Some(source) => one_of(source, pod, container, origin)?,
            None => Some(expand(variable.value.as_deref().unwrap_or_default(), &known)),
        };
        known.extend(value.map(|value| (variable.name.clone(), value)));
    }
    Ok(known)
}

/// All that an object has, as variables.
fn all_of(source: &EnvFromSource, referred: &Referred) -> Result<Variables, Refusal> {
    if let Some(wanted) = &source.config_map_ref {
        let map = referred.config_maps.get(&wanted.name);
        return match map {
            Some(map) => Ok(map.data.clone().unwrap_or_default()),
            None => missing("configmap", &wanted.name, wanted.optional).map(|()| Variables::new()),
        };
    }
    let Some(wanted) = &source.secret_ref else { return Ok(Variables::new()) };
    let Some(secret) = referred.secrets.get(&wanted.name) else {
        return missing("secret", &wanted.name, wanted.optional).map(|()| Variables::new());
    };
    let data = secret.data.iter().flatten();
    Ok(data.map(|(key, value)| (key.clone(), text(&value.0))).collect())
}

/// What a variable has from elsewhere. It is taken as it is, without references. `None`: it is not there,
/// and need not be.
fn one_of(
    source: &EnvVarSource,
    pod: &Pod,
    container: &Container,
    origin: Origin<'_>,
) -> Result<Option<String>, Refusal> {
    let no_key = |key: &str, kind: &str, name: &str, optional: Option<bool>| match optional {
        Some(true) => Ok(None),
        Some(false) | None => {
            let namespace = pod.namespace();
            let text = format!("couldn't find key {key} in {kind} {namespace}/{name}");
            Err(Refusal::config(text))
        }
    };
    if let Some(field) = &source.field_ref {
        return Ok(FieldPath::read(&field.field_path).map(|field| field.of(pod)));
    }
    if let Some(selector) = &source.resource_field_ref {
        let named = selector.container_name.as_deref().filter(|name| !name.is_empty());
        let mut all = crate::api::pod::all_containers(pod);
        let other = named.and_then(|name| all.find(|container| container.name == name));
        return Ok(Some(resource_of(other.unwrap_or(container), selector, origin.capacity)));
    }
    if let Some(wanted) = &source.config_map_key_ref {
        let Some(map) = origin.referred.config_maps.get(&wanted.name) else {
            return missing("configmap", &wanted.name, wanted.optional).map(|()| None);
        };
        return match map.data.as_ref().and_then(|data| data.get(&wanted.key)) {
            Some(value) => Ok(Some(value.clone())),
            None => no_key(&wanted.key, "ConfigMap", &wanted.name, wanted.optional),
        };
    }
    let Some(wanted) = &source.secret_key_ref else { return Ok(None) };
    let Some(secret) = origin.referred.secrets.get(&wanted.name) else {
        return missing("secret", &wanted.name, wanted.optional).map(|()| None);
    };
    match secret.data.as_ref().and_then(|data| data.get(&wanted.key)) {
        Some(value) => Ok(Some(text(&value.0))),
        None => no_key(&wanted.key, "Secret", &wanted.name, wanted.optional),
    }
}

fn missing(kind: &str, name: &str, optional: Option<bool>) -> Result<(), Refusal> {
    if optional == Some(true) {
        return Ok(());
    }
    Err(Refusal::config(format!("{kind} \"{name}\" not found")))
}

/// A variable is text, whatever the bytes are.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `NAME=value`: the image's variables, below the hostname, below the pod's.
pub(super) fn of(inputs: &Inputs<'_>) -> Vec<String> {
    let variables = inputs.variables;
    let mut all = vec![("PATH".to_owned(), PATH.to_owned())];
    let image = inputs.image_config().and_then(|config| config.env().as_ref());
    for (name, value) in image.into_iter().flatten().filter_map(|entry| entry.split_once('=')) {
        set(&mut all, name, value);
    }
    if inputs.container.tty == Some(true) {
        set(&mut all, "TERM", "xterm");
    }
    let own_name = match inputs.uts() {
        Some(_) => hostname(inputs.pod),
        None => inputs.host.hostname.clone(),
    };
    set(&mut all, "HOSTNAME", &own_name);
    let own = || inputs.container.env.iter().flatten();
    let of_many = |name: &str| own().all(|variable| variable.name != name);
    for (name, value) in variables.iter().filter(|(name, _)| of_many(name)) {
        set(&mut all, name, value);
    }
    // In the order of the manifest, so that the program sees them as they are written.
    for variable in own() {
        if let Some(value) = variables.get(&variable.name) {
            set(&mut all, &variable.name, value);
        }
    }
    all.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// The text with every `$(NAME)` that is known replaced; `$$` is a dollar sign that begins nothing.
pub fn expand(text: &str, known: &Variables) -> String {
    let mut expanded = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => expanded.push_str(text),
            Piece::Name(name) => match known.get(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.push_str(&format!("$({name})")),
            },
        }
    }
    expanded
}

/// The variables that a text refers to.
pub fn names(text: &str) -> Vec<&str> {
    let name = |piece| match piece {
        Piece::Name(name) => Some(name),
        Piece::Text(_) => None,
    };
    pieces(text).into_iter().filter_map(name).collect()
}

enum Piece<'a> {
    Text(&'a str),
    Name(&'a str),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        let (dollar, after) = from.split_at(1);
        pieces.push(Piece::Text(before));
        let reference = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        rest = if let Some(after) = after.strip_prefix('$') {
            pieces.push(Piece::Text(dollar));
            after
        } else if let Some((name, after)) = reference {
            pieces.push(Piece::Name(name));
            after
        } else {
            pieces.push(Piece::Text(dollar));
            after
        };
    }
    pieces.push(Piece::Text(rest));
    pieces
}

fn set(all: &mut Vec<(String, String)>, name: &str, value: &str) {
    match all.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => value.clone_into(known),
        None => all.push((name.to_owned(), value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testing::Case;
    use super::*;

    fn env(case: &Case) -> Vec<String> {
        case.process().env().clone().unwrap()
    }

    #[test]
    fn case_118_a_reference_sees_only_what_is_defined_above_it() {
        let case = Case::new().container(json!({"env": [
            {"name": "A", "value": "1"}, {"name": "B", "value": "$(A)-$(C)"},
            {"name": "C", "value": "2"}, {"name": "D", "value": "$$(A)"},
        ]}));
        assert_eq!(env(&case)[2..], ["A=1", "B=1-$(C)", "C=2", "D=$(A)"]);
    }

    #[test]
    fn case_53_a_variable_has_a_field_of_the_pod() {
        let from = |path: &str| json!({"fieldRef": {"apiVersion": "v1", "fieldPath": path}});
        let case = Case::new().container(json!({"env": [
            {"name": "POD", "valueFrom": from("metadata.name")},
            {"name": "GREETING", "value": "I am $(POD)"},
            {"name": "NONE", "valueFrom": from("metadata.labels['none']")},
        ]}));
        assert_eq!(env(&case)[2..], ["POD=p", "GREETING=I am p", "NONE="]);
    }

    #[test]
    fn what_is_no_reference_stays_as_it_is() {
        let known =
            Variables::from([("A".to_owned(), "1".to_owned()), ("E".to_owned(), String::new())]);
        for (text, expanded) in [
            ("", ""),
            ("$", "$"),
            ("$$", "$"),
            ("$$$", "$$"),
            ("$$$(A)", "$1"),
            ("$(A", "$(A"),
            ("$(A$(A)", "$(A$(A)"),
            ("$(A)$(A)", "11"),
            ("$(E)", ""),
            ("$()", "$()"),
            ("$( A)", "$( A)"),
            ("$A ${A} $(B)", "$A ${A} $(B)"),
            ("$é$(A)", "$é1"),
            ("a$(A))", "a1)"),
        ] {
            assert_eq!(expand(text, &known), expanded, "{text}");
        }
    }

    /// A pod whose container has these variables, with a ConfigMap `m` and a Secret `s`.
    fn case(env: serde_json::Value, env_from: serde_json::Value) -> Case {
        let mut case = Case::new().container(json!({
            "env": env, "envFrom": env_from, "resources": {"limits": {"memory": "64Mi"}},
        }));
        case.referred = Referred {
            config_maps: [(
                "m".to_owned(),
                serde_json::from_value(json!({
                    "data": {"a": "1", "b": "$(A)"}, "binaryData": {"c": "AAE="},
                }))
                .unwrap(),
            )]
            .into(),
            secrets: [(
                "s".to_owned(),
                serde_json::from_value(json!({
                    "data": {"a": "cw==", "p": "aGk="},
                }))
                .unwrap(),
            )]
            .into(),
            ..Referred::default()
        };
        case
    }

    fn from(kind: &str, name: &str, key: &str, optional: bool) -> serde_json::Value {
        json!({(kind): {"name": name, "key": key, "optional": optional}})
    }

    #[test]
    fn a_variable_has_what_a_config_map_or_a_secret_says() {
        let case = case(
            json!([
                {"name": "A", "valueFrom": from("configMapKeyRef", "m", "a", false)},
                {"name": "B", "valueFrom": from("configMapKeyRef", "m", "b", false)},
                {"name": "P", "valueFrom": from("secretKeyRef", "s", "p", false)},
                {"name": "ALL", "value": "$(A)$(B)$(P)$(X_a)"},
                {"name": "NO_KEY", "valueFrom": from("secretKeyRef", "s", "none", true)},
                {"name": "NO_MAP", "valueFrom": from("configMapKeyRef", "none", "a", true)},
                {"name": "a", "valueFrom": from("configMapKeyRef", "none", "a", true)},
                {"name": "M", "valueFrom": {"resourceFieldRef": {
                    "resource": "limits.memory", "divisor": "1Mi",
                }}},
                {"name": "C", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
            ]),
            json!([
                {"configMapRef": {"name": "m"}}, {"prefix": "X_", "secretRef": {"name": "s"}},
                {"secretRef": {"name": "s"}}, {"configMapRef": {"name": "none", "optional": true}},
            ]),
        );
        assert_eq!(
            env(&case)[2..],
            [
                "X_a=s",
                "X_p=hi",
                "b=$(A)",
                "p=hi",
                "A=1",
                "B=$(A)",
                "P=hi",
                "ALL=1$(A)his",
                "a=s",
                "M=64",
                "C=4"
            ]
        );
    }

    #[test]
    fn what_is_missing_and_not_optional_is_told_as_the_kubelet_tells_it() {
        let none = || json!([]);
        for (env, env_from, expected) in [
            (
                json!([from("configMapKeyRef", "x", "a", false)]),
                none(),
                "configmap \"x\" not found",
            ),
            (json!([from("secretKeyRef", "x", "a", false)]), none(), "secret \"x\" not found"),
            (
                json!([from("configMapKeyRef", "m", "x", false)]),
                none(),
                "couldn't find key x in ConfigMap default/m",
            ),
            (
                json!([from("configMapKeyRef", "m", "c", false)]),
                none(),
                "couldn't find key c in ConfigMap default/m",
            ),
            (
                json!([from("secretKeyRef", "s", "x", false)]),
                none(),
                "couldn't find key x in Secret default/s",
            ),
            (none(), json!([{"secretRef": {"name": "x"}}]), "secret \"x\" not found"),
            (none(), json!([{"configMapRef": {"name": "x"}}]), "configmap \"x\" not found"),
        ] {
            let env: Vec<_> = env
                .as_array()
                .unwrap()
                .iter()
                .map(|source| json!({"name": "V", "valueFrom": source}))
                .collect();
            let refusal = case(env.into(), env_from).build().unwrap_err();
            assert_eq!(refusal, Refusal::config(expected));
        }
    }

    proptest! {
        #[test]
        fn a_doubled_dollar_sign_shields_any_text(text in "[$()A ]{0,12}") {
            let known = Variables::from([("A".to_owned(), "1".to_owned())]);
            prop_assert_eq!(expand(&text.replace('$', "$$"), &known), text);
        }
    }

    #[test]
    fn the_pods_variables_are_above_the_hostname_and_that_is_above_the_images() {
        let image =
            json!({"Cmd": ["x"], "Env": ["PATH=/opt", "HOSTNAME=built", "A=image", "broken"]});
        let case = Case::new().image(image.clone());
        assert_eq!(env(&case), ["PATH=/opt", "HOSTNAME=p", "A=image"]);
        let case = Case::new().image(image).container(json!({"env": [
            {"name": "HOSTNAME", "value": "mine"}, {"name": "A", "value": "pod"},
        ]}));
        assert_eq!(env(&case), ["PATH=/opt", "HOSTNAME=mine", "A=pod"]);
    }

    #[test]
    fn a_reference_does_not_see_the_images_variables() {
        let case = Case::new()
            .image(json!({"Cmd": ["x"], "Env": ["A=image"]}))
            .container(json!({"env": [{"name": "B", "value": "$(A)"}]}));
        assert!(env(&case).contains(&"B=$(A)".to_owned()));
    }

    #[test]
    fn without_a_word_there_is_a_path_and_the_hostname() {
        assert_eq!(env(&Case::new()), [format!("PATH={PATH}"), "HOSTNAME=p".to_owned()]);
    }

    #[test]
    fn on_the_hosts_network_the_hostname_is_the_hosts() {
        let case = Case::new().pod(json!({"hostNetwork": true}));
        assert!(env(&case).contains(&"HOSTNAME=node".to_owned()));
    }

    #[test]
    fn the_last_of_a_name_wins_and_an_unset_value_is_empty() {
        let case = Case::new().container(json!({"env": [
            {"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}, {"name": "B"},
        ]}));
        assert_eq!(env(&case)[2..], ["A=12", "B="]);
    }
}

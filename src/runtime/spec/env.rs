//! The environment of a container.
//!
//! Owns: which variables there are, which wins, and what `$(NAME)` stands for. Must not know: where a
//! text is used.
//! <https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/>

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod};

use super::{Inputs, hostname};
use crate::api::downward::FieldPath;

/// Where programs are looked for if the image does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The variables that the pod defines for the container, by name.
pub(super) type Variables = BTreeMap<String, String>;

/// What the pod defines. A reference sees what stands above it; the last of a name wins.
pub(super) fn variables(pod: &Pod, container: &Container) -> Variables {
    let mut known = Variables::new();
    for variable in container.env.iter().flatten() {
        let value = field(pod, variable)
            .unwrap_or_else(|| expand(variable.value.as_deref().unwrap_or_default(), &known));
        known.insert(variable.name.clone(), value);
    }
    known
}

/// What a variable has from a field of the pod. It is taken as it is, without references.
/// <https://kubernetes.io/docs/concepts/workloads/pods/downward-api/>
fn field(pod: &Pod, variable: &EnvVar) -> Option<String> {
    let field = variable.value_from.as_ref()?.field_ref.as_ref()?;
    Some(FieldPath::read(&field.field_path)?.of(pod))
}

/// `NAME=value`: the image's variables, below the hostname, below the pod's.
pub(super) fn of(inputs: &Inputs<'_>, variables: &Variables) -> Vec<String> {
    let mut all = vec![("PATH".to_owned(), PATH.to_owned())];
    let image = inputs.image_config().and_then(|config| config.env().as_ref());
    for (name, value) in image.into_iter().flatten().filter_map(|entry| entry.split_once('=')) {
        set(&mut all, name, value);
    }
    let own_name = match inputs.uts() {
        Some(_) => hostname(inputs.pod),
        None => inputs.host.hostname.clone(),
    };
    set(&mut all, "HOSTNAME", &own_name);
    // In the order of the manifest, so that the program sees them as they are written.
    for variable in inputs.container.env.iter().flatten() {
        if let Some(value) = variables.get(&variable.name) {
            set(&mut all, &variable.name, value);
        }
    }
    all.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// The text with every `$(NAME)` that is known replaced; `$$` is a dollar sign that begins nothing.
pub(super) fn expand(text: &str, known: &Variables) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        expanded.push_str(before);
        let after = &from[1..];
        let reference = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        rest = if let Some(after) = after.strip_prefix('$') {
            expanded.push('$');
            after
        } else if let Some((name, after)) = reference {
            match known.get(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.push_str(&format!("$({name})")),
            }
            after
        } else {
            expanded.push('$');
            after
        };
    }
    expanded.push_str(rest);
    expanded
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

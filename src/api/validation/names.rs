//! How names, labels and values have to be spelled.
//!
//! Owns: the syntax of each, and the words in which Kubernetes refuses it. Must not know: which field
//! is meant. Each check answers with all that is wrong; nothing, where nothing is.
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>

/// A DNS label, a label's value and the name in its key have no more characters.
const LABEL_LENGTH_MAX: usize = 63;
/// A DNS subdomain has no more characters.
const SUBDOMAIN_LENGTH_MAX: usize = 253;
/// The name of a port has no more characters.
const PORT_NAME_LENGTH_MAX: usize = 15;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
    'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters \
    or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', \
    regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, \
    '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
    'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start \
    and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used \
    for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VARIABLE: &str = "a valid environment variable name must consist only of printable ASCII \
    characters other than '='";

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names>
pub(in crate::api) fn subdomain(text: &str) -> Vec<String> {
    let mut wrong = too_long(text, SUBDOMAIN_LENGTH_MAX);
    if !is_subdomain(text) {
        wrong.push(SUBDOMAIN.to_owned());
    }
    wrong
}

/// What is to become a subdomain by something appended to it: it may end with a hyphen.
pub(super) fn subdomain_prefix(text: &str) -> Vec<String> {
    let start = text.strip_suffix('-').filter(|start| !start.is_empty());
    let whole = start.map(|start| format!("{start}a"));
    subdomain(whole.as_deref().unwrap_or(text))
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names>
pub(super) fn label(text: &str) -> Vec<String> {
    let mut wrong = too_long(text, LABEL_LENGTH_MAX);
    if is_label(text) {
        return wrong;
    }
    wrong.push(if is_subdomain(text) { "must not contain dots" } else { LABEL }.to_owned());
    wrong
}

/// The key of a label or of an annotation.
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>
pub(in crate::api) fn qualified(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let name = match text.split_once('/') {
        None => text,
        Some((_, name)) if name.contains('/') => {
            let shape = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a qualified name {QUALIFIED} {shape}")];
        }
        Some(("", name)) => {
            wrong.push("prefix part must be non-empty".to_owned());
            name
        }
        Some((prefix, name)) => {
            wrong.extend(subdomain(prefix).iter().map(|why| format!("prefix part {why}")));
            name
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    }
    wrong.extend(too_long(name, LABEL_LENGTH_MAX).iter().map(|why| format!("name part {why}")));
    if !is_word(name) {
        wrong.push(format!("name part {QUALIFIED}"));
    }
    wrong
}

/// A domain and a path: `example.com/controller`.
pub(super) fn domain_path(text: &str) -> Vec<String> {
    const PATH: &str = "must be a domain-prefixed path (such as \"acme.io/foo\")";
    let Some((domain, path)) = text.split_once('/').filter(|(a, b)| !a.is_empty() && !b.is_empty())
    else {
        return vec![PATH.to_owned()];
    };
    let mut wrong = subdomain(domain);
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"/%:@!$&'()*+,;=-_.~".contains(&b);
    if !path.bytes().all(fits) {
        wrong.push("Invalid path".to_owned());
    }
    wrong
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>
pub(in crate::api) fn label_value(text: &str) -> Vec<String> {
    let mut wrong = too_long(text, LABEL_LENGTH_MAX);
    if !text.is_empty() && !is_word(text) {
        wrong.push(VALUE.to_owned());
    }
    wrong
}

/// <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#ports>
pub(super) fn port(text: &str) -> Vec<String> {
    let mut wrong = too_long(text, PORT_NAME_LENGTH_MAX);
    for (holds, why) in [
        (
            text.bytes().all(|b| is_lower(b) || b == b'-'),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (text.bytes().any(|b| b.is_ascii_lowercase()), "must contain at least one letter (a-z)"),
        (!text.contains("--"), "must not contain consecutive hyphens"),
        (!text.starts_with('-') && !text.ends_with('-'), "must not begin or end with a hyphen"),
    ] {
        if !holds {
            wrong.push(why.to_owned());
        }
    }
    wrong
}

const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
     'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

/// What a key of a ConfigMap or a Secret may have.
const CONFIG_KEY_LENGTH_MAX: usize = 253;

/// <https://kubernetes.io/docs/concepts/configuration/configmap/#configmap-object>
pub(super) fn config_key(text: &str) -> Vec<String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let mut wrong = too_long(text, CONFIG_KEY_LENGTH_MAX);
    if text.is_empty() || !text.bytes().all(fits) || text == "." || text.starts_with("..") {
        wrong.push(CONFIG_KEY.to_owned());
    }
    wrong
}

/// <https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-container/>
pub(super) fn variable(text: &str) -> Vec<String> {
    let fits = |b: u8| (b == b' ' || b.is_ascii_graphic()) && b != b'=';
    if text.bytes().all(fits) { Vec::new() } else { vec![VARIABLE.to_owned()] }
}

fn too_long(text: &str, max: usize) -> Vec<String> {
    if text.len() <= max {
        return Vec::new();
    }
    vec![format!("must be no more than {max} bytes")]
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// Whatever its length.
fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|b| is_lower(*b))
        && bytes.last().is_some_and(|b| is_lower(*b))
        && bytes.iter().all(|b| is_lower(*b) || *b == b'-')
}

fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Check = fn(&str) -> Vec<String>;

    #[test]
    fn what_is_spelled_right_is_accepted() {
        let long = "a".repeat(63);
        let longest = format!("{long}.{long}.{long}.{}", "a".repeat(61));
        for (check, texts) in [
            (subdomain as Check, vec!["pi", "1", "a-b.c-d.9", longest.as_str()]),
            (subdomain_prefix, vec!["pi-", "pi.a-", "pi"]),
            (label, vec!["pi", "9-a", long.as_str()]),
            (qualified, vec!["app", "A_b.c-9", "example.com/A_b", "a.b/c"]),
            (label_value, vec!["", "A", "a_b.C-9", long.as_str()]),
            (port, vec!["http", "a1-b", "9p"]),
            (variable, vec!["A", "a.b-c d", "1!"]),
        ] {
            for text in texts {
                assert_eq!(check(text), Vec::<String>::new(), "{text:?}");
            }
        }
    }

    #[test]
    fn what_is_spelled_wrong_is_refused_in_the_words_of_kubernetes() {
        let long = "a".repeat(64);
        for (check, text, expected) in [
            (subdomain as Check, "Pi", SUBDOMAIN),
            (subdomain, "a..b", SUBDOMAIN),
            (subdomain, "-a", SUBDOMAIN),
            (subdomain_prefix, "-", SUBDOMAIN),
            (label, "a.b", "must not contain dots"),
            (label, "a_b", LABEL),
            (label, long.as_str(), "must be no more than 63 bytes"),
            (qualified, "", "name part must be non-empty"),
            (qualified, "/a", "prefix part must be non-empty"),
            (qualified, "a b", "name part must consist of alphanumeric characters,"),
            (qualified, "A/b", "prefix part a lowercase RFC 1123 subdomain"),
            (qualified, "a/b/c", "a qualified name must consist of"),
            (label_value, "a b", VALUE),
            (label_value, "-", VALUE),
            (label_value, long.as_str(), "must be no more than 63 bytes"),
            (port, "a".repeat(16).as_str(), "must be no more than 15 bytes"),
            (port, "HTTP", "must contain only alpha-numeric characters"),
            (port, "80", "must contain at least one letter (a-z)"),
            (port, "a--b", "must not contain consecutive hyphens"),
            (port, "a-", "must not begin or end with a hyphen"),
            (variable, "A=B", VARIABLE),
            (variable, "\u{e9}", VARIABLE),
        ] {
            let wrong = check(text);
            assert!(
                wrong.first().is_some_and(|why| why.starts_with(expected)),
                "{text:?}: {wrong:?}"
            );
        }
    }
}

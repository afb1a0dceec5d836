//! The Pod Security Standards: which pods a namespace lets in.
//!
//! Owns: the labels of a namespace that say so, and what violates which level, in the words of Kubernetes.
//! Must not know: who asks, or what is done about it.
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>

mod capabilities;
mod host;
mod privilege;
mod profiles;
mod sysctls;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::api::core::v1::{Container, PodSpec};

/// How much a pod may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }

    fn read(text: &str) -> Option<Self> {
        [Self::Privileged, Self::Baseline, Self::Restricted]
            .into_iter()
            .find(|l| l.as_str() == text)
    }
}

/// The standard of which release of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Latest,
    /// `v1.<minor>`
    Minor(u32),
}

impl Version {
    fn read(text: &str) -> Option<Self> {
        match text {
            "" | "latest" => Some(Self::Latest),
            other => other.strip_prefix("v1.")?.parse().ok().map(Self::Minor),
        }
    }

    /// Whether what this release brought is in it.
    fn has(self, minor: u32) -> bool {
        match self {
            Self::Latest => true,
            Self::Minor(own) => own >= minor,
        }
    }
}

/// A level of one release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standard {
    pub level: Level,
    pub version: Version,
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Version::Latest => write!(f, "{}:latest", self.level.as_str()),
            Version::Minor(minor) => write!(f, "{}:v1.{minor}", self.level.as_str()),
        }
    }
}

/// What a namespace says of the pods in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Pods that violate this are refused.
    pub enforce: Standard,
    /// Whoever makes something that violates this is told.
    pub warn: Standard,
    /// What violates this is logged.
    pub audit: Standard,
}

const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
const WARN: &str = "pod-security.kubernetes.io/warn";
const AUDIT: &str = "pod-security.kubernetes.io/audit";

type Labels = BTreeMap<String, String>;

impl Policy {
    /// Of a namespace with these labels. A level that is none is the strictest.
    /// <https://kubernetes.io/docs/concepts/security/pod-security-admission/#pod-security-admission-labels-for-namespaces>
    pub fn of(labels: Option<&Labels>) -> Self {
        let standard = |key: &str| {
            let text = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
            let level = text(key)
                .map_or(Level::Privileged, |text| Level::read(text).unwrap_or(Level::Restricted));
            let version = text(&format!("{key}-version")).and_then(Version::read);
            Standard { level, version: version.unwrap_or(Version::Latest) }
        };
        Self { enforce: standard(ENFORCE), warn: standard(WARN), audit: standard(AUDIT) }
    }
}

/// What is wrong with the labels of a namespace: the key, and what would be right.
pub fn wrong_labels(labels: Option<&Labels>) -> Vec<(String, String, &'static str)> {
    let mut wrong = Vec::new();
    for key in [ENFORCE, WARN, AUDIT] {
        let version = format!("{key}-version");
        let level = labels.and_then(|labels| labels.get(key));
        if let Some(level) = level.filter(|level| Level::read(level).is_none()) {
            let detail = "must be one of privileged, baseline, restricted";
            wrong.push((key.to_owned(), level.clone(), detail));
        }
        let said = labels.and_then(|labels| labels.get(&version));
        if let Some(said) = said.filter(|said| Version::read(said).is_none()) {
            wrong.push((version, said.clone(), "must be \"latest\" or \"v1.x\""));
        }
    }
    wrong
}

/// Why a pod is not let in: `violates PodSecurity "baseline:latest": privileged (container "a" must...`.
pub fn refusal(annotations: Option<&Labels>, pod: &PodSpec, policy: &Policy) -> Option<String> {
    violation(annotations, pod, policy.enforce)
        .map(|what| format!("violates PodSecurity {:?}: {what}", policy.enforce.to_string()))
}

/// What to tell whoever makes such a pod, or what makes such pods.
pub fn warning(annotations: Option<&Labels>, pod: &PodSpec, standard: Standard) -> Option<String> {
    violation(annotations, pod, standard)
        .map(|what| format!("would violate PodSecurity {:?}: {what}", standard.to_string()))
}

/// All that violates the standard, if anything does.
fn violation(annotations: Option<&Labels>, pod: &PodSpec, standard: Standard) -> Option<String> {
    let subject = Subject { annotations, pod, version: standard.version };
    let checks: &[Check] = match standard.level {
        Level::Privileged => &[],
        Level::Baseline => &BASELINE,
        Level::Restricted => &RESTRICTED,
    };
    let found: Vec<String> = checks
        .iter()
        .filter_map(|check| check(&subject))
        .map(|found| format!("{} ({})", found.reason, found.detail))
        .collect();
    (!found.is_empty()).then(|| found.join(", "))
}

/// A pod that is held against a standard.
struct Subject<'a> {
    annotations: Option<&'a Labels>,
    pod: &'a PodSpec,
    version: Version,
}

/// What violates a standard: `privileged`, and `container "a" must not ...`.
struct Violation {
    reason: &'static str,
    detail: String,
}

type Check = fn(&Subject<'_>) -> Option<Violation>;

/// In the order of Kubernetes. SELinux and what is of Windows are not here: kiln takes no pod with them.
const BASELINE: [Check; 10] = [
    profiles::apparmor,
    capabilities::non_default,
    host::namespaces,
    host::paths,
    host::ports,
    host::probed,
    privilege::privileged,
    profiles::proc_mount,
    profiles::unconfined_seccomp,
    sysctls::unsafe_ones,
];

/// Three checks of the baseline have a stricter one in their place.
const RESTRICTED: [Check; 13] = [
    profiles::apparmor,
    host::namespaces,
    host::ports,
    host::probed,
    privilege::privileged,
    profiles::proc_mount,
    sysctls::unsafe_ones,
    privilege::escalation,
    capabilities::unrestricted,
    volumes::restricted,
    privilege::root_allowed,
    privilege::runs_as_root,
    profiles::no_seccomp,
];

impl<'a> Subject<'a> {
    /// The containers, init containers first, as they are named in messages.
    fn containers(&self) -> impl Iterator<Item = &'a Container> {
        self.pod.init_containers.iter().flatten().chain(&self.pod.containers)
    }

    /// The names of the containers of which this is so.
    fn named(&self, is_so: impl Fn(&Container) -> bool) -> Vec<&'a str> {
        self.containers().filter(|c| is_so(c)).map(|c| c.name.as_str()).collect()
    }
}

/// `container "a"`, `containers "a", "b"`.
fn containers(names: &[&str]) -> String {
    format!("{} {}", plural(names.len(), "container", "containers"), quoted(names))
}

fn plural(count: usize, one: &'static str, many: &'static str) -> &'static str {
    if count == 1 { one } else { many }
}

fn quoted<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    names.into_iter().map(|name| format!("{:?}", name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// Who set something that is forbidden, the pod itself or some of its containers, and what they set.
#[derive(Default)]
struct Setters<'a> {
    pod: bool,
    containers: Vec<&'a str>,
    values: BTreeSet<String>,
}

impl Setters<'_> {
    fn is_empty(&self) -> bool {
        !self.pod && self.containers.is_empty()
    }

    /// `pod and containers "a", "b"`
    fn who(&self) -> String {
        let pod = self.pod.then(|| "pod".to_owned());
        let some = (!self.containers.is_empty()).then(|| containers(&self.containers));
        pod.into_iter().chain(some).collect::<Vec<_>>().join(" and ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(super) fn standard(text: &str) -> Standard {
        let (level, version) = text.split_once(':').unwrap();
        let (level, version) = (Level::read(level).unwrap(), Version::read(version).unwrap());
        Standard { level, version }
    }

    /// What a pod with one container `a` violates.
    pub(super) fn violated(level: &str, pod: Value, container: Value) -> String {
        let mut spec = json!({"containers": [{"name": "a"}]});
        let own = spec["containers"][0].as_object_mut().unwrap();
        own.extend(container.as_object().unwrap().clone());
        spec.as_object_mut().unwrap().extend(pod.as_object().unwrap().clone());
        let spec: PodSpec = serde_json::from_value(spec).unwrap();
        violation(None, &spec, standard(level)).unwrap_or_default()
    }

    #[test]
    fn a_pod_that_says_nothing_is_told_all_that_the_restricted_level_asks_for() {
        let spec: PodSpec =
            serde_json::from_value(json!({"containers": [{"name": "nginx"}]})).unwrap();
        let labels: Labels = [(ENFORCE.to_owned(), "restricted".to_owned())].into();
        let policy = Policy::of(Some(&labels));
        assert_eq!(
            refusal(None, &spec, &policy).unwrap(),
            "violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \
             \"nginx\" must set securityContext.allowPrivilegeEscalation=false), unrestricted \
             capabilities (container \"nginx\" must set securityContext.capabilities.drop=[\"ALL\"]), \
             runAsNonRoot != true (pod or container \"nginx\" must set \
             securityContext.runAsNonRoot=true), seccompProfile (pod or container \"nginx\" must set \
             securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
        );
        assert_eq!(warning(None, &spec, policy.warn), None);
        assert_eq!(violated("baseline:latest", json!({}), json!({})), "");
    }

    #[test]
    fn a_pod_that_restricts_itself_is_let_in() {
        let pod = json!({
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [{"name": "v", "emptyDir": {}}],
        });
        let container = json!({"securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        }});
        assert_eq!(violated("restricted:latest", pod, container), "");
    }

    #[test]
    fn the_baseline_comes_before_what_only_the_restricted_level_asks_for() {
        let text = violated(
            "restricted:v1.24",
            json!({"hostPID": true, "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
            json!({"securityContext": {"privileged": true}}),
        );
        let order =
            ["host namespaces", "privileged", "allowPrivilegeEscalation", "restricted volume"];
        let places: Vec<_> = order.iter().map(|words| text.find(words).unwrap()).collect();
        assert!(places.is_sorted() && !text.contains("hostPath volumes"), "{text}");
    }

    #[test]
    fn labels_that_say_no_level_are_told_and_taken_for_the_strictest() {
        let labels: Labels = [
            (ENFORCE.to_owned(), "strict".to_owned()),
            (format!("{WARN}-version"), "1.30".to_owned()),
            (AUDIT.to_owned(), "baseline".to_owned()),
            (format!("{AUDIT}-version"), "v1.30".to_owned()),
        ]
        .into();
        let policy = Policy::of(Some(&labels));
        assert_eq!(policy.enforce.level, Level::Restricted);
        assert_eq!(policy.audit.to_string(), "baseline:v1.30");
        assert_eq!(policy.warn, standard("privileged:latest"));
        let wrong: Vec<_> = wrong_labels(Some(&labels)).into_iter().map(|(key, ..)| key).collect();
        assert_eq!(wrong, [ENFORCE.to_owned(), format!("{WARN}-version")]);
        assert_eq!(Policy::of(None).enforce, standard("privileged:latest"));
    }
}

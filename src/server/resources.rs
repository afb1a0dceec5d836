//! The table of what is served.
//!
//! Owns: which resources there are and what can be done with each. Routes, discovery, OpenAPI and
//! short names all come from here: a further kind is one entry, and a file in `kinds` if it has rules
//! of its own. Must not know: how anything is done.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris>

use crate::api::object::Kind;

/// What can be done with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Create,
    Delete,
    DeleteCollection,
    Get,
    List,
    Patch,
    Update,
    Watch,
}

impl Verb {
    /// As discovery, access reviews and metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }

    /// Whether it leaves everything as it is.
    pub fn only_reads(self) -> bool {
        match self {
            Self::Get | Self::List | Self::Watch => true,
            Self::Create | Self::Delete | Self::DeleteCollection | Self::Patch | Self::Update => {
                false
            }
        }
    }
}

/// A part of an object that has a path of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subresource {
    Status,
    Log,
}

impl Subresource {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Log => "log",
        }
    }

    pub fn verbs(self) -> &'static [Verb] {
        match self {
            Self::Status => &[Verb::Get, Verb::Patch, Verb::Update],
            Self::Log => &[Verb::Get],
        }
    }
}

/// A resource that is a question: it is answered and not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Review {
    SelfSubjectAccess,
    SelfSubjectRules,
    SelfSubject,
}

/// What stands behind a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    Stored(Kind),
    Asked(Review),
}

/// One line of the table.
#[derive(Debug)]
pub struct Resource {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    pub singular: &'static str,
    pub short_names: &'static [&'static str],
    pub categories: &'static [&'static str],
    pub namespaced: bool,
    pub verbs: &'static [Verb],
    pub subresources: &'static [Subresource],
    pub behind: Behind,
}

impl Resource {
    /// `batch/v1`, `v1`
    pub fn group_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// As errors name it: `jobs.batch`, `pods`.
    pub fn qualified(&self) -> String {
        match self.group {
            "" => self.plural.to_owned(),
            group => format!("{}.{group}", self.plural),
        }
    }

    /// As errors name the kind: `Job.batch`, `Pod`.
    pub fn qualified_kind(&self) -> String {
        match self.group {
            "" => self.kind.to_owned(),
            group => format!("{}.{group}", self.kind),
        }
    }
}

const ALL: &[Verb] = &[
    Verb::Create,
    Verb::Delete,
    Verb::DeleteCollection,
    Verb::Get,
    Verb::List,
    Verb::Patch,
    Verb::Update,
    Verb::Watch,
];
/// A namespace takes all that is in it along: not many at once.
const ONE_BY_ONE: &[Verb] =
    &[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch];
const READ: &[Verb] = &[Verb::Get, Verb::List, Verb::Watch];
const ASK: &[Verb] = &[Verb::Create];

/// The table, in the order in which discovery tells it.
pub const RESOURCES: &[Resource] = &[
    core("ConfigMap", "configmaps", "configmap", &["cm"], Kind::ConfigMap),
    core("Event", "events", "event", &["ev"], Kind::Event),
    Resource {
        namespaced: false,
        verbs: ONE_BY_ONE,
        subresources: &[Subresource::Status],
        ..core("Namespace", "namespaces", "namespace", &["ns"], Kind::Namespace)
    },
    Resource {
        namespaced: false,
        verbs: READ,
        ..core("Node", "nodes", "node", &["no"], Kind::Node)
    },
    Resource {
        subresources: &[Subresource::Status],
        ..core(
            "PersistentVolumeClaim",
            "persistentvolumeclaims",
            "persistentvolumeclaim",
            &["pvc"],
            Kind::PersistentVolumeClaim,
        )
    },
    Resource {
        categories: &["all"],
        subresources: &[Subresource::Log, Subresource::Status],
        ..core("Pod", "pods", "pod", &["po"], Kind::Pod)
    },
    core("Secret", "secrets", "secret", &[], Kind::Secret),
    core("ServiceAccount", "serviceaccounts", "serviceaccount", &["sa"], Kind::ServiceAccount),
    review("authentication.k8s.io", "SelfSubjectReview", "selfsubjectreviews", Review::SelfSubject),
    review(
        "authorization.k8s.io",
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
        Review::SelfSubjectAccess,
    ),
    review(
        "authorization.k8s.io",
        "SelfSubjectRulesReview",
        "selfsubjectrulesreviews",
        Review::SelfSubjectRules,
    ),
    Resource {
        group: "batch",
        categories: &["all"],
        subresources: &[Subresource::Status],
        ..core("CronJob", "cronjobs", "cronjob", &["cj"], Kind::CronJob)
    },
    Resource {
        group: "batch",
        categories: &["all"],
        subresources: &[Subresource::Status],
        ..core("Job", "jobs", "job", &[], Kind::Job)
    },
    Resource { group: "coordination.k8s.io", ..core("Lease", "leases", "lease", &[], Kind::Lease) },
    // The same objects as those of the core group, under other names (`api::versions`).
    Resource { group: "events.k8s.io", ..core("Event", "events", "event", &["ev"], Kind::Event) },
];

/// The resource of this path.
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|r| r.group == group && r.version == version && r.plural == plural)
}

/// The resource of a kind that is stored, in the version that it is stored in.
pub fn of(kind: Kind) -> &'static Resource {
    let found = RESOURCES.iter().find(|resource| resource.behind == Behind::Stored(kind));
    found.expect("a test holds the table against the kinds")
}

/// The groups and their versions, each once, in the order of the table; the core group first.
pub fn group_versions() -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    for resource in RESOURCES {
        let version = (resource.group, resource.version);
        if !found.contains(&version) {
            found.push(version);
        }
    }
    found
}

/// All that there is, for whoever asks for something else: `jobs.batch, pods, ...`.
pub fn names() -> String {
    RESOURCES.iter().map(Resource::qualified).collect::<Vec<_>>().join(", ")
}

/// A kind of the core group that is in a namespace and can be handled in every way.
const fn core(
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    short_names: &'static [&'static str],
    stored: Kind,
) -> Resource {
    Resource {
        group: "",
        version: "v1",
        kind,
        plural,
        singular,
        short_names,
        categories: &[],
        namespaced: true,
        verbs: ALL,
        subresources: &[],
        behind: Behind::Stored(stored),
    }
}

const fn review(
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    review: Review,
) -> Resource {
    Resource {
        group,
        version: "v1",
        kind,
        plural,
        singular: "",
        short_names: &[],
        categories: &[],
        namespaced: false,
        verbs: ASK,
        subresources: &[],
        behind: Behind::Asked(review),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_that_is_stored_is_served_as_it_is_stored() {
        for kind in Kind::ALL {
            let resource = of(kind);
            assert_eq!(resource.kind, kind.as_str());
            assert_eq!(resource.plural, kind.plural());
            assert_eq!(resource.namespaced, kind.is_namespaced());
            assert_eq!(resource.group_version(), kind.api_version());
        }
    }

    #[test]
    fn no_two_kinds_share_a_name() {
        let kinds = RESOURCES.iter().filter(|resource| match resource.behind {
            Behind::Stored(kind) => std::ptr::eq(of(kind), *resource),
            Behind::Asked(_) => true,
        });
        let mut names: Vec<&str> = kinds.clone().map(|resource| resource.plural).collect();
        names.extend(kinds.flat_map(|resource| resource.short_names));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}

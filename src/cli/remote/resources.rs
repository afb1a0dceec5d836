//! The kinds that a server has, by the names that people have for them.
//!
//! Owns: plural, singular and short names, and paths. Must not know: what the kinds mean.

use std::fmt;

use serde_json::Value;

use super::{Error, Remote};

/// A kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub namespaced: bool,
    /// Groups of kinds, such as `all`; where the server was asked.
    pub categories: Vec<String>,
    /// What can be done with it; where the server was asked.
    pub verbs: Vec<String>,
}

/// Those that every server has under these names: `(group, version, kind, plural, short names,
/// namespaced)`. They need not be asked for.
type Known =
    (&'static str, &'static str, &'static str, &'static str, &'static [&'static str], bool);
const KNOWN: [Known; 10] = [
    ("batch", "v1", "Job", "jobs", &[], true),
    ("batch", "v1", "CronJob", "cronjobs", &["cj"], true),
    ("", "v1", "Pod", "pods", &["po"], true),
    ("", "v1", "Event", "events", &["ev"], true),
    ("", "v1", "Node", "nodes", &["no"], false),
    ("", "v1", "ConfigMap", "configmaps", &["cm"], true),
    ("", "v1", "Secret", "secrets", &[], true),
    ("", "v1", "Namespace", "namespaces", &["ns"], false),
    ("", "v1", "ServiceAccount", "serviceaccounts", &["sa"], true),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", &["pvc"], true),
];

impl Resource {
    /// `job.batch`
    pub(in crate::cli) fn qualified_singular(&self) -> String {
        self.with_group(&self.singular)
    }

    /// `jobs.batch`
    pub(in crate::cli) fn qualified_plural(&self) -> String {
        self.with_group(&self.plural)
    }

    /// `batch/v1`
    pub(in crate::cli) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    fn with_group(&self, name: &str) -> String {
        if self.group.is_empty() { name.to_owned() } else { format!("{name}.{}", self.group) }
    }

    /// The path of all objects; of one namespace, unless it is `None`.
    pub(in crate::cli) fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let version = self.api_version();
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{root}/{version}/namespaces/{namespace}/{}", self.plural),
            None => format!("{root}/{version}/{}", self.plural),
        }
    }

    pub(in crate::cli) fn is(&self, kind: &str) -> bool {
        self.kind == kind
    }

    fn answers_to(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let versioned = |own: &str| format!("{own}.{}.{}", self.version, self.group);
        let named =
            |own: &str| own == name || self.with_group(own) == name || versioned(own) == name;
        named(&self.plural) || named(&self.singular) || self.short_names.contains(&name)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.qualified_singular())
    }
}

/// What is known of a kind without asking.
pub(in crate::cli) fn known(name: &str) -> Option<Resource> {
    all_known().find(|resource| resource.answers_to(name))
}

fn all_known() -> impl Iterator<Item = Resource> {
    KNOWN.into_iter().map(|(group, version, kind, plural, short_names, namespaced)| Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        short_names: short_names.iter().map(|name| (*name).to_owned()).collect(),
        namespaced,
        categories: Vec::new(),
        verbs: Vec::new(),
    })
}

/// The kind that people call so.
///
/// # Errors
/// There is none, or the server cannot be asked.
pub(in crate::cli) async fn named(remote: &Remote, name: &str) -> Result<Resource, Error> {
    if let Some(resource) = known(name) {
        return Ok(resource);
    }
    for version in versions(remote).await? {
        if let Some(found) =
            of_version(remote, &version).await?.into_iter().find(|r| r.answers_to(name))
        {
            return Ok(found);
        }
    }
    Err(Error::failed(format!("the server doesn't have a resource type {name:?}")))
}

/// The kinds that people call so, by commas between them; a category, such as `all`, is its kinds.
///
/// # Errors
/// There is none, or the server cannot be asked.
pub(in crate::cli) async fn named_all(
    remote: &Remote,
    names: &str,
) -> Result<Vec<Resource>, Error> {
    let mut found = Vec::new();
    for name in names.split(',') {
        match named(remote, name).await {
            Ok(resource) => found.push(resource),
            Err(error @ Error::Failed { .. }) => {
                let is_in = |resource: &Resource| resource.categories.iter().any(|c| c == name);
                let before = found.len();
                found.extend(all_of(remote).await?.into_iter().filter(is_in));
                if found.len() == before {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// All kinds of the server, each in the version that it prefers.
///
/// # Errors
/// The server cannot be asked.
pub(in crate::cli) async fn all_of(remote: &Remote) -> Result<Vec<Resource>, Error> {
    let mut all = Vec::new();
    for version in versions(remote).await? {
        all.extend(of_version(remote, &version).await?);
    }
    Ok(all)
}

/// The kind of a manifest.
///
/// # Errors
/// There is none, or the server cannot be asked.
pub(in crate::cli) async fn of_manifest(
    remote: &Remote,
    object: &Value,
) -> Result<Resource, Error> {
    let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if let Some(found) = all_known().find(|r| r.api_version() == api_version && r.is(&kind)) {
        return Ok(found);
    }
    let found = match of_version(remote, &api_version).await {
        Err(error) if error.is_not_found() => Vec::new(),
        found => found?,
    };
    found.into_iter().find(|resource| resource.is(&kind)).ok_or_else(|| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        Error::failed(format!(
            "resource mapping not found for name: {name:?}: no matches for kind {kind:?} in version \
             {api_version:?}"
        ))
    })
}

async fn versions(remote: &Remote) -> Result<Vec<String>, Error> {
    let groups = remote.get("/apis").await?;
    let preferred = groups["groups"].as_array().into_iter().flatten();
    let preferred =
        preferred.filter_map(|group| group["preferredVersion"]["groupVersion"].as_str());
    Ok(std::iter::once("v1").chain(preferred).map(str::to_owned).collect())
}

async fn of_version(remote: &Remote, api_version: &str) -> Result<Vec<Resource>, Error> {
    let (root, group, version) = match api_version.split_once('/') {
        Some((group, version)) => ("/apis", group, version),
        None => ("/api", "", api_version),
    };
    let list = remote.get(&format!("{root}/{api_version}")).await?;
    let entries = list["resources"].as_array().into_iter().flatten();
    Ok(entries.filter_map(|entry| of_entry(group, version, entry)).collect())
}

/// Subresources are not kinds.
fn of_entry(group: &str, version: &str, entry: &Value) -> Option<Resource> {
    let text = |field: &str| entry[field].as_str().filter(|text| !text.is_empty());
    let plural = text("name").filter(|name| !name.contains('/'))?;
    let kind = text("kind")?;
    let texts = |field: &str| {
        let list = entry[field].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    Some(Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        singular: text("singularName").map_or_else(|| kind.to_lowercase(), str::to_owned),
        short_names: texts("shortNames"),
        namespaced: entry["namespaced"] == true,
        categories: texts("categories"),
        verbs: texts("verbs"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_answers_to_all_its_names() {
        for name in ["job", "jobs", "Job", "jobs.batch", "job.batch", "jobs.v1.batch"] {
            assert_eq!(known(name).unwrap().kind, "Job", "{name}");
        }
        assert_eq!(known("po").unwrap().path(Some("a")), "/api/v1/namespaces/a/pods");
        assert_eq!(known("no").unwrap().path(Some("a")), "/api/v1/nodes");
        assert_eq!(known("job").unwrap().path(None), "/apis/batch/v1/jobs");
        assert_eq!(known("job").unwrap().to_string(), "job.batch");
        assert_eq!(known("leases"), None);
    }
}

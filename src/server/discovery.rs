//! What there is to ask for, and what is no object.
//!
//! Owns: discovery in both forms, `/version`, `/metrics` and the OpenAPI documents. Must not know: how
//! objects are handled. <https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api>

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::api::Api;
use super::metrics::Build;
use super::openapi::{self, OpenApi};
use super::request::accepted;
use super::resources::{RESOURCES, Resource, Verb, group_versions};
use super::respond::{Answer, Response, document, tagged, whole};
use super::status::Error;

/// The level of the API that the objects are of.
const MAJOR: &str = "1";
const MINOR: &str = "37";

/// Documents that are made once, when they are first asked for.
#[derive(Debug)]
pub(super) struct Documents {
    resources: OnceLock<Vec<(String, Vec<u8>)>>,
    openapi: OpenApi,
}

impl Documents {
    pub(super) fn new() -> Self {
        let described = RESOURCES.iter().map(|resource| openapi::Resource {
            group: resource.group,
            version: resource.version,
            kind: resource.kind,
            plural: resource.plural,
            namespaced: resource.namespaced,
            verbs: verbs(resource.verbs),
            subresources: resource.subresources.iter().map(|part| part.as_str()).collect(),
        });
        Self { resources: OnceLock::new(), openapi: OpenApi::new(described.collect()) }
    }

    /// The documents that describe the API.
    fn described(&self, path: &str, asked: &HeaderMap) -> Option<Response> {
        let json = "application/json";
        Some(match path.strip_prefix("/openapi/")? {
            "v3" => document(asked, self.openapi.index(), json),
            "v2" => {
                let wanted = accepted(asked).into_iter().map(|range| range.media);
                let mut wanted = wanted.filter(|media| {
                    *media == json || openapi::V2_PROTOBUF_ACCEPTED.contains(media)
                });
                match wanted.next() {
                    Some(media) if media != json => {
                        document(asked, self.openapi.v2_protobuf(), openapi::V2_PROTOBUF)
                    }
                    Some(_) | None => document(asked, self.openapi.v2(), json),
                }
            }
            root => document(asked, self.openapi.v3(root.strip_prefix("v3/")?)?, json),
        })
    }
}

/// Answers what is not about objects; `None`: it is about objects.
pub(super) async fn answer(
    api: &Arc<Api>,
    head: &http::request::Parts,
) -> Result<Option<Response>, Error> {
    let path = head.uri.path().trim_end_matches('/');
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return Ok(None);
    }
    let asked = &head.headers;
    Ok(match path {
        "/version" => Some(Answer::ok(version()).into_response(asked)),
        "/metrics" => {
            let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            let text = api.metrics.text(api.measures.as_deref());
            Some(whole(text.into(), media))
        }
        "" => {
            let paths = [
                "/api",
                "/apis",
                "/healthz",
                "/livez",
                "/metrics",
                "/openapi/v2",
                "/openapi/v3",
                "/readyz",
                "/version",
            ];
            Some(Answer::ok(json!({"paths": paths})).into_response(asked))
        }
        "/api" | "/apis" => Some(root(path, asked)),
        _ => {
            if let Some(described) = api.documents.described(path, asked) {
                return Ok(Some(described));
            }
            let documents = api.documents.resources.get_or_init(resource_lists);
            let found = documents.iter().find(|(known, _)| known == path);
            found.map(|(_, bytes)| tagged(asked, bytes.clone(), "application/json"))
        }
    })
}

/// Which Kubernetes it is like.
fn version() -> Value {
    let Build { major, minor, git_version, platform } = build();
    json!({
        "major": major, "minor": minor, "gitVersion": git_version,
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "", "compiler": "rustc", "platform": platform,
    })
}

/// The same, as it is counted.
pub(super) fn build() -> Build {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    Build {
        major: MAJOR,
        minor: MINOR,
        git_version: format!("v{MAJOR}.{MINOR}.0+kiln-{}", env!("CARGO_PKG_VERSION")),
        platform: format!("linux/{arch}"),
    }
}

/// The groups: all that is in them at once for whoever can read that, else their versions.
fn root(path: &str, asked: &HeaderMap) -> Response {
    for range in accepted(asked) {
        let aggregated = range.shape == Some("APIGroupDiscoveryList")
            && range.group == Some("apidiscovery.k8s.io");
        if let Some(version @ ("v2" | "v2beta1")) = range.version.filter(|_| aggregated) {
            let media = format!(
                "application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
            );
            let bytes = aggregated_list(path == "/api", version).to_string().into_bytes();
            return tagged(asked, bytes, &media);
        }
    }
    let value = if path == "/api" {
        json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        })
    } else {
        let groups: Vec<Value> =
            named_groups().map(|(group, version)| api_group(group, version)).collect();
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    };
    tagged(asked, value.to_string().into_bytes(), "application/json")
}

fn named_groups() -> impl Iterator<Item = (&'static str, &'static str)> {
    group_versions().into_iter().filter(|(group, _)| !group.is_empty())
}

fn api_group(group: &str, version: &str) -> Value {
    let known = json!({"groupVersion": format!("{group}/{version}"), "version": version});
    json!({
        "kind": "APIGroup", "apiVersion": "v1", "name": group, "versions": [known.clone()],
        "preferredVersion": known,
    })
}

fn aggregated_list(core: bool, version: &str) -> Value {
    let groups = group_versions().into_iter().filter(|(group, _)| group.is_empty() == core);
    let items: Vec<Value> = groups
        .map(|(group, group_version)| {
            let ours = RESOURCES.iter().filter(|r| r.group == group && r.version == group_version);
            let mut meta = json!({"creationTimestamp": null});
            if !group.is_empty() {
                meta["name"] = group.into();
            }
            json!({
                "metadata": meta,
                "versions": [{
                    "version": group_version, "freshness": "Current",
                    "resources": ours.map(aggregated).collect::<Vec<_>>(),
                }],
            })
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "metadata": {}, "items": items,
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
    })
}

fn aggregated(resource: &Resource) -> Value {
    let kind = json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
    let mut value = json!({
        "resource": resource.plural, "responseKind": kind,
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular, "verbs": verbs(resource.verbs),
    });
    if !resource.short_names.is_empty() {
        value["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        value["categories"] = json!(resource.categories);
    }
    if !resource.subresources.is_empty() {
        let parts = resource.subresources.iter().map(|part| {
            json!({"subresource": part.as_str(), "responseKind": kind, "verbs": verbs(part.verbs())})
        });
        value["subresources"] = parts.collect();
    }
    value
}

fn verbs(verbs: &[Verb]) -> Vec<&'static str> {
    verbs.iter().map(|verb| verb.as_str()).collect()
}

/// Each group version's resources, and each group, in the older form.
fn resource_lists() -> Vec<(String, Vec<u8>)> {
    let mut documents = Vec::new();
    for (group, version) in group_versions() {
        let path = match group {
            "" => format!("/api/{version}"),
            group => {
                let bytes = api_group(group, version).to_string().into_bytes();
                documents.push((format!("/apis/{group}"), bytes));
                format!("/apis/{group}/{version}")
            }
        };
        let ours = RESOURCES.iter().filter(|r| r.group == group && r.version == version);
        let group_version = path.trim_start_matches("/apis/").trim_start_matches("/api/");
        let list = json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version,
            "resources": ours.flat_map(listed).collect::<Vec<_>>(),
        });
        documents.push((path, list.to_string().into_bytes()));
    }
    documents
}

fn listed(resource: &Resource) -> Vec<Value> {
    let mut value = json!({
        "name": resource.plural, "singularName": resource.singular, "kind": resource.kind,
        "namespaced": resource.namespaced, "verbs": verbs(resource.verbs),
    });
    if !resource.short_names.is_empty() {
        value["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        value["categories"] = json!(resource.categories);
    }
    let parts = resource.subresources.iter().map(|part| {
        json!({
            "name": format!("{}/{}", resource.plural, part.as_str()), "singularName": "",
            "kind": resource.kind, "namespaced": resource.namespaced, "verbs": verbs(part.verbs()),
        })
    });
    std::iter::once(value).chain(parts).collect()
}

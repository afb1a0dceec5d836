//! What a request says before its body: where, what, how the answer is to look.
//!
//! Owns: reading paths, query parameters and the `Accept` header. Must not know: what is answered.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/>

use http::{HeaderMap, header};
use percent_encoding::percent_decode_str;

use super::resources::{self, Resource, Subresource};
use super::status::Error;

/// What a path below `/api` or `/apis` means.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) resource: &'static Resource,
    /// `None`: all namespaces, or a resource that is in none.
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) subresource: Option<Subresource>,
}

/// Reads a path.
///
/// # Errors
/// [`Error::NoSuchPath`]; [`Error::NotBuilt`] for what a cluster has there.
pub(super) fn target(path: &str) -> Result<Target, Error> {
    let decode = |part: &str| percent_decode_str(part).decode_utf8().map(|s| s.into_owned());
    let parts: Result<Vec<String>, _> = path.trim_matches('/').split('/').map(decode).collect();
    let parts = parts.map_err(|_| Error::bad("the path is not UTF-8"))?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Err(Error::NoSuchPath),
    };
    let find = |plural| resources::find(group, version, plural).ok_or(Error::NoSuchPath);
    let (namespace, resource, rest) = match rest {
        // The namespace itself, and its own parts.
        ["namespaces"] | ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => {
            (None, find("namespaces")?, &rest[1..])
        }
        ["namespaces", namespace, plural, rest @ ..] => (Some(*namespace), find(plural)?, rest),
        [plural, rest @ ..] => (None, find(plural)?, rest),
        [] => return Err(Error::NoSuchPath),
    };
    if namespace.is_some() && !resource.namespaced {
        return Err(Error::NoSuchPath);
    }
    let (name, subresource) = match rest {
        [] => (None, None),
        [name] => (Some(*name), None),
        [name, part] => (Some(*name), Some(subresource(resource, part)?)),
        _ => return Err(Error::NoSuchPath),
    };
    if name.is_some() && resource.namespaced && namespace.is_none() {
        return Err(Error::NoSuchPath);
    }
    let owned = |text: &str| text.to_owned();
    let (namespace, name) = (namespace.map(owned), name.map(owned));
    Ok(Target { resource, namespace, name, subresource })
}

fn subresource(resource: &'static Resource, part: &str) -> Result<Subresource, Error> {
    let known = resource.subresources.iter().find(|known| known.as_str() == part);
    match (known, resource.plural, part) {
        (Some(known), _, _) => Ok(*known),
        (None, "pods", "exec" | "attach" | "portforward" | "eviction" | "binding") => {
            Err(Error::NotBuilt { what: format!("pods/{part}") })
        }
        (None, _, _) => Err(Error::NoSuchPath),
    }
}

/// The query parameters.
#[derive(Debug, Clone, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn read(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// The value of a parameter; one that is empty says nothing.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether a parameter that is true or false is true; there, and without a value, it is.
    pub(super) fn is_set(&self, name: &str) -> Result<bool, Error> {
        let found = self.0.iter().find(|(key, _)| key == name);
        match found.map(|(_, value)| value.as_str()) {
            None | Some("false" | "0" | "f" | "F" | "False" | "FALSE") => Ok(false),
            Some("" | "true" | "1" | "t" | "T" | "True" | "TRUE") => Ok(true),
            Some(other) => {
                Err(Error::bad(format!("parameter {name}: {other:?} is neither true nor false")))
            }
        }
    }

    pub(super) fn number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, Error> {
        let read = |text: &str| {
            text.parse()
                .map_err(|_| Error::bad(format!("parameter {name}: invalid value {text:?}")))
        };
        self.get(name).map(read).transpose()
    }

    /// Whether nothing is to be changed in earnest.
    /// <https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run>
    pub(super) fn dry_run(&self) -> Result<bool, Error> {
        let mut asked = self.0.iter().filter(|(key, _)| key == "dryRun").map(|(_, value)| value);
        match asked.find(|value| *value != "All") {
            Some(other) => Err(Error::bad(format!(
                "dryRun: Unsupported value: {other:?}: supported values: \"All\""
            ))),
            None => Ok(self.get("dryRun").is_some()),
        }
    }

    /// <https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation>
    pub(super) fn strictness(&self) -> Result<Strictness, Error> {
        match self.get("fieldValidation") {
            Some("Strict") => Ok(Strictness::Strict),
            None | Some("Warn") => Ok(Strictness::Warn),
            Some("Ignore") => Ok(Strictness::Ignore),
            Some(other) => Err(Error::bad(format!(
                "fieldValidation: Unsupported value: {other:?}: supported values: \"Ignore\", \
                 \"Strict\", \"Warn\""
            ))),
        }
    }
}

/// What is done about a field that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    Strict,
    Warn,
    Ignore,
}

/// How objects are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    /// Rows and columns, for people.
    Table,
    /// Only their metadata.
    Metadata,
}

/// How they are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Json,
    Yaml,
}

/// The first form that the client takes and that there is.
///
/// # Errors
/// [`Error::NotAcceptable`]
pub(super) fn form(headers: &HeaderMap) -> Result<Form, Error> {
    let found = answered(headers).map(|(_, form)| form);
    found.ok_or(Error::NotAcceptable { accepted: "application/json, application/yaml" })
}

/// The same of an answer that goes on, which is JSON: in YAML nobody could say where an event ends.
///
/// # Errors
/// [`Error::NotAcceptable`]
pub(super) fn form_of_stream(headers: &HeaderMap) -> Result<Form, Error> {
    let found = first(headers, |encoding| encoding == Encoding::Json).map(|(_, form)| form);
    found.ok_or(Error::NotAcceptable { accepted: "application/json" })
}

/// What an answer is written in. Errors are, too; to whoever takes nothing of all this, in JSON.
pub(super) fn encoding(headers: &HeaderMap) -> Encoding {
    answered(headers).map_or(Encoding::Json, |(encoding, _)| encoding)
}

fn answered(headers: &HeaderMap) -> Option<(Encoding, Form)> {
    first(headers, |_| true)
}

fn first(headers: &HeaderMap, is_there: impl Fn(Encoding) -> bool) -> Option<(Encoding, Form)> {
    let ranges = accepted(headers);
    if ranges.is_empty() {
        return Some((Encoding::Json, Form::Whole));
    }
    for range in &ranges {
        let encoding = match range.media {
            "application/json" | "application/*" | "*/*" => Encoding::Json,
            "application/yaml" => Encoding::Yaml,
            _ => continue,
        };
        if !is_there(encoding) {
            continue;
        }
        let known = range.group.is_none_or(|group| group == "meta.k8s.io")
            && range.version.is_none_or(|version| matches!(version, "v1" | "v1beta1"));
        match range.shape {
            None => return Some((encoding, Form::Whole)),
            Some("Table") if known => return Some((encoding, Form::Table)),
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") if known => {
                return Some((encoding, Form::Metadata));
            }
            Some(_) => {}
        }
    }
    None
}

/// One element of an `Accept` header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct MediaRange<'a> {
    pub(super) media: &'a str,
    /// The parameters `as`, `g` and `v`.
    pub(super) shape: Option<&'a str>,
    pub(super) group: Option<&'a str>,
    pub(super) version: Option<&'a str>,
}

/// What the client takes, in its order.
pub(super) fn accepted(headers: &HeaderMap) -> Vec<MediaRange<'_>> {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges = values.flat_map(|value| value.split(','));
    let read = |range| {
        let mut parts = str::split(range, ';').map(str::trim);
        let mut read = MediaRange { media: parts.next()?, ..MediaRange::default() };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name {
                "as" => read.shape = Some(value),
                "g" => read.group = Some(value),
                "v" => read.version = Some(value),
                _ => {}
            }
        }
        (!read.media.is_empty()).then_some(read)
    };
    ranges.filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::object::Kind;

    fn read(path: &str) -> (Kind, Option<String>, Option<String>, Option<Subresource>) {
        let target = target(path).unwrap();
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == target.resource.kind);
        (kind.unwrap(), target.namespace, target.name, target.subresource)
    }

    #[test]
    fn paths_are_read_as_kubernetes_reads_them() {
        let text = |s: &str| Some(s.to_owned());
        let jobs = "/apis/batch/v1/namespaces/a/jobs";
        assert_eq!(read(jobs), (Kind::Job, text("a"), None, None));
        let status = read(&format!("{jobs}/x/status"));
        assert_eq!(status, (Kind::Job, text("a"), text("x"), Some(Subresource::Status)));
        assert_eq!(read("/apis/batch/v1/jobs"), (Kind::Job, None, None, None));
        assert_eq!(read("/api/v1/namespaces"), (Kind::Namespace, None, None, None));
        assert_eq!(read("/api/v1/namespaces/a"), (Kind::Namespace, None, text("a"), None));
        let log = read("/api/v1/namespaces/status/pods/x/log");
        assert_eq!(log, (Kind::Pod, text("status"), text("x"), Some(Subresource::Log)));
        assert_eq!(read("/api/v1/namespaces/a/configmaps/a%2Eb").2, text("a.b"));
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        for path in ["/apis/apps/v1/deployments", "/api/v1/pods/x", "/api/v2/pods", "/foo"] {
            let error = target(path).unwrap_err();
            assert_eq!(error.code(), 404, "{path}");
            assert!(error.to_string().contains("jobs.batch"), "{error}");
        }
        assert_eq!(target("/api/v1/namespaces/a/pods/x/exec").unwrap_err().code(), 501);
    }

    #[test]
    fn the_first_form_that_there_is_is_taken() {
        let form = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            form(&headers)
        };
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;\
                       v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(form(kubectl).unwrap(), Form::Table);
        let go = "application/vnd.kubernetes.protobuf,application/json";
        assert_eq!(form(go).unwrap(), Form::Whole);
        let metadata = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;\
                        g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;\
                        g=meta.k8s.io;v=v1,application/json";
        assert_eq!(form(metadata).unwrap(), Form::Metadata);
        assert_eq!(form("text/html").unwrap_err().code(), 406);
    }

    #[test]
    fn yaml_is_for_whoever_asks_for_it_and_never_goes_on() {
        let headers = |accept: &'static str| {
            HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())])
        };
        let yaml = headers("application/yaml");
        assert_eq!((encoding(&yaml), form(&yaml).unwrap()), (Encoding::Yaml, Form::Whole));
        assert_eq!(form_of_stream(&yaml).unwrap_err().code(), 406);
        let either = headers("application/yaml,application/json");
        assert_eq!(form_of_stream(&either).unwrap(), Form::Whole);
        assert_eq!(encoding(&headers("*/*")), Encoding::Json);
        assert_eq!(encoding(&headers("text/html")), Encoding::Json);
    }
}

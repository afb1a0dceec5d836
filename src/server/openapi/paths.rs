//! The paths of the API and the operations on each, in the forms of v2 and v3.
//!
//! Owns: which operation a verb is, its parameters, its bodies.
//! Must not know: the schemas, but for their names.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris>

use serde_json::{Map, Value, json};

use super::Resource;
use super::schemas::{self, DELETE_OPTIONS, PATCH, STATUS, reference};

/// The two versions of OpenAPI say the same in different places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    V2,
    V3,
}

/// The content types of an object in a body.
const BODIES: [&str; 3] =
    ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// The content types of a patch. kubectl looks here for the one that it would rather send.
/// <https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply>
const PATCHES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// A parameter in the query: name, type, description.
type Query = (&'static str, &'static str, &'static str);

const DRY_RUN: Query =
    ("dryRun", "string", "With `All`, everything is checked and answered, and nothing is stored.");
const FIELD_MANAGER: Query =
    ("fieldManager", "string", "The name under which changed fields are managed.");
const FIELD_VALIDATION: Query = (
    "fieldValidation",
    "string",
    "What becomes of unknown and duplicate fields: `Ignore`, `Warn` or `Strict`.",
);
const FORCE: Query = ("force", "boolean", "Whether an apply takes over fields that others manage.");
const LABELS: Query = ("labelSelector", "string", "Selects objects by their labels.");
const FIELDS: Query = ("fieldSelector", "string", "Selects objects by their fields.");
const RESOURCE_VERSION: Query =
    ("resourceVersion", "string", "How recent the answer has to be, or where a watch begins.");
const RESOURCE_VERSION_MATCH: Query =
    ("resourceVersionMatch", "string", "What resourceVersion means for a list.");
const LIMIT: Query = ("limit", "integer", "The most objects that one answer has.");
const CONTINUE: Query = ("continue", "string", "Where an earlier answer ended.");
const TIMEOUT: Query = ("timeoutSeconds", "integer", "How long a list or a watch may take.");
const GRACE: Query = ("gracePeriodSeconds", "integer", "How long an object has to stop.");
const PROPAGATION: Query = (
    "propagationPolicy",
    "string",
    "What becomes of dependents: `Orphan`, `Background` or `Foreground`.",
);

const WRITE: &[Query] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];
const WRITE_PART: &[Query] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE];
const DELETE: &[Query] = &[DRY_RUN, GRACE, PROPAGATION];
const DELETE_ALL: &[Query] = &[
    CONTINUE,
    DRY_RUN,
    FIELDS,
    GRACE,
    LABELS,
    LIMIT,
    PROPAGATION,
    RESOURCE_VERSION,
    RESOURCE_VERSION_MATCH,
    TIMEOUT,
];
const LIST: &[Query] = &[
    ("allowWatchBookmarks", "boolean", "Whether a watch may send bookmarks."),
    CONTINUE,
    FIELDS,
    LABELS,
    LIMIT,
    RESOURCE_VERSION,
    RESOURCE_VERSION_MATCH,
    ("sendInitialEvents", "boolean", "Whether a watch begins with what there is."),
    TIMEOUT,
    ("watch", "boolean", "Answers with changes as they happen, instead of a list."),
];
const LOG: &[Query] = &[
    ("container", "string", "The container, if the pod has more than one."),
    ("follow", "boolean", "Goes on until the container ends."),
    ("limitBytes", "integer", "The most bytes to answer with."),
    ("previous", "boolean", "The log of the run before this one."),
    ("sinceSeconds", "integer", "Only lines that are not older than this."),
    ("sinceTime", "string", "Only lines since this time."),
    ("stream", "string", "`All`, `Stdout` or `Stderr`."),
    ("tailLines", "integer", "Only so many lines from the end."),
    ("timestamps", "boolean", "Puts its time before every line."),
];

/// The parameters in a path.
const NAMES: [(&str, &str); 2] =
    [("namespace", "The namespace of the object."), ("name", "The name of the object.")];

/// One thing that can be done at a path.
#[derive(Debug, Clone, Copy)]
struct Operation {
    /// The verb that a resource must have for it.
    verb: &'static str,
    method: &'static str,
    /// `x-kubernetes-action`
    action: &'static str,
    /// How the name of the operation begins.
    name: &'static str,
    query: &'static [Query],
    body: Body,
    answer: Answer,
}

#[derive(Debug, Clone, Copy)]
enum Body {
    None,
    Object,
    Patch,
    DeleteOptions,
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Object,
    List,
    Status,
    Text,
}

/// What can be done with all objects of a resource.
const COLLECTION: [Operation; 3] = [
    Operation {
        verb: "list",
        method: "get",
        action: "list",
        name: "list",
        query: LIST,
        body: Body::None,
        answer: Answer::List,
    },
    Operation {
        verb: "create",
        method: "post",
        action: "post",
        name: "create",
        query: WRITE,
        body: Body::Object,
        answer: Answer::Object,
    },
    Operation {
        verb: "deletecollection",
        method: "delete",
        action: "deletecollection",
        name: "delete",
        query: DELETE_ALL,
        body: Body::DeleteOptions,
        answer: Answer::Status,
    },
];

/// What can be done with one object; all but the last with its status too.
const ITEM: [Operation; 4] = [
    Operation {
        verb: "get",
        method: "get",
        action: "get",
        name: "read",
        query: &[],
        body: Body::None,
        answer: Answer::Object,
    },
    Operation {
        verb: "update",
        method: "put",
        action: "put",
        name: "replace",
        query: WRITE,
        body: Body::Object,
        answer: Answer::Object,
    },
    Operation {
        verb: "patch",
        method: "patch",
        action: "patch",
        name: "patch",
        query: WRITE_PART,
        body: Body::Patch,
        answer: Answer::Object,
    },
    Operation {
        verb: "delete",
        method: "delete",
        action: "delete",
        name: "delete",
        query: DELETE,
        body: Body::DeleteOptions,
        answer: Answer::Status,
    },
];

const READ_LOG: Operation = Operation {
    verb: "get",
    method: "get",
    action: "get",
    name: "read",
    query: LOG,
    body: Body::None,
    answer: Answer::Text,
};

/// All paths of some resources.
pub(super) fn of(resources: &[&Resource], form: Form) -> Map<String, Value> {
    let mut paths = Map::new();
    for resource in resources {
        if let Some(schema) = schemas::name(resource) {
            Paths { resource, schema, form }.add(&mut paths);
        }
    }
    paths
}

/// The paths of one resource.
struct Paths<'a> {
    resource: &'a Resource,
    schema: String,
    form: Form,
}

/// Where something can be done.
struct Place<'a> {
    path: String,
    /// The parameters in the path, and what they are.
    names: &'a [(&'static str, &'static str)],
    /// How the names of its operations go on before the kind, and after it.
    words: (&'a str, &'a str),
    /// A part of an object has verbs of its own.
    is_part: bool,
}

impl Paths<'_> {
    fn add(&self, paths: &mut Map<String, Value>) {
        let Resource { plural, namespaced, .. } = *self.resource;
        let [list, ..] = COLLECTION;
        let [parts @ .., _] = &ITEM;
        let root = self.resource.root();
        let mut collection = format!("/{root}/{plural}");
        let (mut scope, mut within, mut names) = ("", &NAMES[..0], &NAMES[1..]);
        if namespaced {
            let words = ("", "ForAllNamespaces");
            let place = Place { path: collection, names: within, words, is_part: false };
            self.put(paths, place, &[list]);
            collection = format!("/{root}/namespaces/{{namespace}}/{plural}");
            (scope, within, names) = ("Namespaced", &NAMES[..1], &NAMES[..]);
        }
        let item = format!("{collection}/{{name}}");
        let words = (scope, "");
        let place = Place { path: collection, names: within, words, is_part: false };
        self.put(paths, place, &COLLECTION);
        let place = Place { path: item.clone(), names, words, is_part: false };
        self.put(paths, place, &ITEM);
        for subresource in &self.resource.subresources {
            let path = format!("{item}/{subresource}");
            let word = capitalised(subresource);
            let place = Place { path, names, words: (scope, &word), is_part: true };
            match *subresource {
                "status" => self.put(paths, place, parts),
                "log" => self.put(paths, place, &[READ_LOG]),
                _ => {}
            }
        }
    }

    /// Adds a path with those of the operations that the resource has, if any.
    fn put(&self, paths: &mut Map<String, Value>, place: Place<'_>, operations: &[Operation]) {
        let mut item = Map::new();
        for operation in operations {
            if place.is_part || self.resource.can(operation.verb) {
                let described = self.operation(operation, place.words);
                item.insert(operation.method.to_owned(), described);
            }
        }
        if item.is_empty() {
            return;
        }
        let names = place.names.iter().map(|(name, what)| {
            let mut parameter = self.parameter(name, "string", what, "path");
            parameter["required"] = true.into();
            parameter
        });
        let pretty = self.parameter("pretty", "string", "Indents the answer.", "query");
        item.insert("parameters".to_owned(), names.chain([pretty]).collect());
        paths.insert(place.path, item.into());
    }

    fn operation(&self, operation: &Operation, (scope, suffix): (&str, &str)) -> Value {
        let Resource { group, version, kind, .. } = *self.resource;
        let group = if group.is_empty() { "core" } else { group };
        let group = group.split('.').next().unwrap_or_default();
        let all = if operation.action == "deletecollection" { "Collection" } else { "" };
        let start = [operation.name, &capitalised(group), &capitalised(version)].concat();
        let mut described = json!({
            "description": format!("{} {kind}", operation.action),
            "operationId": format!("{start}{all}{scope}{kind}{suffix}"),
            "tags": [format!("{group}_{version}")],
            "x-kubernetes-action": operation.action,
            "x-kubernetes-group-version-kind": self.resource.gvk(kind),
        });
        let mut parameters: Vec<_> = operation.query.iter().collect();
        parameters.sort_unstable();
        let mut parameters: Vec<_> = parameters
            .into_iter()
            .map(|(name, kind, what)| self.parameter(name, kind, what, "query"))
            .collect();
        self.body(operation, &mut described, &mut parameters);
        if !parameters.is_empty() {
            described["parameters"] = parameters.into();
        }
        self.answer(operation, &mut described);
        described
    }

    /// Says what an operation reads.
    fn body(&self, operation: &Operation, described: &mut Value, parameters: &mut Vec<Value>) {
        let (types, schema) = match operation.body {
            Body::None => return,
            Body::Object => (&BODIES[..], self.schema.as_str()),
            Body::Patch => (&PATCHES[..], PATCH),
            Body::DeleteOptions => (&BODIES[..], DELETE_OPTIONS),
        };
        // A client may delete without saying how.
        let required = !matches!(operation.body, Body::DeleteOptions);
        match self.form {
            Form::V3 => {
                described["requestBody"] = json!({"content": content(types, schema)});
                if required {
                    described["requestBody"]["required"] = true.into();
                }
            }
            Form::V2 => {
                described["consumes"] = json!(types);
                let mut body = json!({"name": "body", "in": "body", "schema": reference(schema)});
                if required {
                    body["required"] = true.into();
                }
                parameters.insert(0, body);
            }
        }
    }

    /// Says what an operation answers with.
    fn answer(&self, operation: &Operation, described: &mut Value) {
        let list = schemas::list_name(&self.schema);
        let (media, schema) = match operation.answer {
            Answer::Object => ("application/json", Some(self.schema.as_str())),
            Answer::List => ("application/json", Some(list.as_str())),
            Answer::Status => ("application/json", Some(STATUS)),
            Answer::Text => ("text/plain", None),
        };
        let mut response = json!({"description": "OK"});
        match self.form {
            Form::V3 => {
                response["content"] = schema.map_or_else(
                    || json!({media: {"schema": {"type": "string"}}}),
                    |schema| content(&[media], schema),
                );
            }
            Form::V2 => {
                described["produces"] = json!([media]);
                response["schema"] = schema.map_or_else(|| json!({"type": "string"}), reference);
            }
        }
        let codes: &[&str] = match operation.method {
            "post" | "put" | "patch" => &["200", "201"],
            "delete" => &["200", "202"],
            _ => &["200"],
        };
        let mut responses: Map<_, _> =
            codes.iter().map(|code| ((*code).to_owned(), response.clone())).collect();
        responses.insert("401".to_owned(), json!({"description": "Unauthorized"}));
        described["responses"] = responses.into();
    }

    fn parameter(&self, name: &str, kind: &str, what: &str, place: &str) -> Value {
        let mut parameter = json!({"name": name, "in": place, "description": what});
        match self.form {
            Form::V3 => parameter["schema"] = json!({"type": kind}),
            Form::V2 => parameter["type"] = kind.into(),
        }
        parameter
    }
}

/// The same schema in several encodings.
fn content(types: &[&str], schema: &str) -> Value {
    let of = |media: &&str| ((*media).to_owned(), json!({"schema": reference(schema)}));
    Value::Object(types.iter().map(of).collect())
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

//! What the documents say, as clients look for it.

use prost::Message;

use super::*;

const ALL: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

fn resource(group: &'static str, kind: &'static str, plural: &'static str) -> Resource {
    Resource {
        group,
        version: "v1",
        kind,
        plural,
        namespaced: true,
        verbs: ALL.to_vec(),
        subresources: vec![],
    }
}

/// Every kind that has a schema.
pub(super) fn resources() -> Vec<Resource> {
    let cluster = |resource: Resource| Resource { namespaced: false, ..resource };
    let review = |group, kind, plural| Resource {
        verbs: vec!["create"],
        ..cluster(resource(group, kind, plural))
    };
    let with_status = |resource: Resource| Resource { subresources: vec!["status"], ..resource };
    let node = resource("", "Node", "nodes");
    let pod = resource("", "Pod", "pods");
    vec![
        resource("", "ConfigMap", "configmaps"),
        resource("", "Event", "events"),
        with_status(cluster(resource("", "Namespace", "namespaces"))),
        Resource { verbs: vec!["get", "list", "watch"], ..cluster(node) },
        with_status(resource("", "PersistentVolumeClaim", "persistentvolumeclaims")),
        Resource { subresources: vec!["log", "status"], ..pod },
        resource("", "Secret", "secrets"),
        resource("", "ServiceAccount", "serviceaccounts"),
        review("authentication.k8s.io", "SelfSubjectReview", "selfsubjectreviews"),
        review("authorization.k8s.io", "SelfSubjectAccessReview", "selfsubjectaccessreviews"),
        review("authorization.k8s.io", "SelfSubjectRulesReview", "selfsubjectrulesreviews"),
        with_status(resource("batch", "CronJob", "cronjobs")),
        with_status(resource("batch", "Job", "jobs")),
        resource("coordination.k8s.io", "Lease", "leases"),
        resource("events.k8s.io", "Event", "events"),
    ]
}

fn read(document: &Document) -> Value {
    serde_json::from_slice(&document.plain()).unwrap()
}

#[test]
fn the_index_leads_to_every_document_with_its_hash() {
    let api = OpenApi::new(resources());
    let index = read(api.index());
    let paths = index["paths"].as_object().unwrap();
    let names: Vec<_> = paths.keys().collect();
    let expected = [
        "api/v1",
        "apis/authentication.k8s.io/v1",
        "apis/authorization.k8s.io/v1",
        "apis/batch/v1",
        "apis/coordination.k8s.io/v1",
        "apis/events.k8s.io/v1",
    ];
    assert_eq!(names, expected);
    for (name, entry) in paths {
        let hash = api.v3(name).unwrap().hash();
        let address = format!("/openapi/v3/{name}?hash={hash}");
        assert_eq!(entry["serverRelativeURL"], address.as_str());
    }
    assert!(api.v3("apis/apps/v1").is_none());
}

#[test]
fn every_patch_says_that_the_server_validates_and_which_patches_there_are() {
    let api = OpenApi::new(resources());
    let mut seen = 0;
    for (_, document) in &api.documents().v3 {
        let document = read(document);
        for (path, item) in document["paths"].as_object().unwrap() {
            let Some(patch) = item.get("patch") else { continue };
            seen += 1;
            let names: Vec<_> = patch["parameters"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|parameter| parameter["in"] == "query")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "force"], "{path}");
            let content = patch["requestBody"]["content"].as_object().unwrap();
            assert!(content.contains_key("application/strategic-merge-patch+json"), "{path}");
            assert!(content.contains_key("application/apply-patch+yaml"), "{path}");
            assert_eq!(patch["x-kubernetes-action"], "patch", "{path}");
        }
    }
    assert!(seen > 10);
}

#[test]
fn no_two_operations_have_one_name() {
    let api = OpenApi::new(resources());
    let document = read(api.v2());
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.values().flat_map(|item| item.as_object().unwrap().values());
    let mut names: Vec<_> =
        operations.filter_map(|operation| operation.get("operationId")?.as_str()).collect();
    for name in [
        "createBatchV1NamespacedJob",
        "deleteBatchV1CollectionNamespacedJob",
        "listBatchV1JobForAllNamespaces",
        "listCoreV1Namespace",
        "patchBatchV1NamespacedJobStatus",
        "readCoreV1NamespacedPodLog",
    ] {
        assert!(names.contains(&name), "{name}");
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn a_job_is_described_with_its_kind_its_fields_and_their_words() {
    let api = OpenApi::new(resources());
    let document = read(api.v3("apis/batch/v1").unwrap());
    let item = &document["paths"]["/apis/batch/v1/namespaces/{namespace}/jobs/{name}"];
    let gvk = json!({"group": "batch", "kind": "Job", "version": "v1"});
    assert_eq!(item["patch"]["x-kubernetes-group-version-kind"], gvk);
    assert_eq!(item["get"]["operationId"], "readBatchV1NamespacedJob");
    let schemas = &document["components"]["schemas"];
    let job = &schemas["io.k8s.api.batch.v1.Job"];
    assert_eq!(job["x-kubernetes-group-version-kind"], json!([gvk]));
    assert!(job.get("required").is_none());
    let spec = json!([{"$ref": "#/components/schemas/io.k8s.api.batch.v1.JobSpec"}]);
    assert_eq!(job["properties"]["spec"]["allOf"], spec);
    let limit = &schemas["io.k8s.api.batch.v1.JobSpec"]["properties"]["backoffLimit"];
    assert_eq!(limit["type"], "integer");
    assert!(limit["description"].as_str().unwrap().contains("number of retries"));
    assert!(schemas["io.k8s.api.batch.v1.JobList"].is_object());
}

#[test]
fn lists_say_how_they_are_merged() {
    let api = OpenApi::new(resources());
    let document = read(api.v3("api/v1").unwrap());
    let schemas = &document["components"]["schemas"];
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
    assert_eq!(containers["x-kubernetes-list-type"], "map");
    assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
    let reference = &schemas["io.k8s.api.core.v1.LocalObjectReference"];
    assert_eq!(reference["x-kubernetes-map-type"], "atomic");
}

#[test]
fn nothing_stands_beside_a_reference_in_v3() {
    fn visit(value: &Value) {
        if let Value::Object(object) = value {
            assert!(!object.contains_key("$ref") || object.len() == 1, "{value}");
            object.values().for_each(visit);
        } else if let Value::Array(list) = value {
            list.iter().for_each(visit);
        }
    }
    let api = OpenApi::new(resources());
    for (_, document) in &api.documents().v3 {
        visit(&read(document));
    }
}

#[test]
fn quantities_and_ports_may_be_numbers_or_text() {
    let api = OpenApi::new(resources());
    let quantity = schemas::QUANTITY;
    let port = schemas::INT_OR_STRING;
    let v3 = &read(api.v3("api/v1").unwrap())["components"]["schemas"];
    assert_eq!(v3[quantity]["oneOf"], json!([{"type": "string"}, {"type": "number"}]));
    assert_eq!(v3[port]["format"], "int-or-string");
    let v2 = &read(api.v2())["definitions"];
    assert_eq!(v2[quantity]["type"], "string");
    assert_eq!(v2[port]["format"], "int-or-string");
    for schema in [&v3[port], &v3[quantity], &v2[port], &v2[quantity]] {
        assert!(schema.get("x-kubernetes-int-or-string").is_none());
    }
}

#[test]
fn v2_says_the_same_in_both_encodings() {
    let api = OpenApi::new(resources());
    let json = read(api.v2());
    let message = gnostic::Document::decode(api.v2_protobuf().plain()).unwrap();
    assert_eq!(message.swagger, "2.0");
    let paths = message.paths.unwrap().path;
    assert_eq!(paths.len(), json["paths"].as_object().unwrap().len());
    let definitions = message.definitions.unwrap().additional_properties;
    assert_eq!(definitions.len(), json["definitions"].as_object().unwrap().len());

    let job = definitions.iter().find(|d| d.name == "io.k8s.api.batch.v1.Job").unwrap();
    let job = job.value.as_ref().unwrap();
    let kind = &job.vendor_extension[0];
    assert_eq!(kind.name, "x-kubernetes-group-version-kind");
    let yaml = r#"[{"group":"batch","kind":"Job","version":"v1"}]"#;
    assert_eq!(kind.value.as_ref().unwrap().yaml, yaml);
    let properties = &job.properties.as_ref().unwrap().additional_properties;
    let spec = properties.iter().find(|p| p.name == "spec").unwrap().value.as_ref().unwrap();
    assert_eq!(spec.r#ref, "#/definitions/io.k8s.api.batch.v1.JobSpec");
}

#[test]
fn the_documents_are_small_as_they_are_kept() {
    let api = OpenApi::new(resources());
    let documents = api.documents();
    let all = documents.v3.iter().map(|(_, document)| document);
    let kept: usize = all
        .chain([&documents.index, &documents.v2, &documents.v2_protobuf])
        .map(|document| document.gzip.len())
        .sum();
    assert!(kept < 1024 * 1024, "{kept} bytes");
    assert_eq!(documents.v2.hash().len(), 64);
}

#[test]
fn the_same_resources_are_described_in_the_same_bytes() {
    let (one, other) = (OpenApi::new(resources()), OpenApi::new(resources()));
    assert_eq!(one.index().hash(), other.index().hash());
    assert_eq!(one.v2_protobuf().hash(), other.v2_protobuf().hash());
}

//! The API over HTTP: verbs, refusals, watches, and the traps that decide whether kubectl and client
//! libraries work.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod served;

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kiln::server::logs::{self, Logs, Missing, Pieces};
use kiln::server::resources;
use serde_json::{Value, json};
use served::{JOBS, MAPS, PODS, Served, a_job, a_map, ask_over};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_job_is_made_read_listed_and_deleted() {
    let served = Served::idle().await;
    let made = served.post(JOBS, &a_job("pi")).await.expect(201);
    assert_eq!(made["metadata"]["namespace"], "default");
    assert_eq!(
        (&made["spec"]["backoffLimit"], &made["metadata"]["generation"]),
        (&json!(6), &json!(1))
    );
    assert!(made["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap() > 0);
    let read = served.get(&format!("{JOBS}/pi")).await.expect(200);
    assert_eq!(read, made);
    let list = served.get("/apis/batch/v1/jobs").await.expect(200);
    assert_eq!((names(&list), &list["kind"]), (vec!["pi"], &json!("JobList")));
    let gone = served.send("DELETE", &format!("{JOBS}/pi"), &json!({})).await.expect(200);
    assert_eq!((&gone["status"], &gone["details"]["kind"]), (&json!("Success"), &json!("jobs")));
    let message = served.get(&format!("{JOBS}/pi")).await.refused(404, "NotFound");
    assert_eq!(message, "jobs.batch \"pi\" not found");
    served.stop().await;
}

#[tokio::test]
async fn refusals_are_in_the_words_of_kubernetes() {
    let served = Served::idle().await;
    served.post(JOBS, &a_job("pi")).await.expect(201);
    let message = served.post(JOBS, &a_job("pi")).await.refused(409, "AlreadyExists");
    assert_eq!(message, "jobs.batch \"pi\" already exists");
    let elsewhere = "/apis/batch/v1/namespaces/nowhere/jobs";
    let message = served.post(elsewhere, &a_job("pi")).await.refused(404, "NotFound");
    assert_eq!(message, "namespaces \"nowhere\" not found");
    let mut bad = a_job("Pi");
    bad["spec"]["parallelism"] = json!(-1);
    let status = served.post(JOBS, &bad).await.expect(422);
    assert_eq!(
        (&status["details"]["kind"], &status["details"]["group"]),
        (&json!("Job"), &json!("batch"))
    );
    let fields: Vec<&Value> =
        status["details"]["causes"].as_array().unwrap().iter().map(|c| &c["field"]).collect();
    assert_eq!(fields, ["metadata.name", "spec.parallelism"]);
    let message = served.get("/apis/apps/v1/deployments").await.refused(404, "NotFound");
    assert!(message.contains("jobs.batch") && message.contains("configmaps"), "{message}");
    served.get("/api/v1/namespaces/default/pods/x/exec").await.refused(501, "NotImplemented");
    served.send("PUT", "/api/v1/nodes/here", &json!({})).await.refused(405, "MethodNotAllowed");
    served.ask("POST", JOBS, &[], "{").await.refused(400, "BadRequest");
    let binary = [("content-type", "application/cbor")];
    served.ask("POST", JOBS, &binary, "x").await.refused(415, "UnsupportedMediaType");
    served.ask("GET", JOBS, &[("accept", "text/html")], "").await.refused(406, "NotAcceptable");
    let large = vec![b' '; 3 * 1024 * 1024 + 1];
    served.ask("POST", JOBS, &[], large).await.refused(413, "RequestEntityTooLarge");
    served.stop().await;
}

#[tokio::test]
async fn names_are_generated() {
    let served = Served::idle().await;
    let mut job = a_job("");
    job["metadata"] = json!({"generateName": "run-"});
    let one = served.post(JOBS, &job).await.expect(201);
    let two = served.post(JOBS, &job).await.expect(201);
    let name = one["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("run-") && name.len() == 9, "{name}");
    assert_ne!(one["metadata"]["name"], two["metadata"]["name"]);
    let label = &one["spec"]["template"]["metadata"]["labels"]["batch.kubernetes.io/job-name"];
    assert_eq!(label, name);
    served.stop().await;
}

#[tokio::test]
async fn of_a_job_some_fields_can_be_changed() {
    let served = Served::idle().await;
    let path = format!("{JOBS}/pi");
    let made = served.post(JOBS, &a_job("pi")).await.expect(201);
    let mut next = made.clone();
    next["spec"]["parallelism"] = json!(3);
    next["spec"]["activeDeadlineSeconds"] = json!(60);
    let changed = served.send("PUT", &path, &next).await.expect(200);
    assert_eq!(changed["metadata"]["generation"], 2);
    let message = served.send("PUT", &path, &next).await.refused(409, "Conflict");
    assert_eq!(
        message,
        "Operation cannot be fulfilled on jobs.batch \"pi\": the object has been modified; please \
         apply your changes to the latest version and try again"
    );
    for (field, value) in [
        ("completions", json!(5)),
        ("completionMode", json!("Indexed")),
        ("selector", json!({"matchLabels": {"a": "b"}})),
    ] {
        let mut bad = changed.clone();
        bad["spec"][field] = value;
        let answer = served.send("PUT", &path, &bad).await;
        assert_eq!(answer.code, 422, "{field}");
        assert!(String::from_utf8_lossy(&answer.bytes).contains(&format!("spec.{field}")));
    }
    let mut bad = changed.clone();
    bad["spec"]["template"]["spec"]["containers"][0]["image"] = json!("other");
    let message = served.send("PUT", &path, &bad).await.refused(422, "Invalid");
    assert!(message.ends_with("field is immutable"), "{message}");
    // A file without what the server filled in means the same Job.
    let mut plain = a_job("pi");
    plain["spec"]["parallelism"] = json!(3);
    plain["spec"]["activeDeadlineSeconds"] = json!(60);
    plain["spec"]["completions"] = json!(1);
    let same = served.send("PUT", &path, &plain).await.expect(200);
    assert_eq!(same["metadata"]["generation"], 2);
    served.stop().await;
}

#[tokio::test]
async fn a_status_has_a_path_of_its_own() {
    let served = Served::idle().await;
    served.post(JOBS, &a_job("pi")).await.expect(201);
    let path = format!("{JOBS}/pi/status");
    let patch = r#"{"status": {"active": 1}, "spec": {"parallelism": 9}}"#;
    let changed = served.patch(&path, MERGE, patch).await.expect(200);
    assert_eq!(
        (&changed["status"]["active"], &changed["spec"]["parallelism"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(changed["metadata"]["generation"], 1);
    let job = format!("{JOBS}/pi");
    let changed = served.patch(&job, MERGE, r#"{"status": {"active": 7}}"#).await.expect(200);
    assert_eq!(changed["status"]["active"], 1);
    assert_eq!(served.get(&path).await.expect(200)["status"]["active"], 1);
    served.stop().await;
}

#[tokio::test]
async fn fields_that_do_not_exist_are_minded_as_the_client_wishes() {
    let served = Served::idle().await;
    let mut odd = a_job("a");
    odd["spec"]["paralelism"] = json!(2);
    let strict = served.post(&format!("{JOBS}?fieldValidation=Strict"), &odd).await;
    let message = strict.refused(400, "BadRequest");
    assert!(message.contains("strict decoding error: unknown field \"spec.paralelism\""));
    let warned = served.post(JOBS, &odd).await;
    assert!(warned.header("warning").starts_with("299 - \"unknown field"), "{:?}", warned.headers);
    assert_eq!(warned.expect(201)["spec"].get("paralelism"), None);
    odd["metadata"]["name"] = json!("b");
    let ignored = served.post(&format!("{JOBS}?fieldValidation=Ignore"), &odd).await;
    assert_eq!((ignored.code, ignored.header("warning")), (201, ""));
    let twice = r#"{"metadata": {"name": "c"}, "data": {"a": "1", "a": "2"}}"#;
    let path = format!("{MAPS}?fieldValidation=Strict");
    served.ask("POST", &path, &[], twice).await.refused(400, "BadRequest");
    served.ask("POST", MAPS, &[], twice).await.expect(201);
    served.stop().await;
}

#[tokio::test]
async fn what_is_not_built_is_refused_by_name() {
    let served = Served::idle().await;
    let mut job = a_job("a");
    job["spec"]["template"]["spec"]["priorityClassName"] = json!("high");
    let status = served.post(&format!("{JOBS}?fieldValidation=Ignore"), &job).await.expect(422);
    let cause = &status["details"]["causes"][0];
    assert_eq!(cause["field"], "spec.template.spec.priorityClassName");
    assert_eq!(cause["reason"], "FieldValueForbidden");
    served.stop().await;
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let served = Served::idle().await;
    served.post(MAPS, &a_map("kept")).await.expect(201);
    let made = served.post(&format!("{JOBS}?dryRun=All"), &a_job("pi")).await.expect(201);
    assert_eq!(made["spec"]["backoffLimit"], 6);
    served.get(&format!("{JOBS}/pi")).await.refused(404, "NotFound");
    let path = format!("{MAPS}/kept?dryRun=All");
    let patched = served.patch(&path, MERGE, r#"{"data": {"a": "c"}}"#).await.expect(200);
    assert_eq!(patched["data"]["a"], "c");
    served.send("DELETE", &path, &json!({})).await.expect(200);
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]});
    served.send("DELETE", &format!("{MAPS}/kept"), &options).await.expect(200);
    let kept = served.get(&format!("{MAPS}/kept")).await.expect(200);
    assert_eq!(kept["data"]["a"], "b");
    served.post(&format!("{JOBS}?dryRun=Some"), &a_job("pi")).await.refused(400, "BadRequest");
    served.stop().await;
}

#[tokio::test]
async fn objects_are_patched_in_three_languages_and_applied() {
    let served = Served::idle().await;
    served.post(JOBS, &a_job("pi")).await.expect(201);
    let path = format!("{JOBS}/pi");
    let json_patch = r#"[{"op": "replace", "path": "/spec/parallelism", "value": 2}]"#;
    let patched = served.patch(&path, "application/json-patch+json", json_patch).await.expect(200);
    assert_eq!(patched["spec"]["parallelism"], 2);
    let merge = r#"{"metadata": {"labels": {"x": "y"}}}"#;
    let patched = served.patch(&path, MERGE, merge).await.expect(200);
    assert_eq!(patched["metadata"]["labels"]["x"], "y");
    let strategic = r#"{"metadata": {"finalizers": ["a.b/c"]}, "spec": {"backoffLimit": 1}}"#;
    let patched = served.patch(&path, STRATEGIC, strategic).await.expect(200);
    assert_eq!(patched["spec"]["backoffLimit"], 1);
    let stale = r#"{"metadata": {"resourceVersion": "1"}, "spec": {"backoffLimit": 2}}"#;
    served.patch(&path, MERGE, stale).await.refused(409, "Conflict");
    served.patch(&path, MERGE, r#"{"spec": {"completions": 7}}"#).await.refused(422, "Invalid");

    let map = format!("{MAPS}/m?fieldManager=one");
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: m\ndata:\n  a: '1'\n";
    served.patch(&map, APPLY, yaml).await.expect(201);
    let other = yaml.replace('1', "2").replace("v2", "v1");
    let path = format!("{MAPS}/m?fieldManager=two");
    let status = served.patch(&path, APPLY, &other).await.expect(409);
    assert_eq!(status["details"]["causes"][0]["reason"], "FieldManagerConflict");
    assert_eq!(status["details"]["causes"][0]["field"], ".data.a");
    let forced = served.patch(&format!("{path}&force=true"), APPLY, &other).await.expect(200);
    assert_eq!(forced["data"]["a"], "2");
    served.patch(&format!("{MAPS}/m"), APPLY, yaml).await.refused(400, "BadRequest");
    served.stop().await;
}

#[tokio::test]
async fn pages_of_a_list_are_of_one_moment() {
    let served = Served::idle().await;
    for name in ["a", "b", "c", "d"] {
        served.post(MAPS, &a_map(name)).await.expect(201);
    }
    let first = served.get(&format!("{MAPS}?limit=2")).await.expect(200);
    assert_eq!(
        (names(&first), &first["metadata"]["remainingItemCount"]),
        (vec!["a", "b"], &json!(2))
    );
    served.send("DELETE", &format!("{MAPS}/c"), &json!({})).await.expect(200);
    served.post(MAPS, &a_map("e")).await.expect(201);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = served.get(&format!("{MAPS}?limit=2&continue={token}")).await.expect(200);
    assert_eq!(names(&second), ["c", "d"]);
    assert_eq!(second["metadata"].get("continue"), None);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    served.get(&format!("{MAPS}?continue=x")).await.refused(400, "BadRequest");
    let version = first["metadata"]["resourceVersion"].as_str().unwrap();
    let exact = format!("{MAPS}?resourceVersion={version}&resourceVersionMatch=Exact");
    assert_eq!(names(&served.get(&exact).await.expect(200)), ["a", "b", "c", "d"]);
    served.get(&format!("{MAPS}?resourceVersion=99999")).await.refused(504, "Timeout");
    let selected = served.get(&format!("{MAPS}?fieldSelector=metadata.name%3Dd")).await.expect(200);
    assert_eq!(names(&selected), ["d"]);
    served.get(&format!("{MAPS}?fieldSelector=spec.x%3Dd")).await.refused(400, "BadRequest");
    served.stop().await;
}

#[tokio::test]
async fn a_watch_tells_what_is_there_and_then_every_change() {
    let served = Served::idle().await;
    served.post(MAPS, &a_map("a")).await.expect(201);
    let mut watch = served.watch(&format!("{MAPS}?watch=true")).await;
    assert_eq!(watch.told().await, ("ADDED".into(), "a".into()));
    served.post(MAPS, &a_map("b")).await.expect(201);
    let added = watch.next().await.unwrap();
    assert_eq!((&added["type"], &added["object"]["kind"]), (&json!("ADDED"), &json!("ConfigMap")));
    served.patch(&format!("{MAPS}/b"), MERGE, r#"{"data": {"a": "c"}}"#).await.expect(200);
    assert_eq!(watch.told().await, ("MODIFIED".into(), "b".into()));
    served.send("DELETE", &format!("{MAPS}/b"), &json!({})).await.expect(200);
    let gone = watch.next().await.unwrap();
    assert_eq!((&gone["type"], &gone["object"]["data"]["a"]), (&json!("DELETED"), &json!("c")));

    let version = added["object"]["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("{MAPS}?watch=true&resourceVersion={version}&timeoutSeconds=1");
    let mut later = served.watch(&path).await;
    assert_eq!(later.told().await.0, "MODIFIED");
    assert_eq!(later.told().await.0, "DELETED");
    assert_eq!(later.next().await, None, "it ends after its time");
    served.stop().await;
}

#[tokio::test]
async fn a_watch_marks_the_end_of_what_was_there() {
    let served = Served::idle().await;
    served.post(MAPS, &a_map("a")).await.expect(201);
    let asked = "watch=true&sendInitialEvents=true&allowWatchBookmarks=true";
    let path = format!("{MAPS}?{asked}&resourceVersionMatch=NotOlderThan");
    let mut watch = served.watch(&path).await;
    assert_eq!(watch.told().await, ("ADDED".into(), "a".into()));
    let mark = watch.next().await.unwrap();
    assert_eq!(mark["type"], "BOOKMARK");
    let meta = &mark["object"]["metadata"];
    assert_eq!(meta["annotations"]["k8s.io/initial-events-end"], "true");
    assert!(meta["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap() > 1);
    served.post(MAPS, &a_map("b")).await.expect(201);
    assert_eq!(watch.told().await, ("ADDED".into(), "b".into()));
    served.get(&format!("{MAPS}?{asked}")).await.refused(422, "Invalid");
    served.stop().await;
}

#[tokio::test]
async fn who_comes_to_be_selected_is_new_and_who_is_no_longer_is_gone() {
    let served = Served::idle().await;
    served.post(MAPS, &a_map("a")).await.expect(201);
    let mut watch = served.watch(&format!("{MAPS}?watch=true&labelSelector=x%3Dy")).await;
    let path = format!("{MAPS}/a");
    served.patch(&path, MERGE, r#"{"metadata": {"labels": {"x": "y"}}}"#).await.expect(200);
    assert_eq!(watch.told().await.0, "ADDED");
    served.patch(&path, MERGE, r#"{"data": {"a": "z"}}"#).await.expect(200);
    assert_eq!(watch.told().await.0, "MODIFIED");
    served.patch(&path, MERGE, r#"{"metadata": {"labels": {"x": null}}}"#).await.expect(200);
    assert_eq!(watch.told().await.0, "DELETED");
    served.stop().await;
}

#[tokio::test]
async fn whoever_asks_for_what_is_no_longer_kept_is_told() {
    let served = Served::idle().await;
    let first = served.post(MAPS, &a_map("a")).await.expect(201);
    for number in 0..11_100 {
        let mut txn = served.store.txn();
        let mut event = k8s_openapi::api::core::v1::Event::default();
        event.metadata.name = Some("e".into());
        event.metadata.namespace = Some("default".into());
        event.count = Some(number);
        txn.put(&event);
        txn.commit().await.unwrap();
    }
    let version = first["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("{MAPS}?watch=true&resourceVersion={version}");
    served.get(&path).await.refused(410, "Expired");
    let exact = format!("{MAPS}?resourceVersion={version}&resourceVersionMatch=Exact");
    served.get(&exact).await.refused(410, "Expired");
    served.stop().await;
}

#[tokio::test]
async fn a_job_takes_its_pods_along_unless_they_are_to_stay() {
    let served = Served::new().await;
    for (name, options, stays) in [
        ("a", json!({}), false),
        ("b", json!({"propagationPolicy": "Foreground"}), false),
        ("c", json!({"propagationPolicy": "Orphan"}), true),
    ] {
        served.post(JOBS, &a_job(name)).await.expect(201);
        let pods = format!("{PODS}?labelSelector=job-name%3D{name}");
        let runs = |answer: &Value| answer["items"][0]["status"]["phase"] == "Running";
        served.until(&pods, |answer| runs(&answer.json())).await;
        served.send("DELETE", &format!("{JOBS}/{name}"), &options).await.expect(200);
        served.until(&format!("{JOBS}/{name}"), |answer| answer.code == 404).await;
        if stays {
            assert!(runs(&served.get(&pods).await.expect(200)));
        } else {
            served.until(&pods, |answer| names(&answer.json()).is_empty()).await;
        }
    }
    served.stop().await;
}

#[tokio::test]
async fn a_pod_runs_without_a_job() {
    let served = Served::new().await;
    let pod = json!({
        "metadata": {"name": "bare"},
        "spec": {"containers": [{"name": "a", "image": "busybox"}]},
    });
    let made = served.post(PODS, &pod).await.expect(201);
    assert_eq!(
        (&made["spec"]["restartPolicy"], &made["status"]["phase"]),
        (&json!("Always"), &json!("Pending"))
    );
    let path = format!("{PODS}/bare");
    served.until(&path, |answer| answer.json()["status"]["phase"] == "Running").await;
    let options = json!({"gracePeriodSeconds": 5});
    let marked = served.send("DELETE", &path, &options).await.expect(200);
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 5);
    served.until(&path, |answer| answer.code == 404).await;
    let mut bad = pod;
    bad["spec"]["restartPolicy"] = json!("Sometimes");
    served.post(PODS, &bad).await.refused(422, "Invalid");
    served.stop().await;
}

#[tokio::test]
async fn preconditions_hold_or_nothing_is_deleted() {
    let served = Served::idle().await;
    let made = served.post(MAPS, &a_map("a")).await.expect(201);
    let path = format!("{MAPS}/a");
    let wrong = json!({"preconditions": {"uid": "nobody"}});
    let message = served.send("DELETE", &path, &wrong).await.refused(409, "Conflict");
    assert!(message.contains("Precondition failed: UID"), "{message}");
    let right = json!({"preconditions": {"uid": made["metadata"]["uid"]}});
    served.send("DELETE", &path, &right).await.expect(200);
    served.send("DELETE", &path, &right).await.refused(404, "NotFound");
    served.stop().await;
}

#[tokio::test]
async fn many_are_deleted_by_a_selector() {
    let served = Served::idle().await;
    for (name, label) in [("a", "x"), ("b", "y"), ("c", "x")] {
        let mut map = a_map(name);
        map["metadata"]["labels"] = json!({"l": label});
        served.post(MAPS, &map).await.expect(201);
    }
    let path = format!("{MAPS}?labelSelector=l%3Dx");
    let deleted = served.send("DELETE", &path, &json!({})).await.expect(200);
    assert_eq!(names(&deleted), ["a", "c"]);
    assert_eq!(names(&served.get(MAPS).await.expect(200)), ["b"]);
    served.stop().await;
}

#[tokio::test]
async fn what_a_finalizer_holds_goes_when_it_is_released() {
    let served = Served::idle().await;
    let mut map = a_map("a");
    map["metadata"]["finalizers"] = json!(["a.b/hold"]);
    served.post(MAPS, &map).await.expect(201);
    let path = format!("{MAPS}/a");
    let marked = served.send("DELETE", &path, &json!({})).await.expect(200);
    assert!(marked["metadata"]["deletionTimestamp"].is_string(), "{marked}");
    served.get(&path).await.expect(200);
    served.patch(&path, MERGE, r#"{"metadata": {"finalizers": null}}"#).await.expect(200);
    served.get(&path).await.refused(404, "NotFound");
    served.stop().await;
}

#[tokio::test]
async fn a_namespace_takes_what_is_in_it_along() {
    let served = Served::new().await;
    let namespaces = "/api/v1/namespaces";
    let space = json!({"metadata": {"name": "team"}});
    let made = served.post(namespaces, &space).await.expect(201);
    assert_eq!(made["status"]["phase"], "Active");
    let base = "/api/v1/namespaces/team";
    served.get(&format!("{base}/serviceaccounts/default")).await.expect(200);
    served.post(&format!("{base}/configmaps"), &a_map("a")).await.expect(201);
    served.post("/apis/batch/v1/namespaces/team/jobs", &a_job("j")).await.expect(201);
    let runs = |answer: &Value| answer["items"][0]["status"]["phase"] == "Running";
    served.until(&format!("{base}/pods"), |answer| runs(&answer.json())).await;
    let marked = served.send("DELETE", base, &json!({})).await.expect(200);
    assert_eq!(marked["status"]["phase"], "Terminating");
    let late = served.post(&format!("{base}/configmaps"), &a_map("b")).await;
    assert!(matches!(late.code, 403 | 404), "{}", late.code);
    served.until(base, |answer| answer.code == 404).await;
    for path in [format!("{base}/configmaps"), format!("{base}/pods")] {
        assert!(names(&served.get(&path).await.expect(200)).is_empty(), "{path}");
    }
    let default = format!("{namespaces}/default");
    served.send("DELETE", &default, &json!({})).await.refused(403, "Forbidden");
    served.stop().await;
}

#[tokio::test]
async fn discovery_is_told_in_both_forms_and_once() {
    let served = Served::idle().await;
    let accept =
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let headers = [("accept", accept)];
    let answer = served.ask("GET", "/apis", &headers, "").await;
    assert!(answer.header("content-type").contains("as=APIGroupDiscoveryList"));
    let tag = answer.header("etag").to_owned();
    let groups = answer.expect(200);
    let batch =
        &groups["items"].as_array().unwrap().iter().find(|i| i["metadata"]["name"] == "batch");
    let resources = batch.unwrap()["versions"][0]["resources"].as_array().unwrap();
    assert!(resources.iter().any(|resource| resource["resource"] == "jobs"), "{resources:?}");
    let again = served.ask("GET", "/apis", &[headers[0], ("if-none-match", &tag)], "").await;
    assert_eq!((again.code, again.bytes.len()), (304, 0));
    let list = served.get("/apis/batch/v1").await.expect(200);
    assert_eq!(list["groupVersion"], "batch/v1");
    let listed = list["resources"].as_array().unwrap();
    assert!(listed.iter().any(|resource| resource["name"] == "jobs/status"), "{listed:?}");
    assert_eq!(served.get("/api").await.expect(200)["versions"][0], "v1");
    assert_eq!(served.get("/apis").await.expect(200)["kind"], "APIGroupList");
    assert_eq!(served.get("/apis/batch").await.expect(200)["preferredVersion"]["version"], "v1");
    assert_eq!(served.get("/api/v1").await.expect(200)["groupVersion"], "v1");
    assert_eq!(served.get("/version").await.expect(200)["major"], "1");
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(served.get(path).await.bytes, "ok");
    }
    served.get(JOBS).await.expect(200);
    let metrics = served.get("/metrics").await;
    let metrics = String::from_utf8_lossy(&metrics.bytes).into_owned();
    assert!(metrics.contains("apiserver_request_total{verb=\"list\",group=\"batch\""), "{metrics}");
    served.stop().await;
}

#[test]
fn a_daemon_without_containerd_says_what_it_misses_serves_and_stops_when_it_is_told() {
    let root = tempfile::tempdir().unwrap();
    let (socket, said) = (root.path().join("kiln.sock"), root.path().join("said"));
    let mut daemon = std::process::Command::new(env!("CARGO_BIN_EXE_kiln"))
        .args(["serve", "--listen", "none", "--root"])
        .arg(root.path())
        .arg("--socket")
        .arg(&socket)
        .arg("--containerd")
        .arg(root.path().join("containerd.sock"))
        .stdout(std::process::Stdio::null())
        .stderr(std::fs::File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let served = (0..served::PATIENCE.as_millis() / 20).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::os::unix::net::UnixStream::connect(&socket).is_ok()
    });
    assert!(served, "{}", std::fs::read_to_string(&said).unwrap());
    let pid = daemon.id().to_string();
    assert!(std::process::Command::new("kill").arg(pid).status().unwrap().success());
    let ended = daemon.wait().unwrap();
    let said = std::fs::read_to_string(&said).unwrap();
    assert!(ended.success(), "{ended}: {said}");
    assert!(said.contains("containerd.sock") && said.contains("waits for it"), "{said}");
}

/// `docs/kubernetes-compatibility.md` says of each resource what the table says.
#[test]
fn the_documentation_lists_what_is_served() {
    let text = std::fs::read_to_string("docs/kubernetes-compatibility.md").unwrap();
    let row = |resource: &resources::Resource| {
        let verbs: Vec<&str> = resource.verbs.iter().map(|verb| verb.as_str()).collect();
        let parts: Vec<&str> = resource.subresources.iter().map(|part| part.as_str()).collect();
        let name = resource.qualified();
        let names = resource.short_names.join(", ");
        format!("| `{name}` | {names} | {} | {} |", verbs.join(", "), parts.join(", "))
    };
    let rows: Vec<String> = resources::RESOURCES.iter().map(row).collect();
    let listed: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
    let listed = &listed[..rows.len().min(listed.len())];
    assert!(rows == listed, "expected these rows first:\n{}", rows.join("\n"));
}

#[tokio::test]
async fn the_api_is_described_as_kubectl_reads_it() {
    let served = Served::idle().await;
    let index = served.get("/openapi/v3").await.expect(200);
    let path = index["paths"]["apis/batch/v1"]["serverRelativeURL"].as_str().unwrap();
    let answer = served.ask("GET", path, &[("accept-encoding", "gzip")], "").await;
    assert_eq!((answer.code, answer.header("content-encoding")), (200, "gzip"));
    let tag = answer.header("etag").to_owned();
    let again = served.ask("GET", path, &[("if-none-match", &tag)], "").await;
    assert_eq!(again.code, 304);
    let document = served.get(path).await.expect(200);
    let jobs = &document["paths"]["/apis/batch/v1/namespaces/{namespace}/jobs/{name}"];
    let parameters = jobs["patch"]["parameters"].as_array().unwrap();
    assert!(parameters.iter().any(|parameter| parameter["name"] == "fieldValidation"), "{jobs}");
    let wanted = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let answer = served.ask("GET", "/openapi/v2", &[("accept", wanted)], "").await;
    assert!(answer.header("content-type").ends_with("+protobuf"), "{:?}", answer.headers);
    assert_eq!(served.get("/openapi/v2").await.expect(200)["swagger"], "2.0");
    served.get("/openapi/v3/apis/apps/v1").await.refused(404, "NotFound");
    served.stop().await;
}

#[tokio::test]
async fn objects_are_shown_in_the_form_that_is_asked_for() {
    let served = Served::idle().await;
    served.post(JOBS, &a_job("pi")).await.expect(201);
    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")];
    let shown = served.ask("GET", JOBS, &table, "").await.expect(200);
    assert_eq!((&shown["kind"], &shown["rows"][0]["cells"][0]), (&json!("Table"), &json!("pi")));
    assert_eq!(shown["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let path = format!("{JOBS}?includeObject=None");
    let shown = served.ask("GET", &path, &table, "").await.expect(200);
    assert_eq!(shown["rows"][0].get("object"), None);
    let partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let shown = served.ask("GET", JOBS, &[("accept", partial)], "").await.expect(200);
    assert_eq!(shown["kind"], "PartialObjectMetadataList");
    assert_eq!(shown["items"][0].get("spec"), None);
    let mut watch = served.watch_as(&format!("{JOBS}?watch=true"), table[0].1).await;
    let event = watch.next().await.unwrap();
    assert!(event["object"]["columnDefinitions"].is_array(), "{event}");
    served.post(JOBS, &a_job("po")).await.expect(201);
    let event = watch.next().await.unwrap();
    assert_eq!(event["object"]["rows"][0]["cells"][0], "po");
    assert!(event["object"]["columnDefinitions"].is_null(), "told once: {event}");
    served.stop().await;
}

#[tokio::test]
async fn long_answers_are_compressed_for_whoever_can_read_that() {
    let served = Served::idle().await;
    for number in 0..3 {
        let mut map = a_map(&format!("m{number}"));
        map["data"]["a"] = "x".repeat(100_000).into();
        served.post(MAPS, &map).await.expect(201);
    }
    let small = served.ask("GET", MAPS, &[("accept-encoding", "gzip")], "").await;
    assert_eq!(small.header("content-encoding"), "gzip");
    let plain = served.get(MAPS).await;
    assert_eq!(plain.header("content-encoding"), "");
    assert!(small.bytes.len() * 10 < plain.bytes.len());
    served.stop().await;
}

#[tokio::test]
async fn yaml_is_read_as_json_is() {
    let served = Served::idle().await;
    let yaml = [("content-type", "application/yaml")];
    let body = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata: {a: 'yes'}\n";
    let made = served.ask("POST", MAPS, &yaml, body).await.expect(201);
    assert_eq!(made["data"]["a"], "yes");
    served.stop().await;
}

#[tokio::test]
async fn secrets_are_written_as_text_and_kept_as_bytes() {
    let served = Served::idle().await;
    let secrets = "/api/v1/namespaces/default/secrets";
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"password": "p"}});
    let made = served.post(secrets, &secret).await.expect(201);
    assert_eq!((&made["data"]["password"], &made["type"]), (&json!("cA=="), &json!("Opaque")));
    assert_eq!(made.get("stringData"), None);
    let changed = json!({"metadata": {"name": "s"}, "type": "other"});
    served.send("PUT", &format!("{secrets}/s"), &changed).await.refused(422, "Invalid");
    served.stop().await;
}

#[tokio::test]
async fn who_may_do_what_is_told_as_it_is() {
    let served = Served::idle().await;
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let asked = json!({"spec": {"resourceAttributes": {"verb": "create", "resource": "jobs"}}});
    let answer = served.post(path, &asked).await.expect(201);
    assert_eq!(answer["status"]["allowed"], true);
    served.post(path, &json!({"spec": {}})).await.refused(400, "BadRequest");
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let answer = served.post(path, &json!({})).await.expect(201);
    assert_eq!(answer["status"]["userInfo"]["username"], "kiln:admin");
    served.stop().await;
}

#[tokio::test]
async fn by_tls_nobody_comes_in_without_a_token_or_a_certificate() {
    let served = Served::idle().await;
    let read = |name: &str| std::fs::read_to_string(served.root.path().join(name)).unwrap();
    let token = |name: &str| format!("Bearer {}", read(name).trim());
    let (full, reads) = (token("token"), token("token.read-only"));
    let plain = |headers: Vec<(&'static str, String)>, method: &'static str, path: String| {
        let served = &served;
        async move {
            let stream = tls(served, false).await;
            let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let body = if method == "POST" { a_job("pi").to_string() } else { String::new() };
            ask_over(stream, method, &path, &headers, body.into()).await
        }
    };
    plain(vec![], "GET", JOBS.into()).await.refused(401, "Unauthorized");
    let wrong = vec![("authorization", "Bearer nonsense".to_owned())];
    plain(wrong, "GET", JOBS.into()).await.refused(401, "Unauthorized");
    assert_eq!(plain(vec![], "GET", "/livez".into()).await.code, 200);
    let reader = || vec![("authorization", reads.clone())];
    plain(reader(), "GET", JOBS.into()).await.expect(200);
    plain(reader(), "POST", JOBS.into()).await.refused(403, "Forbidden");
    let secrets = "/api/v1/secrets".to_owned();
    plain(reader(), "GET", secrets).await.refused(403, "Forbidden");
    plain(vec![("authorization", full)], "POST", JOBS.into()).await.expect(201);
    let known = tls(&served, true).await;
    ask_over(known, "GET", JOBS, &[], Bytes::new()).await.expect(200);
    served.stop().await;
}

/// Connects as a client does that trusts the authority, with a certificate or without.
async fn tls(served: &Served, known: bool) -> tokio_rustls::client::TlsStream<TcpStream> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let pki = served.root.path().join("pki");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pki.join("ca.crt")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = if known {
        let certificate = CertificateDer::from_pem_file(pki.join("client.crt")).unwrap();
        let key = PrivateKeyDer::from_pem_file(pki.join("client.key")).unwrap();
        config.with_client_auth_cert(vec![certificate], key).unwrap()
    } else {
        config.with_no_client_auth()
    };
    let address = served.server.as_ref().unwrap().address().unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = "localhost".try_into().unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

/// Logs that say what they were asked.
struct Echo;

#[async_trait::async_trait]
impl Logs for Echo {
    async fn read(&self, pod: &Pod, request: logs::Request) -> Result<Pieces, Missing> {
        if request.previous {
            return Err(Missing("previous terminated container \"a\" not found".into()));
        }
        let name = pod.metadata.name.clone().unwrap_or_default();
        let line = format!("{name} {} {:?} {}\n", request.container, request.tail, request.follow);
        Ok(futures::stream::iter([Ok(line.into()), Ok(Bytes::from("more\n"))]).boxed())
    }
}

#[tokio::test]
async fn logs_are_asked_for_by_container_and_cut_at_the_limit() {
    let served = Served::with(Arc::new(Echo), false).await;
    let containers = json!([{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]);
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": containers}});
    served.post(PODS, &pod).await.expect(201);
    let log = format!("{PODS}/p/log");
    let message = served.get(&log).await.refused(400, "BadRequest");
    assert_eq!(message, "a container name must be specified for pod p, choose one of: [a b]");
    let all = served.get(&format!("{log}?container=b&tailLines=3&follow=true")).await;
    assert_eq!(String::from_utf8_lossy(&all.bytes), "p b Some(3) true\nmore\n");
    let some = served.get(&format!("{log}?container=a&limitBytes=5")).await;
    assert_eq!(some.bytes, "p a N");
    served.get(&format!("{log}?container=c")).await.refused(400, "BadRequest");
    served.get(&format!("{log}?container=a&previous=true")).await.refused(400, "BadRequest");
    served.get(&format!("{PODS}/q/log")).await.refused(404, "NotFound");
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_stalls_nobody() {
    let served = Served::idle().await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(served.watch(&format!("{MAPS}?watch=true")).await);
    }
    let mut watch = served.watch(&format!("{MAPS}?watch=true")).await;
    for number in 0..100 {
        let mut map = a_map(&format!("m{number}"));
        map["data"]["a"] = "x".repeat(50_000).into();
        served.post(MAPS, &map).await.expect(201);
        assert_eq!(watch.told().await, ("ADDED".into(), format!("m{number}")));
    }
    served.stop().await;
}

#[tokio::test]
async fn nonsense_is_refused_and_breaks_nothing() {
    let served = Served::idle().await;
    served.post(JOBS, &a_job("pi")).await.expect(201);
    served.post(MAPS, &a_map("m")).await.expect(201);
    let bodies = [
        "",
        "null",
        "5",
        "[]",
        "\"x\"",
        "{}",
        "{\"metadata\":null}",
        "{\"metadata\":5}",
        "{\"metadata\":{\"name\":5}}",
        "{\"metadata\":{\"labels\":[]}}",
        "{\"spec\":5}",
        "{\"kind\":\"Pod\"}",
        "{\"apiVersion\":5}",
        "[{}]",
        "[{\"op\":\"remove\",\"path\":\"\"}]",
        "[{\"op\":\"remove\",\"path\":\"/metadata\"}]",
        "[{\"op\":\"replace\",\"path\":\"\",\"value\":1}]",
        "[{\"op\":\"add\",\"path\":\"/metadata/uid\",\"value\":\"x\"}]",
        "k8s\0\u{1}\u{2}",
        "{{{",
        "a: b: c",
    ];
    let objects = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
    let patches = [MERGE, STRATEGIC, APPLY, "application/json-patch+json"];
    let (job, status) = (format!("{JOBS}/pi"), format!("{JOBS}/pi/status"));
    let map = format!("{MAPS}/m");
    for (method, path, types) in [
        ("POST", JOBS, &objects[..]),
        ("POST", MAPS, &objects),
        ("PUT", &job, &objects),
        ("PUT", &status, &objects),
        ("PATCH", &job, &patches),
        ("PATCH", &map, &patches),
        ("PATCH", &status, &patches),
    ] {
        for (body, media) in bodies.iter().flat_map(|b| types.iter().map(move |t| (*b, *t))) {
            let path = format!("{path}?fieldManager=x&dryRun=All");
            let answer = served.ask(method, &path, &[("content-type", media)], body).await;
            assert!(answer.code < 500, "{method} {path} {media} {body}: {}", answer.code);
            answer.json();
        }
    }
    for path in [
        "/",
        "//",
        "/api/v1/namespaces//pods",
        "/api/v1/%ff",
        "/apis/batch/v1/jobs?limit=x",
        "/apis/batch/v1/jobs?limit=-1",
        "/apis/batch/v1/jobs?resourceVersion=x",
        "/apis/batch/v1/jobs?watch=perhaps",
        "/apis/batch/v1/jobs?watch=1&timeoutSeconds=-1",
        "/apis/batch/v1/jobs?labelSelector=%3D%3D",
        "/apis/batch/v1/jobs?continue=bnVsbA",
        "/apis/batch/v1/jobs?limit=99999999999999999999",
        "/api/v1/pods?resourceVersionMatch=Exact",
    ] {
        let answer = served.get(path).await;
        assert!((200..500).contains(&answer.code), "{path}: {}", answer.code);
    }
    served.get(&format!("{JOBS}/pi")).await.expect(200);
    served.stop().await;
}

#[tokio::test]
async fn too_many_at_once_are_told_to_come_again() {
    let served = Served::idle().await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = UnixStream::connect(served.socket()).await.unwrap();
        let head = format!("POST {MAPS} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    // The server takes them in one after the other.
    let mut told = served.post(MAPS, &a_map("m")).await;
    while told.code != 429 {
        told = served.post(MAPS, &a_map("m")).await;
    }
    assert_eq!(told.header("retry-after"), "1");
    told.refused(429, "TooManyRequests");
    // Whoever only reads does not notice, nor one who promises a body with a question.
    served.get(MAPS).await.expect(200);
    let mut stream = UnixStream::connect(served.socket()).await.unwrap();
    let head = format!("GET {MAPS} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert_eq!(served.get("/livez").await.code, 200);
    drop(slow);
    while told_again(&served).await == 429 {}
    served.stop().await;
}

async fn told_again(served: &Served) -> u16 {
    served.post(MAPS, &a_map("n")).await.code
}

#[tokio::test]
async fn events_are_the_same_objects_in_both_groups() {
    const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";
    const CORE: &str = "/api/v1/namespaces/default/events";
    let served = Served::idle().await;
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"},
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "me",
        "reportingInstance": "me-1", "action": "Look", "reason": "Seen", "type": "Normal",
        "regarding": {"kind": "Job", "name": "pi", "namespace": "default"}, "note": "a text",
    });
    let made = served.post(EVENTS, &event).await.expect(201);
    assert_eq!((&made["note"], &made["apiVersion"]), (&event["note"], &event["apiVersion"]));
    let core = served.get(&format!("{CORE}/e")).await.expect(200);
    assert_eq!((&core["message"], &core["involvedObject"]["name"]), (&event["note"], &json!("pi")));
    assert_eq!((&core["apiVersion"], core.get("note")), (&json!("v1"), None));
    assert_eq!(core["metadata"]["managedFields"][0]["fieldsV1"]["f:message"], json!({}));
    for (path, field) in [(EVENTS, "regarding.name"), (CORE, "involvedObject.name")] {
        for (name, found) in [("pi", vec!["e"]), ("po", vec![])] {
            let list = served.get(&format!("{path}?fieldSelector={field}%3D{name}")).await;
            assert_eq!(names(&list.expect(200)), found);
        }
        let mut watch = served.watch(&format!("{path}?watch=true")).await;
        assert_eq!(watch.told().await, ("ADDED".into(), "e".into()));
    }
    served.get(&format!("{EVENTS}?fieldSelector=involvedObject.name%3Dpi")).await.expect(400);
    for (media, patch) in [
        (MERGE, r#"{"note": "another"}"#),
        (STRATEGIC, r#"{"note": "another one"}"#),
        (
            "application/json-patch+json",
            r#"[{"op": "replace", "path": "/note", "value": "third"}]"#,
        ),
        (APPLY, "{apiVersion: events.k8s.io/v1, kind: Event, note: third}"),
    ] {
        let path = format!("{EVENTS}/e?fieldManager=m&force=true");
        let patched = served.patch(&path, media, patch).await;
        assert_eq!(patched.code, 200, "{media}: {}", String::from_utf8_lossy(&patched.bytes));
    }
    let core = served.get(&format!("{CORE}/e")).await.expect(200);
    assert_eq!((&core["message"], core.get("note")), (&json!("third"), None));
    let list = served.get(EVENTS).await.expect(200);
    assert_eq!((&list["items"][0]["note"], &list["kind"]), (&json!("third"), &json!("EventList")));
    // The new version asks for more, and knows no other names.
    let mut bad = event.clone();
    bad["metadata"]["name"] = "f".into();
    bad.as_object_mut().unwrap().remove("eventTime");
    let why = served.post(EVENTS, &bad).await.refused(422, "Invalid");
    assert_eq!(why, "Event.events.k8s.io \"f\" is invalid: eventTime: Required value");
    bad["eventTime"] = event["eventTime"].clone();
    bad.as_object_mut().unwrap().remove("action");
    let why = served.post(EVENTS, &bad).await.refused(422, "Invalid");
    assert_eq!(why, "Event.events.k8s.io \"f\" is invalid: action: Required value");
    bad["action"] = "Look".into();
    bad["message"] = "x".into();
    let strict = format!("{EVENTS}?fieldValidation=Strict");
    served.post(&strict, &bad).await.refused(400, "BadRequest");
    served.stop().await;
}

#[tokio::test]
async fn answers_are_in_yaml_for_whoever_asks_for_it() {
    let served = Served::idle().await;
    let mut map = a_map("m");
    // Readers of YAML 1.1, as Go has, take these for something else unless they are quoted.
    let texts =
        ["no", "on", "y", "0o7", "1e3", "1_000", "0x1f", "null", "~", "12:30:00", "2026-01-01"];
    for (number, text) in texts.iter().enumerate() {
        map["data"][format!("t{number}")] = json!(text);
    }
    served.post(MAPS, &map).await.expect(201);
    let yaml = [("accept", "application/yaml")];
    let path = format!("{MAPS}/m");
    let answer = served.ask("GET", &path, &yaml, "").await;
    assert_eq!((answer.code, answer.header("content-type")), (200, "application/yaml"));
    let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
    let read: Value = serde_yaml::from_str(&text).unwrap();
    assert_eq!(read, served.get(&path).await.expect(200));
    for (number, word) in texts.iter().enumerate() {
        let quoted = [format!("t{number}: '{word}'"), format!("t{number}: \"{word}\"")];
        assert!(quoted.iter().any(|line| text.contains(line)), "{word}: {text}");
    }
    let missing = served.ask("GET", &format!("{MAPS}/x"), &yaml, "").await;
    assert_eq!(missing.code, 404);
    let status: Value = serde_yaml::from_slice(&missing.bytes).unwrap();
    assert_eq!(status["reason"], "NotFound");
    let watch = served.ask("GET", &format!("{MAPS}?watch=true"), &yaml, "").await;
    assert_eq!(watch.code, 406);
    served.stop().await;
}

#[tokio::test]
async fn two_watchers_and_many_writers_see_the_same_history() {
    let served = Served::idle().await;
    let mut first = served.watch(&format!("{MAPS}?watch=true&resourceVersion=1")).await;
    let mut second = served.watch(&format!("{MAPS}?watch=true&resourceVersion=1")).await;
    let maps: Vec<Value> = (0..100).map(|number| a_map(&format!("m{number}"))).collect();
    let writers = maps.iter().map(|map| served.post(MAPS, map));
    futures::future::join_all(writers).await.into_iter().for_each(|made| drop(made.expect(201)));
    let mut last = 0;
    for _ in 0..100 {
        let (one, two) = (first.next().await.unwrap(), second.next().await.unwrap());
        assert_eq!(one, two);
        let version = one["object"]["metadata"]["resourceVersion"].as_str().unwrap();
        let version: u64 = version.parse().unwrap();
        assert!(version > last);
        last = version;
    }
    served.stop().await;
}

#[tokio::test]
async fn jobs_that_would_wait_for_each_other_are_refused() {
    let served = Served::idle().await;
    let after = |name: &str, after: &str| {
        let mut job = a_job(name);
        job["metadata"]["annotations"] = json!({"kiln/after": after});
        job
    };
    served.post(JOBS, &after("a", "b")).await.expect(201);
    served.post(JOBS, &after("b", "c")).await.expect(201);
    let message = served.post(JOBS, &after("c", "x,a")).await.refused(422, "Invalid");
    let why = "the Job would wait for itself: c -> a -> b -> c";
    assert!(message.contains("metadata.annotations[kiln/after]"), "{message}");
    assert!(message.ends_with(why), "{message}");
    served.get(&format!("{JOBS}/c")).await.refused(404, "NotFound");

    served.post(JOBS, &after("c", "x")).await.expect(201);
    let patch = json!({"metadata": {"annotations": {"kiln/after": "a"}}}).to_string();
    let merge = "application/merge-patch+json";
    let path = format!("{JOBS}/c");
    let message = served.patch(&path, merge, &patch).await.refused(422, "Invalid");
    assert!(message.ends_with(why), "{message}");
    let patch = json!({"metadata": {"annotations": {"kiln/after": "A B"}}}).to_string();
    served.patch(&path, merge, &patch).await.refused(422, "Invalid");
    let patch = json!({"metadata": {"annotations": {"kiln/after": "y"}}}).to_string();
    served.patch(&path, merge, &patch).await.expect(200);
    served.stop().await;
}

#[tokio::test]
async fn a_namespace_lets_in_what_its_pod_security_standard_allows() {
    let served = Served::new().await;
    let labels = |level: &str| {
        json!({
            "pod-security.kubernetes.io/enforce": level,
            "pod-security.kubernetes.io/warn": "restricted",
            "pod-security.kubernetes.io/warn-version": "v1.30",
        })
    };
    let namespace = |labels: Value| json!({"metadata": {"name": "strict", "labels": labels}});
    let message = served.post("/api/v1/namespaces", &namespace(labels("tight"))).await;
    let message = message.refused(422, "Invalid");
    assert!(
        message.ends_with(
            "metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"tight\": must be \
             one of privileged, baseline, restricted"
        ),
        "{message}"
    );
    served.post("/api/v1/namespaces", &namespace(labels("baseline"))).await.expect(201);
    let pod = |privileged: bool| {
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{
            "name": "main", "image": "busybox", "securityContext": {"privileged": privileged},
        }]}})
    };
    let pods = "/api/v1/namespaces/strict/pods";
    let message = served.post(pods, &pod(true)).await.refused(403, "Forbidden");
    assert_eq!(
        message,
        "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": privileged (container \
         \"main\" must not set securityContext.privileged=true)"
    );
    let warned = |answer: &served::Answered| {
        let text = answer.header("warning");
        assert!(
            text.starts_with("299 - \"would violate PodSecurity \\\"restricted:v1.30\\\": "),
            "{text}"
        );
    };
    let answer = served.post(pods, &pod(false)).await;
    warned(&answer);
    answer.expect(201);
    // What makes pods is let in, and told.
    let mut job = a_job("pi");
    job["spec"]["template"]["spec"]["hostPID"] = json!(true);
    let answer = served.post("/apis/batch/v1/namespaces/strict/jobs", &job).await;
    warned(&answer);
    answer.expect(201);
    let events = "/api/v1/namespaces/strict/events";
    let told = |answer: &served::Answered| {
        let all = answer.json();
        let all = all["items"].as_array().unwrap().iter();
        let of = |event: &&Value| event["reason"] == "FailedCreate";
        all.filter(of).map(|event| event["message"].as_str().unwrap().to_owned()).next()
    };
    served.until(events, |answer| told(answer).is_some()).await;
    let message = told(&served.get(events).await).unwrap();
    let end =
        "is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostPID=true)";
    assert!(
        message.starts_with("Error creating: pods \"pi-") && message.ends_with(end),
        "{message}"
    );
    let pods = served.get(pods).await.expect(200);
    assert_eq!(names(&pods), ["p"]);
    served.stop().await;
}

#[tokio::test]
async fn a_cron_job_takes_its_jobs_along_unless_they_are_to_stay() {
    let served = Served::new().await;
    let crons = "/apis/batch/v1/namespaces/default/cronjobs";
    for (name, options, stays) in [
        ("a", json!({"propagationPolicy": "Orphan"}), true),
        ("b", json!({"propagationPolicy": "Foreground"}), false),
        ("c", json!({}), false),
    ] {
        let template = json!({"spec": a_job("x")["spec"]});
        let cron = json!({
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name},
            "spec": {"schedule": "0 0 29 2 *", "jobTemplate": template},
        });
        let made = served.post(crons, &cron).await.expect(201);
        served.post(JOBS, &a_job(&format!("{name}-1"))).await.expect(201);
        own(&served, &format!("{name}-1"), &made).await;
        let job = format!("{JOBS}/{name}-1");
        served.until(&job, |answer| answer.json()["status"]["active"] == 1).await;
        served.send("DELETE", &format!("{crons}/{name}"), &options).await.expect(200);
        served.until(&format!("{crons}/{name}"), |answer| answer.code == 404).await;
        if !stays {
            served.until(&job, |answer| answer.code == 404).await;
        }
    }
    let orphan = served.get(&format!("{JOBS}/a-1")).await.expect(200);
    assert!(orphan["metadata"]["deletionTimestamp"].is_null(), "{orphan}");
    let owners = orphan["metadata"]["ownerReferences"].as_array();
    assert!(owners.is_none_or(Vec::is_empty), "{orphan}");
    served.stop().await;
}

/// Makes a Job one of a CronJob, as if it had started it.
async fn own(served: &Served, name: &str, cron: &Value) {
    loop {
        let mut job: Job = served.store.get("default", name).await.unwrap().unwrap();
        let owner = json!({
            "apiVersion": "batch/v1", "kind": "CronJob", "name": cron["metadata"]["name"],
            "uid": cron["metadata"]["uid"], "controller": true,
        });
        job.metadata.owner_references = Some(vec![serde_json::from_value(owner).unwrap()]);
        let mut txn = served.store.txn();
        txn.update(&job);
        if txn.commit().await.is_ok() {
            return;
        }
    }
}

#[tokio::test]
async fn case_105_a_job_is_made_labelled_updated_listed_and_deleted_with_others() {
    let served = Served::new().await;
    let path = format!("{JOBS}/life");
    let mut job = a_job("life");
    job["spec"]["suspend"] = true.into();
    served.post(JOBS, &job).await.expect(201);
    let waits = |answer: &Value| answer["status"]["conditions"][0]["type"] == "Suspended";
    served.until(&path, |answer| waits(&answer.json())).await;
    let label = r#"{"metadata": {"labels": {"e2e": "life"}}}"#;
    served.patch(&path, MERGE, label).await.expect(200);
    let updated = loop {
        let mut job = served.get(&path).await.expect(200);
        job["spec"]["suspend"] = false.into();
        job["metadata"]["annotations"]["updated"] = "true".into();
        let answer = served.send("PUT", &path, &job).await;
        if answer.code != 409 {
            break answer.expect(200);
        }
    };
    assert_eq!(updated["metadata"]["annotations"]["updated"], "true");
    served.until(&path, |answer| answer.json()["status"]["active"] == 1).await;
    let selector = "labelSelector=e2e%3Dlife";
    let all = served.get(&format!("/apis/batch/v1/jobs?{selector}")).await.expect(200);
    assert_eq!(names(&all), ["life"]);
    let several = format!("{JOBS}?{selector}");
    let options = json!({"propagationPolicy": "Background"});
    served.send("DELETE", &several, &options).await.expect(200);
    served.until(&several, |answer| names(&answer.json()).is_empty()).await;
    served.until(PODS, |answer| names(&answer.json()).is_empty()).await;
    served.stop().await;
}

/// Kubernetes keeps the pods and warns; kiln takes them along, as every client of it asks for anyhow.
#[tokio::test]
async fn case_106_who_deletes_a_job_and_says_no_more_means_its_pods_too() {
    let served = Served::new().await;
    served.post(JOBS, &a_job("a")).await.expect(201);
    let runs = |answer: &Value| answer["items"][0]["status"]["phase"] == "Running";
    served.until(PODS, |answer| runs(&answer.json())).await;
    let answer = served.ask("DELETE", &format!("{JOBS}/a"), &[], "").await;
    assert_eq!(answer.header("warning"), "");
    answer.expect(200);
    served.get(&format!("{JOBS}/a")).await.refused(404, "NotFound");
    served.until(PODS, |answer| names(&answer.json()).is_empty()).await;
    served.stop().await;
}

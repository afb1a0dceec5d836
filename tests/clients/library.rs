//! The kube crate, as controllers use it: typed and discovered resources, watchers in both modes, a
//! cache; and that every watcher sees the same history.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, LogParams, Patch, PatchParams, PostParams,
    WatchEvent, WatchParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{wait, watcher as watching};
use kube::{Client, Config, Discovery, ResourceExt};
use serde_json::{Value, json};

use super::serving::Serving;

/// How long anything may take before a test says that it waits in vain.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test against a server of its own.
fn with_client<F: Future<Output = ()>>(test: impl FnOnce(Client) -> F) {
    let serving = Serving::new();
    let kubeconfig = serving.kubeconfig();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let test = test(client(&kubeconfig).await);
        tokio::time::timeout(PATIENCE, test).await.expect("an end in time");
    });
}

async fn client(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    Client::try_from(config).unwrap()
}

fn job(name: &str, suspend: bool) -> Job {
    serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"suspend": suspend, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{
                "name": "main", "image": "luksa/batch-job", "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c", "echo done"],
            }],
        }}},
    }))
    .unwrap()
}

fn map(name: &str, value: u32) -> ConfigMap {
    let map = json!({"metadata": {"name": name}, "data": {"value": value.to_string()}});
    serde_json::from_value(map).unwrap()
}

#[test]
fn jobs_run_and_are_found_by_type_and_by_discovery() {
    with_client(async |client| {
        let (jobs, pods) = (Api::<Job>::default_namespaced(client.clone()), pods(&client));
        jobs.create(&PostParams::default(), &job("j", false)).await.unwrap();
        let complete = wait::conditions::is_job_completed();
        wait::await_condition(jobs.clone(), "j", complete).await.unwrap();
        let made = pods.list(&ListParams::default().labels("job-name=j")).await.unwrap();
        let log = pods.logs(&made.items[0].name_any(), &LogParams::default()).await.unwrap();
        assert_eq!(log, "done\n");
        let patch =
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"labels": {"a": "b"}}});
        let params = PatchParams::apply("test");
        let patched = jobs.patch("j", &params, &Patch::Apply(&patch)).await.unwrap();
        assert_eq!(patched.labels()["a"], "b");

        for aggregated in [true, false] {
            let discovery = Discovery::new(client.clone());
            let found =
                if aggregated { discovery.run_aggregated().await } else { discovery.run().await };
            let (resource, _) =
                found.unwrap().get("batch").unwrap().recommended_kind("Job").unwrap();
            let jobs: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &resource);
            assert_eq!(jobs.get("j").await.unwrap().data["status"]["succeeded"], 1);
        }
        jobs.delete("j", &DeleteParams::background()).await.unwrap();
        let uid = made.items[0].uid().unwrap();
        let gone = wait::conditions::is_deleted(&uid);
        wait::await_condition(pods, &made.items[0].name_any(), gone).await.unwrap();
    });
}

fn pods(client: &Client) -> Api<Pod> {
    Api::default_namespaced(client.clone())
}

#[test]
fn watchers_see_what_was_there_and_every_change_in_both_modes() {
    with_client(async |client| {
        let maps = Api::<ConfigMap>::default_namespaced(client);
        for number in 0..30 {
            maps.create(&PostParams::default(), &map(&format!("m{number}"), 0)).await.unwrap();
        }
        // Small pages, so that there are several.
        let modes =
            [watcher::Config::default().page_size(7), watcher::Config::default().streaming_lists()];
        for (round, mode) in modes.into_iter().enumerate() {
            let mut events = watching(maps.clone(), mode).boxed();
            let mut there = BTreeSet::new();
            loop {
                match events.try_next().await.unwrap().unwrap() {
                    Event::Init => {}
                    Event::InitApply(map) => drop(there.insert(map.name_any())),
                    Event::InitDone => break,
                    other => panic!("before its beginning is over: {other:?}"),
                }
            }
            assert_eq!(there.len(), 30);
            let name = format!("new{round}");
            let made = maps.create(&PostParams::default(), &map(&name, 1)).await.unwrap();
            maps.delete(&name, &DeleteParams::default()).await.unwrap();
            let next = events.try_next().await.unwrap().unwrap();
            assert!(matches!(&next, Event::Apply(map) if *map == made), "{next:?}");
            let next = events.try_next().await.unwrap().unwrap();
            assert!(matches!(&next, Event::Delete(map) if map.name_any() == name), "{next:?}");
        }
    });
}

#[test]
fn a_cache_holds_what_the_server_holds() {
    with_client(async |client| {
        let maps = Api::<ConfigMap>::default_namespaced(client);
        let (reader, writer) = reflector::store();
        let events = watching(maps.clone(), watcher::Config::default().streaming_lists());
        let mut fed = reflector::reflector(writer, events).boxed();
        for value in 0..20 {
            let patch = Patch::Merge(json!({"data": {"value": value.to_string()}}));
            if value == 0 {
                maps.create(&PostParams::default(), &map("m", 0)).await.unwrap();
            } else {
                maps.patch("m", &PatchParams::default(), &patch).await.unwrap();
            }
            let wanted = Some(value.to_string());
            while reader
                .get(&ObjectRef::new("m").within("default"))
                .and_then(|map| map.data.as_ref().and_then(|data| data.get("value").cloned()))
                != wanted
            {
                fed.try_next().await.unwrap().unwrap();
            }
        }
    });
}

/// What a watcher was told: how, of which object, at which version.
type Told = (&'static str, String, String);

fn told(event: WatchEvent<DynamicObject>) -> Told {
    let (kind, object) = match event {
        WatchEvent::Added(object) => ("ADDED", object),
        WatchEvent::Modified(object) => ("MODIFIED", object),
        WatchEvent::Deleted(object) => ("DELETED", object),
        other => panic!("{other:?}"),
    };
    (kind, object.name_any(), object.resource_version().unwrap())
}

/// The next `count` events after a version; cut off after each `cut`, to go on from what came last.
async fn follow(api: &Api<DynamicObject>, after: &str, count: usize, cut: usize) -> Vec<Told> {
    let (mut seen, mut version) = (Vec::new(), after.to_owned());
    // Bookmarks would be events that not every watcher gets.
    let params = WatchParams::default().disable_bookmarks().timeout(60);
    while seen.len() < count {
        let mut events = api.watch(&params, &version).await.unwrap().boxed();
        for _ in 0..cut.min(count - seen.len()) {
            let event = told(events.try_next().await.unwrap().expect("an event"));
            version.clone_from(&event.2);
            seen.push(event);
        }
    }
    seen
}

#[test]
fn two_watchers_see_one_history_and_one_of_them_begins_again_anywhere_in_it() {
    with_client(async |client| {
        let discovery = Discovery::new(client.clone()).run().await.unwrap();
        let resource =
            |group, kind| discovery.get(group).unwrap().recommended_kind(kind).unwrap().0;
        let jobs = Api::<Job>::default_namespaced(client.clone());
        let all = ListParams::default();
        let start = jobs.list(&all).await.unwrap().metadata.resource_version.unwrap();
        let write = async |number: u32| {
            let (name, maps) = (format!("j{number}"), Api::default_namespaced(client.clone()));
            // A Job, its pods and Events are written in common transactions.
            jobs.create(&PostParams::default(), &job(&name, number % 2 == 0)).await.unwrap();
            for value in 0..10 {
                let name = format!("{name}-{value}");
                maps.create(&PostParams::default(), &map(&name, value)).await.unwrap();
            }
            let params = DeleteParams::default();
            maps.delete(&format!("{name}-1"), &params).await.unwrap();
            let patch = Patch::Merge(json!({"spec": {"suspend": false}}));
            jobs.patch(&name, &PatchParams::default(), &patch).await.unwrap();
            wait::await_condition(jobs.clone(), &name, wait::conditions::is_job_completed())
                .await
                .unwrap();
            jobs.delete(&name, &DeleteParams::background()).await.unwrap();
        };
        let kinds = [("", "ConfigMap"), ("batch", "Job"), ("", "Pod"), ("", "Event")];
        let apis: Vec<Api<DynamicObject>> = kinds
            .iter()
            .map(|(group, kind)| {
                Api::default_namespaced_with(client.clone(), &resource(group, kind))
            })
            .collect();
        let at_once = apis.iter().map(|api| follow(api, &start, 40, 7));
        let (interrupted, _) = futures::join!(
            futures::future::join_all(at_once),
            futures::future::join_all((0..8).map(write)),
        );
        for (api, interrupted) in apis.iter().zip(interrupted) {
            let whole = follow(api, &start, 40, usize::MAX).await;
            assert_eq!(interrupted, whole);
            let versions: BTreeSet<&String> = whole.iter().map(|(_, _, version)| version).collect();
            assert_eq!(versions.len(), whole.len(), "each change has a version of its own");
            for (index, (_, _, version)) in whole.iter().enumerate().take(39) {
                let rest = follow(api, version, 39 - index, usize::MAX).await;
                assert_eq!(rest, whole[index + 1..], "after {version}");
            }
        }
    });
}

#[test]
fn a_list_of_the_past_and_the_changes_since_make_the_present() {
    with_client(async |client| {
        let maps = Api::<ConfigMap>::default_namespaced(client.clone());
        for number in 0..5 {
            maps.create(&PostParams::default(), &map(&format!("m{number}"), 0)).await.unwrap();
        }
        let then =
            maps.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
        maps.delete("m1", &DeleteParams::default()).await.unwrap();
        let patch = Patch::Merge(json!({"data": {"value": "1"}}));
        maps.patch("m2", &PatchParams::default(), &patch).await.unwrap();
        let path = format!(
            "/api/v1/namespaces/default/configmaps?resourceVersion={then}&resourceVersionMatch=Exact"
        );
        let past: Value =
            client.request(http::Request::get(path).body(Vec::new()).unwrap()).await.unwrap();
        let names: Vec<&Value> = past["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| &item["metadata"]["name"])
            .collect();
        assert_eq!(names, ["m0", "m1", "m2", "m3", "m4"]);
        assert_eq!(past["items"][2]["data"]["value"], "0");
    });
}

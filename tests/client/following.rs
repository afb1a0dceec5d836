//! The logs of a Job, followed by its pods' changes.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kiln::cli::Exit;
use kiln::server::logs::{Logs, Missing, Pieces, Request};
use serde_json::{Value, json};

use super::kiln;
use super::served::{JOBS, PODS, Served, a_job};

const MERGE: &str = "application/merge-patch+json";

/// Logs that say which attempt they are of.
#[derive(Default)]
struct Told {
    /// Attempts that were read.
    read: Mutex<Vec<i32>>,
}

#[async_trait::async_trait]
impl Logs for Told {
    async fn read(&self, pod: &Pod, request: Request) -> Result<Pieces, Missing> {
        let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.clone());
        let restarts = statuses.unwrap_or_default().first().map_or(0, |s| s.restart_count);
        let attempt = restarts - i32::from(request.previous);
        self.read.lock().unwrap().push(attempt);
        let line = Bytes::from(format!("attempt {attempt}\n"));
        Ok(futures::stream::once(async { Ok(line) }).boxed())
    }
}

fn status(restarts: i32, state: &Value, phase: &str) -> Value {
    json!({"status": {"phase": phase, "containerStatuses": [{
        "name": "main", "image": "i", "imageID": "", "ready": false, "restartCount": restarts,
        "state": state,
    }]}})
}

#[tokio::test]
async fn every_attempt_of_every_pod_is_shown_once() {
    let told = Arc::new(Told::default());
    let served = Served::with(told.clone(), false).await;
    let job = served.post(JOBS, &a_job("j")).await.expect(201);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "labels": job["spec"]["template"]["metadata"]["labels"]},
        "spec": job["spec"]["template"]["spec"],
    });
    served.post(PODS, &pod).await.expect(201);
    let at = format!("{PODS}/p/status");
    let change = async |body: &Value| {
        served.patch(&at, MERGE, &body.to_string()).await.expect(200);
    };
    let running = json!({"running": {}});
    change(&status(0, &running, "Running")).await;
    let acts = async {
        served.until(&at, |_| told.read.lock().unwrap().contains(&0)).await;
        // Two restarts at once: the first of them is the previous one then.
        change(&status(2, &running, "Running")).await;
        served.until(&at, |_| told.read.lock().unwrap().contains(&2)).await;
        let ended = json!({"terminated": {"exitCode": 0}});
        change(&status(2, &ended, "Succeeded")).await;
        served
            .ask("DELETE", &format!("{JOBS}/j?propagationPolicy=Orphan"), &[], "")
            .await
            .expect(200);
    };
    let (followed, ()) = tokio::join!(kiln(&served, &["logs", "-f", "job/j", "--prefix"]), acts);
    let lines = "[pod/p/main] attempt 0\n[pod/p/main] attempt 1\n[pod/p/main] attempt 2\n";
    assert_eq!(followed, (Exit::Done, lines.to_owned(), String::new()));
    served.stop().await;
}

#[tokio::test]
async fn pods_are_chosen_by_their_labels() {
    let served = Served::with(Arc::new(Told::default()), false).await;
    for name in ["a", "b"] {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "x"}},
            "spec": {"containers": [{"name": "m", "image": "i"}, {"name": "n", "image": "i"}]},
        });
        served.post(PODS, &pod).await.expect(201);
    }
    let all = ["logs", "-l", "app=x", "--prefix", "--all-containers"];
    let (exit, stdout, stderr) = kiln(&served, &all).await;
    assert_eq!((exit, stderr.as_str()), (Exit::Done, ""));
    assert_eq!(
        stdout,
        "[pod/a/m] attempt 0\n[pod/a/n] attempt 0\n[pod/b/m] attempt 0\n[pod/b/n] attempt 0\n"
    );
    let few = [&all[..], &["-f", "--max-log-requests", "3"]].concat();
    let (exit, _, stderr) = kiln(&served, &few).await;
    assert_eq!(exit, Exit::Usage);
    assert!(stderr.contains("attempting to follow 4 log streams"), "{stderr}");
    let (_, _, stderr) = kiln(&served, &["logs", "a"]).await;
    assert_eq!(stderr, "Defaulted container \"m\" out of: m, n\n");
    served.stop().await;
}

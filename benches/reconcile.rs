//! What a look at a Job costs when one of its pods has ended, by how many completions the Job has: half
//! of them are done, and a thousand pods run, or as many as there are left.
//!
//! `together`: the indexes that are done lie together, as they do where all pods take about as long.
//! `apart`: every other index is done, and the status alone is as long as there are indexes.
#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};
use kiln::job::{Action, Rules, reconcile};
use serde_json::json;

const COMPLETIONS: [u32; 3] = [1_000, 10_000, 100_000];
const PARALLELISM: u32 = 1_000;
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// A Job that is half done, and its pods: all run but for one, which has just succeeded.
fn half_done(completions: u32, done: &str) -> (Job, Vec<Pod>) {
    let mut job: Job = serde_json::from_value(json!({
        "metadata": {"name": "j", "namespace": "default", "uid": "u"},
        "spec": {
            "completionMode": "Indexed", "completions": completions, "parallelism": PARALLELISM,
            "template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox:1"}],
            }},
        },
        "status": {
            "succeeded": completions / 2, "completedIndexes": done,
            "startTime": "1970-01-01T00:00:00Z",
        },
    }))
    .unwrap();
    let mut pods: Vec<Pod> = Vec::new();
    loop {
        let refs: Vec<&Pod> = pods.iter().collect();
        let plan = reconcile(&job, &refs, &[], &Rules::default(), NOW);
        job.status = Some(plan.record.status);
        plan.record.ledger.write(&mut job);
        let before = pods.len();
        pods.extend(plan.actions.into_iter().filter_map(|action| match action {
            Action::CreatePod(pod) => Some(*pod),
            Action::DeletePod { .. }
            | Action::ReleasePod { .. }
            | Action::AdoptPod { .. }
            | Action::DisownPod { .. }
            | Action::Tell(_) => None,
        }));
        if pods.len() == before {
            break;
        }
    }
    for pod in &mut pods {
        pod.status.as_mut().unwrap().phase = Some("Running".to_owned());
    }
    let status = pods[0].status.as_mut().unwrap();
    status.phase = Some("Succeeded".to_owned());
    let terminated = Some(ContainerStateTerminated::default());
    let state = Some(ContainerState { terminated, ..ContainerState::default() });
    status.container_statuses = Some(vec![ContainerStatus { state, ..ContainerStatus::default() }]);
    (job, pods)
}

fn together(completions: u32) -> String {
    format!("0-{}", completions / 2 - 1)
}

fn apart(completions: u32) -> String {
    let even = (0..completions).step_by(2).map(|index| index.to_string());
    even.collect::<Vec<_>>().join(",")
}

fn one_pods_end(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one pod's end");
    for (name, done) in [("together", together as fn(u32) -> String), ("apart", apart)] {
        for completions in COMPLETIONS {
            let (job, pods) = half_done(completions, &done(completions));
            let pods: Vec<&Pod> = pods.iter().collect();
            group.bench_function(BenchmarkId::new(name, completions), |bencher| {
                let rules = Rules::default();
                bencher.iter(|| reconcile(black_box(&job), black_box(&pods), &[], &rules, NOW));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, one_pods_end);
criterion_main!(benches);

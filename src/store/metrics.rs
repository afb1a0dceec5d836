//! What is measured of the store.
//!
//! Owns: the metrics of its commits. Must not know: who reads them.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

/// The metrics of one store.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    commits: Family<Outcome, Counter>,
    duration: Histogram,
    size: Histogram,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::default();
        let commits = Family::<Outcome, Counter>::default();
        // The encoder adds `_total`.
        let help = "Transactions: written, refused (somebody else was faster), or failed";
        registry.register("kiln_store_commits", help, commits.clone());
        // 0.1 ms to 3.3 s.
        let duration = Histogram::new(exponential_buckets(0.000_1, 2.0, 16));
        let help = "How long it took to write transactions and to sync them, in seconds";
        registry.register("kiln_store_commit_duration_seconds", help, duration.clone());
        let size = Histogram::new(exponential_buckets(1.0, 2.0, 8));
        let help = "Transactions that were synced together";
        registry.register("kiln_store_commit_batch_size", help, size.clone());
        Self { registry, commits, duration, size }
    }

    /// Some transactions were written and synced together, or were not.
    pub(super) fn committed(&self, outcomes: [u64; 3], took: Duration) {
        for (result, count) in ["written", "refused", "failed"].into_iter().zip(outcomes) {
            if count > 0 {
                self.commits.get_or_create(&Outcome { result }).inc_by(count);
            }
        }
        self.duration.observe(took.as_secs_f64());
        let [written, refused, failed] = outcomes;
        let all = u32::try_from(written + refused + failed).unwrap_or(u32::MAX);
        self.size.observe(f64::from(all));
    }

    /// All of them in OpenMetrics, without the mark of its end.
    pub(super) fn write(&self, out: &mut String) {
        // A String takes everything.
        let _ = encode_registry(out, &self.registry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_counted_by_their_outcome_and_timed_together() {
        let metrics = Metrics::new();
        metrics.committed([3, 1, 0], Duration::from_millis(2));
        let mut text = String::new();
        metrics.write(&mut text);
        for line in [
            "kiln_store_commits_total{result=\"written\"} 3",
            "kiln_store_commits_total{result=\"refused\"} 1",
            "kiln_store_commit_duration_seconds_count 1",
            "kiln_store_commit_batch_size_sum 4.0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n--- is not in ---\n{text}");
        }
    }
}

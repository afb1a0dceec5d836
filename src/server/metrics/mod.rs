//! What is measured of the API.
//!
//! Owns: the metrics, under the names that Kubernetes gives them, and putting those of others beside them. Must
//! not know: who reads them, or what others measure.
//! <https://kubernetes.io/docs/reference/instrumentation/metrics/>

mod process;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use self::process::Process;
use super::api::Label;
use super::discovery;
use super::resources::Resource;

/// What a request is counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    verb: &'static str,
    group: &'static str,
    version: &'static str,
    resource: &'static str,
    subresource: &'static str,
    scope: &'static str,
    code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Took {
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Watched {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
}

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Build {
    pub(super) major: &'static str,
    pub(super) minor: &'static str,
    pub(super) git_version: String,
    pub(super) platform: String,
}

/// Whoever measures something else than the API.
pub trait Measures: Send + Sync + 'static {
    /// Writes its metrics in OpenMetrics, without the mark of its end.
    fn write(&self, out: &mut String);
}

/// Seconds, as an API server sorts them.
const BUCKETS: [f64; 12] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// The metrics of one server.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    durations: Family<Took, Histogram, fn() -> Histogram>,
    watches: Family<Watched, Gauge>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::default();
        let requests = Family::<Request, Counter>::default();
        let durations = Family::<Took, Histogram, fn() -> Histogram>::new_with_constructor(|| {
            Histogram::new(BUCKETS)
        });
        let watches = Family::<Watched, Gauge>::default();
        // The encoder adds `_total`.
        let help = "Requests that were answered, by what they asked for and the code of the answer";
        registry.register("apiserver_request", help, requests.clone());
        let help = "How long answers took, in seconds; of watches, until they began";
        registry.register("apiserver_request_duration_seconds", help, durations.clone());
        let help = "Watches that go on";
        registry.register("apiserver_longrunning_requests", help, watches.clone());
        let build = Family::<Build, Gauge>::default();
        build.get_or_create(&discovery::build()).set(1);
        registry.register("kubernetes_build_info", "What runs", build);
        registry.register_collector(Box::new(Process));
        Self { registry, requests, durations, watches }
    }

    pub(super) fn answered(&self, label: &Label, code: StatusCode, took: Duration) {
        let (Some(verb), Some(resource)) = (label.verb, label.resource) else { return };
        let verb = verb.as_str();
        self.requests
            .get_or_create(&Request {
                verb,
                group: resource.group,
                version: resource.version,
                resource: resource.plural,
                subresource: label.subresource.map_or("", super::resources::Subresource::as_str),
                scope: label.scope,
                code: code.as_u16(),
            })
            .inc();
        let duration = Took { verb, group: resource.group, resource: resource.plural };
        self.durations.get_or_create(&duration).observe(took.as_secs_f64());
    }

    /// Counts a watch for as long as the answer is kept.
    pub(super) fn watching(&self, resource: &Resource) -> Watching {
        let label =
            Watched { group: resource.group, version: resource.version, kind: resource.kind };
        let gauge = self.watches.get_or_create_owned(&label);
        gauge.inc();
        Watching(Arc::new(gauge))
    }

    /// All of it, and what others measure, as OpenMetrics.
    pub(super) fn text(&self, others: Option<&dyn Measures>) -> String {
        let mut text = String::new();
        // A String takes everything.
        let _ = encode_registry(&mut text, &self.registry);
        if let Some(others) = others {
            others.write(&mut text);
        }
        let _ = encode_eof(&mut text);
        text
    }
}

/// A watch that goes on.
#[derive(Debug)]
pub(super) struct Watching(Arc<Gauge>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.dec();
    }
}

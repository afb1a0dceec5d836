//! The live view: what goes on, drawn anew as it changes.
//!
//! Owns: a line for each Job and one for each layer that is fetched. Must not know: what is printed
//! above it.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use k8s_openapi::api::batch::v1::Job;

use crate::api::job::{Completion, active, failed, is_finished, succeeded};
use crate::api::object::{Key, Object};
use crate::runtime::{LayerPhase, LayerProgress, Pulls};

/// How often the spinner turns and the time goes on.
const TICK: Duration = Duration::from_millis(200);
/// No more lines than these are drawn for Jobs and for layers.
const JOB_LINES_MAX: usize = 8;
const LAYER_LINES_MAX: usize = 8;
/// So much of a digest tells layers apart.
const DIGEST_CHARS: usize = 12;
/// So many of an image's name.
const NAME_CHARS: usize = 24;

#[derive(Debug)]
pub(super) struct View {
    screen: MultiProgress,
    jobs: BTreeMap<Key, ProgressBar>,
    layers: BTreeMap<(String, String), ProgressBar>,
}

impl View {
    pub(super) fn new(screen: MultiProgress) -> Self {
        Self { screen, jobs: BTreeMap::new(), layers: BTreeMap::new() }
    }

    pub(super) fn job(&mut self, job: &Job) {
        let key = job.key();
        if is_finished(job).is_some() {
            self.job_gone(&key);
            return;
        }
        if !self.jobs.contains_key(&key) && self.jobs.len() >= JOB_LINES_MAX {
            return;
        }
        let screen = &self.screen;
        let line = self.jobs.entry(key).or_insert_with(|| {
            let line = screen.add(ProgressBar::new_spinner());
            line.set_style(style("{spinner} {prefix}  {msg}  {elapsed}"));
            line.set_prefix(job.name().to_owned());
            line.enable_steady_tick(TICK);
            line
        });
        line.set_message(standing(job));
    }

    fn job_gone(&mut self, key: &Key) {
        if let Some(line) = self.jobs.remove(key) {
            line.finish_and_clear();
            self.screen.remove(&line);
        }
    }

    pub(super) fn pulls(&mut self, pulls: &Pulls) {
        let there = |(image, digest): &(String, String)| {
            pulls.get(image).is_some_and(|pull| {
                pull.layers.iter().any(|layer| layer.digest == *digest && !is_done(layer))
            })
        };
        let gone: Vec<_> = self.layers.keys().filter(|id| !there(id)).cloned().collect();
        for line in gone.iter().filter_map(|id| self.layers.remove(id)) {
            line.finish_and_clear();
            self.screen.remove(&line);
        }
        for (image, pull) in pulls {
            for layer in pull.layers.iter().filter(|layer| !is_done(layer)) {
                self.layer(image, layer);
            }
        }
    }

    fn layer(&mut self, image: &str, layer: &LayerProgress) {
        let id = (image.to_owned(), layer.digest.clone());
        if !self.layers.contains_key(&id) && self.layers.len() >= LAYER_LINES_MAX {
            return;
        }
        let screen = &self.screen;
        let line = self.layers.entry(id).or_insert_with(|| {
            let line = screen.insert(0, ProgressBar::new(layer.total));
            line.set_style(style("  {prefix}  {bytes}/{total_bytes}  {msg}  {wide_bar}"));
            line.set_prefix(format!("{} {}", name(image), short(&layer.digest)));
            line
        });
        line.set_length(layer.total);
        line.set_position(layer.offset);
        line.set_message(phase(layer.phase));
    }

    /// Takes everything away.
    pub(super) fn end(&mut self) {
        for (_, line) in std::mem::take(&mut self.jobs) {
            line.finish_and_clear();
        }
        for (_, line) in std::mem::take(&mut self.layers) {
            line.finish_and_clear();
        }
        // A terminal that went away shows nothing anyway.
        let _ = self.screen.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is well formed")
}

/// `2/5 complete, 3 active, 1 failed`
fn standing(job: &Job) -> String {
    let wanted = match Completion::of(job) {
        Completion::AnyOne => String::new(),
        Completion::Count(n) | Completion::Indexed(n) => format!("/{n}"),
    };
    let mut text = format!("{}{wanted} complete, {} active", succeeded(job), active(job));
    if failed(job) > 0 {
        text += &format!(", {} failed", failed(job));
    }
    if job.is_deleting() {
        text += ", being deleted";
    }
    text
}

fn is_done(layer: &LayerProgress) -> bool {
    layer.phase == LayerPhase::Done
}

fn phase(phase: LayerPhase) -> &'static str {
    match phase {
        LayerPhase::Waiting => "waiting",
        LayerPhase::Downloading => "downloading",
        LayerPhase::Downloaded => "downloaded",
        LayerPhase::Unpacking => "unpacking",
        LayerPhase::Done => "done",
    }
}

/// An image's name, as much of it as leaves room for the bytes on a narrow terminal.
fn name(image: &str) -> &str {
    let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    let end = name.char_indices().nth(NAME_CHARS).map_or(name.len(), |(at, _)| at);
    &name[..end]
}

fn short(digest: &str) -> String {
    digest.trim_start_matches("sha256:").chars().take(DIGEST_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressDrawTarget;
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::runtime::PullProgress;

    fn view() -> View {
        View::new(MultiProgress::with_draw_target(ProgressDrawTarget::hidden()))
    }

    #[test]
    fn a_job_has_a_line_until_it_is_finished() {
        let mut job: Job = serde_json::from_value(json!({
            "metadata": {"name": "pi", "namespace": "default"}, "spec": {"completions": 5},
            "status": {"active": 3, "succeeded": 2, "failed": 1},
        }))
        .unwrap();
        let mut view = view();
        view.job(&job);
        let line = view.jobs.values().next().unwrap();
        assert_eq!(line.prefix(), "pi");
        assert_eq!(line.message(), "2/5 complete, 3 active, 1 failed");

        let complete = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        job.status = serde_json::from_value(complete).unwrap();
        view.job(&job);
        assert!(view.jobs.is_empty());
    }

    #[test]
    fn the_name_of_an_image_leaves_room_for_the_bytes() {
        assert_eq!(name("docker.io/luksa/batch-job:latest"), "batch-job:latest");
        assert_eq!(name("docker.io/luksa/batch-job@sha256:0123"), "batch-job");
        assert_eq!(name(&"é".repeat(100)), "é".repeat(NAME_CHARS));
    }

    #[test]
    fn a_layer_has_a_line_until_it_is_done() {
        let mut layer = LayerProgress {
            digest: "sha256:0123456789abcdef".into(),
            phase: LayerPhase::Downloading,
            offset: 1024,
            total: 2048,
        };
        let pulls = |layer: &LayerProgress| {
            let pull = PullProgress { since: Timestamp::UNIX_EPOCH, layers: vec![layer.clone()] };
            Pulls::from([("busybox:1".to_owned(), pull)])
        };
        let mut view = view();
        view.pulls(&pulls(&layer));
        let line = view.layers.values().next().unwrap();
        assert_eq!(line.prefix(), "busybox:1 0123456789ab");
        assert_eq!((line.position(), line.length()), (1024, Some(2048)));
        assert_eq!(line.message(), "downloading");

        layer.phase = LayerPhase::Done;
        view.pulls(&pulls(&layer));
        assert!(view.layers.is_empty());
        view.end();
    }
}

//! How far a pull is.
//!
//! Owns: one image's entry among the pulls that go on, from the first layer to the end of the pull.
//! Must not know: what is pulled.

use jiff::Timestamp;
use oci_client::manifest::OciDescriptor;
use tokio::sync::watch;

use super::super::{LayerPhase, LayerProgress, PullProgress, Pulls};

/// The entry of one image; gone when this is dropped, however the pull ended.
#[derive(Debug)]
pub(super) struct Progress<'a> {
    pulls: &'a watch::Sender<Pulls>,
    name: String,
}

impl<'a> Progress<'a> {
    pub(super) fn begin(pulls: &'a watch::Sender<Pulls>, name: String, since: Timestamp) -> Self {
        pulls.send_modify(|pulls| {
            pulls.insert(name.clone(), PullProgress { since, layers: Vec::new() });
        });
        Self { pulls, name }
    }

    pub(super) fn layers(&self, layers: &[OciDescriptor]) {
        let waiting = layers.iter().map(|layer| LayerProgress {
            digest: layer.digest.clone(),
            phase: LayerPhase::Waiting,
            offset: 0,
            total: u64::try_from(layer.size).unwrap_or_default(),
        });
        let waiting: Vec<_> = waiting.collect();
        self.change(|pull| pull.layers = waiting);
    }

    /// Nothing for a layer that there is not.
    pub(super) fn phase(&self, layer: usize, phase: LayerPhase) {
        self.change_layer(layer, |layer| {
            layer.phase = phase;
            if matches!(phase, LayerPhase::Downloaded | LayerPhase::Unpacking | LayerPhase::Done) {
                layer.offset = layer.total;
            }
        });
    }

    pub(super) fn offset(&self, layer: usize, offset: u64) {
        self.change_layer(layer, |layer| {
            layer.phase = LayerPhase::Downloading;
            layer.offset = offset;
        });
    }

    fn change_layer(&self, layer: usize, change: impl FnOnce(&mut LayerProgress)) {
        self.change(|pull| {
            if let Some(layer) = pull.layers.get_mut(layer) {
                change(layer);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut PullProgress)) {
        self.pulls.send_modify(|pulls| {
            if let Some(pull) = pulls.get_mut(&self.name) {
                change(pull);
            }
        });
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.pulls.send_modify(|pulls| {
            pulls.remove(&self.name);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_shows_its_layers_until_it_is_dropped() {
        let pulls = watch::Sender::default();
        let progress = Progress::begin(&pulls, "a".to_owned(), Timestamp::UNIX_EPOCH);
        progress.layers(&[OciDescriptor { size: 7, ..OciDescriptor::default() }]);
        progress.offset(0, 3);
        progress.offset(1, 3);
        let shown = pulls.borrow()["a"].layers.clone();
        assert_eq!((shown.len(), shown[0].phase, shown[0].offset), (1, LayerPhase::Downloading, 3));
        progress.phase(0, LayerPhase::Done);
        assert_eq!(pulls.borrow()["a"].layers[0].offset, 7);
        drop(progress);
        assert!(pulls.borrow().is_empty());
    }
}

//! The order of a pull.
//!
//! Owns: what is asked, fetched, written and unpacked, in which order and how much at once.
//! Must not know: who wants the image.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use containerd_client::services::v1 as services;
use containerd_client::types::Descriptor;
use futures::stream::{self, StreamExt, TryStreamExt};
use oci_client::Reference;
use oci_client::manifest::{OciDescriptor, OciImageManifest};
use tokio::sync::watch;
use tonic::Status;

use super::super::containerd::{already_exists, leased};
use super::super::{LayerPhase, PullError, Pulled, Transfer};
use super::content::{self, Ingest, Labels, Opened, Store};
use super::credentials::Credential;
use super::lease::Lease;
use super::logins::Logins;
use super::manifest::{self, Document, Known};
use super::patience::Patience;
use super::progress::Progress;
use super::refusal::Refusal;
use super::registry::{MANIFEST_BYTES_MAX, Repository, Resolved};
use super::unpack::{self, Layer, Snapshots};
use super::{Inner, reference, refused};

/// Layers of one image that are fetched at the same time, as containerd's own client does.
const LAYERS_MAX: usize = 3;

/// One pull, or the part of one that needs no registry.
struct Pull<'a> {
    inner: &'a Inner,
    image: &'a Reference,
    /// Nothing may be fetched without.
    repository: Option<&'a Repository>,
    lease: &'a str,
    progress: Option<Progress<'a>>,
    /// What came from registries.
    bytes: AtomicU64,
}

/// Why a transfer did not go on.
enum Stop {
    Registry(Refusal),
    Containerd(Status),
}

impl Inner {
    /// Fetches the image as the first of those who may.
    pub(super) async fn fetch_with(
        &self,
        image: &Reference,
        logins: &Logins,
    ) -> Result<Pulled, PullError> {
        let mut all = logins.of(image.registry(), image.repository()).into_iter().peekable();
        loop {
            let login = all.next();
            let fetched = self.fetch(image, login).await;
            if all.peek().is_none() || !matches!(fetched, Err(PullError::Image(_))) {
                return fetched;
            }
        }
    }

    /// Asks the registry what the image is now, and fetches and unpacks what of it is missing.
    async fn fetch(
        &self,
        image: &Reference,
        login: Option<Credential>,
    ) -> Result<Pulled, PullError> {
        let asked = self.now.read();
        let name = image.whole();
        let repository = self.registries.repository(image, login);
        let repository = repository.map_err(|refusal| told(&name, &refusal))?;
        let wanted = image.digest().or_else(|| image.tag()).unwrap_or("latest");
        let mut patience = Patience::new(self.settings.backoff_first);
        let resolved = loop {
            match repository.resolve(wanted).await {
                Ok(resolved) => break resolved,
                Err(refusal) => {
                    patience.after(refusal).await.map_err(|refusal| told(&name, &refusal))?
                }
            }
        };
        let id = reference::pinned(image, &resolved.digest);
        let local = self.unpacked(image).await.map_err(|s| self.looked_up(&s))?;
        if local.is_some_and(|local| local.id == id) {
            let took = self.now.since(asked);
            let none = Transfer { bytes: 0, took, took_with_wait: took };
            return Ok(Pulled { id, transfer: Some(none) });
        }
        // Whoever has nothing to fetch waits for nobody.
        let queued = self.now.read();
        let _turn = self.turns.acquire().await.expect("nobody closes it");
        let waited = self.now.since(queued);
        let lease = Lease::new(self, name.clone()).await?;
        let progress = Progress::begin(&self.pulls, name, asked);
        let bytes = {
            let (repository, progress) = (Some(&repository), Some(progress));
            let pull = Pull::new(self, image, repository, (lease.id(), progress));
            pull.run(resolved).await?;
            pull.bytes.into_inner()
        };
        lease.end().await;
        let took_with_wait = self.now.since(asked);
        let took = took_with_wait.saturating_sub(waited);
        Ok(Pulled { id, transfer: Some(Transfer { bytes, took, took_with_wait }) })
    }

    /// Unpacks an image that is in the content store.
    pub(super) async fn restore(&self, image: &Reference, digest: String) -> Result<(), PullError> {
        let lease = Lease::new(self, image.whole()).await?;
        let pull = Pull::new(self, image, None, (lease.id(), None));
        pull.run(Resolved { digest, body: None }).await?;
        drop(pull);
        lease.end().await;
        Ok(())
    }

    /// What is known of the image behind a digest; nothing if a document of it is missing here, or makes
    /// no sense: a pull tells more of that.
    pub(super) async fn known(&self, target: &str) -> Result<Option<Arc<Known>>, Status> {
        if let Some(known) = self.remembered(target) {
            return Ok(Some(known));
        }
        let mut digest = target.to_owned();
        // An index leads to a manifest, and that to a configuration.
        let image = loop {
            let read = content::read(&self.client, &digest, MANIFEST_BYTES_MAX).await?;
            match read.map(|bytes| Document::read(&bytes)) {
                Some(Ok(Document::Image(image))) => break image,
                Some(Ok(Document::Index(index))) if digest == target => {
                    let Ok(chosen) = manifest::choose(&index, self.platform) else {
                        return Ok(None);
                    };
                    digest = chosen.digest;
                }
                Some(Ok(Document::Index(_)) | Err(_)) | None => return Ok(None),
            }
        };
        let limit = manifest::CONFIG_BYTES_MAX;
        let read = content::read(&self.client, &image.config.digest, limit).await?;
        let known = read.and_then(|bytes| manifest::know(&bytes, &image, self.platform).ok());
        let known = known.map(Arc::new);
        if let Some(known) = &known {
            self.remember(target, Arc::clone(known));
        }
        Ok(known)
    }
}

impl<'a> Pull<'a> {
    fn new(
        inner: &'a Inner,
        image: &'a Reference,
        repository: Option<&'a Repository>,
        (lease, progress): (&'a str, Option<Progress<'a>>),
    ) -> Self {
        Self { inner, image, repository, lease, progress, bytes: AtomicU64::new(0) }
    }

    async fn run(&self, resolved: Resolved) -> Result<(), PullError> {
        let (mut target, mut document) = self.document(&resolved.digest, resolved.body).await?;
        target.digest.clone_from(&resolved.digest);
        if let Document::Index(index) = &document {
            let entry = manifest::choose(index, self.inner.platform).map_err(|e| self.wrong(&e))?;
            (_, document) = self.document(&entry.digest, None).await?;
        }
        let Document::Image(image) = document else {
            return Err(self.wrong("it is an index of indexes"));
        };
        self.show(|progress| progress.layers(&image.layers));
        let known = self.config(&image).await?;
        self.layers(&image, &known).await?;
        self.keep_snapshots(&image, &known).await?;
        self.record(&target).await?;
        self.inner.remember(&target.digest, known);
        Ok(())
    }

    /// An index or a manifest: from the content store, or from the registry into it.
    async fn document(
        &self,
        digest: &str,
        body: Option<Bytes>,
    ) -> Result<(OciDescriptor, Document), PullError> {
        let stored = content::read(&self.inner.client, digest, MANIFEST_BYTES_MAX).await;
        let bytes = match stored.map_err(|s| self.inner.failed("read a manifest", &s))? {
            Some(bytes) => bytes,
            None => match body {
                Some(body) => body,
                None => self.fetch_manifest(digest).await?,
            },
        };
        let document = Document::read(&bytes).map_err(|why| self.wrong(&why))?;
        let descriptor = OciDescriptor {
            media_type: document.media_type(),
            digest: digest.to_owned(),
            size: i64::try_from(bytes.len()).expect("its size is bounded"),
            ..OciDescriptor::default()
        };
        self.write(document.kind(), &descriptor, bytes, document.labels()).await?;
        Ok((descriptor, document))
    }

    async fn fetch_manifest(&self, digest: &str) -> Result<Bytes, PullError> {
        let repository = self.repository.ok_or_else(|| self.missing(digest))?;
        let mut patience = Patience::new(self.inner.settings.backoff_first);
        loop {
            match repository.manifest(digest).await {
                Ok(bytes) => {
                    self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    return Ok(bytes);
                }
                Err(refusal) => patience.after(refusal).await.map_err(|r| self.refusal(&r))?,
            }
        }
    }

    /// Writes a small blob that is in memory, and verified.
    async fn write(
        &self,
        kind: &str,
        blob: &OciDescriptor,
        bytes: Bytes,
        labels: Labels,
    ) -> Result<(), PullError> {
        let _turn = self.inner.locks.lock(&blob.digest).await;
        let failed = |s: Status| self.inner.failed("write a manifest", &s);
        let labels = self.sourced(labels);
        match self.store().open(kind, blob).await.map_err(failed)? {
            Opened::Exists => self.store().label(&blob.digest, &labels).await.map_err(failed),
            Opened::Writing(mut ingest) => {
                let begin = usize::try_from(ingest.offset()).unwrap_or_default().min(bytes.len());
                ingest.commit(bytes.slice(begin..), labels).await.map_err(failed)
            }
        }
    }

    async fn config(&self, image: &OciImageManifest) -> Result<Arc<Known>, PullError> {
        let limit = manifest::CONFIG_BYTES_MAX;
        if usize::try_from(image.config.size).is_ok_and(|size| size > limit) {
            return Err(self.wrong(&format!("its configuration has more than {limit} bytes")));
        }
        self.blob("config", &image.config, None).await?;
        let digest = &image.config.digest;
        let read = content::read(&self.inner.client, digest, limit).await;
        let bytes = read
            .map_err(|s| self.inner.failed("read a configuration", &s))?
            .ok_or_else(|| self.missing(digest))?;
        let known = manifest::know(&bytes, image, self.inner.platform);
        Ok(Arc::new(known.map_err(|why| self.wrong(&why))?))
    }

    /// Fetches several layers at once, and meanwhile unpacks those that are there, from the lowest up.
    async fn layers(&self, image: &OciImageManifest, known: &Known) -> Result<(), PullError> {
        let is_here: Vec<_> = image.layers.iter().map(|_| watch::Sender::new(false)).collect();
        let layers = image.layers.iter().zip(&is_here).enumerate();
        let fetches: Vec<_> = layers.map(|(n, (layer, here))| self.layer(n, layer, here)).collect();
        let fetch = stream::iter(fetches).buffer_unordered(LAYERS_MAX).try_collect::<()>();
        let unpack = async {
            for (n, (layer, is_here)) in image.layers.iter().zip(&is_here).enumerate() {
                // The sender lives as long as this does.
                let _ = is_here.subscribe().wait_for(|is_here| *is_here).await;
                self.unpack(n, layer, known).await?;
            }
            Ok(())
        };
        tokio::try_join!(fetch, unpack).map(|((), ())| ())
    }

    async fn layer(
        &self,
        n: usize,
        layer: &OciDescriptor,
        is_here: &watch::Sender<bool>,
    ) -> Result<(), PullError> {
        self.blob("layer", layer, Some(n)).await?;
        self.show(|progress| progress.phase(n, LayerPhase::Downloaded));
        is_here.send_replace(true);
        Ok(())
    }

    async fn unpack(&self, n: usize, blob: &OciDescriptor, known: &Known) -> Result<(), PullError> {
        let inner = self.inner;
        let chain_id = &known.chain[n];
        let layer = Layer {
            blob,
            diff_id: &known.config.rootfs().diff_ids()[n],
            parent: n.checked_sub(1).map_or("", |below| &known.chain[below]),
            chain_id,
        };
        let snapshotter = &inner.settings.snapshotter;
        let snapshots = Snapshots { client: &inner.client, snapshotter, lease: self.lease };
        let _turn = inner.locks.lock(chain_id).await;
        self.show(|progress| progress.phase(n, LayerPhase::Unpacking));
        snapshots.unpack(layer, inner.now.read()).await.map_err(|error| match &error {
            unpack::Error::Containerd { attempt, source } => inner.failed(attempt, source),
            unpack::Error::Content { .. } => self.wrong(&error.to_string()),
        })?;
        let uncompressed = [("containerd.io/uncompressed".to_owned(), layer.diff_id.to_owned())];
        let labelled = self.store().label(&blob.digest, &uncompressed.into()).await;
        labelled.map_err(|s| inner.failed("label a layer", &s))?;
        self.show(|progress| progress.phase(n, LayerPhase::Done));
        Ok(())
    }

    /// Makes sure that a blob is in the content store, with what it may have of it already.
    async fn blob(
        &self,
        kind: &str,
        blob: &OciDescriptor,
        layer: Option<usize>,
    ) -> Result<(), PullError> {
        let _turn = self.inner.locks.lock(&blob.digest).await;
        let mut patience = Patience::new(self.inner.settings.backoff_first);
        let failed = |s: Status| self.inner.failed("write a layer", &s);
        let labels = self.sourced(Labels::new());
        // What another program left may be wrong, and so may be what a mirror sends.
        loop {
            if self.repository.is_none() {
                let exists = content::exists(&self.inner.client, &blob.digest).await;
                if !exists.map_err(failed)? {
                    return Err(self.missing(&blob.digest));
                }
            }
            let mut ingest = match self.store().open(kind, blob).await.map_err(failed)? {
                Opened::Exists => {
                    return self.store().label(&blob.digest, &labels).await.map_err(failed);
                }
                Opened::Writing(ingest) => ingest,
            };
            let host = self.fill(&mut ingest, &blob.digest, layer, &mut patience).await?;
            match ingest.commit(Bytes::new(), labels.clone()).await {
                Ok(()) => return Ok(()),
                Err(status) if content::is_mismatch(&status) => {
                    self.store().abort(kind, &blob.digest).await.map_err(failed)?;
                    let host = host.unwrap_or_else(|| self.image.registry().to_owned());
                    let refusal = Refusal::mismatch(&host, &blob.digest);
                    patience.once_more(refusal).map_err(|r| self.refusal(&r))?;
                }
                Err(status) => return Err(failed(status)),
            }
        }
    }

    /// Fetches what an ingest lacks. Goes on after a broken transfer where it broke; answers the host
    /// that sent the end.
    async fn fill(
        &self,
        ingest: &mut Ingest,
        digest: &str,
        layer: Option<usize>,
        patience: &mut Patience,
    ) -> Result<Option<String>, PullError> {
        let repository = self.repository.ok_or_else(|| self.missing(digest))?;
        let mut host = None;
        while ingest.offset() < ingest.total() {
            let before = ingest.offset();
            let transfer = self.transfer(repository, ingest, (digest, layer), patience.failures);
            match transfer.await {
                Ok(name) => host = Some(name),
                Err(Stop::Containerd(status)) => {
                    return Err(self.inner.failed("write a layer", &status));
                }
                Err(Stop::Registry(refusal)) => {
                    if ingest.offset() > before {
                        patience.begin_anew();
                    }
                    patience.after(refusal).await.map_err(|r| self.refusal(&r))?;
                }
            }
        }
        Ok(host)
    }

    async fn transfer(
        &self,
        repository: &Repository,
        ingest: &mut Ingest,
        (digest, layer): (&str, Option<usize>),
        failures: usize,
    ) -> Result<String, Stop> {
        self.show_offset(layer, ingest.offset());
        let asked = repository.blob(digest, ingest.offset(), failures).await;
        let mut blob = asked.map_err(Stop::Registry)?;
        let mut buffer = BytesMut::new();
        loop {
            let next = blob.next().await;
            if let Ok(Some(chunk)) = &next {
                buffer.extend_from_slice(chunk);
            }
            let is_over = !matches!(next, Ok(Some(_)));
            let offset = ingest.offset() + buffer.len() as u64;
            if offset > ingest.total() {
                return Err(Stop::Registry(blob.wrong_length(offset, ingest.total())));
            }
            if buffer.len() >= content::CHUNK_BYTES || (is_over && !buffer.is_empty()) {
                self.bytes.fetch_add(buffer.len() as u64, Ordering::Relaxed);
                ingest.write(buffer.split().freeze()).await.map_err(Stop::Containerd)?;
                self.show_offset(layer, ingest.offset());
            }
            match next {
                Ok(Some(_)) => {}
                Ok(None) if offset == ingest.total() => return Ok(blob.host().to_owned()),
                Ok(None) => return Err(Stop::Registry(blob.wrong_length(offset, ingest.total()))),
                Err(refusal) => return Err(Stop::Registry(refusal)),
            }
        }
    }

    /// The configuration keeps the snapshots from the garbage collector.
    async fn keep_snapshots(
        &self,
        image: &OciImageManifest,
        known: &Known,
    ) -> Result<(), PullError> {
        if known.chain.is_empty() {
            return Ok(());
        }
        let key = format!("containerd.io/gc.ref.snapshot.{}", self.inner.settings.snapshotter);
        let labels = [(key, known.chain_id().to_owned())].into();
        let labelled = self.store().label(&image.config.digest, &labels).await;
        labelled.map_err(|s| self.inner.failed("label a configuration", &s))
    }

    /// Gives the image its name.
    async fn record(&self, target: &OciDescriptor) -> Result<(), PullError> {
        let image = services::Image {
            name: self.image.whole(),
            target: Some(Descriptor {
                media_type: target.media_type.clone(),
                digest: target.digest.clone(),
                size: target.size,
                annotations: Default::default(),
            }),
            ..services::Image::default()
        };
        let create =
            services::CreateImageRequest { image: Some(image.clone()), ..Default::default() };
        let mut images = self.inner.client.images();
        let created = match images.create(leased(create, self.lease)).await {
            Err(status) if already_exists(&status) => {
                let mask = prost_types::FieldMask { paths: vec!["target".to_owned()] };
                let update = services::UpdateImageRequest {
                    image: Some(image),
                    update_mask: Some(mask),
                    ..Default::default()
                };
                images.update(leased(update, self.lease)).await.map(|_| ())
            }
            created => created.map(|_| ()),
        };
        created.map_err(|s| self.inner.failed("record an image", &s))
    }

    fn store(&self) -> Store<'_> {
        Store { client: &self.inner.client, lease: self.lease }
    }

    fn sourced(&self, mut labels: Labels) -> Labels {
        if self.repository.is_some() {
            labels.extend([content::source(self.image.registry(), self.image.repository())]);
        }
        labels
    }

    fn show(&self, change: impl FnOnce(&Progress<'_>)) {
        if let Some(progress) = &self.progress {
            change(progress);
        }
    }

    fn show_offset(&self, layer: Option<usize>, offset: u64) {
        if let Some(layer) = layer {
            self.show(|progress| progress.offset(layer, offset));
        }
    }

    fn refusal(&self, refusal: &Refusal) -> PullError {
        told(&self.image.whole(), refusal)
    }

    fn wrong(&self, why: &str) -> PullError {
        refused(format!("{}: {why}", self.image.whole()))
    }

    fn missing(&self, digest: &str) -> PullError {
        self.wrong(&format!("{digest} is not on this host"))
    }
}

fn told(name: &str, refusal: &Refusal) -> PullError {
    refused(format!("{name}: {refusal}"))
}

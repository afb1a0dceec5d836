//! Images: from a reference in a pod to an unpacked image in containerd.
//!
//! Owns: pull policies, that one image is transferred once however many ask, what is known of the
//! images that are there, and the progress of pulls.
//! Must not know: pods, or what an image is wanted for.
//!
//! kiln itself speaks to the registry (`registry`), writes what it gets into containerd's content
//! store (`content`), and has containerd unpack it (`unpack`); `pull` is the order of these. A
//! pull runs in whoever waits for it: when the last one goes away it stops, and what it has written is
//! where the next one goes on.

mod auth;
mod body;
mod content;
mod credentials;
mod digest;
mod hosts;
mod lease;
mod logins;
mod manifest;
mod patience;
mod platform;
mod progress;
mod pull;
mod reference;
mod refusal;
mod registry;
mod unpack;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use containerd_client::services::v1::GetImageRequest;
use futures::FutureExt;
use futures::future::{BoxFuture, WeakShared};
use jiff::Timestamp;
use oci_client::Reference;
use oci_spec::image::ImageConfiguration;
use tokio::sync::{OwnedMutexGuard, Semaphore, watch};
use tonic::Status;

use super::containerd::{Client, call, is_away, is_not_found, plain};
use super::{Error, PullError, Pulled, Pulls};
use crate::pod::{ImageError, ImageReason, PullPolicy};
use credentials::Credentials;
pub use logins::Logins;
use manifest::Known;
use platform::Platform;
use registry::Registries;

/// Images that are pulled at the same time; the others wait for their turn.
const PULLS_MAX: usize = 4;

/// The configurations of so many images are kept in memory before all are forgotten.
const KNOWN_MAX: usize = 256;

/// What an operator may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// containerd's directory of registry hosts.
    pub hosts_dir: PathBuf,
    /// The directory of Docker's `config.json`; without it `$DOCKER_CONFIG`, or `~/.docker`.
    pub docker_config: Option<PathBuf>,
    pub snapshotter: String,
    /// Whose pulls these are: it stands on every lease, so that those of a process that was killed are
    /// found again.
    pub owner: String,
    /// For so long a registry may say nothing before it is asked again.
    pub stall: Duration,
    /// How long the first repetition of a request waits; doubles with each further one.
    pub backoff_first: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hosts_dir: PathBuf::from("/etc/containerd/certs.d"),
            docker_config: None,
            snapshotter: "overlayfs".to_owned(),
            owner: String::new(),
            stall: Duration::from_secs(30),
            backoff_first: Duration::from_millis(500),
        }
    }
}

/// The images of this host. Clones are the same.
#[derive(Debug, Clone)]
pub struct Images(Arc<Inner>);

/// An image that is there and unpacked.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalImage {
    /// The reference, with what it left out.
    pub name: String,
    /// `<repository>@<digest>`.
    pub id: String,
    /// The snapshot of its top layer; empty for an image without layers.
    pub chain_id: String,
    pub config: Arc<ImageConfiguration>,
}

type Transfer = BoxFuture<'static, Result<Pulled, PullError>>;

#[derive(Debug)]
struct Inner {
    client: Client,
    settings: Settings,
    platform: Platform,
    now: Now,
    registries: Arc<Registries>,
    /// What is being transferred, by the image's name and who asks.
    transfers: Mutex<HashMap<(String, Logins), WeakShared<Transfer>>>,
    turns: Semaphore,
    pulls: watch::Sender<Pulls>,
    /// Keeps the parts of one image, and two images with a part in common, out of each other's way.
    locks: Locks,
    /// What was read of images, by the digest that their names stand for.
    known: Mutex<HashMap<String, Arc<Known>>>,
    /// Leases of pulls that did not get to their end, by the image's name.
    leases: Mutex<BTreeMap<String, lease::Left>>,
}

impl Images {
    /// `now` reads the clock.
    pub fn new(
        client: Client,
        settings: Settings,
        now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Self {
        let now = Now(now);
        let credentials = Credentials::new(settings.docker_config.clone());
        let registries =
            Registries::new(settings.hosts_dir.clone(), credentials, settings.stall, now.clone());
        Self(Arc::new(Inner {
            client,
            settings,
            platform: Platform::of_this_host(),
            now,
            registries: Arc::new(registries),
            transfers: Mutex::default(),
            turns: Semaphore::new(PULLS_MAX),
            pulls: watch::Sender::default(),
            locks: Locks::default(),
            known: Mutex::default(),
            leases: Mutex::default(),
        }))
    }

    /// Pulls an image, or finds it, as the policy says. Whoever asks for one that is on its way waits
    /// for the same transfer.
    ///
    /// # Errors
    /// [`PullError::Image`] for what is wrong with the name, the registry or the image;
    /// [`PullError::Retry`] while containerd is away.
    pub async fn pull(&self, image: &str, policy: PullPolicy) -> Result<Pulled, PullError> {
        self.pull_with(image, policy, &Logins::default()).await
    }

    /// The same for one who brings credentials along; where none of them is for the image, the host's own
    /// are.
    ///
    /// # Errors
    /// As for [`Images::pull`].
    pub async fn pull_with(
        &self,
        image: &str,
        policy: PullPolicy,
        logins: &Logins,
    ) -> Result<Pulled, PullError> {
        let reference = parse(image)?;
        let here = match policy {
            PullPolicy::Always => None,
            PullPolicy::IfNotPresent | PullPolicy::Never => self.0.here(&reference).await?,
        };
        if let Some(local) = here {
            return Ok(Pulled { id: local.id, transfer: None });
        }
        if policy == PullPolicy::Never {
            let message =
                format!("Container image \"{image}\" is not present with pull policy of Never");
            let reason = ImageReason::ErrImageNeverPull;
            return Err(PullError::Image(ImageError { reason, message }));
        }
        self.transfer(reference, logins.clone()).await
    }

    async fn transfer(&self, reference: Reference, logins: Logins) -> Result<Pulled, PullError> {
        let name = (reference.whole(), logins.clone());
        let transfer = {
            let mut transfers = lock(&self.0.transfers);
            // What has ended, or was given up by all, is of no use any more.
            transfers.retain(|_, transfer| transfer.upgrade().is_some_and(|t| t.peek().is_none()));
            let running = transfers.get(&name).and_then(WeakShared::upgrade);
            running.unwrap_or_else(|| {
                let inner = Arc::clone(&self.0);
                let transfer = async move { inner.fetch_with(&reference, &logins).await };
                let transfer = transfer.boxed().shared();
                transfers.extend(transfer.downgrade().map(|weak| (name, weak)));
                transfer
            })
        };
        transfer.await
    }

    /// The pulls that go on, by the full name of the image; latest state wins.
    pub fn pulls(&self) -> watch::Receiver<Pulls> {
        self.0.pulls.subscribe()
    }

    /// The image as it stands in containerd now, ready to run; nothing if it is not there, or not
    /// unpacked.
    ///
    /// # Errors
    /// What containerd says, and a name that is none.
    pub async fn local(&self, image: &str) -> Result<Option<LocalImage>, Error> {
        let invalid = |message| Error::Failed { attempt: "read the image's name", message };
        let reference = reference::parse(image).map_err(invalid)?;
        let found = self.0.unpacked(&reference).await;
        found.map_err(|status| self.0.client.error("look up an image", &status))
    }

    /// Lets go of what all pulls of this owner have fetched and no image has, also those of a process that
    /// was killed. No pull may go on.
    ///
    /// # Errors
    /// What containerd says.
    pub async fn release(&self) -> Result<(), Error> {
        let released = self.0.release().await;
        released.map_err(|status| self.0.client.error("delete the leases", &status))
    }

    /// Lets go of what pulls that did not get to their end have fetched. Without this, the next pull of
    /// the same image goes on with it; containerd lets go of it after a day.
    ///
    /// # Errors
    /// What containerd says.
    pub async fn sweep(&self) -> Result<(), Error> {
        let swept = self.0.sweep().await;
        swept.map_err(|status| self.0.client.error("delete a lease", &status))
    }
}

impl Inner {
    /// What a name stands for in containerd.
    async fn target(&self, reference: &Reference) -> Result<Option<String>, Status> {
        let request = GetImageRequest { name: reference.whole() };
        match self.client.images().get(call(request)).await {
            Ok(answer) => {
                Ok(answer.into_inner().image.and_then(|image| image.target).map(|t| t.digest))
            }
            Err(status) if is_not_found(&status) => Ok(None),
            Err(status) => Err(status),
        }
    }

    async fn unpacked(&self, reference: &Reference) -> Result<Option<LocalImage>, Status> {
        let Some(target) = self.target(reference).await? else { return Ok(None) };
        let Some(known) = self.known(&target).await? else { return Ok(None) };
        let chain_id = known.chain_id().to_owned();
        let snapshotter = &self.settings.snapshotter;
        if !chain_id.is_empty()
            && !unpack::is_unpacked(&self.client, snapshotter, &chain_id).await?
        {
            return Ok(None);
        }
        Ok(Some(LocalImage {
            name: reference.whole(),
            id: reference::pinned(reference, &target),
            chain_id,
            config: Arc::clone(&known.config),
        }))
    }

    /// The image, if it is here; unpacked now, if only that is missing.
    async fn here(&self, reference: &Reference) -> Result<Option<LocalImage>, PullError> {
        // One restores it; the others find it restored.
        let _turn = self.locks.lock(&reference.whole()).await;
        if let Some(local) = self.unpacked(reference).await.map_err(|s| self.looked_up(&s))? {
            return Ok(Some(local));
        }
        let target = self.target(reference).await.map_err(|s| self.looked_up(&s))?;
        let Some(target) = target else { return Ok(None) };
        match self.restore(reference, target).await {
            Ok(()) => self.unpacked(reference).await.map_err(|s| self.looked_up(&s)),
            // A part is missing: it has to be pulled.
            Err(PullError::Image(_)) => Ok(None),
            Err(away @ PullError::Retry { .. }) => Err(away),
        }
    }

    fn looked_up(&self, status: &Status) -> PullError {
        self.failed("look up an image", status)
    }

    /// What a failed call to containerd means for a pull.
    fn failed(&self, attempt: &'static str, status: &Status) -> PullError {
        if is_away(status) {
            return PullError::Retry { message: self.client.error(attempt, status).to_string() };
        }
        let message = plain(status);
        if message.contains("no space left on device") {
            return refused(format!(
                "the disk of containerd is full: cannot {attempt}: {message}; free some space, for \
                 example by removing images that nobody needs"
            ));
        }
        refused(format!("cannot {attempt}: {message}"))
    }

    fn remembered(&self, target: &str) -> Option<Arc<Known>> {
        lock(&self.known).get(target).cloned()
    }

    fn remember(&self, target: &str, known: Arc<Known>) {
        let mut all = lock(&self.known);
        if all.len() >= KNOWN_MAX {
            all.clear();
        }
        all.insert(target.to_owned(), known);
    }
}

fn parse(image: &str) -> Result<Reference, PullError> {
    reference::parse(image).map_err(|message| {
        PullError::Image(ImageError { reason: ImageReason::InvalidImageName, message })
    })
}

/// The image cannot be had now; the pod says why, and tries again later.
fn refused(message: String) -> PullError {
    PullError::Image(ImageError { reason: ImageReason::ErrImagePull, message })
}

/// Reads the clock.
#[derive(Clone)]
struct Now(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Now {
    fn read(&self) -> Timestamp {
        (self.0)()
    }

    /// How long ago something was. A clock that was set back says that it was now.
    fn since(&self, then: Timestamp) -> Duration {
        Duration::try_from(self.read().duration_since(then)).unwrap_or(Duration::ZERO)
    }
}

impl fmt::Debug for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Now")
    }
}

/// One lock for each name that somebody holds or waits for.
#[derive(Debug, Default)]
struct Locks(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

impl Locks {
    async fn lock(&self, name: &str) -> OwnedMutexGuard<()> {
        let mutex = {
            let mut locks = lock(&self.0);
            locks.retain(|_, mutex| mutex.strong_count() > 0);
            let held = locks.get(name).and_then(Weak::upgrade);
            held.unwrap_or_else(|| {
                let mutex = Arc::default();
                locks.insert(name.to_owned(), Arc::downgrade(&mutex));
                mutex
            })
        };
        mutex.lock_owned().await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_locked_by_one_and_forgotten_by_the_last() {
        let locks = Locks::default();
        let first = locks.lock("a").await;
        let other = locks.lock("b").await;
        let second = locks.lock("a");
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        drop(second.await);
        drop(other);
        drop(locks.lock("c").await);
        assert_eq!(lock(&locks.0).len(), 1);
    }

    #[tokio::test]
    async fn a_name_that_is_none_is_refused_before_anybody_is_asked() {
        let client = Client::new(std::path::Path::new("/nonexistent/c.sock"));
        let now = Arc::new(|| Timestamp::UNIX_EPOCH);
        let images = Images::new(client, Settings::default(), now);
        let pull = |image| images.pull(image, PullPolicy::Always);
        let Err(PullError::Image(error)) = pull("Busybox").await else { panic!("it is no name") };
        assert_eq!(error.reason, ImageReason::InvalidImageName);
        let away = images.pull("busybox", PullPolicy::Never).await;
        assert!(matches!(away, Err(PullError::Retry { .. })), "{away:?}");
    }
}

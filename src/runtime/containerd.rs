//! The connection to containerd.
//!
//! Owns: the channels, the headers of every call, and what an answer of gRPC means.
//! Must not know: what containerd is asked for.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use containerd_client::services::v1 as services;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::Error;

/// The containerd namespace that holds everything of kiln's.
pub const NAMESPACE: &str = "kiln";

/// The oldest containerd that kiln works with.
const OLDEST: (u32, u32) = (1, 6);
/// How long an idle containerd may take to tell its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);
/// containerd sends no larger message; tonic's own limit is 4 MiB.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

const CURE: &str = "start it (`systemctl start containerd`), name its socket with `--containerd \
                    ADDRESS`, or let kiln start a private one with `--containerd managed`";

/// A containerd, which may be away at times: every call connects anew where that is needed. Cheap to
/// clone.
#[derive(Debug, Clone)]
pub struct Client {
    address: PathBuf,
    calls: Channel,
    /// Apart from the others, so that a thousand waits leave room for a call.
    waits: Channel,
}

impl Client {
    /// Connects with the first call. Needs a tokio runtime around it.
    pub fn new(address: &Path) -> Self {
        Self { address: address.to_owned(), calls: channel(address), waits: channel(address) }
    }

    pub fn address(&self) -> &Path {
        &self.address
    }

    /// Whether containerd answers and is new enough; its version.
    ///
    /// # Errors
    /// [`Error::Unreachable`] or [`Error::TooOld`], with the cure.
    pub async fn check(&self) -> Result<String, Error> {
        if let Err(error) = UnixStream::connect(&self.address).await {
            return Err(self.unreachable(&cause(&error)));
        }
        let mut request = Request::new(());
        request.set_timeout(VERSION_TIMEOUT);
        let mut client = services::version_client::VersionClient::new(self.calls.clone());
        let answer = client.version(request).await;
        let version =
            answer.map_err(|status| self.unreachable(&plain(&status)))?.into_inner().version;
        if numbers(&version).is_some_and(|found| found < OLDEST) {
            let (major, minor) = OLDEST;
            let message = format!(
                "it is containerd {version}, and kiln needs {major}.{minor} or newer: install a newer \
                 one"
            );
            return Err(Error::TooOld { address: self.address.display().to_string(), message });
        }
        Ok(version)
    }

    fn unreachable(&self, message: &str) -> Error {
        Error::Unreachable {
            address: self.address.display().to_string(),
            message: message.to_owned(),
        }
    }

    /// What a failed call means for whoever attempted something.
    pub fn error(&self, attempt: &'static str, status: &Status) -> Error {
        if is_away(status) {
            return self.unreachable(&plain(status));
        }
        Error::Failed { attempt, message: plain(status) }
    }

    pub fn introspection(&self) -> services::introspection_client::IntrospectionClient<Channel> {
        services::introspection_client::IntrospectionClient::new(self.calls.clone())
    }

    pub fn containers(&self) -> services::containers_client::ContainersClient<Channel> {
        services::containers_client::ContainersClient::new(self.calls.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub fn tasks(&self) -> services::tasks_client::TasksClient<Channel> {
        services::tasks_client::TasksClient::new(self.calls.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// For `Wait` only, which takes as long as a container does.
    pub fn waits(&self) -> services::tasks_client::TasksClient<Channel> {
        services::tasks_client::TasksClient::new(self.waits.clone())
    }

    pub fn snapshots(&self) -> services::snapshots::snapshots_client::SnapshotsClient<Channel> {
        services::snapshots::snapshots_client::SnapshotsClient::new(self.calls.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub fn content(&self) -> services::content_client::ContentClient<Channel> {
        services::content_client::ContentClient::new(self.calls.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub fn images(&self) -> services::images_client::ImagesClient<Channel> {
        services::images_client::ImagesClient::new(self.calls.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub fn leases(&self) -> services::leases_client::LeasesClient<Channel> {
        services::leases_client::LeasesClient::new(self.calls.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub fn diffs(&self) -> services::diff_client::DiffClient<Channel> {
        services::diff_client::DiffClient::new(self.calls.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }
}

/// A call in kiln's namespace.
pub fn call<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let namespace = tonic::metadata::MetadataValue::from_static(NAMESPACE);
    request.metadata_mut().insert("containerd-namespace", namespace);
    request
}

/// A call whose results a lease protects from the garbage collector.
pub fn leased<T>(message: T, lease: &str) -> Request<T> {
    let mut request = call(message);
    let lease = lease.parse().expect("the id of a lease is ASCII");
    request.metadata_mut().insert("containerd-lease", lease);
    request
}

/// What a connection that broke is called, before an answer and in the middle of one.
const BROKEN: [&str; 3] =
    ["transport error", "error reading a body from connection", "h2 protocol error"];

/// Whether containerd could not be asked, or went away before it answered.
pub fn is_away(status: &Status) -> bool {
    let broken = || {
        std::error::Error::source(status)
            .is_some_and(|source| source.is::<tonic::transport::Error>())
            || BROKEN.iter().any(|sign| status.message().contains(sign))
    };
    let code = status.code();
    // A lock that somebody else holds is told as "unavailable" too.
    (code == Code::Unavailable && !status.message().contains("locked"))
        || (matches!(code, Code::Unknown | Code::Cancelled | Code::Internal) && broken())
}

pub fn is_not_found(status: &Status) -> bool {
    status.code() == Code::NotFound
}

pub fn already_exists(status: &Status) -> bool {
    status.code() == Code::AlreadyExists
}

/// What containerd said, without what 1.x puts at the end of everything.
pub fn plain(status: &Status) -> String {
    let mut message = status.message().trim();
    while let Some(shorter) = message.strip_suffix(": unknown") {
        message = shorter;
    }
    if message.is_empty() { status.code().to_string() } else { message.to_owned() }
}

fn channel(address: &Path) -> Channel {
    let path = address.to_owned();
    let connector = tower::service_fn(move |_: http::Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    // The address stands in no URI: the connector knows it.
    Endpoint::from_static("http://containerd").connect_with_connector_lazy(connector)
}

fn cause(error: &io::Error) -> String {
    let kind = error.kind();
    if kind == io::ErrorKind::NotFound {
        format!("there is no such socket; containerd is not running: {CURE}")
    } else if kind == io::ErrorKind::ConnectionRefused {
        format!("nobody listens on it; containerd has stopped: {CURE}")
    } else if kind == io::ErrorKind::PermissionDenied {
        "no permission to use it: run kiln as root".to_owned()
    } else {
        format!("{error}: {CURE}")
    }
}

/// `1.6.20~ds1` is (1, 6).
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_with_whatever_a_distribution_adds() {
        for (text, expected) in [
            ("1.6.20~ds1", Some((1, 6))),
            ("v2.1.9", Some((2, 1))),
            ("1.7.24+ds", Some((1, 7))),
            ("devel", None),
        ] {
            assert_eq!(numbers(text), expected, "{text}");
        }
    }

    #[test]
    fn what_containerd_says_is_shown_without_its_tail() {
        let status = Status::unknown("task x: no such file: unknown");
        assert_eq!(plain(&status), "task x: no such file");
        assert_eq!(plain(&Status::not_found("")), "Some requested entity was not found");
    }

    #[test]
    fn a_lock_is_not_taken_for_an_absence() {
        assert!(is_away(&Status::unavailable("connection refused")));
        assert!(!is_away(&Status::unavailable("ref kiln/1/layer locked for 1s")));
        assert!(!is_away(&Status::unknown("ttrpc: closed")));
        assert!(is_away(&Status::unknown("error reading a body from connection")));
    }

    #[tokio::test]
    async fn a_containerd_that_is_not_there_is_told_with_the_cure() {
        let dir = tempfile::tempdir().unwrap();
        let error = Client::new(&dir.path().join("c.sock")).check().await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("c.sock") && text.contains("--containerd managed"), "{text}");
    }
}

//! The Kubernetes API, and where a wish enters the store.
//!
//! Owns: what an object goes through before it is stored, what a request to delete writes, and
//! everything that clients of the API see: resources, watches, discovery, errors, sockets. Must not
//! know: the rules, the engine, the runtime. It writes wishes; what becomes of them is seen in the
//! store.

mod after;
pub mod api;
mod body;
mod discovery;
mod gone;
pub mod identity;
mod kinds;
pub mod listen;
pub mod logs;
pub mod manifests;
mod metadata;
pub mod metrics;
mod namespaces;
mod node;
pub mod objects;
pub mod openapi;
mod patch;
pub mod pki;
mod pod_security;
pub mod protobuf;

mod read;
mod remove;
mod request;
pub mod resources;
mod respond;
mod reviews;
mod shape;
mod status;
mod watch;
mod write;
mod yaml;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch as latest;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use self::api::Api;
use self::pki::Files;
use crate::api::amounts::Amounts;

/// The group whose members may use the unix socket.
const GROUP: &str = "kiln";
/// How often to look whether certificates have to be renewed.
const RENEWAL_EVERY: Duration = Duration::from_hours(12);

/// Where to listen.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Where nobody has to say who they are.
    pub socket: Option<PathBuf>,
    /// Where TLS is spoken. Port 0: any that is free.
    pub address: Option<SocketAddr>,
    /// Where certificates, tokens and the kubeconfig are.
    pub root: PathBuf,
    /// What this host is called, as a node and in its certificate.
    pub host: String,
    /// Its addresses, as its pods have them for `status.hostIPs`.
    pub host_ips: Vec<String>,
    /// What runs its containers: `containerd://1.6.20`.
    pub container_runtime: String,
    /// What this host has, and what of it the pods may ask for.
    pub capacity: Amounts,
    pub allocatable: Amounts,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot prepare what is always there: {message}")]
    Store { message: String },
    #[error("cannot prepare the certificates")]
    Pki {
        #[from]
        source: pki::Error,
    },
    #[error("cannot open a socket")]
    Listen {
        #[from]
        source: listen::Error,
    },
}

/// A server that runs. Dropping it cuts everything short; [`Server::stop`] ends it in order.
#[derive(Debug)]
pub struct Server {
    api: Arc<Api>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    socket: Option<PathBuf>,
    address: Option<SocketAddr>,
}

impl Server {
    /// Prepares what is always there and begins to listen; needs a tokio runtime around it.
    ///
    /// # Errors
    /// A socket, a file or the store cannot be used.
    pub async fn start(api: Arc<Api>, listen: Listen) -> Result<Self, Error> {
        let now = (api.now)();
        let failed = |error: status::Error| Error::Store { message: error.to_string() };
        namespaces::prepare(&api.store, now).await.map_err(failed)?;
        node::prepare(&api.store, &listen, now).await.map_err(failed)?;
        let stop = CancellationToken::new();
        let mut server = Self { stop, tasks: JoinSet::new(), socket: None, address: None, api };
        let (api, stop) = (Arc::clone(&server.api), server.stop.clone());
        server.tasks.spawn(namespaces::run(api, stop));
        if let Some(path) = listen.socket {
            let listener = listen::unix(&path, listen::group(GROUP))?;
            server.socket = Some(path);
            let (api, stop) = (Arc::clone(&server.api), server.stop.clone());
            server.tasks.spawn(listen::serve_unix(api, listener, stop));
        }
        if let Some(address) = listen.address {
            server.listen_by_tls(address, Files::below(&listen.root, &listen.host)).await?;
        }
        Ok(server)
    }

    async fn listen_by_tls(&mut self, address: SocketAddr, files: Files) -> Result<(), Error> {
        files.prepare((self.api.now)())?;
        let tokens = files.tokens()?;
        let (tls, current) = latest::channel(files.tls()?);
        let listener = listen::tcp(address).await?;
        let bound = listener.local_addr();
        let bound = bound.map_err(|source| listen::Error::Tcp { address, source })?;
        files.write_kubeconfig(bound)?;
        self.address = Some(bound);
        let (api, stop) = (Arc::clone(&self.api), self.stop.clone());
        self.tasks.spawn(listen::serve_tls(api, listener, (current, tokens), stop));
        let (api, stop) = (Arc::clone(&self.api), self.stop.clone());
        self.tasks.spawn(async move {
            while tokio::time::timeout(RENEWAL_EVERY, stop.cancelled()).await.is_err() {
                let renewed = || -> Result<_, pki::Error> {
                    let made = files.prepare((api.now)())?;
                    if made {
                        files.write_kubeconfig(bound)?;
                    }
                    made.then(|| files.tls()).transpose()
                };
                match renewed() {
                    Ok(Some(config)) => drop(tls.send_replace(config)),
                    Ok(None) => {}
                    Err(error) => warn!(%error, "cannot renew the certificates"),
                }
            }
        });
        Ok(())
    }

    /// Where TLS is spoken.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Ends watches and logs, lets requests that are worked on end, and returns when all did.
    pub async fn stop(mut self) {
        self.api.stop.cancel();
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(broken) = ended {
                error!(error = %broken, "a task of the server broke");
            }
        }
        if let Some(path) = &self.socket {
            // Nobody is to find a socket that nobody listens on.
            let _ = std::fs::remove_file(path);
        }
    }
}

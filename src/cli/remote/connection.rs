//! Which server, and how it is reached.
//!
//! Owns: the unix socket, and the kubeconfig. Must not know: what is asked for.

use std::path::{Path, PathBuf};

use clap::Args;
use http::Uri;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::net::UnixStream;

use super::Error;

/// Where `kiln serve` listens unless it is told otherwise.
const SOCKET: &str = "/run/kiln/kiln.sock";
const SOCKET_CURE: &str = "is `kiln serve` running? Name its socket with `--socket PATH`, or another \
                           cluster with `--kubeconfig FILE`";
const KUBECONFIG_CURE: &str = "is it running, and does the kubeconfig name the right address?";

// The server. A flag goes before an environment variable, the socket before a kubeconfig.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Server")]
pub struct Connection {
    /// Unix socket of `kiln serve` [default: /run/kiln/kiln.sock]
    #[arg(long, env = "KILN_SOCKET", value_name = "PATH", global = true)]
    pub socket: Option<PathBuf>,

    /// Kubeconfig of any cluster, instead of the socket [env: KUBECONFIG=]
    #[arg(long, value_name = "FILE", global = true)]
    pub kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME", global = true)]
    pub context: Option<String>,

    /// Namespace [default: that of the context, or `default`]
    #[arg(short, long, value_name = "NAME", global = true)]
    pub namespace: Option<String>,
}

/// A client, and what it is a client of.
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) address: String,
    pub(super) cure: &'static str,
}

impl Connection {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// The kubeconfig cannot be used.
    pub(super) async fn connect(&self) -> Result<Connected, Error> {
        let named = self.kubeconfig.is_some() || self.context.is_some();
        if named || (self.socket.is_none() && std::env::var_os("KUBECONFIG").is_some()) {
            return self.by_kubeconfig().await;
        }
        Ok(over_socket(self.socket.as_deref().unwrap_or_else(|| Path::new(SOCKET))))
    }

    async fn by_kubeconfig(&self) -> Result<Connected, Error> {
        // Done twice is done once.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let wrong = |error: kube::config::KubeconfigError| Error::usage(error.to_string());
        let file = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let options = KubeConfigOptions { context: self.context.clone(), ..Default::default() };
        let mut config =
            Config::from_custom_kubeconfig(file.map_err(wrong)?, &options).await.map_err(wrong)?;
        // Logs that are followed, and watches, are silent for as long as nothing happens.
        config.read_timeout = None;
        let address = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|error| Error::usage(error.to_string()))?;
        Ok(Connected { client, address, cure: KUBECONFIG_CURE })
    }
}

fn over_socket(socket: &Path) -> Connected {
    let path = socket.to_owned();
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        Box::pin(async move { UnixStream::connect(path).await.map(TokioIo::new) })
    });
    let service: legacy::Client<_, Body> =
        legacy::Client::builder(TokioExecutor::new()).build(connector);
    // A host has to have a name, which nobody looks up.
    let config = Config::new(Uri::from_static("http://kiln"));
    let client =
        ClientBuilder::new(service, "default").with_layer(&config.base_uri_layer()).build();
    Connected { client, address: socket.display().to_string(), cure: SOCKET_CURE }
}

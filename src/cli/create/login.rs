//! Secrets of a kind: a certificate with its key, a login at a registry.
//!
//! Owns: what is in them, and what is wrong with it before it is sent. Must not know: who reads them.
//! <https://kubernetes.io/docs/concepts/configuration/secret/#secret-types>

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Map, Value};

use crate::cli::remote::Error;

/// Docker Hub, as Docker's own configuration calls it.
const HUB: &str = "https://index.docker.io/v1/";
const CONFIG: &str = ".dockerconfigjson";

#[derive(Debug, clap::Args)]
pub(super) struct Pair {
    /// The certificate, with those of its authorities, in PEM
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,

    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

impl Pair {
    /// # Errors
    /// A file cannot be read, or the key is not the certificate's.
    pub(super) fn read(&self) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let (cert, key) = (bytes(&self.cert)?, bytes(&self.key)?);
        check(&cert, &key)
            .map_err(|why| Error::usage(format!("failed to load key pair: {why}")))?;
        Ok(vec![("tls.crt".to_owned(), cert), ("tls.key".to_owned(), key)])
    }
}

fn check(cert: &[u8], key: &[u8]) -> Result<(), String> {
    let chain = CertificateDer::pem_slice_iter(cert).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| format!("--cert: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("--key: {error}"))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let served = builder.with_no_client_auth().with_single_cert(chain, key);
    served.map(drop).map_err(|error| error.to_string())
}

#[derive(Debug, clap::Args)]
#[group(id = "login", required = true, multiple = true)]
pub(super) struct Login {
    /// The registry
    #[arg(long, value_name = "SERVER", default_value = HUB)]
    docker_server: String,

    #[arg(long, value_name = "NAME", requires = "docker_password", group = "login")]
    docker_username: Option<String>,

    #[arg(long, value_name = "PASSWORD", requires = "docker_username", group = "login")]
    docker_password: Option<String>,

    #[arg(long, value_name = "ADDRESS")]
    docker_email: Option<String>,

    /// Docker's config.json instead
    #[arg(
        long,
        value_name = "FILE",
        group = "login",
        conflicts_with_all = ["docker_username", "docker_password", "docker_email"]
    )]
    from_file: Option<String>,
}

impl Login {
    /// # Errors
    /// The file cannot be read.
    pub(super) fn read(&self) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let config = match &self.from_file {
            // Its key is always the same.
            Some(file) => {
                bytes(Path::new(file.strip_prefix(".dockerconfigjson=").unwrap_or(file)))?
            }
            None => self.config().to_string().into_bytes(),
        };
        Ok(vec![(CONFIG.to_owned(), config)])
    }

    fn config(&self) -> Value {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (user, password) = (text(&self.docker_username), text(&self.docker_password));
        let auth = STANDARD.encode(format!("{user}:{password}"));
        let fields = [
            ("username", user),
            ("password", password),
            ("email", text(&self.docker_email)),
            ("auth", auth),
        ];
        let said = fields.into_iter().filter(|(_, text)| !text.is_empty());
        let entry: Map<_, _> = said.map(|(name, text)| (name.to_owned(), text.into())).collect();
        let auths: Map<_, _> = [(self.docker_server.clone(), entry.into())].into_iter().collect();
        serde_json::json!({ "auths": auths })
    }
}

fn bytes(file: &Path) -> Result<Vec<u8>, Error> {
    fs::read(file)
        .map_err(|error| Error::usage(format!("error reading {}: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_login_is_written_as_docker_writes_it() {
        let login = Login {
            docker_server: "r.example".to_owned(),
            docker_username: Some("me".to_owned()),
            docker_password: Some("p".to_owned()),
            docker_email: None,
            from_file: None,
        };
        let entry = json!({"username": "me", "password": "p", "auth": "bWU6cA=="});
        assert_eq!(login.config(), json!({"auths": {"r.example": entry}}));
    }

    #[test]
    fn a_key_that_is_not_the_certificates_is_refused() {
        let [one, other] = ["one", "other"].map(|name| {
            let CertifiedKey { cert, signing_key } =
                generate_simple_self_signed([name.to_owned()]).unwrap();
            (cert.pem(), signing_key.serialize_pem())
        });
        let checked = |cert: &str, key: &str| check(cert.as_bytes(), key.as_bytes());
        checked(&one.0, &one.1).unwrap();
        assert!(checked(&one.0, &other.1).unwrap_err().contains("key"));
        assert!(checked("no", &one.1).is_err() && checked(&one.0, "no").is_err());
    }
}

//! Who this host is to a registry.
//!
//! Owns: `~/.docker/config.json`, with its credential helpers, stores and identity tokens.
//! Must not know: what a registry does with a credential.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use sha2::{Digest, Sha256};

/// A credential helper may ask a key ring or a cloud, and no person: it has no terminal.
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);

/// The key of Docker Hub, and other spellings of it.
const HUB_KEYS: [&str; 3] = ["https://index.docker.io/v1/", "index.docker.io", "docker.io"];

/// What a registry is told.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credential {
    Password { username: String, password: String },
    IdentityToken(String),
}

/// Secrets do not belong in a log.
impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential")
    }
}

impl Credential {
    /// Tells it from others, and nothing of it.
    pub(super) fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        match self {
            Self::Password { username, password } => {
                digest.update(username);
                digest.update([0]);
                digest.update(password);
            }
            Self::IdentityToken(token) => digest.update(token),
        }
        hex::encode(digest.finalize())
    }
}

/// Where credentials come from. Read anew each time: whoever logs in needs no restart.
#[derive(Debug)]
pub(super) struct Credentials {
    /// The directory of `config.json`; none where there is neither a setting nor a home.
    dir: Option<PathBuf>,
}

impl Credentials {
    pub(super) fn new(dir: Option<PathBuf>) -> Self {
        let of_docker = || std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
        let of_home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
        Self { dir: dir.or_else(of_docker).or_else(of_home) }
    }

    /// The credential for a host, as `host` or `host:port`.
    ///
    /// # Errors
    /// Why there may be one that cannot be had, for people.
    pub(super) async fn of(&self, host: &str) -> Result<Option<Credential>, String> {
        let Some(path) = self.dir.as_ref().map(|dir| dir.join("config.json")) else {
            return Ok(None);
        };
        let host = host.to_owned();
        let shown = path.display().to_string();
        // A helper is a program that blocks.
        let look_up = tokio::task::spawn_blocking(move || look_up(&path, &host));
        match tokio::time::timeout(HELPER_TIMEOUT, look_up).await {
            Ok(Ok(found)) => found.map_err(|why| format!("{shown}: {why}")),
            Ok(Err(_)) => Err(format!("{shown}: reading it failed")),
            Err(_) => Err(format!("{shown}: its credential helper does not answer")),
        }
    }
}

fn look_up(path: &PathBuf, host: &str) -> Result<Option<Credential>, String> {
    let keys: &[&str] = match host {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => &HUB_KEYS,
        host => &[host],
    };
    for key in keys {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        match docker_credential::get_credential_from_reader(file, key) {
            Ok(DockerCredential::IdentityToken(token)) => {
                return Ok(Some(Credential::IdentityToken(token)));
            }
            Ok(DockerCredential::UsernamePassword(username, password)) => {
                return Ok(Some(Credential::Password { username, password }));
            }
            Err(error) if is_absence(&error) => {}
            Err(error) => return Err(error.to_string().trim().replace('\n', " ")),
        }
    }
    Ok(None)
}

/// A helper without a credential fails, and says so in words of its own protocol.
fn is_absence(error: &CredentialRetrievalError) -> bool {
    match error {
        CredentialRetrievalError::NoCredentialConfigured => true,
        CredentialRetrievalError::HelperFailure { stdout, stderr, .. } => {
            stdout.contains("credentials not found") || stderr.contains("credentials not found")
        }
        CredentialRetrievalError::HelperCommunicationError
        | CredentialRetrievalError::MalformedHelperResponse
        | CredentialRetrievalError::CredentialDecodingError
        | CredentialRetrievalError::CredentialMismatchError
        | CredentialRetrievalError::ConfigNotFound
        | CredentialRetrievalError::ConfigReadError => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of(config: &str, host: &str) -> Result<Option<Credential>, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), config).unwrap();
        Credentials::new(Some(dir.path().to_owned())).of(host).await
    }

    fn password(username: &str, password: &str) -> Result<Option<Credential>, String> {
        let (username, password) = (username.to_owned(), password.to_owned());
        Ok(Some(Credential::Password { username, password }))
    }

    #[tokio::test]
    async fn docker_hub_is_found_under_its_old_key() {
        let config = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "bWU6c2VjcmV0"}}}"#;
        for host in ["docker.io", "registry-1.docker.io"] {
            assert_eq!(of(config, host).await, password("me", "secret"));
        }
        assert_eq!(of(config, "quay.io").await, Ok(None));
    }

    #[tokio::test]
    async fn a_host_has_its_port_in_its_key() {
        let config = r#"{"auths": {"localhost:5000": {"username": "a", "password": "b"}}}"#;
        assert_eq!(of(config, "localhost:5000").await, password("a", "b"));
        assert_eq!(of(config, "localhost:5001").await, Ok(None));
    }

    #[tokio::test]
    async fn an_identity_token_is_no_password() {
        let config = r#"{"auths": {"x.io": {"auth": "YTpi", "identitytoken": "t"}}}"#;
        assert_eq!(of(config, "x.io").await, Ok(Some(Credential::IdentityToken("t".into()))));
    }

    #[tokio::test]
    async fn without_a_file_nobody_is_logged_in_and_a_broken_one_is_told() {
        let nowhere = Credentials::new(Some("/nonexistent".into()));
        assert_eq!(nowhere.of("x.io").await, Ok(None));
        assert!(of("{", "x.io").await.unwrap_err().contains("config.json"));
    }

    #[tokio::test]
    async fn a_helper_that_is_not_installed_is_told() {
        let config = r#"{"credHelpers": {"x.io": "kiln-test-has-no-such-helper"}}"#;
        assert!(of(config, "x.io").await.is_err());
        assert_eq!(of(config, "y.io").await, Ok(None));
    }
}

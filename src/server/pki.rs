//! Certificates, tokens, and the file that tells clients of them.
//!
//! Owns: what is below `<root>/pki`, `<root>/token` and `<root>/kubeconfig`; all of it is made at the
//! first start and only its owner may read it. Must not know: who connects.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustix::rand::{GetRandomFlags, getrandom};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::identity::Tokens;

/// How long certificates are good, in days: the authority's, and all others.
const AUTHORITY_DAYS: i64 = 3650;
const CERTIFICATE_DAYS: i64 = 365;
/// They are made again when no more than this is left.
const RENEW_DAYS: i64 = 30;
/// Clocks differ: they are good from the day before.
const BACKDATED_DAYS: i64 = 1;

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read or write `{}`", .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot make the certificate of {whose}")]
    Certificate { whose: &'static str, source: rcgen::Error },
    #[error("`{}` holds no certificate or key", .path.display())]
    Pem { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("cannot use the certificates below `{}`", .path.display())]
    Tls { path: PathBuf, source: rustls::Error },
    #[error("cannot use the authority below `{}`", .path.display())]
    Verifier { path: PathBuf, source: rustls::server::VerifierBuilderError },
    #[error("cannot get random bytes for a token")]
    Random { source: rustix::io::Errno },
}

/// The files of one server.
#[derive(Debug, Clone)]
pub(super) struct Files {
    root: PathBuf,
    host: String,
}

impl Files {
    pub(super) fn below(root: &Path, host: &str) -> Self {
        Self { root: root.to_owned(), host: host.to_owned() }
    }

    fn pki(&self, name: &str) -> PathBuf {
        self.root.join("pki").join(name)
    }

    /// Makes what is not there, or is not good for much longer. Answers whether anything was made.
    pub(super) fn prepare(&self, now: Timestamp) -> Result<bool, Error> {
        let dir = self.root.join("pki");
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.map_err(|source| Error::File { path: dir, source })?;
        let authority = self.pki("ca.expires");
        let issued = self.pki("expires");
        let new_authority = !is_good(&authority, "", now);
        if new_authority {
            self.make_authority(now)?;
        }
        if !new_authority && is_good(&issued, &self.host, now) {
            return Ok(false);
        }
        self.issue(now)?;
        Ok(true)
    }

    fn make_authority(&self, now: Timestamp) -> Result<(), Error> {
        let failed = |source| Error::Certificate { whose: "the authority", source };
        let key = KeyPair::generate().map_err(failed)?;
        let until = later(now, AUTHORITY_DAYS);
        let certificate = authority(now, until).and_then(|params| params.self_signed(&key));
        write(&self.pki("ca.key"), key.serialize_pem().as_bytes())?;
        write(&self.pki("ca.crt"), certificate.map_err(failed)?.pem().as_bytes())?;
        write(&self.pki("ca.expires"), format!("{until}\n").as_bytes())
    }

    fn issue(&self, now: Timestamp) -> Result<(), Error> {
        let failed = |source| Error::Certificate { whose: "server or client", source };
        let key = read_text(&self.pki("ca.key"))?;
        let key = KeyPair::from_pem(&key).map_err(failed)?;
        // The name and the key are all that a certificate says of its issuer.
        let issuer = authority(now, now).map(|params| Issuer::new(params, key)).map_err(failed)?;
        let until = later(now, CERTIFICATE_DAYS);
        let server = server_names(&self.host, (now, until)).map_err(failed)?;
        let mut client = leaf("kiln:admin", (now, until)).map_err(failed)?;
        client.distinguished_name.push(DnType::OrganizationName, "system:masters");
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        for (name, params) in [("server", server), ("client", client)] {
            let key = KeyPair::generate().map_err(failed)?;
            let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
            write(&self.pki(&format!("{name}.key")), key.serialize_pem().as_bytes())?;
            write(&self.pki(&format!("{name}.crt")), certificate.pem().as_bytes())?;
        }
        write(&self.pki("expires"), format!("{until} {}\n", self.host).as_bytes())
    }

    /// What the server speaks TLS with; a client may show a certificate, or none.
    pub(super) fn tls(&self) -> Result<Arc<ServerConfig>, Error> {
        let path = self.root.join("pki");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let failed = |source| Error::Tls { path: path.clone(), source };
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.pki("ca.crt"))?).map_err(failed)?;
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .allow_unauthenticated()
                .build()
                .map_err(|source| Error::Verifier { path: path.clone(), source })?;
        let key_path = self.pki("server.key");
        let key = PrivateKeyDer::from_pem_file(&key_path)
            .map_err(|source| Error::Pem { path: key_path, source })?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate(&self.pki("server.crt"))?], key)
            .map_err(failed)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// The tokens, made where there are none.
    pub(super) fn tokens(&self) -> Result<Tokens, Error> {
        let token = |name: &str| {
            let path = self.root.join(name);
            match fs::read_to_string(&path) {
                Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
                Ok(_) => new_token(&path),
                Err(error) if error.kind() == io::ErrorKind::NotFound => new_token(&path),
                Err(source) => Err(Error::File { path, source }),
            }
        };
        Ok(Tokens { full: token("token")?, read_only: token("token.read-only")? })
    }

    /// Writes what `kubectl --kubeconfig` reads.
    /// <https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>
    pub(super) fn write_kubeconfig(&self, address: SocketAddr) -> Result<(), Error> {
        let data = |name: &str| -> Result<String, Error> {
            let path = self.pki(name);
            let bytes = fs::read(&path).map_err(|source| Error::File { path, source })?;
            Ok(BASE64_STANDARD.encode(bytes))
        };
        let host = match address.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        let server = SocketAddr::new(host, address.port());
        let (ca, certificate, key) = (data("ca.crt")?, data("client.crt")?, data("client.key")?);
        let text = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: kiln\n  cluster:\n    \
             certificate-authority-data: {ca}\n    server: https://{server}\ncontexts:\n\
             - name: kiln\n  context:\n    cluster: kiln\n    namespace: default\n    user: kiln\n\
             current-context: kiln\nusers:\n- name: kiln\n  user:\n    \
             client-certificate-data: {certificate}\n    client-key-data: {key}\n"
        );
        write(&self.root.join("kubeconfig"), text.as_bytes())
    }
}

/// Whether a file says a time that is far enough, and these names.
fn is_good(path: &Path, names: &str, now: Timestamp) -> bool {
    let Ok(text) = fs::read_to_string(path) else { return false };
    let mut words = text.split_whitespace();
    let until = words.next().and_then(|word| word.parse::<Timestamp>().ok());
    let same = words.next().unwrap_or_default() == names;
    same && until.is_some_and(|until| later(now, RENEW_DAYS) < until)
}

fn authority(now: Timestamp, until: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "kiln authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (day(later(now, -BACKDATED_DAYS)), day(until));
    Ok(params)
}

fn leaf(
    name: &str,
    (now, until): (Timestamp, Timestamp),
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    (params.not_before, params.not_after) = (day(later(now, -BACKDATED_DAYS)), day(until));
    Ok(params)
}

/// The server is known as localhost, by its addresses there, and by the name of this host.
fn server_names(
    host: &str,
    times: (Timestamp, Timestamp),
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = leaf("kiln", times)?;
    let mut names = vec!["localhost".to_owned()];
    names.extend((!host.is_empty()).then(|| host.to_owned()));
    for name in names {
        // A host whose name is none in DNS is not called by it.
        if let Ok(name) = name.try_into() {
            params.subject_alt_names.push(SanType::DnsName(name));
        }
    }
    for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        params.subject_alt_names.push(SanType::IpAddress(ip));
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn later(now: Timestamp, days: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MAX)
}

fn day(at: Timestamp) -> time::OffsetDateTime {
    let date = at.to_zoned(TimeZone::UTC).date();
    let part = |n: i8| u8::try_from(n).expect("months and days are positive");
    date_time_ymd(i32::from(date.year()), part(date.month()), part(date.day()))
}

fn new_token(path: &Path) -> Result<String, Error> {
    let mut bytes = [0; 32];
    getrandom(&mut bytes, GetRandomFlags::empty()).map_err(|source| Error::Random { source })?;
    let token = hex::encode(bytes);
    write(path, format!("{token}\n").as_bytes())?;
    Ok(token)
}

fn certificate(path: &Path) -> Result<CertificateDer<'static>, Error> {
    CertificateDer::from_pem_file(path)
        .map_err(|source| Error::Pem { path: path.to_owned(), source })
}

fn read_text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

/// Writes a file that only its owner may read, whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let aside = path.with_extension("new");
    let written = || -> io::Result<()> {
        let _ = fs::remove_file(&aside); // one of an earlier start that was cut short
        let mut file: File =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    };
    written().map_err(|source| Error::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn certificates_are_made_once_and_renewed_before_they_expire() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::below(dir.path(), "host-a");
        let now = at("2026-01-01T12:00:00Z");
        assert!(files.prepare(now).unwrap());
        let authority = fs::read(files.pki("ca.crt")).unwrap();
        let server = fs::read(files.pki("server.crt")).unwrap();
        assert!(!files.prepare(at("2026-11-01T00:00:00Z")).unwrap());
        assert!(files.prepare(at("2026-12-10T00:00:00Z")).unwrap());
        assert_eq!(fs::read(files.pki("ca.crt")).unwrap(), authority);
        assert_ne!(fs::read(files.pki("server.crt")).unwrap(), server);
        files.tls().unwrap();
        let renamed = Files::below(dir.path(), "host-b");
        assert!(renamed.prepare(at("2026-12-10T00:00:00Z")).unwrap());
        assert_eq!(fs::read(files.pki("ca.crt")).unwrap(), authority);
        assert!(renamed.prepare(at("2035-12-20T00:00:00Z")).unwrap());
        assert_ne!(fs::read(files.pki("ca.crt")).unwrap(), authority);
    }

    #[test]
    fn what_is_secret_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::below(dir.path(), "host");
        files.prepare(at("2026-01-01T00:00:00Z")).unwrap();
        let tokens = files.tokens().unwrap();
        assert_eq!(files.tokens().unwrap().full, tokens.full);
        assert_ne!(tokens.full, tokens.read_only);
        files.write_kubeconfig("0.0.0.0:6550".parse().unwrap()).unwrap();
        let config = fs::read_to_string(dir.path().join("kubeconfig")).unwrap();
        assert!(config.contains("server: https://127.0.0.1:6550"), "{config}");
        for name in ["token", "token.read-only", "kubeconfig", "pki/ca.key", "pki/client.key"] {
            let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}

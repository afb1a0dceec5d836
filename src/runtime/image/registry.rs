//! Registries: what a tag means, and the bytes of a digest.
//!
//! Owns: the distribution API, the hosts of a repository in their order, connections, authorization,
//! redirects and silence.
//! Must not know: what is done with the bytes, or that containerd exists. The protocol is that of
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>.
//!
//! Words and types are oci-client's. Its client is not used: it has neither client certificates nor
//! headers, paths or certificates of a host's own, and it hides `Retry-After`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, RANGE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use oci_client::{Reference, manifest};
use reqwest::{Response, Url};

use super::Now;
use super::auth::{self, Challenge};
use super::body::{Blob, read, silence};
use super::credentials::{Credential, Credentials};
use super::digest;
use super::hosts::{self, Host, Tls};
use super::refusal::{Kind, Refusal, retry_after};

const USER_AGENT: &str = concat!("kiln/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const REDIRECTS_MAX: usize = 10;
/// containerd refuses a larger manifest too.
pub(super) const MANIFEST_BYTES_MAX: usize = 4 << 20;
/// As much is read of an error or a token.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// So many hosts and tokens are remembered before all are forgotten.
const REMEMBERED_MAX: usize = 256;

const ACCEPTED: [&str; 4] = [
    manifest::OCI_IMAGE_INDEX_MEDIA_TYPE,
    manifest::OCI_IMAGE_MEDIA_TYPE,
    manifest::IMAGE_MANIFEST_LIST_MEDIA_TYPE,
    manifest::IMAGE_MANIFEST_MEDIA_TYPE,
];

/// Every registry, and what is remembered of them.
#[derive(Debug)]
pub(super) struct Registries {
    hosts_dir: PathBuf,
    credentials: Credentials,
    /// For so long a host may say nothing.
    stall: Duration,
    now: Now,
    clients: Mutex<HashMap<(bool, Tls, bool), reqwest::Client>>,
    /// By host and repository.
    tokens: Mutex<HashMap<(String, String), HeaderValue>>,
}

/// One repository, wherever it can be read.
#[derive(Debug)]
pub(super) struct Repository {
    registries: Arc<Registries>,
    registry: String,
    name: String,
    /// Of whoever asks, for the registry itself and for no mirror.
    login: Option<Credential>,
    hosts: Vec<(Host, reqwest::Client)>,
}

/// What a tag or a digest stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) digest: String,
    /// The bytes, where a host had to be asked for them.
    pub(super) body: Option<Bytes>,
}

impl Registries {
    pub(super) fn new(
        hosts_dir: PathBuf,
        credentials: Credentials,
        stall: Duration,
        now: Now,
    ) -> Self {
        // Whoever installed another provider before has made the choice.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (clients, tokens) = (Mutex::default(), Mutex::default());
        Self { hosts_dir, credentials, stall, now, clients, tokens }
    }

    /// # Errors
    /// What is wrong with the settings of its hosts.
    pub(super) fn repository(
        self: &Arc<Self>,
        image: &Reference,
        login: Option<Credential>,
    ) -> Result<Repository, Refusal> {
        let registry = image.registry();
        let wrong = |why: String| Refusal::new(registry, Kind::Other, why);
        let hosts = hosts::of(registry, &self.hosts_dir).map_err(wrong)?;
        let with_clients = hosts.into_iter().map(|host| {
            let client = self.client(&host)?;
            Ok((host, client))
        });
        Ok(Repository {
            registries: Arc::clone(self),
            registry: registry.to_owned(),
            name: image.repository().to_owned(),
            login,
            hosts: with_clients.collect::<Result<_, Refusal>>()?,
        })
    }

    fn client(&self, host: &Host) -> Result<reqwest::Client, Refusal> {
        let plain = host.base.scheme() == "http";
        let key = (plain, host.tls.clone(), host.is_loopback());
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let wrong = |error: reqwest::Error| Refusal::of_failure(&host.name(), &error);
        let client = match builder(host).and_then(|builder| builder.build()) {
            Ok(client) => client,
            // A host without any CA certificates can use plain HTTP.
            Err(_) if plain => builder(host)
                .and_then(|builder| builder.tls_certs_only([]).build())
                .map_err(wrong)?,
            Err(error) => {
                let mut refusal = wrong(error);
                refusal.words +=
                    "; check the certificates in hosts.toml, and install ca-certificates";
                return Err(refusal);
            }
        };
        if clients.len() >= REMEMBERED_MAX {
            clients.clear();
        }
        clients.insert(key, client.clone());
        Ok(client)
    }

    fn token(&self, key: &(String, String)) -> Option<HeaderValue> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn remember(&self, key: (String, String), token: HeaderValue) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= REMEMBERED_MAX {
            tokens.clear();
        }
        tokens.insert(key, token);
    }
}

fn builder(host: &Host) -> reqwest::Result<reqwest::ClientBuilder> {
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        // Redirects are followed here: what a host is told is for no other.
        .redirect(reqwest::redirect::Policy::none())
        .tls_danger_accept_invalid_certs(host.tls.skip_verify);
    let mut roots = Vec::new();
    for pem in &host.tls.roots {
        roots.extend(reqwest::Certificate::from_pem_bundle(pem)?);
    }
    if !roots.is_empty() {
        builder = builder.tls_certs_merge(roots);
    }
    if let Some(pem) = &host.tls.identity {
        builder = builder.identity(reqwest::Identity::from_pem(pem)?);
    }
    Ok(if host.is_loopback() { builder.no_proxy() } else { builder })
}

impl Repository {
    /// Asks what a tag or a digest stands for.
    pub(super) async fn resolve(&self, reference: &str) -> Result<Resolved, Refusal> {
        let mut refusals = Vec::new();
        for (host, client) in self.able(|host| host.can_resolve) {
            match self.resolve_at((host, client), reference).await {
                Ok(resolved) => return Ok(resolved),
                Err(refusal) => refusals.push(refusal),
            }
        }
        Err(self.refusal(refusals, "resolve"))
    }

    async fn resolve_at(
        &self,
        at: (&Host, &reqwest::Client),
        reference: &str,
    ) -> Result<Resolved, Refusal> {
        let path = format!("manifests/{reference}");
        let head = self.ask(at, Method::HEAD, &path, &accept()).await;
        let told = match head {
            Ok(response) => response
                .headers()
                .get("docker-content-digest")
                .and_then(|value| value.to_str().ok())
                .filter(|told| digest::is_valid(told))
                .map(str::to_owned),
            // The answer to HEAD has no words; some hosts do not know it at all.
            Err(refusal) => match refusal.kind {
                Kind::NotFound | Kind::Unauthorized | Kind::Unavailable | Kind::Other => None,
                Kind::Throttled
                | Kind::Broken
                | Kind::Unreachable
                | Kind::Nameless
                | Kind::Untrusted
                | Kind::Plain
                | Kind::Garbage => return Err(refusal),
            },
        };
        if let Some(digest) = told {
            let wanted = digest::is_valid(reference).then_some(reference);
            if wanted.is_some_and(|wanted| wanted != digest) {
                return Err(garbage(at.0, format!("asked for {reference}, it answers {digest}")));
            }
            return Ok(Resolved { digest, body: None });
        }
        let body = self.manifest_at(at, reference).await?;
        let digest = match digest::is_valid(reference) {
            true => reference.to_owned(),
            false => digest::sha256(&body),
        };
        Ok(Resolved { digest, body: Some(body) })
    }

    /// Fetches and verifies the manifest or index with a digest.
    pub(super) async fn manifest(&self, digest: &str) -> Result<Bytes, Refusal> {
        let mut refusals = Vec::new();
        for (host, client) in self.able(|host| host.can_pull) {
            match self.manifest_at((host, client), digest).await {
                Ok(body) => return Ok(body),
                Err(refusal) => refusals.push(refusal),
            }
        }
        Err(self.refusal(refusals, "pull"))
    }

    async fn manifest_at(
        &self,
        at: (&Host, &reqwest::Client),
        reference: &str,
    ) -> Result<Bytes, Refusal> {
        let path = format!("manifests/{reference}");
        let response = self.ask(at, Method::GET, &path, &accept()).await?;
        let name = at.0.name();
        let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.unwrap_or("no type").to_owned();
        let (body, complete) =
            read(&name, response, MANIFEST_BYTES_MAX, self.registries.stall).await?;
        if !complete {
            let words = format!("the manifest has more than {MANIFEST_BYTES_MAX} bytes");
            return Err(garbage(at.0, words));
        }
        if serde_json::from_slice::<manifest::Versioned>(&body).is_err() {
            return Err(garbage(at.0, format!("it answers {kind} where a manifest was asked for")));
        }
        if digest::is_valid(reference) && !digest::matches(reference, &body) {
            let words = format!("the manifest does not have the digest {reference}");
            return Err(garbage(at.0, words));
        }
        Ok(body)
    }

    /// Begins to fetch a blob at an offset. With each failure before, another host has its turn.
    pub(super) async fn blob(
        &self,
        digest: &str,
        offset: u64,
        failures: usize,
    ) -> Result<Blob, Refusal> {
        let hosts = self.able(|host| host.can_pull);
        let first = failures.min(hosts.len().saturating_sub(1));
        let mut refusals = Vec::new();
        for (host, client) in hosts.into_iter().skip(first) {
            match self.blob_at((host, client), digest, offset).await {
                Ok(blob) => return Ok(blob),
                Err(refusal) => refusals.push(refusal),
            }
        }
        Err(self.refusal(refusals, "pull"))
    }

    async fn blob_at(
        &self,
        at: (&Host, &reqwest::Client),
        digest: &str,
        offset: u64,
    ) -> Result<Blob, Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        if offset > 0 {
            let range = format!("bytes={offset}-").parse().expect("a range is ASCII");
            headers.insert(RANGE, range);
        }
        let response = self.ask(at, Method::GET, &format!("blobs/{digest}"), &headers).await?;
        let skip = if response.status() == StatusCode::PARTIAL_CONTENT { 0 } else { offset };
        Ok(Blob::new(at.0.name(), response, self.registries.stall, skip))
    }

    fn able(&self, is_able: impl Fn(&Host) -> bool) -> Vec<&(Host, reqwest::Client)> {
        self.hosts.iter().filter(|(host, _)| is_able(host)).collect()
    }

    fn refusal(&self, mut refusals: Vec<Refusal>, capability: &str) -> Refusal {
        match refusals.pop() {
            Some(last) => last.after(&refusals),
            None => {
                let words = format!("hosts.toml names no host with the capability `{capability}`");
                Refusal::new(&self.registry, Kind::Other, words)
            }
        }
    }

    /// Asks one host, with authorization where it wants one.
    async fn ask(
        &self,
        at: (&Host, &reqwest::Client),
        method: Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Response, Refusal> {
        let host = at.0;
        let base = host.base.as_str().trim_end_matches('/');
        let mut url: Url = format!("{base}/{}/{path}", self.name)
            .parse()
            .map_err(|error| Refusal::new(&host.name(), Kind::Other, format!("{error}")))?;
        if host.is_mirror {
            url.query_pairs_mut().append_pair("ns", &self.registry);
        }
        let key = (base.to_owned(), self.of_whom());
        let mut note = None;
        let mut authorized = false;
        loop {
            let token = self.registries.token(&key);
            let response =
                self.follow(at, (method.clone(), url.clone()), headers, token.as_ref()).await?;
            let is_own = response.url().origin() == host.base.origin();
            if response.status() == StatusCode::UNAUTHORIZED && is_own && !authorized {
                authorized = true;
                if let Some(challenge) = Challenge::of(response.headers()) {
                    let (token, why) = self.authorize(at, challenge).await?;
                    note = why;
                    if let Some(token) = token {
                        self.registries.remember(key.clone(), token);
                        continue;
                    }
                }
            }
            return self.check(host, response).await.map_err(|refusal| Refusal { note, ..refusal });
        }
    }

    /// Whose tokens are meant: nobody else's are of use.
    fn of_whom(&self) -> String {
        match &self.login {
            Some(login) => format!("{} {}", self.name, login.fingerprint()),
            None => self.name.clone(),
        }
    }

    /// Sends a request, and goes where it is sent.
    async fn follow(
        &self,
        (host, client): (&Host, &reqwest::Client),
        (method, mut url): (Method, Url),
        headers: &HeaderMap,
        token: Option<&HeaderValue>,
    ) -> Result<Response, Refusal> {
        for _ in 0..=REDIRECTS_MAX {
            let mut request = client.request(method.clone(), url.clone()).headers(headers.clone());
            if url.origin() == host.base.origin() {
                for (name, value) in &host.headers {
                    request = request.header(name, value);
                }
                if let Some(token) = token {
                    request = request.header(AUTHORIZATION, token);
                }
            }
            let response = self.send(&host.name(), request).await?;
            let target = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let Some(target) = target.filter(|_| response.status().is_redirection()) else {
                return Ok(response);
            };
            url = response.url().join(target).map_err(|error| {
                garbage(host, format!("it sends elsewhere, to no address: {error}"))
            })?;
        }
        Err(garbage(host, format!("it sends elsewhere more than {REDIRECTS_MAX} times")))
    }

    async fn send(
        &self,
        host: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<Response, Refusal> {
        match tokio::time::timeout(self.registries.stall, request.send()).await {
            Ok(answer) => answer.map_err(|error| Refusal::of_failure(host, &error)),
            Err(_) => Err(silence(host, self.registries.stall)),
        }
    }

    /// The answer to a challenge; and why a credential could not be had, if there may be one.
    async fn authorize(
        &self,
        (host, client): (&Host, &reqwest::Client),
        challenge: Challenge,
    ) -> Result<(Option<HeaderValue>, Option<String>), Refusal> {
        let (credential, note) = match self.login.clone().filter(|_| !host.is_mirror) {
            Some(login) => (Some(login), None),
            None => match self.registries.credentials.of(&host.name()).await {
                Ok(credential) => (credential, None),
                Err(why) => (None, Some(why)),
            },
        };
        let (realm, service, scope) = match challenge {
            Challenge::Basic => {
                let answer = credential.and_then(|c| auth::basic(client, &host.base, &c));
                return Ok((answer, note));
            }
            Challenge::Bearer { realm, service, scope } => (realm, service, scope),
        };
        if credential.is_some() && host.base.scheme() == "https" && realm.scheme() != "https" {
            let words = format!("it wants credentials to be sent in the clear, to {realm}");
            return Err(Refusal::new(&host.name(), Kind::Other, words));
        }
        let parts = (&realm, service.as_deref(), scope.as_deref());
        let request = auth::token_request(client, parts, &self.name, credential.as_ref());
        let token = self.token_of(host, request, credential.as_ref()).await;
        token
            .map(|token| (Some(token), note.clone()))
            .map_err(|refusal| Refusal { note, ..refusal })
    }

    async fn token_of(
        &self,
        host: &Host,
        request: reqwest::RequestBuilder,
        credential: Option<&Credential>,
    ) -> Result<HeaderValue, Refusal> {
        let name = host.name();
        let response = self.send(&name, request).await?;
        let response = self.check(host, response).await.map_err(|refusal| {
            let who = if credential.is_some() { "the credentials" } else { "anonymous access" };
            Refusal {
                words: format!("its token server refuses {who}: {}", refusal.words),
                ..refusal
            }
        })?;
        let (body, _) = read(&name, response, ANSWER_BYTES_MAX, self.registries.stall).await?;
        auth::token(&body).ok_or_else(|| garbage(host, "its token server answers no token"))
    }

    async fn check(&self, host: &Host, response: Response) -> Result<Response, Refusal> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let wait = wait.and_then(|value| retry_after(value, self.registries.now.read()));
        let name = host.name();
        let body = read(&name, response, ANSWER_BYTES_MAX, self.registries.stall).await;
        let body = body.map(|(body, _)| body).unwrap_or_default();
        Err(Refusal { retry_after: wait, ..Refusal::of_answer(&name, status, &body) })
    }
}

fn accept() -> HeaderMap {
    let types = ACCEPTED.join(", ").parse().expect("media types are ASCII");
    [(ACCEPT, types)].into_iter().collect()
}

fn garbage(host: &Host, words: impl Into<String>) -> Refusal {
    Refusal::new(&host.name(), Kind::Garbage, words)
}

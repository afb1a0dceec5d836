//! Who a pod is to a registry.
//!
//! Owns: reading the credentials that pods bring along, and which of them are for an image. Must not know:
//! what a registry does with one.
//! <https://kubernetes.io/docs/concepts/containers/images/#config-json>

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::credentials::Credential;

/// The hosts that are Docker Hub.
const HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// The credentials of one pod, in the order in which they are tried.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Logins(Vec<String>);

/// Secrets do not belong in a log.
impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Logins({})", self.0.len())
    }
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    username: Option<String>,
    password: Option<String>,
    /// `username:password`, in base64.
    auth: Option<String>,
    identitytoken: Option<String>,
}

impl Logins {
    /// From the texts of files as Docker's `config.json`.
    pub fn new(configs: Vec<String>) -> Self {
        Self(configs)
    }

    /// Those for a repository, without any that is there twice; the one with the longest name first. What
    /// cannot be read is for none.
    pub(super) fn of(&self, registry: &str, repository: &str) -> Vec<Credential> {
        let configs = self.0.iter().filter_map(|text| serde_json::from_str::<Config>(text).ok());
        let mut found: Vec<(usize, Credential)> = Vec::new();
        for (place, entry) in configs.flat_map(|config| config.auths) {
            let credential = entry.credential();
            if let Some(length) = fits(&place, registry, repository)
                && let Some(credential) = credential
                && found.iter().all(|(_, known)| *known != credential)
            {
                found.push((length, credential));
            }
        }
        found.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        found.into_iter().map(|(_, credential)| credential).collect()
    }
}

impl Entry {
    fn credential(self) -> Option<Credential> {
        if let Some(token) = self.identitytoken.filter(|token| !token.is_empty()) {
            return Some(Credential::IdentityToken(token));
        }
        let (username, password) = match (self.username, self.password) {
            (Some(username), Some(password)) if !username.is_empty() => (username, password),
            _ => {
                let bytes = BASE64_STANDARD.decode(self.auth?.trim()).ok()?;
                let text = String::from_utf8(bytes).ok()?;
                let (username, password) = text.split_once(':')?;
                (username.to_owned(), password.trim_end_matches('\0').to_owned())
            }
        };
        Some(Credential::Password { username, password })
    }
}

/// Whether a credential of this name is for a repository, and how closely.
fn fits(place: &str, registry: &str, repository: &str) -> Option<usize> {
    let schemes = ["https://", "http://"];
    let bare = schemes.iter().find_map(|scheme| place.strip_prefix(scheme)).unwrap_or(place);
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let path = match path.trim_matches('/') {
        "v1" | "v2" => "",
        path => path,
    };
    let is_hub = HUB.contains(&host) && HUB.contains(&registry);
    let below = path.is_empty() || repository.starts_with(path);
    ((is_hub || host_fits(host, registry)) && below).then_some(path.len())
}

/// `*.example.com` is all hosts just below that one.
fn host_fits(pattern: &str, host: &str) -> bool {
    let parts = |text: &str| match text.rsplit_once(':') {
        Some((host, port)) => (host.to_owned(), port.to_owned()),
        None => (text.to_owned(), String::new()),
    };
    let ((pattern, wanted), (host, port)) = (parts(pattern), parts(host));
    let (labels, own): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), host.split('.').collect());
    wanted == port
        && labels.len() == own.len()
        && labels.iter().zip(own).all(|(label, own)| label_fits(label, own))
}

fn label_fits(pattern: &str, label: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == label };
    let Some(label) = label.strip_prefix(first) else { return false };
    (0..=label.len()).any(|at| label.get(at..).is_some_and(|label| label_fits(rest, label)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(logins: &[serde_json::Value], image: &str) -> Vec<String> {
        let (registry, repository) = image.split_once('/').unwrap();
        let logins = Logins::new(logins.iter().map(ToString::to_string).collect());
        let name = |credential| match credential {
            Credential::Password { username, password } => format!("{username}:{password}"),
            Credential::IdentityToken(token) => token,
        };
        logins.of(registry, repository).into_iter().map(name).collect()
    }

    #[test]
    fn a_login_is_for_its_registry_and_the_closest_is_tried_first() {
        let auth = |name: &str| json!({"username": name, "password": "p"});
        let all = json!({"auths": {
            "r.example": auth("whole"), "https://r.example/v1/": auth("old"),
            "r.example/team": auth("team"), "*.r.example": auth("sub"), "r.example:5000": auth("port"),
            "https://index.docker.io/v1/": auth("hub"),
        }});
        for (image, expected) in [
            ("r.example/team/app", vec!["team:p", "old:p", "whole:p"]),
            ("r.example/app", vec!["old:p", "whole:p"]),
            ("a.r.example/app", vec!["sub:p"]),
            ("a.b.r.example/app", vec![]),
            ("r.example:5000/app", vec!["port:p"]),
            ("docker.io/library/busybox", vec!["hub:p"]),
            ("other.example/app", vec![]),
        ] {
            assert_eq!(names(std::slice::from_ref(&all), image), expected, "{image}");
        }
    }

    #[test]
    fn a_login_is_written_in_one_of_three_ways() {
        let auths = |entry: serde_json::Value| json!({"auths": {"r": entry}});
        let all = [
            auths(json!({"auth": "bWU6c2VjcmV0"})),
            auths(json!({"identitytoken": "t"})),
            auths(json!({"username": "u", "password": "p", "auth": "ignored"})),
            auths(json!({"username": "me", "password": "secret"})),
            auths(json!({"auth": "!"})),
            json!("no config"),
        ];
        assert_eq!(names(&all, "r/app"), ["me:secret", "t", "u:p"]);
    }

    #[test]
    fn a_star_stands_for_any_part_of_a_label() {
        for (pattern, label, fits) in [
            ("*", "", true),
            ("*", "abc", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("*b*", "abc", true),
            ("abc", "abcd", false),
        ] {
            assert_eq!(label_fits(pattern, label), fits, "{pattern} {label}");
        }
    }
}

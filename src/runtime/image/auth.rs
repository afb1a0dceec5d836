//! How a registry wants to be told who asks.
//!
//! Owns: challenges, and the token that answers one.
//! Must not know: hosts, or where credentials come from. The protocol is that of
//! <https://distribution.github.io/distribution/spec/auth/token/>.

use http::HeaderValue;
use http::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use reqwest::{RequestBuilder, Url};
use serde::Deserialize;

use super::credentials::Credential;

/// By this name kiln asks for a token in exchange for an identity token.
const CLIENT_ID: &str = "kiln";

/// What a registry asks for before it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: Url, service: Option<String>, scope: Option<String> },
}

impl Challenge {
    /// The first that can be met; a token is better than a password with each request.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(WWW_AUTHENTICATE).into_iter();
        let all: Vec<Self> = values
            .filter_map(|value| http_auth::parse_challenges(value.to_str().ok()?).ok())
            .flatten()
            .filter_map(|challenge| Self::read(&challenge))
            .collect();
        let bearer = all.iter().find(|challenge| **challenge != Self::Basic);
        bearer.or_else(|| all.first()).cloned()
    }

    fn read(challenge: &http_auth::ChallengeRef<'_>) -> Option<Self> {
        let parameter = |name: &str| {
            let mut all = challenge.params.iter();
            let (_, value) = all.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
            Some(value.to_unescaped())
        };
        if challenge.scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !challenge.scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let realm = parameter("realm")?.parse().ok()?;
        Some(Self::Bearer { realm, service: parameter("service"), scope: parameter("scope") })
    }
}

/// The request for a token to read one repository.
pub(super) fn token_request(
    client: &reqwest::Client,
    challenge: (&Url, Option<&str>, Option<&str>),
    repository: &str,
    credential: Option<&Credential>,
) -> RequestBuilder {
    let (realm, service, scope) = challenge;
    let scope = match scope {
        Some(scope) if !scope.is_empty() => scope.to_owned(),
        Some(_) | None => format!("repository:{repository}:pull"),
    };
    let service = service.map(|service| ("service", service.to_owned()));
    if let Some(Credential::IdentityToken(token)) = credential {
        let form = [
            ("grant_type", "refresh_token".to_owned()),
            ("client_id", CLIENT_ID.to_owned()),
            ("scope", scope),
            ("refresh_token", token.clone()),
        ];
        let form: Vec<_> = form.into_iter().chain(service).collect();
        return client.post(realm.clone()).form(&form);
    }
    let mut query: Vec<_> = service.into_iter().collect();
    // Several scopes come as one word each.
    query.extend(scope.split_whitespace().map(|scope| ("scope", scope.to_owned())));
    let request = client.get(realm.clone()).query(&query);
    match credential {
        Some(Credential::Password { username, password }) => {
            request.basic_auth(username, Some(password))
        }
        Some(Credential::IdentityToken(_)) | None => request,
    }
}

/// What a token server answers.
pub(super) fn token(body: &[u8]) -> Option<HeaderValue> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let token = answer.token.filter(|t| !t.is_empty()).or(answer.access_token)?;
    secret(&format!("Bearer {token}"))
}

/// What a registry without token server is told.
pub(super) fn basic(
    client: &reqwest::Client,
    url: &Url,
    credential: &Credential,
) -> Option<HeaderValue> {
    let Credential::Password { username, password } = credential else { return None };
    let request = client.get(url.clone()).basic_auth(username, Some(password)).build().ok()?;
    request.headers().get(AUTHORIZATION).cloned()
}

fn secret(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        Challenge::of(&headers)
    }

    #[test]
    fn a_token_is_preferred_to_a_password() {
        let bearer =
            r#"Bearer realm="https://auth.example/token",service="r",scope="repository:a:pull""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.example/token".parse().unwrap(),
            service: Some("r".into()),
            scope: Some("repository:a:pull".into()),
        };
        assert_eq!(challenge(&[r#"Basic realm="x""#, bearer]), Some(expected.clone()));
        assert_eq!(challenge(&[&format!("{bearer}, Basic realm=\"x\"")]), Some(expected));
        assert_eq!(challenge(&[r#"basic realm="x""#]), Some(Challenge::Basic));
        assert_eq!(challenge(&["Digest realm=\"x\""]), None);
        assert_eq!(challenge(&[]), None);
    }

    #[test]
    fn a_token_has_two_names() {
        assert_eq!(token(br#"{"token":"a"}"#).unwrap(), "Bearer a");
        assert_eq!(
            token(br#"{"token":"","access_token":"b","expires_in":3}"#).unwrap(),
            "Bearer b"
        );
        assert_eq!(token(b"{}"), None);
    }
}

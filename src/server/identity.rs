//! Who asks.
//!
//! Owns: recognising a caller by the way they came, by a token or by a certificate. Must not know:
//! what they ask for. <https://kubernetes.io/docs/reference/access-authn-authz/authentication/>

use http::{HeaderMap, header};
use subtle::ConstantTimeEq;

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Full,
    ReadOnly,
}

/// Whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub name: &'static str,
    pub access: Access,
}

impl Caller {
    /// Whoever may open the unix socket, or has the client certificate, or the token.
    pub fn admin() -> Self {
        Self { name: "kiln:admin", access: Access::Full }
    }

    /// Whoever has the token for reading.
    pub fn reader() -> Self {
        Self { name: "kiln:reader", access: Access::ReadOnly }
    }

    pub(super) fn groups(&self) -> &'static [&'static str] {
        match self.access {
            Access::Full => &["system:masters", "system:authenticated"],
            Access::ReadOnly => &["system:authenticated"],
        }
    }
}

/// The tokens that are good.
#[derive(Clone)]
pub struct Tokens {
    pub full: String,
    pub read_only: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    /// Whoever sent these headers, if they have a good token. How long it takes says nothing about it.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        let value = headers.get(header::AUTHORIZATION)?.as_bytes();
        let (scheme, token) = value.split_at_checked("Bearer ".len())?;
        if !scheme.eq_ignore_ascii_case(b"Bearer ") {
            return None;
        }
        let is = |good: &str| !good.is_empty() && bool::from(token.ct_eq(good.as_bytes()));
        let (full, read_only) = (is(&self.full), is(&self.read_only));
        if full { Some(Caller::admin()) } else { read_only.then(Caller::reader) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_known_by_the_whole_token() {
        let tokens = Tokens { full: "abc".into(), read_only: "xyz".into() };
        let caller = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            tokens.caller(&headers).map(|caller| caller.access)
        };
        assert_eq!(caller("Bearer abc"), Some(Access::Full));
        assert_eq!(caller("bearer xyz"), Some(Access::ReadOnly));
        for wrong in ["Bearer ab", "Bearer abcd", "Bearer ", "Basic abc", "abc", "Bearer"] {
            assert_eq!(caller(wrong), None, "{wrong}");
        }
        let none = Tokens { full: String::new(), read_only: String::new() };
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "Bearer ".parse().unwrap());
        assert_eq!(none.caller(&headers), None);
    }
}

//! Digests: names that bytes give themselves.
//!
//! Owns: their syntax, and making them. Pure.

use sha2::{Digest, Sha256, Sha512};

/// Whether this is a digest that a content store knows.
pub(super) fn is_valid(digest: &str) -> bool {
    let Some((algorithm, value)) = digest.split_once(':') else { return false };
    let length = match algorithm {
        "sha256" => 64,
        "sha512" => 128,
        _ => return false,
    };
    value.len() == length && value.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Whether these bytes have that digest.
pub(super) fn matches(digest: &str, bytes: &[u8]) -> bool {
    match digest.split_once(':') {
        Some(("sha256", _)) => digest == sha256(bytes),
        Some(("sha512", value)) => value == hex::encode(Sha512::digest(bytes)),
        Some(_) | None => false,
    }
}

/// The names of the snapshots of an image, from its lowest layer up.
/// <https://github.com/opencontainers/image-spec/blob/main/config.md#layer-chainid>
pub(super) fn chain(diff_ids: &[String]) -> Vec<String> {
    let mut chain: Vec<String> = Vec::with_capacity(diff_ids.len());
    for diff in diff_ids {
        let next = match chain.last() {
            Some(below) => sha256(format!("{below} {diff}").as_bytes()),
            None => diff.clone(),
        };
        chain.push(next);
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_an_algorithm_and_lower_case_hex_of_its_length() {
        let empty = sha256(b"");
        assert_eq!(
            empty,
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert!(is_valid(&empty) && matches(&empty, b"") && !matches(&empty, b"x"));
        for wrong in ["", "latest", "sha256:12", "md5:0", &empty.to_uppercase()] {
            assert!(!is_valid(wrong) && !matches(wrong, b""), "{wrong}");
        }
    }

    #[test]
    fn a_chain_begins_with_its_first_layer() {
        let diffs = [sha256(b"a"), sha256(b"b")];
        let second = sha256(format!("{} {}", diffs[0], diffs[1]).as_bytes());
        assert_eq!(chain(&diffs), [diffs[0].clone(), second]);
        assert!(chain(&[]).is_empty());
    }
}

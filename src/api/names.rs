//! Names and uids that nobody chose.
//!
//! Owns: how they are spelled. Must not know: where the bytes come from, chance or a digest.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#generated-values>

/// Letters that form no words.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// How many of them a generated name ends with.
pub const SUFFIX_LENGTH: usize = 5;
/// A generated name is also a hostname, a DNS label.
const NAME_LENGTH_MAX: usize = 63;
/// How much of what a generated name begins with is kept.
pub const GENERATED_BASE_MAX: usize = NAME_LENGTH_MAX - SUFFIX_LENGTH;

/// As much of `base` as fits, and a letter for each byte.
pub fn generated(base: &str, bytes: [u8; SUFFIX_LENGTH]) -> String {
    let mut end = base.len().min(GENERATED_BASE_MAX);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    let letter = |byte: u8| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]);
    base[..end].chars().chain(bytes.map(letter)).collect()
}

/// Sixteen bytes in the form of a random UUID.
pub fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex::encode(bytes);
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_name_is_cut_to_a_dns_label() {
        assert_eq!(generated("pi-", [0, 1, 26, 27, 255]), "pi-bc9bq");
        assert_eq!(generated(&"a".repeat(80), [0; 5]), "a".repeat(58) + "bbbbb");
        assert_eq!(generated(&"\u{e9}".repeat(40), [0; 5]).chars().count(), 34);
    }

    #[test]
    fn a_uid_says_that_it_is_random() {
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
    }
}

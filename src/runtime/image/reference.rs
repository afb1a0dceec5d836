//! What an image is called.
//!
//! Owns: reading a reference as containerd does, and saying what is wrong with one that is none.
//! Must not know: registries, hosts, containerd.

use oci_client::{ParseError, Reference};

/// Reads a reference and fills in what it leaves out: `luksa/batch-job` is
/// `docker.io/luksa/batch-job:latest`.
///
/// # Errors
/// What is wrong with it, for people.
pub(super) fn parse(image: &str) -> Result<Reference, String> {
    let reference = image.parse::<Reference>().map_err(|error| fault(image, &error))?;
    // The grammar lets capitals through here, and no content store knows such a digest.
    match reference.digest() {
        Some(digest) if digest.contains(|c: char| c.is_ascii_uppercase()) => {
            Err(invalid(image, "a digest has no capital letters"))
        }
        Some(_) | None => Ok(reference),
    }
}

/// `<repository>@<digest>`, whatever tag the reference has.
pub(super) fn pinned(reference: &Reference, digest: &str) -> String {
    format!("{}/{}@{digest}", reference.registry(), reference.repository())
}

fn invalid(image: &str, why: &str) -> String {
    format!("invalid image name `{image}`: {why}")
}

fn fault(image: &str, error: &ParseError) -> String {
    if image.is_empty() {
        return invalid(image, "it is empty");
    }
    if image.contains(char::is_whitespace) {
        return invalid(image, "it has a space in it");
    }
    if let Some((scheme, rest)) = image.split_once("://") {
        return invalid(image, &format!("a reference has no `{scheme}://`: write `{rest}`"));
    }
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    if let Some(digest) = digest
        && let Some(why) = digest_fault(digest)
    {
        return invalid(image, &why);
    }
    let (path, tag) = match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        Some(_) | None => (name, None),
    };
    if let Some(tag) = tag
        && !is_tag(tag)
    {
        let why = "a tag is up to 128 letters, digits, `_`, `.` and `-`, and begins with none of the \
                   last two";
        return invalid(image, &format!("`{tag}` is no tag: {why}"));
    }
    if path.contains(|c: char| c.is_ascii_uppercase()) {
        return invalid(image, "a repository has no capital letters");
    }
    if path.split('/').any(str::is_empty) {
        return invalid(image, "a part of its path is empty");
    }
    invalid(image, &error.to_string())
}

fn digest_fault(digest: &str) -> Option<String> {
    let Some((algorithm, value)) = digest.split_once(':') else {
        return Some(format!("`{digest}` is no digest: one looks like `sha256:<64 hex digits>`"));
    };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Some(format!("no such digest algorithm: `{algorithm}`")),
    };
    let hex = value.len() == length && value.bytes().all(|b| b.is_ascii_hexdigit());
    (!hex).then(|| format!("the digest is not {length} hex digits long"))
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let mut bytes = tag.bytes();
    tag.len() <= 128
        && bytes.next().is_some_and(word)
        && bytes.all(|b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn what_a_reference_leaves_out_is_filled_in() {
        for (image, whole) in [
            ("busybox", "docker.io/library/busybox:latest".to_owned()),
            ("luksa/batch-job", "docker.io/luksa/batch-job:latest".to_owned()),
            ("index.docker.io/busybox:1", "docker.io/library/busybox:1".to_owned()),
            ("localhost/x", "localhost/x:latest".to_owned()),
            ("localhost:5000/x", "localhost:5000/x:latest".to_owned()),
            ("quay.io/a/b/c:v1", "quay.io/a/b/c:v1".to_owned()),
            (&format!("a@sha256:{HEX}"), format!("docker.io/library/a@sha256:{HEX}")),
            (&format!("a:1@sha256:{HEX}"), format!("docker.io/library/a:1@sha256:{HEX}")),
        ] {
            assert_eq!(parse(image).unwrap().whole(), whole, "{image}");
        }
    }

    #[test]
    fn what_is_no_reference_is_told_why() {
        for (image, why) in [
            ("", "it is empty"),
            ("busy box", "a space"),
            ("https://quay.io/x", "write `quay.io/x`"),
            ("Busybox", "no capital letters"),
            ("busybox:", "is no tag"),
            ("busybox:.x", "is no tag"),
            ("quay.io//x", "empty"),
            ("busybox@sha256:12", "64 hex digits"),
            ("busybox@12", "looks like `sha256:"),
            ("busybox@md5:12", "no such digest algorithm: `md5`"),
            (
                "busybox@sha256:ABCDEF6789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "capital",
            ),
            ("-x", "invalid reference format"),
        ] {
            let error = parse(image).unwrap_err();
            assert!(error.contains(why) && error.contains(image), "{image}: {error}");
        }
    }
}

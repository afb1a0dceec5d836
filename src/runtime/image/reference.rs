//! What an image is called.
//!
//! Owns: reading a reference as containerd does, and saying what is wrong with one that is none.
//! Must not know: registries, hosts, containerd.

use oci_client::Reference;

/// Where images are whose name tells no registry.
const HUB: &str = "docker.io";
/// What Docker Hub was called before.
const HUB_LEGACY: &str = "index.docker.io";
/// Where Docker Hub has the images whose name is a word.
const HUB_OFFICIAL: &str = "library";
const TAG: &str = "latest";
/// No registry takes a longer name.
const NAME_LENGTH_MAX: usize = 255;

/// Reads a reference and fills in what it leaves out: `luksa/batch-job` is
/// `docker.io/luksa/batch-job:latest`. By hand, since the library's regular expression takes longer to be
/// made than a container takes to start.
/// <https://github.com/distribution/reference/blob/main/reference.go>
///
/// # Errors
/// What is wrong with it, for people.
pub(super) fn parse(image: &str) -> Result<Reference, String> {
    read(image).map_err(|why| invalid(image, &why))
}

fn read(image: &str) -> Result<Reference, String> {
    if image.is_empty() {
        return Err("it is empty".to_owned());
    }
    if image.contains(char::is_whitespace) {
        return Err("it has a space in it".to_owned());
    }
    if let Some((scheme, rest)) = image.split_once("://") {
        return Err(format!("a reference has no `{scheme}://`: write `{rest}`"));
    }
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    if let Some(why) = digest.and_then(digest_fault) {
        return Err(why);
    }
    let (name, tag) = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        Some(_) | None => (name, None),
    };
    if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
        return Err(format!(
            "`{tag}` is no tag: a tag is up to 128 letters, digits, `_`, `.` and `-`, and begins with \
             none of the last two"
        ));
    }
    let (registry, repository) = located(name)?;
    let tag = || tag.unwrap_or(TAG).to_owned();
    Ok(match digest {
        None => Reference::with_tag(registry, repository, tag()),
        Some(digest) if name.len() + digest.len() + 1 == image.len() => {
            Reference::with_digest(registry, repository, digest.to_owned())
        }
        Some(digest) => {
            Reference::with_tag_and_digest(registry, repository, tag(), digest.to_owned())
        }
    })
}

/// The registry and the repository of a name.
fn located(name: &str) -> Result<(String, String), String> {
    let is_registry = |part: &str| part == "localhost" || part.contains(['.', ':']);
    let (registry, path) = match name.split_once('/') {
        Some((registry, path)) if is_registry(registry) => (registry, path),
        Some(_) | None => (HUB, name),
    };
    if !is_host(registry) {
        return Err(format!("`{registry}` is no registry"));
    }
    if path.contains(|c: char| c.is_ascii_uppercase()) {
        return Err("a repository has no capital letters".to_owned());
    }
    if path.split('/').any(str::is_empty) {
        return Err("a part of its path is empty".to_owned());
    }
    if let Some(part) = path.split('/').find(|part| !is_path_part(part)) {
        return Err(format!(
            "`{part}` is no part of a path: it has letters and digits, with one `.`, one or two `_` or \
             any number of `-` between them"
        ));
    }
    let registry = if registry == HUB_LEGACY { HUB } else { registry };
    let official = registry == HUB && !path.contains('/');
    let repository = if official { format!("{HUB_OFFICIAL}/{path}") } else { path.to_owned() };
    if registry.len() + repository.len() >= NAME_LENGTH_MAX {
        return Err(format!("it is longer than {NAME_LENGTH_MAX} characters"));
    }
    Ok((registry.to_owned(), repository))
}

/// Names between dots, perhaps with a port.
fn is_host(host: &str) -> bool {
    let (host, port) = host.split_once(':').map_or((host, "0"), |(host, port)| (host, port));
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with('-')
            && !name.ends_with('-')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && host.split('.').all(is_name)
}

/// Letters and digits, with separators between them.
fn is_path_part(part: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let separators = part.split(|c: char| u8::try_from(c).is_ok_and(word));
    let allowed = |separator: &str| {
        matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
    };
    part.bytes().next().is_some_and(word)
        && part.bytes().next_back().is_some_and(word)
        && separators.into_iter().all(allowed)
}

/// `<repository>@<digest>`, whatever tag the reference has.
pub(super) fn pinned(reference: &Reference, digest: &str) -> String {
    format!("{}/{}@{digest}", reference.registry(), reference.repository())
}

fn invalid(image: &str, why: &str) -> String {
    format!("invalid image name `{image}`: {why}")
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
    // No content store knows a digest with capitals.
    if hex && value.bytes().any(|b| b.is_ascii_uppercase()) {
        return Some("a digest has no capital letters".to_owned());
    }
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The library reads the same names, and reads them alike; of capitals, and of `_` in a
        /// registry, it is less strict.
        #[test]
        fn the_grammar_is_that_of_the_library(
            image in "([a-z0-9.-]{1,6}(:[0-9]{1,2})?/)?[a-z0-9._/-]{1,12}(:[a-zA-Z0-9_.-]{1,4})?"
        ) {
            let first = image.split_once('/').map_or("", |(first, _)| first);
            prop_assume!(!first.contains('_'));
            let (ours, theirs) = (parse(&image), image.parse::<Reference>());
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{} {:?} {:?}", image, ours, theirs);
            if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
                prop_assert_eq!(ours, theirs);
            }
        }
    }

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
            ("-x", "`-x` is no part of a path"),
            ("a..b", "is no part"),
            ("quay..io/x", "is no registry"),
            ("quay.io:x/y", "is no registry"),
        ] {
            let error = parse(image).unwrap_err();
            assert!(error.contains(why) && error.contains(image), "{image}: {error}");
        }
    }
}

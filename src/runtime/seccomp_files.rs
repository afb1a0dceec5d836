//! The seccomp profiles of the host that pods name.
//!
//! Owns: reading one. Must not know: who is under it.
//! <https://kubernetes.io/docs/tutorials/security/seccomp/>

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use oci_spec::runtime::LinuxSeccomp;

use super::spec::Refusal;

/// A profile has no more bytes.
const BYTES_MAX: u64 = 1024 * 1024;

/// Reads the profile of this name below the directory of profiles. The name has no way out of it.
///
/// # Errors
/// When it is not there, or is no profile.
pub(super) fn read(dir: &Path, name: &str) -> Result<LinuxSeccomp, Refusal> {
    let path = dir.join(name);
    let refused = |why: &dyn std::fmt::Display| {
        Refusal::create(format!("cannot load seccomp profile {:?}: {why}", path.display()))
    };
    let text = text(&path).map_err(|error| refused(&error))?;
    serde_json::from_str(&text).map_err(|error| refused(&error))
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::LinuxSeccompAction;

    use super::*;

    #[test]
    fn a_profile_is_read_and_what_is_none_is_told_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("log.json", r#"{"defaultAction": "SCMP_ACT_LOG"}"#);
        write("no.json", "{");
        let profile = read(dir.path(), "log.json").unwrap();
        assert_eq!(profile.default_action(), LinuxSeccompAction::ScmpActLog);
        for name in ["no.json", "gone.json"] {
            let message = read(dir.path(), name).unwrap_err().message;
            assert!(message.starts_with("cannot load seccomp profile \"/"), "{message}");
            assert!(message.contains(name), "{message}");
        }
    }
}

//! What a container leaves to be read after its end.
//!
//! Owns: reading the termination message, and what stands in for one. Must not know: how the file got into
//! the container. <https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/>

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use k8s_openapi::api::core::v1::Container;

use super::logs;

/// So much of the file's end is read.
const FILE_BYTES_MAX: u64 = 4096;
/// So much of the log's end stands in for it.
const LOG_BYTES_MAX: usize = 2048;
const LOG_LINES_MAX: usize = 80;

/// Whether the log speaks for a container that fails without a word.
pub(super) fn falls_back_to_log(container: &Container) -> bool {
    container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError")
}

/// The end of the file, or, if it is empty and `log` is given, the end of the log.
pub(super) fn read(file: &Path, log: Option<&Path>) -> Option<String> {
    let said = match end_of(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            let missing = error.kind() == io::ErrorKind::NotFound;
            if !missing {
                tracing::warn!(file = %file.display(), %error, "cannot read a termination message");
            }
            Vec::new()
        }
    };
    let said = match log {
        Some(log) if said.is_empty() => end_of_log(log),
        Some(_) | None => said,
    };
    (!said.is_empty()).then(|| String::from_utf8_lossy(&said).into_owned())
}

fn end_of(file: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(file)?;
    let size = file.metadata()?.len();
    let mut said = Vec::new();
    if size > 0 {
        file.seek(SeekFrom::Start(size.saturating_sub(FILE_BYTES_MAX)))?;
        file.take(FILE_BYTES_MAX).read_to_end(&mut said)?;
    }
    Ok(said)
}

fn end_of_log(log: &Path) -> Vec<u8> {
    let lines = logs::tail(log, LOG_LINES_MAX).unwrap_or_else(|error| {
        tracing::warn!(log = %log.display(), %error, "cannot read a log");
        Vec::new()
    });
    let mut said = Vec::new();
    for line in lines {
        said.extend_from_slice(&line.text);
        said.push(b'\n');
    }
    said.split_off(said.len().saturating_sub(LOG_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn of_a_long_message_the_end_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("message");
        fs::write(&file, format!("{}end", "x".repeat(5000))).unwrap();
        let said = read(&file, None).unwrap();
        assert_eq!((said.len(), said.ends_with("xend")), (4096, true));
        fs::write(&file, "").unwrap();
        assert_eq!(read(&file, None), None);
    }

    #[test]
    fn the_log_speaks_only_for_what_says_nothing_itself() {
        let dir = tempfile::tempdir().unwrap();
        let (file, log) = (dir.path().join("message"), dir.path().join("0.log"));
        let line = |n| format!("2026-01-02T03:04:05.123456789Z stderr F line {n:030}\n");
        fs::write(&log, (0..100).map(line).collect::<String>()).unwrap();
        fs::write(&file, "own").unwrap();
        assert_eq!(read(&file, Some(&log)).as_deref(), Some("own"));
        fs::write(&file, "").unwrap();
        let said = read(&file, Some(&log)).unwrap();
        assert_eq!((said.len(), said.ends_with("0099\n")), (2048, true));
        let short = |n| format!("2026-01-02T03:04:05.123456789Z stdout F {n}\n");
        fs::write(&log, (0..100).map(short).collect::<String>()).unwrap();
        assert!(read(&file, Some(&log)).unwrap().starts_with("20\n21\n"));
    }
}

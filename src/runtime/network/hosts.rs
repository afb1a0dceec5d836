//! The pods of a subdomain know one another.
//!
//! Owns: writing who is there into the hosts file of each, also of those that run. Must not know: what else is
//! in the file.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use super::record::Record;
use super::{Error, Networks, blocking};
use crate::runtime::spec;

impl Networks {
    /// Tells the pods of its subdomain that a pod is there, or is gone.
    pub(super) async fn introduce(self: &Arc<Self>, record: &Record) -> Result<(), Error> {
        let Some(subdomain) = record.subdomain() else { return Ok(()) };
        let (networks, subdomain) = (Arc::clone(self), subdomain.to_owned());
        blocking("write the hosts files", move || networks.write_hosts(&subdomain)).await
    }

    fn write_hosts(&self, subdomain: &str) -> io::Result<()> {
        let _turn = self.introducing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = |record: &Record| record.ready && record.subdomain() == Some(subdomain);
        let known = self.known().clone();
        let there: Vec<_> = known.iter().filter(|(_, record)| is_there(record)).collect();
        let mut lines: Vec<String> = there.iter().flat_map(|(_, record)| lines(record)).collect();
        lines.sort();
        let mut failed = None;
        for (uid, _) in there {
            match rewrite(&self.layout.etc(uid, "hosts"), &lines) {
                // It has just gone.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => drop(failed.get_or_insert(error)),
                Ok(()) => {}
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// `<address> <names>`, for each address.
fn lines(record: &Record) -> impl Iterator<Item = String> {
    let names = record.names.iter().flatten().map(String::as_str).collect::<Vec<_>>().join("\t");
    record.ips.iter().map(move |ip| format!("{ip}\t{names}"))
}

/// Changes the file in place, as it is mounted in containers. Whoever reads it meanwhile sees the old text or
/// the new one, with empty lines at its end perhaps.
fn rewrite(path: &Path, lines: &[String]) -> io::Result<()> {
    let old = fs::read_to_string(path)?;
    let new = spec::with_peers(&old, lines);
    if new == old {
        return Ok(());
    }
    let mut bytes = new.clone().into_bytes();
    bytes.resize(new.len().max(old.len()), b'\n');
    let file = File::options().write(true).open(path)?;
    file.write_all_at(&bytes, 0)?;
    file.set_len(u64::try_from(new.len()).map_err(io::Error::other)?)
}

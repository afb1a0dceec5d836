//! The namespaces that the containers of a pod share.
//!
//! Owns: making network, IPC and UTS namespaces that live without a process, and taking them away.
//! Must not know: pods, containers, what a network is made of.
//!
//! A namespace is kept alive by a bind mount of its file. That costs a millisecond; a process that does
//! nothing would cost a whole container.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::mount::{UnmountFlags, mount_bind, unmount};
use rustix::system::sethostname;
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::netlink;

/// The magic number of the file system that a namespace's file is on.
const NSFS_MAGIC: u64 = 0x6e73_6673;

/// What a pod's namespaces are to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// A network of its own, with a loopback interface that is up.
    pub(super) network: bool,
    /// A host name of its own.
    pub(super) hostname: Option<String>,
}

/// One kind of namespace: its file's name here, and in `/proc/<pid>/ns`.
const NETWORK: &str = "net";
const IPC: &str = "ipc";
const UTS: &str = "uts";

/// Where the file of each namespace is, below the pod's directory of namespaces.
pub(super) fn network(dir: &Path) -> PathBuf {
    dir.join(NETWORK)
}

pub(super) fn ipc(dir: &Path) -> PathBuf {
    dir.join(IPC)
}

pub(super) fn uts(dir: &Path) -> PathBuf {
    dir.join(UTS)
}

/// Makes the namespaces, unless they are there. Blocks for a millisecond.
///
/// # Errors
/// What the kernel refused; nothing is left then that [`unpin`] does not take away.
pub(super) fn pin(dir: &Path, wanted: &Wanted) -> io::Result<()> {
    if is_pinned(&ipc(dir)) {
        return Ok(());
    }
    unpin(dir)?;
    fs::create_dir_all(dir)?;
    let (dir, wanted) = (dir.to_owned(), wanted.clone());
    // A thread of its own: it leaves the namespaces of the process, and must not be used again.
    let thread = thread::Builder::new().name("namespaces".to_owned());
    let made = thread.spawn(move || make(&dir, &wanted))?.join();
    made.unwrap_or_else(|_| Err(io::Error::other("the thread that makes namespaces broke")))
}

/// Takes the namespaces away; what still runs in them keeps them alive.
pub(super) fn unpin(dir: &Path) -> io::Result<()> {
    for kind in [IPC, UTS, NETWORK] {
        let file = dir.join(kind);
        while is_pinned(&file) {
            unmount(&file, UnmountFlags::DETACH)?;
        }
    }
    Ok(())
}

/// Whether a namespace stands at this path. A file alone is what a reboot has left of one.
pub(super) fn is_pinned(file: &Path) -> bool {
    rustix::fs::statfs(file).is_ok_and(|fs| u64::try_from(fs.f_type).is_ok_and(|t| t == NSFS_MAGIC))
}

fn make(dir: &Path, wanted: &Wanted) -> io::Result<()> {
    let mut flags = UnshareFlags::NEWIPC;
    flags.set(UnshareFlags::NEWNET, wanted.network);
    flags.set(UnshareFlags::NEWUTS, wanted.hostname.is_some());
    #[expect(
        unsafe_code,
        reason = "rustix warns of descriptor tables only, which are not unshared"
    )]
    // SAFETY: `FILES` is not among the flags.
    unsafe {
        unshare_unsafe(flags)?;
    }
    if wanted.network {
        netlink::raise_loopback()?;
        pin_own(dir, NETWORK)?;
    }
    if let Some(hostname) = &wanted.hostname {
        sethostname(hostname.as_bytes())?;
        pin_own(dir, UTS)?;
    }
    // Last: that it stands says that all stand.
    pin_own(dir, IPC)
}

fn pin_own(dir: &Path, kind: &str) -> io::Result<()> {
    let file = dir.join(kind);
    File::create(&file)?;
    let own = format!("/proc/thread-self/ns/{kind}");
    mount_bind(own.as_str(), &file).map_err(io::Error::from)
}

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
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, send, socket};
use rustix::system::sethostname;
use rustix::thread::{UnshareFlags, unshare_unsafe};

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
        raise_loopback()?;
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

/// Sets the loopback interface up in the network namespace of this thread, by rtnetlink.
/// <https://man7.org/linux/man-pages/man7/rtnetlink.7.html>
fn raise_loopback() -> io::Result<()> {
    const RTM_NEWLINK: u16 = 16;
    const REQUEST_AND_ACK: u16 = 1 | 4;
    const LOOPBACK_INDEX: i32 = 1;
    const IFF_UP: u32 = 1;
    const LENGTH: usize = 32;

    // nlmsghdr{length, type, flags, sequence, port}, ifinfomsg{family, pad, type, index, flags, change}.
    let mut message = Vec::with_capacity(LENGTH);
    message.extend(u32::try_from(LENGTH).expect("it is 32").to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(REQUEST_AND_ACK.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([0; 4]);
    message.extend(LOOPBACK_INDEX.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());

    // NETLINK_ROUTE is protocol 0, which is that of no choice.
    let socket = socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    send(&socket, &message, SendFlags::empty())?;
    let mut answer = [0; 64];
    let (length, _) = recv(&socket, &mut answer[..], RecvFlags::empty())?;
    // The header of an NLMSG_ERROR is followed by 0, or by a negated errno.
    let code = answer[..length].get(16..20).and_then(|bytes| bytes.try_into().ok());
    match code.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(errno) => Err(io::Error::from_raw_os_error(errno.saturating_neg())),
        None => Err(io::Error::other("the kernel's answer to rtnetlink is cut short")),
    }
}

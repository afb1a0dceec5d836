//! The few things that are asked of the kernel's network devices.
//!
//! Owns: raising a device and deleting one. Must not know: what a device is for.
//! <https://man7.org/linux/man-pages/man7/rtnetlink.7.html>

use std::fs;
use std::io;
use std::path::Path;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, send, socket};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const REQUEST_AND_ACK: u16 = 1 | 4;
const IFF_UP: u32 = 1;
/// In every network namespace.
const LOOPBACK_INDEX: i32 = 1;

/// Sets the loopback interface up in the network namespace of this thread.
pub(super) fn raise_loopback() -> io::Result<()> {
    ask(RTM_NEWLINK, LOOPBACK_INDEX, IFF_UP)
}

/// Deletes a device of the host; one that is gone is success.
pub(super) fn delete_link(name: &str) -> io::Result<()> {
    let file = Path::new("/sys/class/net").join(name).join("ifindex");
    let index = match fs::read_to_string(file) {
        Ok(text) => text.trim().parse().map_err(io::Error::other)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    match ask(RTM_DELLINK, index, 0) {
        Err(error) if error.raw_os_error() == Some(NO_DEVICE) => Ok(()),
        answer => answer,
    }
}

const NO_DEVICE: i32 = rustix::io::Errno::NODEV.raw_os_error();

/// One message about one device, with these flags set.
fn ask(kind: u16, index: i32, flags: u32) -> io::Result<()> {
    const LENGTH: usize = 32;
    // nlmsghdr{length, type, flags, sequence, port}, ifinfomsg{family, pad, type, index, flags, change}.
    let mut message = Vec::with_capacity(LENGTH);
    message.extend(u32::try_from(LENGTH).expect("it is 32").to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(REQUEST_AND_ACK.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([0; 4]);
    message.extend(index.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(flags.to_ne_bytes());

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_gone_is_deleted() {
        delete_link("kiln-none").unwrap();
    }
}

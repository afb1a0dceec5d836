//! What systemd is told.
//!
//! Owns: the datagrams. Must not know: what they are about.
//! <https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>

use std::env;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tracing::warn;

/// Requests are answered from now on.
pub(super) fn ready() {
    tell("READY=1");
}

/// They are not any more.
pub(super) fn stopping() {
    tell("STOPPING=1");
}

/// Where nobody wants to know, nobody is told.
fn tell(state: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return };
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let told = address.and_then(|address| {
        UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
    });
    if let Err(error) = told {
        warn!(%error, state, "cannot tell systemd");
    }
}

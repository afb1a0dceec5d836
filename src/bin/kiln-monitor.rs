//! The monitor alone: what `kiln monitor` does, in a tenth of the memory.
//!
//! Owns: nothing. It is started beside every container where it stands beside `kiln`; kiln itself does the
//! same where it does not.

use std::process::ExitCode;

use kiln::monitor;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == monitor::ARGUMENT) {
        return monitor::main(args);
    }
    eprintln!("error: this is started by containerd's shim, beside a container");
    ExitCode::from(2)
}

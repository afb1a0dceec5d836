//! The `kiln` binary.

use std::process::ExitCode;

use kiln::{cli, monitor};

fn main() -> ExitCode {
    // Before anything else: a monitor must cost next to nothing.
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == monitor::ARGUMENT) {
        return monitor::main(args);
    }
    cli::main()
}

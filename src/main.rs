//! The `kiln` binary.

use std::process::ExitCode;

use kiln::monitor;

fn main() -> ExitCode {
    // Before anything else: a monitor must cost next to nothing.
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == monitor::ARGUMENT) {
        return monitor::main(args);
    }
    eprintln!("error: this build of kiln runs no Jobs yet: see `Where it stands` in README.md");
    ExitCode::from(2)
}

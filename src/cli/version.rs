//! `kiln version`: of the program, and of the server.
//!
//! Owns: how both are told. Must not know: what they mean.

use super::Exit;
use super::remote::{Error, Remote};

/// Show the versions of kiln and of the server
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Ask no server
    #[arg(long)]
    client: bool,
}

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    remote.print(format!("Client Version: {}\n", env!("CARGO_PKG_VERSION")));
    if !args.client {
        let version = remote.get("/version").await?;
        let version = version["gitVersion"].as_str().unwrap_or("unknown");
        remote.print(format!("Server Version: {version}\n"));
    }
    Ok(Exit::Done)
}

//! `dsfuzz serve`: lists and opens runs in a web page.
use super::Output;
use crate::error::{Exit, Failure};
use clap::Args;
use std::net::IpAddr;

/// Arguments of `serve`.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Address to listen on; any other than a loopback address shows the results to the network
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    pub address: IpAddr,
}

pub(super) fn main(args: &ServeArgs, out: &mut Output) -> Result<Exit, Failure> {
    if !args.address.is_loopback() {
        out.note(format!("{} is no loopback address: every host that reaches it can read the results", args.address));
    }
    let runtime = super::cluster_source::runtime()?;
    runtime.block_on(async {
        let server = crate::serve::Server::bind(&out.results, (args.address, args.port).into()).await?;
        out.line(format!("http://{}/", server.address()?));
        tokio::select! {
            served = server.run() => served?,
            stopped = tokio::signal::ctrl_c() => stopped.map_err(|error| anyhow::anyhow!("signals cannot be heard: {error}"))?,
        }
        Ok(Exit::Valid)
    })
}

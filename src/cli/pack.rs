//! `dsfuzz pack`: the archive of a run, for an issue report.
use super::Output;
use crate::error::{Exit, Failure};
use crate::pack::{self, PackOptions};
use crate::run::read_back;
use crate::store::RunInfo;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `pack`.
#[derive(Clone, Debug, Args)]
pub struct PackArgs {
    /// The run: `latest`, PLAN, PLAN/TIME or its folder
    #[arg(value_name = "RUN", default_value = "latest")]
    pub run: String,
    /// The archive [default: PLAN-TIME.tar.gz in the working folder]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Most KiB of each log; the middle of a longer one is left out
    #[arg(long, default_value_t = 1024, value_name = "KIB", value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub log_kib: u64,
    /// Replace names and addresses of hosts and users by node-1, address-1, ..
    #[arg(long)]
    pub hide_hosts: bool,
}

pub(super) fn main(args: &PackArgs, out: &mut Output) -> Result<Exit, Failure> {
    let dir = super::runs::named(out, &args.run)?;
    let info = RunInfo::load(&dir).map_err(|error| {
        Failure::harness(format!("{}: {error}: a run without it cannot be packed", dir.info().display()))
    })?;
    // The journal of a run that was killed.
    if dir.has_history() && !dir.history().is_file() {
        read_back(&dir)?;
    }
    let time = dir.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let to = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}-{time}.tar.gz", info.plan)));
    if to.exists() {
        return Err(Failure::Usage(format!("{} is there already: name another file with --output", to.display())));
    }
    let packed = pack::pack(&dir, &to, PackOptions { log_bytes: args.log_kib << 10, hide_hosts: args.hide_hosts })?;
    if out.json {
        out.document(&packed)?;
        return Ok(Exit::Valid);
    }
    packed.left_out.iter().for_each(|what| out.note(format!("left out: {what}")));
    if packed.redacted > 0 {
        out.note(format!("secrets were taken out at {} places", packed.redacted));
    }
    let hosts = if args.hide_hosts { "" } else { "; names of hosts are in it (--hide-hosts)" };
    out.note(format!("{} files, {} kB{hosts}", packed.files.len(), packed.bytes.div_ceil(1000)));
    out.line(packed.path.display().to_string());
    Ok(Exit::Valid)
}

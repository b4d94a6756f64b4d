//! `dsfuzz schema`: the JSON schema of a plan, for editors and for checks in CI.
use super::Output;
use crate::error::{Exit, Failure};
use crate::plan::reference;
use clap::Args;

/// Arguments of `schema`.
#[derive(Clone, Debug, Args)]
pub struct SchemaArgs {
    /// Print the tables of `docs/plan.md` instead
    #[arg(long)]
    pub markdown: bool,
}

pub(super) fn main(args: &SchemaArgs, out: &mut Output) -> Result<Exit, Failure> {
    if args.markdown {
        out.bytes(reference::markdown().as_bytes());
    } else {
        out.document(&reference::schema())?;
    }
    Ok(Exit::Valid)
}

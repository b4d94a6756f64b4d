//! `dsfuzz schema`: the JSON schemas of a plan and of the lines of the client protocol, for editors and for checks in CI.
use super::Output;
use crate::error::{Exit, Failure};
use crate::plan::reference;
use clap::{Args, ValueEnum};
use dsfuzz_client::lines::{AnswerLine, RequestLine};

/// What a schema describes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// A plan
    #[default]
    Plan,
    /// The lines between dsfuzz and a client: `requests` and `answers`
    Client,
}

/// Arguments of `schema`.
#[derive(Clone, Debug, Args)]
pub struct SchemaArgs {
    /// What to describe
    #[arg(value_enum, default_value_t)]
    pub of: SchemaOf,

    /// Print the tables of `docs/plan.md` instead
    #[arg(long)]
    pub markdown: bool,
}

pub(super) fn main(args: &SchemaArgs, out: &mut Output) -> Result<Exit, Failure> {
    if args.markdown {
        out.bytes(reference::markdown().as_bytes());
        return Ok(Exit::Valid);
    }
    match args.of {
        SchemaOf::Plan => out.document(&reference::schema())?,
        SchemaOf::Client => out.document(&serde_json::json!({
            "requests": schemars::schema_for!(RequestLine),
            "answers": schemars::schema_for!(AnswerLine),
        }))?,
    }
    Ok(Exit::Valid)
}

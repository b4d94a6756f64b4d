//! `dsfuzz schema`: the JSON schemas of a plan, of the options of the targets and of the lines of the client protocol, for
//! editors and for checks in CI.
use super::Output;
use crate::error::{Exit, Failure};
use crate::plan::{names, reference};
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
    /// The options of the built-in targets, by target
    Targets,
}

/// Arguments of `schema`.
#[derive(Clone, Debug, Args)]
pub struct SchemaArgs {
    /// What to describe
    #[arg(value_enum, default_value_t)]
    pub of: SchemaOf,

    /// Print the tables of `docs/plan.md` or `docs/targets.md` instead
    #[arg(long)]
    pub markdown: bool,
}

pub(super) fn main(args: &SchemaArgs, out: &mut Output) -> Result<Exit, Failure> {
    if args.markdown {
        let tables = match args.of {
            SchemaOf::Plan => reference::markdown(),
            SchemaOf::Targets => names::targets_markdown(),
            SchemaOf::Client => return Err(Failure::Usage("the lines of a client have no tables".to_owned())),
        };
        out.bytes(tables.as_bytes());
        return Ok(Exit::Valid);
    }
    match args.of {
        SchemaOf::Targets => out.document(&names::targets_schema())?,
        SchemaOf::Plan => out.document(&reference::schema())?,
        SchemaOf::Client => out.document(&serde_json::json!({
            "requests": schemars::schema_for!(RequestLine),
            "answers": schemars::schema_for!(AnswerLine),
        }))?,
    }
    Ok(Exit::Valid)
}

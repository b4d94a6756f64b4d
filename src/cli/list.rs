//! `dsfuzz list`: targets, workloads, faults, checkers, fallacies.
use super::{Output, Paint};
use crate::document::did_you_mean;
use crate::error::{Exit, Failure};
use crate::plan::names::{self, Entry};
use clap::{Args, ValueEnum};
use std::collections::BTreeMap;

/// Arguments of `list`.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// List only this kind
    #[arg(value_enum)]
    pub kind: Option<Kind>,
    /// List only this one: `dsfuzz list targets postgres`
    pub name: Option<String>,
}

/// A kind of name in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Targets.
    Targets,
    /// Workloads.
    Workloads,
    /// Faults.
    Faults,
    /// Checkers.
    Checkers,
    /// Fallacies of distributed computing.
    Fallacies,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Targets => "targets",
            Kind::Workloads => "workloads",
            Kind::Faults => "faults",
            Kind::Checkers => "checkers",
            Kind::Fallacies => "fallacies",
        }
    }

    /// The entries of this kind; with a name, that one alone.
    fn entries(self, name: Option<&str>) -> Result<Vec<Entry>, Failure> {
        let all = self.all();
        let Some(name) = name else { return Ok(all) };
        if let Some(entry) = all.iter().find(|entry| entry.name == name) {
            return Ok(vec![entry.clone()]);
        }
        let names: Vec<&str> = all.iter().map(|entry| entry.name.as_str()).collect();
        let meant = did_you_mean(name, names.iter().copied());
        let hint = meant.map(|meant| format!("did you mean {meant}? ")).unwrap_or_default();
        Err(Failure::Usage(format!("{name} is none of the {}; {hint}there are {}", self.name(), names.join(", "))))
    }

    fn all(self) -> Vec<Entry> {
        match self {
            Kind::Targets => names::targets(),
            Kind::Workloads => names::workloads(),
            Kind::Faults => names::faults(),
            Kind::Checkers => names::checkers(),
            Kind::Fallacies => names::fallacies(),
        }
    }
}

pub(super) fn main(args: &ListArgs, out: &mut Output) -> Result<Exit, Failure> {
    let kinds: Vec<Kind> =
        Kind::value_variants().iter().copied().filter(|kind| args.kind.is_none_or(|one| one == *kind)).collect();
    if out.json {
        let list = |kind: &Kind| Ok((kind.name(), kind.entries(args.name.as_deref())?));
        let lists: BTreeMap<&str, Vec<Entry>> = kinds.iter().map(list).collect::<Result<_, Failure>>()?;
        out.document(&lists)?;
        return Ok(Exit::Valid);
    }
    for (index, kind) in kinds.iter().enumerate() {
        let entries = kind.entries(args.name.as_deref())?;
        if index > 0 {
            out.line("");
        }
        let title = out.paint(Paint::Strong, kind.name());
        out.line(title);
        let widest = entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
        for entry in entries {
            out.line(format!("  {:widest$}  {}", entry.name, entry.doc));
            for (what, names) in &entry.belongs {
                let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                out.line(format!("  {:widest$}    {what}: {names}", ""));
            }
            for option in &entry.options {
                out.line(format!("  {:widest$}    {}: {option}", "", option.name));
            }
        }
    }
    Ok(Exit::Valid)
}

//! `dsfuzz verify`: checks the certificates of a verdict without asking the checkers that made them.
use super::Output;
use super::check::CheckSubject;
use crate::error::{Exit, Failure};
use clap::Args;
use dsfuzz_checkers::history::{self, Format, ReadOptions};
use dsfuzz_verifier::{Certificate, History};
use serde::Serialize;
use serde_json::Value;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Arguments of `verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// A run (`latest`, PLAN, PLAN/TIME or its folder), or a file with a verdict or a certificate
    #[arg(value_name = "RUN|FILE", default_value = "latest")]
    pub what: String,
    /// The history that the certificates are about [default: that of the run]
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// Values of the history are [key value], as for `check`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub independent: Option<bool>,
}

/// The outcome of one certificate.
#[derive(Serialize)]
struct CertificateCheck {
    /// Its path in the file.
    place: String,
    /// Its claim.
    claim: String,
    /// The number of its operations.
    ops: usize,
    accepted: bool,
    /// The reason of a refusal.
    #[serde(skip_serializing_if = "String::is_empty")]
    refused: String,
}

pub(super) fn main(args: &VerifyArgs, out: &mut Output) -> Result<Exit, Failure> {
    // A named file is an argument; the files of a run are the harness's own.
    let wrong = |own: bool, message: String| if own { Failure::harness(message) } else { Failure::Usage(message) };
    let (verdict, history, own) = match super::runs::file_or_run(out, &args.what)? {
        CheckSubject::File(file) => (file, args.history.clone(), false),
        CheckSubject::Run(dir) => {
            if let Some(nothing) = super::runs::nothing_recorded(&dir) {
                return Err(nothing);
            }
            (dir.verdict(), args.history.clone().or_else(|| Some(dir.history())), true)
        }
    };
    let text =
        std::fs::read_to_string(&verdict).map_err(|error| wrong(own, format!("{}: {error}", verdict.display())))?;
    let document: Value = serde_json::from_str(&text)
        .map_err(|error| wrong(own, format!("{} is not JSON: {error}", verdict.display())))?;
    let own = own && args.history.is_none();
    let recorded = history.map(|path| recording(&path, args.independent)).transpose();
    let history = recorded.map_err(|failure| wrong(own, failure.to_string()))?;
    let mut answers = Vec::new();
    collect("", &document, history.as_ref(), &mut answers);
    show(&answers, history.is_some(), out)
}

/// The verifier reads dsfuzz's own recordings itself. Recordings of other programs are converted first, by the readers that
/// the checkers used.
fn recording(path: &Path, independent: Option<bool>) -> Result<History, Failure> {
    let failed = |error: String| Failure::Usage(format!("{}: {error}", path.display()));
    let open = || File::open(path).map_err(|error| failed(error.to_string()));
    let mut beginning = Vec::new();
    open()?.take(4096).read_to_end(&mut beginning).map_err(|error| failed(error.to_string()))?;
    if Format::detect(&beginning) == Some(Format::Jsonl) {
        return dsfuzz_verifier::read_jsonl(BufReader::new(open()?)).map_err(|error| failed(error.to_string()));
    }
    let (_, history) = history::read_any(open()?, &ReadOptions { independent, ..ReadOptions::default() })
        .map_err(|error| super::check::unread(path, &error))?;
    let mut lines = Vec::new();
    history::export::write_jsonl(&history, &mut lines).map_err(|error| failed(error.to_string()))?;
    dsfuzz_verifier::read_jsonl(&lines[..]).map_err(|error| failed(error.to_string()))
}

/// Every certificate in the document: an object with a version, a claim and operations.
fn collect(place: &str, value: &Value, history: Option<&History>, answers: &mut Vec<CertificateCheck>) {
    match value {
        Value::Object(fields) if ["version", "claim", "ops"].iter().all(|name| fields.contains_key(*name)) => {
            answers.push(answer(place, value, history));
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if place.is_empty() { "" } else { "." };
                collect(&format!("{place}{dot}{name}"), value, history, answers);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                collect(&format!("{place}[{at}]"), value, history, answers);
            }
        }
        _ => {}
    }
}

fn answer(place: &str, value: &Value, history: Option<&History>) -> CertificateCheck {
    let verified =
        Certificate::parse(&value.to_string()).and_then(|certificate| dsfuzz_verifier::verify(&certificate, history));
    let said = |name: &str| value["claim"][name].as_str().map(|text| format!(" {text}")).unwrap_or_default();
    let kind = value["claim"]["claim"].as_str().unwrap_or("?");
    CertificateCheck {
        place: place.to_owned(),
        claim: format!("{kind}{}{}{}", said("model"), said("anomaly"), said("rule")),
        ops: value["ops"].as_array().map_or(0, Vec::len),
        accepted: verified.is_ok(),
        refused: verified.err().map(|refused| refused.to_string()).unwrap_or_default(),
    }
}

fn show(answers: &[CertificateCheck], against: bool, out: &mut Output) -> Result<Exit, Failure> {
    let refused = answers.iter().filter(|answer| !answer.accepted).count();
    if out.json {
        out.document(&answers)?;
    } else if answers.is_empty() {
        out.note("there is no certificate in it: nothing was verified");
    } else {
        let row = |answer: &CertificateCheck| {
            let word = if answer.accepted { "accepted" } else { "REFUSED" };
            vec![
                answer.place.clone(),
                answer.claim.clone(),
                answer.ops.to_string(),
                word.into(),
                answer.refused.clone(),
            ]
        };
        out.table(&["certificate", "claim", "ops", "answer", "why"], &answers.iter().map(row).collect::<Vec<_>>());
        if !against {
            out.note("without --history: that nothing was left out which could explain the operations was not checked");
        }
    }
    Ok(match (answers.len(), refused) {
        (0, _) => Exit::Unknown,
        (_, 0) => Exit::Valid,
        _ => Exit::Invalid,
    })
}

//! `dsfuzz export`: writes the history of a run or of a file for other programs.
use super::Output;
use super::check::{CheckSubject, read_file};
use crate::error::{Exit, Failure};
use crate::run::read_back;
use clap::{Args, ValueEnum};
use dsfuzz_checkers::History;
use dsfuzz_checkers::history::export::{Keys, write_edn, write_jsonl};
use dsfuzz_checkers::history::{Format, ReadOptions};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

/// Arguments of `export`.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// A run (`latest`, PLAN, PLAN/TIME or its folder), or a history file
    #[arg(value_name = "RUN|FILE", default_value = "latest")]
    pub what: String,
    /// Format to write
    #[arg(long, value_enum, default_value = "jsonl")]
    pub format: ExportFormat,
    /// File to write [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Format of the history file [default: detected from its first bytes]
    #[arg(long, value_name = "FORMAT", value_parser = |text: &str| text.parse::<Format>())]
    pub from: Option<Format>,
    /// In Jepsen's files, read or written, values are [key value], as jepsen.independent makes them; =false: they are
    /// plain values although they look like pairs
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub independent: Option<bool>,
}

/// A format to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// dsfuzz' own JSON lines.
    Jsonl,
    /// Jepsen's operation maps.
    Edn,
    /// A table of the operations.
    Parquet,
}

pub(super) fn main(args: &ExportArgs, out: &mut Output) -> Result<Exit, Failure> {
    let (history, recorded) = match super::runs::file_or_run(out, &args.what)? {
        CheckSubject::File(file) => {
            let options = ReadOptions { independent: args.independent, ..ReadOptions::default() };
            (read_file(&file, args.from, &options, false)?.1, None)
        }
        CheckSubject::Run(_) if args.from.is_some() => {
            return Err(Failure::Usage("--from is about history files, not about runs".into()));
        }
        CheckSubject::Run(dir) => match super::runs::nothing_recorded(&dir) {
            Some(failure) => return Err(failure),
            None => (read_back(&dir)?, Some(dir.history())),
        },
    };
    if args.format == ExportFormat::Parquet && !cfg!(feature = "parquet") {
        return Err(Failure::Usage("this dsfuzz was built without Parquet (cargo build --features parquet)".into()));
    }
    let Some(target) = &args.out else {
        let stdout = &mut BufWriter::new(io::stdout());
        let written = write(&history, args, stdout).and_then(|()| stdout.flush());
        // A reader that closed its pipe is no error.
        let written =
            written.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) });
        return written.map(|()| Exit::Valid).map_err(|error| Failure::harness(format!("stdout: {error}")));
    };
    let failed = |error: io::Error| Failure::harness(format!("{}: {error}", target.display()));
    match recorded.filter(|_| args.format == ExportFormat::Jsonl) {
        // The recording has fields that the history does not keep.
        Some(recorded) => {
            let same = |one: &PathBuf| one.canonicalize().ok();
            if same(target).is_some_and(|target| same(&recorded) == Some(target)) {
                return Err(Failure::Usage(format!("{} is the recording itself", target.display())));
            }
            std::fs::copy(&recorded, target).map_err(failed)?;
        }
        None => {
            let mut writer = BufWriter::new(File::create(target).map_err(failed)?);
            write(&history, args, &mut writer).and_then(|()| writer.flush()).map_err(failed)?;
        }
    }
    if out.json {
        out.document(&serde_json::json!({"file": target, "operations": history.ops().len()}))?;
    } else {
        out.line(target.display().to_string());
    }
    Ok(Exit::Valid)
}

fn write(history: &History, args: &ExportArgs, writer: &mut (impl Write + Send)) -> io::Result<()> {
    match args.format {
        ExportFormat::Jsonl => write_jsonl(history, writer),
        ExportFormat::Edn => {
            write_edn(history, if args.independent == Some(true) { Keys::Pair } else { Keys::Field }, writer)
        }
        #[cfg(feature = "parquet")]
        ExportFormat::Parquet => dsfuzz_checkers::history::export::parquet::write_parquet(history, writer),
        #[cfg(not(feature = "parquet"))]
        ExportFormat::Parquet => Err(io::Error::other("built without Parquet")),
    }
}

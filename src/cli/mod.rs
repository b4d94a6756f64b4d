//! The command line and its dispatch to subcommands.
//!
//! Each subcommand is one file with `main(args, out)`. Never: exits the process.
mod arguments;
mod check;
mod client;
mod cluster_source;
mod completions;
mod demo;
mod doctor;
mod explain;
mod export;
mod heal;
mod init;
mod lab;
mod list;
pub mod logs;
mod matrix;
mod output;
mod pack;
mod plan;
pub mod progress;
mod replay;
mod report;
mod run;
mod runs;
mod schema;
mod serve;
pub mod signals;
mod stored;
mod verify;

pub use arguments::{Cli, Color, Command, Global, OverrideArgs, PlanArgs};
pub use check::{CheckArgs, CheckSubject};
pub use doctor::DoctorArgs;
pub use export::ExportArgs;
pub use heal::HealArgs;
pub use lab::{LabArgs, LabCommand};
pub use matrix::MatrixArgs;
pub use output::{Output, Paint};
pub use pack::PackArgs;
pub use replay::ReplayArgs;
pub use report::ReportArgs;
pub use run::RunArgs;
pub use serve::ServeArgs;
pub use verify::VerifyArgs;

use crate::error::{Exit, Failure};
use clap::Parser as _;
use clap::error::ErrorKind;
use std::ffi::OsString;

/// Parses and dispatches, prints errors, and returns the exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // The reader closed the pipe on purpose; nothing can be reported any more.
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked { Exit::Valid } else { Exit::Usage };
        }
    };
    logs::init(cli.global.verbose);
    let mut out = Output::new(&cli.global);
    match dispatch(&cli, &mut out) {
        Ok(exit) => exit,
        Err(failure) => {
            out.failure(&failure);
            failure.exit()
        }
    }
}

fn dispatch(cli: &Cli, out: &mut Output) -> Result<Exit, Failure> {
    match &cli.command {
        Command::Run(args) => run::main(args, out),
        Command::Demo(args) => demo::main(args, out),
        Command::Replay(args) => replay::main(args, out),
        Command::Matrix(args) => matrix::main(args, out),
        Command::Pack(args) => pack::main(args, out),
        Command::Check(args) => check::main(args, out),
        Command::Plan(args) => plan::main(args, out),
        Command::Report(args) => report::main(args, out),
        Command::Serve(args) => serve::main(args, out),
        Command::Runs(args) => runs::main(args, out),
        Command::List(args) => list::main(args, out),
        Command::Doctor(args) => doctor::main(args, out),
        Command::Heal(args) => heal::main(args, out),
        Command::Lab(args) => lab::main(args, out),
        Command::Init(args) => init::main(args, out),
        Command::Completions(args) => completions::main(args, out),
        Command::Schema(args) => schema::main(args, out),
        Command::Explain(args) => explain::main(args, out),
        Command::Export(args) => export::main(args, out),
        Command::Client(args) => client::main(args, out),
        Command::Verify(args) => verify::main(args, out),
    }
}

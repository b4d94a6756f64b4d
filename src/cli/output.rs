//! [`Output`]: the result on stdout, for people or as one JSON document; errors and notes on stderr.
//!
//! Never: a control character that came from a file or a node reaches the terminal.
use super::arguments::{Color, Global};
use crate::error::Failure;
use crate::harmless::{plain_line, plain_lines};
use crate::secrets;
use serde::Serialize;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use tabled::builder::Builder;
use tabled::settings::{Style, Width, object::Columns};

/// The meaning of a piece of text, which gives its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Valid, healed, present.
    Good,
    /// Invalid, failed.
    Bad,
    /// Unknown, in doubt.
    Doubt,
    /// A heading.
    Strong,
    /// Secondary.
    Faint,
}

/// The output of a command.
#[derive(Debug)]
pub struct Output {
    /// One JSON document is wanted on stdout, and nothing else there.
    pub json: bool,
    /// Verbose (-v).
    pub verbose: bool,
    /// The folder of stored runs.
    pub results: PathBuf,
    stdout_color: bool,
    stderr_color: bool,
}

impl Output {
    /// The output that the global flags ask for.
    pub fn new(global: &Global) -> Output {
        let quiet = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colored = |terminal: bool| match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !quiet,
        };
        Output {
            json: global.json,
            verbose: global.verbose > 0,
            results: global.results.clone(),
            stdout_color: colored(std::io::stdout().is_terminal()),
            stderr_color: colored(std::io::stderr().is_terminal()),
        }
    }

    /// Whether colours are wanted on stdout.
    pub fn stdout_color(&self) -> bool {
        self.stdout_color
    }

    /// A line of the result. A reader that closed its pipe is no error.
    pub fn line(&mut self, text: impl AsRef<str>) {
        let _ = writeln!(std::io::stdout().lock(), "{}", secrets::redact(text.as_ref()));
    }

    /// Bytes of the result, as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let mut stdout = std::io::stdout().lock();
        let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
    }

    /// The result as one JSON document.
    pub fn document(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(Failure::harness)?;
        self.line(text);
        Ok(())
    }

    /// A note on stderr, which is not part of the result.
    pub fn note(&mut self, text: impl AsRef<str>) {
        super::progress::aside(text.as_ref());
    }

    /// Text for stdout, coloured if colours are on.
    pub fn paint(&self, paint: Paint, text: &str) -> String {
        painted(self.stdout_color, paint, text)
    }

    /// A table of the result: left-aligned columns, the last one wrapped to the terminal.
    pub fn table(&mut self, header: &[&str], rows: &[Vec<String>]) {
        let mut builder = Builder::default();
        builder.push_record(header.iter().map(|title| self.paint(Paint::Strong, title)));
        for row in rows {
            builder.push_record(row.iter().map(|cell| plain_line(&secrets::redact(cell))));
        }
        let mut table = builder.build();
        table.with(Style::blank());
        if let Some(width) = terminal_width().filter(|width| table.total_width() > *width) {
            let widest = |column: usize| {
                rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
            };
            let others: usize =
                header.iter().enumerate().rev().skip(1).map(|(i, title)| widest(i).max(title.len()) + 2).sum();
            table.modify(Columns::last(), Width::wrap(width.saturating_sub(others + 2).max(24)).keep_words(true));
        }
        for line in table.to_string().lines() {
            self.line(line.trim_end());
        }
    }

    /// Reports why a command has no result: on stderr; with `--json` also as a document on stdout.
    pub fn failure(&mut self, failure: &Failure) {
        let text = plain_lines(&secrets::redact(&failure.to_string()));
        super::progress::aside_marked(&painted(self.stderr_color, Paint::Bad, "error"), &format!(": {text}"));
        if self.json {
            let document = serde_json::json!({ "error": text, "exit": failure.exit().code() });
            self.line(document.to_string());
        }
    }
}

/// The width of stdout's terminal; none if stdout is not a terminal.
fn terminal_width() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0)
}

fn painted(color: bool, paint: Paint, text: &str) -> String {
    let code = match paint {
        Paint::Good => "32",
        Paint::Bad => "1;31",
        Paint::Doubt => "33",
        Paint::Strong => "1",
        Paint::Faint => "2",
    };
    if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(plain_line("a\x1b[31mb\r\n"), "a\u{fffd}[31mb  ");
        assert_eq!(plain_lines("a\x07\nb\u{202e}c"), "a\u{fffd}\nb\u{fffd}c");
        assert_eq!(painted(false, Paint::Bad, "x"), "x");
        assert_eq!(painted(true, Paint::Good, "x"), "\x1b[32mx\x1b[0m");
    }
}

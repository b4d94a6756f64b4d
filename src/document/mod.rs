//! YAML documents (plans, recipes) into types. Every error shows the line and says what to do.
//!
//! Never: knows what a document means.
mod problem;
mod yaml;

pub(crate) use dsfuzz_client::tree::{Mistake, PathStep, read, show};
pub use problem::{DocumentError, SourceLocation, did_you_mean};
pub(crate) use yaml::{locate, parse, reads_back};

use dsfuzz_client::tree::{self, Problem};
use std::io::Read as _;
use std::path::Path;

/// Reads a type from a YAML text such as a recipe, with the bounds and errors of a plan. `origin` names the file.
pub fn read_yaml<T: serde::de::DeserializeOwned>(origin: &str, text: &str) -> Result<T, DocumentError> {
    let tree = yaml::parse(origin, text)?;
    tree::read(&tree).map_err(|mistake| explain(origin, text, |_| None, mistake))
}

/// The text of a regular file of a plan's size. A device, a pipe or a huge file is refused unread.
pub fn read_regular(path: &Path) -> std::io::Result<String> {
    let bytes = bytes_of(path)?;
    String::from_utf8(bytes).map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

pub(crate) fn bytes_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let refused = |why: String| std::io::Error::new(std::io::ErrorKind::InvalidInput, why);
    let kind = std::fs::metadata(path)?.file_type();
    if !kind.is_file() {
        let is = if kind.is_dir() { "it is a folder" } else { "it is not a regular file" };
        return Err(refused(is.into()));
    }
    let mut bytes = Vec::new();
    // One byte above the limit, so that a huge file is never read whole.
    std::fs::File::open(path)?.take(yaml::BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > yaml::BYTES_MAX {
        return Err(refused(format!("it is larger than {} bytes", yaml::BYTES_MAX)));
    }
    Ok(bytes)
}

/// The mistake with its source: a line of the file, or the flag that set the value.
pub(crate) fn explain(
    origin: &str,
    text: &str,
    flag: impl Fn(&[PathStep]) -> Option<String>,
    mistake: Mistake,
) -> DocumentError {
    let Mistake { path, what } = mistake;
    let within = if path.is_empty() { "this file".into() } else { format!("`{}`", show(&path)) };
    let (key, message, help) = match what {
        Problem::UnknownKey { key, known } => {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let help = known_names(&key, &known, "keys");
            (Some(key.clone()), format!("unknown key `{key}` in {within}"), help)
        }
        Problem::UnknownName { name, known } => {
            let help = known_names(&name, &known, "names");
            (Some(name.clone()), format!("unknown name `{name}` in {within}"), help)
        }
        Problem::Missing { key } => (None, format!("`{key}` is missing in {within}"), Vec::new()),
        Problem::Other { message, help } if path.is_empty() => (None, message, help.into_iter().collect()),
        Problem::Other { message, help } => (None, format!("{within}: {message}"), help.into_iter().collect()),
    };
    let mut whole = path.clone();
    whole.extend(key.clone().map(PathStep::Key));
    if let Some(flag) = flag(&whole).or_else(|| flag(&path)) {
        return DocumentError { message, origin: flag, place: None, help };
    }
    DocumentError { message, origin: origin.into(), place: yaml::locate(text, &path, key.as_deref()), help }
}

fn known_names(written: &str, known: &[&str], noun: &str) -> Vec<String> {
    let mut help = Vec::new();
    if matches!(written, "password" | "passphrase") {
        help.push(
            "a secret never stands in a plan: name an environment variable that holds it, with `password_env`".into(),
        );
    }
    if matches!(written, "from" | "to") && known.contains(&"cut") {
        help.push("links in one direction stand under `cut`: `cut: {from: n1, to: n2}`".into());
    }
    if let Some(meant) = did_you_mean(written, known.iter().copied()) {
        help.push(format!("did you mean `{meant}`?"));
    }
    if known.is_empty() {
        help.push(format!("there are no {noun} here"));
    } else {
        help.push(format!("known {noun}: {}", known.join(", ")));
    }
    help
}

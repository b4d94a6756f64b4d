//! [`Package`]: programs that a node needs, from Debian, from a package registry or from the control node.
use super::super::local::fingerprint;
use crate::cluster::sha256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// Where packages of registries are unpacked. A lab's nodes see this folder of the machine.
pub const PACKAGES_DIR: &str = "/var/cache/dsfuzz/packages";
/// Digits of the hash of a program that stand in the name of its folder.
const HASH_DIGITS: usize = 16;

/// A package: Debian's (`name`), one of the Python Package Index that carries programs (`pypi`), a program that comes with dsfuzz
/// (`program`), or a folder of the control node (`local`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name in Debian. Exactly one of `name`, `pypi`, `program` and `local`.
    #[serde(default)]
    pub name: String,
    /// Its name in the Python Package Index. It is downloaded on the control node and unpacked on every node; its folder
    /// there is `{{ package["NAME"] }}`.
    #[serde(default)]
    pub pypi: String,
    /// A program that comes with dsfuzz and lies beside it. It is copied to every node; its folder there is `{{ package["NAME"] }}`.
    #[serde(default)]
    pub program: String,
    /// What a folder of the control node is called here. It is copied to every node; its folder there is `{{ package["NAME"] }}`.
    #[serde(default)]
    pub local: String,
    /// The path of that folder, below the one in which dsfuzz was started if it is relative; it may use options.
    #[serde(default)]
    pub path: String,
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
    /// The folder on the nodes for what dsfuzz brings, if it is not [`PACKAGES_DIR`].
    #[serde(skip)]
    pub nodes_folder: Option<String>,
}

impl Package {
    fn names(&self) -> [&String; 4] {
        [&self.name, &self.pypi, &self.program, &self.local]
    }

    /// Its name.
    pub fn title(&self) -> &str {
        self.names().into_iter().find(|name| !name.is_empty()).map_or("", String::as_str)
    }

    /// Whether dsfuzz brings it to a node, into its [folder](Package::folder).
    pub fn is_brought(&self) -> bool {
        self.name.is_empty()
    }

    /// The folder on a node into which dsfuzz brings it.
    pub fn folder(&self) -> String {
        format!("{}/{}", self.nodes_folder(), self.folder_name())
    }

    /// The folder on the nodes of all packages that dsfuzz brings.
    pub fn nodes_folder(&self) -> &str {
        self.nodes_folder.as_deref().unwrap_or(PACKAGES_DIR)
    }

    /// Nodes that are processes of one machine have folders of their own and share what dsfuzz brings, beside these folders.
    pub(in crate::targets) fn share_below(&mut self, base: &str) {
        let shared = base.split_once("{{ node }}").map(|(shared, _)| shared.trim_end_matches('/'));
        self.nodes_folder = shared.map(|shared| format!("{shared}/packages"));
    }

    /// The name of its own folder.
    pub fn folder_name(&self) -> String {
        format!("{}-{}", self.title(), self.version)
    }

    /// The same, with the version of what is on the control node, a program that comes with dsfuzz or a folder: the hash of what it
    /// holds.
    pub(in crate::targets) fn with_version(self) -> Result<Package, String> {
        if !self.local.is_empty() {
            let hash = fingerprint(Path::new(&self.path), &self.provides)?;
            return Ok(Package { version: hash[..HASH_DIGITS].to_owned(), ..self });
        }
        if self.program.is_empty() {
            return Ok(self);
        }
        let path = crate::folders::beside(&self.program)?;
        let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let hash = sha256(&bytes)[..HASH_DIGITS].to_owned();
        Ok(Package { version: hash, provides: vec![self.program.clone()], ..self })
    }

    /// Rules that the types do not express: the key and its mistake.
    pub(super) fn mistake(&self) -> Option<(&'static str, &'static str)> {
        let plain = |text: &str| text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
        if self.names().iter().filter(|name| !name.is_empty()).count() != 1 {
            return Some(("", "give exactly one of `name` (Debian), `pypi`, `program` and `local`"));
        }
        let letters = "use letters, digits, `-`, `_` and `.`";
        let foreign_version = "only packages of the Python Package Index (`pypi`) have a version here";
        let (pypi, program, local) = (!self.pypi.is_empty(), !self.program.is_empty(), !self.local.is_empty());
        let rules = [
            (!pypi && !self.version.is_empty(), ".version", foreign_version),
            (program && !plain(&self.program), ".program", letters),
            (program && !self.provides.is_empty(), ".provides", "a `program` provides itself"),
            (local && !plain(&self.local), ".local", letters),
            (
                local == self.path.is_empty(),
                ".path",
                "`local` names a folder of the control node, and `path` says where it is",
            ),
            (local && self.provides.is_empty(), ".provides", "name the programs, below its folder"),
            (pypi && !plain(&self.pypi), ".pypi", letters),
            (pypi && self.version.is_empty(), ".version", "name one: a run must be repeatable"),
            (pypi && self.provides.is_empty(), ".provides", "name the programs, below its folder"),
        ];
        rules.into_iter().find(|(broken, ..)| *broken).map(|(_, key, mistake)| (key, mistake))
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pypi.is_empty(), self.program.is_empty()) {
            _ if !self.local.is_empty() => write!(f, "{} from {} of the control node", self.local, self.path),
            (true, true) => write!(f, "{}", self.name),
            (true, false) => write!(f, "{} of dsfuzz", self.program),
            (false, _) => write!(f, "{} {} of the Python Package Index", self.pypi, self.version),
        }
    }
}

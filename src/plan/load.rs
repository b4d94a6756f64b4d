//! From a file, flags and defaults to a [`Plan`], with errors that show the line.
use super::overrides::Overrides;
use super::{Plan, names, validate};
use crate::document::{self, DocumentError, Mistake};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::Path;

impl Plan {
    /// The plan in a file, with the overrides applied. A plan without a name takes the file's. The path of a user's recipe is
    /// relative to the plan's folder; it must exist, and becomes absolute.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Plan, DocumentError> {
        let origin = path.display().to_string();
        let text = text_of(path, &origin)?;
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = path.parent().unwrap_or(Path::new(""));
        Plan::read(&origin, &text, &stem, Some(folder), overrides)
    }

    /// The plan of a stored run, which is to be run again. Paths are relative to the working folder.
    pub fn load_stored(path: &Path, overrides: &Overrides) -> Result<Plan, DocumentError> {
        let origin = path.display().to_string();
        let text = text_of(path, &origin)?;
        Plan::read(&origin, &text, "plan", Some(Path::new("")), overrides)
    }

    /// The plan in a text, such as a stored effective plan, whose paths are absolute. What ran is judged again, also by checkers
    /// that a plan which is to run may no longer name.
    pub fn from_yaml_str(text: &str) -> Result<Plan, DocumentError> {
        Plan::read("plan.yaml", text, "plan", None, &Overrides::none())
    }

    /// Whether the target is a user's recipe and not a built-in one.
    pub fn target_is_path(&self) -> bool {
        !names::targets().iter().any(|target| target.name == self.target)
    }

    /// The plan's seed; if there is none, one is drawn and kept.
    pub fn draw_seed(&mut self) -> u64 {
        // The hasher's keys come from the system's randomness; 48 bits can be typed and survive every JSON reader.
        *self.seed.get_or_insert_with(|| RandomState::new().build_hasher().finish() >> 16)
    }

    pub(super) fn read(
        origin: &str,
        text: &str,
        stem: &str,
        folder: Option<&Path>,
        overrides: &Overrides,
    ) -> Result<Plan, DocumentError> {
        let mut tree = document::parse(origin, text)?;
        overrides.apply(&mut tree)?;
        if tree.is_null() {
            return Err(
                DocumentError::new(origin, "the plan is empty").help("`dsfuzz init etcd` writes one to begin with")
            );
        }
        let place = |mistake: Mistake| {
            document::explain(origin, text, |path| overrides.origin(path).map(str::to_owned), mistake)
        };
        let mut plan: Plan = document::read(&tree).map_err(place)?;
        if plan.name.is_empty() {
            plan.name = stem.into();
        }
        validate::check(&plan).map_err(place)?;
        if let Some(folder) = folder {
            validate::checkers_fit(&plan).map_err(place)?;
            if plan.target_is_path() {
                plan.target = validate::recipe_path(&plan.target, folder).map_err(place)?;
            }
        }
        Ok(plan)
    }
}

fn text_of(path: &Path, origin: &str) -> Result<String, DocumentError> {
    let bytes = document::bytes_of(path).map_err(|error| {
        let help = match error.kind() {
            std::io::ErrorKind::InvalidInput => "a plan is a YAML file of less than 1 MiB: is this the right file?",
            _ => "`dsfuzz init etcd --output plan.yaml` writes one to begin with",
        };
        DocumentError::new(origin, format!("the plan cannot be read: {error}")).help(help)
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        DocumentError::new(origin, format!("the plan is not UTF-8 text (line {})", line + 1))
    })
}

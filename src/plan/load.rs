//! From a file, flags and defaults to a [`Plan`], with errors that show the line.
use super::overrides::Overrides;
use super::problem::{PlanError, did_you_mean};
use super::typed::{self, Mistake, Step, What, show};
use super::{Plan, names, validate, yaml};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Read as _;
use std::path::Path;

impl Plan {
    /// The plan in a file, with the overrides applied. A plan without a name takes the file's. A recipe of the user's
    /// own is found from the plan's folder, must be there, and is absolute from then on.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Plan, PlanError> {
        let origin = path.display().to_string();
        let text = text_of(path, &origin)?;
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = path.parent().unwrap_or(Path::new(""));
        Plan::read(&origin, &text, &stem, Some(folder), overrides)
    }

    /// The plan in a text, such as a stored effective plan, whose paths are absolute.
    pub fn from_yaml_str(text: &str) -> Result<Plan, PlanError> {
        Plan::read("plan.yaml", text, "plan", None, &Overrides::none())
    }

    /// Whether the target is a recipe of the user's own and not a built-in one.
    pub fn target_is_path(&self) -> bool {
        !names::targets().iter().any(|target| target.name == self.target)
    }

    /// The seed; drawn and kept where the plan names none.
    pub fn draw_seed(&mut self) -> u64 {
        // The hasher's keys come from the system's randomness; 48 bits can be typed and survive every JSON reader.
        *self.seed.get_or_insert_with(|| RandomState::new().build_hasher().finish() >> 16)
    }

    fn read(
        origin: &str,
        text: &str,
        stem: &str,
        folder: Option<&Path>,
        overrides: &Overrides,
    ) -> Result<Plan, PlanError> {
        let mut tree = yaml::parse(origin, text)?;
        overrides.apply(&mut tree)?;
        if tree.is_null() {
            return Err(PlanError::new(origin, "the plan is empty").help("`dsfuzz init etcd` writes one to begin with"));
        }
        let place = |mistake: Mistake| explain(origin, text, overrides, mistake);
        let mut plan: Plan = typed::read(&tree).map_err(place)?;
        if plan.name.is_empty() {
            plan.name = stem.into();
        }
        validate::check(&plan).map_err(place)?;
        if let Some(folder) = folder.filter(|_| plan.target_is_path()) {
            plan.target = validate::recipe_path(&plan.target, folder).map_err(place)?;
        }
        Ok(plan)
    }
}

/// Any type in a YAML text (a recipe, say), with the same bounds and the same errors as a plan. `origin` names the file.
pub fn read_yaml<T: serde::de::DeserializeOwned>(origin: &str, text: &str) -> Result<T, PlanError> {
    let tree = yaml::parse(origin, text)?;
    typed::read(&tree).map_err(|mistake| explain(origin, text, &Overrides::none(), mistake))
}

/// The text of a regular file of a plan's size. A device, a pipe or a huge file is refused unread.
pub fn read_regular(path: &Path) -> std::io::Result<String> {
    let bytes = bytes_of(path)?;
    String::from_utf8(bytes).map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

fn bytes_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let refused = |why: String| std::io::Error::new(std::io::ErrorKind::InvalidInput, why);
    let kind = std::fs::metadata(path)?.file_type();
    if !kind.is_file() {
        let is = if kind.is_dir() { "it is a folder" } else { "it is not a regular file" };
        return Err(refused(is.into()));
    }
    let mut bytes = Vec::new();
    // One byte more than is allowed, so that a huge file is never read whole.
    std::fs::File::open(path)?.take(yaml::BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > yaml::BYTES_MAX {
        return Err(refused(format!("it is larger than {} bytes", yaml::BYTES_MAX)));
    }
    Ok(bytes)
}

fn text_of(path: &Path, origin: &str) -> Result<String, PlanError> {
    let bytes = bytes_of(path).map_err(|error| {
        let help = match error.kind() {
            std::io::ErrorKind::InvalidInput => "a plan is a YAML file of less than 1 MiB: is this the right file?",
            _ => "`dsfuzz init etcd --output plan.yaml` writes one to begin with",
        };
        PlanError::new(origin, format!("the plan cannot be read: {error}")).help(help)
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        PlanError::new(origin, format!("the plan is not UTF-8 text (line {})", line + 1))
    })
}

/// The mistake with its place: a line of the file, or the flag that made it.
fn explain(origin: &str, text: &str, overrides: &Overrides, mistake: Mistake) -> PlanError {
    let Mistake { path, what } = mistake;
    let within = if path.is_empty() { "this file".into() } else { format!("`{}`", show(&path)) };
    let (key, message, help) = match what {
        What::UnknownKey { key, known } => {
            let help = known_names(&key, &known, "keys");
            (Some(key.clone()), format!("unknown key `{key}` in {within}"), help)
        }
        What::UnknownName { name, known } => {
            let help = known_names(&name, &known, "names");
            (Some(name.clone()), format!("unknown name `{name}` in {within}"), help)
        }
        What::Missing { key } => (None, format!("`{key}` is missing in {within}"), Vec::new()),
        What::Other { message, help } if path.is_empty() => (None, message, help.into_iter().collect()),
        What::Other { message, help } => (None, format!("{within}: {message}"), help.into_iter().collect()),
    };
    let mut whole = path.clone();
    whole.extend(key.clone().map(Step::Key));
    if let Some(flag) = overrides.origin(&whole).or_else(|| overrides.origin(&path)) {
        return PlanError { message, origin: flag.into(), place: None, help };
    }
    PlanError { message, origin: origin.into(), place: yaml::locate(text, &path, key.as_deref()), help }
}

fn known_names(written: &str, known: &[&'static str], noun: &str) -> Vec<String> {
    let mut help = Vec::new();
    if matches!(written, "password" | "passphrase") {
        help.push(
            "a secret never stands in a plan: name an environment variable that holds it, with `password_env`".into(),
        );
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

//! [`Overrides`]: changes of a plan by flags and the environment, applied before it becomes types.
//!
//! Later changes win. Never: reads the environment or the command line itself.
use crate::document::{self, DocumentError, PathStep, show};
use serde_json::{Map, Value};

/// Changes of a plan, in the order in which they apply.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    edits: Vec<Edit>,
}

#[derive(Clone, Debug, PartialEq)]
struct Edit {
    path: Vec<String>,
    /// None removes the key.
    value: Option<Value>,
    /// Its name in errors: `--time -3s`.
    origin: String,
    /// The arguments of the command line that repeat it.
    flags: Vec<String>,
}

/// The nodes that a command enters.
const ENTERED: [&str; 3] = ["cluster", "exec", "nodes"];

impl Edit {
    /// Whether it is `--nodes` with names.
    fn names_nodes(&self) -> bool {
        self.path == ["cluster", "nodes"] && self.flags.iter().any(|flag| flag.starts_with("--nodes="))
    }

    /// Its place in this plan: names of nodes are those that the plan's command enters, if it has one.
    fn place_in(&self, tree: &Value) -> Vec<String> {
        let entered = tree.pointer("/cluster/exec").is_some_and(Value::is_object);
        if self.names_nodes() && entered { ENTERED.map(str::to_owned).to_vec() } else { self.path.clone() }
    }

    /// Whether it may have written this place of nodes that a command enters.
    fn names_entered(&self, place: &[String]) -> bool {
        self.names_nodes() && place.iter().take(ENTERED.len()).map(String::as_str).eq(ENTERED)
    }
}

impl Overrides {
    /// Nothing changed.
    pub fn none() -> Overrides {
        Overrides::default()
    }

    /// `a.b=c`: the key `a.b` takes the YAML value `c`. List items are named by their position from 0.
    pub fn set(&mut self, assignment: &str) -> Result<(), DocumentError> {
        let origin = format!("--set {assignment}");
        let Some((path, text)) = assignment.split_once('=') else {
            return Err(DocumentError::new(origin, "--set wants KEY=VALUE").help("such as --set load.time=30s"));
        };
        if path.split('.').any(|key| key.trim().is_empty()) {
            return Err(DocumentError::new(origin, "--set wants a key before `=`").help("such as --set load.time=30s"));
        }
        let value = document::parse(&origin, text)?;
        let path = path.split('.').map(|key| key.trim().to_owned()).collect();
        let flags = vec!["--set".into(), assignment.into()];
        self.edits.push(Edit { path, value: Some(value), origin, flags });
        Ok(())
    }

    /// The key `path` takes the YAML value `text`, as `flag` said; `source` names it in errors (the flag or a variable).
    pub fn flag(&mut self, flag: &str, source: &str, path: &str, text: &str) -> Result<(), DocumentError> {
        let origin = format!("{source} {text}");
        let value = if path == "load.time" || path == "load.rate" || path == "load.clients" {
            Value::String(text.into())
        } else {
            document::parse(&origin, text)?
        };
        let flags = vec![format!("{flag}={text}")];
        let path = path.split('.').map(Into::into).collect();
        self.edits.push(Edit { path, value: Some(value), origin, flags });
        Ok(())
    }

    /// The nodes: a number makes a lab of that size; names (`n1,n2,n3`) are hosts, or nodes that the file's `exec` enters.
    /// Replaces the file's nodes.
    pub fn nodes(&mut self, source: &str, text: &str) {
        let origin = format!("{source} {text}");
        let (here, gone, value) = match text.trim().parse::<u64>() {
            Ok(count) => ("lab", &["nodes", "exec"][..], Value::from(count)),
            Err(_) => {
                let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
                ("nodes", &["lab"][..], Value::from(names.map(str::to_owned).collect::<Vec<_>>()))
            }
        };
        let path = |key: &str| vec!["cluster".to_owned(), key.to_owned()];
        let flags = vec![format!("--nodes={text}")];
        let gone =
            gone.iter().map(|key| Edit { path: path(key), value: None, origin: origin.clone(), flags: Vec::new() });
        self.edits.extend(gone);
        self.edits.push(Edit { path: path(here), value: Some(value), origin, flags });
    }

    /// A change of one key, or its removal; `flags` are the arguments of the command line that repeat it.
    pub(super) fn change(&mut self, origin: &str, path: &[&str], value: Option<Value>, flags: Vec<String>) {
        let path = path.iter().map(|key| (*key).to_owned()).collect();
        self.edits.push(Edit { path, value, origin: origin.to_owned(), flags });
    }

    /// A change that `source` makes, which no argument repeats. None removes the key.
    pub fn fixed(&mut self, source: &str, path: &[&str], value: Option<Value>) {
        let path = path.iter().map(|key| (*key).to_owned()).collect();
        self.edits.push(Edit { path, value, origin: source.to_owned(), flags: Vec::new() });
    }

    /// These changes, and then the others.
    #[must_use]
    pub fn then(mut self, later: Overrides) -> Overrides {
        self.edits.extend(later.edits);
        self
    }

    /// Whether one of them writes this key of the top level.
    pub fn write(&self, key: &str) -> bool {
        self.edits.iter().any(|edit| edit.path.first().is_some_and(|first| first == key))
    }

    /// The arguments that make the same changes again.
    pub fn arguments(&self) -> Vec<String> {
        self.edits.iter().flat_map(|edit| edit.flags.iter().cloned()).collect()
    }

    pub(super) fn apply(&self, tree: &mut Value) -> Result<(), DocumentError> {
        for edit in &self.edits {
            let path = edit.place_in(tree);
            place(tree, &path, edit.value.as_ref()).map_err(|message| DocumentError::new(&edit.origin, message))?;
        }
        Ok(())
    }

    /// The last change that wrote the value at `path`.
    pub(super) fn origin(&self, path: &[PathStep]) -> Option<&str> {
        let keys: Vec<String> = path
            .iter()
            .map(|step| match step {
                PathStep::Key(key) => key.clone(),
                PathStep::Index(index) => index.to_string(),
            })
            .collect();
        self.edits
            .iter()
            .rev()
            .find(|edit| edit.value.is_some() && (keys.starts_with(&edit.path) || edit.names_entered(&keys)))
            .map(|edit| edit.origin.as_str())
    }
}

/// Writes or removes the value at `path`, and makes the maps on the way.
fn place(tree: &mut Value, path: &[String], value: Option<&Value>) -> Result<(), String> {
    let mut at = tree;
    for (depth, key) in path.iter().enumerate() {
        // A bare name (`workload: register`) is a map with every option at its default.
        if at.as_str().is_some_and(|name| name == key) {
            *at = Value::Object(Map::from_iter([(key.clone(), Value::Null)]));
        }
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
        let last = depth + 1 == path.len();
        let way = || show(&path[..depth].iter().cloned().map(PathStep::Key).collect::<Vec<_>>());
        at = match at {
            Value::Object(map) if last => {
                match value {
                    Some(value) => map.insert(key.clone(), value.clone()),
                    None => map.remove(key),
                };
                return Ok(());
            }
            Value::Object(map) => map.entry(key.clone()).or_insert(Value::Null),
            Value::Array(items) => {
                let length = items.len();
                let slot = key.parse().ok().and_then(|index: usize| items.get_mut(index));
                let slot = slot.ok_or_else(|| format!("`{}` is a list of {length}; it has no item {key}", way()))?;
                if last {
                    *slot = value.cloned().unwrap_or(Value::Null);
                    return Ok(());
                }
                slot
            }
            _ => return Err(format!("`{}` is a single value; it has no key `{key}`", way())),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn applied(mut tree: Value, sets: &[&str]) -> Result<Value, String> {
        let mut overrides = Overrides::none();
        for set in sets {
            overrides.set(set).map_err(|error| error.to_string())?;
        }
        overrides.apply(&mut tree).map_err(|error| error.to_string())?;
        Ok(tree)
    }

    #[test]
    fn values_are_set_deep_in_lists_and_under_bare_names() {
        let tree = json!({"workload": "register", "faults": [{"kill": {}}]});
        let tree = applied(tree, &["workload.register.keys=3", "faults.0.kill.nodes=one", "load.time=5s"]).unwrap();
        let expected = json!({"workload": {"register": {"keys": 3}}, "faults": [{"kill": {"nodes": "one"}}],
            "load": {"time": "5s"}});
        assert_eq!(tree, expected);
    }

    #[test]
    fn a_set_that_fits_nowhere_says_why() {
        let wrong = |set: &str| applied(json!({"seed": 1, "faults": []}), &[set]).unwrap_err();
        assert!(wrong("seed.x=1").contains("`seed` is a single value"));
        assert!(wrong("faults.3=x").contains("no item 3"));
        assert!(wrong("seed").contains("KEY=VALUE") && wrong("=1").contains("before `=`"));
        assert!(wrong("seed=[").contains("not YAML"));
    }

    #[test]
    fn nodes_are_those_that_the_plans_command_enters() {
        let over = |text: &str| {
            let mut overrides = Overrides::none();
            overrides.nodes("--nodes", text);
            let mut tree = json!({"cluster": {"exec": {"nodes": ["x"], "command": ["in", "{{ node }}"]}}});
            overrides.apply(&mut tree).unwrap();
            let at = ["cluster", "exec", "nodes", "0"].map(|key| PathStep::Key(key.into()));
            (tree["cluster"].clone(), overrides.origin(&at).map(str::to_owned))
        };
        let command = json!(["in", "{{ node }}"]);
        let named = json!({"exec": {"nodes": ["a", "b"], "command": command}});
        assert_eq!(over("a,b"), (named, Some("--nodes a,b".to_owned())));
        assert_eq!(over("3"), (json!({"lab": 3}), None));
    }

    #[test]
    fn nodes_take_the_place_of_a_lab_and_the_arguments_say_so_again() {
        let mut overrides = Overrides::none();
        overrides.nodes("--nodes", "a, b");
        let mut tree = json!({"cluster": {"lab": 5}});
        overrides.apply(&mut tree).unwrap();
        assert_eq!(tree, json!({"cluster": {"nodes": ["a", "b"]}}));
        assert_eq!(overrides.arguments(), ["--nodes=a, b"]);
        let at = |keys: [&str; 2]| keys.map(|key| PathStep::Key(key.into()));
        assert_eq!(overrides.origin(&at(["cluster", "nodes"])), Some("--nodes a, b"));
        assert_eq!(overrides.origin(&at(["cluster", "ssh"])), None);
    }
}

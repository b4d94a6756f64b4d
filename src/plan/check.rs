//! [`CheckPlan`]: a checker of a plan, by its name or with options. The schema describes each checker with its options.
use dsfuzz_checkers::CHECKERS;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// A checker of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum CheckPlan {
    /// With its defaults.
    Named(String),
    /// One key, the checker's name, with its options.
    With(BTreeMap<String, BTreeMap<String, Value>>),
}

impl CheckPlan {
    /// The checker's name; empty where a map has not exactly one key.
    pub fn name(&self) -> &str {
        match self {
            CheckPlan::Named(name) => name,
            CheckPlan::With(map) if map.len() == 1 => map.keys().next().map_or("", |name| name),
            CheckPlan::With(_) => "",
        }
    }

    /// Its options, as the checker takes them.
    pub fn options(&self) -> dsfuzz_checkers::Options {
        let CheckPlan::With(map) = self else { return dsfuzz_checkers::Options::default() };
        let given = map.values().next().into_iter().flatten();
        // What JSON can say, an open value can hold.
        let value = |value: &serde_json::Value| serde_json::from_value(value.clone()).unwrap_or_default();
        dsfuzz_checkers::Options(given.map(|(name, given)| (name.clone(), value(given))).collect())
    }
}

/// By hand, so that a mistake within the options is shown at its place.
impl<'de> Deserialize<'de> for CheckPlan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CheckPlan, D::Error> {
        struct Named;
        impl<'de> Visitor<'de> for Named {
            type Value = CheckPlan;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a checker: its name, or a map of its name with its options such as `bank: {total: 100}`")
            }
            fn visit_str<E>(self, name: &str) -> Result<CheckPlan, E> {
                Ok(CheckPlan::Named(name.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CheckPlan, A::Error> {
                let mut with = BTreeMap::new();
                while let Some((name, options)) = map.next_entry()? {
                    with.insert(name, options);
                }
                Ok(CheckPlan::With(with))
            }
        }
        deserializer.deserialize_any(Named)
    }
}

impl JsonSchema for CheckPlan {
    fn schema_name() -> Cow<'static, str> {
        "CheckPlan".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let plain: Vec<Value> =
            CHECKERS.iter().map(|doc| json!({"const": doc.name, "description": doc.doc, "type": "string"})).collect();
        let with = CHECKERS.iter().map(|doc| {
            let properties = Map::from_iter([(doc.name.to_owned(), (doc.options)(generator).to_value())]);
            json!({
                "description": doc.doc,
                "type": "object",
                "properties": properties,
                "required": [doc.name],
                "additionalProperties": false
            })
        });
        let all: Vec<Value> = plain.into_iter().chain(with).collect();
        json_schema!({"description": "A checker: its name, or its name with its options.", "oneOf": all})
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::{Overrides, Plan, reference};
    use dsfuzz_checkers::{CHECKERS, CheckerDoc, Options};
    use dsfuzz_workloads::WORKLOADS;
    use serde_json::Value;
    use std::path::Path;

    /// What is said of a plan of this workload with these lines under `check`.
    fn said(workload: &str, check: &str) -> String {
        let text =
            format!("name: p\ncluster: {{lab: 3}}\ntarget: etcd\nworkload: {{{workload}: {{}}}}\ncheck:\n{check}\n");
        let plan = Plan::read("plan.yaml", &text, "plan", Some(Path::new("")), &Overrides::none());
        plan.map_or_else(|error| error.to_string(), |_| "no error".to_owned())
    }

    #[test]
    fn a_stored_plan_is_read_whatever_its_checkers_can_judge() {
        for check in ["queue", "linearizable: {workload: nope}", "linearizable: {model: mutex}"] {
            let text = format!(
                "name: p\ncluster: {{lab: 3}}\ntarget: etcd\nworkload: {{register: {{}}}}\ncheck:\n  - {check}\n"
            );
            assert!(said("register", &format!("  - {check}")).starts_with("`check[0]`"), "{check}");
            assert!(Plan::from_yaml_str(&text).is_ok(), "{check}");
        }
    }

    #[test]
    fn a_wrong_option_is_shown_with_its_line_and_a_caret() {
        let unknown = said("register", "  - crashes\n  - linearizable: {modle: register}");
        assert!(unknown.starts_with("unknown key `modle` in `check[1].linearizable`\n"), "{unknown}");
        let place = "--> plan.yaml:7:20\n  |\n7 |   - linearizable: {modle: register}\n  |                    ^^^^^";
        assert!(unknown.contains(place), "{unknown}");
        assert!(
            unknown.contains("did you mean `model`?") && unknown.contains("known keys: initial, model"),
            "{unknown}"
        );
        let wrong = said("register", "  - liveness:\n      recover: soon");
        let says = "`check[0].liveness.recover`: recover takes a duration such as 500ms, 5s or 1h30m, not \"soon\"\n";
        assert!(wrong.starts_with(says), "{wrong}");
        assert!(wrong.contains("7 |       recover: soon\n  |                ^^^^"), "{wrong}");
        let shape = said("register", "  - liveness: [recover]");
        assert!(shape.contains("`check[0].liveness`") && shape.contains("6 |   - liveness: [recover]"), "{shape}");
        let number = said("register", "  - 7");
        assert!(number.starts_with("`check[0]`: a checker: its name, or a map of its name"), "{number}");
        for kept in ["{recover: 10s}", "{recover_ms: 10000}", "{scope: any-node}", "", "{workload: register}"] {
            assert_eq!(said("register", &format!("  - liveness: {kept}")), "no error", "{kept}");
        }
    }

    #[test]
    fn a_checker_that_cannot_judge_the_workload_is_refused_with_those_that_can() {
        for (workload, functions) in [("register", &["read", "write", "cas"][..]), ("set", &["add", "read"])] {
            let reads = WORKLOADS.iter().find(|doc| doc.name == workload).expect("a workload").reads;
            let can = |doc: &&CheckerDoc| doc.judges.can_judge(functions, reads);
            let named: Vec<&str> = CHECKERS.iter().filter(can).map(|doc| doc.name).collect();
            for doc in CHECKERS {
                let said = said(workload, &format!("  - {}", doc.name));
                if can(&doc) {
                    assert_eq!(said, "no error", "{} of {workload}", doc.name);
                    continue;
                }
                let message =
                    format!("`check[0]`: the checker `{}` cannot judge what this plan runs ({workload})", doc.name);
                assert!(said.starts_with(&message), "{said}");
                assert!(said.ends_with(&format!("= those that can: {}", named.join(", "))), "{said}");
                assert!(said.contains(&format!("6 |   - {}", doc.name)), "{said}");
            }
        }
        let none = said("register", "  - linearizable: {workload: set}");
        assert!(none.contains("this plan has no workload `set`") && none.contains("its workloads: register"), "{none}");
    }

    /// Which checkers can judge which workloads, as lines: of each workload of dsfuzz, and of a workload with all functions that
    /// a checker knows.
    fn judged() -> String {
        let names = |can: &dyn Fn(&CheckerDoc) -> bool| -> String {
            let fitting: Vec<&str> = CHECKERS.iter().filter(|doc| can(doc)).map(|doc| doc.name).collect();
            fitting.join(", ")
        };
        let mut lines = String::from("# workload: the checkers that can judge it\n");
        for doc in WORKLOADS {
            let can = |checker: &CheckerDoc| said(doc.name, &format!("  - {}", checker.name)) == "no error";
            lines += &format!("{}: {}\n", doc.name, names(&can));
        }
        lines += "\n# checker: functions of which it needs one | others that it knows | replies of reads | runs as a whole\n";
        for CheckerDoc { name, judges, .. } in CHECKERS {
            let (needs, knows) = (judges.needs.join(" "), judges.knows.join(" "));
            lines += &format!("{name}: {needs} | {knows} | {:?} | {}\n", judges.reads, judges.runs);
        }
        lines +=
            "\n# functions of a workload, replies of its reads: the checkers that can judge it beside those of runs\n";
        for CheckerDoc { name, judges, .. } in CHECKERS.iter().filter(|doc| !doc.judges.needs.is_empty()) {
            let functions: Vec<&str> = judges.needs.iter().chain(judges.knows).copied().collect();
            let can =
                |doc: &CheckerDoc| !doc.judges.runs && doc.can_judge(&Options::default(), &functions, judges.reads);
            let fitting = names(&can);
            assert!(judges.runs || fitting.split(", ").any(|fit| fit == *name), "{name} cannot judge what it knows");
            let line = format!("{}, {:?}: {fitting}\n", functions.join(" "), judges.reads);
            if !lines.contains(&line) {
                lines += &line;
            }
        }
        lines
    }

    /// With `DSFUZZ_BLESS` set the list is written anew.
    #[test]
    fn which_checkers_can_judge_a_workload_is_listed() {
        let (listed, judged) = (include_str!("check/can_judge.txt"), judged());
        if std::env::var_os("DSFUZZ_BLESS").is_some() {
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/plan/check/can_judge.txt");
            std::fs::write(file, judged).expect("the list can be written");
            return;
        }
        let anew = "DSFUZZ_BLESS=1 cargo test -p dsfuzz --lib which_checkers_can_judge";
        for (listed, judged) in listed.lines().zip(judged.lines()) {
            assert_eq!(listed, judged, "if this is meant, write the list anew: {anew}");
        }
        assert!(listed == judged, "lines were added or removed; if this is meant, write the list anew: {anew}");
    }

    #[test]
    fn the_schema_of_a_plan_describes_each_checker_with_its_options() {
        let schema = reference::schema();
        let choices = schema["$defs"]["CheckPlan"]["oneOf"].as_array().expect("choices");
        for doc in CHECKERS {
            assert!(choices.iter().any(|choice| choice["const"] == doc.name), "{}", doc.name);
            let with =
                choices.iter().find(|choice| choice["properties"].get(doc.name).is_some()).expect("with options");
            assert_eq!((&with["additionalProperties"], &with["required"][0]), (&Value::Bool(false), &doc.name.into()));
            let reference = with["properties"][doc.name]["$ref"].as_str().expect("a reference");
            let options = &schema["$defs"][reference.rsplit('/').next().expect("a name")];
            assert_eq!(options["additionalProperties"], Value::Bool(false), "{}", doc.name);
            for option in doc.option_docs() {
                assert!(options["properties"].get(&option.name).is_some(), "{}: {}", doc.name, option.name);
            }
            let described = options["properties"].as_object().expect("properties").len();
            assert_eq!(described, doc.option_docs().len(), "{}", doc.name);
        }
    }
}

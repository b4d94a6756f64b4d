//! The effective plan: every default written out, in YAML that every reader understands, with secrets redacted.
//!
//! Never: tags, aliases, or a bare `no`, `on` or `1e3` for a text.
use super::Plan;
use crate::document;
use crate::secrets;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

impl Plan {
    /// The effective plan. Reading it back gives the same plan, except for redacted secrets.
    pub fn to_yaml(&self) -> Result<String, serde_json::Error> {
        let mut text = String::new();
        write_value(&mut text, &in_order(self.to_json()?), 0);
        Ok(text)
    }

    /// What plans have in common that test the same, wherever their recipe lies.
    pub fn without_target(&self) -> Result<String, serde_json::Error> {
        Plan { target: String::new(), ..self.clone() }.to_yaml()
    }

    /// The effective plan as one JSON value.
    pub fn to_json(&self) -> Result<Value, serde_json::Error> {
        let mut tree = serde_json::to_value(self)?;
        // The commands of custom faults are texts of the user, too.
        for part in ["options", "nemesis"] {
            if let Some(part) = tree.get_mut(part) {
                secrets::redact_value(part);
            }
        }
        Ok(tree)
    }
}

/// The keys of the top level in the order in which the documentation names them; deeper ones by name.
fn in_order(tree: Value) -> Vec<(String, Value)> {
    const ORDER: &[&str] =
        &["name", "seed", "cluster", "target", "options", "workload", "workloads", "load", "nemesis", "check"];
    let Value::Object(map) = tree else { return Vec::new() };
    let mut entries: Vec<(String, Value)> = map.into_iter().collect();
    entries.sort_by_key(|(key, _)| ORDER.iter().position(|known| known == key).unwrap_or(ORDER.len()));
    entries
}

/// Options of a target without those named like secrets.
pub fn redacted(options: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let mut tree = Value::Object(options.clone().into_iter().collect());
    secrets::redact_value(&mut tree);
    match tree {
        Value::Object(map) => map.into_iter().collect(),
        _ => BTreeMap::new(),
    }
}

fn write_value(out: &mut String, entries: &[(String, Value)], indent: usize) {
    for (key, value) in entries {
        let _ = write!(out, "{:indent$}{}:", "", text(key));
        write_after(out, value, indent);
    }
}

/// The text after `key:` or `-`.
fn write_after(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            let entries: Vec<(String, Value)> = map.clone().into_iter().collect();
            write_value(out, &entries, indent + 2);
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            out.push('\n');
            for item in items {
                let _ = write!(out, "{:indent$}  -", "");
                write_after(out, item, indent + 2);
            }
        }
        other => {
            let _ = writeln!(out, " {}", inline(other));
        }
    }
}

/// A value in a plan's form on one line, without absent options: `{kill: {nodes: leader}}`.
pub fn on_one_line(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let entries = map.iter().filter(|(_, value)| !value.is_null());
            let entries: Vec<String> =
                entries.map(|(key, value)| format!("{}: {}", text(key), on_one_line(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(on_one_line).collect::<Vec<_>>().join(", ")),
        scalar => inline(scalar),
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(value) => text(value),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(_) => "{}".into(),
    }
}

/// A text: plain if every reader takes it for the same text, else in double quotes (JSON, a part of YAML).
fn text(value: &str) -> String {
    let first = value.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '~'));
    let rest = value.chars().all(|c| c.is_ascii_alphanumeric() || "/_.-+@~ ".contains(c)) && value.trim() == value;
    if first && rest && !misread(value) && document::reads_back(value) {
        value.into()
    } else {
        Value::from(value).to_string()
    }
}

/// Words and numbers that YAML 1.1 reads as other types.
fn misread(value: &str) -> bool {
    let words = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"];
    let number = value.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, '_' | '.' | '+' | '-' | 'x' | 'o' | 'E'));
    words.contains(&value.to_lowercase().as_str()) || (number && value.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_yaml_misreads_are_quoted_and_names_are_not() {
        for quoted in
            ["no", "Yes", "on", "012", "1.10", "1e3", "2026-11-20", "", " x", "a: b", "#x", "- x", "null", "~"]
        {
            assert!(text(quoted).starts_with('"'), "{quoted} -> {}", text(quoted));
        }
        for bare in ["etcd", "60s", "2n", "n1", "isolate-leader", "/var/lib/x", "1m 30s", "400/s"] {
            assert_eq!(text(bare), bare);
        }
    }

    #[test]
    fn a_value_on_one_line_leaves_out_what_is_left_out() {
        let value = serde_json::json!({"kill": {"nodes": ["n1", "no"], "for": null}});
        assert_eq!(on_one_line(&value), r#"{kill: {nodes: [n1, "no"]}}"#);
    }

    #[test]
    fn an_effective_plan_reads_back_and_hides_secrets() {
        let plan = "name: p\ncluster: {nodes: ['no', n2], ssh: {password_env: PASS}}\ntarget: etcd\nworkloads: [set, register]\n\
            options: {etcd: {version: '3.40', list: [[1, 'a\"b'], {x: null}], nothing: {}}}\nload: {rate: 10, clients: 3n}\nseed: 18446744073709551615\n";
        let mut plan = Plan::from_yaml_str(plan).unwrap();
        let text = plan.to_yaml().unwrap();
        assert_eq!(Plan::from_yaml_str(&text).unwrap(), plan, "{text}");
        assert!(text.contains("[\"no\", n2]") && text.contains("password_env: PASS"), "{text}");
        let options = plan.options.entry("etcd".into()).or_default();
        options.insert("nested".into(), serde_json::json!([{"rootPassword": "hunter2", "token_env": "T"}]));
        let text = plan.to_yaml().unwrap();
        assert!(!text.contains("hunter2") && text.contains("(redacted)") && text.contains("token_env: T"), "{text}");
    }
}

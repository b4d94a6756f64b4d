//! Placeholders of paths and bodies: `{key}`, `{value}`, `{value/0}` (a JSON pointer into the argument), `{process}`, `{workload}`,
//! `{run}`, `{token}` (the last reply to `acquire`).
use serde_json::{Map, Value};

/// What placeholders stand for.
pub(crate) struct Names<'a> {
    pub(crate) key: &'a Value,
    pub(crate) value: &'a Value,
    pub(crate) process: u64,
    pub(crate) workload: &'a str,
    pub(crate) run: &'a str,
    pub(crate) token: &'a Value,
}

impl Names<'_> {
    fn get(&self, name: &str) -> Option<Value> {
        match name {
            "key" => Some(self.key.clone()),
            "value" => Some(self.value.clone()),
            "process" => Some(Value::from(self.process)),
            "workload" => Some(Value::from(self.workload)),
            "run" => Some(Value::from(self.run)),
            "token" => Some(self.token.clone()),
            _ => Some(self.value.pointer(name.strip_prefix("value").filter(|at| at.starts_with('/'))?)?.clone()),
        }
    }

    /// A text with its placeholders filled in; what is no placeholder stays.
    pub(crate) fn fill(&self, template: &str) -> String {
        let (mut filled, mut rest) = (String::new(), template);
        while let Some(start) = rest.find('{') {
            filled.push_str(&rest[..start]);
            rest = &rest[start..];
            let name = rest.find('}').map(|end| &rest[1..end]);
            match name.and_then(|name| self.get(name).map(|value| (name, value))) {
                Some((name, value)) => {
                    filled.push_str(&text(&value));
                    rest = &rest[name.len() + 2..];
                }
                None => {
                    filled.push('{');
                    rest = &rest[1..];
                }
            }
        }
        filled + rest
    }

    /// A body. A text that is a placeholder alone becomes the value itself, with its type.
    pub(crate) fn fill_body(&self, template: &Value) -> Value {
        match template {
            Value::String(text) => {
                let alone = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
                alone.and_then(|name| self.get(name)).unwrap_or_else(|| Value::from(self.fill(text)))
            }
            Value::Array(list) => list.iter().map(|element| self.fill_body(element)).collect(),
            Value::Object(entries) => {
                let filled = entries.iter().map(|(name, value)| (self.fill(name), self.fill_body(value)));
                Value::Object(filled.collect::<Map<String, Value>>())
            }
            other => other.clone(),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A reply's value: numbers in texts are numbers, as dsfuzz writes numbers alone.
pub(crate) fn typed(value: Value) -> Value {
    match value {
        Value::String(text) => text.trim().parse::<i64>().map_or(Value::String(text), Value::from),
        Value::Array(list) => list.into_iter().map(typed).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn placeholders_keep_their_types_in_bodies_and_are_text_in_paths() {
        let (key, value, token) = (json!(3), json!([null, 8]), json!("t1"));
        let names = Names { key: &key, value: &value, process: 4, workload: "register", run: "r", token: &token };
        assert_eq!(names.fill("/{workload}/{key}?by={process}&t={token}&{other}{"), "/register/3?by=4&t=t1&{other}{");
        let body = json!({"from": "{value/0}", "to": "{value/1}", "why": "{run}: {value}", "all": ["{value}"], "n": 1});
        let filled = json!({"from": null, "to": 8, "why": "r: [null,8]", "all": [[null, 8]], "n": 1});
        assert_eq!(names.fill_body(&body), filled);
        assert_eq!(typed(json!(["12", " 7\n", "x", 1.5])), json!([12, 7, "x", 1.5]));
    }
}

//! [`Scope`]: the names that a recipe's texts may use on one node (`{{ node.address }}`, `{{ port.client }}`).
//!
//! The syntax is Jinja's. An unknown name is an error, never an empty text.
use super::error::TargetError;
use super::recipe::Argv;
use crate::cluster::Node;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The variables of a recipe's texts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct TemplateVariables {
    /// This node.
    pub(super) node: NodeNames,
    /// All nodes, in the plan's order.
    pub(super) nodes: Vec<NodeNames>,
    /// The first node.
    pub(super) first: NodeNames,
    /// The target's folder on every node.
    pub(super) dir: String,
    /// The target's name.
    pub(super) target: String,
    /// Ports by role.
    pub(super) port: BTreeMap<String, u16>,
    /// Options of the recipe as the plan sets them.
    pub(super) options: BTreeMap<String, serde_json::Value>,
    /// Folders of the packages from a registry, by name.
    pub(super) package: BTreeMap<String, String>,
    /// Outputs of a `gather` step by node, once they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gathered: Option<BTreeMap<String, String>>,
    /// The environment of every command.
    #[serde(skip)]
    pub(super) env: BTreeMap<String, String>,
}

/// A node in a recipe's texts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct NodeNames {
    /// Its name.
    pub(super) name: String,
    /// Its address.
    pub(super) address: String,
    /// Its address for a URL: an IPv6 address in brackets.
    pub(super) host: String,
    /// Its position, counted from 1.
    pub(super) index: usize,
    /// Whether it is the first.
    pub(super) first: bool,
}

impl NodeNames {
    /// The node at a position, counted from 0.
    pub(super) fn new(node: &Node, position: usize) -> NodeNames {
        NodeNames {
            name: node.name.to_string(),
            address: node.address.to_string(),
            host: url_host(&node.address),
            index: position + 1,
            first: position == 0,
        }
    }
}

/// An address for a URL.
pub(super) fn url_host(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(plain) => plain.to_string(),
        IpAddr::V6(long) => format!("[{long}]"),
    }
}

/// Fills in a text that is the same for all nodes and may use options only.
pub(super) fn of_options(
    options: &BTreeMap<String, serde_json::Value>,
    origin: &str,
    place: &str,
    template: &str,
) -> Result<String, TargetError> {
    #[derive(Serialize)]
    struct Options<'a> {
        options: &'a BTreeMap<String, serde_json::Value>,
    }
    Scope::over(minijinja::Value::from_serialize(Options { options }), origin).text(place, template)
}

/// Fills in a text that is the same for all nodes and may use options and the names of the nodes.
pub(super) fn of_plan(
    options: &BTreeMap<String, serde_json::Value>,
    nodes: &[String],
    origin: &str,
    place: &str,
    template: &str,
) -> Result<String, TargetError> {
    #[derive(Serialize)]
    struct NodeName<'a> {
        name: &'a str,
    }
    #[derive(Serialize)]
    struct PlanNames<'a> {
        options: &'a BTreeMap<String, serde_json::Value>,
        nodes: Vec<NodeName<'a>>,
    }
    let nodes = nodes.iter().map(|name| NodeName { name }).collect();
    Scope::over(minijinja::Value::from_serialize(PlanNames { options, nodes }), origin).text(place, template)
}

/// Fills in texts for one node.
pub(super) struct Scope {
    engine: Environment<'static>,
    names: minijinja::Value,
    origin: String,
}

impl Scope {
    /// For the recipe at `origin`.
    pub(super) fn new(names: &TemplateVariables, origin: &str) -> Scope {
        Scope::over(minijinja::Value::from_serialize(names), origin)
    }

    /// For texts that no node reads: without the target's folder on a node.
    pub(super) fn without_dir(names: &TemplateVariables, origin: &str) -> Scope {
        let mut names = serde_json::to_value(names).unwrap_or_default();
        if let Some(names) = names.as_object_mut() {
            names.remove("dir");
        }
        Scope::over(minijinja::Value::from_serialize(names), origin)
    }

    fn over(names: minijinja::Value, origin: &str) -> Scope {
        let mut engine = Environment::empty();
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        engine.set_keep_trailing_newline(true);
        engine.set_trim_blocks(true);
        engine.set_lstrip_blocks(true);
        engine.set_auto_escape_callback(|_| AutoEscape::None);
        // Configuration files and JSON know `true`, not Python's `True`.
        engine.set_formatter(|out, state, value| match bool::try_from(value.clone()) {
            Ok(value) => Ok(write!(out, "{value}")?),
            Err(_) => minijinja::escape_formatter(out, state, value),
        });
        engine.set_recursion_limit(50);
        engine.add_filter("join", minijinja::filters::join);
        engine.add_filter("map", minijinja::filters::map);
        engine.add_filter("default", minijinja::filters::default);
        engine.add_filter("length", minijinja::filters::length);
        Scope { engine, names, origin: origin.to_owned() }
    }

    /// Fills in one text; `place` is its key in the recipe.
    pub(super) fn text(&self, place: &str, template: &str) -> Result<String, TargetError> {
        if !["{{", "{%", "{#"].iter().any(|mark| template.contains(mark)) {
            return Ok(template.to_owned());
        }
        self.engine.render_named_str(place, &keeping_line_breaks(template), &self.names).map_err(|error| {
            let line = error.line().unwrap_or(1);
            let source = template.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
            TargetError::Recipe {
                origin: self.origin.clone(),
                place: format!("{place}, its line {line} (`{source}`): "),
                message: format!(
                    "{error}; a text may use node, nodes, first, dir, target, port.<role>, options.<name>, package[<name>], and in \
                     recovery gathered.<node> (docs/recipe.md)"
                ),
            }
        })
    }

    /// Fills in the texts of a JSON value.
    pub(super) fn json(&self, place: &str, value: &serde_json::Value) -> Result<serde_json::Value, TargetError> {
        use serde_json::Value as Json;
        Ok(match value {
            Json::String(text) => Json::String(self.text(place, text)?),
            Json::Array(items) => {
                let filled = items.iter().enumerate().map(|(at, item)| self.json(&format!("{place}[{at}]"), item));
                Json::Array(filled.collect::<Result<_, _>>()?)
            }
            Json::Object(entries) => {
                let filled =
                    entries.iter().map(|(name, item)| Ok((name.clone(), self.json(&format!("{place}.{name}"), item)?)));
                Json::Object(filled.collect::<Result<_, TargetError>>()?)
            }
            plain => plain.clone(),
        })
    }

    /// Fills in a command. An argument written with `{% %}` that turns out empty is left out.
    pub(super) fn argv(&self, place: &str, argv: &Argv) -> Result<Vec<String>, TargetError> {
        let mut words = Vec::with_capacity(argv.0.len());
        for (position, template) in argv.0.iter().enumerate() {
            let word = self.text(&format!("{place}[{position}]"), template)?;
            if !(word.is_empty() && template.contains("{%")) {
                words.push(word);
            }
        }
        Ok(words)
    }

    /// Fills in the values of a map.
    pub(super) fn map(
        &self,
        place: &str,
        map: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, TargetError> {
        map.iter().map(|(name, value)| Ok((name.clone(), self.text(&format!("{place}.{name}"), value)?))).collect()
    }
}

/// Marks the tags of lines that have more than tags, so that their indentation and line break stay. A line of tags alone
/// leaves no line (the engine's trimming).
fn keeping_line_breaks(template: &str) -> String {
    let mut out = String::with_capacity(template.len() + 16);
    let mut line = TemplateLine::default();
    let mut rest = template;
    while let Some(open) = rest.find(['\n', '{']) {
        line.text(&rest[..open]);
        rest = &rest[open..];
        let length = match rest.as_bytes() {
            [b'\n', ..] => {
                line.text("\n");
                line.end(&mut out);
                rest = &rest[1..];
                continue;
            }
            [b'{', b'%', ..] => tag_length(rest, "%}"),
            [b'{', b'#', ..] => tag_length(rest, "#}"),
            [b'{', b'{', ..] => {
                let length = tag_length(rest, "}}");
                line.text(&rest[..length]);
                rest = &rest[length..];
                continue;
            }
            _ => {
                line.text("{");
                rest = &rest[1..];
                continue;
            }
        };
        line.tag(&rest[..length]);
        rest = &rest[length..];
        if line.opens_raw() {
            let end = rest.find("endraw").unwrap_or(rest.len());
            let end = rest[..end].rfind("{%").unwrap_or(end);
            line.text(&rest[..end]);
            rest = &rest[end..];
        }
    }
    line.text(rest);
    line.end(&mut out);
    out
}

/// The length of a tag, from its opening to its end.
fn tag_length(text: &str, end: &str) -> usize {
    text[2..].find(end).map_or(text.len(), |at| at + 2 + end.len())
}

/// One line of a template, in pieces.
#[derive(Default)]
struct TemplateLine<'t> {
    pieces: Vec<(bool, &'t str)>,
}

impl<'t> TemplateLine<'t> {
    fn text(&mut self, text: &'t str) {
        self.pieces.push((false, text));
    }

    fn tag(&mut self, tag: &'t str) {
        self.pieces.push((true, tag));
    }

    fn opens_raw(&self) -> bool {
        self.pieces.last().is_some_and(|(tag, text)| {
            *tag && text.trim_start_matches(['{', '%', '-', '+', ' ']).trim_end_matches(['}', '%', '-', '+', ' '])
                == "raw"
        })
    }

    fn end(&mut self, out: &mut String) {
        let only_tags = self.pieces.iter().all(|(tag, text)| *tag || text.trim().is_empty());
        for (tag, text) in self.pieces.drain(..) {
            let controlled = |byte: Option<&u8>| matches!(byte, Some(b'-' | b'+'));
            let bytes = text.as_bytes();
            if !tag || only_tags || bytes.len() < 4 {
                out.push_str(text);
                continue;
            }
            let (begin, middle, end) = (&text[..2], &text[2..text.len() - 2], &text[text.len() - 2..]);
            let before = if controlled(bytes.get(2)) { "" } else { "+" };
            let after = if controlled(bytes.get(bytes.len() - 3)) { "" } else { "+" };
            out.extend([begin, before, middle, after, end]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn scope() -> Scope {
        let nodes: Vec<NodeNames> = ["10.0.0.1", "fd00::2"]
            .iter()
            .enumerate()
            .map(|(position, address)| {
                let node = Node { name: Arc::from(format!("n{}", position + 1)), address: address.parse().unwrap() };
                NodeNames::new(&node, position)
            })
            .collect();
        let names = TemplateVariables {
            node: nodes[1].clone(),
            first: nodes[0].clone(),
            nodes,
            dir: "/d".into(),
            target: "t".into(),
            port: BTreeMap::from([("client".into(), 7)]),
            options: BTreeMap::from([("on".into(), true.into())]),
            package: BTreeMap::new(),
            gathered: None,
            env: BTreeMap::new(),
        };
        Scope::new(&names, "r.yaml")
    }

    #[test]
    fn texts_are_filled_in() {
        let cases = [
            ("{{ node.name }}={{ dir }}:{{ port.client }}", "n2=/d:7"),
            (
                "{% for n in nodes %}{{ n.name }}=http://{{ n.host }}{% if not loop.last %},{% endif %}{% endfor %}",
                "n1=http://10.0.0.1,n2=http://[fd00::2]",
            ),
            ("{{ nodes | map(attribute='address') | join(' ') }}", "10.0.0.1 fd00::2"),
            ("a\n{% if node.first %}\nb\n{% endif %}\nc\n", "a\nc\n"),
            ("<&> {{ first.address }}", "<&> 10.0.0.1"),
            // A tag at a line's end keeps the line break, one at its begin the indentation.
            (
                "a={% if options.on %}yes{% else %}no{% endif %}\nb={% if options.on %}1{% endif %}\nc\n",
                "a=yes\nb=1\nc\n",
            ),
            ("  {% if options.on %}x{% endif %}\ny: {# z #}\n", "  x\ny: \n"),
            ("{% for n in nodes %}\n  - {{ n.name }}\n{% endfor %}\nend\n", "  - n1\n  - n2\nend\n"),
            ("  {% if options.on %}{% endif %}\nend", "end"),
            ("{% raw %}a {% if %}\n{{ b }}{% endraw %}\nc", "a {% if %}\n{{ b }}\nc"),
            ("x {%- if options.on -%} y {%- endif %}\nz", "xy\nz"),
            ("{\"on\": {{ options.on }}, \"n\": {{ port.client }}}", "{\"on\": true, \"n\": 7}"),
        ];
        for (template, expected) in cases {
            assert_eq!(scope().text("files[0].content", template).unwrap(), expected);
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_with_its_place() {
        for template in ["ok\n{{ node.adress }}\n", "ok\n{{ prot.client }}", "ok\n{{ port.peer }}", "ok\n{% if x %}"] {
            let message = scope().text("files[0].content", template).unwrap_err().to_string();
            assert!(message.starts_with("r.yaml: files[0].content, its line 2"), "{message}");
        }
    }

    #[test]
    fn an_argument_may_vanish_only_where_it_says_so() {
        let argv = Argv(vec![
            "p".into(),
            "{% if options.on %}--x{% endif %}".into(),
            "{% if not options.on %}--y{% endif %}".into(),
            String::new(),
        ]);
        assert_eq!(scope().argv("start", &argv).unwrap(), ["p", "--x", ""]);
    }
}

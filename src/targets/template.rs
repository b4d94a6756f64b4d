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

/// What the texts of a recipe see.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Names {
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
}

/// A node, as the texts of a recipe see it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct NodeNames {
    /// Its name.
    pub(super) name: String,
    /// Its address.
    pub(super) address: String,
    /// Its address as it stands in a URL: in brackets where it is IPv6.
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

/// An address as it stands in a URL.
pub(super) fn url_host(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(plain) => plain.to_string(),
        IpAddr::V6(long) => format!("[{long}]"),
    }
}

/// Fills in a text that stands for all nodes alike and may use options alone.
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

/// Fills in texts for one node.
pub(super) struct Scope {
    engine: Environment<'static>,
    names: minijinja::Value,
    origin: String,
}

impl Scope {
    /// For the recipe at `origin`.
    pub(super) fn new(names: &Names, origin: &str) -> Scope {
        Scope::over(minijinja::Value::from_serialize(names), origin)
    }

    fn over(names: minijinja::Value, origin: &str) -> Scope {
        let mut engine = Environment::empty();
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        engine.set_keep_trailing_newline(true);
        engine.set_trim_blocks(true);
        engine.set_lstrip_blocks(true);
        engine.set_auto_escape_callback(|_| AutoEscape::None);
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
        self.engine.render_named_str(place, template, &self.names).map_err(|error| {
            let line = error.line().unwrap_or(1);
            let source = template.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
            TargetError::Recipe {
                origin: self.origin.clone(),
                place: format!("{place}, its line {line} (`{source}`): "),
                message: format!(
                    "{error}; a text may use node, nodes, first, dir, target, port.<role>, options.<name> (docs/recipe.md)"
                ),
            }
        })
    }

    /// Fills in a command. An argument that is written with `{% %}` and comes out empty is left out.
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
        let names = Names {
            node: nodes[1].clone(),
            first: nodes[0].clone(),
            nodes,
            dir: "/d".into(),
            target: "t".into(),
            port: BTreeMap::from([("client".into(), 7)]),
            options: BTreeMap::from([("on".into(), true.into())]),
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

//! Statements with named parameters (`:key`), written out with literals.
use crate::settings::Dialect;

/// What a parameter stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// A number.
    Int(i64),
    /// A text, quoted.
    Text(String),
    /// Several numbers, with commas between.
    Ints(Vec<i64>),
    /// A name or a part of a statement, as it is.
    Raw(String),
    /// `null`.
    Null,
}

impl From<i64> for Literal {
    fn from(value: i64) -> Literal {
        Literal::Int(value)
    }
}

impl Literal {
    fn write(&self, dialect: Dialect, to: &mut String) {
        match self {
            Literal::Int(value) => to.push_str(&value.to_string()),
            Literal::Ints(values) => {
                let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
                to.push_str(&texts.join(", "));
            }
            Literal::Raw(text) => to.push_str(text),
            Literal::Null => to.push_str("null"),
            Literal::Text(text) => {
                let doubled = text.replace('\'', "''");
                let escaped = if dialect.is_mysql() { doubled.replace('\\', "\\\\") } else { doubled };
                to.push('\'');
                to.push_str(&escaped);
                to.push('\'');
            }
        }
    }
}

/// The name of a table or schema, quoted.
pub fn identifier(name: &str, dialect: Dialect) -> String {
    if dialect.is_mysql() { format!("`{name}`") } else { format!("\"{name}\"") }
}

/// The parts of a statement: texts and parameters in turn. What stands in single quotes, and `::`, is text.
fn split(template: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (bytes, mut start, mut at, mut quoted) = (template.as_bytes(), 0, 0, false);
    while at < bytes.len() {
        let named = bytes.get(at + 1).is_some_and(|next| next.is_ascii_lowercase());
        let cast = at > 0 && bytes[at - 1] == b':';
        match bytes[at] {
            b'\'' => quoted = !quoted,
            b':' if !quoted && named && !cast => {
                let is_name = |byte: &&u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || **byte == b'_';
                let length = bytes[at + 1..].iter().take_while(is_name).count();
                parts.push(Part::Text(&template[start..at]));
                parts.push(Part::Parameter(&template[at + 1..at + 1 + length]));
                at += length;
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    parts.push(Part::Text(&template[start..]));
    parts
}

enum Part<'a> {
    Text(&'a str),
    Parameter(&'a str),
}

/// The parameters of a statement, in their order.
pub fn parameters(template: &str) -> Vec<&str> {
    split(template)
        .into_iter()
        .filter_map(|part| if let Part::Parameter(name) = part { Some(name) } else { None })
        .collect()
}

/// The statement with its parameters. One that is not given stays as it is, and the server refuses it.
pub fn render(template: &str, dialect: Dialect, values: &[(&str, Literal)]) -> String {
    let mut statement = String::with_capacity(template.len() + 32);
    for part in split(template) {
        match part {
            Part::Text(text) => statement.push_str(text),
            Part::Parameter(name) => match values.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => value.write(dialect, &mut statement),
                None => {
                    statement.push(':');
                    statement.push_str(name);
                }
            },
        }
    }
    statement
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_written_out_but_not_within_quotes_or_casts() {
        let values = [("key", Literal::Int(-3)), ("name", Literal::Text("it's \\".to_owned())), ("k", Literal::Null)];
        let rendered = |template, dialect| render(template, dialect, &values);
        assert_eq!(
            rendered("select :key::bigint, ':key', :k, :name", Dialect::Postgresql),
            "select -3::bigint, ':key', null, 'it''s \\'"
        );
        assert_eq!(rendered(":name", Dialect::Mysql), "'it''s \\\\'");
        assert_eq!(rendered("a = :keys and t > '10:30'", Dialect::Mysql), "a = :keys and t > '10:30'");
        assert_eq!(parameters("insert :table values (:key, ':no', :value_2)::text"), ["table", "key", "value_2"]);
        assert_eq!(render("in (:ids)", Dialect::Mysql, &[("ids", Literal::Ints(vec![1, 2]))]), "in (1, 2)");
    }
}

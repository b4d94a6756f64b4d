//! [`Wait`]: a time, or a range that a time is drawn from.
use dsfuzz_rng::Rng;
use dsfuzz_span::Span;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A time that is written `30ms`, or a range to draw from, `100ms..300ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The shortest.
    pub from: Span,
    /// The longest.
    pub to: Span,
}

impl Wait {
    /// One time.
    pub fn of(span: Span) -> Wait {
        Wait { from: span, to: span }
    }

    /// The drawn time.
    pub fn draw(&self, rng: &mut Rng) -> Span {
        Span::millis(rng.between(self.from.as_millis(), self.to.as_millis()))
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.from == self.to {
            true => write!(f, "{}", self.from),
            false => write!(f, "{}..{}", self.from, self.to),
        }
    }
}

impl FromStr for Wait {
    type Err = String;

    fn from_str(text: &str) -> Result<Wait, String> {
        let Some((from, to)) = text.split_once("..") else { return text.parse().map(Wait::of) };
        let (from, to): (Span, Span) = (from.parse()?, to.parse()?);
        if from > to {
            return Err(format!("a range from the longer to the shorter time: {text} (write {to}..{from})"));
        }
        Ok(Wait { from, to })
    }
}

impl Serialize for Wait {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Wait, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Wait;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 30ms, or a range such as 100ms..300ms")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Wait, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Wait, E> {
                seconds.to_string().parse().map_err(E::custom)
            }
            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Wait, E> {
                seconds.to_string().parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Wait {
    fn schema_name() -> Cow<'static, str> {
        "Wait".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A duration such as 30ms, or a range such as 100ms..300ms, from which one is drawn.",
            "type": ["string", "number"]
        })
    }
}

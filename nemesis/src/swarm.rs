//! [`Swarm`]: each run draws which faults of the plan it has, and how often.
//!
//! A run that leaves features out finds what a run with all of them hides: one fault often keeps another from its effect (Groce,
//! Zhang, Eide, Chen, Regehr: "Swarm Testing", ISSTA 2012).
use dsfuzz_span::Span;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::borrow::Cow;
use std::fmt;

/// Whether each run draws a part of the plan's faults: `true`, `false` or options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Swarm {
    /// Every run has all faults.
    #[default]
    Off,
    /// Each run draws.
    On(SwarmOptions),
}

/// How a run draws its faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SwarmOptions {
    /// Chance of each entry of `faults` to be in a run, in percent. One at least is.
    pub chance: u8,
    /// Also draw how often each comes (one to three times as often as another), and how fast faults follow each other (half, the
    /// whole, or twice `every`).
    pub rates: bool,
}

impl Default for SwarmOptions {
    fn default() -> SwarmOptions {
        SwarmOptions { chance: 50, rates: true }
    }
}

impl Swarm {
    /// Whether every run has all faults.
    pub fn is_off(&self) -> bool {
        *self == Swarm::Off
    }
}

impl<'de> Deserialize<'de> for Swarm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Swarm, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Swarm;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, or options such as {chance: 50}")
            }
            fn visit_unit<E>(self) -> Result<Swarm, E> {
                Ok(Swarm::Off)
            }
            fn visit_bool<E>(self, on: bool) -> Result<Swarm, E> {
                Ok(if on { Swarm::On(SwarmOptions::default()) } else { Swarm::Off })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Swarm, A::Error> {
                SwarmOptions::deserialize(MapAccessDeserializer::new(map)).map(Swarm::On)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Swarm {
    fn schema_name() -> Cow<'static, str> {
        "Swarm".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let options = generator.subschema_for::<SwarmOptions>();
        json_schema!({
            "description": "Whether each run draws a part of `faults` from its seed: true, false, or options.",
            "anyOf": [{"type": "boolean"}, options]
        })
    }
}

/// The faults that a run drew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwarmDraw {
    /// Those that it has, in the plan's order, each with how often it comes beside the others.
    pub drawn: Vec<(String, u64)>,
    /// Those that it left out.
    pub not_drawn: Vec<String>,
    /// The kinds without any fault that was drawn.
    pub kinds_not_drawn: Vec<String>,
    /// Mean time from the begin of one fault to the begin of the next.
    pub every: Span,
}

impl SwarmDraw {
    /// Whether the run has no fault of this kind, because none was drawn.
    pub fn did_not_draw(&self, kind: &str) -> bool {
        self.kinds_not_drawn.iter().any(|not_drawn| not_drawn == kind)
    }
}

impl fmt::Display for SwarmDraw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |(name, weight): &(String, u64)| {
            if *weight == 1 { name.clone() } else { format!("{name} ({weight} times as often)") }
        };
        let drawn: Vec<String> = self.drawn.iter().map(one).collect();
        write!(f, "drew {}, every {}", drawn.join(", "), self.every)?;
        if !self.not_drawn.is_empty() {
            write!(f, "; not drawn: {}", self.not_drawn.join(", "))?;
        }
        Ok(())
    }
}

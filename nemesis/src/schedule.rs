//! [`ScheduledFault`]: one fault of a plan's schedule, with its begin: a time, or a trigger.
//!
//! A schedule is plan, record and repro in one form: a plan has it, `dsfuzz plan --as-schedule` prints the drawn faults in it, and
//! each run stores its faults in it as they were measured.
mod draw;
mod mistakes;
mod overlaps;
mod trigger;
mod wait;

pub(crate) use draw::scheduled;
pub use draw::{as_schedule, measured, planned};
pub use trigger::{Trigger, TriggerOptions, TriggerStep};
pub use wait::Wait;

use crate::facts::FaultFacts;
use crate::options::{FaultOptions, SymbolicFault};
use dsfuzz_span::Span;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

/// One fault of a schedule: `{id: a, at: 5.4s, for: 6s, kill: {nodes: [n3, n2]}}`.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduledFault {
    /// Its name in the plan, in the record and for other faults of the schedule.
    pub id: String,
    /// Its begin.
    pub begin: Begin,
    /// The time from there to the injection. A range is drawn from the seed.
    pub wait: Option<Wait>,
    /// Its duration. Left out: that of the fault's options, else `nemesis.for`.
    pub lasts: Option<Span>,
    /// The latest time of the load at which its trigger counts.
    pub unless_by: Option<Span>,
    /// Whether evidence asks for it.
    pub evidence: bool,
    /// The fault.
    pub fault: ScheduledKind,
}

/// The begin of a fault of a schedule.
#[derive(Clone, Debug, PartialEq)]
pub enum Begin {
    /// At this time of the load.
    At(Span),
    /// When this happens.
    When(Trigger),
}

/// The fault of an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum ScheduledKind {
    /// As a plan writes it: `kill: {nodes: n3}`. What its options leave open is drawn from the seed.
    Options(FaultOptions),
    /// With all its draws made, as an earlier run drew it: `exactly: ..`.
    Exactly(SymbolicFault),
}

impl ScheduledKind {
    /// The facts of its kind.
    pub fn facts(&self) -> &'static FaultFacts {
        match self {
            ScheduledKind::Options(options) => options.facts(),
            ScheduledKind::Exactly(fault) => fault.facts(),
        }
    }

    /// What evidence counts it as.
    pub fn counted_as(&self) -> String {
        match self {
            ScheduledKind::Options(options) => options.counted_as(),
            ScheduledKind::Exactly(fault) => fault.counted_as(),
        }
    }

    /// Its options; none with all draws made.
    pub fn options(&self) -> Option<&FaultOptions> {
        match self {
            ScheduledKind::Options(options) => Some(options),
            ScheduledKind::Exactly(_) => None,
        }
    }
}

impl ScheduledFault {
    /// Its duration, where `nemesis.for` is this.
    pub fn duration(&self, otherwise: Span) -> Span {
        let own = self.fault.options().and_then(FaultOptions::lasts);
        self.lasts.or(own).unwrap_or(otherwise)
    }
}

impl ScheduledFault {
    /// As a plan writes it, without what it leaves out: absent options, and the shapes of a partition with a cut.
    pub fn compact(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        without_nulls(&mut value);
        if let Some(partition) = value.get_mut("partition").and_then(serde_json::Value::as_object_mut)
            && partition.contains_key("cut")
        {
            partition.remove("shape");
        }
        value
    }
}

fn without_nulls(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(without_nulls);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// Keys of an entry beside the fault's name.
const KEYS: [&str; 8] = ["id", "at", "when", "wait", "for", "unless_by", "evidence", "exactly"];

pub(crate) fn yes() -> bool {
    true
}

static KNOWN: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| KEYS.into_iter().chain(crate::options::FAULTS.iter().map(|facts| facts.name)).collect());

impl<'de> Deserialize<'de> for ScheduledFault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ScheduledFault, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> de::Visitor<'de> for EntryVisitor {
    type Value = ScheduledFault;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fault of a schedule, such as {id: a, at: 5s, for: 6s, kill: {nodes: n3}}")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<ScheduledFault, A::Error> {
        let (mut id, mut at, mut when, mut wait, mut lasts, mut unless_by) = (None, None, None, None, None, None);
        let (mut evidence, mut faults) = (true, Vec::new());
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "id" => id = Some(map.next_value::<String>()?),
                "at" => at = map.next_value::<Option<Span>>()?,
                "when" => when = map.next_value::<Option<Trigger>>()?,
                "wait" => wait = map.next_value::<Option<Wait>>()?,
                "for" => lasts = map.next_value::<Option<Span>>()?,
                "unless_by" => unless_by = map.next_value::<Option<Span>>()?,
                "evidence" => evidence = map.next_value()?,
                "exactly" => faults.push(ScheduledKind::Exactly(map.next_value()?)),
                name => match FaultOptions::of_key(name, &mut map)? {
                    Some(options) => faults.push(ScheduledKind::Options(options)),
                    None => return Err(de::Error::unknown_field(name, &KNOWN)),
                },
            }
        }
        let id = id.ok_or_else(|| de::Error::missing_field("id"))?;
        let begin = match (at, when) {
            (Some(at), None) => Begin::At(at),
            (None, Some(when)) => Begin::When(when),
            (None, None) => return Err(de::Error::custom(format!("fault {id} has no begin: give it `at` or `when`"))),
            (Some(_), Some(_)) => {
                return Err(de::Error::custom(format!("fault {id} has both `at` and `when`: leave one of them out")));
            }
        };
        let names: Vec<&str> = faults.iter().map(|fault| fault.facts().name).collect();
        if names.len() > 1 {
            let both = names.join(" and ");
            let error = format!("entry {id} has several faults ({both}): an entry has one, and entries may overlap");
            return Err(de::Error::custom(error));
        }
        let Some(fault) = faults.pop() else {
            let known: Vec<&str> = crate::options::FAULTS.iter().map(|facts| facts.name).collect();
            let error =
                format!("entry {id} has no fault: name one, such as `kill: {{}}`; there are {}", known.join(", "));
            return Err(de::Error::custom(error));
        };
        Ok(ScheduledFault { id, begin, wait, lasts, unless_by, evidence, fault })
    }
}

impl Serialize for ScheduledFault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        match &self.begin {
            Begin::At(at) => map.serialize_entry("at", at)?,
            Begin::When(trigger) => map.serialize_entry("when", trigger)?,
        }
        if let Some(wait) = &self.wait {
            map.serialize_entry("wait", wait)?;
        }
        if let Some(lasts) = &self.lasts {
            map.serialize_entry("for", lasts)?;
        }
        if let Some(unless_by) = &self.unless_by {
            map.serialize_entry("unless_by", unless_by)?;
        }
        if !self.evidence {
            map.serialize_entry("evidence", &false)?;
        }
        match &self.fault {
            ScheduledKind::Exactly(fault) => map.serialize_entry("exactly", fault)?,
            ScheduledKind::Options(options) => {
                // The one key is the fault's name.
                if let Ok(serde_json::Value::Object(written)) = serde_json::to_value(options) {
                    for (name, options) in &written {
                        map.serialize_entry(name, options)?;
                    }
                }
            }
        }
        map.end()
    }
}

impl JsonSchema for ScheduledFault {
    fn schema_name() -> Cow<'static, str> {
        "ScheduledFault".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let span = |doc: &str, generator: &mut SchemaGenerator| {
            let mut schema = generator.subschema_for::<Span>();
            schema.insert("description".into(), doc.into());
            schema
        };
        let mut properties = serde_json::Map::new();
        let id = json_schema!({
            "type": "string",
            "description": "Its name: letters, digits, `-` and `_`. Other entries and the record name it so."
        });
        let at = span("Its begin: this time of the load.", generator);
        let mut when = generator.subschema_for::<Trigger>();
        when.insert("description".into(), "Its begin, instead of `at`: when this happens.".into());
        let mut wait = generator.subschema_for::<Wait>();
        wait.insert("description".into(), "The time from `at` or the trigger to the injection.".into());
        let lasts = span("Its duration. Left out: `nemesis.for`.", generator);
        let unless_by = span("The latest time of the load at which its trigger counts.", generator);
        let evidence = json_schema!({
            "type": "boolean",
            "default": true,
            "description": "Whether the run is unknown unless this fault was proven to be in force. `schedule.yaml` of a run has `false` at a drawn \
                            fault that was not proven there for half a second."
        });
        let exactly = json_schema!({
            "type": "object",
            "description": "Instead of the fault's name: a fault with all draws made, as `schedule.yaml` of a run has it."
        });
        let own = [id, at, when, wait, lasts, unless_by, evidence, exactly];
        for (key, schema) in KEYS.into_iter().zip(own) {
            properties.insert(key.to_owned(), schema.to_value());
        }
        for (name, schema) in FaultOptions::schemas(generator) {
            properties.insert(name.to_owned(), schema.to_value());
        }
        json_schema!({
            "description": "One fault of a schedule: its begin, its duration, and one fault under its name.",
            "type": "object",
            "properties": properties,
            "required": ["id"],
            "additionalProperties": false
        })
    }
}

#[cfg(test)]
mod tests;

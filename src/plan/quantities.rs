//! The written forms of [`Clients`], [`Rate`] and [`LabPlan`].
use super::{Clients, LabPlan, Rate};
use crate::lab::NODES_MAX;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

impl Clients {
    /// The number of clients in a cluster of this size.
    pub fn count(self, nodes: usize) -> u32 {
        match self {
            Clients::Total(count) => count,
            Clients::PerNode(each) => each.saturating_mul(u32::try_from(nodes).unwrap_or(u32::MAX)),
        }
    }

    /// The nodes without a client: client i is bound to node i, modulo the number of nodes.
    pub fn unbound(self, nodes: &[String]) -> &[String] {
        let bound = usize::try_from(self.count(nodes.len())).unwrap_or(usize::MAX).min(nodes.len());
        &nodes[bound..]
    }

    /// The sentence for fewer clients than nodes, with the number to set.
    pub fn too_few(self, nodes: &[String]) -> Option<String> {
        let (clients, count) = (self.count(nodes.len()), nodes.len());
        let few = !self.unbound(nodes).is_empty();
        few.then(|| {
            format!("load.clients is {clients} for {count} nodes; {count} or more, such as 1n, asks every node")
        })
    }
}

impl FromStr for Clients {
    type Err = String;

    fn from_str(text: &str) -> Result<Clients, String> {
        let text = text.trim();
        let (digits, each) = text.strip_suffix('n').map_or((text, false), |digits| (digits, true));
        match digits.parse::<u32>() {
            Ok(0) | Err(_) => Err(format!("not a number of clients: {text} (write 10, or 2n for two for each node)")),
            Ok(count) if each => Ok(Clients::PerNode(count)),
            Ok(count) => Ok(Clients::Total(count)),
        }
    }
}

impl fmt::Display for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Clients::Total(count) => write!(f, "{count}"),
            Clients::PerNode(each) => write!(f, "{each}n"),
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let text = text.trim();
        let number = text.strip_suffix("/s").unwrap_or(text);
        match number.parse::<f64>() {
            Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(Rate(rate)),
            _ => Err(format!("not a rate: {text} (write 400/s)")),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

macro_rules! written {
    ($type:ty, $what:literal, $name:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$type, E> {
                        number.to_string().parse().map_err(E::custom)
                    }
                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$type, E> {
                        number.to_string().parse().map_err(E::custom)
                    }
                    fn visit_f64<E: de::Error>(self, number: f64) -> Result<$type, E> {
                        number.to_string().parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"description": $what, "type": ["string", "number"]})
            }
        }
    };
}

written!(Clients, "a number of clients, or `2n` for two for each node", "Clients");
written!(Rate, "calls a second, such as 400/s", "Rate");

impl<'de> Deserialize<'de> for LabPlan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LabPlan, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = LabPlan;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of nodes, or the name of a lab that is up,")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<LabPlan, E> {
                Ok(LabPlan::Named(name.into()))
            }
            fn visit_u64<E: de::Error>(self, nodes: u64) -> Result<LabPlan, E> {
                let wrong = |_| E::custom(format!("a lab has 1 to {NODES_MAX} nodes, not {nodes}"));
                u16::try_from(nodes).map(LabPlan::Nodes).map_err(wrong)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_and_rates_are_read_as_people_write_them() {
        assert_eq!("2n".parse(), Ok(Clients::PerNode(2)));
        assert_eq!("10".parse(), Ok(Clients::Total(10)));
        assert!("0".parse::<Clients>().is_err() && "n".parse::<Clients>().is_err());
        assert_eq!("400/s".parse(), Ok(Rate(400.0)));
        assert!("-1/s".parse::<Rate>().is_err() && "0".parse::<Rate>().is_err());
        assert_eq!(Clients::PerNode(2).count(5), 10);
    }
}

//! Reads a [`Loss`] from a plan.
use super::{Loss, LossBursts};
use serde::{Deserialize, Deserializer, de};
use std::fmt;

impl<'de> Deserialize<'de> for Loss {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Loss, D::Error> {
        struct LossVisitor;
        impl<'de> de::Visitor<'de> for LossVisitor {
            type Value = Loss;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a percentage such as 30, or {percent: 30, burst: 5}")
            }
            fn visit_f64<E: de::Error>(self, percent: f64) -> Result<Loss, E> {
                Ok(Loss::Percent(percent))
            }
            fn visit_u64<E: de::Error>(self, percent: u64) -> Result<Loss, E> {
                Ok(Loss::Percent(percent as f64))
            }
            fn visit_i64<E: de::Error>(self, percent: i64) -> Result<Loss, E> {
                Ok(Loss::Percent(percent as f64))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Loss, A::Error> {
                LossBursts::deserialize(de::value::MapAccessDeserializer::new(map)).map(Loss::Bursts)
            }
        }
        deserializer.deserialize_any(LossVisitor)
    }
}

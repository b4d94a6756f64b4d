//! How many drawn faults may be in force at once.
use serde::{Deserializer, de};
use std::fmt;

/// Most faults that a plan may have in force at once.
pub(crate) const OVERLAP_MAX: u32 = 8;

/// Reads `overlap`, so that an error names its bounds.
pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = u32;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a whole number from 1 to {OVERLAP_MAX}")
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<u32, E> {
            u32::try_from(number).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
        }
    }
    deserializer.deserialize_u32(Visitor)
}

//! [`Span`]: a duration as people write it in a plan (`500ms`, `10s`, `1h30m`; a plain number is seconds).
//! [`written_as_text`]: reading and writing of other values with a unit.
#![forbid(unsafe_code)]
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A duration that is written `10s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

/// The longest duration, a thousand years: a point in time plus a duration never overflows.
const SPAN_MAX: Duration = Duration::from_secs(1000 * 365 * 24 * 3600);

/// The duration, unless it is longer than the limit.
fn bounded(span: Duration, written: impl fmt::Display) -> Result<Span, String> {
    if span > SPAN_MAX {
        Err(format!("no duration is longer than a thousand years: {written}"))
    } else {
        Ok(Span(span))
    }
}

impl Span {
    /// A number of seconds.
    pub const fn seconds(seconds: u64) -> Span {
        Span(Duration::from_secs(seconds))
    }

    /// A number of milliseconds.
    pub const fn millis(millis: u64) -> Span {
        Span(Duration::from_millis(millis))
    }

    /// In whole milliseconds; no duration that can be written has too many.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.0))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let text = text.trim();
        if text.starts_with('-') {
            return Err(format!("a duration cannot be negative: {text}"));
        }
        if let Ok(seconds) = text.parse::<f64>() {
            let span = Duration::try_from_secs_f64(seconds).map_err(|error| format!("{text}: {error}"))?;
            return bounded(span, text);
        }
        let span = humantime::parse_duration(text);
        bounded(span.map_err(|_| format!("not a duration: {text} (write 500ms, 10s, 5m, 1h30m)"))?, text)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 500ms, 10s or 1h30m")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<Span, E> {
                bounded(Duration::from_secs(seconds), seconds).map_err(E::custom)
            }
            fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<Span, E> {
                Err(E::custom(format!("a duration cannot be negative: {seconds}")))
            }
            fn visit_f64<E: serde::de::Error>(self, seconds: f64) -> Result<Span, E> {
                let span = Duration::try_from_secs_f64(seconds)
                    .map_err(|_| E::custom(format!("a duration cannot be negative or endless: {seconds}")))?;
                bounded(span, seconds).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl schemars::JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "title": "a duration such as 500ms, 5s or 1h30m",
            "description": "A duration: 500ms, 10s, 5m, 1h30m; a plain number is seconds.",
            "type": ["string", "number"]
        })
    }
}

/// Reads and writes a type as its text (`FromStr`, `Display`), also where a plan has a plain number. Its name and description stand in
/// its schema, with these further keys. The crate needs serde and schemars.
#[macro_export]
macro_rules! written_as_text {
    ($type:ty, $name:literal, $what:literal, $($key:tt: $value:tt),+ $(,)?) => {
        impl ::serde::Serialize for $type {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $type {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                struct Visitor;
                impl ::serde::de::Visitor<'_> for Visitor {
                    type Value = $type;
                    fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        f.write_str($what)
                    }
                    fn visit_str<E: ::serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                    fn visit_u64<E: ::serde::de::Error>(self, number: u64) -> Result<$type, E> {
                        number.to_string().parse().map_err(E::custom)
                    }
                    fn visit_i64<E: ::serde::de::Error>(self, number: i64) -> Result<$type, E> {
                        number.to_string().parse().map_err(E::custom)
                    }
                    fn visit_f64<E: ::serde::de::Error>(self, number: f64) -> Result<$type, E> {
                        number.to_string().parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }

        impl ::schemars::JsonSchema for $type {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                ::schemars::json_schema!({"description": $what, $($key: $value),+})
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [("500ms", 500), ("10s", 10_000), ("1h30m", 5_400_000), ("2.5", 2_500), ("3", 3_000)] {
            assert_eq!(text.parse::<Span>(), Ok(Span::millis(millis)), "{text}");
        }
        assert!("-3s".parse::<Span>().is_err_and(|error| error.contains("negative")));
        assert!("soon".parse::<Span>().is_err_and(|error| error.contains("not a duration")));
    }
}

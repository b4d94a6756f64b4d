//! [`Choice`]: an option with one value, or with a list of values to draw from.
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, IntoDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// One value, or several to draw from (each comes before any comes again). Never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice<T>(Vec<T>);

impl<T> Choice<T> {
    /// One value.
    pub fn one(item: T) -> Choice<T> {
        Choice(vec![item])
    }

    /// Several values; none if the list is empty.
    pub fn several(items: Vec<T>) -> Option<Choice<T>> {
        if items.is_empty() { None } else { Some(Choice(items)) }
    }

    /// All values, in the plan's order.
    pub fn items(&self) -> &[T] {
        &self.0
    }
}

impl<T: Serialize> Serialize for Choice<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [only] => only.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Choice<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Choice<T>, D::Error> {
        deserializer.deserialize_any(ChoiceVisitor(PhantomData))
    }
}

struct ChoiceVisitor<T>(PhantomData<T>);

impl<T> ChoiceVisitor<T> {
    fn single<'de, E: de::Error>(value: impl IntoDeserializer<'de, E>) -> Result<Choice<T>, E>
    where
        T: Deserialize<'de>,
    {
        T::deserialize(value.into_deserializer()).map(Choice::one)
    }
}

// An untagged enum would be shorter, but its only error is "did not match any variant".
impl<'de, T: Deserialize<'de>> de::Visitor<'de> for ChoiceVisitor<T> {
    type Value = Choice<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one value or a list of values")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Choice<T>, E> {
        Self::single(text)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Choice<T>, E> {
        Self::single(number)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Choice<T>, E> {
        Self::single(number)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Choice<T>, E> {
        Self::single(number)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Choice<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Choice::one)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Choice<T>, A::Error> {
        let items = Vec::<T>::deserialize(SeqAccessDeserializer::new(seq))?;
        Choice::several(items)
            .ok_or_else(|| de::Error::custom("an empty list: name at least one, or leave the key out"))
    }
}

impl<T: JsonSchema> JsonSchema for Choice<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("ChoiceOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<T>();
        json_schema!({"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsfuzz_span::Span;
    use serde_json::json;

    #[test]
    fn one_or_several_are_read_and_written_as_they_stand() {
        for value in [json!("1m"), json!(["1s", "10s"])] {
            let choice: Choice<Span> = serde_json::from_value(value.clone()).expect("a choice");
            assert_eq!(serde_json::to_value(&choice).expect("written"), value);
        }
        let seconds: Choice<Span> = serde_json::from_value(json!(3)).expect("a choice");
        assert_eq!(seconds.items(), [Span::seconds(3)]);
    }

    #[test]
    fn mistakes_keep_their_own_words() {
        let error = |value| serde_json::from_value::<Choice<Span>>(value).expect_err("a mistake").to_string();
        assert!(error(json!("soon")).contains("not a duration: soon"), "{}", error(json!("soon")));
        assert!(error(json!([])).contains("empty list"));
        assert!(error(json!(["-1s"])).contains("negative"));
    }
}

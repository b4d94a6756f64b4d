//! [`TcpQuestion`]: a connection to a port, with or without a text that is sent.
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// A TCP connection to a port. In YAML the role of the port alone, or a map.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TcpQuestion {
    /// Role of the port.
    pub port: String,
    /// Text to send. Empty: a connection is enough.
    pub send: String,
}

impl TcpQuestion {
    /// A connection to the port of this role.
    pub(super) fn to(port: &str) -> TcpQuestion {
        TcpQuestion { port: port.to_owned(), send: String::new() }
    }

    /// Connects, sends, closes this side, and reads until the other side closes.
    pub(super) async fn ask(&self, authority: &str) -> Result<String, String> {
        let named = |error: std::io::Error| format!("tcp {authority}: {error}");
        let mut stream = TcpStream::connect(authority).await.map_err(named)?;
        if self.send.is_empty() {
            return Ok(String::new());
        }
        stream.write_all(self.send.as_bytes()).await.map_err(named)?;
        stream.shutdown().await.map_err(named)?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await.map_err(named)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

impl JsonSchema for TcpQuestion {
    fn schema_name() -> Cow<'static, str> {
        "TcpQuestion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The role of a port, or a port with a text that is sent.",
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {"port": {"type": "string"}, "send": {"type": "string"}},
                    "required": ["port"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

impl<'de> Deserialize<'de> for TcpQuestion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TcpQuestion, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            port: String,
            #[serde(default)]
            send: String,
        }
        struct TcpVisitor;
        impl<'de> Visitor<'de> for TcpVisitor {
            type Value = TcpQuestion;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the role of a port, or {port, send}")
            }
            fn visit_str<E: de::Error>(self, role: &str) -> Result<TcpQuestion, E> {
                Ok(TcpQuestion::to(role))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TcpQuestion, A::Error> {
                let Fields { port, send } = Fields::deserialize(MapAccessDeserializer::new(map))?;
                Ok(TcpQuestion { port, send })
            }
        }
        deserializer.deserialize_any(TcpVisitor)
    }
}

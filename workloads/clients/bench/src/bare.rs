//! [`Bare`]: a connection of a library and the statements of the client program on it, without dsfuzz.
use crate::servers::System;
use async_nats::Request;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use dsfuzz_checkers::Value;
use dsfuzz_workloads::Call;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, cmd};
use serde_json::{Value as Json, json};
use std::error::Error;
use tokio_postgres::{NoTls, SimpleQueryMessage};

type Failure = Box<dyn Error + Send + Sync>;

/// One connection to a server.
#[derive(Debug)]
pub enum Bare {
    /// PostgreSQL.
    Postgres(tokio_postgres::Client),
    /// Redis.
    Redis(MultiplexedConnection),
    /// NATS.
    Nats(async_nats::Client),
}

impl Bare {
    /// Connects.
    ///
    /// # Errors
    /// Those of the library.
    pub async fn connect(system: System, port: u16) -> Result<Bare, Failure> {
        Ok(match system {
            System::Postgres => {
                let mut config = tokio_postgres::Config::new();
                config.host("127.0.0.1").port(port).user("postgres").dbname("postgres");
                let (client, connection) = config.connect(NoTls).await?;
                tokio::spawn(connection);
                Bare::Postgres(client)
            }
            System::Redis => {
                let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"))?;
                Bare::Redis(client.get_multiplexed_async_connection().await?)
            }
            System::Nats => Bare::Nats(async_nats::connect(format!("nats://127.0.0.1:{port}")).await?),
        })
    }

    /// Carries out a read or a write of a register, as the client program does: the same statements, the reply as a value.
    ///
    /// # Errors
    /// Those of the library and of the server.
    pub async fn call(&mut self, call: &Call) -> Result<Value, Failure> {
        let key = call.key.as_int().unwrap_or_default();
        let value = call.value.as_int();
        match self {
            Bare::Postgres(client) => match value {
                None => read_postgres(client, key).await,
                Some(value) => {
                    let statement = format!(
                        r#"insert into "dsfuzz_register" as r (k, v) values ({key}, {value}) on conflict (k) do update set v = excluded.v, n = r.n + 1"#
                    );
                    client.simple_query(&statement).await?;
                    Ok(Value::Nil)
                }
            },
            Bare::Redis(connection) => {
                let key = format!("dsfuzz:bench:{{register:{key}}}");
                match value {
                    None => read_redis(connection, &key).await,
                    Some(value) => {
                        cmd("SET").arg(key).arg(value).exec_async(connection).await?;
                        Ok(Value::Nil)
                    }
                }
            }
            Bare::Nats(client) => {
                let subject = format!("$KV.dsfuzz-register.{key}");
                match value {
                    None => read_nats(client, &subject).await,
                    Some(value) => {
                        let reply = client.send_request(subject, Request::new().payload(value.to_string().into()));
                        let reply: Json = serde_json::from_slice(&reply.await?.payload)?;
                        reply["seq"].as_u64().ok_or_else(|| format!("no acknowledgement: {reply}"))?;
                        Ok(Value::Nil)
                    }
                }
            }
        }
    }
}

async fn read_postgres(client: &tokio_postgres::Client, key: i64) -> Result<Value, Failure> {
    let statement = format!(r#"select v, n from "dsfuzz_register" where k = {key}"#);
    let rows = client.simple_query(&statement).await?;
    let found = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::parse),
        _ => None,
    });
    Ok(found.transpose()?.map_or(Value::Nil, Value::Int))
}

/// Who answers is asked in the same transaction: a replica's answer is refused.
async fn read_redis(connection: &mut MultiplexedConnection, key: &str) -> Result<Value, Failure> {
    let mut transaction = Pipeline::new();
    transaction.atomic().cmd("ROLE").cmd("GET").arg(key);
    let (role, found): (redis::Value, Option<i64>) = transaction.query_async(connection).await?;
    match role {
        redis::Value::Array(_) => Ok(found.map_or(Value::Nil, Value::Int)),
        other => Err(format!("{other:?}").into()),
    }
}

async fn read_nats(client: &async_nats::Client, subject: &str) -> Result<Value, Failure> {
    let wanted = json!({"last_by_subj": subject}).to_string();
    let request = Request::new().payload(wanted.into());
    let reply = client.send_request("$JS.API.STREAM.MSG.GET.KV_dsfuzz-register", request).await?;
    let reply: Json = serde_json::from_slice(&reply.payload)?;
    let Some(data) = reply["message"]["data"].as_str() else { return Ok(Value::Nil) };
    Ok(Value::Int(std::str::from_utf8(&BASE64_STANDARD.decode(data)?)?.parse()?))
}

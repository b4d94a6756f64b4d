//! Transactions: MULTI and EXEC around the commands of the micro-operations. Lists for `list-append`, texts for the others.
use crate::client::{RedisClient, executed, framed, refuse_replica};
use crate::connection::checked;
use crate::replies::{argument, integer_or_null, integers};
use dsfuzz_client::{Call, CallError, Reply};
use redis::{Cmd, Value, cmd};
use serde_json::Value as Json;

/// A micro-operation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Append,
    Write,
    ReadList,
    Read,
}

impl RedisClient {
    pub(crate) async fn transact(&mut self, call: &Call) -> Result<Reply, CallError> {
        let operations = self.operations(call)?;
        let reads_only = operations.iter().all(|(kind, ..)| matches!(kind, Kind::Read | Kind::ReadList));
        self.refuse_several_keys(&operations)?;
        let mut commands: Vec<Cmd> = Vec::with_capacity(operations.len() + 1);
        for (kind, key, value) in &operations {
            commands.push(self.command(*kind, key, value)?);
        }
        let ask_role = reads_only && !self.settings.cluster && !self.settings.reads_replicas;
        if ask_role {
            commands.insert(0, cmd("ROLE"));
        }
        let (mut replies, via) = match commands.as_slice() {
            // One command is a transaction by itself.
            [_] => self.nodes.send(&commands).await?,
            _ => {
                let (replies, via) = self.nodes.send(&framed(&commands)).await?;
                (executed(replies)?, via)
            }
        };
        if ask_role {
            refuse_replica(&replies.remove(0))?;
        }
        let several = replies.len() > 1;
        let value = filled_in(&operations, replies).map_err(|error| {
            // Commands of a transaction are carried out also if one of them failed.
            if several && !reads_only { CallError { certain: false, ..error } } else { error }
        })?;
        if !reads_only {
            self.replicated(call, &via).await.map_err(|error| error.with_value(value.clone()))?;
        }
        Ok(self.reply(value, &via))
    }

    fn operations(&self, call: &Call) -> Result<Vec<(Kind, Json, Json)>, CallError> {
        let lists = self.workload == "list-append" || self.settings_say_lists(call);
        let operations = call.value.as_array().map(Vec::as_slice).unwrap_or_default();
        let operation = |operation: &Json| {
            let [f, key, value] = operation.as_array()?.as_slice() else { return None };
            let kind = match f.as_str()? {
                "append" => Kind::Append,
                "w" => Kind::Write,
                "r" if lists => Kind::ReadList,
                "r" => Kind::Read,
                _ => return None,
            };
            Some((kind, key.clone(), value.clone()))
        };
        let read = |entry: &Json| {
            operation(entry).ok_or_else(|| CallError::fail("not-supported", format!("no micro-operation {entry}")))
        };
        operations.iter().map(read).collect()
    }

    /// A transaction that appends reads lists.
    fn settings_say_lists(&self, call: &Call) -> bool {
        let appends = |operation: &Json| operation.get(0).and_then(Json::as_str) == Some("append");
        call.value.as_array().is_some_and(|operations| operations.iter().any(appends))
    }

    /// The keys of a transaction live on one node of a cluster only if they have one hash tag.
    fn refuse_several_keys(&self, operations: &[(Kind, Json, Json)]) -> Result<(), CallError> {
        let several = operations.windows(2).any(|pair| pair[0].1 != pair[1].1);
        if several && self.settings.cluster && self.settings.hash_tag.is_none() {
            let text = "a transaction of a cluster touches one key, or all keys have one hash tag: \
                        `max_length: 1` for the workload, or `hash_tag` in the client's settings";
            return Err(CallError::fail("not-supported", text));
        }
        Ok(())
    }

    fn command(&self, kind: Kind, key: &Json, value: &Json) -> Result<Cmd, CallError> {
        let key = self.key(key, "");
        Ok(match kind {
            Kind::Append => cmd("RPUSH").arg(key).arg(argument(value)?).take(),
            Kind::Write => cmd("SET").arg(key).arg(argument(value)?).take(),
            Kind::ReadList => cmd("LRANGE").arg(key).arg(0).arg(-1).take(),
            Kind::Read => cmd("GET").arg(key).take(),
        })
    }
}

/// The transaction with its reads filled in.
fn filled_in(operations: &[(Kind, Json, Json)], replies: Vec<Value>) -> Result<Json, CallError> {
    if operations.len() != replies.len() {
        let text = format!("{} replies to {} micro-operations", replies.len(), operations.len());
        return Err(CallError::info("unknown", text));
    }
    let fill = |((kind, key, value), reply): (&(Kind, Json, Json), Value)| {
        let reply = checked(reply)?;
        let (f, value) = match kind {
            Kind::Append => ("append", value.clone()),
            Kind::Write => ("w", value.clone()),
            Kind::ReadList => ("r", Json::from(integers(&reply)?)),
            Kind::Read => ("r", integer_or_null(&reply)?),
        };
        Ok(Json::from(vec![Json::from(f), key.clone(), value]))
    };
    operations.iter().zip(replies).map(fill).collect()
}

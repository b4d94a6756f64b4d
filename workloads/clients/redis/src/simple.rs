//! Registers, sets, rows, counters and ids: one command or script for each call.
use crate::client::RedisClient;
use crate::replies::{self, argument, integer, integer_or_null, integers};
use dsfuzz_client::{Call, CallError, Reply};
use redis::{Cmd, Value, cmd};
use serde_json::{Value as Json, json};

/// Sets a key if it holds a value, or nothing at all if no second argument is given.
const COMPARE_AND_SET: &str = "
local found = redis.call('GET', KEYS[1])
if found == (ARGV[2] or false) then redis.call('SET', KEYS[1], ARGV[1]) return 'OK' end
return {found}";

/// Adds a row with the server's time in microseconds. Without a value it takes the largest one plus one.
const ADD_ROW: &str = "
local value = ARGV[1]
if not value then
  local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  value = string.format('%.0f', (last[2] or 0) + 1)
end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], value, value .. ' ' .. string.format('%.0f', time[1] * 1000000 + time[2]))
return value";

/// A script on these keys.
pub(crate) fn script(source: &str, keys: &[String]) -> Cmd {
    let mut command = cmd("EVAL");
    command.arg(source.trim_start()).arg(keys.len()).arg(keys);
    command
}

impl RedisClient {
    pub(crate) async fn read_register(&mut self, call: &Call) -> Result<Reply, CallError> {
        let (reply, via) = self.read(cmd("GET").arg(self.key(&call.key, "")).take()).await?;
        Ok(self.reply(integer_or_null(&reply)?, &via))
    }

    pub(crate) async fn write_register(&mut self, call: &Call) -> Result<Reply, CallError> {
        let command = cmd("SET").arg(self.key(&call.key, "")).arg(argument(&call.value)?).take();
        let (_, via) = self.write(call, command).await?;
        Ok(self.reply(Json::Null, &via))
    }

    pub(crate) async fn compare_and_set(&mut self, call: &Call) -> Result<Reply, CallError> {
        let Some([from, to]) = call.value.as_array().map(Vec::as_slice) else {
            return Err(CallError::fail("malformed", format!("{} is not [from, to]", call.value)));
        };
        let mut command = script(COMPARE_AND_SET, &[self.key(&call.key, "")]);
        command.arg(argument(to)?);
        if !from.is_null() {
            command.arg(argument(from)?);
        }
        match self.write(call, command).await? {
            (Value::Array(found), _) => {
                let found = found.first().map_or(Ok(Json::Null), integer_or_null)?;
                Err(CallError::fail("precondition", format!("it was {found}")))
            }
            (_, via) => Ok(self.reply(Json::Null, &via)),
        }
    }

    pub(crate) async fn add_element(&mut self, call: &Call) -> Result<Reply, CallError> {
        let command = cmd("SADD").arg(self.key(&call.key, "")).arg(argument(&call.value)?).take();
        let (_, via) = self.write(call, command).await?;
        Ok(self.reply(Json::Null, &via))
    }

    pub(crate) async fn read_set(&mut self, call: &Call) -> Result<Reply, CallError> {
        let (reply, via) = self.read(cmd("SMEMBERS").arg(self.key(&call.key, "")).take()).await?;
        Ok(self.reply(integers(&reply)?, &via))
    }

    pub(crate) async fn add_row(&mut self, call: &Call) -> Result<Reply, CallError> {
        let mut command = script(ADD_ROW, &[self.key(&call.key, "")]);
        if !call.value.is_null() {
            command.arg(argument(&call.value)?);
        }
        let (reply, via) = self.write(call, command).await?;
        Ok(self.reply(integer(&reply)?, &via))
    }

    pub(crate) async fn read_rows(&mut self, call: &Call) -> Result<Reply, CallError> {
        let command = cmd("ZRANGE").arg(self.key(&call.key, "")).arg(0).arg(-1).take();
        let (reply, via) = self.read(command).await?;
        let row = |reply: &Value| {
            let (value, time) = replies::text(reply)?.split_once(' ')?;
            Some(json!([value.parse::<i64>().ok()?, time.parse::<i64>().ok()?]))
        };
        let rows =
            replies::list(&reply)?.iter().map(|entry| row(entry).ok_or_else(|| replies::unexpected(entry, "a row")));
        Ok(self.reply(rows.collect::<Result<Vec<Json>, CallError>>()?, &via))
    }

    pub(crate) async fn count(&mut self, call: &Call) -> Result<Reply, CallError> {
        let command = cmd("INCRBY").arg(self.key(&call.key, "")).arg(argument(&call.value)?).take();
        let (_, via) = self.write(call, command).await?;
        Ok(self.reply(Json::Null, &via))
    }

    pub(crate) async fn read_counter(&mut self, call: &Call) -> Result<Reply, CallError> {
        let (reply, via) = self.read(cmd("GET").arg(self.key(&call.key, "")).take()).await?;
        let sum = if reply == Value::Nil { 0 } else { integer(&reply)? };
        Ok(self.reply(sum, &via))
    }

    pub(crate) async fn generate(&mut self, call: &Call) -> Result<Reply, CallError> {
        let (reply, via) = self.write(call, cmd("INCR").arg(self.key(&call.key, "")).take()).await?;
        Ok(self.reply(integer(&reply)?, &via))
    }
}

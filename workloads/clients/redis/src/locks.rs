//! Locks, leases and semaphores: keys with a token and a time to live, released and renewed by scripts that compare the token.
use crate::client::RedisClient;
use crate::replies::integer;
use crate::simple::script;
use dsfuzz_client::{Call, CallError, Reply};
use redis::{Cmd, Value};
use serde_json::Value as Json;

/// Grants a key that is free; with a second key it counts the grants.
const ACQUIRE: &str = "
local granted
if ARGV[2] == '0' then granted = redis.call('SET', KEYS[1], ARGV[1], 'NX')
else granted = redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) end
if not granted then return false end
if KEYS[2] then return redis.call('INCR', KEYS[2]) end
return 'OK'";

const RELEASE: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])";

const RENEW: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])";

/// Grants one of so many permits. Each is an entry with the time of its end.
const ACQUIRE_PERMIT: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
local ends = '+inf'
if ARGV[3] ~= '0' then ends = string.format('%.0f', now + ARGV[3]) end
return redis.call('ZADD', KEYS[1], ends, ARGV[1])";

impl RedisClient {
    pub(crate) async fn acquire(&mut self, call: &Call) -> Result<Reply, CallError> {
        let ttl = self.time_to_live(call);
        let mut keys = vec![self.key(&call.key, "")];
        if self.settings.fencing {
            keys.push(self.key(&call.key, ":grants"));
        }
        let token = self.fresh_token();
        let mut command = script(ACQUIRE, &keys);
        command.arg(&token).arg(ttl);
        let (granted, via) = self.write(call, command).await?;
        if granted == Value::Nil {
            return Ok(self.reply(false, &via));
        }
        self.held.insert(call.key.to_string(), token);
        let number = if self.settings.fencing { Json::from(integer(&granted)?) } else { Json::Null };
        Ok(self.reply(number, &via))
    }

    pub(crate) async fn renew(&mut self, call: &Call) -> Result<Reply, CallError> {
        let (key, token) = self.held(call)?;
        let mut command = script(RENEW, &[key]);
        command.arg(token).arg(self.time_to_live(call));
        self.change_held(call, command, false).await
    }

    pub(crate) async fn release(&mut self, call: &Call) -> Result<Reply, CallError> {
        let (key, token) = self.held(call)?;
        let mut command = script(RELEASE, &[key]);
        command.arg(token);
        self.change_held(call, command, true).await
    }

    pub(crate) async fn acquire_permit(&mut self, call: &Call) -> Result<Reply, CallError> {
        let permits = self.params.get("permits").and_then(Json::as_i64).unwrap_or(1);
        let token = self.fresh_token();
        let mut command = script(ACQUIRE_PERMIT, &[self.key(&call.key, "")]);
        command.arg(&token).arg(permits).arg(self.time_to_live(call));
        let (granted, via) = self.write(call, command).await?;
        if integer(&granted)? == 0 {
            return Ok(self.reply(false, &via));
        }
        self.held.insert(call.key.to_string(), token);
        Ok(self.reply(Json::Null, &via))
    }

    pub(crate) async fn release_permit(&mut self, call: &Call) -> Result<Reply, CallError> {
        let (key, token) = self.held(call)?;
        let command = redis::cmd("ZREM").arg(key).arg(token).take();
        self.change_held(call, command, true).await
    }

    /// A lease says how long it lives, the settings how long a lock does.
    fn time_to_live(&self, call: &Call) -> u64 {
        call.value.get("ttl_ms").and_then(Json::as_u64).unwrap_or(self.settings.lock_ttl_ms)
    }

    /// The key and the token of what this process holds.
    fn held(&self, call: &Call) -> Result<(String, String), CallError> {
        match self.held.get(&call.key.to_string()) {
            Some(token) => Ok((self.key(&call.key, ""), token.clone())),
            None => Err(CallError::fail("not-held", "this client has acquired nothing here")),
        }
    }

    /// Carries out a command that answers 0 if the token is not there any more.
    async fn change_held(&mut self, call: &Call, command: Cmd, ends: bool) -> Result<Reply, CallError> {
        let (changed, via) = self.write(call, command).await?;
        let changed = integer(&changed)?;
        if ends || changed == 0 {
            self.held.remove(&call.key.to_string());
        }
        if changed == 0 {
            return Err(CallError::fail("not-held", "the time of the grant is over, or another has it"));
        }
        Ok(self.reply(Json::Null, &via))
    }
}

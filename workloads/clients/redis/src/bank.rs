//! The bank: one hash with a field for each account, so that a cluster carries it too. A transfer is one script, or with
//! `bank: watch` an optimistic transaction.
use crate::client::{RedisClient, executed, framed};
use crate::connection::checked;
use crate::replies::{self, argument, integer};
use crate::settings::BankMethod;
use crate::simple::script;
use dsfuzz_client::{Call, CallError, Reply};
use redis::{Value, cmd};
use serde_json::{Map, Value as Json};

const TRANSFER: &str = "
local from = redis.call('HGET', KEYS[1], ARGV[1])
if not from or redis.call('HEXISTS', KEYS[1], ARGV[2]) == 0 then return {} end
if ARGV[4] == '0' and tonumber(from) < tonumber(ARGV[3]) then return {from} end
redis.call('HINCRBY', KEYS[1], ARGV[1], -ARGV[3])
redis.call('HINCRBY', KEYS[1], ARGV[2], ARGV[3])
return 'OK'";

/// What a call to `transfer` asks for.
struct Transfer {
    from: String,
    to: String,
    amount: i64,
}

impl RedisClient {
    /// Makes the accounts that are not there yet. They carry the run's name, so that none can be another's.
    pub(crate) async fn open_accounts(&mut self) -> Result<Reply, CallError> {
        let Some(balances) = self.params.get("balances").and_then(Json::as_object) else {
            return Err(CallError::fail("malformed", "the parameters of the bank have no `balances`"));
        };
        let bank = self.key(&Json::Null, "");
        let open = |(account, balance): (&String, &Json)| -> Result<_, CallError> {
            Ok(cmd("HSETNX").arg(&bank).arg(account).arg(argument(balance)?).take())
        };
        let commands = balances.iter().map(open).collect::<Result<Vec<_>, CallError>>()?;
        let (replies, via) = self.transaction(&commands).await?;
        replies.into_iter().try_for_each(|reply| checked(reply).map(drop))?;
        Ok(self.reply(Json::Null, &via))
    }

    /// All accounts with what they hold. A replica that has none yet shows none of setup's.
    pub(crate) async fn read_bank(&mut self) -> Result<Reply, CallError> {
        let (reply, via) = self.read(cmd("HGETALL").arg(self.key(&Json::Null, "")).take()).await?;
        let mut balances = Map::new();
        for pair in replies::list(&reply)?.chunks_exact(2) {
            let account = replies::text(&pair[0]).ok_or_else(|| replies::unexpected(&pair[0], "an account"))?;
            balances.insert(account.to_owned(), integer(&pair[1])?.into());
        }
        if balances.is_empty() {
            return Err(CallError::fail("not-found", "there are no accounts on this node"));
        }
        Ok(self.reply(balances, &via))
    }

    pub(crate) async fn transfer(&mut self, call: &Call) -> Result<Reply, CallError> {
        let account = |name: &str| argument(&call.value[name]).map(|account| account.to_string());
        let (from, to) = (account("from")?, account("to")?);
        let transfer = Transfer { from, to, amount: argument(&call.value["amount"])? };
        match self.settings.bank {
            BankMethod::Script => self.transfer_by_script(call, transfer).await,
            BankMethod::Watch => self.transfer_by_watch(call, transfer).await,
        }
    }

    fn overdrafts(&self) -> bool {
        self.params.get("negative_balances").and_then(Json::as_bool).unwrap_or(false)
    }

    async fn transfer_by_script(&mut self, call: &Call, transfer: Transfer) -> Result<Reply, CallError> {
        let mut command = script(TRANSFER, &[self.key(&Json::Null, "")]);
        let overdrafts = u8::from(self.overdrafts());
        command.arg(transfer.from).arg(transfer.to).arg(transfer.amount).arg(overdrafts);
        match self.write(call, command).await? {
            (Value::Array(found), _) => Err(not_transferred(found.first())),
            (_, via) => Ok(self.reply(Json::Null, &via)),
        }
    }

    async fn transfer_by_watch(&mut self, call: &Call, transfer: Transfer) -> Result<Reply, CallError> {
        let Transfer { from, to, amount } = transfer;
        let bank = self.key(&Json::Null, "");
        let look = [cmd("WATCH").arg(&bank).take(), cmd("HMGET").arg(&bank).arg(&from).arg(&to).take()];
        let (replies, via) = self.nodes.send(&look).await?;
        let mut balances = Value::Nil;
        for reply in replies {
            balances = checked(reply)?;
        }
        let refusal = match replies::list(&balances)? {
            [Value::Nil, _] | [_, Value::Nil] | [] => Some(not_transferred(None)),
            [found, ..] if !self.overdrafts() && integer(found)? < amount => Some(not_transferred(Some(found))),
            _ => None,
        };
        if let Some(refusal) = refusal {
            self.nodes.send_to(&via, &[cmd("UNWATCH")]).await?;
            return Err(refusal);
        }
        let change = |account: &str, amount: i64| cmd("HINCRBY").arg(&bank).arg(account).arg(amount).take();
        let commands = framed(&[change(&from, -amount), change(&to, amount)]);
        let replies = executed(self.nodes.send_to(&via, &commands).await?)?;
        if let Some(error) = replies.into_iter().find_map(|reply| checked(reply).err()) {
            return Err(CallError { certain: false, ..error });
        }
        self.replicated(call, &via).await?;
        Ok(self.reply(Json::Null, &via))
    }
}

/// Why nothing was transferred, by the balance that was found.
fn not_transferred(found: Option<&Value>) -> CallError {
    match found.map(integer) {
        Some(Ok(balance)) => CallError::fail("precondition", format!("the account holds {balance}")),
        _ => CallError::fail("not-found", "an account does not exist"),
    }
}

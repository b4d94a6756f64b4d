//! Transactions by ZooKeeper's `multi`: what was read is read first, each znode by itself, and its versions are checked in the
//! request that writes. A znode that changed meanwhile is a conflict, and nothing happens. A znode that was absent is created and
//! deleted in that request, which fails if it is there.
use crate::ZooKeeper;
use crate::session::{classified, parsed};
use dsfuzz_client::{Call, CallError, Reply};
use serde_json::{Map, Value, json};
use zookeeper_client::{Error, MultiReadResult, MultiWriteError, MultiWriter};

/// A znode in a transaction.
struct Part {
    path: String,
    value: Value,
    /// The version that was read; none if it was absent.
    version: Option<i32>,
    is_written: bool,
}

impl ZooKeeper {
    /// The znodes as one request to the client's own server shows them.
    async fn parts(&self, paths: Vec<String>) -> Result<Vec<Part>, CallError> {
        let mut reader = self.session()?.client.new_multi_reader();
        for path in &paths {
            reader.add_get_data(path).map_err(classified)?;
        }
        // Nothing is written so far.
        let read = reader.commit().await.map_err(|error| match classified(error) {
            CallError { certain: false, code, text, .. } => CallError::fail("aborted", format!("{code}: {text}")),
            refused => refused,
        })?;
        let part = |(path, result): (String, MultiReadResult)| match result {
            MultiReadResult::Data { data, stat } => {
                let value = parsed(&path, &data)?;
                Ok(Part { path, value, version: Some(stat.version), is_written: false })
            }
            MultiReadResult::Error { err: Error::NoNode } => {
                Ok(Part { path, value: Value::Null, version: None, is_written: false })
            }
            MultiReadResult::Error { err } => Err(classified(err)),
            other => Err(CallError::fail("malformed", format!("{path}: {other:?}"))),
        };
        paths.into_iter().zip(read).map(part).collect()
    }

    /// Writes what is written, if nothing changed since it was read.
    async fn write_parts(&self, parts: &[Part]) -> Result<(), CallError> {
        let session = self.session()?;
        let mut writer = session.client.new_multi_writer();
        for Part { path, value, version, is_written } in parts {
            let data = value.to_string();
            match (version, is_written) {
                (Some(version), true) => writer.add_set_data(path, data.as_bytes(), Some(*version)),
                (Some(version), false) => writer.add_check_version(path, *version),
                (None, true) => writer.add_create(path, data.as_bytes(), &session.persistent()),
                (None, false) => {
                    writer.add_create(path, b"", &session.persistent()).and_then(|()| writer.add_delete(path, None))
                }
            }
            .map_err(classified)?;
        }
        self.commit(writer).await
    }

    /// Commits all or nothing.
    pub(crate) async fn commit(&self, mut writer: MultiWriter<'_>) -> Result<(), CallError> {
        match writer.commit().await {
            Ok(_) => Ok(()),
            Err(MultiWriteError::OperationFailed {
                source: source @ (Error::BadVersion | Error::NodeExists | Error::NoNode | Error::RuntimeInconsistent),
                ..
            }) => Err(CallError::fail("conflict", source)),
            Err(error) => Err(classified(error.into())),
        }
    }

    /// A list of micro-operations: `append`, `r` and `w`.
    pub(crate) async fn transaction(&self, call: &Call) -> Result<Reply, CallError> {
        let malformed = || CallError::fail("malformed", format!("{} is no list of micro-operations", call.value));
        let mut operations = call.value.as_array().cloned().ok_or_else(malformed)?;
        let mut paths: Vec<String> = Vec::new();
        for operation in &operations {
            let path = self.path_of(&operation[1])?;
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        let mut parts = self.parts(paths).await?;
        for operation in &mut operations {
            let path = self.path_of(&operation[1])?;
            let part = parts.iter_mut().find(|part| part.path == path).ok_or_else(malformed)?;
            match operation[0].as_str() {
                Some("r") => operation[2] = part.value.clone(),
                Some("w") => {
                    part.value = operation[2].clone();
                    part.is_written = true;
                }
                Some("append") => {
                    let mut list = part.value.as_array().cloned().unwrap_or_default();
                    list.push(operation[2].clone());
                    part.value = Value::from(list);
                    part.is_written = true;
                }
                _ => return Err(CallError::fail("not-supported", format!("micro-operation {operation}"))),
            }
        }
        self.write_parts(&parts).await?;
        Ok(Reply::value(operations))
    }

    /// Makes the accounts that are not there yet.
    pub(crate) async fn open_accounts(&self) -> Result<(), CallError> {
        let session = self.session()?;
        let none = Map::new();
        for (account, balance) in self.init.params["balances"].as_object().unwrap_or(&none) {
            let path = self.path_of(&json!(account))?;
            match session.client.create(&path, balance.to_string().as_bytes(), &session.persistent()).await {
                Ok(_) | Err(Error::NodeExists) => {}
                Err(error) => return Err(classified(error)),
            }
        }
        Ok(())
    }

    pub(crate) async fn transfer(&self, call: &Call) -> Result<Reply, CallError> {
        let (from, to, amount) = (&call.value["from"], &call.value["to"], call.value["amount"].as_i64().unwrap_or(0));
        if from == to {
            return Ok(Reply::nothing());
        }
        let mut parts = self.parts(vec![self.path_of(from)?, self.path_of(to)?]).await?;
        let may_owe = self.init.params["negative_balances"].as_bool().unwrap_or(false);
        for (part, change) in parts.iter_mut().zip([-amount, amount]) {
            let Some(balance) = part.value.as_i64() else {
                return Err(CallError::fail("not-found", format!("{} is no account", part.path)));
            };
            if change < 0 && balance + change < 0 && !may_owe {
                return Err(CallError::fail("precondition", format!("account {from} has {balance}")));
            }
            part.value = json!(balance + change);
            part.is_written = true;
        }
        self.write_parts(&parts).await?;
        Ok(Reply::nothing())
    }

    pub(crate) async fn read_balances(&self) -> Result<Reply, CallError> {
        let accounts = self.init.params["accounts"].as_array().cloned().unwrap_or_default();
        let paths = accounts.iter().map(|account| self.path_of(account)).collect::<Result<Vec<String>, _>>()?;
        let parts = self.parts(paths).await?;
        if parts.iter().all(|part| part.version.is_none()) {
            return Err(CallError::fail("not-found", "there are no accounts on this node"));
        }
        self.write_parts(&parts).await?;
        let balance = |(account, part): (&Value, Part)| (account.to_string(), part.value);
        Ok(Reply::value(accounts.iter().zip(parts).map(balance).collect::<Map<String, Value>>()))
    }

    /// Inserts a row into one of two tables if neither has a row of the key.
    pub(crate) async fn insert(&self, call: &Call) -> Result<Reply, CallError> {
        let folder = self.folder()?;
        let path = |table: &str| format!("{folder}/{table}-{}", call.key);
        let mut parts = self.parts(vec![path("first"), path("second")]).await?;
        if let Some(part) = parts.iter().find(|part| part.version.is_some()) {
            return Err(CallError::fail("exists", format!("{} is there", part.path)));
        }
        for (at, part) in parts.iter_mut().enumerate() {
            part.value = call.value[at].clone();
            part.is_written = !part.value.is_null();
        }
        self.write_parts(&parts).await?;
        Ok(Reply::nothing())
    }
}

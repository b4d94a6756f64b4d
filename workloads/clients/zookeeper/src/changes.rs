//! Registers, sets, counters and ids. A change that depends on what is there is tried once, with the version that was read.
use crate::ZooKeeper;
use crate::session::{changes, classified};
use dsfuzz_client::{Call, CallError, Reply};
use serde_json::{Value, json};
use zookeeper_client::{CreateMode, Error};

impl ZooKeeper {
    pub(crate) async fn read_register(&self, call: &Call) -> Result<Reply, CallError> {
        let session = self.session()?;
        session.before_read().await?;
        let (value, version) = match session.get(&self.path_of(&call.key)?).await? {
            Some((value, stat)) => (value, changes(&stat)),
            None => (Value::Null, 0),
        };
        let pair = self.settings.versions || self.init.versions();
        Ok(Reply::value(if pair { json!([version, value]) } else { value }))
    }

    pub(crate) async fn write_register(&self, call: &Call) -> Result<Reply, CallError> {
        let version = self.session()?.put(&self.path_of(&call.key)?, &call.value).await?;
        // The workload wants the version alone, the model `versioned-register` wants both.
        Ok(if self.init.versions() { Reply::value(version) } else { self.versioned(version, &call.value) })
    }

    pub(crate) async fn compare_and_set(&self, call: &Call) -> Result<Reply, CallError> {
        let (session, path) = (self.session()?, self.path_of(&call.key)?);
        let (from, to) = (&call.value[0], &call.value[1]);
        let found = session.get(&path).await?;
        let other = |found: &Value| CallError::fail("precondition", format!("it was {found}"));
        let meanwhile = || CallError::fail("precondition", "it was changed after it was read");
        let version = match found {
            Some((value, _)) if value != *from => return Err(other(&value)),
            None if !from.is_null() => return Err(other(&Value::Null)),
            Some((_, stat)) => {
                match session.client.set_data(&path, to.to_string().as_bytes(), Some(stat.version)).await {
                    Ok(stat) => changes(&stat),
                    Err(Error::BadVersion) => return Err(meanwhile()),
                    Err(error) => return Err(classified(error)),
                }
            }
            None => match session.client.create(&path, to.to_string().as_bytes(), &session.persistent()).await {
                Ok((stat, _)) => changes(&stat),
                Err(Error::NodeExists) => return Err(meanwhile()),
                Err(error) => return Err(classified(error)),
            },
        };
        Ok(self.versioned(version, &call.value))
    }

    fn versioned(&self, version: i64, value: &Value) -> Reply {
        if self.settings.versions { Reply::value(json!([version, value])) } else { Reply::nothing() }
    }

    /// An element is a child with its number as the name.
    pub(crate) async fn add_element(&self, call: &Call) -> Result<Reply, CallError> {
        let (session, folder) = (self.session()?, self.path_of(&call.key)?);
        let path = format!("{folder}/{}", call.value);
        match session.client.create(&path, b"", &session.persistent()).await {
            Err(Error::NoNode) => {
                session.make(&folder).await?;
                session.client.create(&path, b"", &session.persistent()).await.map_err(classified)?;
            }
            other => drop(other.map_err(classified)?),
        }
        Ok(Reply::nothing())
    }

    pub(crate) async fn read_elements(&self, call: &Call) -> Result<Reply, CallError> {
        let (session, folder) = (self.session()?, self.path_of(&call.key)?);
        session.before_read().await?;
        let number = |name: &String| {
            name.parse::<i64>().map_err(|_| CallError::fail("malformed", format!("{folder}/{name} is no element")))
        };
        let mut elements = session.children(&folder).await?.iter().map(number).collect::<Result<Vec<i64>, _>>()?;
        elements.sort_unstable();
        Ok(Reply::value(elements))
    }

    pub(crate) async fn add_number(&self, call: &Call) -> Result<Reply, CallError> {
        let (session, path) = (self.session()?, self.path_of(&call.key)?);
        let added = call.value.as_i64().ok_or_else(|| CallError::fail("malformed", "a number is added"))?;
        let data = |sum: i64| sum.to_string();
        let conflict = || CallError::fail("conflict", "the sum was changed after it was read");
        match session.get(&path).await? {
            Some((sum, stat)) => {
                let sum = data(sum.as_i64().unwrap_or(0) + added);
                match session.client.set_data(&path, sum.as_bytes(), Some(stat.version)).await {
                    Ok(_) => Ok(Reply::nothing()),
                    Err(Error::BadVersion) => Err(conflict()),
                    Err(error) => Err(classified(error)),
                }
            }
            None => match session.client.create(&path, data(added).as_bytes(), &session.persistent()).await {
                Ok(_) => Ok(Reply::nothing()),
                Err(Error::NodeExists) => Err(conflict()),
                Err(error) => Err(classified(error)),
            },
        }
    }

    pub(crate) async fn read_number(&self, call: &Call) -> Result<Reply, CallError> {
        let session = self.session()?;
        session.before_read().await?;
        let found = session.get(&self.path_of(&call.key)?).await?;
        Ok(Reply::value(found.map_or(json!(0), |(sum, _)| sum)))
    }

    /// The number that a sequential znode gets.
    pub(crate) async fn generate(&self) -> Result<Reply, CallError> {
        let (session, folder) = (self.session()?, self.folder()?);
        let (_, number) = session.create_numbered(&folder, "id-", b"", CreateMode::PersistentSequential).await?;
        Ok(Reply::value(number.into_i64()))
    }
}

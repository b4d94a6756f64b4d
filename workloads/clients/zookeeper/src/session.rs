//! [`Session`]: a session with one server. The library connects again to this server alone while the session lives; a request is sent
//! once, whatever happens to its connection.
use crate::settings::{Auth, BeforeRead, Settings};
use dsfuzz_client::{CallError, Init};
use serde_json::Value;
use std::time::Duration;
use zookeeper_client::{Acls, Client, CreateMode, CreateOptions, CreateSequence, Error, SessionState, Stat};

/// Most rounds of a change that depends on what is there, such as a write that creates or sets. Each round before the last was
/// refused.
const ROUNDS: usize = 4;

/// Longest time until a session that is closed is over.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// The znode that a read with [`BeforeRead::Write`] writes first.
const BEFORE_READ: &str = "before-read";

pub(crate) struct Session {
    pub(crate) client: Client,
    settings: Settings,
}

impl Session {
    /// Opens a session with the node. It is tried once.
    pub(crate) async fn open(init: &Init, settings: &Settings) -> Result<Session, CallError> {
        let Some(port) = init.ports.get("client") else {
            return Err(CallError::fail("malformed", "the recipe names no port `client`"));
        };
        let place = format!("{}:{port}", init.address);
        let mut connector = Client::connector().with_session_timeout(settings.session_timeout).with_fail_eagerly();
        if let Some(Auth { scheme, credential }) = &settings.auth {
            connector = connector.with_auth(scheme, credential.as_bytes());
        }
        let refused = |error| match error {
            Error::AuthFailed | Error::NoAuth => CallError::fail("denied", format!("{place}: {error}")),
            error => CallError::fail("refused", format!("{place}: {error}")),
        };
        let client = connector.connect(&place).await.map_err(refused)?;
        Ok(Session { client, settings: settings.clone() })
    }

    /// Ends the session, so that what it holds is free at once. The library does so when its last handle is dropped.
    pub(crate) async fn close(self) {
        let mut states = self.client.state_watcher();
        drop(self.client);
        let _ = tokio::time::timeout(CLOSE_MAX, states.changed()).await;
    }

    /// Whether the session is over.
    pub(crate) fn is_over(&self) -> bool {
        !matches!(
            self.client.state(),
            SessionState::SyncConnected | SessionState::ConnectedReadOnly | SessionState::Disconnected
        )
    }

    /// Waits for the connection, so that what is certainly not sent is known. Returns false if the session ended meanwhile.
    pub(crate) async fn connected(&self, within: Duration) -> Result<bool, CallError> {
        let mut states = self.client.state_watcher();
        let wait = async {
            while states.peek_state() == SessionState::Disconnected {
                states.changed().await;
            }
        };
        match tokio::time::timeout(within, wait).await {
            Ok(()) => Ok(!self.is_over()),
            Err(_) => Err(CallError::fail("refused", format!("not connected for {within:?}"))),
        }
    }

    /// Options of a new znode: with `auth`, only this user may use it.
    pub(crate) fn options(&self, mode: CreateMode) -> CreateOptions<'static> {
        mode.with_acls(if self.settings.auth.is_some() { Acls::creator_all() } else { Acls::anyone_all() })
    }

    pub(crate) fn persistent(&self) -> CreateOptions<'static> {
        self.options(CreateMode::Persistent)
    }

    /// The path of a znode below the root.
    pub(crate) fn path(&self, below: &str) -> String {
        format!("{}/{below}", self.settings.root)
    }

    /// Makes the folders of an object, with the run's name in them. The folder of another run is an error.
    pub(crate) async fn make_root(&self, object: &str, run: &str) -> Result<(), CallError> {
        let mut end = 0;
        while let Some(next) = self.settings.root[end + 1..].find('/') {
            end += 1 + next;
            self.make(&self.settings.root[..end]).await?;
        }
        self.make(&self.settings.root).await?;
        self.make(&self.path(BEFORE_READ)).await?;
        let folder = self.path(object);
        match self.client.create(&folder, run.as_bytes(), &self.persistent()).await {
            Ok(_) => Ok(()),
            Err(Error::NodeExists) => match self.client.get_data(&folder).await.map_err(classified)?.0 {
                owner if owner == run.as_bytes() => Ok(()),
                owner => {
                    let owner = String::from_utf8_lossy(&owner).into_owned();
                    Err(CallError::fail("exists", format!("{folder} exists and is not of this run: {owner:?}")))
                }
            },
            Err(error) => Err(classified(error)),
        }
    }

    /// Makes a znode unless it is there.
    pub(crate) async fn make(&self, path: &str) -> Result<(), CallError> {
        match self.client.create(path, b"", &self.persistent()).await {
            Ok(_) | Err(Error::NodeExists) => Ok(()),
            Err(error) => Err(classified(error)),
        }
    }

    /// Creates a znode with a number, and its folders if they are not there: `folder`, or the folders in it that lead to `name`.
    pub(crate) async fn create_numbered(
        &self,
        folder: &str,
        name: &str,
        data: &[u8],
        mode: CreateMode,
    ) -> Result<(Stat, CreateSequence), CallError> {
        let path = format!("{folder}/{name}");
        match self.client.create(&path, data, &self.options(mode)).await {
            // Refused, so nothing was made.
            Err(Error::NoNode) => {}
            other => return other.map_err(classified),
        }
        self.make(folder).await?;
        if let Some((within, _)) = name.rsplit_once('/') {
            self.make(&format!("{folder}/{within}")).await?;
        }
        self.client.create(&path, data, &self.options(mode)).await.map_err(classified)
    }

    /// Sets the value of a znode, or creates it with the value. The number of changes to it.
    pub(crate) async fn put(&self, path: &str, value: &Value) -> Result<i64, CallError> {
        let data = value.to_string();
        for _ in 0..ROUNDS {
            match self.client.set_data(path, data.as_bytes(), None).await {
                Ok(stat) => return Ok(changes(&stat)),
                Err(Error::NoNode) => {}
                Err(error) => return Err(classified(error)),
            }
            match self.client.create(path, data.as_bytes(), &self.persistent()).await {
                Ok((stat, _)) => return Ok(changes(&stat)),
                Err(Error::NodeExists) => {}
                Err(error) => return Err(classified(error)),
            }
        }
        Err(CallError::fail("conflict", format!("{path} came and went {ROUNDS} times")))
    }

    /// The value of a znode with its stat; none if there is no such znode. The client's own server answers.
    pub(crate) async fn get(&self, path: &str) -> Result<Option<(Value, Stat)>, CallError> {
        match self.client.get_data(path).await {
            Ok((data, stat)) => Ok(Some((parsed(path, &data)?, stat))),
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(classified(error)),
        }
    }

    /// The names of the children of a znode, in their order; none if there is no such znode.
    pub(crate) async fn children(&self, path: &str) -> Result<Vec<String>, CallError> {
        match self.client.list_children(path).await {
            Ok(mut children) => {
                children.sort_unstable();
                Ok(children)
            }
            Err(Error::NoNode) => Ok(Vec::new()),
            Err(error) => Err(classified(error)),
        }
    }

    /// What the recipe wants before a read.
    pub(crate) async fn before_read(&self) -> Result<(), CallError> {
        match self.settings.before_read {
            BeforeRead::Nothing => Ok(()),
            BeforeRead::Sync => self.client.sync(&self.settings.root).await.map_err(classified),
            BeforeRead::Write => {
                let written = self.client.set_data(&self.path(BEFORE_READ), b"", None).await;
                written.map(|_| ()).map_err(classified)
            }
        }
    }
}

/// The value that a znode holds.
pub(crate) fn parsed(path: &str, data: &[u8]) -> Result<Value, CallError> {
    if data.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(data)
        .map_err(|error| CallError::fail("malformed", format!("{path} is not of this client: {error}")))
}

/// How often a znode was changed: 1 after it was created.
pub(crate) fn changes(stat: &Stat) -> i64 {
    i64::from(stat.version) + 1
}

/// What an error says of the effect of its request.
pub(crate) fn classified(error: Error) -> CallError {
    let code = match error {
        Error::NoNode => "not-found",
        Error::NodeExists => "exists",
        Error::BadVersion => "conflict",
        Error::NoAuth | Error::InvalidAcl => "denied",
        Error::NotReadOnly => "read-only",
        Error::Unimplemented => "not-supported",
        Error::NotEmpty | Error::NoChildrenForEphemerals | Error::MarshallingError | Error::BadArguments(_) => {
            "malformed"
        }
        // "The operation was throttled and not executed at all."
        Error::Throttled | Error::QuotaExceeded => "aborted",
        error => return CallError::info("lost", error),
    };
    CallError::fail(code, error)
}

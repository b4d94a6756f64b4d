//! [`Nodes`]: the connection to the client's own node, and those to nodes of a Redis Cluster that redirects lead to.
use crate::connection::Connection;
use crate::settings::Settings;
use dsfuzz_client::{CallError, Init, settings};
use redis::{Cmd, Value};
use std::collections::HashMap;
use std::time::Duration;

/// Who answered a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// The server that the client was opened for.
    Own,
    /// Another one: host and port.
    Other(String, u16),
}

/// Connections to the servers of a cluster, one to each that was asked.
pub(crate) struct Nodes {
    /// None after it broke: the next call connects anew, before anything of it is sent.
    own: Option<Connection>,
    port: u16,
    others: HashMap<(String, u16), Connection>,
    settings: Settings,
    init: Init,
}

impl Nodes {
    /// Connects to the client's own node.
    pub(crate) async fn open(init: Init, settings: Settings) -> Result<Nodes, CallError> {
        let port = settings::port(&init, &settings.port)?;
        let own = Connection::open(&init.address, port, &settings, connect_time(init.deadline_ms)).await?;
        Ok(Nodes { own: Some(own), port, others: HashMap::new(), settings, init })
    }

    /// The replies to commands that are sent at once, and who gave them. One redirect is followed.
    pub(crate) async fn send(&mut self, commands: &[Cmd]) -> Result<(Vec<Value>, Via), CallError> {
        let replies = self.send_to_own(commands).await?;
        let Some(redirect) = self.redirect(&replies) else { return Ok((replies, Via::Own)) };
        let Redirect { host, port, ask } = redirect?;
        let via = Via::Other(host, port);
        if !ask {
            return Ok((self.send_to(&via, commands).await?, via));
        }
        let asking: Vec<Cmd> = std::iter::once(redis::cmd("ASKING")).chain(commands.iter().cloned()).collect();
        let mut replies = self.send_to(&via, &asking).await?;
        replies.remove(0);
        Ok((replies, via))
    }

    async fn send_to_own(&mut self, commands: &[Cmd]) -> Result<Vec<Value>, CallError> {
        let mut own = match self.own.take() {
            Some(own) => own,
            None => {
                let within = connect_time(self.init.deadline_ms);
                Connection::open(&self.init.address, self.port, &self.settings, within).await?
            }
        };
        let replies = own.send(commands).await?;
        self.own = Some(own);
        Ok(replies)
    }

    /// The replies of the server that answered before.
    pub(crate) async fn send_to(&mut self, via: &Via, commands: &[Cmd]) -> Result<Vec<Value>, CallError> {
        let Via::Other(host, port) = via else { return self.send_to_own(commands).await };
        let place = (host.clone(), *port);
        let connection = match self.others.entry(place) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let within = connect_time(self.init.deadline_ms);
                entry.insert(Connection::open(host, *port, &self.settings, within).await?)
            }
        };
        let sent = connection.send(commands).await;
        if sent.is_err() {
            // The next call connects anew.
            self.others.remove(&(host.clone(), *port));
        }
        sent
    }

    /// The name of the node that answered, if it is another one.
    pub(crate) fn name(&self, via: &Via) -> Option<String> {
        let Via::Other(host, _) = via else { return None };
        let node = self.init.nodes.iter().find(|node| node.address == *host)?;
        (node.name != self.init.node).then(|| node.name.clone())
    }

    /// Where the first redirect among the replies leads to. None: there is none, or it is not to be followed.
    fn redirect(&self, replies: &[Value]) -> Option<Result<Redirect, CallError>> {
        if !self.settings.cluster {
            return None;
        }
        let (ask, details) = replies.iter().find_map(|reply| match reply {
            Value::ServerError(error) if error.code() == "MOVED" => Some((false, error.details()?)),
            Value::ServerError(error) if error.code() == "ASK" => Some((true, error.details()?)),
            _ => None,
        })?;
        let Some((host, port)) = place(details) else {
            return Some(Err(CallError::fail("not-leader", format!("a redirect that names no server: {details}"))));
        };
        // A server that does not know its own address yet means the one that was asked.
        let host = if host.is_empty() { self.init.address.clone() } else { host };
        if host != self.init.address && !self.init.nodes.iter().any(|node| node.address == host) {
            let text =
                format!("redirected to {host}:{port}, which is no node of the plan, so that nobody could be named");
            return Some(Err(CallError::fail("not-leader", text)));
        }
        Some(Ok(Redirect { host, port, ask }))
    }
}

struct Redirect {
    host: String,
    port: u16,
    /// For this call only.
    ask: bool,
}

/// Host and port of `SLOT HOST:PORT`.
fn place(details: &str) -> Option<(String, u16)> {
    let (host, port) = details.split(' ').nth(1)?.rsplit_once(':')?;
    Some((host.to_owned(), port.parse().ok()?))
}

/// A node that is cut off does not refuse: half the deadline of a call is enough for one that answers.
fn connect_time(deadline_ms: u64) -> Duration {
    Duration::from_millis((deadline_ms / 2).clamp(100, 5_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_name_host_and_port() {
        assert_eq!(place("866 10.0.0.2:6379"), Some(("10.0.0.2".to_owned(), 6379)));
        assert_eq!(place("866 :6380"), Some((String::new(), 6380)));
        assert_eq!(place("866 fe80::1:6380"), Some(("fe80::1".to_owned(), 6380)));
        assert_eq!((place("866"), place("866 host:port")), (None, None));
    }
}

//! [`Proxy`]: a TCP proxy on loopback between a client and its server, which loses or holds back what the server answers.
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What it does with the server's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// Hands them on.
    Open,
    /// Drops the answer of this number, counted from 1, and breaks that connection.
    CutAt(u64),
    /// Holds them back.
    Held,
}

/// A proxy to one port of the server. Dropping it ends it.
pub(super) struct Proxy {
    /// Its own port.
    pub(super) port: u16,
    state: Arc<ProxyState>,
    task: JoinHandle<()>,
}

struct ProxyState {
    passage: watch::Sender<Passage>,
    /// Answers since the passage was set.
    answers: AtomicU64,
    cut: AtomicBool,
    /// Whether the client has sent anything since the passage was set.
    asked: AtomicBool,
    /// Bytes that the client sent over connections made after the cut.
    sent_again: AtomicU64,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// A proxy to this port.
    pub(super) async fn to(address: IpAddr, port: u16) -> io::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let own = listener.local_addr()?.port();
        let state = Arc::new(ProxyState {
            passage: watch::Sender::new(Passage::Open),
            answers: AtomicU64::new(0),
            cut: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            sent_again: AtomicU64::new(0),
        });
        let shared = state.clone();
        let task = tokio::spawn(async move {
            // The connections end with this task.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(through(client, address, port, shared.clone()));
            }
        });
        Ok(Proxy { port: own, state, task })
    }

    /// Treats the server's answers so from now on.
    pub(super) fn set(&self, passage: Passage) {
        self.state.answers.store(0, SeqCst);
        self.state.cut.store(false, SeqCst);
        self.state.asked.store(false, SeqCst);
        self.state.sent_again.store(0, SeqCst);
        self.state.passage.send_replace(passage);
    }

    /// Whether an answer was dropped since.
    pub(super) fn has_cut(&self) -> bool {
        self.state.cut.load(SeqCst)
    }

    /// Whether the client has sent anything since.
    pub(super) fn was_asked(&self) -> bool {
        self.state.asked.load(SeqCst)
    }

    /// Bytes that the client sent over new connections since an answer was dropped.
    pub(super) fn sent_again(&self) -> u64 {
        self.state.sent_again.load(SeqCst)
    }
}

async fn through(client: TcpStream, address: IpAddr, port: u16, state: Arc<ProxyState>) {
    let after_cut = state.cut.load(SeqCst);
    let Ok(server) = TcpStream::connect((address, port)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    // One direction that ends ends both.
    tokio::select! {
        () = requests(from_client, to_server, &state, after_cut) => {}
        () = answers(from_server, to_client, &state) => {}
    }
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &ProxyState, after_cut: bool) {
    let mut buffer = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        state.asked.store(true, SeqCst);
        if after_cut {
            state.sent_again.fetch_add(count as u64, SeqCst);
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &ProxyState) {
    let mut buffer = vec![0; 65_536];
    let mut passage = state.passage.subscribe();
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let number = state.answers.fetch_add(1, SeqCst) + 1;
        if *passage.borrow() == Passage::CutAt(number) && !state.cut.swap(true, SeqCst) {
            return;
        }
        if passage.wait_for(|passage| *passage != Passage::Held).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

//! Nodes that only write down what they are asked.
use dsfuzz::cluster::{Node, Remote, RemoteError};
use dsfuzz::targets::{Deployment, Target};
use dsfuzz_nemesis::protocol::{Request, Response, ServiceState};
use dsfuzz_workloads::BoxFuture;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a node answers to a command: exit status, standard output, standard error.
pub(super) type Shell = dyn Fn(&str, &str) -> (i32, String, String) + Send + Sync;

/// A node that writes down what it is asked.
pub(super) struct FakeRemote {
    node: Node,
    transcript: Arc<Mutex<Vec<String>>>,
    shell: Arc<Shell>,
    pub(super) files: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(super) services: Mutex<Vec<ServiceState>>,
}

impl Remote for FakeRemote {
    fn node(&self) -> &Node {
        &self.node
    }

    fn ask(
        &self,
        ask: Request,
        blob: Vec<u8>,
        _deadline: Duration,
    ) -> BoxFuture<'_, Result<(Response, Vec<u8>), RemoteError>> {
        let output = self.answer(ask, blob);
        Box::pin(async move { Ok(output) })
    }
}

impl FakeRemote {
    fn note(&self, line: String) {
        self.transcript.lock().unwrap().push(format!("{} {line}", self.node.name));
    }

    fn answer(&self, ask: Request, blob: Vec<u8>) -> (Response, Vec<u8>) {
        let output = match ask {
            Request::Run(command) => {
                let words = command.argv.join(" ");
                let env: String = command.env.iter().map(|(name, value)| format!("{name}={value} ")).collect();
                self.note(format!("run {env}{words}"));
                let (status, stdout, stderr) = (self.shell)(&self.node.name, &words);
                Response::Ran { status: Some(status), stdout, stderr, late: false }
            }
            Request::Write { path, mode, .. } => {
                self.note(format!("write {path} {mode:o} {} bytes", blob.len()));
                self.files.lock().unwrap().entry(path).or_default().extend(blob);
                Response::Done
            }
            Request::Define(service) => {
                self.note(format!("define {} {}", service.name, service.argv.join(" ")));
                Response::Done
            }
            Request::Start { service, again } => {
                self.note(format!("start {service}{}", if again { " again" } else { "" }));
                Response::Started { pid: 1 }
            }
            Request::Stop { service, signal, .. } => {
                self.note(format!("stop {service} {signal}"));
                Response::Done
            }
            Request::Services => Response::Services(self.services.lock().unwrap().clone()),
            Request::DiskLayers { folders } if folders.is_empty() => Response::Done,
            Request::List { pattern } => {
                let files = self.files.lock().unwrap();
                Response::Files(files.get(&pattern).map(|text| (pattern, text.len() as u64)).into_iter().collect())
            }
            Request::Read { path, offset, .. } => {
                let files = self.files.lock().unwrap();
                let whole = files.get(&path).cloned().unwrap_or_default();
                let rest = whole.get(usize::try_from(offset).unwrap()..).unwrap_or_default().to_vec();
                return (Response::Chunk { size: whole.len() as u64 }, rest);
            }
            other => panic!("not expected: {other:?}"),
        };
        (output, Vec::new())
    }
}

pub(super) struct Stage {
    pub(super) nodes: Vec<Arc<FakeRemote>>,
    pub(super) transcript: Arc<Mutex<Vec<String>>>,
    pub(super) deployment: Deployment,
}

impl Stage {
    pub(super) fn new(
        target: &Target,
        addresses: &[&str],
        shell: impl Fn(&str, &str) -> (i32, String, String) + Send + Sync + 'static,
    ) -> Stage {
        let transcript = Arc::new(Mutex::new(Vec::new()));
        let shell: Arc<Shell> = Arc::new(shell);
        let nodes: Vec<Arc<FakeRemote>> = addresses
            .iter()
            .enumerate()
            .map(|(position, address)| {
                Arc::new(FakeRemote {
                    node: Node { name: Arc::from(format!("n{}", position + 1)), address: address.parse().unwrap() },
                    transcript: transcript.clone(),
                    shell: shell.clone(),
                    files: Mutex::default(),
                    services: Mutex::default(),
                })
            })
            .collect();
        let remotes = nodes.iter().map(|node| node.clone() as Arc<dyn Remote>).collect();
        Stage { nodes, transcript, deployment: target.deployment(remotes, "/var/lib/dsfuzz").unwrap() }
    }

    /// What one node was asked since the last time.
    pub(super) fn asked(&self, node: &str) -> Vec<String> {
        let mut all = self.transcript.lock().unwrap();
        let prefix = format!("{node} ");
        let own = all.iter().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect();
        all.clear();
        own
    }
}

pub(super) fn fine(_: &str, _: &str) -> (i32, String, String) {
    (0, String::new(), String::new())
}

//! [`Maelstrom`]: a program that speaks Maelstrom's protocol, as a node: this process starts it, speaks JSON lines with it, carries its
//! messages over TCP to the other nodes, and asks it what clients call.
//!
//! A message to a node goes to the process that has the program of that node; one to a [service](services) to the process of the first
//! node of the plan, which has all services; one to a client to the process that the client is connected to. A message may be lost
//! and delayed, as between the nodes of Maelstrom; it is never doubled.
//!
//! **Source.** Maelstrom's protocol, `doc/protocol.md` of <https://github.com/jepsen-io/maelstrom>.
mod consumer;
mod program;
mod rpc;
mod services;
mod topology;

use crate::call::{Call, Outcome, Ticket};
use crate::node::{Mode, Node, Settings, Status};
use consumer::{Consumer, Stage, Step};
use program::Program;
use rpc::{NOT_UNDERSTOOD, WORKLOADS, Workload};
use serde_json::{Value as Json, json};
use services::{SERVICES, Services};
use std::collections::BTreeMap;
use topology::TOPOLOGIES;

/// The node whose process has the services: the first of the plan.
const SERVICES_AT: usize = 0;
/// How long an answer may come after the deadline of its call and still be told from one that nobody asked for.
const LATE_MS: u64 = 60_000;

/// A node with its program.
pub struct Maelstrom {
    workload: Workload,
    /// None if it could not be started.
    program: Option<Program>,
    services: Services,
    /// What the program has not answered, by the `msg_id`.
    open: BTreeMap<u64, Asked>,
    /// The last `msg_id`.
    asked: u64,
    /// The consumers of `kafka`, by their connection.
    consumers: BTreeMap<u64, Consumer>,
    /// The program can be called.
    ready: bool,
}

/// A request that the program has not answered.
struct Asked {
    /// From whom: the name of the client.
    client: String,
    what: Request,
    /// Milliseconds of this process after which it is forgotten.
    until_ms: u64,
}

enum Request {
    Init,
    Topology,
    Call(Ticket, Box<Call>),
    Log(Ticket, Box<Call>, Stage),
}

impl Maelstrom {
    /// Whether the settings say all that is needed.
    pub fn check(settings: &Settings) -> Result<(), String> {
        let option = |name: &str| settings.options.get(name).map_or("", String::as_str);
        let listed = |names: Vec<&str>| names.join(", ");
        if workload(settings).is_none() {
            let known = listed(WORKLOADS.iter().map(|(name, _)| *name).collect());
            return Err(format!("workload `{}`: Maelstrom has {known}", option("workload")));
        }
        if topology::neighbours(topology_of(settings), &settings.names).is_none() {
            return Err(format!("topology `{}`: there are {}", option("topology"), listed(TOPOLOGIES.to_vec())));
        }
        Ok(())
    }

    /// Writes a message to the program.
    fn write(&self, message: Json) {
        if let Some(program) = &self.program {
            program.write(message);
        }
    }

    /// Asks the program.
    fn ask(&mut self, node: &Node<Json>, client: String, what: Request, wait_ms: u64, mut body: Json) {
        self.asked += 1;
        body["msg_id"] = self.asked.into();
        self.write(json!({"src": client, "dest": node.name(node.me()), "body": body}));
        self.open.insert(self.asked, Asked { client, what, until_ms: node.now_ms() + wait_ms + LATE_MS });
    }

    /// Carries a message of the program, or of a service, on its way.
    fn carry(&mut self, node: &mut Node<Json>, message: Json) {
        let to = message["dest"].as_str().unwrap_or_default().to_owned();
        match self.process_of(node, &to) {
            Some(process) if process == node.me() => self.arrive(node, message),
            Some(process) => node.send(process, message),
            None => {
                let (src, id) = (message["src"].clone(), message["body"]["msg_id"].clone());
                node.log(&format!("no node {to}: {message}"));
                if !id.is_null() {
                    let text = format!("there is no node {to}");
                    let body = json!({"type": "error", "code": 1, "text": text, "in_reply_to": id});
                    self.write(json!({"src": to, "dest": src, "body": body}));
                }
            }
        }
    }

    /// The position of the node whose process has a node, a service or a client of Maelstrom.
    fn process_of(&self, node: &Node<Json>, name: &str) -> Option<usize> {
        if SERVICES.contains(&name) {
            return Some(SERVICES_AT);
        }
        let named = (0..node.count()).find(|position| node.name(*position) == name);
        named.or_else(|| Some((name.strip_prefix('c')?.parse::<u64>().ok()? % node.count() as u64) as usize))
    }

    /// A message for this process.
    fn arrive(&mut self, node: &mut Node<Json>, message: Json) {
        let to = message["dest"].as_str().unwrap_or_default().to_owned();
        if to == node.name(node.me()) {
            self.write(message);
        } else if SERVICES.contains(&to.as_str()) {
            let sender = message["src"].as_str().unwrap_or_default();
            let mut body = self.services.answer(node, &to, sender, &message["body"]);
            body["in_reply_to"] = message["body"]["msg_id"].clone();
            self.carry(node, json!({"src": to, "dest": sender, "body": body}));
        } else {
            self.answered(node, &to, &message["body"]);
        }
    }

    /// An answer of the program, or of another one, to a client of this process.
    fn answered(&mut self, node: &mut Node<Json>, client: &str, body: &Json) {
        let id = body["in_reply_to"].as_u64().unwrap_or_default();
        // An answer to a request of an earlier process of this node has another client.
        if self.open.get(&id).is_none_or(|asked| asked.client != client) {
            return;
        }
        match self.open.remove(&id).map(|asked| asked.what) {
            Some(Request::Init) if body["type"] == "init_ok" && self.workload == Workload::Broadcast => {
                let names: Vec<String> = (0..node.count()).map(|position| node.name(position).to_owned()).collect();
                let topology = topology::neighbours(topology_name(node.option("topology")), &names);
                let body = json!({"type": "topology", "topology": topology});
                self.ask(node, client_name(node, None), Request::Topology, 0, body);
            }
            Some(Request::Init) if body["type"] == "init_ok" => self.ready = true,
            Some(Request::Topology) if body["type"] == "topology_ok" => self.ready = true,
            Some(Request::Init) => node.end(format!("the program answers {body} to `init`")),
            Some(Request::Topology) => node.end(format!("the program answers {body} to `topology`")),
            Some(Request::Call(ticket, call)) => {
                let outcome = self.workload.outcome(&call, body);
                self.reply(node, ticket, outcome);
            }
            Some(Request::Log(ticket, call, stage)) => {
                let step = self.consumer(ticket).answer(stage, &call, body);
                self.step(node, ticket, call, step);
            }
            None => {}
        }
    }

    fn consumer(&mut self, ticket: Ticket) -> &mut Consumer {
        self.consumers.entry(ticket.connection).or_default()
    }

    fn step(&mut self, node: &mut Node<Json>, ticket: Ticket, call: Box<Call>, step: Step) {
        match step {
            Step::Ask(stage, body) => {
                let (client, wait_ms) = (client_name(node, Some(call.process)), call.deadline_ms);
                self.ask(node, client, Request::Log(ticket, call, stage), wait_ms, body);
            }
            Step::Done(outcome) => self.reply(node, ticket, outcome),
        }
    }

    fn reply(&mut self, node: &mut Node<Json>, ticket: Ticket, outcome: Outcome) {
        if let Outcome::Info(code, text) = &outcome
            && code == NOT_UNDERSTOOD
        {
            node.log(&format!("malformed answer of the program: {text}"));
        }
        node.reply(ticket, outcome);
    }
}

/// The name of a client of this process in Maelstrom; none: the process itself. It says which process has the client.
fn client_name(node: &Node<Json>, process: Option<u64>) -> String {
    let number = process.map_or(0, |process| process + 1) * node.count() as u64 + node.me() as u64;
    format!("c{number}")
}

fn workload(settings: &Settings) -> Option<Workload> {
    settings.options.get("workload").and_then(|name| Workload::named(name))
}

fn topology_of(settings: &Settings) -> &str {
    topology_name(settings.options.get("topology").map_or("", String::as_str))
}

fn topology_name(option: &str) -> &str {
    if option.is_empty() { "grid" } else { option }
}

impl Mode for Maelstrom {
    type Message = Json;
    const OBJECTS: &'static [&'static str] = &[];
    const MISTAKES: &'static [&'static str] = &[];

    fn objects(settings: &Settings) -> &'static [&'static str] {
        workload(settings).map_or(&[], Workload::objects)
    }

    fn start(node: &mut Node<Json>) -> Maelstrom {
        let arguments: Vec<&str> = node.option("arguments").split_whitespace().collect();
        let path = node.option("program");
        let program = match Program::start(path, &arguments) {
            Ok((program, output)) => {
                node.listen_to(output);
                Some(program)
            }
            Err(why) => {
                node.end(why);
                None
            }
        };
        let mut maelstrom = Maelstrom {
            workload: Workload::named(node.option("workload")).unwrap_or(Workload::Echo),
            program,
            services: Services::load(node),
            open: BTreeMap::new(),
            asked: 0,
            consumers: BTreeMap::new(),
            ready: false,
        };
        let names: Vec<&str> = (0..node.count()).map(|position| node.name(position)).collect();
        let init = json!({"type": "init", "node_id": node.name(node.me()), "node_ids": names});
        maelstrom.ask(node, client_name(node, None), Request::Init, 0, init);
        maelstrom
    }

    fn call(&mut self, node: &mut Node<Json>, ticket: Ticket, call: Call) {
        if !self.ready {
            return node.reply(ticket, Outcome::fail("refused", "the program has not answered its first requests"));
        }
        if self.workload == Workload::Kafka {
            let step = self.consumer(ticket).call(&call);
            return self.step(node, ticket, Box::new(call), step);
        }
        match self.workload.request(&call) {
            Ok(body) => {
                let (client, wait_ms) = (client_name(node, Some(call.process)), call.deadline_ms);
                self.ask(node, client, Request::Call(ticket, Box::new(call)), wait_ms, body);
            }
            Err(refused) => node.reply(ticket, refused),
        }
    }

    fn message(&mut self, node: &mut Node<Json>, _: usize, message: Json) {
        self.arrive(node, message);
    }

    fn line(&mut self, node: &mut Node<Json>, line: Option<String>) {
        let Some(line) = line else {
            let ended = self.program.as_mut().map(Program::ended).unwrap_or_default();
            return node.end(format!("the program has ended: {ended}"));
        };
        match serde_json::from_str::<Json>(&line) {
            Ok(message) if message["dest"].is_string() && message["body"].is_object() => self.carry(node, message),
            _ => node.end(format!("malformed line of the program, which is no message of Maelstrom: {line}")),
        }
    }

    fn tick(&mut self, node: &mut Node<Json>) {
        let now_ms = node.now_ms();
        // Starting a program takes its time.
        self.open.retain(|_, asked| now_ms < asked.until_ms || matches!(asked.what, Request::Init | Request::Topology));
    }

    fn status(&self, _: &Node<Json>) -> Status {
        let role = if self.ready { "peer" } else { "starting" };
        Status { role, term: None, holds: String::new() }
    }
}

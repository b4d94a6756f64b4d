//! [`Model`]: a sequential specification. It says what one object does when its calls come one after the other, and
//! nothing about time, processes or faults. A call of data ([`Value`]) is parsed once into the model's own type.
//!
//! Your own model is one type; [`crate::Linearizable::new`] judges it:
//!
//! ```
//! use dsfuzz_checkers::{Model, Value};
//!
//! /// A light switch: `flip`, and `read`, which returns whether it is on.
//! struct Switch;
//!
//! impl Model for Switch {
//!     type State = bool;
//!     type Action = Option<Option<bool>>; // None: a flip; Some: a read, with its reply if there is one.
//!     fn name(&self) -> &'static str { "switch" }
//!     fn functions(&self) -> &'static [&'static str] { &["flip", "read"] }
//!     fn initial(&self) -> bool { false }
//!     fn action(&self, function: &str, _: &Value, reply: Option<&Value>) -> Result<Self::Action, String> {
//!         match function {
//!             "flip" => Ok(None),
//!             _ => Ok(Some(reply.map(|reply| *reply == Value::Bool(true)))),
//!         }
//!     }
//!     fn step(&self, on: &bool, action: &Self::Action) -> Option<bool> {
//!         match action {
//!             None => Some(!on),
//!             Some(seen) => seen.is_none_or(|seen| seen == *on).then_some(*on),
//!         }
//!     }
//!     fn observes_only(&self, action: &Self::Action) -> bool { action.is_some() }
//! }
//!
//! let checker = dsfuzz_checkers::Linearizable::new(Switch);
//! # let _ = checker;
//! ```
mod chain;
mod counter;
mod fenced_lock;
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
mod items;
mod kv;
mod leader_election;
mod lease;
mod locking;
mod log;
mod multi_register;
mod mutex;
mod options;
mod ordered;
mod owned_mutex;
mod register;
mod semaphore;
mod set;
mod unordered_queue;
pub(crate) mod versioned;

pub(crate) use counter::Counter;
pub(crate) use fenced_lock::FencedLock;
pub(crate) use kv::Kv;
pub(crate) use leader_election::LeaderElection;
pub(crate) use lease::Lease;
pub(crate) use log::Log;
pub(crate) use multi_register::MultiRegister;
pub(crate) use mutex::Mutex;
pub(crate) use options::{ModelOptions, QueueOrder};
pub(crate) use ordered::OrderedContainer;
pub(crate) use owned_mutex::OwnedMutex;
pub use register::CasRegister;
pub(crate) use register::Register;
pub(crate) use semaphore::Semaphore;
pub(crate) use set::Set;
#[cfg(feature = "oracles")]
pub(crate) use set::SetAction;
pub(crate) use unordered_queue::UnorderedQueue;
pub(crate) use versioned::VersionedRegister;

use crate::checker::Reads;
use crate::initial::Initial;
use crate::options::OptionError;
use crate::value::Value;
use std::fmt::Debug;
use std::hash::Hash;

/// A sequential specification.
pub trait Model: Send + Sync {
    /// What the object holds. Compared by value.
    type State: Clone + Eq + Hash + Debug;
    /// A call with what is known of its reply. Equal actions do the same.
    type Action: Clone + Eq + Hash + Debug;

    /// Its name in plans, e.g. `cas-register`.
    fn name(&self) -> &'static str;

    /// Its name in certificates: with what is set otherwise than by default behind a colon.
    fn specification(&self) -> String {
        self.name().to_owned()
    }

    /// The functions that it knows.
    fn functions(&self) -> &'static [&'static str];

    /// The state before every call.
    fn initial(&self) -> Self::State;

    /// The object of this key with what was set for it; `None` where nothing was, or where such objects always begin in one
    /// state.
    fn beginning(&self, _key: &Value, _initial: &Initial) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// What this register holds before every call; an object that is one register names it nil.
    fn begins(&self, _register: &Value) -> Value {
        Value::Nil
    }

    /// What the action shows of registers before it: register and value. A model that never shows anything
    /// begins in one state only.
    fn seen(&self, _act: &Self::Action) -> Vec<(Value, Value)> {
        Vec::new()
    }

    /// What the action may leave in registers; `None`: any value.
    fn left(&self, _act: &Self::Action) -> Vec<(Value, Option<Value>)> {
        Vec::new()
    }

    /// Whether a read shows a value in the form in which it was written: one that shows a list or an object where none was
    /// written is then not understood.
    fn shows_as_written(&self) -> bool {
        false
    }

    /// Of an object that counts up with every change: by how much, and the number before the action where it shows that. An
    /// object whose actions all do is asked what it began with where every reply agrees with one larger number.
    fn counts(&self, _act: &Self::Action) -> Option<Counts> {
        None
    }

    /// What such an object may have begun with, if its number was this at first; the actions are those that may have come before
    /// every change.
    fn counted_from(&self, number: i64, _acts: &[&Self::Action]) -> Vec<Value> {
        vec![Value::Int(number)]
    }

    /// Whether its number is all that such an object holds.
    fn counts_alone(&self) -> bool {
        true
    }

    /// The value that the action found, where a write of it that was refused explains that.
    fn found<'a>(&self, _act: &'a Self::Action) -> Option<&'a Value> {
        None
    }

    /// Parses a call. The reply is `None` where it is unknown: such an action may be applied with whatever reply the state
    /// gives. The error says what the function expects.
    fn action(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<Self::Action, String>;

    /// The same, for models in which the calling process matters.
    fn action_by(
        &self,
        _process: u64,
        function: &str,
        input: &Value,
        reply: Option<&Value>,
    ) -> Result<Self::Action, String> {
        self.action(function, input, reply)
    }

    /// The state after the action, or `None` when it cannot have happened, with this reply, in this state.
    fn step(&self, state: &Self::State, action: &Self::Action) -> Option<Self::State>;

    /// Whether the action leaves every state as it is. Observations are linearised as soon as they fit, and an observation
    /// without a reply says nothing at all.
    fn observes_only(&self, _act: &Self::Action) -> bool {
        false
    }

    /// Whether the action, with this reply, fits every state: it tells nothing of what was there before. Objects all of
    /// whose acknowledged actions do are not judged valid: nothing was observed.
    fn fits_always(&self, action: &Self::Action) -> bool {
        let register = |action: RegisterAction| matches!(action, RegisterAction::Write(_) | RegisterAction::Read(None));
        let cell = self.register_action(action).or_else(|| self.cell_action(action).map(|(_, action)| action));
        cell.is_some_and(register)
            || self
                .container_action(action)
                .is_some_and(|(_, action)| matches!(action, ContainerAction::Put(_) | ContainerAction::TakeUnknown))
            || self.growing_action(action).is_some_and(|action| matches!(action, GrowingAction::Add(_)))
    }

    /// Whether the action, with this reply, fits only some states, and [`Model::may_become`] knows from which others those can
    /// come. A search then looks ahead to the next such reply.
    fn needs_state(&self, _act: &Self::Action) -> bool {
        false
    }

    /// Whether actions that do not restart the state ([`Model::restarts`]) can lead from it to one that this action fits. Never:
    /// false where they can.
    fn may_become(&self, _state: &Self::State, _act: &Self::Action) -> bool {
        true
    }

    /// The state after the action, if it is the same after every state before.
    fn restarts(&self, _act: &Self::Action) -> Option<Self::State> {
        None
    }

    /// The action as one of a register, if it is one. An object whose actions all are is decided by the engines for
    /// registers.
    fn register_action(&self, _act: &Self::Action) -> Option<RegisterAction> {
        None
    }

    /// The action as one of one register among several that have nothing to do with each other, if it is one: which, and
    /// what it does there. An object whose actions all are is decided register by register.
    fn cell_action(&self, _act: &Self::Action) -> Option<(Value, RegisterAction)> {
        None
    }

    /// The action as one of a container. An object whose actions all are, and whose values are put once each, is decided by
    /// the algorithms for that container.
    fn container_action(&self, _act: &Self::Action) -> Option<(Container, ContainerAction)> {
        None
    }

    /// The action as one of a set that only grows, if it is one. An object whose actions all are is decided without a search.
    fn growing_action(&self, _act: &Self::Action) -> Option<GrowingAction> {
        None
    }

    /// Groups of these actions, by place, each of which may be removed from any history that consists of them: if the
    /// whole is linearizable, so is the rest. Counterexamples are made small with it. By default every observation is a
    /// group.
    fn removable(&self, actions: &[&Self::Action]) -> Vec<Vec<usize>> {
        (0..actions.len()).filter(|&at| self.observes_only(actions[at])).map(|at| vec![at]).collect()
    }

    /// How many bytes the state holds, about: what a search counts against its budget.
    fn state_bytes(&self, _state: &Self::State) -> usize {
        96
    }

    /// The state in words, for explanations.
    fn show(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }

    /// What an action did (or tried to do, if it was never acknowledged) in words; `None`: function, argument and reply say it.
    fn describe(&self, _act: &Self::Action, _acknowledged: bool) -> Option<String> {
        None
    }
}

/// What can be done with a register. Initially it holds [`Model::begins`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RegisterAction {
    /// It held this value; `None`: the reply is unknown.
    Read(Option<Value>),
    /// It holds this value from now on.
    Write(Value),
    /// It held the first value and holds the second from now on.
    Cas(Value, Value),
    /// It held something other than this value: a compare-and-set that was answered with a mismatch.
    Differs(Value),
}

/// In which order a container gives back what was put into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    /// First in, first out.
    Queue,
    /// Last in, first out.
    Stack,
    /// The smallest first, by the order of [`Value`].
    Smallest,
    /// The largest first.
    Largest,
    /// In any order.
    Bag,
}

impl RegisterAction {
    /// The value that was there before it, where it shows one.
    fn seen(&self) -> Option<&Value> {
        match self {
            RegisterAction::Read(value) => value.as_ref(),
            RegisterAction::Cas(from, _) => Some(from),
            RegisterAction::Write(_) | RegisterAction::Differs(_) => None,
        }
    }

    /// The value that it leaves, if it changes anything.
    fn left(&self) -> Option<&Value> {
        match self {
            RegisterAction::Write(value) | RegisterAction::Cas(_, value) => Some(value),
            RegisterAction::Read(_) | RegisterAction::Differs(_) => None,
        }
    }
}

/// What an action does to a number that counts up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// By how much it grows.
    pub by: i64,
    /// The number before it, where the reply shows it.
    pub before: Option<i128>,
}

/// What can be done with a container. Initially it is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ContainerAction {
    /// This value is in it from now on.
    Put(Value),
    /// This value was next, and is taken out.
    Take(Value),
    /// It was empty.
    TakeNothing,
    /// It was empty, or what was next is taken out: the reply is unknown.
    TakeUnknown,
}

/// What can be done with a set that only grows. Initially it is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GrowingAction {
    /// This value is in it from now on.
    Add(Value),
    /// Exactly these values were in it, in ascending order.
    Read(Vec<Value>),
}

/// A model in the list.
#[derive(Clone, Copy, Debug)]
pub struct ModelDoc {
    /// Its name in plans.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub doc: &'static str,
    /// The functions that it knows.
    pub functions: &'static [&'static str],
    /// What reads of such an object reply with.
    pub reads: Reads,
    /// Options of `linearizable` that it takes.
    pub options: &'static [&'static str],
}

/// A computation over a model of any type.
pub(crate) trait WithModel {
    /// What comes out.
    type Out;
    /// Does it.
    fn with<M: Model + Clone + 'static>(self, model: M) -> Self::Out;
}

/// One list of types: [`MODELS`] and [`with_model`] follow from it.
macro_rules! models {
    ($($name:literal, $functions:expr, $reads:ident, $options:expr, $make:expr, $doc:literal;)*) => {
        /// All models. A new one is its file and its entry here.
        pub const MODELS: &[ModelDoc] = &[$(ModelDoc {
            name: $name,
            doc: $doc,
            functions: $functions,
            reads: Reads::$reads,
            options: $options,
        }),*];

        /// Does something with the model of this name, made with these options. The error names the models there are.
        pub(crate) fn with_model<W: WithModel>(name: &str, options: &ModelOptions, with: W) -> Result<W::Out, OptionError> {
            match name {
                $($name => {
                    options.only($options, $name)?;
                    let model = ($make)(options)?;
                    Ok(with.with(model))
                })*
                _ => {
                    let names: Vec<&str> = MODELS.iter().map(|doc| doc.name).collect();
                    let message = format!("no model {name} (there are: {})", names.join(", "));
                    Err(OptionError::wrong("model", message))
                }
            }
        }
    };
}

type Made<M> = Result<M, OptionError>;

/// Options of models whose objects may begin with any value. [`crate::Linearizable`] takes it, for each key.
const BEGINS: &[&str] = &["initial"];

models! {
    "register", register::READ_WRITE, Value, BEGINS, |_: &ModelOptions| -> Made<_> { Ok(Register::default()) },
        "One value: read, write.";
    "cas-register", register::READ_WRITE_CAS, Value, BEGINS, |_: &ModelOptions| -> Made<_> { Ok(CasRegister::default()) },
        "One value: read, write, compare-and-set.";
    "multi-register", multi_register::FUNCTIONS, Anything, BEGINS, |_: &ModelOptions| -> Made<_> { Ok(MultiRegister::default()) },
        "Several values: reads and writes of some of them in one step.";
    "versioned-register", versioned::FUNCTIONS, Value, BEGINS,
        |options: &ModelOptions| VersionedRegister::sound(options).map(|()| VersionedRegister::default()),
        "One value with its version, as etcd's keys have: read replies with [version, value]; write, compare-and-set.";
    "kv", kv::FUNCTIONS, Anything, BEGINS, |_: &ModelOptions| -> Made<_> { Ok(Kv::default()) },
        "A key of a store: get, put, append, delete, compare-and-set; initially an empty text.";
    "mutex", locking::FUNCTIONS, Anything, &[], |_: &ModelOptions| -> Made<_> { Ok(Mutex) },
        "A lock: no process acquires it while it is held. Arguments of acquire name no lock.";
    "owner-mutex", locking::FUNCTIONS, Anything, &[], |_: &ModelOptions| -> Made<_> { Ok(OwnedMutex { reentrant: false }) },
        "A lock that only its holder can release.";
    "reentrant-mutex", locking::FUNCTIONS, Anything, &[], |_: &ModelOptions| -> Made<_> { Ok(OwnedMutex { reentrant: true }) },
        "A lock that its holder can acquire again, and has to release as often.";
    "semaphore", locking::FUNCTIONS, Anything, semaphore::OPTIONS, Semaphore::with_options,
        "A number of permits: no more are out than there are.";
    "fenced-lock", locking::FUNCTIONS, Anything, &[], |_: &ModelOptions| -> Made<_> { Ok(FencedLock) },
        "A lock whose every acquisition returns a larger token than all before.";
    "lease", lease::FUNCTIONS, Anything, &[], |_: &ModelOptions| -> Made<_> { Ok(Lease) },
        "A lock that may expire at any time: grants have growing numbers, and only the latest can be renewed.";
    "fifo-queue", items::QUEUE, Anything, &[], |_: &ModelOptions| -> Made<_> { Ok(OrderedContainer::FIFO_QUEUE) },
        "A queue: first in, first out.";
    "unordered-queue", items::QUEUE, Anything, &[], |_: &ModelOptions| -> Made<_> { Ok(UnorderedQueue) },
        "A queue in no order: nothing comes out that is not in it.";
    "priority-queue", ordered::PRIORITY_QUEUE, Anything, ordered::PRIORITY_QUEUE_OPTIONS, OrderedContainer::priority_queue,
        "A queue: the smallest value comes out first.";
    "stack", ordered::STACK, Anything, &[], |_: &ModelOptions| -> Made<_> { Ok(OrderedContainer::STACK) },
        "A stack: last in, first out.";
    "set", set::FUNCTIONS, Elements, &[], |_: &ModelOptions| -> Made<_> { Ok(Set) },
        "A set: add, remove, contains, read.";
    "counter", counter::FUNCTIONS, Number, BEGINS, |options: &ModelOptions| Counter::sound(options).map(|()| Counter::default()),
        "A number: add, increment, decrement, read.";
    "log", log::FUNCTIONS, Anything, &[], |_: &ModelOptions| -> Made<_> { Ok(Log) },
        "A list to which is only appended: each append returns its offset, which is read for ever after.";
    "leader-election", leader_election::FUNCTIONS, Anything, &[], |_: &ModelOptions| -> Made<_> { Ok(LeaderElection) },
        "A leader for each term: terms grow, and each has one leader.";
}

fn unknown_function(model: &str, functions: &[&str], function: &str) -> String {
    format!("a {model} knows {}, not {function:?}", functions.join(", "))
}

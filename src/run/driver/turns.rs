//! [`Turns`]: the generators of one worker, one for each workload, and the one whose turn it is.
use dsfuzz_rng::Rng;
use dsfuzz_workloads::{Call, CallResult, Generator, Next, Part, Workload};
use std::sync::Arc;

pub(super) struct Turns {
    /// None once a workload has no more calls.
    parts: Vec<Option<WorkloadTurn>>,
    rng: Rng,
    /// The workload whose turn it is, until its call is taken.
    turn: Option<usize>,
}

struct WorkloadTurn {
    workload: Arc<str>,
    generator: Box<dyn Generator>,
}

impl Turns {
    pub(super) fn new(workloads: &[Arc<dyn Workload>], seed: u64, worker: u32, workers: u32) -> Turns {
        let part = |workload: &Arc<dyn Workload>| {
            Some(WorkloadTurn { workload: workload.name(), generator: workload.generator(seed, worker, workers) })
        };
        let rng = Rng::new(seed, "workload", u64::from(worker));
        Turns { parts: workloads.iter().map(part).collect(), rng, turn: None }
    }

    /// The turns of a worker that makes calls of one part only; none if no workload has such calls.
    pub(super) fn of_part(
        workloads: &[Arc<dyn Workload>],
        part: Part,
        seed: u64,
        worker: u32,
        workers: u32,
    ) -> Option<Turns> {
        let one = |workload: &Arc<dyn Workload>| {
            let generator = workload.part(part, seed, worker, workers)?;
            Some(WorkloadTurn { workload: workload.name(), generator })
        };
        let parts: Vec<Option<WorkloadTurn>> = workloads.iter().map(one).collect();
        let rng = Rng::new(seed, "workload", u64::from(worker));
        parts.iter().any(Option::is_some).then_some(Turns { parts, rng, turn: None })
    }

    /// The next call. Peeking consumes nothing.
    pub(super) fn next(&mut self) -> Next {
        loop {
            let Some(turn) = self.turn.or_else(|| self.draw()) else { return Next::Done };
            self.turn = Some(turn);
            let Some(part) = &mut self.parts[turn] else { return Next::Done };
            match part.generator.next() {
                Next::Done => {
                    self.parts[turn] = None;
                    self.turn = None;
                }
                next => return next,
            }
        }
    }

    /// How many nodes further than the worker's own the next call is made.
    pub(super) fn moved(&mut self) -> u32 {
        self.turn = self.turn.or_else(|| self.draw());
        let part = self.turn.and_then(|turn| self.parts[turn].as_ref());
        part.map_or(0, |part| part.generator.moved())
    }

    /// Marks the call as made.
    pub(super) fn taken(&mut self) {
        if let Some(part) = self.turn.take().and_then(|turn| self.parts[turn].as_mut()) {
            part.generator.taken();
        }
    }

    /// Shows the call's result to its generator.
    pub(super) fn observe(&mut self, call: &Call, answer: &CallResult) {
        if let Some(part) = self.parts.iter_mut().flatten().find(|part| part.workload == call.workload) {
            part.generator.observe(call, answer);
        }
    }

    /// Whether the target may hold something for the worker's client.
    pub(super) fn hold(&self) -> bool {
        self.parts.iter().flatten().any(|part| part.generator.holds())
    }

    /// Tells the generators that a client of a new process makes the next call.
    pub(super) fn replaced(&mut self) {
        self.parts.iter_mut().flatten().for_each(|part| part.generator.replaced());
    }

    fn draw(&mut self) -> Option<usize> {
        if let [only] = &self.parts[..] {
            return only.as_ref().map(|_| 0);
        }
        let weights: Vec<u64> = self.parts.iter().map(|part| u64::from(part.is_some())).collect();
        self.rng.weighted(&weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsfuzz_workloads::WorkloadOptions;
    use dsfuzz_workloads::register::{Mix, RegisterOptions};
    use dsfuzz_workloads::set::SetOptions;

    fn turns(mix: Mix) -> Turns {
        let register = WorkloadOptions::Register(RegisterOptions { mix, ..RegisterOptions::default() });
        let set = WorkloadOptions::Set(SetOptions::default());
        let workloads: Vec<Arc<dyn Workload>> = vec![Arc::from(register.build()), Arc::from(set.build())];
        Turns::new(&workloads, 7, 0, 1)
    }

    #[test]
    fn asking_consumes_neither_the_turn_nor_the_call() {
        let (mut curious, mut plain) = (turns(Mix::default()), turns(Mix::default()));
        let mut names = std::collections::HashSet::new();
        for round in 0..200 {
            for _ in 0..round % 3 {
                curious.next();
            }
            let next = curious.next();
            assert_eq!(next, plain.next());
            let Next::Call(call) = next else { panic!("{next:?}") };
            names.insert(call.workload);
            curious.taken();
            plain.taken();
        }
        assert_eq!(names.len(), 2, "each workload gets its turns");
    }

    #[test]
    fn a_workload_that_is_done_leaves_its_turns_to_the_others() {
        let mut turns = turns(Mix { read: 0, write: 0, cas: 0 });
        for _ in 0..50 {
            let next = turns.next();
            assert!(matches!(&next, Next::Call(call) if &*call.workload == "set"), "{next:?}");
            turns.taken();
        }
    }
}

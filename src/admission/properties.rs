//! What holds of any line, whatever comes and goes.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{Claim, Line, Standing};
use crate::api::amounts::Amounts;

const HOST: Amounts = Amounts { cpu_millis: 8, memory_bytes: 8, pods: 6 };

#[derive(Debug, Clone)]
enum Step {
    Come(Claim),
    /// The pod that has run for the longest but so many ends.
    End(usize),
    Pass(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let claim = (0..10_u64, 0..10_u64, 0..3, proptest::option::of(1..50_u64));
    let come = claim.prop_map(|(cpu_millis, memory_bytes, priority, lasts)| {
        Step::Come(Claim {
            asks: Amounts { cpu_millis, memory_bytes, pods: 1 },
            priority,
            since: Timestamp::UNIX_EPOCH,
            lasts: lasts.map(Duration::from_secs),
        })
    });
    let end = (0..6_usize).prop_map(Step::End);
    let pass = (1..30_i64).prop_map(Step::Pass);
    proptest::collection::vec(prop_oneof![3 => come, 3 => end, 1 => pass], 1..80)
}

/// A host with its line, and what a pod's deadline does to it.
struct World {
    line: Line,
    now: Timestamp,
    claims: BTreeMap<String, Claim>,
    running: Vec<(String, Timestamp)>,
    made: usize,
}

impl World {
    fn new() -> Self {
        let (line, now) = (Line::new(HOST), Timestamp::UNIX_EPOCH);
        Self { line, now, claims: BTreeMap::new(), running: Vec::new(), made: 0 }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Come(claim) => {
                let uid = format!("p{:03}", self.made);
                self.made += 1;
                let claim = Claim { since: self.now, ..claim.clone() };
                self.line.wait(&uid, claim.clone());
                self.claims.insert(uid, claim);
            }
            Step::End(n) if *n < self.running.len() => {
                let (uid, _) = self.running.remove(*n);
                assert!(self.line.leave(&uid));
            }
            Step::End(_) => {}
            Step::Pass(seconds) => {
                self.now += SignedDuration::from_secs(*seconds);
                let now = self.now;
                let late = self.running.extract_if(.., |(_, end)| *end <= now);
                late.for_each(|(uid, _)| assert!(self.line.leave(&uid)));
            }
        }
        self.start();
    }

    fn start(&mut self) {
        for uid in self.line.start(self.now) {
            let lasts = self.claims[&uid].lasts;
            let end = lasts.map_or(Timestamp::MAX, |lasts| self.now + lasts);
            self.running.push((uid, end));
        }
        let used = self.running.iter().map(|(uid, _)| self.claims[uid].asks);
        let used = used.fold(Amounts::default(), |sum, asks| sum + asks);
        assert!(used.fits_in(HOST), "more than there is: {used:?}");
    }

    /// The first in the line that can start, and by when it is sure to, if that is sure.
    fn first(&self) -> Option<(String, Option<Timestamp>)> {
        let (_, (uid, claim)) =
            self.line.waiting.iter().find(|(_, (_, claim))| claim.asks.fits_in(HOST))?;
        let sure = self.line.sure_start(claim.asks, self.now);
        Some((uid.clone(), sure.map(|(at, _)| at)))
    }
}

proptest! {
    #[test]
    fn what_runs_never_asks_for_more_than_there_is(steps in steps()) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.step(step));
    }

    #[test]
    fn nobody_who_passes_keeps_the_first_waiting(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            let before = world.first();
            world.step(step);
            let Some((uid, Some(sure))) = before else { continue };
            // Who comes with a higher priority goes first, and is no passer.
            let priority = world.claims[&uid].priority;
            if matches!(step, Step::Come(claim) if claim.priority > priority) {
                continue;
            }
            if let Some((first, now_sure)) = world.first() && first == uid {
                prop_assert!(now_sure.is_some_and(|at| at <= sure.max(world.now)));
            }
        }
    }

    #[test]
    fn everybody_who_can_start_does_when_those_that_run_end(steps in steps()) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.step(step));
        while !world.running.is_empty() {
            world.step(&Step::End(0));
        }
        let can_never = |standing: &Standing| matches!(standing, Standing::Never { .. });
        let all_left = world.line.waiting(usize::MAX).all(|(_, standing)| can_never(&standing));
        prop_assert!(all_left, "somebody who could start waits in vain");
    }
}

//! What is broken, when, and how it is mended again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::random::Random;
use super::stage::{Stage, signal};
use super::workload::entries;

/// The parts, with how often each is chosen.
const PARTS: [(Part, u64); 9] = [
    (Part::Kiln, 5),
    (Part::Containerd, 4),
    (Part::Shim, 2),
    (Part::Monitor, 2),
    (Part::Registry, 1),
    (Part::FrozenKiln, 2),
    (Part::FrozenContainerd, 2),
    (Part::FrozenShim, 2),
    (Part::Disk, 1),
];
/// How long it goes well between two faults, at most.
const CALM: Duration = Duration::from_millis(2500);
/// How long something is away or frozen, at most.
const AWAY: Duration = Duration::from_secs(8);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Kiln,
    Containerd,
    Shim,
    Monitor,
    Registry,
    FrozenKiln,
    FrozenContainerd,
    FrozenShim,
    Disk,
}

/// What takes a fault back.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cure {
    StartKiln,
    StartContainerd,
    StartRegistry,
    Thaw { part: Part, pid: u32 },
    EmptyStore,
    EmptyLogs { ended_before: BTreeSet<String> },
}

#[derive(Default)]
pub(crate) struct Injector {
    next: Option<Instant>,
    pending: Vec<(Instant, Cure)>,
    counts: BTreeMap<Part, u32>,
    /// The pods that lost their shim or their monitor: how they end is not theirs to say.
    pub(crate) hit: BTreeSet<String>,
    /// The pods that wrote while the disk of logs was full.
    pub(crate) without_room: BTreeSet<String>,
}

impl Injector {
    /// Mends what is due, and breaks something when it is time to.
    pub(crate) fn step(&mut self, stage: &mut Stage, random: &mut Random) {
        let now = Instant::now();
        let (due, rest) = self.pending.drain(..).partition(|(at, _)| *at <= now);
        self.pending = rest;
        self.cure(stage, due);
        stage.tend_kiln();
        if self.next.is_none_or(|at| at <= now) {
            let drawn = random.below(PARTS.iter().map(|(_, weight)| weight).sum());
            self.inject(part(drawn), stage, random);
            self.next = Some(now + some(random, CALM));
        }
    }

    /// Takes everything back.
    pub(crate) fn mend(&mut self, stage: &mut Stage) {
        let all = self.pending.drain(..).collect();
        self.cure(stage, all);
        self.next = None;
    }

    pub(crate) fn summary(&self) -> String {
        let sum: u32 = self.counts.values().sum();
        format!("{sum} faults: {:?}", self.counts)
    }

    fn cure(&mut self, stage: &mut Stage, due: Vec<(Instant, Cure)>) {
        for (_, cure) in due {
            match cure {
                Cure::StartKiln => stage.start_kiln(),
                Cure::StartContainerd => stage.containerd.start(),
                Cure::StartRegistry => stage.start_registry(),
                Cure::Thaw { pid, .. } => signal("-CONT", pid),
                Cure::EmptyStore => stage.store.empty(),
                Cure::EmptyLogs { ended_before } => {
                    stage.logs.empty();
                    let ledger = stage.ledger();
                    let uids = entries(&ledger).map(|entry| entry.uid.to_owned());
                    self.without_room.extend(uids.filter(|uid| !ended_before.contains(uid)));
                }
            }
        }
    }

    fn waits_for(&self, is_so: impl Fn(&Cure) -> bool) -> bool {
        self.pending.iter().any(|(_, cure)| is_so(cure))
    }

    /// Breaks a part, unless it is broken, or its fault would hide another one.
    fn inject(&mut self, part: Part, stage: &mut Stage, random: &mut Random) {
        let of_kiln = |cure: &Cure| {
            matches!(cure, Cure::StartKiln | Cure::Thaw { part: Part::FrozenKiln, .. })
        };
        let of_containerd = |cure: &Cure| {
            matches!(cure, Cure::StartContainerd | Cure::Thaw { part: Part::FrozenContainerd, .. })
        };
        let full = |cure: &Cure| matches!(cure, Cure::EmptyStore | Cure::EmptyLogs { .. });
        let is_broken = match part {
            Part::Kiln | Part::FrozenKiln => self.waits_for(of_kiln),
            Part::Containerd | Part::FrozenContainerd => self.waits_for(of_containerd),
            Part::Registry => self.waits_for(|cure| *cure == Cure::StartRegistry),
            Part::FrozenShim => {
                self.waits_for(|cure| matches!(cure, Cure::Thaw { part: Part::FrozenShim, .. }))
            }
            Part::Shim | Part::Monitor => false,
            Part::Disk => !self.pending.is_empty(),
        };
        if is_broken || self.waits_for(full) {
            return;
        }
        let Some(cure) = self.breaks(part, stage, random) else { return };
        *self.counts.entry(part).or_default() += 1;
        let at = Instant::now() + some(random, AWAY);
        self.pending.extend(cure.map(|cure| (at, cure)));
    }

    /// `None`: there is nothing of the kind. Otherwise what mends it, where it does not mend itself.
    fn breaks(
        &mut self,
        part: Part,
        stage: &mut Stage,
        random: &mut Random,
    ) -> Option<Option<Cure>> {
        let thaw = |pid| {
            signal("-STOP", pid);
            Some(Some(Cure::Thaw { part, pid }))
        };
        match part {
            Part::Kiln => {
                stage.kill_kiln();
                Some(Some(Cure::StartKiln))
            }
            Part::Containerd => {
                stage.containerd.kill();
                Some(Some(Cure::StartContainerd))
            }
            Part::Registry => {
                stage.kill_registry();
                Some(Some(Cure::StartRegistry))
            }
            Part::FrozenKiln => thaw(stage.kiln.as_ref()?.id()),
            Part::FrozenContainerd => thaw(stage.containerd_pid()?),
            Part::FrozenShim => thaw(random.one_of(&stage.shims())?.0),
            Part::Shim | Part::Monitor => {
                let all = if part == Part::Shim { stage.shims() } else { stage.monitors() };
                let (pid, line) = random.one_of(&all)?;
                self.hit.insert(uid_in(line)?);
                signal("-KILL", *pid);
                Some(None)
            }
            Part::Disk if random.below(2) == 0 => {
                stage.store.fill();
                Some(Some(Cure::EmptyStore))
            }
            Part::Disk => {
                let ledger = stage.ledger();
                let ended = entries(&ledger).filter(|entry| entry.code.is_some());
                let ended_before = ended.map(|entry| entry.uid.to_owned()).collect();
                stage.logs.fill();
                Some(Some(Cure::EmptyLogs { ended_before }))
            }
        }
    }
}

fn part(mut drawn: u64) -> Part {
    for (part, weight) in PARTS {
        if drawn < weight {
            return part;
        }
        drawn -= weight;
    }
    Part::Kiln
}

fn some(random: &mut Random, at_most: Duration) -> Duration {
    Duration::from_millis(random.below(u64::try_from(at_most.as_millis()).unwrap()))
}

/// The pod that a command line names.
fn uid_in(line: &str) -> Option<String> {
    const LEN: usize = 36;
    let is_uid = |text: &[u8]| {
        text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    let uid = line.as_bytes().windows(LEN).find(|text| is_uid(text))?;
    Some(String::from_utf8_lossy(uid).into_owned())
}

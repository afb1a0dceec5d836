//! The line, and what runs.
//!
//! Owns: both, and the sum of what was asked for. Must not know: how a pod is told of its place.
//! <https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/#effect-of-pod-priority-on-scheduling-order>

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Claim, Standing};
use crate::api::amounts::Amounts;

/// How many in the line are looked at for one that may pass the first.
const PASSING_MAX: usize = 100;

/// By priority, then by time, then in the order in which they were put into the line.
type Rank = (Reverse<i32>, Timestamp, u64);

/// A pod that has started.
#[derive(Debug, Clone, Copy)]
struct Holder {
    asks: Amounts,
    ends_by: Option<Timestamp>,
}

/// The pods of a host, by uid: those that wait, and those that have what they asked for.
#[derive(Debug)]
pub struct Line {
    all: Amounts,
    used: Amounts,
    holders: BTreeMap<String, Holder>,
    pub(super) waiting: BTreeMap<Rank, (String, Claim)>,
    ranks: BTreeMap<String, Rank>,
    /// How many were ever put into the line.
    count: u64,
}

impl Line {
    pub fn new(all: Amounts) -> Self {
        Self {
            all,
            used: Amounts::default(),
            holders: BTreeMap::new(),
            waiting: BTreeMap::new(),
            ranks: BTreeMap::new(),
            count: 0,
        }
    }

    /// Whether the pod has started and was not told to have ended.
    pub fn holds(&self, uid: &str) -> bool {
        self.holders.contains_key(uid)
    }

    /// Whether the pod is in the line.
    pub fn waits(&self, uid: &str) -> bool {
        self.ranks.contains_key(uid)
    }

    /// The pod runs already, whether it fits or not.
    pub fn hold(&mut self, uid: &str, claim: &Claim, now: Timestamp) {
        self.leave(uid);
        let ends_by = claim.lasts.map(|lasts| after(now, lasts));
        self.used = self.used + claim.asks;
        self.holders.insert(uid.to_owned(), Holder { asks: claim.asks, ends_by });
    }

    /// Puts the pod into the line; one that is there keeps its place, unless its claim is another one.
    pub fn wait(&mut self, uid: &str, claim: Claim) {
        let held = self.ranks.get(uid).and_then(|rank| self.waiting.get_mut(rank));
        if let Some((_, held)) = held
            && (held.priority, held.since) == (claim.priority, claim.since)
        {
            *held = claim;
            return;
        }
        self.leave(uid);
        self.count += 1;
        let rank = (Reverse(claim.priority), claim.since, self.count);
        self.ranks.insert(uid.to_owned(), rank);
        self.waiting.insert(rank, (uid.to_owned(), claim));
    }

    /// The pod is over, or gone: what it had is free. Answers whether it was known.
    pub fn leave(&mut self, uid: &str) -> bool {
        if let Some(rank) = self.ranks.remove(uid) {
            return self.waiting.remove(&rank).is_some();
        }
        let Some(holder) = self.holders.remove(uid) else { return false };
        self.used = self.used - holder.asks;
        true
    }

    /// The pods that start now. They hold what they asked for from now on.
    pub fn start(&mut self, now: Timestamp) -> Vec<String> {
        let mut started = Vec::new();
        while let Some(rank) = self.next(now) {
            let Some((uid, claim)) = self.waiting.remove(&rank) else { break };
            self.ranks.remove(&uid);
            self.hold(&uid, &claim, now);
            started.push(uid);
        }
        started
    }

    /// Those that wait, from the first to the last, up to so many, with how they stand.
    pub fn waiting(&self, most: usize) -> impl Iterator<Item = (&str, Standing)> {
        let able = self.able().count();
        let mut place = 0;
        self.waiting.values().take(most).map(move |(uid, claim)| {
            place += usize::from(claim.asks.fits_in(self.all));
            (uid.as_str(), self.standing(claim, place, able))
        })
    }

    fn standing(&self, claim: &Claim, place: usize, of: usize) -> Standing {
        let never = claim.asks.each(self.all).into_iter().find(|(_, asks, all)| asks > all);
        if let Some((lacking, asks, all)) = never {
            return Standing::Never { lacking, asks, all };
        }
        let short = claim.asks.each(self.free()).into_iter().filter(|(_, asks, free)| asks > free);
        Standing::Waits { place, of, lacking: short.map(|(resource, ..)| resource).collect() }
    }

    fn free(&self) -> Amounts {
        self.all - self.used
    }

    /// Those in the line that can start at some time.
    fn able(&self) -> impl Iterator<Item = (&Rank, &Claim)> {
        let all = self.waiting.iter().map(|(rank, (_, claim))| (rank, claim));
        all.filter(|(_, claim)| claim.asks.fits_in(self.all))
    }

    /// The next to start: the first, or one that may pass it.
    fn next(&self, now: Timestamp) -> Option<Rank> {
        let mut line = self.able();
        let (rank, first) = line.next()?;
        let free = self.free();
        if first.asks.fits_in(free) {
            return Some(*rank);
        }
        let sure = self.sure_start(first.asks, now);
        let mut passing = line.take(PASSING_MAX).filter(|(_, other)| other.asks.fits_in(free));
        let passes = passing.find(|(_, other)| match sure {
            Some((at, free_then)) => {
                other.lasts.is_some_and(|lasts| after(now, lasts) <= at)
                    || other.asks.fits_in(free_then - first.asks)
            }
            None => leaves_alone(other.asks, first.asks, free),
        });
        passes.map(|(rank, _)| *rank)
    }

    /// When a pod that asks for this is sure to fit, and what is free then.
    pub(super) fn sure_start(&self, asks: Amounts, now: Timestamp) -> Option<(Timestamp, Amounts)> {
        let mut ends: Vec<(Timestamp, Amounts)> = self
            .holders
            .values()
            .filter_map(|holder| Some((holder.ends_by?.max(now), holder.asks)))
            .collect();
        ends.sort_by_key(|(at, _)| *at);
        // Those that started before they fitted may have more than there is.
        let mut used = self.used;
        ends.into_iter().find_map(|(at, ended)| {
            used = used - ended;
            let free = self.all - used;
            asks.fits_in(free).then_some((at, free))
        })
    }
}

/// Whether a pod takes nothing of what the first lacks, and of the rest only what the first leaves.
fn leaves_alone(other: Amounts, first: Amounts, free: Amounts) -> bool {
    let needed = first.each(free);
    other.each(free).into_iter().zip(needed).all(|((_, takes, _), (_, needs, free))| {
        takes == 0 || needs.checked_add(takes).is_some_and(|sum| sum <= free)
    })
}

fn after(now: Timestamp, time: Duration) -> Timestamp {
    SignedDuration::try_from(time)
        .ok()
        .and_then(|time| now.checked_add(time).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::amounts::Resource;

    const HOST: Amounts = Amounts { cpu_millis: 10, memory_bytes: 10, pods: 5 };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn claim(cpu: u64, memory: u64) -> Claim {
        let asks = Amounts { cpu_millis: cpu, memory_bytes: memory, pods: 1 };
        Claim { asks, priority: 0, since: at(0), lasts: None }
    }

    fn lasting(cpu: u64, seconds: u64) -> Claim {
        Claim { lasts: Some(Duration::from_secs(seconds)), ..claim(cpu, 0) }
    }

    /// A line of these, and those that start at once.
    fn line(claims: &[(&str, Claim)]) -> (Line, Vec<String>) {
        let mut line = Line::new(HOST);
        claims.iter().for_each(|(uid, claim)| line.wait(uid, claim.clone()));
        let started = line.start(at(0));
        (line, started)
    }

    #[test]
    fn pods_start_in_their_order_as_long_as_they_fit() {
        let (mut line, started) =
            line(&[("a", claim(6, 0)), ("b", claim(4, 0)), ("c", claim(1, 0))]);
        assert_eq!(started, ["a", "b"]);
        assert!(line.leave("b") && !line.leave("b"));
        assert_eq!(line.start(at(1)), ["c"]);
    }

    #[test]
    fn a_higher_priority_goes_first_and_an_earlier_time_within_it() {
        let at_priority = |priority, second| Claim { priority, since: at(second), ..claim(10, 0) };
        let (mut line, started) =
            line(&[("a", at_priority(0, 1)), ("b", at_priority(7, 3)), ("c", at_priority(7, 2))]);
        assert_eq!(started, ["c"]);
        let order: Vec<_> = line.waiting(9).map(|(uid, _)| uid.to_owned()).collect();
        assert_eq!(order, ["b", "a"]);
        // What is said again changes nothing.
        line.wait("a", at_priority(0, 1));
        line.leave("c");
        assert_eq!(line.start(at(4)), ["b"]);
    }

    #[test]
    fn of_unknown_times_only_who_takes_nothing_that_the_first_needs_passes() {
        let first = ("big", claim(8, 2));
        let (_, started) = line(&[("a", claim(6, 0)), first.clone(), ("b", claim(1, 0))]);
        assert_eq!(started, ["a"], "the first needs every processor that gets free");
        let (_, started) = line(&[("a", claim(6, 0)), first.clone(), ("b", claim(0, 8))]);
        assert_eq!(started, ["a", "b"], "the first leaves that memory");
        let (_, started) = line(&[("a", claim(6, 0)), first, ("b", claim(0, 9))]);
        assert_eq!(started, ["a"]);
    }

    #[test]
    fn who_ends_before_the_first_is_sure_to_start_passes() {
        let (_, started) =
            line(&[("a", lasting(6, 100)), ("big", claim(8, 0)), ("b", lasting(4, 100))]);
        assert_eq!(started, ["a", "b"]);
        let (_, started) =
            line(&[("a", lasting(6, 100)), ("big", claim(8, 0)), ("b", lasting(4, 101))]);
        assert_eq!(started, ["a"]);
        let (_, started) =
            line(&[("a", lasting(6, 100)), ("big", claim(8, 0)), ("b", claim(2, 0))]);
        assert_eq!(started, ["a", "b"], "that much is left when the first has started");
    }

    #[test]
    fn what_asks_for_more_than_there_is_holds_up_nobody_and_says_so() {
        let (line, started) =
            line(&[("huge", claim(11, 0)), ("a", claim(10, 0)), ("b", claim(1, 0))]);
        assert_eq!(started, ["a"]);
        let told: Vec<_> = line.waiting(9).map(|(_, standing)| standing.message()).collect();
        assert_eq!(
            told,
            [
                "0/1 nodes are available: 1 Insufficient cpu: it asks for 11m and the host has 10m in \
                 all, so it can never start here.",
                "0/1 nodes are available: 1 Insufficient cpu. Queue position 1 of 1.",
            ]
        );
    }

    #[test]
    fn what_fits_and_is_held_back_says_so_too() {
        let (line, _) = line(&[("a", claim(6, 0)), ("big", claim(8, 0)), ("b", claim(4, 0))]);
        let (_, last) = line.waiting(9).last().unwrap();
        assert_eq!(last, Standing::Waits { place: 2, of: 2, lacking: vec![] });
        assert!(
            last.message().ends_with("1 held for pods that come first. Queue position 2 of 2.")
        );
        let (_, first) = line.waiting(1).next().unwrap();
        let lacking = vec![Resource::Cpu];
        assert_eq!(first, Standing::Waits { place: 1, of: 2, lacking });
    }
}

//! A queue of keys to look at.
//!
//! Owns: that a key waits at most once, is never worked on twice at once, and comes back when it is
//! woken meanwhile or when its time has come. Must not know: what the keys name.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;

/// The keys, in the order in which they were woken. The queue does no waiting of its own.
#[derive(Debug)]
pub(super) struct Queue<K> {
    ready: VecDeque<K>,
    /// The same keys, to find them.
    waiting: BTreeSet<K>,
    /// Being worked on; true when woken since.
    busy: BTreeMap<K, bool>,
    timers: Timers<K>,
}

/// Keys and when each of them is due.
#[derive(Debug)]
pub(super) struct Timers<K> {
    due: BTreeSet<(Timestamp, K)>,
    /// The same by key.
    times: BTreeMap<K, Timestamp>,
}

impl<K: Ord + Clone> Timers<K> {
    pub(super) fn new() -> Self {
        Self { due: BTreeSet::new(), times: BTreeMap::new() }
    }

    /// Sets the key's only timer, or takes it off.
    pub(super) fn set(&mut self, key: &K, at: Option<Timestamp>) {
        if let Some(before) = self.times.remove(key) {
            self.due.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.times.insert(key.clone(), at);
            self.due.insert((at, key.clone()));
        }
    }

    /// A key whose time has come; its timer is off.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<K> {
        let (_, key) = self.due.first().filter(|(at, _)| *at <= now)?.clone();
        self.set(&key, None);
        Some(key)
    }

    /// When the first key is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes off the timers of all other keys.
    pub(super) fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        self.due.retain(|(_, key)| keep(key));
        self.times.retain(|key, _| keep(key));
    }
}

impl<K: Ord + Clone> Queue<K> {
    pub(super) fn new() -> Self {
        Self {
            ready: VecDeque::new(),
            waiting: BTreeSet::new(),
            busy: BTreeMap::new(),
            timers: Timers::new(),
        }
    }

    /// Asks for a look at the key, now or as soon as the look that goes on has ended.
    pub(super) fn wake(&mut self, key: &K) {
        if let Some(again) = self.busy.get_mut(key) {
            *again = true;
        } else if self.waiting.insert(key.clone()) {
            self.ready.push_back(key.clone());
        }
    }

    /// The next key to look at; its timer is off. [`Queue::done`] has to follow.
    pub(super) fn pop(&mut self) -> Option<K> {
        let key = self.ready.pop_front()?;
        self.waiting.remove(&key);
        self.timers.set(&key, None);
        self.busy.insert(key.clone(), false);
        Some(key)
    }

    /// The look has ended; the next one is due at `again` at the latest.
    pub(super) fn done(&mut self, key: &K, again: Option<Timestamp>) {
        if again.is_some() {
            self.timers.set(key, again);
        }
        if self.busy.remove(key) == Some(true) {
            self.wake(key);
        }
    }

    /// Wakes the keys whose time has come.
    pub(super) fn tick(&mut self, now: Timestamp) {
        while let Some(key) = self.timers.pop(now) {
            self.wake(&key);
        }
    }

    /// How many keys wait.
    pub(super) fn depth(&self) -> usize {
        self.ready.len()
    }

    /// When to call [`Queue::tick`] next.
    pub(super) fn next_tick(&self) -> Option<Timestamp> {
        self.timers.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn a_key_that_is_woken_twice_is_looked_at_once() {
        let mut queue = Queue::new();
        queue.wake(&"a");
        queue.wake(&"b");
        queue.wake(&"a");
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some("a"), Some("b"), None));
    }

    #[test]
    fn a_key_that_is_woken_while_busy_comes_back_only_after_that() {
        let mut queue = Queue::new();
        queue.wake(&"a");
        assert_eq!(queue.pop(), Some("a"));
        queue.wake(&"a");
        assert_eq!(queue.pop(), None);
        queue.done(&"a", None);
        assert_eq!(queue.pop(), Some("a"));
    }

    #[test]
    fn a_timer_wakes_its_key_once_and_a_look_turns_it_off() {
        let mut queue = Queue::new();
        queue.wake(&"a");
        queue.pop();
        queue.done(&"a", Some(T0));
        assert_eq!(queue.next_tick(), Some(T0));
        queue.tick(T0);
        assert_eq!((queue.pop(), queue.next_tick()), (Some("a"), None));

        queue.done(&"a", Some(T0));
        queue.wake(&"a");
        assert_eq!((queue.pop(), queue.next_tick()), (Some("a"), None));
    }
}

//! Jobs that wait for each other.
//!
//! Owns: finding a circle, and how it is refused. Must not know: where Jobs are kept.

use std::collections::{BTreeMap, VecDeque};

/// For each Job the Jobs that it waits for.
pub type Waits = BTreeMap<String, Vec<String>>;

/// Why this Job can never begin: it waits for Jobs that wait for it.
/// `"b": would wait for itself: a -> b -> a`
pub fn circle(waits: &Waits, start: &str) -> Option<String> {
    let mut before: BTreeMap<&str, &str> = BTreeMap::new();
    let mut due = VecDeque::from([start]);
    while let Some(name) = due.pop_front() {
        for next in waits.get(name).into_iter().flatten() {
            if next == start {
                return Some(render(&before, start, name));
            }
            if !before.contains_key(next.as_str()) {
                before.insert(next, name);
                due.push_back(next);
            }
        }
    }
    None
}

fn render(before: &BTreeMap<&str, &str>, start: &str, last: &str) -> String {
    let (mut names, mut at) = (vec![start, last], last);
    while let Some(previous) = before.get(at).filter(|_| at != start) {
        names.push(previous);
        at = previous;
    }
    if last == start {
        names.pop();
        names.push(start);
    }
    names.reverse();
    format!("the Job would wait for itself: {}", names.join(" -> "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(all: &[(&str, &[&str])]) -> Waits {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        all.iter().map(|(name, names)| ((*name).to_owned(), owned(names))).collect()
    }

    #[test]
    fn a_circle_is_found_and_told_in_the_order_of_the_wait() {
        let all = waits(&[("a", &["x", "b"]), ("b", &["c"]), ("c", &["a"]), ("x", &[])]);
        let told = circle(&all, "a").unwrap();
        assert_eq!(told, "the Job would wait for itself: a -> b -> c -> a");
        let own = circle(&waits(&[("a", &["a"])]), "a").unwrap();
        assert_eq!(own, "the Job would wait for itself: a -> a");
    }

    #[test]
    fn a_circle_of_others_and_a_diamond_are_none() {
        let all = waits(&[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"]), ("d", &[])]);
        assert_eq!(circle(&all, "a"), None);
        let others = waits(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]);
        assert_eq!(circle(&others, "a"), None);
    }
}

//! Sets of indexes as a Job's status writes them: `1,3-5,7`.
//!
//! Owns: the text, both ways, and the arithmetic of the sets. Must not know: what the indexes mean.
//! What an operation costs depends on how many intervals there are, not on how many indexes.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode>

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// A set of indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Intervals {
    /// Where each interval ends, by where it begins; both belong to it. None touches the next.
    ends: BTreeMap<u32, u32>,
    len: u32,
}

/// Why a text is no set of indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Malformed {
    /// Not a number from 0 to 2147483647.
    Number(String),
    /// More than one hyphen.
    Shape(String),
    /// An interval that does not grow.
    Order { first: u32, last: u32 },
    /// An interval that does not begin after the one before.
    Unsorted { index: u32, before: u32 },
    /// Not below the limit.
    TooLarge { index: u32, limit: u32 },
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(text) => write!(f, "cannot convert string to integer for index: {text:?}"),
            Self::Shape(text) => write!(
                f,
                "the fragment {text:?} violates the requirement that an index interval can have at \
                 most two parts separated by '-'"
            ),
            Self::Order { first, last } => {
                write!(f, "non-increasing order, previous: {first}, current: {last}")
            }
            Self::Unsorted { index, before } => {
                write!(f, "non-increasing order, previous: {before}, current: {index}")
            }
            Self::TooLarge { index, limit } => {
                write!(f, "too large index: \"{index}\", it must be less than {limit}")
            }
        }
    }
}

impl Intervals {
    /// Reads what a status says, as far as it can be read and is below the limit.
    pub fn read(text: &str, limit: u32) -> Self {
        let mut all = Self::default();
        let parts = text.split(',').filter_map(|part| bounds(part).ok());
        for (first, last) in parts.filter(|(first, last)| first <= last && *first < limit) {
            all.insert_all(first..last.saturating_add(1).min(limit));
        }
        all
    }

    /// Reads what a user says: growing, and below the limit.
    ///
    /// # Errors
    /// [`Malformed`], of the first part that is wrong.
    pub fn parse(text: &str, limit: u32) -> Result<Self, Malformed> {
        let (mut all, mut before) = (Self::default(), None);
        for part in text.split(',') {
            let (first, last) = bounds(part)?;
            if let Some(before) = before.filter(|before| first <= *before) {
                return Err(Malformed::Unsorted { index: first, before });
            }
            if part.contains('-') && first >= last {
                return Err(Malformed::Order { first, last });
            }
            if let Some(index) = [first, last].into_iter().find(|index| *index >= limit) {
                return Err(Malformed::TooLarge { index, limit });
            }
            all.insert_all(first..last + 1);
            before = Some(last);
        }
        Ok(all)
    }

    /// How many indexes there are.
    pub fn len(&self) -> u32 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn contains(&self, index: u32) -> bool {
        self.ends.range(..=index).next_back().is_some_and(|(_, last)| *last >= index)
    }

    /// Adds an index; true if it is new.
    pub fn insert(&mut self, index: u32) -> bool {
        let new = !self.contains(index);
        self.insert_all(index..index.saturating_add(1));
        new
    }

    /// Adds all indexes of another set.
    pub fn add(&mut self, other: &Self) {
        for (first, last) in &other.ends {
            self.insert_all(*first..last.saturating_add(1));
        }
    }

    fn insert_all(&mut self, range: Range<u32>) {
        if range.is_empty() {
            return;
        }
        let (mut first, mut last) = (range.start, range.end - 1);
        // What overlaps or touches becomes one.
        while let Some((begin, close)) =
            self.ends.range(..=last.saturating_add(1)).next_back().map(|(a, b)| (*a, *b))
            && close.saturating_add(1) >= first
        {
            self.ends.remove(&begin);
            self.len -= close - begin + 1;
            (first, last) = (first.min(begin), last.max(close));
        }
        self.ends.insert(first, last);
        self.len += last - first + 1;
    }

    /// How many indexes both have.
    pub fn shared(&self, other: &Self) -> u32 {
        let mut count = 0;
        for (first, last) in &self.ends {
            let before = other.ends.range(..*first).next_back();
            let overlaps = before.into_iter().chain(other.ends.range(*first..=*last));
            for (begin, close) in overlaps.filter(|(_, close)| *close >= first) {
                count += last.min(close) - first.max(begin) + 1;
            }
        }
        count
    }

    /// The indexes that are missing, in order, below the limit. Skips a whole interval at a time.
    pub fn missing(&self, limit: u32) -> impl Iterator<Item = u32> {
        let mut begin = 0;
        let mut gaps: Vec<Range<u32>> = Vec::with_capacity(self.ends.len() + 1);
        for (first, last) in &self.ends {
            gaps.push(begin..(*first).min(limit));
            begin = last.saturating_add(1);
        }
        gaps.push(begin..limit);
        gaps.into_iter().flatten()
    }
}

/// Runs of three and more are written with a hyphen.
impl fmt::Display for Intervals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.ends.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

fn bounds(part: &str) -> Result<(u32, u32), Malformed> {
    let number = |text: &str| {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse::<u32>().ok().filter(|n| digits && i32::try_from(*n).is_ok());
        number.ok_or_else(|| Malformed::Number(text.to_owned()))
    };
    match part.split_once('-') {
        None => number(part).map(|index| (index, index)),
        Some((_, last)) if last.contains('-') => Err(Malformed::Shape(part.to_owned())),
        Some((first, last)) => Ok((number(first)?, number(last)?)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    fn of(indexes: &BTreeSet<u32>) -> Intervals {
        let mut all = Intervals::default();
        for index in indexes {
            assert!(all.insert(*index));
            assert!(!all.insert(*index));
        }
        all
    }

    #[test]
    fn runs_of_three_have_a_hyphen_and_runs_of_two_a_comma() {
        for (indexes, text) in [
            (&[][..], ""),
            (&[5], "5"),
            (&[5, 6], "5,6"),
            (&[2, 4, 5, 7, 8, 9], "2,4,5,7-9"),
            (&[0, 1, 2, 3], "0-3"),
        ] {
            assert_eq!(of(&indexes.iter().copied().collect()).to_string(), text);
        }
    }

    #[test]
    fn a_status_is_read_as_far_as_it_makes_sense() {
        for (text, expected) in [
            ("", ""),
            ("1-3,x,5", "1-3,5"),
            ("0-9", "0-4"),
            ("7,8", ""),
            ("4,3,2", "2-4"),
            ("3-1,2", "2"),
            ("1--2,-,+3, 4", ""),
            ("99999999999", ""),
        ] {
            let limit = if text == "1-3,x,5" { 10 } else { 5 };
            assert_eq!(Intervals::read(text, limit).to_string(), expected, "{text}");
        }
    }

    #[test]
    fn a_user_has_to_be_exact() {
        assert_eq!(Intervals::parse("0,2-4,6", 7).unwrap().len(), 5);
        for (text, expected) in [
            ("", "cannot convert string to integer for index: \"\""),
            ("a", "cannot convert string to integer for index: \"a\""),
            ("1-", "cannot convert string to integer for index: \"\""),
            ("1,1", "non-increasing order, previous: 1, current: 1"),
            ("3,1", "non-increasing order, previous: 3, current: 1"),
            ("2-2", "non-increasing order, previous: 2, current: 2"),
            ("4-2", "non-increasing order, previous: 4, current: 2"),
            ("5", "too large index: \"5\", it must be less than 5"),
            ("1-9", "too large index: \"9\", it must be less than 5"),
        ] {
            assert_eq!(Intervals::parse(text, 5).unwrap_err().to_string(), expected, "{text}");
        }
        let shape = Intervals::parse("1-2-3", 5).unwrap_err().to_string();
        assert!(shape.starts_with("the fragment \"1-2-3\" violates"), "{shape}");
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None, ..ProptestConfig::default()
        })]

        #[test]
        fn what_is_written_is_read_back(indexes in btree_set(0_u32..60, 0..40)) {
            let all = of(&indexes);
            let text = all.to_string();
            prop_assert_eq!(all.len() as usize, indexes.len());
            prop_assert_eq!(&Intervals::read(&text, 60), &all);
            if !text.is_empty() {
                prop_assert_eq!(&Intervals::parse(&text, 60).unwrap(), &all);
            }
            let clipped: BTreeSet<u32> = indexes.iter().copied().filter(|i| *i < 30).collect();
            prop_assert_eq!(Intervals::read(&text, 30), of(&clipped));
        }

        #[test]
        fn intervals_are_sets(
            a in btree_set(0_u32..40, 0..30), b in btree_set(0_u32..40, 0..30),
        ) {
            let (x, y) = (of(&a), of(&b));
            prop_assert_eq!(x.shared(&y) as usize, a.intersection(&b).count());
            let mut both = x.clone();
            both.add(&y);
            prop_assert_eq!(both, of(&a.union(&b).copied().collect()));
            let missing: Vec<u32> = (0..40).filter(|i| !a.contains(i)).collect();
            prop_assert_eq!(x.missing(40).collect::<Vec<_>>(), missing);
            prop_assert!((0..45).all(|i| x.contains(i) == a.contains(&i)));
        }
    }
}

//! When a registry is asked again.
//!
//! Owns: back-off, `Retry-After`, and when there is no point in it.
//! Must not know: what is asked.

use std::time::Duration;

use super::refusal::Refusal;
use crate::runtime::pause::pause;

/// So often in a row a registry is asked again in vain.
const RETRIES_MAX: usize = 5;
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// A registry that wants to be left alone for longer than this has refused: whoever waits for the image
/// is to see why.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);

/// How often and how soon a registry is asked again.
#[derive(Debug)]
pub(super) struct Patience {
    backoff_first: Duration,
    /// In a row.
    pub(super) failures: usize,
    mismatches: usize,
}

impl Patience {
    pub(super) fn new(backoff_first: Duration) -> Self {
        Self { backoff_first, failures: 0, mismatches: 0 }
    }

    /// It went on for a while.
    pub(super) fn begin_anew(&mut self) {
        self.failures = 0;
    }

    /// Waits for as long as a refusal asks for; answers the refusal if there is no point in asking again.
    pub(super) async fn after(&mut self, refusal: Refusal) -> Result<(), Refusal> {
        let wait = self.wait(&refusal).ok_or(refusal)?;
        self.failures += 1;
        pause(wait).await;
        Ok(())
    }

    fn wait(&self, refusal: &Refusal) -> Option<Duration> {
        if !refusal.may_pass() || self.failures >= RETRIES_MAX {
            return None;
        }
        let doublings = u32::try_from(self.failures).unwrap_or(u32::MAX);
        let backoff = self.backoff_first.saturating_mul(2_u32.saturating_pow(doublings));
        match refusal.retry_after {
            Some(wait) if wait > RETRY_AFTER_MAX => None,
            Some(wait) => Some(wait),
            None => Some(backoff.min(BACKOFF_MAX)),
        }
    }

    /// Content that is wrong is fetched once more, from another host if there is one.
    pub(super) fn once_more(&mut self, refusal: Refusal) -> Result<(), Refusal> {
        self.failures += 1;
        self.mismatches += 1;
        if self.mismatches > 1 { Err(refusal) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::refusal::Kind;
    use super::*;

    const FIRST: Duration = Duration::from_millis(500);

    fn throttled(retry_after: Option<u64>) -> Refusal {
        let refusal = Refusal::new("r", Kind::Throttled, "429");
        Refusal { retry_after: retry_after.map(Duration::from_secs), ..refusal }
    }

    #[test]
    fn the_wait_doubles_and_ends_after_five_failures() {
        let waits = (0..=RETRIES_MAX).map(|failures| {
            let patience = Patience { failures, ..Patience::new(FIRST) };
            patience.wait(&throttled(None)).map(|wait| wait.as_millis())
        });
        let expected = [Some(500), Some(1000), Some(2000), Some(4000), Some(8000), None];
        assert!(waits.eq(expected));
    }

    #[test]
    fn a_registry_says_itself_how_long_to_wait() {
        let patience = Patience::new(FIRST);
        assert_eq!(patience.wait(&throttled(Some(7))), Some(Duration::from_secs(7)));
        assert_eq!(patience.wait(&throttled(Some(3600))), None);
    }

    #[test]
    fn what_does_not_pass_is_not_asked_again() {
        let patience = Patience::new(FIRST);
        assert_eq!(patience.wait(&Refusal::new("r", Kind::NotFound, "404")), None);
    }
}

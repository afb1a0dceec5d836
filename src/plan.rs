//! What a reconciler answers.
//!
//! Owns: the shape that both reconcilers share. Must not know: Jobs, pods, or who carries a plan out.

use jiff::Timestamp;

/// Everything that should happen next: complete (carrying it out takes no decision) and idempotent
/// (carrying it out twice is the same as once).
#[derive(Debug, Clone, PartialEq)]
pub struct Plan<Action, Record> {
    /// In the order in which they are to happen.
    pub actions: Vec<Action>,
    /// What the object should say of itself from now on.
    pub record: Record,
    /// When to look again even if nothing changes: a deadline, a back-off, a grace period.
    pub wake_at: Option<Timestamp>,
}

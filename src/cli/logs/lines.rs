//! Lines of a log on their way to the reader.
//!
//! Owns: that lines of several containers do not mix. Must not know: where they come from.

/// Whole lines, each with a prefix.
pub(super) struct Lines<'a> {
    prefix: &'a str,
    rest: Vec<u8>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(prefix: &'a str) -> Self {
        Self { prefix, rest: Vec::new() }
    }

    /// The lines that are whole with this piece.
    pub(super) fn take(&mut self, piece: &[u8]) -> Vec<u8> {
        self.rest.extend_from_slice(piece);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let whole: Vec<u8> = self.rest.drain(..=end).collect();
        if self.prefix.is_empty() {
            return whole;
        }
        let lines = whole.split_inclusive(|byte| *byte == b'\n');
        lines.flat_map(|line| [self.prefix.as_bytes(), line].concat()).collect()
    }

    /// The last line, where it has no end.
    pub(super) fn end(&mut self) -> Vec<u8> {
        if self.rest.is_empty() { Vec::new() } else { self.take(b"\n") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_passed_on_whole_and_with_their_prefix() {
        let mut lines = Lines::new("[p] ");
        assert_eq!(lines.take(b"a\nb"), b"[p] a\n");
        assert_eq!(lines.take(b"c"), b"");
        assert_eq!(lines.take(b"\nd\ne"), b"[p] bc\n[p] d\n");
        assert_eq!(lines.end(), b"[p] e\n");
        assert_eq!(lines.end(), b"");
    }
}

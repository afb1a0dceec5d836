//! The log's format, the one that Kubernetes' log collectors read.
//!
//! Owns: how bytes of a stream become lines `<RFC 3339 time> <stdout|stderr> <F|P> <text>`, and back.
//! Must not know: files, pipes, clocks.
//!
//! <https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md>

use std::io::BufRead;

/// A line's text is cut after this many bytes; all parts but the last are marked `P`.
pub const MAX_TEXT: usize = 16 * 1024;
/// Everything before the text.
const MAX_HEAD: usize = STAMP + " stderr F ".len();
/// A whole line of the log with its newline.
pub const MAX_LINE: usize = MAX_HEAD + MAX_TEXT + 1;
/// `2026-01-02T03:04:05.123456789Z`
const STAMP: usize = 30;

/// Which of its two outputs a container wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// One line of the log, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Seconds since 1970 (UTC), and nanoseconds below a second.
    pub seconds: i64,
    pub nanos: u32,
    pub stream: Stream,
    /// Whether the container's line goes on in the stream's next one.
    pub partial: bool,
    pub text: &'a [u8],
}

/// One whole line, with its newline; a text that is too long for it is cut.
pub fn line(stream: Stream, seconds: i64, nanos: u32, text: &str) -> Vec<u8> {
    let mut line = Vec::with_capacity(MAX_LINE);
    let (stamp, mut splitter) = (Stamp::of(seconds, nanos), Splitter::new(stream));
    splitter.push(text.as_bytes(), &stamp, &mut line);
    splitter.finish(&stamp, &mut line);
    line
}

/// Takes one line, without its newline, apart. `None` when it was torn or is of another format.
pub fn parse(line: &[u8]) -> Option<Line<'_>> {
    let mut fields = line.splitn(4, |&byte| byte == b' ');
    let (seconds, nanos) = parse_time(fields.next()?)?;
    let stream = match fields.next()? {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    // Tags after a colon are reserved for later versions of the format.
    let partial = match fields.next()?.split(|&byte| byte == b':').next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    Some(Line { seconds, nanos, stream, partial, text: fields.next()? })
}

/// A point in time as it stands at the head of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp([u8; STAMP]);

impl Stamp {
    /// Years beyond 9999 are written as 9999.
    pub(super) fn of(seconds: i64, nanos: u32) -> Stamp {
        let (year, month, day) = civil(seconds.div_euclid(86_400));
        let second = seconds.rem_euclid(86_400);
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        digits(&mut text[0..4], year.clamp(0, 9999));
        digits(&mut text[5..7], month);
        digits(&mut text[8..10], day);
        digits(&mut text[11..13], second / 3600);
        digits(&mut text[14..16], second / 60 % 60);
        digits(&mut text[17..19], second % 60);
        digits(&mut text[20..29], i64::from(nanos));
        Stamp(text)
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("digits and punctuation")
    }
}

/// Makes lines of the bytes of one stream.
#[derive(Debug)]
pub(super) struct Splitter {
    stream: Stream,
    /// A line whose end has not come yet; at most [`MAX_TEXT`] bytes.
    pending: Vec<u8>,
}

impl Splitter {
    pub(super) fn new(stream: Stream) -> Splitter {
        Splitter { stream, pending: Vec::new() }
    }

    /// Appends the lines of `bytes` to `out` for as long as another line fits its capacity. Answers
    /// how many bytes it took.
    pub(super) fn push(&mut self, bytes: &[u8], stamp: &Stamp, out: &mut Vec<u8>) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() && out.capacity() - out.len() >= MAX_LINE {
            // What still fits the line, and one byte more to see whether the line goes on.
            let room = MAX_TEXT - self.pending.len();
            let (head, whole) = until_newline(&rest[..rest.len().min(room + 1)]);
            if whole {
                self.line(b'F', head, stamp, out);
                rest = &rest[head.len() + 1..];
            } else if head.len() > room {
                self.line(b'P', &head[..room], stamp, out);
                rest = &rest[room..];
            } else {
                self.pending.extend_from_slice(head);
                rest = &rest[head.len()..];
            }
        }
        bytes.len() - rest.len()
    }

    /// Ends a line that the container left without a newline, as containerd's CRI does. `out` has
    /// room for it.
    pub(super) fn finish(&mut self, stamp: &Stamp, out: &mut Vec<u8>) {
        if !self.pending.is_empty() {
            self.line(b'F', b"", stamp, out);
        }
    }

    fn line(&mut self, tag: u8, text: &[u8], stamp: &Stamp, out: &mut Vec<u8>) {
        out.extend_from_slice(&stamp.0);
        out.extend_from_slice(match self.stream {
            Stream::Stdout => b" stdout ",
            Stream::Stderr => b" stderr ",
        });
        out.extend_from_slice(&[tag, b' ']);
        out.append(&mut self.pending);
        out.extend_from_slice(text);
        out.push(b'\n');
    }
}

/// The bytes before the first newline, and whether there is one.
fn until_newline(bytes: &[u8]) -> (&[u8], bool) {
    let mut rest = bytes;
    // The fastest search of std; a slice cannot fail to be read.
    let taken = rest.skip_until(b'\n').unwrap_or(bytes.len());
    match bytes[..taken].split_last() {
        Some((b'\n', head)) => (head, true),
        _ => (bytes, false),
    }
}

fn digits(out: &mut [u8], value: i64) {
    let mut value = value;
    for digit in out.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).expect("a digit of a number that is not negative");
        value /= 10;
    }
}

/// Days since 1970 as year, month and day.
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// The reverse of [`civil`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Reads a time of RFC 3339, also with fewer digits of a second and with an offset: other runtimes
/// write local time.
fn parse_time(text: &[u8]) -> Option<(i64, u32)> {
    let (head, rest) = text.split_at_checked(19)?;
    let [_, _, _, _, b'-', _, _, b'-', _, _, b'T', _, _, b':', _, _, b':', _, _] = head else {
        return None;
    };
    let field = |from: usize, to: usize| number(&head[from..to]);
    let (month, day) = (field(5, 7)?, field(8, 10)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let second = field(11, 13)? * 3600 + field(14, 16)? * 60 + field(17, 19)?;
    let (nanos, zone) = match rest.split_first()? {
        (b'.', rest) => {
            let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (fraction, zone) = rest.split_at_checked(count.clamp(1, 9))?;
            let scale = 10_i64.pow(u32::try_from(9 - fraction.len()).ok()?);
            (u32::try_from(number(fraction)? * scale).ok()?, zone)
        }
        _ => (0, rest),
    };
    let offset = match zone {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let offset = number(&[*h1, *h2])? * 3600 + number(&[*m1, *m2])? * 60;
            if *sign == b'+' { offset } else { -offset }
        }
        _ => return None,
    };
    Some((days(field(0, 4)?, month, day) * 86_400 + second - offset, nanos))
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stamp() -> Stamp {
        Stamp::of(1_795_525_443, 12)
    }

    /// All that `chunks` become, with a small `out` that has to be emptied often.
    fn split(chunks: &[Vec<u8>], capacity: usize) -> Vec<u8> {
        let mut splitter = Splitter::new(Stream::Stdout);
        let (mut log, mut out) = (Vec::new(), Vec::with_capacity(capacity));
        for chunk in chunks {
            let mut rest = &chunk[..];
            while !rest.is_empty() {
                rest = &rest[splitter.push(rest, &stamp(), &mut out)..];
                assert_eq!(out.capacity(), capacity, "out never grows");
                if !rest.is_empty() {
                    log.append(&mut out);
                    out.reserve_exact(capacity);
                }
            }
        }
        log.append(&mut out);
        splitter.finish(&stamp(), &mut log);
        log
    }

    fn join(log: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in log.split_inclusive(|&byte| byte == b'\n') {
            let line = parse(line.strip_suffix(b"\n").unwrap()).unwrap();
            assert!(line.text.len() <= MAX_TEXT);
            bytes.extend_from_slice(line.text);
            if !line.partial {
                bytes.push(b'\n');
            }
        }
        bytes
    }

    #[test]
    fn a_time_is_written_as_kubernetes_does() {
        for (seconds, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_400, 1, "2000-02-29T00:00:00.000000001Z"),
            (1_709_251_199, 999_999_999, "2024-02-29T23:59:59.999999999Z"),
            (4_107_542_399, 500, "2100-02-28T23:59:59.000000500Z"),
            (-1, 5, "1969-12-31T23:59:59.000000005Z"),
        ] {
            assert_eq!(Stamp::of(seconds, nanos).as_str(), text);
            assert_eq!(parse_time(text.as_bytes()), Some((seconds, nanos)));
        }
    }

    #[test]
    fn times_of_other_runtimes_are_read() {
        assert_eq!(parse_time(b"1970-01-01T02:00:00.5+02:00"), Some((0, 500_000_000)));
        assert_eq!(parse_time(b"1970-01-01T00:00:07Z"), Some((7, 0)));
        for torn in ["", "1970-01-01T00:00:07", "1970-01-01T00:00:07.", "1970-13-01T00:00:07Z"] {
            assert_eq!(parse_time(torn.as_bytes()), None, "{torn}");
        }
    }

    #[test]
    fn a_line_is_taken_apart() {
        let line = parse(b"1970-01-01T00:00:01.000000002Z stderr P  two words ").unwrap();
        let text = b" two words ";
        assert_eq!(
            line,
            Line { seconds: 1, nanos: 2, stream: Stream::Stderr, partial: true, text }
        );
        assert_eq!(parse(b"1970-01-01T00:00:01.000000002Z stdout F ").unwrap().text, b"");
        for torn in ["1970-01-01T00:00:01Z stdout F", "1970-01-01T00:00:01Z std", "hello"] {
            assert_eq!(parse(torn.as_bytes()), None, "{torn}");
        }
    }

    #[test]
    fn only_a_line_longer_than_the_limit_is_cut() {
        let tags = |length: usize| {
            let log = split(&[[vec![b'x'; length], b"\n".to_vec()].concat()], MAX_LINE);
            log.split(|&byte| byte == b'\n')
                .filter_map(parse)
                .map(|l| l.partial)
                .collect::<Vec<_>>()
        };
        assert_eq!(tags(0), [false]);
        assert_eq!(tags(MAX_TEXT), [false]);
        assert_eq!(tags(MAX_TEXT + 1), [true, false]);
        assert_eq!(tags(2 * MAX_TEXT), [true, false]);
        assert_eq!(tags(2 * MAX_TEXT + 1), [true, true, false]);
    }

    fn piece() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200),
            1 => (any::<u8>(), 0..3 * MAX_TEXT).prop_map(|(byte, length)| vec![byte; length]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_lines_give_back_exactly_the_bytes(
            chunks in proptest::collection::vec(piece(), 0..12),
            spare in 0..MAX_TEXT,
        ) {
            let mut bytes = chunks.concat();
            if bytes.last().is_some_and(|&byte| byte != b'\n') {
                bytes.push(b'\n');
            }
            prop_assert!(join(&split(&chunks, MAX_LINE + spare)) == bytes);
        }
    }
}

//! Durations as `kubectl` prints them: `119s`, `2m`, `5m30s`, `7h59m`, `2d`.
//!
//! Owns: how a span of time is shortened for a column. Must not know: whose time it is.

use jiff::{SignedDuration, Timestamp};

/// What stands for a time that is not known.
pub const UNKNOWN: &str = "<unknown>";

/// Shortens a duration to two or three digits of its largest units; what is finer is cut off.
/// <https://kubernetes.io/docs/reference/kubectl/generated/kubectl_get/>
pub fn human(d: SignedDuration) -> String {
    let seconds = d.as_secs();
    match seconds {
        ..-1 => return "<invalid>".to_owned(),
        -1 => return "0s".to_owned(),
        0..120 => return format!("{seconds}s"),
        120.. => {}
    }
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    if minutes < 10 {
        pair(minutes, "m", seconds % 60, "s")
    } else if minutes < 180 {
        format!("{minutes}m")
    } else if hours < 8 {
        pair(hours, "h", minutes % 60, "m")
    } else if hours < 48 {
        format!("{hours}h")
    } else if days < 8 {
        pair(days, "d", hours % 24, "h")
    } else if days < 2 * 365 {
        format!("{days}d")
    } else if days < 8 * 365 {
        pair(days / 365, "y", days % 365, "d")
    } else {
        format!("{}y", days / 365)
    }
}

/// How long ago that was; `<unknown>` where there is no time.
pub fn since(then: Option<Timestamp>, now: Timestamp) -> String {
    then.map_or_else(|| UNKNOWN.to_owned(), |then| human(now.duration_since(then)))
}

fn pair(large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit}{small}{small_unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_reads_as_kubectl_prints_it() {
        let (m, h, d) = (60, 3600, 86400);
        for (seconds, expected) in [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (2, "2s"),
            (119, "119s"),
            (2 * m, "2m"),
            (5 * m + 30, "5m30s"),
            (10 * m - 1, "9m59s"),
            (10 * m + 59, "10m"),
            (3 * h - 1, "179m"),
            (3 * h, "3h"),
            (8 * h - 1, "7h59m"),
            (8 * h, "8h"),
            (48 * h - 1, "47h"),
            (2 * d, "2d"),
            (8 * d - 1, "7d23h"),
            (8 * d, "8d"),
            (730 * d - 1, "729d"),
            (730 * d, "2y"),
            (733 * d, "2y3d"),
            (8 * 365 * d, "8y"),
        ] {
            assert_eq!(human(SignedDuration::from_secs(seconds)), expected, "{seconds} s");
        }
        assert_eq!(human(SignedDuration::from_millis(-1999)), "0s");
    }

    #[test]
    fn a_time_that_is_not_known_says_so() {
        let now = Timestamp::from_second(100).expect("in range");
        assert_eq!(since(None, now), "<unknown>");
        assert_eq!(since(Some(Timestamp::UNIX_EPOCH), now), "100s");
    }
}

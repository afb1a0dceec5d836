//! When a CronJob is due.
//!
//! Owns: the schedule's text and the times that follow from it, in a time zone. Must not know: what is
//! started then.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-syntax>

use std::fmt;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

const FIELDS: usize = 5;
const NICKNAMES: [&str; 7] =
    ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
const EVERY: &str = "@every ";

/// A schedule in its time zone.
#[derive(Debug, Clone)]
pub struct Schedule {
    times: Times,
    zone: TimeZone,
}

#[derive(Debug, Clone)]
enum Times {
    Cron(Box<Cron>),
    /// `@every 5m`, from one start to the next.
    Every(Duration),
}

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Malformed {
    /// The time zone has a field of its own.
    Zone,
    Fields {
        found: usize,
        text: String,
    },
    /// What other kinds of cron know, and Kubernetes does not.
    Foreign(String),
    Every(String),
    Other(String),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zone => {
                f.write_str("cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
            }
            Self::Fields { found, text } => {
                let fields: Vec<&str> = text.split_whitespace().collect();
                let fields = fields.join(" ");
                write!(f, "expected exactly {FIELDS} fields, found {found}: [{fields}]")
            }
            Self::Foreign(field) => write!(f, "failed to parse {field:?}: not a cron field"),
            Self::Every(text) => write!(f, "failed to parse duration {text}"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn parse(text: &str, zone: TimeZone) -> Result<Self, Malformed> {
        if text.contains("TZ") {
            return Err(Malformed::Zone);
        }
        if let Some(span) = text.strip_prefix(EVERY) {
            let every = super::extensions::duration(span).filter(|every| !every.is_zero());
            let every = every.ok_or_else(|| Malformed::Every(text.to_owned()))?;
            return Ok(Self { times: Times::Every(every), zone });
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let nickname = matches!(fields[..], [one] if NICKNAMES.contains(&one));
        if !nickname && fields.len() != FIELDS {
            return Err(Malformed::Fields { found: fields.len(), text: text.to_owned() });
        }
        if !nickname && let Some(foreign) = foreign(&fields) {
            return Err(Malformed::Foreign(foreign.to_owned()));
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .dom_and_dow(false)
            .build();
        let cron = parser.parse(text).map_err(|why| Malformed::Other(why.to_string()))?;
        Ok(Self { times: Times::Cron(Box::new(cron)), zone })
    }

    /// The first time after this one; `None` where there is none.
    pub fn after(&self, at: Timestamp) -> Option<Timestamp> {
        match &self.times {
            Times::Cron(cron) => {
                let found = cron.find_next_occurrence(&at.to_zoned(self.zone.clone()), false);
                found.ok().map(|time| time.timestamp())
            }
            Times::Every(every) => whole(at).checked_add(*every).ok(),
        }
    }

    /// The last time up to now, of those after `since`.
    pub fn latest(&self, since: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let latest = match &self.times {
            Times::Cron(cron) => {
                let found = cron.find_previous_occurrence(&now.to_zoned(self.zone.clone()), true);
                found.ok()?.timestamp()
            }
            Times::Every(every) => {
                let gone = now.as_second() - whole(since).as_second();
                let every = i64::try_from(every.as_secs()).unwrap_or(i64::MAX);
                let second = whole(since).as_second() + gone.div_euclid(every) * every;
                Timestamp::from_second(second).ok()?
            }
        };
        (latest > since && latest <= now).then_some(latest)
    }

    /// How the time reads in the schedule's zone.
    pub fn shown(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }
}

/// The time zone of this name; without a name, UTC.
pub fn zone(name: Option<&str>) -> Option<TimeZone> {
    match name {
        None => Some(TimeZone::UTC),
        Some(name) if name.is_empty() || name.eq_ignore_ascii_case("local") => None,
        Some(name) => TimeZone::get(name).ok(),
    }
}

/// A field that has what only other kinds of cron know: `L`, `W`, `#`, a seventh day.
fn foreign<'a>(fields: &[&'a str]) -> Option<&'a str> {
    const NAMES: [&str; 19] = [
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC", "SUN",
        "MON", "TUE", "WED", "THU", "FRI", "SAT",
    ];
    let known = |(place, field): (usize, &&str)| {
        field.split([',', '-', '/']).all(|word| {
            let number = word.bytes().all(|b| b.is_ascii_digit());
            let seventh = place + 1 == FIELDS && word == "7";
            let name = NAMES.contains(&word.to_ascii_uppercase().as_str());
            matches!(word, "*" | "?") || (number && !seventh) || name
        })
    };
    fields.iter().enumerate().find(|field| !known(*field)).map(|(_, field)| *field)
}

fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(text: &str, zone_name: &str, after: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::parse(text, zone(Some(zone_name)).unwrap()).unwrap();
        let mut at: Timestamp = after.parse().unwrap();
        let times = (0..count).map(|_| {
            at = schedule.after(at).unwrap();
            at.to_string()
        });
        times.collect()
    }

    #[test]
    fn fields_are_minute_hour_day_month_and_weekday() {
        for (text, expected) in [
            ("* * * * *", "2026-03-04T10:16:00Z"),
            ("*/20 * * * *", "2026-03-04T10:20:00Z"),
            ("5,50 * * * *", "2026-03-04T10:50:00Z"),
            ("0 9-17/4 * * *", "2026-03-04T13:00:00Z"),
            ("30 2 1 * *", "2026-04-01T02:30:00Z"),
            ("0 0 * feb *", "2027-02-01T00:00:00Z"),
            ("0 0 * * SUN", "2026-03-08T00:00:00Z"),
            ("0 0 * * 1-2", "2026-03-09T00:00:00Z"),
            // A day of the month and a day of the week: either will do.
            ("0 0 13 * FRI", "2026-03-06T00:00:00Z"),
            ("0 0 29 2 ?", "2028-02-29T00:00:00Z"),
            ("@hourly", "2026-03-04T11:00:00Z"),
            ("@daily", "2026-03-05T00:00:00Z"),
            ("@weekly", "2026-03-08T00:00:00Z"),
            ("@monthly", "2026-04-01T00:00:00Z"),
            ("@yearly", "2027-01-01T00:00:00Z"),
            ("@every 1h30m", "2026-03-04T11:45:30Z"),
        ] {
            // A Wednesday.
            assert_eq!(next(text, "UTC", "2026-03-04T10:15:30Z", 1), [expected], "{text}");
        }
    }

    #[test]
    fn what_kubernetes_refuses_is_refused() {
        for (text, expected) in [
            ("", "expected exactly 5 fields, found 0: []"),
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("0 * * * * *", "expected exactly 5 fields, found 6: [0 * * * * *]"),
            ("@sometimes", "expected exactly 5 fields, found 1: [@sometimes]"),
            (
                "TZ=UTC 0 * * * *",
                "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
            ),
            ("0 0 L * *", "failed to parse \"L\": not a cron field"),
            ("0 0 * * 5#2", "failed to parse \"5#2\": not a cron field"),
            ("0 0 * * 7", "failed to parse \"7\": not a cron field"),
            ("@every soon", "failed to parse duration @every soon"),
        ] {
            let found = Schedule::parse(text, TimeZone::UTC).unwrap_err();
            assert_eq!(found.to_string(), expected, "{text}");
        }
        for text in
            ["61 * * * *", "* 24 * * *", "* * 32 * *", "* * * 13 *", "5-1 * * * *", "*/0 * * * *"]
        {
            assert!(Schedule::parse(text, TimeZone::UTC).is_err(), "{text}");
        }
        assert!(zone(Some("Europe/Nowhere")).is_none() && zone(Some("Local")).is_none());
    }

    #[test]
    fn a_time_that_the_clock_skips_comes_after_the_gap() {
        // In Berlin 02:00 to 03:00 is left out on 2026-03-29.
        let times = next("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
        assert_eq!(times, ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    }

    #[test]
    fn a_time_that_comes_twice_is_due_once_and_every_hour_goes_on() {
        // In Berlin 02:00 to 03:00 comes twice on 2026-10-25.
        let times = next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(times, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
        let times = next("0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 3);
        assert_eq!(times, ["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"]);
    }

    #[test]
    fn the_latest_time_is_found_without_counting_all() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let schedule = Schedule::parse("*/10 * * * *", TimeZone::UTC).unwrap();
        let latest = |since, now| schedule.latest(at(since), at(now)).map(|at| at.to_string());
        let found = latest("2020-01-01T00:00:00Z", "2026-01-01T00:19:59Z");
        assert_eq!(found.as_deref(), Some("2026-01-01T00:10:00Z"));
        assert_eq!(latest("2026-01-01T00:10:00Z", "2026-01-01T00:19:59Z"), None);
        let found = latest("2026-01-01T00:09:00Z", "2026-01-01T00:10:00Z");
        assert_eq!(found.as_deref(), Some("2026-01-01T00:10:00Z"));
        let every = Schedule::parse("@every 10m", TimeZone::UTC).unwrap();
        let found = every.latest(at("2026-01-01T00:03:00Z"), at("2026-01-01T00:25:00Z"));
        assert_eq!(found, Some(at("2026-01-01T00:23:00Z")));
    }
}

//! Names and values below each other, in aligned columns.
//!
//! Owns: the layout that all descriptions share, as kubectl's: cells end with a tab, and a column lasts
//! for as long as successive lines have it. Must not know: what is described.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::api::core::v1::{Event, Toleration};

use crate::api::duration::{human, since};

/// Between two columns.
const GAP: usize = 2;
pub(super) const NONE: &str = "<none>";
/// What a client keeps in an annotation for itself.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A description as it grows.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    done: String,
    /// Lines that are to be aligned with each other, cells apart by tabs.
    lines: Vec<String>,
}

impl Sheet {
    /// A line of its own: it ends all columns.
    pub(super) fn line(&mut self, text: impl Into<String>) {
        self.lines.push(text.into());
    }

    /// `Name:  value`
    pub(super) fn field(&mut self, name: &str, value: impl std::fmt::Display) {
        self.line(format!("{name}:\t{value}"));
    }

    /// One line for each value, the name before the first.
    pub(super) fn list(&mut self, name: &str, values: &[String]) {
        let mut before = format!("{name}:");
        for value in values {
            self.line(format!("{before}\t{value}"));
            before.clear();
        }
        if values.is_empty() {
            self.field(name, NONE);
        }
    }

    pub(super) fn labels(&mut self, name: &str, labels: Option<&BTreeMap<String, String>>) {
        let pairs = labels.into_iter().flatten().map(|(key, value)| format!("{key}={value}"));
        self.list(name, &pairs.collect::<Vec<_>>());
    }

    pub(super) fn annotations(&mut self, name: &str, all: Option<&BTreeMap<String, String>>) {
        let shown = all.into_iter().flatten().filter(|(key, _)| *key != LAST_APPLIED);
        let pairs = shown.map(|(key, value)| format!("{key}: {}", value.trim_end()));
        self.list(name, &pairs.collect::<Vec<_>>());
    }

    pub(super) fn tolerations(&mut self, name: &str, all: Option<&Vec<Toleration>>) {
        let text = |toleration: &Toleration| {
            let mut text = toleration.key.clone().unwrap_or_default();
            if let Some(value) = toleration.value.as_ref().filter(|value| !value.is_empty()) {
                text += &format!("={value}");
            }
            if let Some(effect) = toleration.effect.as_ref().filter(|effect| !effect.is_empty()) {
                text += &format!(":{effect}");
            }
            if toleration.operator.as_deref() == Some("Exists") {
                text += if text.is_empty() { "op=Exists" } else { " op=Exists" };
            }
            if let Some(seconds) = toleration.toleration_seconds {
                text += &format!(" for {seconds}s");
            }
            text
        };
        self.list(name, &all.into_iter().flatten().map(text).collect::<Vec<_>>());
    }

    /// In the order of their last time.
    pub(super) fn events(&mut self, events: &[Event], now: Timestamp) {
        if events.is_empty() {
            return self.field("Events", NONE);
        }
        self.flush();
        let mut events: Vec<_> = events.iter().collect();
        events.sort_by_key(|event| last_seen(event));
        self.line("Events:");
        self.line("  Type\tReason\tAge\tFrom\tMessage");
        self.line("  ----\t------\t----\t----\t-------");
        for event in events {
            let own = |text: &Option<String>| text.clone().unwrap_or_default();
            let component = event.source.as_ref().and_then(|source| source.component.clone());
            let from = component.filter(|from| !from.is_empty());
            let from = from.unwrap_or_else(|| own(&event.reporting_component));
            self.line(format!(
                "  {}\t{}\t{}\t{from}\t{}",
                own(&event.type_),
                own(&event.reason),
                age(event, now),
                own(&event.message).trim()
            ));
        }
    }

    /// Aligns what there is so far; what follows is aligned for itself.
    pub(super) fn flush(&mut self) {
        let cells: Vec<Vec<&str>> =
            self.lines.iter().map(|line| line.split('\t').collect()).collect();
        let mut texts = vec![String::new(); cells.len()];
        align(&cells, 0, 0..cells.len(), &mut texts);
        for text in texts {
            self.done += &text;
            self.done.push('\n');
        }
        self.lines.clear();
    }

    pub(super) fn finish(mut self) -> String {
        self.flush();
        self.done
    }
}

/// Sets one column of some lines, and within each run of lines that have it, those after it.
fn align(cells: &[Vec<&str>], column: usize, lines: std::ops::Range<usize>, texts: &mut [String]) {
    let has = |line: usize| cells[line].len() > column + 1;
    let mut line = lines.start;
    while line < lines.end {
        if !has(line) {
            texts[line].push_str(cells[line].get(column).copied().unwrap_or_default());
            line += 1;
            continue;
        }
        let end = (line..lines.end).find(|line| !has(*line)).unwrap_or(lines.end);
        let widths = (line..end).map(|line| cells[line][column].chars().count() + GAP);
        let width = widths.max().unwrap_or(GAP);
        for line in line..end {
            texts[line].push_str(&format!("{:<width$}", cells[line][column]));
        }
        align(cells, column + 1, line..end, texts);
        line = end;
    }
}

fn last_seen(event: &Event) -> Option<Timestamp> {
    let last = event.last_timestamp.as_ref().or(event.first_timestamp.as_ref()).map(|time| time.0);
    last.or_else(|| event.event_time.as_ref().map(|time| time.0))
}

fn age(event: &Event, now: Timestamp) -> String {
    let first = event.first_timestamp.as_ref().map(|time| time.0);
    let first = first.or_else(|| event.event_time.as_ref().map(|time| time.0));
    match event.count {
        Some(count) if count > 1 => {
            format!("{} (x{count} over {})", since(last_seen(event), now), since(first, now))
        }
        Some(_) | None => since(first, now),
    }
}

/// `Mon, 02 Jan 2006 15:04:05 -0700`, in the zone of whoever reads it.
pub(super) fn rfc1123(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S %z").to_string()
}

pub(super) fn between(start: Timestamp, end: Timestamp) -> String {
    human(end.duration_since(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_lasts_for_as_long_as_lines_have_it() {
        let mut sheet = Sheet::default();
        sheet.field("Name", "a");
        sheet.list("Labels", &["x=y".to_owned(), "z=1".to_owned()]);
        sheet.line("Containers:");
        sheet.field("  Image", "b");
        let expected = "Name:    a\nLabels:  x=y\n         z=1\nContainers:\n  Image:  b\n";
        assert_eq!(sheet.finish(), expected);
    }

    #[test]
    fn a_time_is_written_out() {
        let at = Timestamp::from_second(1_136_239_445).unwrap();
        assert_eq!(rfc1123(at), "Mon, 02 Jan 2006 22:04:05 +0000");
    }
}

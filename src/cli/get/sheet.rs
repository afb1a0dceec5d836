//! Rows of the tables that a server lays out, in columns.
//!
//! Owns: which columns are shown, and those that kiln adds. Must not know: the kinds.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::waiting::waits_for;
use crate::cli::jsonpath;
use crate::cli::table::Columns;

const NONE: &str = "<none>";

/// How the rows of one kind are laid out.
#[derive(Default)]
pub(super) struct Sheet {
    pub(super) wide: bool,
    /// With what each Job waits for.
    pub(super) jobs: bool,
    /// The order is of a path that may lead anywhere.
    pub(super) sorted: bool,
    pub(super) namespaces: bool,
    pub(super) labels: bool,
    /// Labels with a column each.
    pub(super) label_columns: Vec<String>,
    /// With what happened to it in front: the type of the event.
    pub(super) events: bool,
    pub(super) prefix: Option<String>,
    pub(super) columns: Columns,
    /// The headers were shown, or are not to be.
    pub(super) headed: bool,
    pub(super) pods: BTreeMap<String, Vec<Pod>>,
    pub(super) now: jiff::Timestamp,
    /// What the server calls its columns.
    pub(super) head: Value,
}

impl Sheet {
    pub(super) fn include(&self) -> &'static str {
        match self.jobs || self.sorted {
            true => "includeObject=Object",
            false => "includeObject=Metadata",
        }
    }

    /// `event`: what happened, where that is shown.
    pub(super) fn set(&mut self, rows: &[Value], event: &str) -> String {
        let definitions = self.head["columnDefinitions"].as_array();
        let definitions = definitions.map(Vec::as_slice).unwrap_or_default();
        let shown: Vec<_> = definitions
            .iter()
            .enumerate()
            .filter(|(_, column)| self.wide || column["priority"].as_i64().unwrap_or(0) == 0)
            .collect();
        let mut lines = Vec::new();
        if !self.headed {
            lines.push(self.header(&shown));
            self.headed = true;
        }
        let indexes: Vec<usize> = shown.iter().map(|(index, _)| *index).collect();
        lines.extend(rows.iter().map(|row| self.row(row, &indexes, event)));
        self.columns.set(&lines)
    }

    fn header(&self, shown: &[(usize, &Value)]) -> Vec<String> {
        let upper = |text: &str| text.to_uppercase();
        let mut line = Vec::new();
        line.extend(self.events.then(|| "EVENT".to_owned()));
        line.extend(self.namespaces.then(|| "NAMESPACE".to_owned()));
        line.extend(shown.iter().map(|(_, column)| upper(&jsonpath::text(&column["name"]))));
        line.extend(self.jobs.then(|| "WAITING FOR".to_owned()));
        let label = |label: &String| upper(label.rsplit('/').next().unwrap_or_default());
        line.extend(self.label_columns.iter().map(label));
        line.extend(self.labels.then(|| "LABELS".to_owned()));
        line
    }

    fn row(&self, row: &Value, shown: &[usize], event: &str) -> Vec<String> {
        let metadata = &row["object"]["metadata"];
        let mut line = Vec::new();
        if self.events {
            line.push(event.to_owned());
        }
        if self.namespaces {
            line.push(jsonpath::text(&metadata["namespace"]));
        }
        for (place, index) in shown.iter().enumerate() {
            let cell = jsonpath::text(&row["cells"][*index]);
            line.push(match &self.prefix {
                Some(prefix) if place == 0 => format!("{prefix}/{cell}"),
                Some(_) | None => cell,
            });
        }
        if self.jobs {
            let job = serde_json::from_value(row["object"].clone()).unwrap_or_default();
            let uid = metadata["uid"].as_str().unwrap_or_default();
            let pods = self.pods.get(uid).map(Vec::as_slice).unwrap_or_default();
            let waits = waits_for(&job, pods, self.now);
            line.push(waits.unwrap_or_else(|| NONE.to_owned()));
        }
        let labels = metadata["labels"].as_object();
        let of = |label: &String| {
            let value = labels.and_then(|labels| labels.get(label));
            value.map(jsonpath::text).unwrap_or_default()
        };
        line.extend(self.label_columns.iter().map(of));
        if self.labels {
            let pair = |(key, value): (&String, &Value)| format!("{key}={}", jsonpath::text(value));
            let all: Vec<_> = labels.into_iter().flatten().map(pair).collect();
            line.push(if all.is_empty() { NONE.to_owned() } else { all.join(",") });
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_the_columns_that_are_asked_for() {
        let head = json!({"columnDefinitions": [
            {"name": "Name", "priority": 0}, {"name": "Age", "priority": 0},
            {"name": "Images", "priority": 1},
        ]});
        let rows = [json!({
            "cells": ["a", "5s", "busybox"],
            "object": {"metadata": {"namespace": "n", "labels": {"x/k": "y"}}},
        })];
        let sheet = || Sheet { head: head.clone(), ..Sheet::default() };
        assert_eq!(sheet().set(&rows, ""), "NAME   AGE\na      5s\n");
        let mut all = Sheet {
            wide: true,
            namespaces: true,
            labels: true,
            label_columns: vec!["x/k".to_owned(), "no".to_owned()],
            prefix: Some("pod".to_owned()),
            ..sheet()
        };
        assert_eq!(
            all.set(&rows, ""),
            "NAMESPACE   NAME    AGE   IMAGES    K     NO    LABELS\n\
             n           pod/a   5s    busybox   y           x/k=y\n"
        );
        let mut events = Sheet { events: true, ..sheet() };
        assert_eq!(events.set(&rows, "ADDED"), "EVENT   NAME   AGE\nADDED   a      5s\n");
    }
}

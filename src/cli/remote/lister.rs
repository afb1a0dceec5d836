//! The objects of a list, for as long as somebody looks at them.
//!
//! Owns: reading the list, watching it, and beginning anew where a watch ends. Must not know: what is
//! looked for.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

use super::{Error, JSON, Remote, Stream, query};

/// A server that ends each watch at once is not asked without a pause.
const PAUSE: Duration = Duration::from_millis(200);

pub(in crate::cli) struct Lister<'a> {
    remote: &'a Remote,
    path: String,
    labels: String,
    watch: Option<Stream>,
    told: VecDeque<Event>,
    begun: bool,
}

/// What is to be known of a list.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) enum Event {
    /// The object is there, or is as it is now.
    Is(Value),
    Gone(Value),
    /// All that is there has been told.
    Listed,
}

impl<'a> Lister<'a> {
    pub(in crate::cli) fn new(remote: &'a Remote, path: String, labels: String) -> Self {
        Self { remote, path, labels, watch: None, told: VecDeque::new(), begun: false }
    }

    /// # Errors
    /// The server refuses, or is away.
    pub(in crate::cli) async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.told.pop_front() {
                return Ok(event);
            }
            let Some(watch) = &mut self.watch else {
                self.begin().await?;
                continue;
            };
            let Some(mut event) = watch.event().await else {
                self.watch = None;
                continue;
            };
            let object = event["object"].take();
            match event["type"].as_str() {
                Some("ADDED" | "MODIFIED") => return Ok(Event::Is(object)),
                Some("DELETED") => return Ok(Event::Gone(object)),
                Some("BOOKMARK") => {}
                Some(_) | None => self.watch = None,
            }
        }
    }

    async fn begin(&mut self) -> Result<(), Error> {
        if self.begun {
            self.remote.clock.sleep(PAUSE).await;
        }
        self.begun = true;
        let labels = ("labelSelector", self.labels.as_str());
        let mut list = self.remote.get(&(self.path.clone() + &query(&[labels]))).await?;
        let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        let watch = query(&[labels, ("watch", "true"), ("resourceVersion", version)]);
        self.watch = Some(self.remote.stream(&(self.path.clone() + &watch), JSON).await?);
        let items = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        self.told.extend(items.into_iter().map(Event::Is));
        self.told.push_back(Event::Listed);
        Ok(())
    }
}

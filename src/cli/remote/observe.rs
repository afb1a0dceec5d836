//! One object, for as long as somebody waits for something of it.
//!
//! Owns: reading it, watching it, and beginning anew where a watch ends. Must not know: what is waited
//! for.

use std::time::Duration;

use serde_json::Value;

use super::{Error, JSON, Remote, Resource, Stream, query};

/// A server that ends each watch at once is not asked without a pause.
const PAUSE: Duration = Duration::from_millis(200);

pub(in crate::cli) struct Observer<'a> {
    remote: &'a Remote,
    resource: &'a Resource,
    namespace: String,
    name: String,
    watch: Option<Stream>,
    begun: bool,
}

impl<'a> Observer<'a> {
    pub(in crate::cli) fn new(remote: &'a Remote, resource: &'a Resource, name: &str) -> Self {
        Self::within(remote, resource, &remote.namespace, name)
    }

    /// In another namespace than the client's own.
    pub(in crate::cli) fn within(
        remote: &'a Remote,
        resource: &'a Resource,
        namespace: &str,
        name: &str,
    ) -> Self {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Self { remote, resource, namespace, name, watch: None, begun: false }
    }

    /// The object as it is, then each time that it has changed; `None`: there is none.
    ///
    /// # Errors
    /// The server refuses, or is away.
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<Value>, Error> {
        loop {
            let Some(watch) = &mut self.watch else { return self.begin().await };
            let event = watch.event().await;
            match event.as_ref().and_then(|event| event["type"].as_str()) {
                Some("ADDED" | "MODIFIED") => {
                    return Ok(event.map(|mut event| event["object"].take()));
                }
                // Another of the same name may be there already: what is, is read again.
                Some("DELETED") => {
                    self.watch = None;
                    return Ok(None);
                }
                Some("BOOKMARK") => {}
                Some(_) | None => self.watch = None,
            }
        }
    }

    async fn begin(&mut self) -> Result<Option<Value>, Error> {
        if self.begun {
            self.remote.clock.sleep(PAUSE).await;
        }
        self.begun = true;
        let field = format!("metadata.name={}", self.name);
        let path = self.resource.path(Some(&self.namespace));
        let list = self.remote.get(&(path.clone() + &query(&[("fieldSelector", &field)]))).await?;
        let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        let watch =
            query(&[("fieldSelector", &field), ("watch", "true"), ("resourceVersion", version)]);
        self.watch = Some(self.remote.stream(&(path + &watch), JSON).await?);
        Ok(list["items"].get(0).cloned())
    }
}

//! The objects as JSON, for whoever handles all kinds alike.
//!
//! Owns: reading and writing objects without knowing their type. Must not know: which fields a kind
//! has, but for those of metadata that say where an object is, and whether it may go.

use serde_json::Value;

use super::backend::{Entry, Guard, Range, Revision, Write, next_after};
use super::{Change, Error, Store, Txn, parse, path, prefix};
use crate::api::object::{Key, Kind};

/// Which objects are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    pub kind: Kind,
    /// `None`: of all namespaces.
    pub namespace: Option<&'a str>,
    /// Only the one of this name, where one can have it.
    pub name: Option<&'a str>,
    /// Only those after this one, in the order of namespace and name.
    pub after: Option<&'a Key>,
    pub limit: Option<usize>,
    /// As they were at this revision; `None`: as they are.
    pub at: Option<Revision>,
}

/// Some objects, in the order of namespace and name.
#[derive(Debug, Clone)]
pub struct Page {
    pub items: Vec<(Key, Value)>,
    /// What they were read at.
    pub revision: Revision,
    /// How many come after them.
    pub remaining: usize,
}

impl Store {
    /// The object, with its resource version.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn read(&self, key: &Key) -> Result<Option<Value>, Error> {
        let entry = self.backend.get(&path(key)).await?;
        entry.map(|entry| decode(&entry.key, &entry.value, entry.revision)).transpose()
    }

    /// # Errors
    /// [`Error::Compacted`]: the revision that is asked for is no longer kept.
    pub async fn page(&self, query: Query<'_>) -> Result<Page, Error> {
        let prefix = prefix(query.kind, query.namespace);
        let is_one = query.namespace.is_some() || !query.kind.is_namespaced();
        let all = match query.name.filter(|_| is_one) {
            Some(name) => Range::exactly(&format!("{prefix}{name}")),
            None => Range::below(&prefix),
        };
        let start = match query.after {
            Some(key) => next_after(&path(key)).max(all.start),
            None => all.start,
        };
        let (limit, at) = (query.limit, query.at);
        let range = Range { start, end: all.end, limit, at, counted: true };
        let slice = self.backend.range(range).await?;
        let item = |entry: &Entry| {
            let key = parse(&entry.key)?;
            Some(decode(&entry.key, &entry.value, entry.revision).map(|value| (key, value)))
        };
        let items = slice.entries.iter().filter_map(item).collect::<Result<_, _>>()?;
        Ok(Page { items, revision: slice.revision, remaining: slice.remaining })
    }
}

impl Txn<'_> {
    /// Writes a new object; there must be none of that name.
    pub fn create_value(&mut self, key: &Key, value: &Value) -> &mut Self {
        self.batch.guards.push(Guard::Absent { key: path(key) });
        self.put_value(key, value)
    }

    /// Writes an object that was read before and must not have changed since. One that is deleted
    /// and that nothing holds any more goes away instead. Answers whether it does.
    pub fn update_value(&mut self, key: &Key, value: &Value) -> bool {
        if is_released(key.kind, value) {
            self.delete_value(key, value);
            return true;
        }
        self.guard_value(key, value);
        self.put_value(key, value);
        false
    }

    /// Removes an object that was read before and must not have changed since.
    pub fn delete_value(&mut self, key: &Key, value: &Value) -> &mut Self {
        self.guard_value(key, value);
        self.keep_value(key.kind, value);
        self.batch.writes.push(Write::Delete { key: path(key) });
        self
    }

    /// The object is not written, and must not have changed since it was read.
    pub fn guard_value(&mut self, key: &Key, value: &Value) -> &mut Self {
        let revision = value.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        let revision = revision.and_then(|text| text.parse().ok()).unwrap_or(0);
        self.batch.guards.push(Guard::Unchanged { key: path(key), revision });
        self
    }

    fn put_value(&mut self, key: &Key, value: &Value) -> &mut Self {
        let mut value = value.clone();
        // The revision is the entry's own.
        if let Some(Value::Object(meta)) = value.get_mut("metadata") {
            meta.remove("resourceVersion");
        }
        match serde_json::to_vec(&value) {
            Ok(value) => self.batch.writes.push(Write::Put { key: path(key), value }),
            Err(source) => self.failed = Some(Error::Encode { key: key.clone(), source }),
        }
        self
    }
}

impl Change {
    /// The object as it is now; `None`: it is gone.
    ///
    /// # Errors
    /// What is stored is no JSON.
    pub fn value(&self) -> Result<Option<Value>, Error> {
        let value = self.raw.value.as_ref();
        value.map(|value| decode(&self.raw.key, value, self.revision)).transpose()
    }

    /// The object as it was before, with the revision of this change; `None`: it is new.
    ///
    /// # Errors
    /// What is stored is no JSON.
    pub fn previous_value(&self) -> Result<Option<Value>, Error> {
        let value = self.raw.previous.as_ref();
        value.map(|value| decode(&self.raw.key, value, self.revision)).transpose()
    }
}

/// The same as [`crate::api::object::Object::is_released`].
fn is_released(kind: Kind, value: &Value) -> bool {
    let meta = &value["metadata"];
    meta["deletionTimestamp"].is_string()
        && meta["finalizers"].as_array().is_none_or(Vec::is_empty)
        && (kind != Kind::Pod || meta["deletionGracePeriodSeconds"].as_i64() == Some(0))
}

pub(super) fn decode(key: &str, value: &[u8], revision: Revision) -> Result<Value, Error> {
    let mut value: Value = serde_json::from_slice(value)
        .map_err(|source| Error::Decode { key: key.to_owned(), source })?;
    if let Some(Value::Object(meta)) = value.get_mut("metadata") {
        meta.insert("resourceVersion".to_owned(), revision.to_string().into());
    }
    Ok(value)
}

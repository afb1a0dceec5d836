//! What the store has of a kind, read some at a time.
//!
//! Owns: that of what is over only the name is kept in memory. Must not know: what is over.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::api::object::{Key, Object};
use crate::store::{self, Revision, Store};

/// What the store has of a kind.
pub(super) struct Listed<O> {
    /// The uids, of what is over too.
    pub(super) all: BTreeMap<Key, String>,
    /// Those that are asked for as a whole.
    pub(super) held: Vec<O>,
    /// Whose they are: namespace and uid.
    pub(super) owners: BTreeSet<(String, String)>,
    /// What changed later is not in it for sure.
    pub(super) revision: Revision,
}

impl<O: Object> Listed<O> {
    pub(super) async fn read(
        store: &Store,
        held: impl Fn(&O) -> bool,
        owner: fn(&O) -> Option<&OwnerReference>,
    ) -> Result<Self, store::Error> {
        let (mut pages, mut first) = (store.pages::<O>(None), None);
        let (mut all, mut owners) = (BTreeMap::new(), BTreeSet::new());
        let mut kept = Vec::new();
        while let Some((page, revision)) = pages.next().await? {
            first.get_or_insert(revision);
            for object in page {
                all.insert(object.key(), object.uid().to_owned());
                let owner = owner(&object).map(|owner| owner.uid.clone());
                owners.extend(owner.map(|uid| (object.namespace().to_owned(), uid)));
                if held(&object) {
                    kept.push(object);
                }
            }
        }
        Ok(Self { all, held: kept, owners, revision: first.unwrap_or(0) })
    }
}

//! Where a wish enters the store.
//!
//! Owns: what a Job goes through before it is stored, and what a request to delete it writes. Must not
//! know: the rules, the engine, the runtime. It writes wishes; what becomes of them is seen in the
//! store.

pub mod manifests;
pub mod objects;
pub mod openapi;
pub mod protobuf;

//! Whole runs on a host that exists only in memory.

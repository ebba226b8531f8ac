//! Recordings: write, index, recover, list.

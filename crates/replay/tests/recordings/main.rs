//! Recordings on a real disk: what is written, what is found again, and what is none.

#![cfg(test)]

mod archived;
mod catalogue;
mod events;
mod excerpts;
mod frames;
mod scene;
mod writing;

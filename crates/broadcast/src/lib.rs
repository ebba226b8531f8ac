//! The broadcast lifecycle as a pure function, names, keys and signatures.

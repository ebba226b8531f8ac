//! A ring with one writer and many cursors.

//! Histories of other programs as texts, and what becomes of them.
mod corpora;
mod export;
mod foreign;

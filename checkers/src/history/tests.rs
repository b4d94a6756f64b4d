//! Histories of other programs as texts, and what becomes of them.
mod clients;
mod corpora;
mod export;
mod foreign;
mod nodes;
mod pairs;
mod passed_over;

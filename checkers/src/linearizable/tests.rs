//! Every engine against brute force on random small histories, histories with known verdicts, and told findings.
mod corpora;
mod random;
mod stories;

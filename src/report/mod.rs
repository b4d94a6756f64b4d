//! The report: drawn from files alone.

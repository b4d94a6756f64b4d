//! Recipes and targets.

mod random;
mod stories;

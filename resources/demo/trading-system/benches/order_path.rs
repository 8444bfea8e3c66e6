//! Benchmarks of the order path.
fn main() {}

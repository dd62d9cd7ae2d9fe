//! Builds the supervisor that is embedded in the binary.

fn main() {}

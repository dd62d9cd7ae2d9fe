//! Parse arguments, call, print, exit code.

fn main() {}

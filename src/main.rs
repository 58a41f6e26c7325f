//! The `holdfast` program: arguments in, exit code out.
use holdfast as _;
fn main() {}

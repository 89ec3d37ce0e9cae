//! The promises of rotation, proven on real systems. There is no code here but the tests.

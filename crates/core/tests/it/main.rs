//! Promises of the domain over many generated cases.

mod evaluator;

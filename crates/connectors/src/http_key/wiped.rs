//! JSON that may hold keys: its texts are wiped when it is dropped.

use serde_json::Value;
use zeroize::Zeroize;

/// An answer, or a body before it is sent.
pub(super) struct Wiped(Value);

impl Wiped {
    pub(super) fn new(value: Value) -> Self {
        Self(value)
    }

    pub(super) fn value(&self) -> &Value {
        &self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

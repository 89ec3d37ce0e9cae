//! What the clients need of a database.

use async_trait::async_trait;
use serde_json::Value;

/// A connection that stays open.
#[async_trait]
pub(crate) trait Session: Send {
    /// Runs one small query; what the database said when it did not work.
    async fn query(&mut self) -> Result<(), String>;
}

/// A running database with a manager, a group for applications, and a first account.
#[async_trait]
pub(crate) trait Database: Send + Sync + 'static {
    /// The connector's name.
    fn connector(&self) -> &'static str;
    /// The target's settings.
    fn settings(&self) -> Value;
    /// The attachment's account.
    fn account(&self) -> Value;
    /// The manager's credential.
    fn manager(&self) -> Value;
    /// The first credential of the applications.
    fn first(&self) -> Value;
    /// Logs in.
    async fn log_in(&self, credential: &Value) -> Result<Box<dyn Session>, String>;
}

/// A text field of a credential.
pub(crate) fn field<'a>(credential: &'a Value, name: &str) -> &'a str {
    credential[name].as_str().expect("a text field")
}

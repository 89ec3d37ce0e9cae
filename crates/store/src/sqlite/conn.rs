//! A connection, and the key of the rows read and written over it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use rusqlite::Connection;

use crate::rows::Rows;

pub(crate) struct Conn {
    inner: Connection,
    pub(crate) rows: Arc<Rows>,
}

impl Conn {
    pub(crate) fn new(inner: Connection, rows: Arc<Rows>) -> Self {
        Self { inner, rows }
    }
}

impl Deref for Conn {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.inner
    }
}

impl DerefMut for Conn {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.inner
    }
}

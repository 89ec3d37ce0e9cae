//! Statements of many units sent as few: those that differ in nothing but their parameters become
//! one for all of them. It tells only whether everything came to what it must; whose fault it was
//! is found out by running the units one after the other.

use std::error::Error as StdError;

use bytes::BytesMut;
use futures_util::future::join_all;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Error, Statement};

use crate::conn::Conn;
use crate::refusal::{is_lost, is_transient};
use crate::step::{Broken, Expect, Step, TOGETHER};

/// One parameter of one of the statements.
#[derive(Debug)]
struct Cell<'a>(&'a (dyn ToSql + Sync));

impl ToSql for Cell<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        self.0.to_sql_checked(ty, out)
    }

    /// What is in it says no, if need be.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// What is sent as one statement.
struct Group<'a> {
    sql: &'static str,
    steps: Vec<&'a Step>,
}

impl<'a> Group<'a> {
    /// In the order of their first statements. What has no form for many rows comes last, in its
    /// own order: what has one must do the same before as after it.
    fn all(steps: impl Iterator<Item = &'a Step>) -> Vec<Self> {
        let (mut groups, mut alone): (Vec<Self>, Vec<Self>) = (Vec::new(), Vec::new());
        for step in steps {
            let known = groups.iter_mut().find(|group| group.sql == step.sql);
            match (known, step.many) {
                (Some(group), Some(_)) => group.steps.push(step),
                (_, many) => {
                    let group = Self {
                        sql: step.sql,
                        steps: vec![step],
                    };
                    match many {
                        Some(_) => groups.push(group),
                        None => alone.push(group),
                    }
                }
            }
        }
        groups.append(&mut alone);
        groups
    }

    /// What is sent.
    fn sql(&self) -> &'static str {
        match self.steps.as_slice() {
            [first, _, ..] => first.many.unwrap_or(self.sql),
            _ => self.sql,
        }
    }

    async fn send(&self, conn: &Conn, statement: &Statement) -> Result<u64, Error> {
        let [first, _, ..] = self.steps.as_slice() else {
            let params = self.steps.iter().flat_map(|step| &step.params);
            let params = params.map(|param| {
                let param: &(dyn ToSql + Sync) = &**param;
                param
            });
            return conn.execute(statement, params).await;
        };
        let column = |at: usize| {
            let cells = self.steps.iter().filter_map(move |step| step.params.get(at));
            cells.map(|cell| Cell(&**cell)).collect::<Vec<_>>()
        };
        let columns: Vec<Vec<Cell<'_>>> = (0..first.params.len()).map(column).collect();
        let params = columns.iter().map(|column| {
            let param: &(dyn ToSql + Sync) = column;
            param
        });
        conn.execute(statement, params).await
    }

    /// Whether each of them came to what it must.
    fn judge(&self, answer: Result<u64, Error>) -> Result<bool, Broken> {
        match (self.steps.as_slice(), answer) {
            ([one], answer) => Ok(one.judge(answer)?.is_none()),
            ([Step { expect: Expect::Any, .. }, ..], Ok(_)) => Ok(true),
            (all, Ok(rows)) => Ok(rows == all.len() as u64),
            (_, Err(error)) if is_lost(&error) || is_transient(&error) => Err(Broken(error)),
            (_, Err(_)) => Ok(false),
        }
    }
}

/// Runs the statements of all units of a transaction. `false` when any was refused: the
/// transaction must be rolled back.
pub(crate) async fn run<'a>(
    conn: &Conn,
    steps: impl Iterator<Item = &'a Step>,
) -> Result<bool, Broken> {
    let groups = Group::all(steps);
    for some in groups.chunks(TOGETHER) {
        // Before any of them is sent: in a transaction that failed nothing can be prepared.
        let mut prepared = Vec::with_capacity(some.len());
        for group in some {
            prepared.push(conn.prepare(group.sql()).await.map_err(Broken)?);
        }
        let sending = some.iter().zip(&prepared);
        let answers = join_all(sending.map(|(group, made)| group.send(conn, made))).await;
        for (group, answer) in some.iter().zip(answers) {
            if !group.judge(answer)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

//! The statements a unit is made of. They are data: made in the caller's task, sent by the writer
//! many at a time, and judged in order.

use futures_util::future::{join, join_all};
use scaivault_core::ports::RecordKind;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Statement};

use crate::conn::Conn;
use crate::refusal::{Refusal, is_aborted, is_lost, is_transient, text};

/// Statements sent before an answer is waited for. All of them are polled in order.
const TOGETHER: usize = 24;

/// A parameter.
pub(crate) type Param = Box<dyn ToSql + Sync + Send>;

/// What a statement must come to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expect {
    /// Anything.
    Any,
    /// One row of this kind; anything else is a conflict.
    One(RecordKind),
    /// One row of this kind, of which a field is unique: a clash with that constraint is told as
    /// one of that field.
    Unique(RecordKind, &'static str, &'static str),
    /// One row; otherwise, in words.
    Must(&'static str),
    /// So many rows; otherwise, in words.
    All(u64, &'static str),
}

/// One statement.
pub(crate) struct Step {
    pub(crate) sql: &'static str,
    pub(crate) params: Vec<Param>,
    pub(crate) expect: Expect,
    /// The same for any number of rows at once: each parameter is an array of what `sql` takes.
    pub(crate) many: Option<&'static str>,
    /// The same in two parts, for a place inside of a larger statement: the tables it makes for
    /// itself, and what is done with them.
    pub(crate) inside: Option<(&'static str, &'static str)>,
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Step({:?})", self.expect)
    }
}

/// A step with its parameters, which must own what they hold.
macro_rules! step {
    ($expect:expr, $sql:expr $(, $param:expr)* $(,)?) => {
        $crate::step::Step {
            sql: $sql,
            params: vec![$(Box::new($param)),*],
            expect: $expect,
            many: None,
            inside: None,
        }
    };
}
pub(crate) use step;

/// The session failed, not the unit: it is gone, or the transaction got in another's way.
#[derive(Debug)]
pub(crate) struct Broken(pub(crate) Error);

/// Runs steps inside a transaction. After a refusal the transaction must be rolled back to before
/// the first of them.
pub(crate) async fn run(conn: &Conn, steps: &[Step]) -> Result<Result<(), Refusal>, Broken> {
    for some in steps.chunks(TOGETHER) {
        let prepared = prepare(conn, some).await.map_err(Broken)?;
        let answers = join_all(send(conn, some, &prepared)).await;
        for (step, answer) in some.iter().zip(answers) {
            if let Some(refusal) = step.judge(answer)? {
                return Ok(Err(refusal));
            }
        }
    }
    Ok(Ok(()))
}

/// Before any of them is sent: in a transaction that failed nothing can be prepared.
async fn prepare(conn: &Conn, steps: &[Step]) -> Result<Vec<Statement>, Error> {
    let mut prepared = Vec::with_capacity(steps.len());
    for step in steps {
        prepared.push(conn.prepare(step.sql).await?);
    }
    Ok(prepared)
}

/// Each is sent when it is first polled.
fn send<'a>(
    conn: &'a Conn,
    steps: &'a [Step],
    prepared: &'a [Statement],
) -> impl Iterator<Item = impl Future<Output = Result<u64, Error>>> {
    steps.iter().zip(prepared).map(|(step, statement)| {
        let params = step.params.iter().map(|param| {
            let param: &(dyn ToSql + Sync) = &**param;
            param
        });
        conn.execute(statement, params)
    })
}

impl Step {
    /// With the form for many rows.
    pub(crate) fn or_many(mut self, sql: &'static str) -> Self {
        self.many = Some(sql);
        self
    }

    fn is_of_one(&self) -> bool {
        !matches!(self.expect, Expect::Any | Expect::All(..))
    }

    /// `None` when it came to what it must.
    pub(crate) fn judge(&self, answer: Result<u64, Error>) -> Result<Option<Refusal>, Broken> {
        let error = match answer {
            Ok(rows) => {
                return Ok(match self.expect {
                    Expect::Any => None,
                    Expect::All(all, _) if rows == all => None,
                    _ if rows == 1 && self.is_of_one() => None,
                    Expect::One(kind) | Expect::Unique(kind, _, _) => Some(Refusal::Conflict(kind)),
                    Expect::Must(otherwise) | Expect::All(_, otherwise) => {
                        Some(Refusal::Failed(otherwise.to_owned()))
                    }
                });
            }
            Err(error) => error,
        };
        let clash = error
            .as_db_error()
            .filter(|db| *db.code() == SqlState::UNIQUE_VIOLATION);
        if let Some(db) = clash {
            match self.expect {
                Expect::Unique(kind, field, constraint) if db.constraint() == Some(constraint) => {
                    return Ok(Some(Refusal::Duplicate(kind, field)));
                }
                Expect::One(kind) | Expect::Unique(kind, _, _) => {
                    return Ok(Some(Refusal::Conflict(kind)));
                }
                Expect::Must(otherwise) | Expect::All(_, otherwise) => {
                    return Ok(Some(Refusal::Failed(otherwise.to_owned())));
                }
                Expect::Any => {}
            }
        }
        match is_lost(&error) || is_transient(&error) {
            true => Err(Broken(error)),
            false => Ok(Some(Refusal::Failed(text(&error)))),
        }
    }
}

/// How the end of a transaction went.
#[derive(Debug)]
pub(crate) enum Last {
    /// It is durable.
    Committed,
    /// Nothing of it is there.
    Refused(Refusal),
    /// Nothing of it is there.
    Broken(Error),
    /// The commit was sent, and not answered.
    Doubtful(Error),
}

/// Runs the last steps of a transaction and commits it, the last of them together with the
/// commit: where one of them fails, the database commits nothing.
pub(crate) async fn commit(conn: &Conn, steps: &[Step]) -> Last {
    let (first, last) = steps.split_at(steps.len() - steps.len() % TOGETHER);
    match run(conn, first).await {
        Ok(Ok(())) => {}
        Ok(Err(refusal)) => return Last::Refused(refusal),
        Err(Broken(error)) => return Last::Broken(error),
    }
    let prepared = match prepare(conn, last).await {
        Ok(prepared) => prepared,
        Err(error) => return Last::Broken(error),
    };
    let (answers, committed) =
        join(join_all(send(conn, last, &prepared)), conn.run("COMMIT")).await;
    let mut lost = None;
    for (step, answer) in last.iter().zip(answers) {
        match step.judge(answer) {
            Ok(None) => {}
            Ok(Some(refusal)) => return Last::Refused(refusal),
            Err(Broken(error)) if is_lost(&error) => lost = lost.or(Some(error)),
            Err(Broken(error)) => return Last::Broken(error),
        }
    }
    match (committed, lost) {
        (Ok(()), None) => Last::Committed,
        (Err(error), _) if is_aborted(&error) => Last::Broken(error),
        (Err(error), _) | (Ok(()), Some(error)) => Last::Doubtful(error),
    }
}

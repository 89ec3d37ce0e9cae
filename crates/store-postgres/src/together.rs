//! A whole transaction as one statement. Statements that differ in nothing but their parameters
//! become one for all units; all of those become parts of one that fails when any of them did not
//! come to what it must. Whose fault it was is found out by running the units one after the other.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt::Write;

use bytes::BytesMut;
use futures_util::future::join3;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::conn::Conn;
use crate::refusal::{Refusal, is_aborted, is_lost, is_transient, text};
use crate::sql::row::int;
use crate::step::{Expect, Last, Step};

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

/// Steps of one statement.
struct Group<'a> {
    steps: Vec<&'a Step>,
}

/// A parameter of the statement that is sent.
enum Param<'a> {
    /// As it is.
    One(&'a (dyn ToSql + Sync)),
    /// An array of them.
    Column(Vec<Cell<'a>>),
    /// A number of rows.
    Rows(i64),
}

impl Param<'_> {
    fn as_sql(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::One(param) => *param,
            Self::Column(cells) => cells,
            Self::Rows(rows) => rows,
        }
    }
}

impl<'a> Group<'a> {
    fn of(step: &'a Step) -> Self {
        Self { steps: vec![step] }
    }

    /// Puts steps of one statement together. The statements are in an order of their own, the same
    /// in every batch: there are fewer to prepare, and nodes lock tables in one order.
    fn sort(steps: impl Iterator<Item = &'a Step>, groups: &mut Vec<Self>) {
        let mut sorted: BTreeMap<&'static str, Vec<&'a Step>> = BTreeMap::new();
        for step in steps {
            sorted.entry(step.sql).or_default().push(step);
        }
        groups.extend(sorted.into_values().map(|steps| Self { steps }));
    }

    /// The tables it makes for itself, and what it does. A step of a unit has the form for many
    /// rows even when it is the only one, so that there are not too many statements to prepare.
    fn inside(&self) -> (&'static str, &'static str) {
        let step = self.steps.first();
        let inside = step.and_then(|step| step.inside.or(step.many.map(|many| ("", many))));
        inside
            .or(step.map(|step| ("", step.sql)))
            .unwrap_or_default()
    }

    fn params(&self) -> Vec<Param<'a>> {
        let Some(first) = self.steps.first() else {
            return Vec::new();
        };
        if first.many.is_none() {
            return first
                .params
                .iter()
                .map(|param| Param::One(&**param))
                .collect();
        }
        let column = |at: usize| {
            let cells = self.steps.iter().filter_map(|step| step.params.get(at));
            Param::Column(cells.map(|cell| Cell(&**cell)).collect())
        };
        (0..first.params.len()).map(column).collect()
    }

    /// The rows it must have.
    fn rows(&self) -> Option<i64> {
        match self.steps.first()?.expect {
            Expect::Any => None,
            Expect::All(rows, _) => Some(int(rows)),
            _ => Some(int(self.steps.len() as u64)),
        }
    }
}

/// Commits steps of a node and those of units, which touch rows of their own each, by one statement:
/// `own` first, `last` at the end. Nothing of it is there when any did not come to what it must.
pub(crate) async fn commit<'a>(
    conn: &Conn,
    own: &'a [Step],
    units: impl Iterator<Item = &'a Step>,
    last: &'a [Step],
) -> Last {
    let mut groups: Vec<Group<'a>> = own.iter().map(Group::of).collect();
    Group::sort(units, &mut groups);
    groups.extend(last.iter().map(Group::of));
    let (sql, params) = whole(&groups);
    if conn.is_full_for(&sql) {
        let text = "there are too many statements to prepare one more".to_owned();
        return Last::Refused(Refusal::Failed(text));
    }
    let made = match conn.prepare(&sql).await {
        Ok(made) => made,
        Err(error) if is_lost(&error) => return Last::Broken(error),
        // What a database does not know is tried in smaller pieces.
        Err(error) => return Last::Refused(Refusal::Failed(text(&error))),
    };
    let params = params.iter().map(Param::as_sql).collect::<Vec<_>>();
    let (begun, done, committed) = join3(
        conn.run("BEGIN"),
        conn.execute(&made, params.into_iter()),
        conn.run("COMMIT"),
    )
    .await;
    // Outside of a transaction the statement is one of its own, and nobody was told how it ended.
    if let Err(error) = begun {
        return Last::Doubtful(error);
    }
    match done {
        Ok(_) => {}
        Err(error) if is_lost(&error) => return Last::Doubtful(error),
        Err(error) if is_transient(&error) => return Last::Broken(error),
        Err(error) => return Last::Refused(Refusal::Failed(text(&error))),
    }
    match committed {
        Ok(()) => Last::Committed,
        Err(error) if is_aborted(&error) => Last::Broken(error),
        Err(error) => Last::Doubtful(error),
    }
}

/// One statement for all of them: each is a table of it, judged by the rows it has. The last line
/// fails when one of them has others than it must; it looks at them in their order, and so they are
/// run in it.
fn whole<'a>(groups: &[Group<'a>]) -> (String, Vec<Param<'a>>) {
    let (mut sql, mut judged, mut params) = (String::from("WITH "), String::new(), Vec::new());
    for (number, group) in groups.iter().enumerate() {
        let base = params.len();
        let (tables, statement) = group.inside();
        if !tables.is_empty() {
            renumber(&mut sql, tables, base);
            sql.push_str(", ");
        }
        let _ = write!(sql, "part{number} AS (");
        renumber(&mut sql, statement, base);
        sql.push_str(" RETURNING 1), ");
        params.extend(group.params());
        let and = if number == 0 { "" } else { " AND " };
        let _ = write!(judged, "{and}(SELECT count(*) FROM part{number})");
        match group.rows() {
            Some(rows) => {
                params.push(Param::Rows(rows));
                let _ = write!(judged, " = ${}::bigint", params.len());
            }
            None => judged.push_str(" >= 0"),
        }
    }
    // The comma of the last table.
    sql.truncate(sql.len().saturating_sub(2));
    let _ = write!(sql, " SELECT 1 / CASE WHEN {judged} THEN 1 ELSE 0 END");
    (sql, params)
}

/// Writes a statement whose parameters begin after so many others.
fn renumber(into: &mut String, statement: &str, base: usize) {
    let mut parts = statement.split('$');
    into.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(digits);
        let number: usize = number.parse().unwrap_or(0);
        let _ = write!(into, "${}{rest}", base + number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::step;

    #[test]
    fn one_statement_for_all_rows_and_one_judgement() {
        let own = [step!(
            Expect::Must("moved"),
            "UPDATE head SET n = $1",
            7_i64
        )];
        let put = |path: &str| {
            let expect = Expect::All(2, "");
            let step = step!(
                expect,
                "INSERT INTO t VALUES ($1, $2)",
                path.to_owned(),
                1_i64
            );
            step.or_many("INSERT INTO t SELECT * FROM unnest($1::text[], $2::bigint[])")
        };
        let gone = step!(Expect::Any, "DELETE FROM u WHERE a = $1", 1_i64)
            .or_many("DELETE FROM u USING unnest($1::bigint[]) AS r (a) WHERE u.a = r.a");
        let units = [put("a"), gone, put("b")];
        let mut groups: Vec<Group<'_>> = own.iter().map(Group::of).collect();
        Group::sort(units.iter(), &mut groups);
        let (sql, params) = whole(&groups);
        assert_eq!(
            sql,
            "WITH part0 AS (UPDATE head SET n = $1 RETURNING 1), \
             part1 AS (DELETE FROM u USING unnest($3::bigint[]) AS r (a) WHERE u.a = r.a \
             RETURNING 1), \
             part2 AS (INSERT INTO t SELECT * FROM unnest($4::text[], $5::bigint[]) \
             RETURNING 1) \
             SELECT 1 / CASE WHEN (SELECT count(*) FROM part0) = $2::bigint \
             AND (SELECT count(*) FROM part1) >= 0 \
             AND (SELECT count(*) FROM part2) = $6::bigint THEN 1 ELSE 0 END"
        );
        assert_eq!(params.len(), 6);
        assert!(matches!(&params[3], Param::Column(paths) if paths.len() == 2));
    }
}

//! Engines that make credentials on request, their roles, and leases of what they made. Leases that
//! have not ended have a time to be looked at; most indexes hold these alone.

use std::collections::BTreeSet;

use async_trait::async_trait;
use scaivault_core::dynamic::{Engine, Lease, LeaseState, Role};
use scaivault_core::identity::Identity;
use scaivault_core::ids::{EngineId, LeaseId, TenantId, TokenId};
use scaivault_core::ports::{
    CommitError, DynamicReads, LeaseFigures, LeaseFilter, LeaseToken, RecordKind,
};
use scaivault_core::time::Timestamp;

use super::plan::{encode, write};
use super::row::{PATHS_END, Read, count, decode, get, int, limit, time, undecodable};
use crate::conn::Params;
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;
use scaivault_store::rows::Rows;

const ENGINE: &str = "engine";
const ROLE: &str = "engine_role";
const LEASE: &str = "lease";

pub(crate) fn put_engine(rows: &Rows, row: &Engine) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::Unique(RecordKind::Engine, "name", "engine_name"),
        write(
            row.revision,
            "INSERT INTO engine (tenant, id, revision, name, doc) VALUES ($1, $2, $3, $4, $5)",
            "UPDATE engine SET revision = $3, name = $4, doc = $5
             WHERE tenant = $1 AND id = $2 AND revision = $3::bigint - 1",
        ),
        row.tenant.as_str().to_owned(),
        row.id.as_str().to_owned(),
        int(row.revision),
        row.name.clone(),
        encode(rows, row)?,
    ))
}

pub(crate) fn delete_engine(row: &Engine) -> Step {
    step!(
        Expect::One(RecordKind::Engine),
        "DELETE FROM engine WHERE tenant = $1 AND id = $2 AND revision = $3",
        row.tenant.as_str().to_owned(),
        row.id.as_str().to_owned(),
        int(row.revision),
    )
}

pub(crate) fn put_role(rows: &Rows, row: &Role) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::One(RecordKind::Role),
        write(
            row.revision,
            "INSERT INTO engine_role (tenant, engine_id, name, revision, doc)
             VALUES ($1, $2, $3, $4, $5)",
            "UPDATE engine_role SET revision = $4, doc = $5
             WHERE tenant = $1 AND engine_id = $2 AND name = $3 AND revision = $4::bigint - 1",
        ),
        row.tenant.as_str().to_owned(),
        row.engine_id.as_str().to_owned(),
        row.name.clone(),
        int(row.revision),
        encode(rows, row)?,
    ))
}

pub(crate) fn delete_role(row: &Role) -> Step {
    step!(
        Expect::One(RecordKind::Role),
        "DELETE FROM engine_role
         WHERE tenant = $1 AND engine_id = $2 AND name = $3 AND revision = $4",
        row.tenant.as_str().to_owned(),
        row.engine_id.as_str().to_owned(),
        row.name.clone(),
        int(row.revision),
    )
}

pub(crate) fn put_lease(rows: &Rows, row: &Lease) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::One(RecordKind::Lease),
        write(
            row.revision,
            "INSERT INTO lease (tenant, id, revision, engine_id, role, account, holder, token_id,
                                state, wake_at, failing_since, revoked_at, doc)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            "UPDATE lease SET revision = $3, engine_id = $4, role = $5, account = $6, holder = $7,
                              token_id = $8, state = $9, wake_at = $10, failing_since = $11,
                              revoked_at = $12, doc = $13
             WHERE tenant = $1 AND id = $2 AND revision = $3::bigint - 1",
        ),
        row.tenant.as_str().to_owned(),
        row.id.as_str().to_owned(),
        int(row.revision),
        row.engine_id.as_str().to_owned(),
        row.role.clone(),
        row.account.clone(),
        row.holder.as_str().to_owned(),
        row.token_id.as_ref().map(|id| id.as_str().to_owned()),
        row.state.as_str(),
        row.wake_at.map(Timestamp::as_micros),
        row.failing_since.map(Timestamp::as_micros),
        row.revoked_at.map(Timestamp::as_micros),
        encode(rows, row)?,
    ))
}

pub(crate) fn delete_lease(row: &Lease) -> Step {
    step!(
        Expect::One(RecordKind::Lease),
        "DELETE FROM lease WHERE tenant = $1 AND id = $2 AND revision = $3",
        row.tenant.as_str().to_owned(),
        row.id.as_str().to_owned(),
        int(row.revision),
    )
}

/// Those that ended longest ago first.
pub(crate) fn prune(before: Timestamp, most: usize) -> Step {
    step!(
        Expect::Any,
        "DELETE FROM lease WHERE (tenant, id) IN (
             SELECT tenant, id FROM lease WHERE revoked_at < $1
             ORDER BY revoked_at, tenant, id LIMIT $2)",
        before.as_micros(),
        limit(most),
    )
}

#[async_trait]
impl DynamicReads for PostgresStore {
    async fn engine_find(&self, tenant: &TenantId, id: &EngineId) -> Read<Option<Engine>> {
        let sql = "SELECT tenant, id, doc FROM engine WHERE tenant = $1 AND id = $2";
        self.doc(ENGINE, sql, &[&tenant.as_str(), &id.as_str()])
            .await
    }

    async fn engine_named(&self, tenant: &TenantId, name: &str) -> Read<Option<Engine>> {
        let sql = "SELECT tenant, id, doc FROM engine WHERE tenant = $1 AND name = $2";
        let found: Option<Engine> = self.doc(ENGINE, sql, &[&tenant.as_str(), &name]).await?;
        let says = |row: Engine| self.shared.rows.says(row, "name", |row| row.name == name);
        found.map(says).transpose()
    }

    async fn engine_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<Engine>> {
        let sql = "SELECT tenant, id, doc FROM engine WHERE tenant = $1 AND id > $2
                   ORDER BY id LIMIT $3";
        let (tenant, after) = (tenant.as_str(), after.unwrap_or_default());
        self.docs(ENGINE, sql, &[&tenant, &after, &limit(rows)])
            .await
    }

    async fn role_find(
        &self,
        tenant: &TenantId,
        engine: &EngineId,
        name: &str,
    ) -> Read<Option<Role>> {
        let sql = "SELECT tenant, engine_id || '/' || name, doc FROM engine_role
                   WHERE tenant = $1 AND engine_id = $2 AND name = $3";
        self.doc(ROLE, sql, &[&tenant.as_str(), &engine.as_str(), &name])
            .await
    }

    async fn role_list(
        &self,
        tenant: &TenantId,
        engine: &EngineId,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<Role>> {
        let sql = "SELECT tenant, engine_id || '/' || name, doc FROM engine_role
                   WHERE tenant = $1 AND engine_id = $2 AND name > $3 ORDER BY name LIMIT $4";
        let (tenant, engine) = (tenant.as_str(), engine.as_str());
        let after = after.unwrap_or_default();
        self.docs(ROLE, sql, &[&tenant, &engine, &after, &limit(rows)])
            .await
    }

    async fn lease_find(&self, tenant: &TenantId, id: &LeaseId) -> Read<Option<Lease>> {
        let sql = "SELECT tenant, id, doc FROM lease WHERE tenant = $1 AND id = $2";
        self.doc(LEASE, sql, &[&tenant.as_str(), &id.as_str()])
            .await
    }

    async fn lease_list(
        &self,
        tenant: &TenantId,
        filter: &LeaseFilter,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<Lease>> {
        // What is not asked for is not in the statement: its plan is made once, and takes the index
        // of what is.
        let given = |is: bool, narrows: &'static str, absent: &'static str| match is {
            true => narrows,
            false => absent,
        };
        let sql = format!(
            "SELECT tenant, id, doc FROM lease
             WHERE tenant = $1 AND id < $2 AND {} AND {} AND {} AND {} AND {} AND {}
             ORDER BY id DESC LIMIT $8",
            given(
                filter.engine_id.is_some(),
                "engine_id = $3",
                "$3::text IS NULL"
            ),
            given(filter.role.is_some(), "role = $4", "$4::text IS NULL"),
            given(
                !filter.states.is_empty(),
                "state = ANY($5::text[])",
                "cardinality($5::text[]) = 0"
            ),
            given(filter.is_of_unended(), "wake_at IS NOT NULL", "TRUE"),
            given(
                filter.failing,
                "$6::boolean AND failing_since IS NOT NULL",
                "NOT $6::boolean"
            ),
            given(filter.holder.is_some(), "holder = $7", "$7::text IS NULL"),
        );
        let (tenant, after) = (tenant.as_str(), after.unwrap_or(PATHS_END));
        let engine = filter.engine_id.as_ref().map(EngineId::as_str);
        let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
        let holder = filter.holder.as_ref().map(Identity::as_str);
        let role = filter.role.as_deref();
        self.docs(
            LEASE,
            &sql,
            &[
                &tenant,
                &after,
                &engine,
                &role,
                &states,
                &filter.failing,
                &holder,
                &limit(rows),
            ],
        )
        .await
    }

    async fn lease_of_accounts(
        &self,
        tenant: &TenantId,
        engine: &EngineId,
        accounts: &[String],
    ) -> Read<Vec<Lease>> {
        let sql = "SELECT tenant, id, doc FROM lease
                   WHERE tenant = $1 AND engine_id = $2 AND wake_at IS NOT NULL
                     AND account = ANY($3::text[])";
        self.docs(LEASE, sql, &[&tenant.as_str(), &engine.as_str(), &accounts])
            .await
    }

    /// From engine to engine by the index, so that one with many that are due costs the others
    /// nothing.
    async fn lease_due(
        &self,
        now: Timestamp,
        busy: &[EngineId],
        of_each: usize,
        most: usize,
    ) -> Read<Vec<Lease>> {
        let sql = "WITH RECURSIVE due_engine AS (
                       (SELECT engine_id FROM lease WHERE wake_at IS NOT NULL
                        ORDER BY engine_id LIMIT 1)
                       UNION ALL
                       SELECT (SELECT l.engine_id FROM lease l
                               WHERE l.wake_at IS NOT NULL AND l.engine_id > e.engine_id
                               ORDER BY l.engine_id LIMIT 1)
                       FROM due_engine e WHERE e.engine_id IS NOT NULL)
                   SELECT l.tenant, l.id, l.doc, e.engine_id FROM due_engine e,
                   LATERAL (SELECT tenant, id, doc, wake_at FROM lease
                            WHERE engine_id = e.engine_id AND wake_at <= $1
                            ORDER BY wake_at, tenant, id LIMIT $3) l
                   WHERE e.engine_id IS NOT NULL AND NOT e.engine_id = ANY($2::text[])
                   ORDER BY l.wake_at, l.tenant, l.id LIMIT $4";
        let of_engine = "SELECT tenant, id, doc FROM lease
                         WHERE engine_id = $1 AND wake_at <= $2
                         ORDER BY wake_at, tenant, id LIMIT $3 OFFSET $4";
        let mut left_out: Vec<String> = busy.iter().map(|id| id.as_str().to_owned()).collect();
        let mut found: Vec<Lease> = Vec::new();
        loop {
            let params: Params<'_> = &[&now.as_micros(), &left_out, &limit(of_each), &limit(most)];
            let rows = self.rows(sql, params).await?;
            let (mut readable, mut refused) = (Vec::new(), BTreeSet::new());
            for row in &rows {
                match decode(&self.shared.rows, LEASE, row, 0) {
                    Ok(lease) => readable.push(lease),
                    Err(_) => drop(refused.insert(get::<String>(row, 3)?)),
                }
            }
            if refused.is_empty() {
                found.append(&mut readable);
                break;
            }
            // Leases that are refused take nobody's place: neither of their engine's, nor of others'.
            for engine in refused {
                let params: Params<'_> = &[&engine, &now.as_micros()];
                let readable = self.readable_docs(LEASE, of_engine, params, of_each);
                found.append(&mut readable.await?);
                left_out.push(engine);
            }
        }
        found.sort_by(|a, b| (a.wake_at, &a.tenant, &a.id).cmp(&(b.wake_at, &b.tenant, &b.id)));
        found.truncate(most);
        Ok(found)
    }

    async fn lease_count(&self, tenant: &TenantId, engine: &EngineId) -> Read<u64> {
        let sql = "SELECT count(*) FROM lease
                   WHERE tenant = $1 AND engine_id = $2 AND wake_at IS NOT NULL";
        let rows = self
            .rows(sql, &[&tenant.as_str(), &engine.as_str()])
            .await?;
        rows.first().map_or(Ok(0), |row| count(row, 0))
    }

    async fn lease_prunable(&self, before: Timestamp, most: usize) -> Read<usize> {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM lease WHERE revoked_at < $1 LIMIT $2) ended";
        let rows = self.rows(sql, &[&before.as_micros(), &limit(most)]).await?;
        let counted = rows.first().map_or(Ok(0), |row| count(row, 0))?;
        Ok(usize::try_from(counted).unwrap_or(most))
    }

    async fn lease_tokens(
        &self,
        after: Option<(&str, &str)>,
        rows: usize,
    ) -> Read<Vec<LeaseToken>> {
        // From one to the next by the index, however many leases each has.
        let sql = "WITH RECURSIVE held AS (
                       (SELECT tenant, token_id FROM lease
                        WHERE wake_at IS NOT NULL AND token_id IS NOT NULL
                          AND (tenant, token_id) > ($1, $2)
                        ORDER BY tenant, token_id LIMIT 1)
                       UNION ALL
                       SELECT n.tenant, n.token_id FROM held h,
                       LATERAL (SELECT l.tenant, l.token_id FROM lease l
                                WHERE l.wake_at IS NOT NULL AND l.token_id IS NOT NULL
                                  AND (l.tenant, l.token_id) > (h.tenant, h.token_id)
                                ORDER BY l.tenant, l.token_id LIMIT 1) n)
                   SELECT h.tenant, h.token_id, t.tenant, t.id, t.doc
                   FROM (SELECT tenant, token_id FROM held LIMIT $3) h
                   LEFT JOIN token t ON t.tenant = h.tenant AND t.id = h.token_id
                   ORDER BY h.tenant, h.token_id";
        let (tenant, token) = after.unwrap_or_default();
        let found = self.rows(sql, &[&tenant, &token, &limit(rows)]).await?;
        let read = |row: &tokio_postgres::Row| {
            let tenant = TenantId::parse(get::<&str>(row, 0)?);
            let id = TokenId::parse(get::<&str>(row, 1)?);
            let (Ok(tenant), Ok(id)) = (tenant, id) else {
                return Err(undecodable(LEASE, "token_id", row, 0));
            };
            let token = match get::<Option<&str>>(row, 2)? {
                Some(_) => Some(decode(&self.shared.rows, "token", row, 2)?),
                None => None,
            };
            Ok(LeaseToken { tenant, id, token })
        };
        found.iter().map(read).collect()
    }

    async fn lease_of_token(
        &self,
        tenant: &TenantId,
        token: &TokenId,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<Lease>> {
        let sql = "SELECT tenant, id, doc FROM lease
                   WHERE tenant = $1 AND token_id = $2 AND wake_at IS NOT NULL AND id > $3
                   ORDER BY id LIMIT $4";
        let (tenant, token) = (tenant.as_str(), token.as_str());
        let after = after.unwrap_or_default();
        self.docs(LEASE, sql, &[&tenant, &token, &after, &limit(rows)])
            .await
    }

    async fn lease_figures(&self) -> Read<LeaseFigures> {
        let sql = "SELECT state, count(*), count(failing_since), min(failing_since) FROM lease
                   WHERE wake_at IS NOT NULL GROUP BY state ORDER BY state";
        let mut figures = LeaseFigures::default();
        for row in self.rows(sql, &[]).await? {
            let counted = count(&row, 1)?;
            if let Some(state) = LeaseState::parse(get::<&str>(&row, 0)?) {
                figures.by_state.push((state, counted));
            }
            figures.failing += count(&row, 2)?;
            let since = time(&row, 3)?;
            figures.failing_since = figures.failing_since.into_iter().chain(since).min();
        }
        Ok(figures)
    }
}

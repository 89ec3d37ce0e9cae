//! Who administers engines by a policy: connections, roles and leases of HashiCorp Vault's API have
//! places among our paths, by which policies decide. And which engines stand for a mount's connections.

use scaivault_core::access::Permission;
use scaivault_core::acl::escape;
use scaivault_core::audit::Action;
use scaivault_core::dynamic::{Engine, Lease, LeaseState, Role};
use scaivault_core::identity::Scope;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{DynamicReads, LeaseFilter};

use crate::access::decided;
use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::Vault;

/// Engines of one tenant.
const ENGINES_MAX: usize = 10_000;
/// Names in one list.
const NAMES_MAX: usize = 10_000;

impl Vault {
    /// The caller, for what follows from administering what `place` stands for: with the rights to do
    /// it where a policy gives it this permission there, as it is where its scopes do.
    ///
    /// # Errors
    /// [`VaultError::Denied`] or [`VaultError::Scope`] when neither does.
    pub async fn dynamic_manager(
        &self,
        caller: &Caller,
        permission: Permission,
        place: &SecretPath,
        action: Action,
    ) -> Result<Caller, VaultError> {
        let scopes = &caller.principal.scopes;
        if scopes.contains(own_scope(permission)) {
            let by_policy = scopes.contains(Scope::DynamicGenerate)
                && self
                    .decision(caller, permission, place, self.now())
                    .await?
                    .is_ok();
            if !by_policy {
                return Ok(caller.clone());
            }
        }
        let scope = Scope::DynamicGenerate;
        self.authorize(caller, scope, permission, place, action)
            .await?;
        Ok(caller.raised())
    }

    /// Those of these names, as that API has them, whose places in a folder the caller may see.
    ///
    /// # Errors
    /// [`VaultError::Scope`] with neither `dynamic:read` nor `dynamic:generate`.
    pub async fn dynamic_seen(
        &self,
        caller: &Caller,
        folder: &str,
        mut names: Vec<String>,
    ) -> Result<Vec<String>, VaultError> {
        if caller.principal.scopes.contains(Scope::DynamicRead) {
            self.require_list(caller, Scope::DynamicRead).await?;
            return Ok(names);
        }
        self.require_list(caller, Scope::DynamicGenerate).await?;
        let (grants, now) = (self.grants_for(caller).await?, self.now());
        names.retain(|name| {
            let name = escape(name.trim_end_matches('/'), true);
            let place = SecretPath::parse(&format!("{folder}/{name}"));
            place.is_ok_and(|place| decided(caller, &grants, Permission::List, &place, now).is_ok())
        });
        Ok(names)
    }

    /// The engines whose names begin so, by name: which connections a mount has, which is what paths
    /// mean there. What is done with one is decided then.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn engines_beginning(
        &self,
        caller: &Caller,
        begin: &str,
    ) -> Result<Vec<Engine>, VaultError> {
        let (store, tenant) = (&*self.store, caller.tenant());
        let mut all = DynamicReads::engine_list(store, tenant, None, ENGINES_MAX).await?;
        all.retain(|engine| engine.name.starts_with(begin));
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    /// The roles of an engine, by name: what there is to be shown to those who may see it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn roles_of_engine(&self, engine: &Engine) -> Result<Vec<Role>, VaultError> {
        let (store, tenant) = (&*self.store, &engine.tenant);
        Ok(DynamicReads::role_list(store, tenant, &engine.id, None, NAMES_MAX).await?)
    }

    /// The leases of an engine, or of one of its roles, that have not ended: the same.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn leases_of_engine(
        &self,
        engine: &Engine,
        role: Option<&str>,
    ) -> Result<Vec<Lease>, VaultError> {
        let filter = LeaseFilter {
            engine_id: Some(engine.id.clone()),
            role: role.map(ToOwned::to_owned),
            states: vec![LeaseState::Active],
            ..LeaseFilter::default()
        };
        let (store, tenant) = (&*self.store, &engine.tenant);
        Ok(DynamicReads::lease_list(store, tenant, &filter, None, NAMES_MAX).await?)
    }

    /// The engines among these that have a role of this name, the one whose role was written last
    /// first: there are two only while a role moves from one to another.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn engines_with_role(
        &self,
        engines: Vec<Engine>,
        role: &str,
    ) -> Result<Vec<(Engine, Role)>, VaultError> {
        let mut found = Vec::new();
        for engine in engines {
            let (store, tenant) = (&*self.store, &engine.tenant);
            let role = DynamicReads::role_find(store, tenant, &engine.id, role).await?;
            found.extend(role.map(|role| (engine, role)));
        }
        found.sort_by_key(|(_, role)| std::cmp::Reverse(role.updated_at));
        Ok(found)
    }
}

/// The scope that administers engines wherever they are.
fn own_scope(permission: Permission) -> Scope {
    match permission {
        Permission::Read | Permission::List => Scope::DynamicRead,
        _ => Scope::DynamicManage,
    }
}

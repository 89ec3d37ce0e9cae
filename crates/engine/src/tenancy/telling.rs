//! What happens to a partner's own secrets is told in every tenant that may read them.

use scaivault_core::event::Event;
use scaivault_core::ids::{EventId, TenantId};
use scaivault_core::ports::{Op, Unit};
use scaivault_core::tenancy::partner_of_space;

use crate::error::VaultError;
use crate::vault::Vault;

impl Vault {
    /// The unit with its events told in each tenant of the partner that is served, where `owner`
    /// is a partner's space; as it is otherwise. Their `data` says which partner's secret it is:
    /// a tenant may have one of its own at the same path.
    pub(crate) async fn told_to_tenants(
        &self,
        owner: &TenantId,
        mut unit: Unit,
    ) -> Result<Unit, VaultError> {
        let Some(partner) = partner_of_space(owner) else {
            return Ok(unit);
        };
        let tenants = self.tenants_served(&partner).await?;
        let ops = std::mem::take(&mut unit.ops);
        for op in ops {
            let Op::Emit(mut event) = op else {
                unit = unit.op(op);
                continue;
            };
            event.data["partner_id"] = partner.as_str().into();
            for tenant in &tenants {
                let id = EventId::mint(event.at, &*self.entropy);
                unit = unit.emit(Event {
                    id,
                    tenant: tenant.id.clone(),
                    ..event.clone()
                });
            }
        }
        Ok(unit)
    }
}

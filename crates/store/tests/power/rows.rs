//! The rows of one client of the run, and what it does to them.

use scaivault_core::ids::TenantId;
use scaivault_core::ports::{Op, Record, Unit, UnitName};
use scaivault_core::seal::Sealed;
use scaivault_core::secret::{SealedVersion, SecretHead, VersionState};
use scaivault_testkit::SeededEntropy;
use scaivault_testkit::store_conformance::samples::{
    T0, at, binding, delivery, event, policy, read, sealed, secret, subscription, tenant, token,
    webhook,
};

/// The rows of one client, as far as its units are about them.
pub(crate) struct Rows {
    name: String,
    owner: TenantId,
    made: usize,
    secrets: Vec<SecretHead>,
}

impl Rows {
    pub(crate) fn new(name: String, client: usize) -> Self {
        Self {
            name,
            owner: tenant(["a", "b"][client % 2]),
            made: 0,
            secrets: Vec::new(),
        }
    }

    /// The next unit, and whether it is refused.
    pub(crate) fn next(&mut self, entropy: &SeededEntropy) -> (Unit, bool) {
        self.made += 1;
        let id = format!("{}n{}", self.name, self.made);
        if self.secrets.is_empty() {
            return (self.write_first(&id, entropy), false);
        }
        let unit = match entropy.below(12) {
            0..2 => self.write_first(&id, entropy),
            2..6 => self.write_next(&id, entropy),
            6 => self.read(),
            7 => self.erase_or_delete(entropy),
            8 => self.grant(&id),
            9 => self.receive(&id),
            10 => self.version_delete(),
            _ => return (self.late(&id), true),
        };
        (unit, false)
    }

    /// A value, now and then of several pages; no two alike.
    fn value(&self, path: &str, number: u64, entropy: &SeededEntropy) -> SealedVersion {
        let len = [40, 700, 3_000, 5_000, 13_000][usize::try_from(entropy.below(5)).unwrap()];
        let mut row = sealed(&self.owner, path, number);
        row.sealed = Sealed(
            (0..len)
                .map(|_| entropy.next_u64().to_le_bytes()[0])
                .collect(),
        );
        row
    }

    fn write_first(&mut self, id: &str, entropy: &SeededEntropy) -> Unit {
        let path = format!("app/{id}");
        let head = secret(&self.owner, &path);
        self.secrets.push(head.clone());
        Unit::new(UnitName::SecretWrite)
            .put(Record::Secret(head))
            .op(Op::VersionInsert(self.value(&path, 1, entropy)))
            .emit(event(&self.owner, id, Some(&path)))
    }

    fn write_next(&mut self, id: &str, entropy: &SeededEntropy) -> Unit {
        let head = self.secrets.last_mut().expect("there is one");
        let path = head.path.clone();
        let mut before = sealed(&self.owner, path.as_str(), head.latest_version).version;
        before.state = VersionState::Superseded;
        before.revision = 2;
        head.revision += 1;
        head.latest_version += 1;
        head.current_version = head.latest_version;
        let head = head.clone();
        Unit::new(UnitName::SecretWrite)
            .put(Record::Version(before))
            .op(Op::VersionInsert(self.value(
                path.as_str(),
                head.latest_version,
                entropy,
            )))
            .put(Record::Secret(head))
            .emit(event(&self.owner, id, Some(path.as_str())))
    }

    /// A read of a value: its audit row, and its line in the ledger.
    fn read(&self) -> Unit {
        let head = self.secrets.last().expect("there is one");
        let mut unit = Unit::new(UnitName::AuditOnly);
        let of = head.path.as_str();
        let version = head.current_version;
        unit.reads
            .push(read(&self.owner, of, version, "sa:reader", 30));
        unit
    }

    fn erase_or_delete(&mut self, entropy: &SeededEntropy) -> Unit {
        if entropy.below(2) == 0 {
            let head = self.secrets.pop().expect("there is one");
            return Unit::new(UnitName::SecretPurge).op(Op::SecretErase(head));
        }
        let head = self.secrets.last_mut().expect("there is one");
        head.revision += 1;
        head.recoverable_until = Some(at(86_400));
        Unit::new(UnitName::SecretDelete).put(Record::Secret(head.clone()))
    }

    fn grant(&self, id: &str) -> Unit {
        let granted = policy(&self.owner, id);
        let bound = binding(&granted, id, "sa:ci");
        Unit::new(UnitName::PolicyWrite)
            .put(Record::Policy(granted))
            .put(Record::Binding(bound))
            .put(Record::Token(token(&self.owner, id)))
    }

    fn receive(&self, id: &str) -> Unit {
        let mut hook = webhook(&self.owner, id);
        hook.name = format!("hook {id}");
        let mut feed = subscription(&self.owner, id);
        feed.name = format!("feed {id}");
        Unit::new(UnitName::SubscriptionWrite)
            .put(Record::Webhook(hook))
            .put(Record::Subscription(feed))
            .put(Record::Delivery(delivery(
                &self.owner,
                id,
                &format!("wh_{id}"),
                1,
                Some(T0),
            )))
    }

    /// The value of the newest version goes.
    fn version_delete(&mut self) -> Unit {
        let head = self.secrets.pop().expect("there is one");
        Unit::new(UnitName::SecretDelete).op(Op::VersionDelete {
            tenant: self.owner.clone(),
            path: head.path,
            version: head.latest_version,
        })
    }

    /// Writes much, then a row whose number it does not know: nothing of it may be there.
    fn late(&self, id: &str) -> Unit {
        let mut head = self.secrets.last().expect("there is one").clone();
        head.revision += 7;
        Unit::new(UnitName::SecretMetadata)
            .put(Record::Token(token(&self.owner, id)))
            .emit(event(&self.owner, id, Some("app/refused")))
            .put(Record::Secret(head))
    }
}

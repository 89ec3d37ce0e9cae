//! What every storage engine must do, as tests written against `core`'s ports alone.
//!
//! An engine passes by one call, with an async function that opens an empty store whose audit
//! chain is started:
//!
//! ```text
//! async fn open() -> std::sync::Arc<dyn scaivault_core::ports::Store> { … }
//! scaivault_testkit::store_conformance!(open);
//! ```
//!
//! That makes one `#[test]` per case. A new case is an async function in the file of its subject
//! and its name in the list below.

pub mod altered;
pub mod atomicity;
pub mod audit;
pub mod claims;
pub mod concurrency;
pub mod deliveries;
pub mod dynamic;
pub mod events;
pub mod grants;
pub mod isolation;
pub mod ledger;
pub mod lists;
mod pages;
pub mod probes;
pub mod revisions;
pub mod samples;
pub mod secret_lists;
pub mod secrets;
pub mod tenancy;

use std::future::Future;
use std::sync::Arc;

use scaivault_core::ports::{Committed, Op, Record, Store, Unit, UnitName};

/// The store a case works on.
pub type Subject = Arc<dyn Store>;

/// Runs one case on a store of its own.
///
/// # Panics
/// When the case fails.
pub fn run<O, C>(open: O, case: impl FnOnce(Subject) -> C)
where
    O: Future<Output = Subject>,
    C: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async { case(open.await).await });
}

/// Commits these ops and expects it to work.
pub(crate) async fn commit(store: &Subject, ops: impl IntoIterator<Item = Op>) -> Committed {
    let mut unit = Unit::new(UnitName::SecretWrite);
    unit.ops.extend(ops);
    store.commit(unit).await.expect("the unit is applied")
}

/// Puts these records and expects it to work.
pub(crate) async fn put(store: &Subject, records: impl IntoIterator<Item = Record>) {
    commit(store, records.into_iter().map(Op::Put)).await;
}

/// Makes one test per case.
#[macro_export]
macro_rules! store_conformance {
    ($open:path) => {
        $crate::store_conformance_cases! { $open;
            revisions: secret_revisions version_revisions policy_revisions binding_revisions
                token_revisions rotation_policy_revisions assignment_revisions rotation_revisions
                target_revisions machine_revisions secret_policy_revisions partner_and_tenant_revisions engine_role_and_lease_revisions group_turn_revisions campaign_revisions audit_export_revisions audit_forward_revisions mount_revisions transit_revisions debt_revisions
                webhook_revisions subscription_revisions delivery_revisions key_revisions
                versions_are_inserted_once names_and_hashes_are_unique
                a_name_is_free_again_after_its_owner_is_gone;
            atomicity: marks_are_kept a_conflict_at_the_end_leaves_nothing a_duplicate_at_the_end_leaves_nothing
                a_failed_unit_does_not_touch_its_neighbours ops_see_the_ops_before_them
                an_empty_unit_is_applied;
            secrets: the_version_asked_for_is_opened values_survive_state_changes
                versions_are_listed_newest_first removing_an_absent_version_succeeds
                erasing_removes_all_but_the_sequence erasing_needs_the_right_revision
                deleted_secrets_become_purgeable ends_are_due_to_be_told secrets_are_counted_per_tenant;
            secret_lists: secrets_by_path secrets_by_prefix secrets_by_tag secrets_by_type
                secrets_by_end secrets_without_deleted secrets_by_everything;
            lists: policies_by_id bindings_by_id tokens_by_id tokens_by_hash tokens_by_parent_and_when_they_are_due
                machine_roles_and_secret_ids rotation_policies_by_id
                assignments_by_path assignments_due_soonest_first rotations_newest_first
                rotations_by_filter rotations_and_attachments_by_target_and_group
                targets_by_id_and_name targets_by_their_managers_secret
                secret_policies_by_id_and_name who_uses_a_secret_policy
                mounts_by_path_and_what_tokens_keep transit_keys_by_name_and_due audit_exports_by_id_and_due campaigns_and_debts_by_id_and_due debts_of_a_secret_and_at_a_target
                webhooks_and_subscriptions_by_id keys_by_id
                records_come_back_as_they_were;
            grants: grants_reach_by_identity_and_group inactive_and_ended_are_handed_out
                a_grant_ends_with_its_binding_or_policy;
            isolation: nothing_of_another_tenant_is_found writes_do_not_cross_tenants;
            claims: due_assignments_are_claimed_longest_overdue_first
                due_rotations_are_claimed_longest_overdue_first
                a_claim_holds_until_it_lapses a_stale_worker_conflicts
                targets_are_served_one_rotation_at_a_time one_rotation_is_claimed_if_free_and_due waking_frees_and_fences
                the_next_work_is_known claims_race_without_overlap;
            tenancy: partners_by_id tenants_by_id slugs_are_unique
                suspended_tenants_are_left_alone
                what_a_suspended_partner_owns_is_left_alone;
            dynamic: engines_and_roles_by_name leases_by_filter leases_are_due_engine_by_engine
                leases_of_accounts_and_tokens ended_leases_are_pruned_oldest_first
                leases_are_counted;
            probes: looks_are_claimed_one_per_target what_has_not_ended_is_counted;
            deliveries: each_receiver_gets_its_oldest_due_delivery busy_receivers_are_passed_over
                a_receiver_with_a_held_delivery_is_passed_over a_retry_does_not_hold_back_newer_ones
                no_receiver_starves polling_deliveries_are_never_claimed
                an_attempted_delivery_comes_again_when_due done_deliveries_leave_the_queue
                deliveries_are_listed_newest_first deliveries_are_counted
                unacked_events_come_oldest_first buffers_are_trimmed_and_counted
                a_dead_receiver_costs_the_others_nothing ended_deliveries_are_found_oldest_first
                the_first_of_a_lane_is_found;
            events: sequences_have_no_gap sequences_survive_failed_units
                events_without_path_have_no_sequence positions_increase
                the_mark_moves_by_compare_and_swap pruning_spares_pending_and_new
                nothing_is_kept_for_a_subscription_that_is_gone
                pruning_takes_deliveries_along deliveries_of_tests_are_pruned;
            ledger: first_reads_are_stored_at_once later_reads_follow_by_resolution
                later_reads_of_a_settled_version_follow_more_rarely
                times_never_go_back reads_of_failed_units_are_not_kept
                an_erased_secret_begins_a_new_ledger the_ledger_is_ordered
                what_consumers_say_is_kept what_one_identity_read_is_found;
            audit: rows_come_newest_first pages_join_without_gap_or_overlap
                every_filter_narrows secrets_and_identities_have_trails rows_come_back_as_they_were
                summaries_count an_empty_chain_verifies the_chain_verifies_as_it_grows
                old_rows_go_from_the_front only_exported_rows_go;
            concurrency: concurrent_increments_are_all_counted
                concurrent_creates_have_one_winner the_chain_survives_concurrency;
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_cases {
    ($open:path; $($subject:ident: $($case:ident)*;)*) => {$($(
        #[test]
        fn $case() {
            $crate::store_conformance::run($open(), $crate::store_conformance::$subject::$case);
        }
    )*)*};
}

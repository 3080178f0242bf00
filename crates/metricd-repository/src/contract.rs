//! The contract suite: one function for each guarantee of [`MetricRepository`](crate::MetricRepository).
//!
//! Each function is named after its guarantee, takes an empty store, and panics if the store violates it.
//! [`repository_contract!`](crate::repository_contract) makes a test of each function.

mod builders;
mod definitions;
mod edits;
mod ingestions;
mod metrics;
mod tables;

pub use builders::{TestIngestion, TestTable, dashboard, equal_rows, layout_entry, metric, query, report};
pub use definitions::*;
pub use edits::*;
pub use ingestions::*;
pub use metrics::*;
pub use tables::*;

/// Makes a test of each guarantee in the contract suite.
///
/// `$new` is an expression whose `await` returns a pair: a guard that keeps the store alive, such as a temporary
/// folder, and an empty store as an `Arc<dyn MetricRepository>`.
#[macro_export]
macro_rules! repository_contract {
    ($new:expr) => {
        $crate::repository_contract! { @each $new,
            absent_ids_are_not_found,
            a_stored_metric_is_returned_with_its_query,
            metrics_are_listed_by_id,
            queries_are_listed_by_id,
            a_changed_query_gets_a_new_version_and_keeps_the_old_one,
            an_unchanged_definition_changes_nothing,
            an_ingestion_deletes_nothing,
            a_metric_without_its_query_fails_the_ingestion,
            a_dashboard_accumulates_items_and_layouts,
            a_layout_entry_without_its_item_fails_the_ingestion,
            many_definitions_are_stored_in_one_ingestion,
            declarations_and_contracts_are_returned_as_stored,
            a_change_of_sql_or_declarations_removes_the_contract,
            a_new_metric_gets_its_own_query,
            a_metric_id_is_unique,
            a_retried_request_gets_the_first_answer,
            a_change_makes_one_version_with_its_author,
            a_change_of_an_outdated_version_is_refused,
            one_of_several_concurrent_changes_succeeds,
            concurrent_changes_and_ingestions_do_not_deadlock,
            a_changed_metric_stops_sharing_its_query,
            a_deleted_metric_is_kept_and_can_be_restored,
            an_ingestion_keeps_display_text_and_service_state,
            an_edit_ends_when_files_write_or_repeat_it,
            only_changes_of_declared_content_are_edits,
            an_edit_during_a_validation_is_kept,
            changes_during_a_validation_cause_another_one,
            an_ingestion_fails_after_too_many_validations,
            a_contract_belongs_to_the_validated_definition,
            a_purge_removes_what_was_deleted_before_an_instant,
            definitions_are_searched_and_filtered,
            dashboards_are_listed_with_their_sizes,
            the_existing_state_covers_the_referenced_ids,
            a_report_is_returned_as_stored,
            a_refused_ingestion_stores_only_its_report,
            a_rolled_back_ingestion_stores_nothing,
            an_unreadable_input_stores_nothing,
            concurrent_ingestions_run_one_after_another,
            a_new_table_is_created_and_loaded,
            a_table_needs_no_content,
            files_replace_the_rows_of_a_table,
            files_append_rows_to_a_table,
            a_content_is_recorded_once,
            rows_of_a_multiset_are_stored_as_often_as_they_occur,
            rows_are_upserted_by_their_key,
            the_first_row_of_a_key_is_stored,
            a_stored_key_is_not_appended,
            files_replace_rows_by_their_key,
            several_contents_are_loaded_into_one_table,
            a_changed_table_keeps_its_rows,
            a_table_whose_stored_rows_break_its_rules_is_refused,
            a_check_that_stored_rows_break_is_refused_with_an_example,
            replaced_rows_do_not_keep_a_table_from_changing,
            a_deleted_table_keeps_its_versions,
            a_table_that_a_metric_reads_is_not_deleted,
            the_existing_state_has_the_readers_of_tables,
            tables_are_listed_with_the_metrics_that_read_them,
            a_rolled_back_ingestion_creates_no_table,
        }
    };
    (@each $new:expr, $($guarantee:ident,)*) => {
        $(
            #[tokio::test]
            async fn $guarantee() {
                let (_guard, repository) = $new.await;
                $crate::contract::$guarantee(repository).await;
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    #[test]
    fn every_guarantee_is_listed() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut guarantees = BTreeSet::new();
        for entry in fs::read_dir(source.join("contract")).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let functions = text.lines().filter_map(|line| line.strip_prefix("pub async fn "));
            guarantees.extend(functions.filter_map(|function| Some(function.split_once('(')?.0.to_owned())));
        }
        let text = include_str!("contract.rs");
        let (_, list) = text.split_once("{ @each $new,\n").unwrap();
        let (list, _) = list.split_once('}').unwrap();
        let listed: BTreeSet<_> =
            list.lines().filter_map(|line| Some(line.trim().strip_suffix(',')?.to_owned())).collect();
        assert!(listed.len() > 30, "the list was not found: {listed:?}");
        let missing: Vec<_> = guarantees.difference(&listed).collect();
        assert!(missing.is_empty(), "add to `repository_contract!`: {missing:?}");
    }
}

//! The promises of [`MetricRepository`](crate::MetricRepository), one function each, for the tests of every store.
//!
//! Each function is named after its promise, takes an empty store, and panics if the store breaks the promise.
//! [`repository_contract!`](crate::repository_contract) makes a test of each function.

mod builders;
mod definitions;
mod edits;
mod ingestions;
mod metrics;
mod records;

pub use builders::{TestIngestion, dashboard, date, layout_entry, metric, query, record, report};
pub use definitions::*;
pub use edits::*;
pub use ingestions::*;
pub use metrics::*;
pub use records::*;

/// Makes a test of every promise that is listed here; a unit test fails if one is missing. `$new` is an expression that, awaited, gives a pair: whatever keeps the store alive,
/// such as a temporary folder, and an empty store as an `Arc<dyn MetricRepository>`.
#[macro_export]
macro_rules! repository_contract {
    ($new:expr) => {
        $crate::repository_contract! { @each $new,
            what_is_not_stored_is_not_found,
            a_stored_metric_comes_back_with_its_query,
            metrics_are_listed_in_the_order_of_their_ids,
            queries_are_listed_in_the_order_of_their_ids,
            a_changed_query_becomes_a_new_version_and_the_old_one_stays,
            an_unchanged_definition_changes_nothing,
            what_an_ingestion_does_not_mention_stays,
            a_metric_without_its_query_is_refused_whole,
            a_dashboard_gathers_items_and_layouts,
            a_layout_entry_without_its_item_is_refused_whole,
            many_definitions_are_stored_at_once,
            declarations_and_contracts_come_back,
            a_contract_ends_with_what_it_is_about,
            a_new_metric_comes_back_with_a_query_of_its_own,
            an_id_is_given_once,
            the_same_request_again_is_answered_and_not_done_again,
            a_change_makes_one_version_and_is_remembered_with_its_author,
            a_change_of_another_version_is_refused,
            of_changes_at_once_one_is_made,
            changes_and_ingestions_at_once_are_all_made,
            a_metric_gets_a_query_of_its_own_where_others_read_it,
            a_deleted_metric_stays_and_comes_back,
            an_ingestion_keeps_what_a_metric_was_given,
            an_edit_is_known_until_files_write_or_repeat_it,
            only_what_files_declare_is_edited,
            an_edit_stays_that_is_made_while_an_ingestion_is_validated,
            what_is_changed_while_an_ingestion_is_validated_is_validated_again,
            an_ingestion_that_is_outrun_each_time_leaves_nothing,
            a_contract_is_of_what_was_validated,
            what_was_deleted_long_ago_is_purged,
            definitions_are_searched_and_filtered,
            dashboards_are_listed_with_their_sizes,
            the_store_says_what_it_knows_of_mentioned_ids,
            a_report_comes_back_as_it_was,
            a_kept_report_keeps_nothing_else,
            a_discarded_ingestion_leaves_nothing,
            input_that_breaks_off_leaves_nothing,
            ingestions_at_once_do_not_mix,
            the_same_records_again_are_unchanged,
            records_that_agree_are_kept_as_often_as_they_are_brought,
            records_without_a_query_are_counted,
            every_column_of_a_record_tells_records_apart,
        }
    };
    (@each $new:expr, $($promise:ident,)*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let (_guard, repository) = $new.await;
                $crate::contract::$promise(repository).await;
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
    fn every_promise_is_listed() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut promises = BTreeSet::new();
        for entry in fs::read_dir(source.join("contract")).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let functions = text.lines().filter_map(|line| line.strip_prefix("pub async fn "));
            promises.extend(functions.filter_map(|function| Some(function.split_once('(')?.0.to_owned())));
        }
        let text = include_str!("contract.rs");
        let (_, list) = text.split_once("{ @each $new,\n").unwrap();
        let (list, _) = list.split_once('}').unwrap();
        let listed: BTreeSet<_> =
            list.lines().filter_map(|line| Some(line.trim().strip_suffix(',')?.to_owned())).collect();
        assert!(listed.len() > 30, "the list was not found: {listed:?}");
        let missing: Vec<_> = promises.difference(&listed).collect();
        assert!(missing.is_empty(), "add to `repository_contract!`: {missing:?}");
    }
}

//! Guarantees about records.

use std::collections::BTreeMap;
use std::sync::Arc;

use metricd_domain::{Decimal, Label, QueryId, Record};

use super::builders::{TestIngestion, date, query, record};
use crate::{ChangeCounts, Changes, Definitions, MetricRepository};

type Repository = Arc<dyn MetricRepository>;

async fn store(repository: &Repository, records: Vec<Record>) -> Changes {
    let definitions = Definitions { queries: vec![query("q1", "SELECT 1")], ..Definitions::default() };
    let (ingestion, observed) = TestIngestion::committing(definitions, records);
    repository.ingest(Box::new(ingestion)).await.unwrap();
    observed.recv().unwrap().1
}

fn counts(added: u64, unchanged: u64) -> ChangeCounts {
    ChangeCounts { added, changed: 0, unchanged }
}

/// Storing the same records again changes nothing. If there are additional records, only those are added.
pub async fn repeated_records_are_unchanged(repository: Repository) {
    let day = |day| Record { date: date(2025, 6, day), ..record("q1") };
    assert_eq!(store(&repository, vec![day(1), day(2)]).await.records, counts(2, 0));
    assert_eq!(store(&repository, vec![day(1), day(2)]).await.records, counts(0, 2));
    assert_eq!(store(&repository, vec![day(2), day(3)]).await.records, counts(1, 1));
    assert_eq!(store(&repository, Vec::new()).await.records, counts(0, 0));
}

/// Records are a multiset: of each record, as many are added as the store lacks to reach the number in the ingestion.
pub async fn equal_records_are_stored_as_often_as_they_occur(repository: Repository) {
    assert_eq!(store(&repository, vec![record("q1"); 2]).await.records, counts(2, 0));
    assert_eq!(store(&repository, vec![record("q1"); 3]).await.records, counts(1, 2));
    assert_eq!(store(&repository, vec![record("q1")]).await.records, counts(0, 1));
}

/// Records whose query is not stored are stored, and counted by the id of that query.
pub async fn records_without_a_query_are_counted(repository: Repository) {
    let changes = store(&repository, vec![record("q1"), record("q8"), record("q9"), record("q9")]).await;
    assert_eq!(changes.records, counts(4, 0));
    let id = |id: &str| QueryId::parse(id).unwrap();
    assert_eq!(changes.unread_records, BTreeMap::from([(id("q8"), 1), (id("q9"), 2)]));
}

/// Records are compared in all columns. An absent value differs from every value.
pub async fn records_differ_by_every_column(repository: Repository) {
    let base = record("q1");
    let variants = vec![
        base.clone(),
        Record { query_id: QueryId::parse("q2").unwrap(), ..base.clone() },
        Record { date: date(1, 1, 1), ..base.clone() },
        Record { date: date(9_999, 12, 31), ..base.clone() },
        Record { obsolescence: None, ..base.clone() },
        Record { obsolescence: Some(Decimal::parse(&"9".repeat(38)).unwrap()), ..base.clone() },
        Record { alert_type: None, ..base.clone() },
        Record { alert_type: Some(Label::parse(" ").unwrap()), ..base.clone() },
        // Equal as a number, but a different text.
        Record { obsolescence: Some(Decimal::parse("12.5").unwrap()), ..base.clone() },
        Record { obsolescence_val: Some(Decimal::parse("-0.0010").unwrap()), ..base.clone() },
        Record { parts_flagged: None, ..base.clone() },
        Record { parts_flagged: Some(i64::MIN), ..base.clone() },
        Record { obsolescence_val: None, ..base.clone() },
        Record { alert_category: None, ..base.clone() },
        Record { alert_category: Some(Label::parse("\\.").unwrap()), ..base },
    ];
    let count = variants.len() as u64;
    assert_eq!(store(&repository, variants.clone()).await.records, counts(count, 0));
    assert_eq!(store(&repository, variants).await.records, counts(0, count));
}

//! Guarantees about tables and their rows.

use std::sync::Arc;

use metricd_domain::{
    Actor, ChangeAction, ChangeSource, ColumnName, ColumnType, Contract, ContractColumn, ContractParts, ContractTable,
    Load, MetricPatterns, TABLE_SCHEMA, Table, TableColumn, TableName, TableParts,
};

use super::builders::{TestIngestion, TestTable, metric, query};
use crate::{
    Changes, ContentDigest, DefinitionFilter, Definitions, ExistingState, KeyConflict, MetricChange, MetricRepository,
    RefusedRow, RepositoryError, TableChanges, TableRefusalCause,
};

type Repository = Arc<dyn MetricRepository>;

fn table_name(name: &str) -> TableName {
    TableName::parse(name).unwrap()
}

fn column(name: &str, data_type: ColumnType) -> TableColumn {
    TableColumn::new(ColumnName::parse(name).unwrap(), data_type)
}

/// The table `sales` with the columns `id` and `amount`.
fn parts(load: Load) -> TableParts {
    let columns = vec![column("id", ColumnType::Text), column("amount", ColumnType::Numeric)];
    TableParts { load, ..TableParts::new(table_name("sales"), columns) }
}

fn sales(load: Load) -> Table {
    Table::new(parts(load)).unwrap()
}

fn keyed(load: Load) -> Table {
    Table::new(TableParts { key: vec![ColumnName::parse("id").unwrap()], ..parts(load) }).unwrap()
}

async fn ingest(repository: &Repository, tables: Vec<TestTable>) -> (ExistingState, Changes) {
    let (mut ingestion, observed) = TestIngestion::committing(Definitions::default());
    ingestion.set_tables(tables);
    repository.ingest(Box::new(ingestion)).await.unwrap();
    observed.recv().unwrap()
}

/// Loads one content, and returns the changes of the table.
async fn load(repository: &Repository, table: &Table, rows: &[&str]) -> TableChanges {
    let content = TestTable::new(table.clone(), &[rows]);
    let (_, mut changes) = ingest(repository, vec![content]).await;
    changes.tables.remove(table.name()).unwrap()
}

/// The counts of added, changed, unchanged, repeated, removed and refused rows.
fn counts(changes: &TableChanges) -> [u64; 6] {
    let rows = changes.rows;
    [rows.added, rows.changed, rows.unchanged, rows.repeated, rows.removed, rows.refused]
}

async fn loaded(repository: &Repository) -> Vec<(ContentDigest, u64)> {
    let (existing, _) = ingest(repository, Vec::new()).await;
    let loads = existing.tables.get(&table_name("sales")).map(|existing| existing.loads.clone()).unwrap_or_default();
    loads.iter().map(|content| (content.digest, content.row_count)).collect()
}

/// The number of refused rows of each content that was loaded.
async fn refused_counts(repository: &Repository) -> Vec<u64> {
    let (existing, _) = ingest(repository, Vec::new()).await;
    let loads = existing.tables.get(&table_name("sales")).map(|existing| existing.loads.clone()).unwrap_or_default();
    loads.iter().map(|content| content.refused_count).collect()
}

/// A new table is created and loaded. It is listed, and the next ingestion sees it with the contents that were loaded.
pub async fn a_new_table_is_created_and_loaded(repository: Repository) {
    let table = sales(Load::Replace);
    let changes = load(&repository, &table, &["a,1.10", "b,", "\"\",-0.5", "\"a,\"\"\n\",1"]).await;
    assert!(changes.is_new && !changes.is_changed);
    assert_eq!(counts(&changes), [4, 0, 0, 0, 0, 0]);
    assert_eq!(loaded(&repository).await, [(TestTable::digest(&["a,1.10", "b,", "\"\",-0.5", "\"a,\"\"\n\",1"]), 4)]);
    let stored = repository.get_table(table.name()).await.unwrap();
    assert_eq!((&stored.table, stored.version), (&table, 1));
    assert_eq!(stored.changed_by.source, ChangeSource::Ingestion);
    assert_eq!(repository.list_tables().await.unwrap(), [stored]);
    let absent = repository.get_table(&table_name("costs")).await;
    assert!(matches!(absent, Err(RepositoryError::TableNotFound(name)) if name == table_name("costs")));
}

/// A table without contents is created empty. Declaring it again changes nothing.
pub async fn a_table_needs_no_content(repository: Repository) {
    let table = sales(Load::Append);
    let empty = || vec![TestTable::new(table.clone(), &[])];
    let (_, changes) = ingest(&repository, empty()).await;
    assert!(changes.tables[table.name()].is_new);
    let (existing, changes) = ingest(&repository, empty()).await;
    assert_eq!(existing.tables[table.name()].table, table);
    assert_eq!(changes.tables[table.name()], TableChanges::default());
    assert_eq!(repository.get_table(table.name()).await.unwrap().version, 1);
}

/// Replacing removes all rows. Only the last contents count as loaded.
pub async fn files_replace_the_rows_of_a_table(repository: Repository) {
    let table = sales(Load::Replace);
    load(&repository, &table, &["a,1", "a,1"]).await;
    let changes = load(&repository, &table, &["a,1", "b,2", "c,3"]).await;
    assert_eq!(counts(&changes), [3, 0, 0, 0, 2, 0]);
    assert_eq!(loaded(&repository).await, [(TestTable::digest(&["a,1", "b,2", "c,3"]), 3)]);
}

/// Appending keeps all rows. All contents count as loaded.
pub async fn files_append_rows_to_a_table(repository: Repository) {
    let table = sales(Load::Append);
    load(&repository, &table, &["a,1"]).await;
    assert_eq!(counts(&load(&repository, &table, &["a,1", "b,2"]).await), [2, 0, 0, 0, 0, 0]);
    let both = [(TestTable::digest(&["a,1"]), 1), (TestTable::digest(&["a,1", "b,2"]), 2)];
    assert_eq!(loaded(&repository).await, both);
}

/// Loading a content again records it once, and changes neither the table nor its author.
pub async fn a_content_is_recorded_once(repository: Repository) {
    let table = sales(Load::Multiset);
    load(&repository, &table, &["a,1"]).await;
    let stored = repository.get_table(table.name()).await.unwrap();
    assert_eq!(counts(&load(&repository, &table, &["a,1"]).await), [0, 0, 1, 0, 0, 0]);
    assert_eq!(repository.get_table(table.name()).await.unwrap(), stored);
    assert_eq!(loaded(&repository).await, [(TestTable::digest(&["a,1"]), 1)]);
}

/// Rows without a key are a multiset: of each, as many are added as the table lacks. Values are compared as texts, and
/// no value differs from every value.
pub async fn rows_of_a_multiset_are_stored_as_often_as_they_occur(repository: Repository) {
    let table = sales(Load::Multiset);
    assert_eq!(counts(&load(&repository, &table, &["a,1", "a,1", "b,"]).await), [3, 0, 0, 0, 0, 0]);
    assert_eq!(counts(&load(&repository, &table, &["a,1", "a,1", "a,1"]).await), [1, 0, 2, 0, 0, 0]);
    assert_eq!(counts(&load(&repository, &table, &["a,1", "b,", "b,"]).await), [1, 0, 2, 0, 0, 0]);
    assert_eq!(counts(&load(&repository, &table, &["a,1.0", "\"\",1", ",1"]).await), [3, 0, 0, 0, 0, 0]);
}

/// Rows with a stored key replace it; other rows stay.
pub async fn rows_are_upserted_by_their_key(repository: Repository) {
    let table = keyed(Load::Upsert);
    assert_eq!(counts(&load(&repository, &table, &["a,1", "b,2"]).await), [2, 0, 0, 0, 0, 0]);
    let changes = load(&repository, &table, &["b,2", "a,1.0", "c,3"]).await;
    assert_eq!(counts(&changes), [1, 1, 1, 0, 0, 0]);
    assert_eq!(counts(&load(&repository, &table, &["a,1.0", "b,2", "c,3"]).await), [0, 0, 3, 0, 0, 0]);
}

/// Of two rows with one key, the first is stored. The other one is refused unless it has the same values.
pub async fn the_first_row_of_a_key_is_stored(repository: Repository) {
    let table = keyed(Load::Upsert);
    let changes = load(&repository, &table, &["a,1", "a,1", "a,2", "b,", "b,3"]).await;
    assert_eq!(counts(&changes), [2, 0, 0, 1, 0, 2]);
    let refused = |position| RefusedRow { content: 0, position, conflict: KeyConflict::InContents };
    assert_eq!(changes.refused, [refused(3), refused(5)]);
    assert_eq!(refused_counts(&repository).await, [2]);
    assert_eq!(counts(&load(&repository, &table, &["a,1", "b,"]).await), [0, 0, 2, 0, 0, 0]);
}

/// Appending refuses rows whose key is stored with other values.
pub async fn a_stored_key_is_not_appended(repository: Repository) {
    let table = keyed(Load::Append);
    load(&repository, &table, &["a,1", "b,2"]).await;
    let changes = load(&repository, &table, &["c,3", "a,1", "b,3"]).await;
    assert_eq!(counts(&changes), [1, 0, 1, 0, 0, 1]);
    assert_eq!(changes.refused, [RefusedRow { content: 0, position: 3, conflict: KeyConflict::Stored }]);
}

/// Replacing by key removes the rows that the contents lack, and counts the others by what changes.
pub async fn files_replace_rows_by_their_key(repository: Repository) {
    let table = keyed(Load::Replace);
    load(&repository, &table, &["a,1", "b,2", "c,3"]).await;
    assert_eq!(counts(&load(&repository, &table, &["b,2", "c,4", "d,5"]).await), [1, 1, 1, 0, 1, 0]);
}

/// Several contents are loaded one after another. Refused rows name theirs.
pub async fn several_contents_are_loaded_into_one_table(repository: Repository) {
    let table = keyed(Load::Replace);
    let contents = TestTable::new(table.clone(), &[&["a,1", "b,2"], &["b,3", "c,4"]]);
    let (_, changes) = ingest(&repository, vec![contents]).await;
    let changes = &changes.tables[table.name()];
    assert_eq!(counts(changes), [3, 0, 0, 0, 0, 1]);
    assert_eq!(changes.refused, [RefusedRow { content: 1, position: 1, conflict: KeyConflict::InContents }]);
    let loads = [(TestTable::digest(&["a,1", "b,2"]), 2), (TestTable::digest(&["b,3", "c,4"]), 1)];
    assert_eq!(loaded(&repository).await, loads);
    assert_eq!(refused_counts(&repository).await, [0, 1]);
}

/// A table can get columns and wider types. Its rows stay, and its contents count as not loaded, unless rows are
/// appended.
pub async fn a_changed_table_keeps_its_rows(repository: Repository) {
    let table = Table::new(TableParts {
        columns: vec![column("id", ColumnType::Text), column("amount", ColumnType::Bigint)],
        ..parts(Load::Multiset)
    })
    .unwrap();
    load(&repository, &table, &["a,1"]).await;
    let mut wider = parts(Load::Multiset);
    wider.columns.push(column("day", ColumnType::Date));
    let wider = Table::new(wider).unwrap();
    let (existing, changes) = ingest(&repository, vec![TestTable::new(wider.clone(), &[])]).await;
    assert_eq!(existing.tables[table.name()].loads.len(), 1);
    let changes = &changes.tables[table.name()];
    assert!(changes.is_changed && !changes.is_new);
    assert_eq!(loaded(&repository).await, []);
    assert_eq!(counts(&load(&repository, &wider, &["a,1,", "a,1.5,2025-06-01"]).await), [1, 0, 1, 0, 0, 0]);
    let versions = repository.list_table_versions(table.name()).await.unwrap();
    let versions: Vec<_> = versions.iter().map(|version| (version.version, version.action, &version.table)).collect();
    assert_eq!(versions, [(2, ChangeAction::Changed, &wider), (1, ChangeAction::Created, &table)]);
}

/// Rows that stay stored keep a key or a required column from being declared: the store refuses the table, leaves it as it
/// is, and goes on with the others.
pub async fn a_table_whose_stored_rows_break_its_rules_is_refused(repository: Repository) {
    let table = sales(Load::Append);
    load(&repository, &table, &["a,1", "a,2", "b,"]).await;
    let required = |name: &str| {
        let mut parts = parts(Load::Append);
        parts
            .columns
            .iter_mut()
            .filter(|column| column.name.as_str() == name)
            .for_each(|column| column.required = true);
        Table::new(parts).unwrap()
    };
    for (changed, rows, cause) in [
        (keyed(Load::Append), &["c,3"][..], TableRefusalCause::KeyRepeated),
        (keyed(Load::Upsert), &[], TableRefusalCause::KeyRepeated),
        (required("amount"), &["c,3"], TableRefusalCause::ValueMissing),
    ] {
        let contents: &[&[&str]] = if rows.is_empty() { &[] } else { &[rows] };
        let costs = Table::new(TableParts { name: table_name("costs"), ..parts(Load::Append) }).unwrap();
        let tables = vec![TestTable::new(changed.clone(), contents), TestTable::new(costs, &[&["a,1"]])];
        let (mut ingestion, observed) = TestIngestion::committing(Definitions::default());
        ingestion.set_tables(tables);
        ingestion.conclude = crate::Conclusion::CommitReportOnly;
        repository.ingest(Box::new(ingestion)).await.unwrap();
        let (_, changes) = observed.recv().unwrap();
        let of_sales = &changes.tables[table.name()];
        let refusal = of_sales.refusal.as_ref().unwrap_or_else(|| panic!("{of_sales:?}"));
        assert_eq!(refusal.cause, cause, "{refusal:?}");
        let column = (cause == TableRefusalCause::ValueMissing).then_some("amount");
        assert_eq!(refusal.column.as_deref(), column, "{refusal:?}");
        assert!(!of_sales.changes_anything() && counts(of_sales) == [0; 6], "{of_sales:?}");
        assert!(changes.tables[&table_name("costs")].is_new, "the rest is tried");
        assert_eq!(repository.get_table(table.name()).await.unwrap().table, table);
    }
    assert_eq!(loaded(&repository).await.len(), 1);
}

/// Rows that stay stored keep a check from being declared: the store refuses the table with an example. A check that all
/// rows pass is stored, changed and removed. A row without a value passes.
pub async fn a_check_that_stored_rows_break_is_refused_with_an_example(repository: Repository) {
    let checked = |load, minimum: Option<&str>, one_of: &[&str]| {
        let mut parts = parts(load);
        parts.columns[1].checks.minimum = minimum.map(ToOwned::to_owned);
        parts.columns[0].checks.one_of = one_of.iter().map(|value| (*value).to_owned()).collect();
        Table::new(parts).unwrap()
    };
    let table = checked(Load::Append, Some("-1"), &[]);
    load(&repository, &table, &["a,-1.00", "b,", "it's,2"]).await;
    for (changed, rows, column, message) in [
        (checked(Load::Append, Some("-0.999"), &[]), &["c,3"][..], "amount", "at least -0.999"),
        (checked(Load::Multiset, Some("0"), &[]), &["c,3"], "amount", "at least 0"),
        (checked(Load::Append, None, &["a", "b"]), &[], "id", "one of `a`, `b`"),
    ] {
        let contents: &[&[&str]] = if rows.is_empty() { &[] } else { &[rows] };
        let (mut ingestion, observed) = TestIngestion::committing(Definitions::default());
        ingestion.set_tables(vec![TestTable::new(changed, contents)]);
        ingestion.conclude = crate::Conclusion::CommitReportOnly;
        repository.ingest(Box::new(ingestion)).await.unwrap();
        let (_, changes) = observed.recv().unwrap();
        let of_sales = &changes.tables[table.name()];
        let refusal = of_sales.refusal.as_ref().unwrap_or_else(|| panic!("{of_sales:?}"));
        assert_eq!((refusal.cause, refusal.column.as_deref()), (TableRefusalCause::CheckBroken, Some(column)));
        let value = if column == "id" { "it's" } else { "-1.00" };
        let expected = format!("a row has the value `{value}` in the column `{column}`: expected {message}");
        assert_eq!(refusal.message, expected);
        assert_eq!(repository.get_table(table.name()).await.unwrap().table, table);
    }
    let listed = checked(Load::Append, Some("-1.0"), &["a", "b", "it's", "c"]);
    assert!(load(&repository, &listed, &["c,5"]).await.is_changed);
    let unchecked = sales(Load::Append);
    assert_eq!(counts(&load(&repository, &unchecked, &["z,-7"]).await), [1, 0, 0, 0, 0, 0]);
    let replacing = checked(Load::Replace, Some("0"), &["d"]);
    assert_eq!(counts(&load(&repository, &replacing, &["d,0", "d,"]).await), [2, 0, 0, 0, 5, 0]);
    assert_eq!(repository.get_table(table.name()).await.unwrap().table, replacing);
}

/// If the contents replace all rows, a column may get any type, and the key may change: no stored row has to hold.
pub async fn replaced_rows_do_not_keep_a_table_from_changing(repository: Repository) {
    let before = Table::new(TableParts {
        columns: vec![column("id", ColumnType::Text), column("amount", ColumnType::Text)],
        ..parts(Load::Replace)
    })
    .unwrap();
    load(&repository, &before, &["a,\"1,5\"", "a,\"2,5\"", ",x"]).await;
    let changes = load(&repository, &sales(Load::Replace), &["a,1.5", "a,2.5"]).await;
    assert!(changes.is_changed);
    assert_eq!(counts(&changes), [2, 0, 0, 0, 3, 0]);
    let changes = load(&repository, &keyed(Load::Replace), &["a,1.5", "b,2.5", "b,3"]).await;
    assert_eq!(counts(&changes), [2, 0, 0, 0, 2, 1]);
    assert_eq!(repository.get_table(before.name()).await.unwrap().table, keyed(Load::Replace));
}

/// A deleted table is gone with its rows, and keeps its versions. It can be created again.
pub async fn a_deleted_table_keeps_its_versions(repository: Repository) {
    let table = sales(Load::Multiset);
    load(&repository, &table, &["a,1"]).await;
    let actor = Actor { subject: Some("ada".to_owned()), ..Actor::by(ChangeSource::Http) };
    repository.delete_table(table.name(), actor.clone()).await.unwrap();
    assert!(matches!(repository.get_table(table.name()).await, Err(RepositoryError::TableNotFound(_))));
    let again = repository.delete_table(table.name(), actor.clone()).await;
    assert!(matches!(again, Err(RepositoryError::TableNotFound(_))));
    assert_eq!(repository.list_tables().await.unwrap(), []);
    let versions = repository.list_table_versions(table.name()).await.unwrap();
    assert_eq!((versions[0].action, &versions[0].changed_by), (ChangeAction::Deleted, &actor));
    let changes = load(&repository, &table, &["a,1"]).await;
    assert!(changes.is_new);
    assert_eq!(counts(&changes), [1, 0, 0, 0, 0, 0]);
    let actions: Vec<_> = repository
        .list_table_versions(table.name())
        .await
        .unwrap()
        .iter()
        .map(|version| (version.version, version.action))
        .collect();
    assert_eq!(actions, [(3, ChangeAction::Created), (2, ChangeAction::Deleted), (1, ChangeAction::Created)]);
    let never = repository.list_table_versions(&table_name("costs")).await;
    assert!(matches!(never, Err(RepositoryError::TableNotFound(_))));
}

/// A table that a metric in service reads is not deleted.
pub async fn a_table_that_a_metric_reads_is_not_deleted(repository: Repository) {
    let table = sales(Load::Replace);
    load(&repository, &table, &["a,1"]).await;
    let id = ContractColumn::new("id", "text");
    let tables = vec![ContractTable::new(TABLE_SCHEMA, "sales")];
    let contract = Contract::new(ContractParts { columns: vec![id], tables, ..ContractParts::default() }).unwrap();
    let definitions = Definitions {
        queries: vec![query("q1", "SELECT id FROM sales")],
        metrics: vec![metric("m1", "q1")],
        contracts: [(metric("m1", "q1").metric_id, contract)].into(),
        ..Definitions::default()
    };
    let (ingestion, _) = TestIngestion::committing(definitions);
    repository.ingest(Box::new(ingestion)).await.unwrap();
    let actor = Actor::by(ChangeSource::Http);
    let refused = repository.delete_table(table.name(), actor.clone()).await;
    let readers = match refused {
        Err(RepositoryError::TableInUse { readers, .. }) => readers,
        other => panic!("{other:?}"),
    };
    assert_eq!(readers, [metric("m1", "q1").metric_id]);
    assert!(repository.get_table(table.name()).await.is_ok());
}

/// The existing state has the metrics in service whose contract names a table that the ingestion may change, with their
/// queries: it names the table, or a file that the table names.
pub async fn the_existing_state_has_the_readers_of_tables(repository: Repository) {
    let costs = Table::new(TableParts {
        name: table_name("costs"),
        file: Some("Costs 2025.csv".to_owned()),
        ..parts(Load::Append)
    })
    .unwrap();
    let contract = |schema: &str, name: &str| {
        let tables = vec![ContractTable::new(schema, name)];
        Contract::new(ContractParts { tables, ..ContractParts::default() }).unwrap()
    };
    let mut definitions = Definitions::default();
    for (id, schema, name) in [
        ("m1", TABLE_SCHEMA, "sales"),
        ("m2", TABLE_SCHEMA, "costs"),
        ("m3", "public", "sales"),
        ("m4", TABLE_SCHEMA, "sales"),
    ] {
        definitions.queries.push(query(&format!("q{id}"), "SELECT 1"));
        definitions.metrics.push(metric(id, &format!("q{id}")));
        definitions.contracts.insert(metric(id, "q").metric_id, contract(schema, name));
    }
    let (mut ingestion, _) = TestIngestion::committing(definitions);
    ingestion.set_tables(vec![TestTable::new(sales(Load::Append), &[]), TestTable::new(costs, &[])]);
    repository.ingest(Box::new(ingestion)).await.unwrap();
    let m4 = metric("m4", "q").metric_id;
    repository.change_metric(&m4, 1, MetricChange::Delete, Actor::by(ChangeSource::Http)).await.unwrap();
    let readers = async |name: Option<&str>, file: Option<&str>| {
        let (mut ingestion, observed) = TestIngestion::committing(Definitions::default());
        ingestion.referenced_ids.table_names = name.map(table_name).into_iter().collect();
        ingestion.referenced_ids.table_files = file.map(ToOwned::to_owned).into_iter().collect();
        repository.ingest(Box::new(ingestion)).await.unwrap();
        let (existing, _) = observed.recv().unwrap();
        let sql: Vec<String> = existing.queries.keys().map(ToString::to_string).collect();
        (existing.metrics.keys().map(ToString::to_string).collect::<Vec<_>>(), sql)
    };
    let one = |id: &str| (vec![id.to_owned()], vec![format!("q{id}")]);
    assert_eq!(readers(Some("sales"), None).await, one("m1"));
    assert_eq!(readers(None, Some("Costs 2025.csv")).await, one("m2"));
    assert_eq!(readers(Some("orders"), Some("sales")).await, (Vec::new(), Vec::new()));
}

/// The tables that metrics in service read are counted, and select metrics.
pub async fn tables_are_listed_with_the_metrics_that_read_them(repository: Repository) {
    assert_eq!(repository.list_read_tables(None).await.unwrap(), []);
    let tables = [("m1", &["orders", "sales"][..]), ("m2", &["sales"]), ("m3", &["Sales"]), ("m4", &[])];
    let contract = |names: &[&str]| {
        let tables = names.iter().map(|name| ContractTable::new(TABLE_SCHEMA, *name)).collect();
        Contract::new(ContractParts { tables, ..ContractParts::default() }).unwrap()
    };
    let mut definitions = Definitions { queries: vec![query("q1", "SELECT 1")], ..Definitions::default() };
    for (id, names) in tables {
        definitions.metrics.push(metric(id, "q1"));
        definitions.contracts.insert(metric(id, "q1").metric_id, contract(names));
    }
    definitions.metrics.push(metric("without-contract", "q1"));
    let (ingestion, _) = TestIngestion::committing(definitions);
    repository.ingest(Box::new(ingestion)).await.unwrap();
    let read = async |among: Option<&MetricPatterns>| {
        let read = repository.list_read_tables(among).await.unwrap();
        read.iter().map(|table| format!("{}.{} {}", table.schema, table.name, table.metric_count)).collect::<Vec<_>>()
    };
    let patterns = |pattern: &str| MetricPatterns::new(vec![pattern.parse().unwrap()]).unwrap();
    assert_eq!(read(None).await, ["warehouse.Sales 1", "warehouse.orders 1", "warehouse.sales 2"]);
    assert_eq!(read(Some(&patterns("m2"))).await, ["warehouse.sales 1"]);
    assert!(read(Some(&patterns("none"))).await.is_empty());
    let readers = async |schema: &str, name: &str, among: Option<MetricPatterns>| {
        let reads = Some((schema.to_owned(), name.to_owned()));
        let filter = DefinitionFilter { among, reads, ..DefinitionFilter::default() };
        let found = repository.list_definitions(&filter, None, 9).await.unwrap();
        found.into_iter().map(|definition| definition.metric.metric_id.into()).collect::<Vec<String>>()
    };
    assert_eq!(readers(TABLE_SCHEMA, "sales", None).await, ["m1", "m2"]);
    assert_eq!(readers(TABLE_SCHEMA, "sales", Some(patterns("*1"))).await, ["m1"]);
    assert_eq!(readers(TABLE_SCHEMA, "Sales", None).await, ["m3"]);
    assert!(readers("public", "sales", None).await.is_empty());
    let m1 = metric("m1", "q1").metric_id;
    repository.change_metric(&m1, 1, MetricChange::Delete, Actor::by(ChangeSource::Http)).await.unwrap();
    assert_eq!(read(None).await, ["warehouse.Sales 1", "warehouse.sales 1"]);
}

/// An ingestion that is rolled back creates no table; one that fails keeps the rows.
pub async fn a_rolled_back_ingestion_creates_no_table(repository: Repository) {
    let table = sales(Load::Replace);
    let (mut ingestion, _) = TestIngestion::committing(Definitions::default());
    ingestion.set_tables(vec![TestTable::new(table.clone(), &[&["a,1"]])]);
    ingestion.conclude = crate::Conclusion::CommitReportOnly;
    repository.ingest(Box::new(ingestion)).await.unwrap();
    assert_eq!(repository.list_tables().await.unwrap(), []);
    load(&repository, &table, &["a,1"]).await;
    let (mut ingestion, _) = TestIngestion::committing(Definitions::default());
    ingestion.set_tables(vec![TestTable { fails: true, ..TestTable::new(table.clone(), &[&["b,2"]]) }]);
    let failed = repository.ingest(Box::new(ingestion)).await;
    assert!(matches!(failed, Err(RepositoryError::Input(_))));
    assert_eq!(loaded(&repository).await, [(TestTable::digest(&["a,1"]), 1)]);
}

//! Tables and their rows in the state of a store.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use metricd_domain::{
    Actor, ChangeAction, ColumnJudge, Contract, Load, MetricId, MetricPatterns, TABLE_SCHEMA, Table, TableName,
};
use serde::{Deserialize, Serialize};

use super::StoreState;
use crate::tables::{ExistingTable, MAX_REFUSED_ROWS};
use crate::{
    Changes, ContentDigest, Ingestion, KeyConflict, LoadedContent, ReadTable, RefusedRow, RepositoryError, RowForm,
    RowValues, StoredTable, TableChanges, TableRefusal, TableRefusalCause, TableUpdate, TableVersion,
};

type Row = Vec<Option<String>>;

/// A table with its rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct TableState {
    /// `None` if the table was deleted.
    table: Option<Table>,
    rows: Vec<Row>,
    loads: Vec<LoadedContent>,
    versions: Vec<TableVersion>,
    changed_at: DateTime<Utc>,
    changed_by: Actor,
}

/// A row of an ingestion, with its content and position.
struct NewRow {
    content: usize,
    position: u64,
    values: Row,
}

impl StoreState {
    pub(super) fn existing_tables(&self) -> BTreeMap<TableName, ExistingTable> {
        let existing = |(name, state): (&TableName, &TableState)| {
            let table = state.table.clone()?;
            Some((name.clone(), ExistingTable { loads: state.loads.clone(), ..ExistingTable::new(table) }))
        };
        self.tables.iter().filter_map(existing).collect()
    }

    pub(crate) fn list_read_tables(&self, among: Option<&MetricPatterns>) -> Vec<ReadTable> {
        let is_among = |id: &MetricId| among.is_none_or(|among| among.contain(id));
        let in_service = self.metrics.iter().filter(|(id, stored)| stored.deleted_at.is_none() && is_among(id));
        let mut counts: BTreeMap<_, u64> = BTreeMap::new();
        for table in in_service.filter_map(|(_, stored)| stored.contract.as_ref()).flat_map(Contract::tables) {
            *counts.entry((table.schema.clone(), table.name.clone())).or_default() += 1;
        }
        counts.into_iter().map(|((schema, name), count)| ReadTable::new(schema, name, count)).collect()
    }

    pub(crate) fn list_tables(&self) -> Vec<StoredTable> {
        self.tables.values().filter_map(TableState::stored).collect()
    }

    pub(crate) fn get_table(&self, name: &TableName) -> Result<StoredTable, RepositoryError> {
        let stored = self.tables.get(name).and_then(TableState::stored);
        stored.ok_or_else(|| RepositoryError::TableNotFound(name.clone()))
    }

    pub(crate) fn list_table_versions(&self, name: &TableName) -> Result<Vec<TableVersion>, RepositoryError> {
        let state = self.tables.get(name).ok_or_else(|| RepositoryError::TableNotFound(name.clone()))?;
        Ok(state.versions.iter().rev().cloned().collect())
    }

    pub(crate) fn delete_table(&mut self, name: &TableName, actor: Actor) -> Result<(), RepositoryError> {
        let is_read = |contract: &metricd_domain::Contract| {
            contract.tables().iter().any(|table| table.schema == TABLE_SCHEMA && table.name == name.as_str())
        };
        let readers: Vec<MetricId> = self
            .metrics
            .values()
            .filter(|stored| stored.deleted_at.is_none() && stored.contract.as_ref().is_some_and(is_read))
            .map(|stored| stored.metric.metric_id.clone())
            .collect();
        let state = self.tables.get_mut(name).filter(|state| state.table.is_some());
        let state = state.ok_or_else(|| RepositoryError::TableNotFound(name.clone()))?;
        if !readers.is_empty() {
            return Err(RepositoryError::TableInUse { name: name.clone(), readers });
        }
        if let Some(table) = state.table.take() {
            state.add_version(ChangeAction::Deleted, table, actor);
        }
        state.rows.clear();
        state.loads.clear();
        Ok(())
    }

    /// The values of every row of a table, in no particular order.
    pub(crate) fn rows(&self, name: &TableName) -> Vec<Vec<Option<String>>> {
        self.tables.get(name).map(|state| state.rows.clone()).unwrap_or_default()
    }

    pub(super) fn store_tables(
        &mut self,
        updates: Vec<TableUpdate>,
        ingestion: &mut dyn Ingestion,
        changes: &mut Changes,
    ) -> Result<(), RepositoryError> {
        let actor = ingestion.actor();
        for update in updates {
            let name = update.table.name().clone();
            let mut state = self.tables.get(&name).cloned().unwrap_or_else(|| TableState::new(&actor));
            let of_table = state.update(&update, ingestion, &actor)?;
            if of_table.refusal.is_none() {
                self.tables.insert(name.clone(), state);
            }
            changes.tables.insert(name, of_table);
        }
        Ok(())
    }
}

/// The positions of the columns of the key.
fn key_positions(table: &Table) -> Vec<usize> {
    let is_key = |column: &metricd_domain::TableColumn| table.key().contains(&column.name);
    table.columns().iter().enumerate().filter(|(_, column)| is_key(column)).map(|(index, _)| index).collect()
}

fn key_of(key: &[usize], row: &Row) -> Row {
    key.iter().map(|&index| row.get(index).cloned().flatten()).collect()
}

fn read_rows(
    ingestion: &mut dyn Ingestion,
    name: &TableName,
    contents: &[ContentDigest],
) -> Result<Vec<NewRow>, RepositoryError> {
    let mut rows = Vec::new();
    let mut chunk = Vec::new();
    for content in 0..contents.len() {
        ingestion.open_rows(name, content, RowForm::PositionAndValues).map_err(RepositoryError::Input)?;
        loop {
            chunk.clear();
            if ingestion.next_rows(&mut chunk).map_err(RepositoryError::Input)? == 0 {
                break;
            }
            rows.extend(RowValues::new(&chunk).map(|mut values| {
                let position = values.remove(0).and_then(|position| position.parse().ok()).unwrap_or_default();
                NewRow { content, position, values }
            }));
        }
    }
    Ok(rows)
}

impl TableState {
    fn new(actor: &Actor) -> Self {
        let (changed_at, changed_by) = (Utc::now(), actor.clone());
        Self { table: None, rows: Vec::new(), loads: Vec::new(), versions: Vec::new(), changed_at, changed_by }
    }

    fn stored(&self) -> Option<StoredTable> {
        let version = self.versions.last()?.version;
        Some(StoredTable::new(self.table.clone()?, version, self.changed_at, self.changed_by.clone()))
    }

    fn add_version(&mut self, action: ChangeAction, table: Table, actor: Actor) {
        let version = self.versions.last().map_or(1, |last| last.version + 1);
        (self.changed_at, self.changed_by) = (Utc::now(), actor.clone());
        self.versions.push(TableVersion::new(version, action, table, self.changed_at, actor));
    }

    /// Creates, changes and loads the table, unless its rows break its rules afterwards.
    fn update(
        &mut self,
        update: &TableUpdate,
        ingestion: &mut dyn Ingestion,
        actor: &Actor,
    ) -> Result<TableChanges, RepositoryError> {
        let TableUpdate { table, contents } = update;
        let before = self.table.clone();
        let mut changes = self.define(table.clone(), actor);
        if before.is_some_and(|before| update.replaces_everything(&before)) {
            changes.rows.removed = std::mem::take(&mut self.rows).len() as u64;
        }
        if !contents.is_empty() {
            let rows = read_rows(ingestion, table.name(), contents)?;
            let read = (0..contents.len()).map(|content| ingestion.read_rows(table.name(), content)).collect();
            self.load(table, rows, (contents, read), &mut changes);
            if changes.changes_anything() {
                (self.changed_at, self.changed_by) = (Utc::now(), actor.clone());
            }
        }
        Ok(match self.refusal(table) {
            Some(refusal) => TableChanges::of_refused(refusal),
            None => changes,
        })
    }

    /// Why the rows break the rules of the table.
    fn refusal(&self, table: &Table) -> Option<TableRefusal> {
        for (index, column) in table.columns().iter().enumerate().filter(|(_, column)| column.required) {
            if self.rows.iter().any(|row| row.get(index).is_none_or(Option::is_none)) {
                let message = format!("a row has no value in the column `{}`", column.name);
                return Some(
                    TableRefusal::new(TableRefusalCause::ValueMissing, message).of_column(column.name.as_str()),
                );
            }
        }
        for (index, column) in table.columns().iter().enumerate() {
            let Ok(judge) = ColumnJudge::new(column.data_type, &column.checks) else { continue };
            let mut values = self.rows.iter().filter_map(|row| row.get(index)?.as_deref());
            if let Some(broken) = values.find(|value| judge.judge(value).is_some()) {
                return Some(TableRefusal::of_broken_check(column, broken));
            }
        }
        let key = key_positions(table);
        let mut seen = BTreeSet::new();
        let repeated = self.rows.iter().find(|row| !key.is_empty() && !seen.insert(key_of(&key, row)))?;
        let example = key_of(&key, repeated).into_iter().flatten().collect::<Vec<_>>().join(", ");
        Some(TableRefusal::new(TableRefusalCause::KeyRepeated, format!("two rows have the key ({example})")))
    }

    /// Creates or changes the table. A column that is new has no values.
    fn define(&mut self, table: Table, actor: &Actor) -> TableChanges {
        let before = self.table.replace(table.clone());
        let changes = TableChanges {
            is_new: before.is_none(),
            is_changed: before.as_ref().is_some_and(|before| *before != table),
            ..TableChanges::default()
        };
        if let Some(before) = before
            && changes.is_changed
        {
            let position = |column: &metricd_domain::TableColumn| {
                before.columns().iter().position(|stored| stored.name == column.name)
            };
            let positions: Vec<_> = table.columns().iter().map(position).collect();
            for row in &mut self.rows {
                *row = positions.iter().map(|position| row.get((*position)?)?.clone()).collect();
            }
            if table.load() != Load::Append {
                self.loads.clear();
            }
        }
        if changes.is_new || changes.is_changed {
            let action = if changes.is_new { ChangeAction::Created } else { ChangeAction::Changed };
            self.add_version(action, table, actor.clone());
        }
        changes
    }

    /// Loads the rows of these contents. `read` is the number of rows of each content, with those that were refused.
    fn load(
        &mut self,
        table: &Table,
        rows: Vec<NewRow>,
        (contents, read): (&[ContentDigest], Vec<u64>),
        changes: &mut TableChanges,
    ) {
        let mut counts = vec![0_u64; contents.len()];
        for row in &rows {
            counts[row.content] += 1;
        }
        match (table.load(), table.key().is_empty()) {
            (Load::Multiset, _) => self.load_multiset(rows, changes),
            (_, false) => {
                self.load_by_key(table, rows, changes);
                for row in &changes.refused {
                    counts[row.content] -= 1;
                }
            }
            (load, true) => {
                if load == Load::Replace {
                    changes.rows.removed += std::mem::take(&mut self.rows).len() as u64;
                }
                changes.rows.added = rows.len() as u64;
                self.rows.extend(rows.into_iter().map(|row| row.values));
            }
        }
        let replaces = matches!(table.load(), Load::Replace | Load::Upsert);
        if replaces {
            self.loads.clear();
        }
        for ((&digest, row_count), read) in contents.iter().zip(counts).zip(read) {
            if replaces || self.loads.iter().all(|known| known.digest != digest) {
                let refused_count = read.saturating_sub(row_count);
                self.loads.push(LoadedContent { digest, row_count, refused_count });
            }
        }
    }

    fn load_multiset(&mut self, rows: Vec<NewRow>, changes: &mut TableChanges) {
        let mut stored: HashMap<Row, u64> = HashMap::new();
        for row in &self.rows {
            *stored.entry(row.clone()).or_default() += 1;
        }
        for row in rows {
            match stored.get_mut(&row.values) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    changes.rows.unchanged += 1;
                }
                _ => {
                    self.rows.push(row.values);
                    changes.rows.added += 1;
                }
            }
        }
    }

    fn load_by_key(&mut self, table: &Table, rows: Vec<NewRow>, changes: &mut TableChanges) {
        let key = key_positions(table);
        let key_of = |row: &Row| key_of(&key, row);
        let mut at: HashMap<_, usize> = self.rows.iter().enumerate().map(|(index, row)| (key_of(row), index)).collect();
        let mut seen: HashMap<Vec<Option<String>>, Row> = HashMap::new();
        let mut refuse = |row: &NewRow, conflict| {
            changes.rows.refused += 1;
            if changes.refused.len() < MAX_REFUSED_ROWS {
                changes.refused.push(RefusedRow { content: row.content, position: row.position, conflict });
            }
        };
        for row in rows {
            let key = key_of(&row.values);
            if let Some(first) = seen.get(&key) {
                if *first == row.values {
                    changes.rows.repeated += 1;
                } else {
                    refuse(&row, KeyConflict::InContents);
                }
                continue;
            }
            seen.insert(key.clone(), row.values.clone());
            match at.get(&key).and_then(|&index| self.rows.get_mut(index)) {
                Some(stored) if *stored == row.values => changes.rows.unchanged += 1,
                Some(_) if table.load() == Load::Append => refuse(&row, KeyConflict::Stored),
                Some(stored) => {
                    *stored = row.values;
                    changes.rows.changed += 1;
                }
                None => {
                    at.insert(key, self.rows.len());
                    self.rows.push(row.values);
                    changes.rows.added += 1;
                }
            }
        }
        if table.load() == Load::Replace {
            let kept: BTreeSet<_> = seen.into_keys().collect();
            let before = self.rows.len();
            self.rows.retain(|row| kept.contains(&key_of(row)));
            changes.rows.removed += (before - self.rows.len()) as u64;
        }
    }
}

//! What a table is, in responses.

use metricd_execution::TableKind;
use serde::Serialize;
use utoipa::ToSchema;

/// What a table is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TableKind)]
pub(super) enum TableKindResponse {
    /// A table, or a partition of one.
    Table,
    /// A table whose partitions have its rows.
    PartitionedTable,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A table whose rows another server has.
    ForeignTable,
}

impl From<TableKind> for TableKindResponse {
    fn from(kind: TableKind) -> Self {
        match kind {
            TableKind::Table => Self::Table,
            TableKind::PartitionedTable => Self::PartitionedTable,
            TableKind::View => Self::View,
            TableKind::MaterializedView => Self::MaterializedView,
            TableKind::ForeignTable => Self::ForeignTable,
        }
    }
}

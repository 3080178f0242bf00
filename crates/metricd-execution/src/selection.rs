//! Sorts, filters and pages the result of a statement, as a request asks for.
//!
//! The statement becomes a subquery: `SELECT * FROM (…) AS result WHERE … ORDER BY … LIMIT … OFFSET …`. Names of columns
//! are those of the contract, in quotes. Values are parameters. Operators are those of the schema `pg_catalog`, between
//! values of one built-in type, so the text adds nothing that has to be validated
//! (`docs/decisions/0059-select-by-operators-of-pg-catalog.md`).

mod column;
mod condition;
mod grammar;
mod name;
mod operator;
mod sort;
mod value;

use std::fmt::Write;

use metricd_database::quote_identifier;
use metricd_domain::{Contract, ContractColumn, ParameterValue, RowLimit, RowOffset, shortened};
use serde::Serialize;

use self::column::ColumnType;
use self::condition::Condition;
use self::name::{column, written};
use self::sort::{SortKey, sort_keys};
use crate::{InvalidArgument, RequestZone};

/// The maximum number of filters of a request.
const MAX_FILTERS: usize = 20;

/// The maximum number of characters of a filter or a name in a message.
const MAX_SHOWN_CHARS: usize = 60;

/// The type of the parameters of `LIMIT` and `OFFSET`, as PostgreSQL's `format_type` prints it.
const PAGE_TYPE: &str = "bigint";

/// The query parameter of the sort.
pub const SORT: &str = "sort";

/// The query parameter of a filter.
pub const FILTER: &str = "filter";

/// The query parameter of the offset.
pub const OFFSET: &str = "offset";

/// A request's texts for a [`Selection`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SelectionRequest {
    /// The sort, such as `-amount,country`.
    pub sort: Option<String>,
    /// The filters, such as `country.eq.DE`. A row has to meet all of them.
    pub filters: Vec<String>,
    /// How many rows are skipped.
    pub offset: RowOffset,
}

/// The sort, the filters and the offset of a request, over the columns of a metric's result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The keys of the sort, in SQL.
    order: Vec<String>,
    conditions: Vec<(String, Condition)>,
    /// Whether a result depends on rows and parameters alone, if that of the statement does.
    is_repeatable: bool,
    applied: AppliedSelection,
}

/// The sort, the filters and the offset of a result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AppliedSelection {
    /// The columns by which the result is sorted, in order, each with `-` before it if it is descending.
    pub sort: Vec<String>,
    /// The filters that every row of the result meets.
    pub filter: Vec<String>,
    /// How many rows before those of the result were skipped.
    pub offset: u32,
}

/// How a request selects by a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectableColumn {
    /// The name as in a sort or a filter: in double quotes if it needs them.
    pub name: String,
    /// Whether a result can be sorted by it, as far as is known without PostgreSQL.
    pub is_sortable: bool,
    /// The operators of filters on it.
    pub operators: Vec<&'static str>,
}

impl Selection {
    /// Reads a request in this time zone, for a metric with this contract.
    ///
    /// # Errors
    ///
    /// An error for each invalid part of the sort, for each invalid filter, and for everything without a contract.
    pub fn parse(
        request: &SelectionRequest,
        contract: Option<&Contract>,
        zone: &RequestZone,
    ) -> Result<Self, Vec<InvalidArgument>> {
        let SelectionRequest { sort, filters, offset } = request;
        let Some(contract) = contract else {
            let faults = unknown_columns(request);
            return if faults.is_empty() { Ok(Self::default()) } else { Err(faults) };
        };
        let mut faults = Vec::new();
        let mut fault = |name: &str, message| faults.push(InvalidArgument { name: name.to_owned(), message });
        let mut selection = Self { is_repeatable: true, ..Self::default() };
        if let Some(sort) = sort {
            match sort_keys(sort, contract) {
                Ok(keys) => selection.order_by(keys, contract),
                Err(messages) => messages.into_iter().for_each(|message| fault(SORT, message)),
            }
        }
        if filters.len() > MAX_FILTERS {
            fault(
                FILTER,
                format!("the parameter occurs {} times: expected at most {MAX_FILTERS} filters", filters.len()),
            );
        }
        for filter in filters.iter().take(MAX_FILTERS) {
            if let Err(message) = selection.filter_by(filter, contract, zone) {
                fault(FILTER, format!("`{}`: {message}", shortened(filter, MAX_SHOWN_CHARS)));
            }
        }
        selection.applied.offset = offset.rows();
        if faults.is_empty() { Ok(selection) } else { Err(faults) }
    }

    /// The columns of a contract, in the order of the result.
    #[must_use]
    pub fn columns(contract: &Contract) -> Vec<SelectableColumn> {
        let column = |column: &ContractColumn| {
            let column_type = ColumnType::of(&column.type_name, contract);
            SelectableColumn {
                name: written(&column.name),
                is_sortable: column_type.is_sortable(),
                operators: column_type.operators().iter().map(|operator| operator.name()).collect(),
            }
        };
        contract.columns().iter().map(column).collect()
    }

    /// Whether the result is the whole result of the statement in its own order.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.applied == AppliedSelection::default()
    }

    /// What the selection does, for the response. `None` if it is empty.
    #[must_use]
    pub fn applied(&self) -> Option<&AppliedSelection> {
        Some(&self.applied).filter(|_| !self.is_empty())
    }

    /// Whether it compares rows, and PostgreSQL may refuse to.
    #[must_use]
    pub fn compares(&self) -> bool {
        !self.order.is_empty() || !self.conditions.is_empty()
    }

    /// Whether a result depends on rows and parameters alone, if that of the statement does.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        self.is_repeatable
    }

    /// The errors for the values that only PostgreSQL can validate, after it refused one of them. Empty if there are none.
    #[must_use]
    pub fn refused_values(&self) -> Vec<InvalidArgument> {
        let values = self.conditions.iter().filter_map(|(filter, condition)| Some((filter, condition.value.as_ref()?)));
        let unvalidated: Vec<_> = values.filter(|(_, value)| value.is_unvalidated).collect();
        let refused = if unvalidated.len() == 1 { "the value" } else { "this value or another one" };
        let fault = |(filter, value): &(&String, &condition::Value)| InvalidArgument {
            name: FILTER.to_owned(),
            message: format!(
                "`{}`: PostgreSQL refuses {refused}: expected one of the type `{}`",
                shortened(filter, MAX_SHOWN_CHARS),
                value.type_name
            ),
        };
        unvalidated.iter().map(fault).collect()
    }

    /// The errors after PostgreSQL refused to compare values, for example because a type has no order.
    #[must_use]
    pub fn refused_comparisons(&self) -> Vec<InvalidArgument> {
        let fault = |name: &str, message: String| InvalidArgument { name: name.to_owned(), message };
        let sort = (!self.order.is_empty()).then(|| {
            let keys: Vec<_> = self.applied.sort.iter().map(|key| shortened(key, MAX_SHOWN_CHARS)).collect();
            fault(SORT, format!("PostgreSQL cannot sort by `{}`, or cannot apply a filter", keys.join(",")))
        });
        let filters = self.conditions.iter().map(|(filter, _)| {
            let filter = shortened(filter, MAX_SHOWN_CHARS);
            fault(FILTER, format!("`{filter}`: PostgreSQL cannot compare the column so, or cannot sort"))
        });
        sort.into_iter().chain(filters).collect()
    }

    /// Wraps a statement, whose parameters have numbers below `first`.
    pub(crate) fn wrap(&self, statement: &str, first: usize) -> String {
        // A comment may end the last line of the statement.
        let mut sql = format!("{PREFIX}{statement}\n) AS result");
        let mut number = first;
        for (index, (_, condition)) in self.conditions.iter().enumerate() {
            sql.push_str(if index == 0 { " WHERE " } else { " AND " });
            sql.push_str(&condition.sql(number));
            number += usize::from(condition.value.is_some());
        }
        if !self.order.is_empty() {
            sql.push_str(" ORDER BY ");
            sql.push_str(&self.order.join(", "));
        }
        // Infallible: the string grows.
        let _ = write!(sql, " LIMIT ${number} OFFSET ${}", number + 1);
        sql
    }

    /// The values of [`Self::wrap`] with the types of their parameters, in the order of their numbers. The last two are the
    /// page: PostgreSQL stops after one row more than the limit, by which the runner sees that the result is truncated.
    pub(crate) fn values(&self, limit: RowLimit) -> Vec<(ParameterValue, &str)> {
        let values = self.conditions.iter().filter_map(|(_, condition)| condition.value.as_ref());
        let page = [limit.rows() + 1, self.applied.offset as usize];
        let page = page.map(|rows| (ParameterValue::unvalidated(&rows.to_string()), PAGE_TYPE));
        values.map(|value| (value.bound.clone(), value.type_name.as_str())).chain(page).collect()
    }

    fn order_by(&mut self, keys: Vec<SortKey<'_>>, contract: &Contract) {
        for SortKey { column, is_descending, text } in keys {
            self.is_repeatable &= ColumnType::of(&column.type_name, contract).is_built_in();
            let direction = if is_descending { "DESC" } else { "ASC" };
            self.order.push(format!("{} {direction} NULLS LAST", quote_identifier(&column.name)));
            self.applied.sort.push(text);
        }
    }

    fn filter_by(&mut self, text: &str, contract: &Contract, zone: &RequestZone) -> Result<(), String> {
        let filter = grammar::filter(text)?;
        let column = column(&filter.column, contract)?;
        let column_type = ColumnType::of(&column.type_name, contract);
        let condition = Condition::of(&filter, column, &column_type, zone.zone())?;
        let is_unvalidated = condition.value.as_ref().is_some_and(|value| value.is_unvalidated);
        let calls_others = condition.value.is_some() && !column_type.is_built_in();
        self.is_repeatable &= !is_unvalidated && !calls_others;
        self.applied.filter.push(text.to_owned());
        self.conditions.push((text.to_owned(), condition));
        Ok(())
    }
}

/// What precedes the statement in a text that [`Selection::wrap`] makes.
const PREFIX: &str = "SELECT * FROM (\n";

/// The text of a statement without what precedes it if it was wrapped for a selection. It may end early.
#[must_use]
pub fn without_selection(running: &str) -> Option<&str> {
    running.strip_prefix(PREFIX)
}

/// The errors for a request whose metric has no contract.
fn unknown_columns(SelectionRequest { sort, filters, offset }: &SelectionRequest) -> Vec<InvalidArgument> {
    let given = [(SORT, sort.is_some()), (FILTER, !filters.is_empty()), (OFFSET, offset.rows() > 0)];
    let message = "the columns of the metric's result are not known: its SQL is not valid, or was not validated yet";
    let fault = |name: &str| InvalidArgument { name: name.to_owned(), message: message.to_owned() };
    given.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| fault(name)).collect()
}

#[cfg(test)]
mod tests;

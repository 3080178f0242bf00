//! Checks queries: the clauses around a SELECT.

use sqlparser::ast::{
    Cte, Fetch, LimitClause, Offset, OrderBy, OrderByExpr, OrderByKind, OrderByOptions, OrderBySort, Parens, Query,
    SetExpr, SetOperator, SetQuantifier, TableAlias, TableAliasColumnDef, Values, With,
};

use super::{Walk, folded};
use crate::FindingCode;

impl Walk<'_> {
    pub(in crate::guard) fn query(&mut self, query: &Query) {
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        let names_around = self.with_names.len();
        if let Some(with) = with {
            self.with(with);
        }
        self.set_expression(body);
        if let Some(order_by) = order_by {
            self.order_by(order_by);
        }
        if let Some(limit) = limit_clause {
            self.limit(limit);
        }
        if let Some(Fetch { with_ties: _, percent, quantity }) = fetch {
            self.refuse_if(*percent, "FETCH … PERCENT");
            self.expressions(quantity);
        }
        for lock in locks {
            let message = "a metric only reads: leave the locking clause out";
            // Nested queries come first, because the locking clause of a query follows them in the text.
            let position = self.tree.locks.get(self.lock_count).copied().unwrap_or(self.position);
            self.lock_count += 1;
            self.find(FindingCode::Locks, position, &lock.to_string(), message);
        }
        self.refuse_if(for_clause.is_some(), "FOR XML, JSON or BROWSE");
        self.refuse_if(settings.is_some(), "SETTINGS");
        self.refuse_if(format_clause.is_some(), "FORMAT");
        self.refuse_if(!pipe_operators.is_empty(), "|>");
        self.with_names.truncate(names_around);
    }

    fn with(&mut self, with: &With) {
        let With { with_token: _, recursive, cte_tables } = with;
        let name = |cte: &Cte| folded(&cte.alias.name);
        if *recursive {
            self.with_names.extend(cte_tables.iter().map(name));
        }
        for cte in cte_tables {
            self.with_query(cte);
            // Without RECURSIVE, a WITH query can refer to those before it, but not to itself.
            if !*recursive {
                self.with_names.push(name(cte));
            }
        }
    }

    fn with_query(&mut self, cte: &Cte) {
        let Cte { alias, query, from, materialized: _, closing_paren_token: _ } = cte;
        self.alias(alias);
        self.refuse_if(from.is_some(), "FROM after a WITH query");
        self.query(query);
    }

    pub(super) fn alias(&mut self, alias: &TableAlias) {
        let TableAlias { explicit: _, name, columns, at } = alias;
        self.name(name);
        for TableAliasColumnDef { name, data_type } in columns {
            self.name(name);
            if let Some(data_type) = data_type {
                self.data_type(data_type, name.span.start.into());
            }
        }
        self.refuse_if(at.is_some(), "AT after a table's alias");
    }

    fn set_expression(&mut self, body: &SetExpr) {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                self.refuse_if(*op == SetOperator::Minus, "MINUS");
                let is_plain =
                    matches!(set_quantifier, SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None);
                self.refuse_if(!is_plain, "BY NAME");
                // Set operations nest to the left, and their number bounds the depth.
                stacker::maybe_grow(super::expression::RED_ZONE_BYTES, super::expression::STACK_GROWTH_BYTES, || {
                    self.set_expression(left);
                });
                self.set_expression(right);
            }
            SetExpr::Values(Values { explicit_row, value_keyword, rows }) => {
                self.refuse_if(*explicit_row, "VALUES ROW(…)");
                self.refuse_if(*value_keyword, "VALUE");
                for Parens { opening_token: _, content, closing_token: _ } in rows {
                    self.complexity.add_list(content.len());
                    self.expressions(content);
                }
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                let message = "a metric only reads: write a SELECT";
                self.find(FindingCode::Writes, self.position_of(body), &body.to_string(), message);
            }
            // The normalization before the parser turns TABLE into a SELECT.
            SetExpr::Table(_) => self.refuse_if(true, "TABLE in this position"),
        }
    }

    fn order_by(&mut self, order_by: &OrderBy) {
        let OrderBy { kind, interpolate } = order_by;
        self.refuse_if(interpolate.is_some(), "INTERPOLATE");
        match kind {
            OrderByKind::All(_) => self.refuse_if(true, "ORDER BY ALL"),
            OrderByKind::Expressions(expressions) => self.order_by_expressions(expressions),
        }
    }

    pub(super) fn order_by_expressions(&mut self, expressions: &[OrderByExpr]) {
        for OrderByExpr { expr, options, with_fill } in expressions {
            let OrderByOptions { sort, nulls_first: _ } = options;
            match sort {
                None | Some(OrderBySort::Asc | OrderBySort::Desc) => {}
                Some(OrderBySort::Using(_)) => {
                    let position = self.position_of(expr);
                    let message = "ORDER BY … USING cannot be used in a metric's SQL: write ASC or DESC";
                    self.find(FindingCode::OperatorNotAllowed, position, "USING", message);
                }
            }
            self.refuse_if(with_fill.is_some(), "WITH FILL");
            self.expression(expr);
        }
    }

    fn limit(&mut self, limit: &LimitClause) {
        match limit {
            LimitClause::LimitOffset { limit, offset, limit_by } => {
                self.expressions(limit);
                if let Some(Offset { value, rows: _ }) = offset {
                    self.expression(value);
                }
                self.refuse_if(!limit_by.is_empty(), "LIMIT … BY");
            }
            LimitClause::OffsetCommaLimit { offset, limit } => {
                self.refuse_if(true, "LIMIT with a comma");
                self.expression(offset);
                self.expression(limit);
            }
        }
    }
}

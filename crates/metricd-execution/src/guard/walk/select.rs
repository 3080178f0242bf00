//! Checks the clauses of a SELECT.

use sqlparser::ast::{
    Distinct, GroupByExpr, GroupByWithModifier, NamedWindowDefinition, NamedWindowExpr, Select, SelectFlavor,
    SelectItem, SelectItemQualifiedWildcardKind, WildcardAdditionalOptions, WindowFrame, WindowFrameBound, WindowSpec,
};

use super::Walk;
use crate::FindingCode;

impl Walk<'_> {
    pub(super) fn select(&mut self, select: &Select) {
        let Select {
            select_token,
            optimizer_hints,
            distinct,
            select_modifiers,
            top,
            top_before_distinct,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        let around = self.position;
        if select_token.0.span.start.line > 0 {
            self.position = select_token.0.span.start.into();
        }
        // Comments are blanked before the text is parsed, so there are no hints here.
        self.refuse_if(!optimizer_hints.is_empty(), "a hint");
        if let Some(Distinct::On(expressions)) = distinct {
            self.expressions(expressions);
        }
        self.refuse_if(select_modifiers.is_some(), "a modifier after SELECT");
        self.refuse_if(top.is_some() || *top_before_distinct, "TOP");
        self.complexity.add_list(projection.len());
        for item in projection {
            self.select_item(item);
        }
        self.refuse_if(exclude.is_some(), "EXCLUDE after the columns");
        if let Some(into) = into {
            let message = "a metric only reads: leave INTO out";
            self.find(FindingCode::Writes, self.position, &into.to_string(), message);
        }
        let relations = from.iter().map(|table| self.table_with_joins(table)).sum();
        self.complexity.add_relations(relations);
        self.refuse_if(!lateral_views.is_empty(), "LATERAL VIEW");
        self.refuse_if(prewhere.is_some(), "PREWHERE");
        self.expressions(selection);
        self.refuse_if(!connect_by.is_empty(), "CONNECT BY");
        self.group_by(group_by);
        self.refuse_if(!cluster_by.is_empty(), "CLUSTER BY");
        self.refuse_if(!distribute_by.is_empty(), "DISTRIBUTE BY");
        self.refuse_if(!sort_by.is_empty(), "SORT BY");
        self.expressions(having);
        for NamedWindowDefinition(name, window) in named_window {
            self.name(name);
            match window {
                NamedWindowExpr::NamedWindow(name) => self.name(name),
                NamedWindowExpr::WindowSpec(window) => self.window(window),
            }
        }
        self.refuse_if(qualify.is_some(), "QUALIFY");
        self.refuse_if(value_table_mode.is_some(), "AS VALUE or AS STRUCT");
        self.refuse_if(*flavor != SelectFlavor::Standard, "FROM before SELECT");
        self.position = around;
    }

    fn select_item(&mut self, item: &SelectItem) {
        match item {
            SelectItem::UnnamedExpr(expression) => self.expression(expression),
            SelectItem::ExprWithAlias { expr, alias } => {
                self.expression(expr);
                self.name(alias);
            }
            SelectItem::ExprWithAliases { expr, aliases: _ } => {
                self.refuse_if(true, "several aliases of one column");
                self.expression(expr);
            }
            SelectItem::QualifiedWildcard(kind, options) => {
                match kind {
                    SelectItemQualifiedWildcardKind::ObjectName(name) => {
                        let idents = name.0.iter().filter_map(|part| part.as_ident());
                        self.qualifier(&idents.collect::<Vec<_>>(), 2);
                    }
                    SelectItemQualifiedWildcardKind::Expr(expression) => self.expression(expression),
                }
                self.wildcard(options);
            }
            SelectItem::Wildcard(options) => self.wildcard(options),
        }
    }

    pub(super) fn wildcard(&mut self, options: &WildcardAdditionalOptions) {
        self.complexity.add_wildcard();
        let WildcardAdditionalOptions {
            wildcard_token: _,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        } = options;
        self.refuse_if(opt_ilike.is_some(), "* ILIKE");
        self.refuse_if(opt_exclude.is_some(), "* EXCLUDE");
        self.refuse_if(opt_except.is_some(), "* EXCEPT (…)");
        self.refuse_if(opt_replace.is_some(), "* REPLACE");
        self.refuse_if(opt_rename.is_some(), "* RENAME");
        self.refuse_if(opt_alias.is_some(), "* AS");
    }

    fn group_by(&mut self, group_by: &GroupByExpr) {
        let modifiers = match group_by {
            GroupByExpr::All(modifiers) => {
                self.refuse_if(true, "GROUP BY ALL");
                modifiers
            }
            GroupByExpr::Expressions(expressions, modifiers) => {
                self.expressions(expressions);
                modifiers
            }
        };
        for modifier in modifiers {
            match modifier {
                GroupByWithModifier::Rollup => self.refuse_if(true, "WITH ROLLUP"),
                GroupByWithModifier::Cube => self.refuse_if(true, "WITH CUBE"),
                GroupByWithModifier::Totals => self.refuse_if(true, "WITH TOTALS"),
                GroupByWithModifier::GroupingSets(sets) => self.expression(sets),
            }
        }
    }

    pub(super) fn window(&mut self, window: &WindowSpec) {
        let WindowSpec { window_name, partition_by, order_by, window_frame } = window;
        if let Some(name) = window_name {
            self.name(name);
        }
        self.expressions(partition_by);
        self.order_by_expressions(order_by);
        if let Some(WindowFrame { units: _, start_bound, end_bound }) = window_frame {
            for bound in std::iter::once(start_bound).chain(end_bound) {
                match bound {
                    WindowFrameBound::CurrentRow => {}
                    WindowFrameBound::Preceding(offset) | WindowFrameBound::Following(offset) => {
                        self.expressions(offset.as_deref());
                    }
                }
            }
        }
    }
}

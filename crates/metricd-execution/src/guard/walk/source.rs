//! Checks the sources of a SELECT.

use sqlparser::ast::{
    FunctionArguments, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Spanned, TableFactor,
    TableFunctionArgs, TableSample, TableSampleKind, TableSampleMethod, TableSampleModifier, TableSampleQuantity,
    TableWithJoins,
};

use super::{TableUse, Walk};
use crate::FindingCode;
use crate::syntax::is_reserved;

impl Walk<'_> {
    /// Checks a source with its joins, and returns its number of relations.
    pub(super) fn table_with_joins(&mut self, table: &TableWithJoins) -> u64 {
        let TableWithJoins { relation, joins } = table;
        let mut relations = self.source(relation);
        for Join { relation, global, join_operator } in joins {
            self.refuse_if(*global, "GLOBAL JOIN");
            relations += self.source(relation);
            self.complexity.add_join(relations);
            self.join(join_operator);
        }
        relations
    }

    fn join(&mut self, operator: &JoinOperator) {
        match operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint)
            | JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint)
            | JoinOperator::FullOuter(constraint)
            | JoinOperator::CrossJoin(constraint) => match constraint {
                JoinConstraint::On(expression) => self.expression(expression),
                JoinConstraint::Natural => self.uses.has_unnamed_columns = true,
                JoinConstraint::Using(_) | JoinConstraint::None => {}
            },
            JoinOperator::Semi(_)
            | JoinOperator::LeftSemi(_)
            | JoinOperator::RightSemi(_)
            | JoinOperator::Anti(_)
            | JoinOperator::LeftAnti(_)
            | JoinOperator::RightAnti(_)
            | JoinOperator::CrossApply
            | JoinOperator::OuterApply
            | JoinOperator::AsOf { .. }
            | JoinOperator::StraightJoin(_)
            | JoinOperator::ArrayJoin
            | JoinOperator::LeftArrayJoin
            | JoinOperator::InnerArrayJoin => self.refuse_if(true, "this kind of JOIN"),
        }
    }

    /// Checks a source, and returns its number of relations.
    fn source(&mut self, source: &TableFactor) -> u64 {
        match source {
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let relations = self.table_with_joins(table_with_joins);
                if let Some(alias) = alias {
                    self.uses.has_unnamed_columns |= !alias.columns.is_empty();
                    self.alias(alias);
                }
                return relations;
            }
            TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version,
                with_ordinality: _,
                partitions,
                json_path,
                sample,
                index_hints,
            } => {
                match args {
                    None => self.relation(name, alias.is_some()),
                    Some(TableFunctionArgs { args, settings }) => {
                        self.refuse_if(settings.is_some(), "SETTINGS");
                        self.function_name(name, &FunctionArguments::None);
                        self.arguments(args);
                    }
                }
                if let Some(alias) = alias {
                    self.uses.has_unnamed_columns |= args.is_none() && !alias.columns.is_empty();
                    self.alias(alias);
                }
                self.refuse_if(!with_hints.is_empty(), "WITH (…) after a table");
                self.refuse_if(version.is_some(), "a table's version");
                self.refuse_if(!partitions.is_empty(), "PARTITION");
                self.refuse_if(json_path.is_some(), "a path after a table");
                self.refuse_if(!index_hints.is_empty(), "an index hint");
                self.sample(sample.as_ref());
            }
            TableFactor::Derived { lateral: _, subquery, alias, sample } => {
                self.query(subquery);
                if let Some(alias) = alias {
                    self.alias(alias);
                }
                self.sample(sample.as_ref());
            }
            TableFactor::Function { lateral: _, name, args, with_ordinality: _, alias } => {
                self.function_name(name, &FunctionArguments::None);
                self.arguments(args);
                if let Some(alias) = alias {
                    self.alias(alias);
                }
            }
            TableFactor::UNNEST { alias, array_exprs, with_offset, with_offset_alias, with_ordinality: _ } => {
                self.expressions(array_exprs);
                self.refuse_if(*with_offset || with_offset_alias.is_some(), "WITH OFFSET");
                if let Some(alias) = alias {
                    self.alias(alias);
                }
            }
            TableFactor::TableFunction { .. }
            | TableFactor::JsonTable { .. }
            | TableFactor::OpenJsonTable { .. }
            | TableFactor::Pivot { .. }
            | TableFactor::Unpivot { .. }
            | TableFactor::UnpivotExpr { .. }
            | TableFactor::MatchRecognize { .. }
            | TableFactor::XmlTable { .. }
            | TableFactor::SemanticView { .. } => self.refuse(source, "this kind of source"),
        }
        1
    }

    /// Checks the name of a table, a view or a WITH query.
    fn relation(&mut self, name: &ObjectName, has_alias: bool) {
        if let [ObjectNamePart::Identifier(ident)] = name.0.as_slice()
            && ident.quote_style.is_none()
            && is_reserved(&ident.value)
        {
            return self.value_function(ident);
        }
        let Some((schema, relation)) = self.schema_and_name(name) else { return };
        // PostgreSQL searches its system catalogs before the data schemas. Names in them all begin with `pg_`.
        let is_foreign = match schema.as_deref() {
            None => relation.starts_with("pg_"),
            Some(schema) => self.allowed.schema(schema).is_none(),
        };
        if is_foreign {
            let schemas = self.allowed.shown_schemas();
            let message = format!("a metric reads only tables and views of {schemas}: write one of those");
            self.find(FindingCode::RelationNotAllowed, self.position_of(name), &name.to_string(), message);
        }
        if schema.is_some() || !self.with_names.contains(&relation) {
            let span = name.span();
            let (begin, end) = (span.start.into(), self.tree.end_of_source(span.end.into()));
            self.uses.tables.push(TableUse {
                schema,
                table: relation,
                begin,
                end,
                only: self.tree.only_before(begin),
                has_alias,
                select: self.position,
            });
        }
    }

    fn sample(&mut self, sample: Option<&TableSampleKind>) {
        let Some(TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) = sample else {
            return;
        };
        let TableSample { modifier, name, quantity, seed: _, bucket, offset } = sample.as_ref();
        let is_postgres = matches!(modifier, TableSampleModifier::TableSample)
            && matches!(name, Some(TableSampleMethod::Bernoulli | TableSampleMethod::System))
            && bucket.is_none()
            && offset.is_none();
        self.refuse_if(!is_postgres, "TABLESAMPLE other than BERNOULLI (…) or SYSTEM (…)");
        if let Some(TableSampleQuantity { parenthesized: _, value, unit }) = quantity {
            self.refuse_if(unit.is_some(), "TABLESAMPLE with a unit");
            self.expression(value);
        }
    }
}

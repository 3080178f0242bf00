//! Checks expressions.

use sqlparser::ast::{
    AccessExpr, Array, BinaryOperator, CaseWhen, CastKind, CeilFloorKind, Expr, Ident, Interval, Subscript,
    TypedString, UnaryOperator,
};

use super::{Qualifier, Walk, folded};
use crate::FindingCode;
use crate::syntax::is_reserved;

/// The stack that one step of the walk may use, in bytes.
pub(super) const RED_ZONE_BYTES: usize = 256 << 10;
/// The size of the stack that is allocated if less than [`RED_ZONE_BYTES`] is left, in bytes.
pub(super) const STACK_GROWTH_BYTES: usize = 4 << 20;

impl Walk<'_> {
    pub(super) fn expressions<'e>(&mut self, expressions: impl IntoIterator<Item = &'e Expr>) {
        for expression in expressions {
            self.expression(expression);
        }
    }

    pub(super) fn expression(&mut self, expression: &Expr) {
        let around = self.position;
        stacker::maybe_grow(RED_ZONE_BYTES, STACK_GROWTH_BYTES, || self.node(expression));
        self.position = around;
    }

    #[expect(clippy::too_many_lines, reason = "one short arm for each kind of expression")]
    fn node(&mut self, expression: &Expr) {
        match expression {
            Expr::Identifier(ident) => {
                self.position = ident.span.start.into();
                if ident.quote_style.is_none() && is_reserved(&ident.value) {
                    self.value_function(ident);
                }
            }
            Expr::CompoundIdentifier(parts) => {
                if let Some(first) = parts.first() {
                    self.position = first.span.start.into();
                    self.name(first);
                }
                for column in parts.iter().skip(1) {
                    self.column(column);
                }
                self.qualifier(&parts.iter().collect::<Vec<_>>(), 3);
            }
            Expr::CompoundFieldAccess { root, access_chain } => {
                self.expression(root);
                for access in access_chain {
                    self.access(access);
                }
            }
            Expr::IsFalse(expr)
            | Expr::IsNotFalse(expr)
            | Expr::IsTrue(expr)
            | Expr::IsNotTrue(expr)
            | Expr::IsNull(expr)
            | Expr::IsNotNull(expr)
            | Expr::IsUnknown(expr)
            | Expr::IsNotUnknown(expr)
            | Expr::Nested(expr)
            | Expr::IsJson { expr, kind: _, unique_keys: _, negated: _ }
            | Expr::IsNormalized { expr, form: _, negated: _ }
            | Expr::Extract { field: _, syntax: _, expr } => self.expression(expr),
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                self.expressions([left.as_ref(), right.as_ref()]);
            }
            Expr::InList { expr, list, negated: _ } => {
                self.expression(expr);
                self.expressions(list);
            }
            Expr::InSubquery { expr, subquery, negated: _ } => {
                self.expression(expr);
                self.query(subquery);
            }
            Expr::Between { expr, negated: _, low, high } => {
                self.expressions([expr.as_ref(), low.as_ref(), high.as_ref()]);
            }
            Expr::BinaryOp { left, op, right } => {
                self.expression(left);
                self.binary_operator(op);
                self.expression(right);
            }
            Expr::UnaryOp { op, expr } => {
                self.unary_operator(*op);
                self.expression(expr);
            }
            Expr::Like { negated: _, any: _, expr, pattern, escape_char }
            | Expr::ILike { negated: _, any: _, expr, pattern, escape_char }
            | Expr::SimilarTo { negated: _, expr, pattern, escape_char } => {
                self.expressions([expr.as_ref(), pattern.as_ref()]);
                self.expressions(escape_char.as_deref());
            }
            Expr::AnyOp { left, compare_op, right, is_some: _ } | Expr::AllOp { left, compare_op, right } => {
                self.expression(left);
                self.binary_operator(compare_op);
                self.expression(right);
            }
            Expr::Cast { .. } => self.casts(expression),
            Expr::AtTimeZone { timestamp, time_zone } => self.expressions([timestamp.as_ref(), time_zone.as_ref()]),
            Expr::Ceil { expr, field } | Expr::Floor { expr, field } => {
                let is_plain = matches!(field, CeilFloorKind::DateTimeField(sqlparser::ast::DateTimeField::NoDateTime));
                self.refuse_if(!is_plain, "CEIL or FLOOR with TO or a scale");
                self.expression(expr);
            }
            Expr::Position { expr, r#in } => self.expressions([expr.as_ref(), r#in.as_ref()]),
            Expr::Substring { expr, substring_from, substring_for, special: _, shorthand: _ } => {
                self.expression(expr);
                self.expressions(substring_from.as_deref());
                self.expressions(substring_for.as_deref());
            }
            Expr::Trim { trim_where: _, trim_what, expr, trim_characters } => {
                self.expression(expr);
                self.expressions(trim_what.as_deref());
                self.expressions(trim_characters.iter().flatten());
            }
            Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                self.expressions([expr.as_ref(), overlay_what.as_ref(), overlay_from.as_ref()]);
                self.expressions(overlay_for.as_deref());
            }
            Expr::Collate { expr, collation } => {
                self.expression(expr);
                if let Some((Some(schema), _)) = self.schema_and_name(collation)
                    && schema != "pg_catalog"
                {
                    self.refuse(expression, "a collation that is not PostgreSQL's own");
                }
            }
            Expr::Value(value) => self.literal(value),
            Expr::TypedString(TypedString { data_type, value, uses_odbc_syntax }) => {
                self.refuse_if(*uses_odbc_syntax, "{d '…'}");
                let position = value.span.start.into();
                self.data_type(data_type, position);
                self.literal(value);
                self.refuse_frozen_time(value, data_type);
            }
            Expr::Function(function) => self.function(function),
            Expr::Case { case_token: _, end_token: _, operand, conditions, else_result } => {
                self.expressions(operand.as_deref());
                for CaseWhen { condition, result } in conditions {
                    self.expressions([condition, result]);
                }
                self.expressions(else_result.as_deref());
            }
            Expr::Exists { subquery, negated: _ } | Expr::Subquery(subquery) => self.query(subquery),
            Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => {
                self.expressions(sets.iter().flatten());
            }
            Expr::Tuple(expressions) => self.expressions(expressions),
            Expr::Array(Array { elem, named: _ }) => self.expressions(elem),
            Expr::Interval(Interval {
                value,
                leading_field: _,
                leading_precision: _,
                last_field: _,
                fractional_seconds_precision: _,
            }) => self.expression(value),
            Expr::JsonAccess { .. }
            | Expr::InUnnest { .. }
            | Expr::RLike { .. }
            | Expr::Convert { .. }
            | Expr::Prefixed { .. }
            | Expr::Struct { .. }
            | Expr::Named { .. }
            | Expr::Dictionary(_)
            | Expr::Map(_)
            | Expr::MatchAgainst { .. }
            | Expr::Wildcard(_)
            | Expr::QualifiedWildcard(..)
            | Expr::OuterJoin(_)
            | Expr::Prior(_)
            | Expr::Lambda(_)
            | Expr::MemberOf(_) => self.refuse(expression, "this expression"),
        }
    }

    /// Checks chained casts, such as `x::date::text`, in a loop. All of them have the position of the innermost value.
    fn casts(&mut self, mut expression: &Expr) {
        let mut types = Vec::new();
        while let Expr::Cast { kind, expr, data_type, format } = expression {
            self.refuse_if(!matches!(kind, CastKind::Cast | CastKind::DoubleColon), "TRY_CAST and SAFE_CAST");
            self.refuse_if(format.is_some(), "CAST … FORMAT");
            types.push(data_type);
            expression = expr;
        }
        self.expression(expression);
        if let (Expr::Value(literal), Some(data_type)) = (expression, types.last()) {
            self.refuse_frozen_time(literal, data_type);
        }
        let position = self.position_of(expression);
        for data_type in types.into_iter().rev() {
            self.data_type(data_type, position);
        }
    }

    /// Records a schema before the name of a table, if the name has `count` parts.
    pub(super) fn qualifier(&mut self, parts: &[&Ident], count: usize) {
        if let [schema, table, ..] = parts
            && parts.len() == count
        {
            let (begin, end) = (schema.span.start.into(), table.span.start.into());
            self.uses.qualifiers.push(Qualifier { schema: folded(schema), table: folded(table), begin, end });
        }
    }

    fn access(&mut self, access: &AccessExpr) {
        match access {
            AccessExpr::Dot(Expr::Identifier(field)) => self.column(field),
            // PostgreSQL does not know `(x).f(…)`, but the parser accepts it. The function is checked like any other.
            AccessExpr::Dot(expression) => self.expression(expression),
            AccessExpr::Subscript(Subscript::Index { index }) => self.expression(index),
            AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride }) => {
                self.expressions(lower_bound);
                self.expressions(upper_bound);
                self.refuse_if(stride.is_some(), "a slice with a stride");
                self.expressions(stride);
            }
        }
    }

    fn binary_operator(&mut self, operator: &BinaryOperator) {
        match operator {
            BinaryOperator::Xor
            | BinaryOperator::DuckIntegerDivide
            | BinaryOperator::MyIntegerDivide
            | BinaryOperator::Match
            | BinaryOperator::Regexp
            | BinaryOperator::Glob
            | BinaryOperator::Spaceship
            | BinaryOperator::Assignment => self.foreign_operator(&operator.to_string()),
            BinaryOperator::PGCustomBinaryOperator(parts) => match parts.as_slice() {
                [_] => {}
                [schema, _] if schema.eq_ignore_ascii_case("pg_catalog") => {}
                _ => self.foreign_operator(&operator.to_string()),
            },
            BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
            | BinaryOperator::StringConcat
            | BinaryOperator::Gt
            | BinaryOperator::Lt
            | BinaryOperator::GtEq
            | BinaryOperator::LtEq
            | BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::And
            | BinaryOperator::Or
            | BinaryOperator::BitwiseOr
            | BinaryOperator::BitwiseAnd
            | BinaryOperator::BitwiseXor
            | BinaryOperator::Custom(_)
            | BinaryOperator::PGBitwiseXor
            | BinaryOperator::PGBitwiseShiftLeft
            | BinaryOperator::PGBitwiseShiftRight
            | BinaryOperator::PGExp
            | BinaryOperator::PGOverlap
            | BinaryOperator::PGRegexMatch
            | BinaryOperator::PGRegexIMatch
            | BinaryOperator::PGRegexNotMatch
            | BinaryOperator::PGRegexNotIMatch
            | BinaryOperator::PGLikeMatch
            | BinaryOperator::PGILikeMatch
            | BinaryOperator::PGNotLikeMatch
            | BinaryOperator::PGNotILikeMatch
            | BinaryOperator::PGStartsWith
            | BinaryOperator::Arrow
            | BinaryOperator::LongArrow
            | BinaryOperator::HashArrow
            | BinaryOperator::HashLongArrow
            | BinaryOperator::AtAt
            | BinaryOperator::AtArrow
            | BinaryOperator::ArrowAt
            | BinaryOperator::HashMinus
            | BinaryOperator::AtQuestion
            | BinaryOperator::Question
            | BinaryOperator::QuestionAnd
            | BinaryOperator::QuestionPipe
            | BinaryOperator::Overlaps
            | BinaryOperator::DoubleHash
            | BinaryOperator::LtDashGt
            | BinaryOperator::AndLt
            | BinaryOperator::AndGt
            | BinaryOperator::LtLtPipe
            | BinaryOperator::PipeGtGt
            | BinaryOperator::AndLtPipe
            | BinaryOperator::PipeAndGt
            | BinaryOperator::LtCaret
            | BinaryOperator::GtCaret
            | BinaryOperator::QuestionHash
            | BinaryOperator::QuestionDash
            | BinaryOperator::QuestionDashPipe
            | BinaryOperator::QuestionDoublePipe
            | BinaryOperator::At
            | BinaryOperator::TildeEq => {}
        }
    }

    fn unary_operator(&mut self, operator: UnaryOperator) {
        match operator {
            UnaryOperator::BangNot | UnaryOperator::PGPostfixFactorial | UnaryOperator::PGPrefixFactorial => {
                self.foreign_operator(&operator.to_string());
            }
            UnaryOperator::AtDashAt
            | UnaryOperator::BitwiseNot
            | UnaryOperator::DoubleAt
            | UnaryOperator::Hash
            | UnaryOperator::Plus
            | UnaryOperator::Minus
            | UnaryOperator::Not
            | UnaryOperator::PGAbs
            | UnaryOperator::PGCubeRoot
            | UnaryOperator::PGSquareRoot
            | UnaryOperator::QuestionDash
            | UnaryOperator::QuestionPipe => {}
        }
    }

    fn foreign_operator(&mut self, operator: &str) {
        let message = "only PostgreSQL's own operators can be used in a metric's SQL";
        self.find(FindingCode::OperatorNotAllowed, self.position, operator, message);
    }

    /// Checks a reserved word where an expression is expected.
    pub(super) fn value_function(&mut self, ident: &Ident) {
        const CLOCK: [&str; 5] = ["current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"];
        let name = folded(ident);
        if CLOCK.contains(&name.as_str()) {
            return;
        }
        let is_function = name.starts_with("current_") || name.ends_with("user");
        let (code, message) = if is_function {
            (
                FindingCode::FunctionNotAllowed,
                format!("`{name}` reads the session, which is the server's own: leave it out"),
            )
        } else {
            (
                FindingCode::NotUnderstood,
                format!("PostgreSQL reserves the word `{name}`: put it in double quotes where it is a name"),
            )
        };
        self.find(code, ident.span.start.into(), &ident.value, message);
    }
}

//! Checks calls of functions.

use sqlparser::ast::{
    Function, FunctionArg, FunctionArgExpr, FunctionArgOperator, FunctionArgumentClause, FunctionArgumentList,
    FunctionArguments, JsonReturningClause, ObjectName, ObjectNamePart, WindowType,
};

use super::{Walk, folded};
use crate::{Allowed, FindingCode};

/// Syntax of PostgreSQL that looks like a function call but is not.
const CALL_SYNTAX: [&str; 7] = ["coalesce", "nullif", "greatest", "least", "grouping", "row", "array"];

/// What to write instead of functions that authors commonly use.
const ADVICE: [(&str, &str); 8] = [
    ("clock_timestamp", "write `now()`, which is the same for the whole result"),
    ("timeofday", "write `now()`, which is the same for the whole result"),
    ("random", "the result of a metric is repeatable: sample with TABLESAMPLE … REPEATABLE"),
    ("gen_random_uuid", "the result of a metric is repeatable: number rows with `row_number() OVER (…)`"),
    ("pg_sleep", "a metric does not wait"),
    ("current_setting", "a metric does not read the server's settings: make it a parameter, `:name`"),
    ("set_config", "a metric does not change the server's settings"),
    ("nextval", "a metric changes nothing: number rows with `row_number() OVER (…)`"),
];

impl Walk<'_> {
    pub(super) fn function(&mut self, function: &Function) {
        let Function { name, uses_odbc_syntax, parameters, args, within_group, filter, null_treatment, over } =
            function;
        self.position = self.position_of(name);
        self.function_name(name, args);
        self.refuse_if(*uses_odbc_syntax, "{fn …}");
        self.refuse_if(!matches!(parameters, FunctionArguments::None), "a function with two lists of arguments");
        match args {
            FunctionArguments::None => {}
            FunctionArguments::Subquery(query) => self.query(query),
            FunctionArguments::List(FunctionArgumentList { duplicate_treatment: _, args, clauses }) => {
                self.arguments(args);
                for clause in clauses {
                    self.clause(clause);
                }
            }
        }
        self.order_by_expressions(within_group);
        self.expressions(filter.as_deref());
        self.refuse_if(null_treatment.is_some(), "IGNORE NULLS and RESPECT NULLS");
        match over {
            None => {}
            Some(WindowType::NamedWindow(name)) => self.name(name),
            Some(WindowType::WindowSpec(window)) => self.window(window),
        }
    }

    pub(super) fn arguments(&mut self, arguments: &[FunctionArg]) {
        for argument in arguments {
            let argument = match argument {
                FunctionArg::Named { name: _, arg, operator } => {
                    self.argument_operator(operator);
                    arg
                }
                FunctionArg::ExprNamed { name, arg, operator } => {
                    self.argument_operator(operator);
                    self.expression(name);
                    arg
                }
                FunctionArg::Unnamed(arg) => arg,
            };
            match argument {
                FunctionArgExpr::Expr(expression) => self.expression(expression),
                FunctionArgExpr::QualifiedWildcard(_) | FunctionArgExpr::Wildcard => {}
                FunctionArgExpr::WildcardWithOptions(options) => self.wildcard(options),
            }
        }
    }

    fn argument_operator(&mut self, operator: &FunctionArgOperator) {
        match operator {
            FunctionArgOperator::RightArrow
            | FunctionArgOperator::Assignment
            | FunctionArgOperator::Colon
            | FunctionArgOperator::Value => {}
            FunctionArgOperator::Equals | FunctionArgOperator::Space => {
                self.refuse_if(true, "an argument's name without =>");
            }
        }
    }

    fn clause(&mut self, clause: &FunctionArgumentClause) {
        match clause {
            FunctionArgumentClause::OrderBy(expressions) => self.order_by_expressions(expressions),
            FunctionArgumentClause::JsonNullClause(_) => {}
            FunctionArgumentClause::JsonReturningClause(JsonReturningClause { data_type }) => {
                self.data_type(data_type, self.position);
            }
            FunctionArgumentClause::IgnoreOrRespectNulls(_)
            | FunctionArgumentClause::Where(_)
            | FunctionArgumentClause::Limit(_)
            | FunctionArgumentClause::OnOverflow(_)
            | FunctionArgumentClause::Having(_)
            | FunctionArgumentClause::Separator(_) => self.refuse_if(true, "this clause among a function's arguments"),
        }
    }

    /// Checks the name of a called function.
    pub(super) fn function_name(&mut self, name: &ObjectName, arguments: &FunctionArguments) {
        let position = self.position_of(name);
        if let [ObjectNamePart::Identifier(ident)] = name.0.as_slice()
            && ident.quote_style.is_none()
        {
            let word = folded(ident);
            let has_list = matches!(arguments, FunctionArguments::List(_));
            let is_clock = ["current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"]
                .contains(&word.as_str());
            let is_array = word == "array" && matches!(arguments, FunctionArguments::Subquery(_));
            if is_clock || is_array || (has_list && word != "array" && CALL_SYNTAX.contains(&word.as_str())) {
                return;
            }
        }
        let Some((schema, function)) = self.schema_and_name(name) else { return };
        if self.allowed.is_function(schema.as_deref(), &function) {
            return;
        }
        let advice = ADVICE.iter().find(|(name, _)| *name == function).map(|(_, advice)| *advice);
        let advice = advice.or_else(|| Allowed::refusal(&function));
        let advice =
            advice.unwrap_or("write it with the functions that docs/guard.md lists, or have the operator allow it");
        let message = format!("the function `{function}` may not be called: {advice}");
        self.find(FindingCode::FunctionNotAllowed, position, &name.to_string(), message);
    }
}

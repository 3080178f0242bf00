//! Joins tokens to operators, as PostgreSQL reads them.

use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

/// The characters of operators.
const OPERATOR_CHARACTERS: &str = "+-*/<>=~!@#%^&|`?";

/// Whether the token is an operator, or a part of one.
pub(super) fn is_operator(token: &Token) -> bool {
    let written = token.to_string();
    !written.is_empty() && written.chars().all(is_operator_character)
}

pub(super) fn is_operator_character(character: char) -> bool {
    OPERATOR_CHARACTERS.contains(character)
}

/// The characters of operators that standard SQL does not use.
const NON_STANDARD_CHARACTERS: &str = "~!@#%^&|`?";

/// Joins the tokens of each operator, because the tokenizer splits operators that it does not know.
pub(super) fn with_operators(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut joined: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut rest = tokens;
    while let [token, remaining @ ..] = rest {
        let follows_point = joined.last().is_some_and(|last| last.token == Token::Period);
        let count = if follows_point { 0 } else { length_of_run(rest) };
        if count > 1 {
            let (run, remaining) = rest.split_at(count);
            push_operators(run, &mut joined);
            rest = remaining;
        } else {
            joined.push(token.clone());
            rest = remaining;
        }
    }
    joined
}

/// The number of adjacent tokens with operator characters at the start of `tokens`.
fn length_of_run(tokens: &[TokenWithSpan]) -> usize {
    let mut last: Option<Span> = None;
    let mut count = 0;
    for TokenWithSpan { token, span } in tokens {
        let touches = last.is_none_or(|last| last.end == span.start);
        if !touches || !is_operator(token) {
            break;
        }
        last = Some(*span);
        count += 1;
    }
    count
}

/// Adds the operators of a run of adjacent tokens.
///
/// By `scan.l`, an operator extends over all adjacent operator characters. A `+` or `-` at the end belongs to it only
/// if it has a non-standard character. So a run with such a character is one operator. Without one, the operator ends
/// before the `+` and `-` at the end of the run.
fn push_operators(run: &[TokenWithSpan], joined: &mut Vec<TokenWithSpan>) {
    let has = |token: &TokenWithSpan, characters: &str| {
        token.token.to_string().chars().any(|character| characters.contains(character))
    };
    let is_special = run.iter().any(|token| has(token, NON_STANDARD_CHARACTERS));
    let end = if is_special {
        run.len()
    } else {
        run.iter().rposition(|token| has(token, "*/<>=")).map_or(0, |last| last + 1)
    };
    let (operator, signs) = run.split_at(end);
    match operator {
        [first, .., last] => {
            let text = operator.iter().map(|part| part.token.to_string()).collect();
            joined.push(TokenWithSpan::new(Token::CustomBinaryOperator(text), first.span.union(&last.span)));
        }
        _ => joined.extend(operator.iter().cloned()),
    }
    joined.extend(signs.iter().cloned());
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::PostgreSqlDialect;
    use sqlparser::tokenizer::Tokenizer;

    use super::*;

    #[test]
    fn an_operator_is_as_long_as_postgresql_reads_it() {
        for (sql, operators) in [
            ("a *< b", vec!["*<"]),
            ("a === b", vec!["==="]),
            ("a*-1", vec!["*", "-"]),
            ("a |@| b @@ c", vec!["|@|", "@@"]),
            ("a * - b", vec!["*", "-"]),
        ] {
            let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().unwrap();
            let joined = with_operators(&tokens).into_iter().map(|token| token.token.to_string());
            let found: Vec<_> =
                joined.filter(|text| text.starts_with(|first| OPERATOR_CHARACTERS.contains(first))).collect();
            assert_eq!(found, operators, "{sql}");
        }
    }
}

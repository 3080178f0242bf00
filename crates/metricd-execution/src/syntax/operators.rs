//! Operators as PostgreSQL reads them.

use sqlparser::tokenizer::{Token, TokenWithSpan};

/// The tokens with one for each operator: the parser has tokens for those that it knows, and reads any other in pieces.
pub(super) fn with_operators(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut joined: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut rest = tokens;
    while let [token, behind @ ..] = rest {
        let follows_point = joined.last().is_some_and(|last| last.token == Token::Period);
        let count = if follows_point { 1 } else { length_of_operator(rest) };
        match rest.get(..count) {
            Some(parts) if count > 1 => {
                let text: String = parts.iter().map(|part| part.token.to_string()).collect();
                let span = parts.last().map_or(token.span, |last| token.span.union(&last.span));
                joined.push(TokenWithSpan::new(Token::CustomBinaryOperator(text), span));
                rest = &rest[count..];
            }
            _ => {
                joined.push(token.clone());
                rest = behind;
            }
        }
    }
    joined
}

/// PostgreSQL cuts longer operators, and takes none of them.
const MAX_OPERATOR_TOKENS: usize = 63;

/// How many tokens the operator has that begins here; 1 if it is one token, or none.
///
/// From `scan.l`: an operator is as long as there are such characters, but for `+` and `-` at its end, which belong to it
/// only where it has a character that no operator of standard SQL has.
fn length_of_operator(tokens: &[TokenWithSpan]) -> usize {
    let mut text = String::new();
    let mut ends = Vec::new();
    let mut last: Option<&TokenWithSpan> = None;
    for token in tokens.iter().take(MAX_OPERATOR_TOKENS) {
        let written = token.token.to_string();
        let touches = last.is_none_or(|last| last.span.end == token.span.start);
        if !touches || written.is_empty() || !written.chars().all(|character| "+-*/<>=~!@#%^&|`?".contains(character)) {
            break;
        }
        text.push_str(&written);
        ends.push(text.len());
        last = Some(token);
    }
    let special = |text: &str| text.contains(|character| "~!@#%^&|`?".contains(character));
    let mut operator = text.as_str();
    while operator.len() > 1 && operator.ends_with(['+', '-']) && !special(&operator[..operator.len() - 1]) {
        operator = &operator[..operator.len() - 1];
    }
    ends.iter().position(|end| *end == operator.len()).map_or(1, |index| index + 1)
}

//! Predicates on tokens.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// Whether the token is this word without quotes.
pub(super) fn is_word(token: &TokenWithSpan, word: &str) -> bool {
    matches!(&token.token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

/// Whether the token is one of these words without quotes.
pub(super) fn is_one_of(token: Option<&TokenWithSpan>, words: &[&str]) -> bool {
    token.is_some_and(|token| words.iter().any(|word| is_word(token, word)))
}

/// Whether the token equals this one.
pub(super) fn is(token: Option<&TokenWithSpan>, expected: &Token) -> bool {
    token.is_some_and(|token| token.token == *expected)
}

/// Whether the token is a word that the parser reads as a name.
pub(super) fn is_name(token: Option<&TokenWithSpan>) -> bool {
    matches!(token.map(|token| &token.token), Some(Token::Word(Word { keyword: Keyword::NoKeyword, .. })))
}

/// Whether the token is a string.
pub(super) fn is_string(token: Option<&TokenWithSpan>) -> bool {
    matches!(
        token.map(|token| &token.token),
        Some(
            Token::SingleQuotedString(_)
                | Token::DollarQuotedString(_)
                | Token::EscapedStringLiteral(_)
                | Token::NationalStringLiteral(_)
                | Token::UnicodeStringLiteral(_)
        )
    )
}

/// Keywords that can end an operand.
const OPERAND_END_KEYWORDS: &str = " null true false end default current_date current_time current_timestamp current_user current_role \
    current_catalog current_schema session_user user localtime localtimestamp year month day hour minute second zone \
    precision varying isnull notnull unknown normalized document bigint bit boolean char character dec decimal float int \
    integer interval nchar numeric real smallint time timestamp varchar ";

/// Whether an operand can end with this token. If so, an operator, an alias or a clause may follow.
pub(super) fn ends_operand(token: Option<&TokenWithSpan>) -> bool {
    let Some(token) = token else { return false };
    match &token.token {
        Token::Word(Word { keyword: Keyword::NoKeyword, .. })
        | Token::Number(..)
        | Token::Placeholder(_)
        | Token::RParen
        | Token::RBracket
        | Token::SingleQuotedByteStringLiteral(_)
        | Token::HexStringLiteral(_) => true,
        Token::Word(word) => OPERAND_END_KEYWORDS.contains(&format!(" {} ", word.value.to_ascii_lowercase())),
        _ => is_string(Some(token)),
    }
}

/// Keywords that end the select list.
pub(super) const CLAUSE_KEYWORDS: [&str; 14] = [
    "from",
    "where",
    "group",
    "having",
    "window",
    "order",
    "limit",
    "offset",
    "fetch",
    "for",
    "union",
    "intersect",
    "except",
    "into",
];

/// Whether a column of the select list can end before this token.
pub(super) fn ends_column(token: Option<&TokenWithSpan>) -> bool {
    match token.map(|token| &token.token) {
        None | Some(Token::EOF | Token::Comma | Token::RParen | Token::SemiColon) => true,
        _ => is_one_of(token, &CLAUSE_KEYWORDS),
    }
}

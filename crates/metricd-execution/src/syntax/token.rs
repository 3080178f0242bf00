//! Questions that are asked of tokens.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// Whether it is this word, not in quotes.
pub(super) fn is_word(token: &TokenWithSpan, word: &str) -> bool {
    matches!(&token.token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

/// Whether it is one of these words, not in quotes.
pub(super) fn is_one_of(token: Option<&TokenWithSpan>, words: &[&str]) -> bool {
    token.is_some_and(|token| words.iter().any(|word| is_word(token, word)))
}

/// Whether it is this token.
pub(super) fn is(token: Option<&TokenWithSpan>, expected: &Token) -> bool {
    token.is_some_and(|token| token.token == *expected)
}

/// Whether it is a word that the parser takes for a name.
pub(super) fn is_name(token: Option<&TokenWithSpan>) -> bool {
    matches!(token.map(|token| &token.token), Some(Token::Word(Word { keyword: Keyword::NoKeyword, .. })))
}

/// Whether it is a string.
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

/// Keywords with which an operand ends.
const LAST_WORDS: &str = " null true false end default current_date current_time current_timestamp current_user current_role \
    current_catalog current_schema session_user user localtime localtimestamp year month day hour minute second zone \
    precision varying isnull notnull unknown normalized document bigint bit boolean char character dec decimal float int \
    integer interval nchar numeric real smallint time timestamp varchar ";

/// Whether an operand may end with this: what follows it is an operator, an alias, or a clause.
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
        Token::Word(word) => LAST_WORDS.contains(&format!(" {} ", word.value.to_ascii_lowercase())),
        _ => is_string(Some(token)),
    }
}

/// Words that end the list of a SELECT.
pub(super) const CLAUSES: [&str; 14] = [
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

/// Whether a column of a result may end before this.
pub(super) fn ends_column(token: Option<&TokenWithSpan>) -> bool {
    match token.map(|token| &token.token) {
        None | Some(Token::EOF | Token::Comma | Token::RParen | Token::SemiColon) => true,
        _ => is_one_of(token, &CLAUSES),
    }
}

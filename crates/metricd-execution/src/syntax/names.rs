//! Decides which words are names, as PostgreSQL does.
//!
//! The parser knows the keywords of many dialects, and reads some of them as syntax in any position. PostgreSQL has
//! fewer keywords and reserves few of them. It reads the others as names wherever its grammar has no other use for
//! them. Before the parser runs, this module decides which words are names, by PostgreSQL's list of keywords and by the
//! tokens around the word. Mistaking syntax for a name is safe: the guard checks the name like any other, or the text
//! does not parse and is refused.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::clause::{Clause, ClauseTracker};
use super::keywords::{Category, is_reserved, keyword};
use super::token::{ends_column, ends_operand, is, is_name, is_one_of, is_string};

/// Marks every word as a name that PostgreSQL reads as a name.
pub(super) fn with_names(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut done: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut clauses = ClauseTracker::new();
    // SQL that writes or locks is refused anyway. Its words are not made names, so that the refusal states the right
    // reason.
    let mut is_refused = false;
    for at in 0..tokens.len() {
        let rest = tokens.get(at..).unwrap_or_default();
        let Some(token) = rest.first() else { break };
        let word = WordContext { done: &done, rest, clauses: &clauses };
        is_refused = is_refused || word.writes_or_locks();
        let decided = match &token.token {
            Token::Word(found) if found.quote_style.is_none() && !is_refused && word.is_name() => {
                TokenWithSpan::new(Token::Word(name(found)), token.span)
            }
            _ => token.clone(),
        };
        clauses.advance(&done, &decided);
        done.push(decided);
    }
    done
}

/// The word as a name: in quotes if PostgreSQL reserves it.
fn name(word: &Word) -> Word {
    let (value, quote_style) = if is_reserved(&word.value) {
        (word.value.to_ascii_lowercase(), Some('"'))
    } else {
        (word.value.clone(), None)
    };
    Word { value, quote_style, keyword: Keyword::NoKeyword }
}

/// A word, with the tokens around it.
#[derive(Clone, Copy)]
struct WordContext<'a> {
    /// The tokens before the word, in which names are already marked.
    done: &'a [TokenWithSpan],
    /// The word, and the tokens after it.
    rest: &'a [TokenWithSpan],
    clauses: &'a ClauseTracker,
}

impl<'a> WordContext<'a> {
    fn before(&self) -> Option<&'a TokenWithSpan> {
        self.done.last()
    }

    fn second_before(&self) -> Option<&'a TokenWithSpan> {
        self.done.iter().nth_back(1)
    }

    fn next(&self) -> Option<&'a TokenWithSpan> {
        self.rest.get(1)
    }

    fn follows(&self, words: &[&str]) -> bool {
        is_one_of(self.before().filter(|before| !is_name(Some(before))), words)
    }

    /// Whether the word follows IS or IS NOT.
    fn follows_is(&self) -> bool {
        self.follows(&["is"]) || (self.follows(&["not"]) && is_one_of(self.second_before(), &["is"]))
    }

    fn next_is(&self, words: &[&str]) -> bool {
        is_one_of(self.next(), words)
    }

    fn opens(&self) -> bool {
        is(self.next(), &Token::LParen)
    }

    /// Whether an operand ends before the word, so that an operator, an alias or a clause may begin.
    fn follows_operand(&self) -> bool {
        ends_operand(self.before())
    }

    fn clause(&self) -> Clause {
        self.clauses.clause()
    }

    /// Whether a statement that writes or a locking clause begins here.
    fn writes_or_locks(&self) -> bool {
        let word = self.rest.first();
        let begins =
            is(self.before(), &Token::LParen) || (is(self.before(), &Token::RParen) && self.clause() == Clause::Other);
        let is_word_next = matches!(self.next().map(|next| &next.token), Some(Token::Word(_)));
        let is_set = is_one_of(self.rest.get(2), &["set", "as"]) || is(self.rest.get(2), &Token::Period);
        let locks = self.follows(&["for"]) && self.clause() != Clause::Substring;
        (begins && is_one_of(word, &["insert", "merge"]) && self.next_is(&["into"]))
            || (begins && is_one_of(word, &["delete"]) && self.next_is(&["from"]))
            || (begins && is_one_of(word, &["update"]) && (self.next_is(&["only"]) || (is_word_next && is_set)))
            || (locks && is_one_of(word, &["update", "share", "no", "key"]))
    }

    fn is_name(&self) -> bool {
        let Some(Token::Word(Word { value, .. })) = self.rest.first().map(|token| &token.token) else { return false };
        let word = value.to_ascii_lowercase();
        let keyword = keyword(&word);
        if is(self.before(), &Token::Period) {
            return true;
        }
        let Some(keyword) = keyword else { return !self.follows(&["tablesample"]) };
        if is(self.next(), &Token::RArrow) || is(self.next(), &Token::Assignment) {
            return !matches!(keyword.category, Category::ColumnName | Category::Reserved);
        }
        if self.follows(&["as"]) && self.clause() == Clause::Columns {
            return true;
        }
        let is_bare_alias = self.clause() == Clause::Columns
            && !self.clauses.is_in_case()
            && !keyword.needs_as
            && self.follows_operand()
            && ends_column(self.next())
            && !(word == "zone" && self.follows(&["time"]));
        if is_bare_alias {
            return true;
        }
        match keyword.category {
            Category::Unreserved => !self.is_syntax(&word),
            Category::ColumnName => !self.is_call_or_type(&word),
            Category::FunctionOrType => self.is_function(&word),
            Category::Reserved => false,
        }
    }

    /// Whether an unreserved word is syntax here, by PostgreSQL's grammar.
    fn is_syntax(&self, word: &str) -> bool {
        let clause = self.clause();
        let in_window = clause == Clause::Window;
        let closed = is(self.before(), &Token::RParen);
        match word {
            "over" => closed && matches!(self.next().map(|next| &next.token), Some(Token::LParen | Token::Word(_))),
            "filter" => closed && self.opens(),
            "within" => closed && self.next_is(&["group"]),
            "partition" => self.next_is(&["by"]),
            "by" => self.follows(&["group", "order", "partition"]) || is_one_of(self.before(), &["first"]),
            "range" | "groups" => in_window && self.begins_frame(),
            "rows" => {
                (in_window && self.begins_frame())
                    || (clause == Clause::Other && (self.follows_operand() || self.follows(&["first", "next"])))
                    || (clause == Clause::Sources && self.next_is(&["from"]) && is(self.rest.get(2), &Token::LParen))
            }
            "unbounded" => in_window && self.next_is(&["preceding", "following"]),
            "preceding" | "following" => in_window && (self.follows_operand() || self.follows(&["unbounded"])),
            "current" => in_window && self.next_is(&["row"]),
            "ties" | "ordinality" => self.follows(&["with"]),
            "nulls" => self.next_is(&["first", "last"]) && !self.begins_operand(),
            "first" => self.follows(&["nulls", "fetch"]),
            "last" => self.follows(&["nulls"]),
            "next" => self.follows(&["fetch"]),
            "recursive" => self.follows(&["with"]) && !self.next_is(&["as"]) && !self.opens(),
            "materialized" => self.follows(&["as", "not"]) && self.opens(),
            "without" => self.next_is(&["time"]),
            "at" => self.follows_operand() && self.next_is(&["time", "local"]),
            "zone" => self.follows(&["time"]),
            "local" => self.follows(&["at"]),
            "escape" => self.follows_operand() && !matches!(clause, Clause::Sources | Clause::Definitions),
            "operator" => self.opens() && self.names_operator(),
            "unknown" | "document" => self.follows_is(),
            "normalized" => self.follows_is() || self.follows(&["nfc", "nfd", "nfkc", "nfkd"]),
            "nfc" | "nfd" | "nfkc" | "nfkd" => self.follows_is() && self.next_is(&["normalized"]),
            "year" | "month" | "day" | "hour" | "minute" | "second" => self.is_interval_field(),
            "varying" => self.follows(&["char", "character", "bit", "nchar"]),
            "double" => self.next_is(&["precision"]),
            "value" => {
                self.follows(&["json"])
                    || (clause == Clause::Other && self.follows_operand() && !ends_column(self.next()))
            }
            "absent" => self.next_is(&["on"]),
            "object" | "scalar" => self.follows(&["json"]),
            "keys" => self.follows(&["unique"]),
            "sets" => self.follows(&["grouping"]),
            "cube" | "rollup" => clause == Clause::Grouping && self.opens() && !self.follows_operand(),
            "system" => self.follows(&["tablesample"]),
            "repeatable" => closed && self.opens() && clause == Clause::Sources,
            "temp" | "temporary" | "unlogged" => self.follows(&["into"]),
            _ => false,
        }
    }

    /// Whether an operand begins here, rather than NULLS FIRST or NULLS LAST of the previous one.
    fn begins_operand(&self) -> bool {
        self.follows(&["select", "by", "distinct", "all"])
            || is(self.before(), &Token::Comma)
            || is(self.before(), &Token::LParen)
    }

    fn begins_frame(&self) -> bool {
        let begins = is(self.before(), &Token::LParen)
            || self.follows_operand()
            || self.follows(&["asc", "desc", "first", "last"]);
        let ends = matches!(
            self.next().map(|next| &next.token),
            None | Some(Token::EOF | Token::RParen | Token::Comma | Token::Period)
        );
        begins && !ends && !self.next_is(&["order", "partition"])
    }

    /// Whether the parentheses after the word contain an operator, with or without a schema.
    fn names_operator(&self) -> bool {
        let inside = self.rest.iter().skip(2).find(|token| !matches!(token.token, Token::Word(_) | Token::Period));
        !matches!(
            inside.map(|token| &token.token),
            None | Some(Token::RParen | Token::LParen | Token::Comma | Token::Number(..) | Token::Placeholder(_))
        ) && !is_string(inside)
    }

    fn is_interval_field(&self) -> bool {
        let of_string = is_string(self.before())
            && (is_one_of(self.second_before(), &["interval"]) || is(self.second_before(), &Token::RParen));
        of_string || self.follows(&["to", "interval"])
    }

    /// Whether a word that cannot name functions and types is a built-in function or type of PostgreSQL here.
    fn is_call_or_type(&self, word: &str) -> bool {
        let follows_operand = self.follows_operand();
        match word {
            "between" => {
                (follows_operand && self.clause() != Clause::Sources)
                    || self.follows(&["not", "range", "rows", "groups"])
            }
            "values" => self.opens(),
            "none" | "out" | "inout" => false,
            "precision" => self.follows(&["double"]),
            "json" => self.follows_is(),
            "row" => {
                (self.opens() && !follows_operand)
                    || (self.clause() == Clause::Window && self.follows(&["current"]))
                    || (self.clause() == Clause::Other && (follows_operand || self.follows(&["first", "next"])))
            }
            "grouping" => (self.opens() && !follows_operand) || self.next_is(&["sets"]),
            "coalesce" | "nullif" | "greatest" | "least" | "exists" | "extract" | "normalize" | "overlay"
            | "position" | "substring" | "treat" | "trim" => self.opens() && !follows_operand,
            _ if word.starts_with("xml") => self.opens() && !follows_operand,
            "interval" => {
                self.is_type_here()
                    || is_string(self.next())
                    || (self.opens() && is(self.rest.get(3), &Token::RParen) && is_string(self.rest.get(4)))
            }
            "time" | "timestamp" => {
                self.is_type_here()
                    || is_string(self.next())
                    || self.follows(&["at"])
                    || (self.opens() && !follows_operand)
                    || (self.next_is(&["with", "without"]) && is_one_of(self.rest.get(2), &["time"]))
                    || (self.follows(&["with", "without"]) && self.next_is(&["zone"]))
            }
            "bigint" | "bit" | "boolean" | "char" | "character" | "dec" | "decimal" | "float" | "int" | "integer"
            | "national" | "nchar" | "numeric" | "real" | "setof" | "smallint" | "varchar" => {
                self.is_type_here()
                    || is_string(self.next())
                    || (self.opens() && !follows_operand)
                    || (!follows_operand && self.next_is(&["varying", "char", "character"]))
            }
            _ => false,
        }
    }

    /// Whether a type is expected here, rather than an expression.
    fn is_type_here(&self) -> bool {
        is(self.before(), &Token::DoubleColon)
            || (self.follows(&["as"]) && self.clause() == Clause::Cast)
            || self.follows(&["national"])
            || (self.clause() == Clause::Definitions && is_name(self.before()))
    }

    /// Whether a word that can only name functions and types is a name here, rather than an operator or a join.
    fn is_function(&self, word: &str) -> bool {
        const JOINS: [&str; 8] = ["cross", "left", "right", "full", "inner", "outer", "natural", "join"];
        let negates_operator = self.follows(&["not"]) && ends_operand(self.second_before());
        let is_used = self.opens() || is_string(self.next());
        is_used && word != "current_schema" && !self.follows_operand() && !negates_operator && !self.follows(&JOINS)
    }
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::PostgreSqlDialect;
    use sqlparser::tokenizer::Tokenizer;

    use super::*;

    /// The words of the text that are not names.
    fn syntax(sql: &str) -> Vec<String> {
        let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().unwrap();
        let tokens: Vec<_> = tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
        let words = with_names(&tokens).into_iter().filter_map(|token| match token.token {
            Token::Word(word) if word.keyword != Keyword::NoKeyword => Some(word.value),
            _ => None,
        });
        words.collect()
    }

    #[test]
    fn a_word_is_syntax_only_if_postgresql_reads_it_as_syntax() {
        for (sql, expected) in [
            ("SELECT member, top, match FROM view, sort", "SELECT FROM"),
            ("SELECT interval, interval '1' day FROM t", "SELECT interval day FROM"),
            ("SELECT 1 AS from, 2 user FROM t", "SELECT AS FROM"),
            ("SELECT a and FROM t", "SELECT FROM"),
            ("SELECT a and b, CASE a WHEN 1 THEN 2 END FROM t", "SELECT and CASE WHEN THEN END FROM"),
            ("SELECT t.order FROM t", "SELECT FROM"),
            ("SELECT sum(over) OVER (ORDER BY range RANGE 1 PRECEDING)", "SELECT OVER ORDER BY RANGE PRECEDING"),
            ("SELECT left(a, 1) FROM t LEFT JOIN u ON true", "SELECT FROM LEFT JOIN ON true"),
            ("SELECT CAST(a AS interval) FROM t exists", "SELECT CAST AS interval FROM"),
            ("SELECT a FROM t FOR UPDATE", "SELECT FROM FOR UPDATE"),
            ("SELECT f(left => 1)", "SELECT"),
        ] {
            assert_eq!(syntax(sql).join(" "), expected, "{sql}");
        }
    }
}

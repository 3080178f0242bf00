//! The parameters in the text of a statement.

use std::ops::Range;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;

/// One use of a parameter, with its colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placeholder {
    /// The index of the parameter, from 0.
    pub(crate) index: usize,
    /// The byte range in the text of the statement.
    pub(crate) range: Range<usize>,
}

/// An open bracket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Parenthesis,
    /// `ARRAY[…]`, or a bracket inside it.
    Constructor,
    /// `days[…]`, in which a colon separates the bounds of a slice.
    Subscript,
}

/// The open brackets, and whether the next one begins an array.
#[derive(Debug, Default)]
pub(super) struct Brackets {
    open: Vec<Bracket>,
    is_constructor_next: bool,
}

impl Brackets {
    /// Whether a colon here separates the bounds of a slice.
    pub(super) fn is_slice(&self) -> bool {
        self.open.last() == Some(&Bracket::Subscript)
    }

    /// Processes the next token.
    pub(super) fn advance(&mut self, token: &Token) {
        let is_in_constructor = self.open.last() == Some(&Bracket::Constructor);
        match token {
            Token::LParen => self.open.push(Bracket::Parenthesis),
            Token::LBracket if self.is_constructor_next => self.open.push(Bracket::Constructor),
            Token::LBracket => self.open.push(Bracket::Subscript),
            Token::RParen | Token::RBracket => {
                self.open.pop();
            }
            _ => {}
        }
        self.is_constructor_next = match token {
            Token::Word(word) => word.keyword == Keyword::ARRAY && word.quote_style.is_none(),
            Token::LBracket => self.open.last() == Some(&Bracket::Constructor),
            Token::Comma => is_in_constructor,
            _ => false,
        };
    }
}

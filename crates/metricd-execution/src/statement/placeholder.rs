//! Where the parameters of a statement stand.

use std::ops::Range;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;

/// A parameter's name where it stands, with its colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placeholder {
    /// Which of the statement's parameters it is, from 0.
    pub(crate) index: usize,
    /// Its bytes in the statement's text.
    pub(crate) range: Range<usize>,
}

/// A bracket that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Parenthesis,
    /// `ARRAY[…]`, or one inside of it.
    Constructor,
    /// `days[…]`, where a colon parts the bounds of a slice.
    Subscript,
}

/// The brackets that are open, and what stood last.
#[derive(Debug, Default)]
pub(super) struct Brackets {
    open: Vec<Bracket>,
    is_constructor_next: bool,
}

impl Brackets {
    /// Whether a colon that stands here parts the bounds of a slice.
    pub(super) fn is_slice(&self) -> bool {
        self.open.last() == Some(&Bracket::Subscript)
    }

    /// Takes the next token.
    pub(super) fn pass(&mut self, token: &Token) {
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

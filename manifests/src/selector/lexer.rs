//! The words and signs of a selector's text. Knows no grammar.

use super::SelectorError;

/// One word or sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Word(&'a str),
    Comma,
    Not,
    Equal,
    NotEqual,
    Greater,
    Less,
    Open,
    Close,
    End,
}

/// Reads a selector's text token by token.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    whole: &'a str,
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Lexer<'a> {
        Lexer { whole: text, rest: text }
    }

    pub(super) fn peek(&self) -> Token<'a> {
        self.step().0
    }

    pub(super) fn next(&mut self) -> Token<'a> {
        let (token, rest) = self.step();
        self.rest = rest;
        token
    }

    pub(super) fn unexpected(&self, expected: &'static str, found: Token<'_>) -> SelectorError {
        let found = match found {
            Token::Word(word) => format!("{word:?}"),
            Token::Comma => "','".to_owned(),
            Token::Not => "'!'".to_owned(),
            Token::Equal => "'='".to_owned(),
            Token::NotEqual => "'!='".to_owned(),
            Token::Greater => "'>'".to_owned(),
            Token::Less => "'<'".to_owned(),
            Token::Open => "'('".to_owned(),
            Token::Close => "')'".to_owned(),
            Token::End => "the end".to_owned(),
        };
        SelectorError::Syntax { selector: self.whole.to_owned(), expected, found }
    }

    fn step(&self) -> (Token<'a>, &'a str) {
        let rest = self.rest.trim_start();
        let signs = [
            ("==", Token::Equal),
            ("!=", Token::NotEqual),
            ("=", Token::Equal),
            ("!", Token::Not),
            (",", Token::Comma),
            (">", Token::Greater),
            ("<", Token::Less),
            ("(", Token::Open),
            (")", Token::Close),
        ];
        if rest.is_empty() {
            return (Token::End, rest);
        }
        for (sign, token) in signs {
            if let Some(rest) = rest.strip_prefix(sign) {
                return (token, rest);
            }
        }
        let end = rest.find(|c: char| c.is_whitespace() || "=!,><()".contains(c)).unwrap_or(rest.len());
        (Token::Word(&rest[..end]), &rest[end..])
    }
}

/// Splits at `separator` where no backslash stands before it.
pub(super) fn split_unescaped(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (index, character) in text.char_indices() {
        if character == separator && !escaped {
            parts.push(&text[start..index]);
            start = index + character.len_utf8();
        }
        escaped = character == '\\' && !escaped;
    }
    parts.push(&text[start..]);
    parts
}

/// Takes out the backslashes that keep the next character from being a sign.
pub(super) fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    plain
}

//! The tokens of a label selector.
//!
//! Owns: how the text is cut into them. Must not know: in which order they may come.

/// One token; what it says is beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    End,
    Close,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    Greater,
    Word,
    In,
    Less,
    NotEquals,
    NotIn,
    Open,
    /// Symbols that mean nothing.
    Unknown,
}

pub(super) type Token = (Kind, String);

/// Cuts the text into tokens; the last one is [`Kind::End`].
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    // The grammar ends at a NUL as at the end.
    let mut rest = text.split('\0').next().unwrap_or_default();
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(first) = rest.chars().next() else { break };
        let (token, length) = if is_symbol(first) { symbol(rest) } else { word(rest) };
        found.push(token);
        rest = &rest[length..];
    }
    found.push((Kind::End, String::new()));
    found
}

fn is_symbol(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn word(text: &str) -> (Token, usize) {
    let ends = |c: char| is_symbol(c) || matches!(c, ' ' | '\t' | '\r' | '\n');
    let length = text.find(ends).unwrap_or(text.len());
    let word = &text[..length];
    let kind = match word {
        "in" => Kind::In,
        "notin" => Kind::NotIn,
        _ => Kind::Word,
    };
    ((kind, word.to_owned()), length)
}

fn symbol(text: &str) -> (Token, usize) {
    const SYMBOLS: [(&str, Kind); 9] = [
        ("==", Kind::DoubleEquals),
        ("!=", Kind::NotEquals),
        (")", Kind::Close),
        (",", Kind::Comma),
        ("!", Kind::Not),
        ("=", Kind::Equals),
        (">", Kind::Greater),
        ("<", Kind::Less),
        ("(", Kind::Open),
    ];
    match SYMBOLS.iter().find(|(symbol, _)| text.starts_with(symbol)) {
        Some((symbol, kind)) => ((*kind, (*symbol).to_owned()), symbol.len()),
        None => ((Kind::Unknown, text.to_owned()), text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_need_no_space_around_them() {
        let kinds = |text| tokens(text).into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
        assert_eq!(
            kinds("a in(x,y),!b"),
            [
                Kind::Word,
                Kind::In,
                Kind::Open,
                Kind::Word,
                Kind::Comma,
                Kind::Word,
                Kind::Close,
                Kind::Comma,
                Kind::Not,
                Kind::Word,
                Kind::End,
            ]
        );
        assert_eq!(kinds("a==b"), [Kind::Word, Kind::DoubleEquals, Kind::Word, Kind::End]);
        assert_eq!(kinds(" \t "), [Kind::End]);
    }
}

//! Text from nodes, made harmless for HTML and for terminals. Never: what it means.

/// Text that may stand in HTML, between tags and in quoted attributes. Control characters become visible.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(character),
            hidden if is_hidden(hidden) => out.push('\u{fffd}'),
            plain => out.push(plain),
        }
    }
    out
}

/// Control characters, and the marks that turn the direction of text: a target could make one name look like another.
pub(crate) fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// One line of text without control characters, for terminals: no escape sequence of a target reaches one.
pub(crate) fn plain_line(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\n' | '\r' | '\t' => ' ',
            hidden if is_hidden(hidden) => '\u{fffd}',
            plain => plain,
        })
        .collect()
}

/// Lines without control characters but their ends, for terminals and logs.
pub(crate) fn plain_lines(text: &str) -> String {
    text.lines().map(plain_line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_made_harmless() {
        assert_eq!(escape("<b a='\"'>&\u{0}\u{202e}"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;\u{fffd}\u{fffd}");
        assert_eq!(plain_line("a\u{1b}[31m\nb"), "a\u{fffd}[31m b");
        assert_eq!(plain_lines("a\u{7}\nb"), "a\u{fffd}\nb");
    }
}

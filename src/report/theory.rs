//! The measured figures of theory: a card for each question that the record answers.
use super::input::ReportInput;
use super::words::{self, escape};
use std::fmt::Write;

/// The cards; empty if the record answers no question.
pub(super) fn cards(input: &ReportInput<'_>) -> anyhow::Result<String> {
    let theory = &input.verdict.theory;
    if theory.is_empty() {
        return Ok(String::new());
    }
    let mut html = String::from("<section id=\"theory\"><h2>Measured theory</h2>\n<div class=\"cards\">");
    for one in theory {
        let _ = write!(html, "<section class=\"card\"><h2>{}</h2><ul>", escape(&words::shorten(&one.title, 80)));
        for line in &one.lines {
            let _ = write!(html, "<li>{}</li>", escape(&words::shorten(line, 300)));
        }
        html.push_str("</ul></section>");
    }
    html.push_str(
        "</div>\n<p class=\"caption\">From the record of this run. Moments that a probe saw are upper bounds. A question \
         without enough data is left out.</p></section>\n",
    );
    Ok(html)
}

/// One line for each question.
pub(super) fn lines(input: &ReportInput<'_>) -> Vec<String> {
    let line = |one: &crate::store::Theory| {
        let text = format!("{}: {}", one.title, one.lines.join("; "));
        words::plain_line(&words::shorten(&text, 400))
    };
    input.verdict.theory.iter().map(line).collect()
}

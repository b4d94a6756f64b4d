//! `report/`: the same content without scripts and inline styles, for strict content policies.
use super::contents;
use super::input::{ReportInput, Source, part};
use super::page::STYLE;
use super::sections::{self, Page};
use super::words::{escape, word};
use std::cell::RefCell;
use std::fmt::Write;

/// The files of the folder: names and contents.
pub(super) fn draw(input: &ReportInput<'_>) -> Vec<(String, String)> {
    let page = Page::Plain(RefCell::new(Vec::new()));
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>{} · {} · dsfuzz</title>\n\
         <link rel=\"stylesheet\" href=\"style.css\">\n</head>\n<body>\n",
        word(input.verdict.validity),
        escape(&input.info.plan),
    );
    html.push_str(&part("The verdict", || sections::banner(input, &page)));
    let other =
        if input.source == Source::NoLoad { "The report as one file" } else { "The report with charts to zoom in" };
    let _ = writeln!(html, "<main>\n<p><a href=\"../report.html\">{other}</a></p>");
    html.push_str(&contents::draw(input, &page));
    html.push_str("</main>\n</body>\n</html>\n");
    let mut files = vec![("index.html".to_string(), html), ("style.css".to_string(), STYLE.to_string())];
    if let Page::Plain(pictures) = page {
        files.extend(pictures.into_inner());
    }
    files
}

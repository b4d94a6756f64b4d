//! `report/`: the same content without scripts, inline styles or anything else that a strict policy forbids.
use super::charts;
use super::page::STYLE;
use super::sections::{self, Page};
use super::subject::{Source, Subject, part};
use super::tables;
use super::words::{escape, word};
use std::cell::RefCell;
use std::fmt::Write;

/// The files of the folder: names and contents.
pub(super) fn draw(subject: &Subject<'_>) -> Vec<(String, String)> {
    let page = Page::Plain(RefCell::new(Vec::new()));
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>{} · {} · dsfuzz</title>\n\
         <link rel=\"stylesheet\" href=\"style.css\">\n</head>\n<body>\n",
        word(subject.verdict.validity),
        escape(&subject.info.plan),
    );
    html.push_str(&part("The verdict", || sections::banner(subject, &page)));
    let other =
        if subject.source == Source::NoLoad { "The report as one file" } else { "The report with charts to zoom in" };
    let _ = writeln!(html, "<main>\n<p><a href=\"../report.html\">{other}</a></p>");
    html.push_str(&part("The counterexample", || sections::counterexamples(subject, &page)));
    html.push_str(&part("The promises", || sections::promises(subject)));
    let mut figures = String::new();
    for chart in charts::ALL {
        figures.push_str(&part(chart.title, || {
            let Some(svg) = (chart.draw)(subject) else { return Ok(String::new()) };
            let Page::Plain(files) = &page else { return Ok(String::new()) };
            files.borrow_mut().push((chart.file.to_string(), svg));
            let mut figure = String::new();
            writeln!(
                figure,
                "<figure><figcaption>{title}. {caption}</figcaption><img src=\"{}\" alt=\"{title}\"></figure>",
                chart.file,
                title = escape(chart.title),
                caption = escape(chart.caption),
            )?;
            Ok(figure)
        }));
    }
    if !figures.is_empty() {
        let _ = write!(html, "<section id=\"charts\"><h2>The run</h2>\n{figures}</section>\n");
    }
    html.push_str(&part("The faults", || tables::faults(subject)));
    html.push_str(&part("The evidence", || tables::evidence(subject)));
    html.push_str(&part("The errors", || tables::errors(subject)));
    html.push_str(&part("The harness's health", || tables::health(subject)));
    html.push_str(&part("The phases", || tables::phases(subject)));
    html.push_str(&part("The set-up", || tables::setup(subject, &page)));
    html.push_str(&part("The files", || tables::files(subject, &page)));
    html.push_str("</main>\n</body>\n</html>\n");
    let mut files = vec![("index.html".to_string(), html), ("style.css".to_string(), STYLE.to_string())];
    if let Page::Plain(pictures) = page {
        files.extend(pictures.into_inner());
    }
    files
}

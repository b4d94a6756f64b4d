//! `report.html`: one self-contained file that uses no network.
//!
//! Its content policy runs only its own script, named by its hash, so that unescaped text of a target would still not run.
use super::contents;
use super::data;
use super::input::{ReportInput, part};
use super::palette;
use super::sections::{self, Page};
use super::words::{escape, word};
use base64::Engine;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::sync::LazyLock;

/// The style sheet of all pages: the light colours of [`palette::FILE`], then `style.css`, which may override them by dark.
pub(crate) static STYLE: LazyLock<String> =
    LazyLock::new(|| format!(":root {{ {} }}\n{}", palette::FILE.variables(), include_str!("style.css")));
const SCRIPTS: [&str; 4] =
    [include_str!("data.js"), include_str!("timeline.js"), include_str!("painters.js"), include_str!("page.js")];

/// The whole page.
pub(super) fn draw(input: &ReportInput<'_>) -> String {
    let page = Page::Scripted;
    let script = format!("\n(() => {{\n\"use strict\";\n{}}})();\n", SCRIPTS.join("\n"));
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(script.as_bytes()));
    let (packed, meta) = match columns(input) {
        Ok(columns) => columns,
        Err(error) => {
            tracing::error!(%error, "the operations could not be packed for the report");
            (String::new(), "{}".to_string())
        }
    };
    let mut html = String::with_capacity(packed.len() + meta.len() + 400_000);
    let _ = write!(
        html,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; script-src 'sha256-{hash}'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action \
         'none'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" \
         content=\"no-referrer\">\n<link rel=\"icon\" href=\"data:,\">\n<title>{} · {} · dsfuzz</title>\n\
         <style>\n{}</style>\n</head>\n<body>\n",
        word(input.verdict.validity),
        escape(&input.info.plan),
        *STYLE,
    );
    html.push_str(&part("The verdict", || sections::banner(input, &page)));
    html.push_str("<main>\n");
    html.push_str(&contents::draw(input, &page));
    html.push_str("</main>\n");
    html.push_str(RECORD);
    html.push_str("<script type=\"application/json\" id=\"meta\">");
    html.push_str(&meta);
    html.push_str("</script>\n<script type=\"application/octet-stream\" id=\"ops\">");
    html.push_str(&packed);
    html.push_str("</script>\n<script>");
    html.push_str(&script);
    html.push_str("</script>\n</body>\n</html>\n");
    html
}

fn columns(input: &ReportInput<'_>) -> anyhow::Result<(String, String)> {
    let packed = data::pack(input.history, &input.summary);
    let meta = data::meta(input.history, &input.summary, &packed, &input.marked())?;
    Ok((packed.base64, meta))
}

const RECORD: &str = "<aside id=\"record\" aria-live=\"polite\" aria-labelledby=\"record-title\" hidden>\
    <button type=\"button\" id=\"record-close\" aria-label=\"Close the record\">Close</button>\
    <h3 id=\"record-title\">Operation</h3><dl id=\"record-fields\"></dl></aside>\n";

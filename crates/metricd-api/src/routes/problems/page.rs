//! HTML pages of problem codes, without styles or scripts, as the security policy requires.

use std::fmt::Write;

use crate::ProblemCode;

/// The page of one code.
pub(super) fn of_one(code: ProblemCode) -> String {
    let mut body = format!("<h1>{}</h1>\n", escape(code.title()));
    let _ = writeln!(body, "<p>{}</p>", prose(code.detail()));
    let (code, status) = (code.code(), code.status().as_u16());
    let _ = writeln!(body, "<p>Code <code>{code}</code>, status {status}.</p>");
    body += "<p><a href=\"/problems\">All problems</a></p>\n";
    page(code, &body)
}

/// The page of all codes.
pub(super) fn of_all() -> String {
    let mut body = "<h1>Problems</h1>\n<dl>\n".to_owned();
    for problem in ProblemCode::ALL {
        let (code, status) = (problem.code(), problem.status().as_u16());
        let _ = writeln!(body, "<dt><a href=\"/problems/{code}\"><code>{code}</code></a>, {status}</dt>");
        let _ = writeln!(body, "<dd>{}</dd>", prose(problem.detail()));
    }
    page("problems", &(body + "</dl>\n"))
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}: metricd</title>\n{body}</html>\n"
    )
}

/// Escapes the text, with text between backticks as code.
fn prose(text: &str) -> String {
    let mut html = String::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            let _ = write!(html, "<code>{}</code>", escape(part));
        } else {
            html += &escape(part);
        }
    }
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_html() {
        assert_eq!(prose("a < b & `c > d`: `e`."), "a &lt; b &amp; <code>c &gt; d</code>: <code>e</code>.");
    }
}

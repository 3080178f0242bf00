//! Writes SVG. Every text is escaped, and every coordinate has at most one decimal.

use std::fmt::Write as _;

use crate::math::truncated;
use crate::text;

/// Elements of a drawing.
#[derive(Debug, Default)]
pub(crate) struct Svg(String);

/// Where a text is relative to its x coordinate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub(crate) fn into_text(self) -> String {
        self.0
    }

    /// A rectangle, with a text for a pointer that rests on it.
    pub(crate) fn rect(&mut self, class: &str, [x, y, width, height]: [f64; 4], hover: Option<&str>) {
        self.open("rect", class);
        for (name, value) in [("x", x), ("y", y), ("width", width), ("height", height)] {
            self.attribute(name, value);
        }
        self.close("rect", hover);
    }

    pub(crate) fn line(&mut self, class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) {
        self.open("line", class);
        for (name, value) in [("x1", x1), ("y1", y1), ("x2", x2), ("y2", y2)] {
            self.attribute(name, value);
        }
        self.close("line", None);
    }

    pub(crate) fn circle(&mut self, class: &str, [x, y]: [f64; 2], radius: f64) {
        self.open("circle", class);
        for (name, value) in [("cx", x), ("cy", y), ("r", radius)] {
            self.attribute(name, value);
        }
        self.close("circle", None);
    }

    pub(crate) fn path(&mut self, class: &str, path: &Path) {
        if !path.0.is_empty() {
            self.open("path", class);
            let _ = write!(self.0, " d=\"{}\"", path.0);
            self.close("path", None);
        }
    }

    /// A text on its baseline. It has to fit already: see [`text::cut`].
    pub(crate) fn text(&mut self, class: &str, anchor: Anchor, [x, y]: [f64; 2], content: &str) {
        if content.is_empty() {
            return;
        }
        self.open("text", class);
        self.attribute("x", x);
        self.attribute("y", y);
        self.0.push_str(match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        });
        self.0.push('>');
        escape(content, &mut self.0);
        self.0.push_str("</text>\n");
    }

    fn open(&mut self, element: &str, class: &str) {
        let _ = write!(self.0, "<{element} class=\"{class}\"");
    }

    fn attribute(&mut self, name: &str, value: f64) {
        let _ = write!(self.0, " {name}=\"");
        coordinate(value, &mut self.0);
        self.0.push('"');
    }

    fn close(&mut self, element: &str, hover: Option<&str>) {
        match hover {
            Some(hover) => {
                self.0.push_str("><title>");
                escape(hover, &mut self.0);
                let _ = writeln!(self.0, "</title></{element}>");
            }
            None => self.0.push_str("/>\n"),
        }
    }
}

/// The outline of a path in absolute coordinates.
#[derive(Debug, Default)]
pub(crate) struct Path(String);

impl Path {
    pub(crate) fn move_to(&mut self, point: [f64; 2]) {
        self.0.push('M');
        self.point(point);
    }

    pub(crate) fn line_to(&mut self, point: [f64; 2]) {
        self.0.push('L');
        self.point(point);
    }

    pub(crate) fn close(&mut self) {
        self.0.push('Z');
    }

    /// A point of no length, which a round line cap makes visible.
    pub(crate) fn dot(&mut self, point: [f64; 2]) {
        self.move_to(point);
        self.0.push_str("h0");
    }

    /// Lines through all points.
    pub(crate) fn through(&mut self, points: &[[f64; 2]]) {
        for (index, point) in points.iter().enumerate() {
            if index == 0 { self.move_to(*point) } else { self.line_to(*point) }
        }
    }

    fn point(&mut self, [x, y]: [f64; 2]) {
        coordinate(x, &mut self.0);
        self.0.push(',');
        coordinate(y, &mut self.0);
    }
}

/// Writes a coordinate, rounded to a tenth of a pixel.
fn coordinate(value: f64, out: &mut String) {
    let tenths = truncated((value * 10.0).round());
    if tenths < 0 {
        out.push('-');
    }
    let _ = write!(out, "{}", tenths.unsigned_abs() / 10);
    if tenths % 10 != 0 {
        let _ = write!(out, ".{}", tenths.unsigned_abs() % 10);
    }
}

/// Writes a text of an element or of an attribute.
pub(crate) fn escape(content: &str, out: &mut String) {
    for character in content.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(character),
        }
    }
}

/// A text from outside for an element that is not drawn.
pub(crate) fn escaped(content: &str) -> String {
    let mut out = String::new();
    escape(&text::clean(content), &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_short() {
        let shown = |value| {
            let mut out = String::new();
            coordinate(value, &mut out);
            out
        };
        assert_eq!([0.0, 1.04, 1.05, -0.04, -0.26, 12.0].map(shown), ["0", "1", "1.1", "0", "-0.3", "12"]);
        assert_eq!(shown(f64::NAN), "0");
    }

    #[test]
    fn texts_are_escaped() {
        let mut svg = Svg::default();
        svg.text("ink", Anchor::Start, [0.0, 0.0], "<script>'\"&");
        svg.rect("s0", [0.0; 4], Some("a<b"));
        let text = svg.into_text();
        assert!(text.contains(">&lt;script&gt;&#39;&quot;&amp;</text>"), "{text}");
        assert!(text.contains("<title>a&lt;b</title></rect>"), "{text}");
    }
}

//! What surrounds the marks: title, notes, the accessible name and description, the style sheet.

use std::fmt::Write as _;

use crate::math::real;
use crate::number;
use crate::options::{Options, Placement};
use crate::shape::listed;
use crate::svg::{Anchor, Svg, escaped};
use crate::text::{self, SMALL, TITLE};
use crate::theme::stylesheet;

/// The distance between baselines of small text.
pub(crate) const LINE: f64 = 16.0;

/// The most lines of a note.
const NOTE_LINES: usize = 2;

/// A drawing that grows downwards.
#[derive(Debug)]
pub(crate) struct Sheet<'o> {
    pub(crate) svg: Svg,
    pub(crate) options: &'o Options,
    pub(crate) left: f64,
    pub(crate) right: f64,
    /// How far down it is used.
    pub(crate) y: f64,
    /// Lines below the marks.
    notes: Vec<String>,
    /// Sentences of the description that only readers of it get.
    facts: Vec<String>,
}

impl<'o> Sheet<'o> {
    /// An empty sheet with the title and the description.
    pub(crate) fn new(options: &'o Options) -> Self {
        let width = f64::from(options.width.clamp(160, 4_000));
        let padding = match options.placement {
            Placement::Alone => 16.0,
            Placement::Page => 0.0,
        };
        let (left, right) = (padding, width - padding);
        let mut sheet =
            Self { svg: Svg::default(), options, left, right, y: padding, notes: Vec::new(), facts: Vec::new() };
        let lines = |text: &Option<String>, face| text::wrap(text.as_deref().unwrap_or(""), right - left, face, 2);
        for line in lines(&options.title, TITLE) {
            sheet.y += 18.0;
            sheet.svg.text("title ink", Anchor::Start, [left, sheet.y - 4.0], &line);
        }
        for line in lines(&options.description, SMALL) {
            sheet.y += LINE;
            sheet.svg.text("dim", Anchor::Start, [left, sheet.y - 3.0], &line);
        }
        if sheet.y > padding {
            sheet.y += 8.0;
        }
        sheet
    }

    pub(crate) fn width(&self) -> f64 {
        self.right - self.left
    }

    /// A line below the marks. It is part of the description too.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into().replace("….", "…"));
    }

    /// A sentence of the description.
    pub(crate) fn fact(&mut self, fact: impl Into<String>) {
        self.facts.push(fact.into().replace("….", "…"));
    }

    /// A note of what is not drawn, by count and names.
    pub(crate) fn note_others(&mut self, names: &[String], what: &str) {
        self.note_named(names, &format!("not drawn{what}"));
    }

    /// A note of others, by count and names, and what is done with them.
    pub(crate) fn note_named(&mut self, names: &[String], what: &str) {
        if names.is_empty() {
            return;
        }
        let shown: Vec<_> = names.iter().take(12).map(|name| text::isolated(&text::cut(name, 160.0, SMALL))).collect();
        let list = if names.len() > shown.len() { format!("{}, …", shown.join(", ")) } else { listed(&shown) };
        let verb = if names.len() == 1 { "other is" } else { "others are" };
        self.note(format!("{} {verb} {what}: {list}.", number::count(names.len(), self.options.locale)));
    }

    /// The lines that say that a result has no values.
    pub(crate) fn message(&mut self, message: &str) {
        let lines = text::wrap(message, self.width(), SMALL, 4);
        self.svg.line("grid", [self.left, self.y + 0.5], [self.right, self.y + 0.5]);
        let mut baseline = self.y + 36.0;
        for line in &lines {
            self.svg.text("ink", Anchor::Start, [self.left, baseline], line);
            baseline += LINE;
        }
        self.y = baseline + 12.0;
        self.svg.line("grid", [self.left, self.y - 0.5], [self.right, self.y - 0.5]);
        self.fact(text::isolated(message));
    }

    /// A dashed edge below the marks, where a result was cut.
    pub(crate) fn cut_edge(&mut self, label: &str) {
        let y = self.y + 8.5;
        let after = self.left + text::width(label, SMALL) + 8.0;
        self.svg.text("dim", Anchor::Start, [self.left, y + 4.0], label);
        if after < self.right {
            self.svg.line("edge", [after, y], [self.right, y]);
        }
        self.y += 20.0;
    }

    /// The whole document.
    pub(crate) fn finish(mut self, title: &str) -> String {
        let mut notes = std::mem::take(&mut self.notes);
        for (index, note) in notes.iter().enumerate() {
            if index == 0 {
                self.y += 4.0;
            }
            for line in text::wrap(note, self.width(), SMALL, NOTE_LINES) {
                self.y += LINE;
                self.svg.text("dim", Anchor::Start, [self.left, self.y - 4.0], &line);
            }
        }
        let options = self.options;
        let width = options.width.clamp(160, 4_000);
        let padding = if options.placement == Placement::Alone { 16.0 } else { 4.0 };
        let height = crate::math::truncated((self.y + padding).ceil());
        self.facts.append(&mut notes);
        let description = self.facts.join(" ");
        let id = options.safe_id();
        let own = options.title.as_deref().filter(|title| !text::clean(title).is_empty());
        let name = own.map_or_else(|| escaped_sentences(title), escaped);
        let mut document = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"metricd-chart\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\n\
             <title id=\"{id}-title\">{}</title>\n<desc id=\"{id}-desc\">{}</desc>\n",
            name,
            escaped_sentences(&description),
        );
        if options.placement == Placement::Alone {
            let _ = write!(document, "<style>\n{}</style>\n", stylesheet(options.theme).replace('&', "&amp;"));
            let _ = writeln!(
                document,
                "<rect class=\"background\" x=\"0\" y=\"0\" width=\"{width}\" height=\"{height}\"/>"
            );
        }
        document.push_str(&self.svg.into_text());
        document.push_str("</svg>\n");
        document
    }

    /// The height of so many rows of text.
    pub(crate) fn rows(count: usize) -> f64 {
        real(count) * LINE
    }
}

/// Sentences whose texts from outside are clean already, and isolated by directional characters.
fn escaped_sentences(sentences: &str) -> String {
    let mut out = String::new();
    crate::svg::escape(sentences, &mut out);
    out
}

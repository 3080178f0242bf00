//! What a caller decides about a drawing.

use metricd_domain::TimeZone;

use crate::data::ChartData;
use crate::locale::Locale;

/// The colours of a drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// Light or dark, as the reader's browser prefers; light on paper.
    #[default]
    Auto,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// Where a drawing is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Placement {
    /// As a file or an image: it has its own style sheet, background and padding.
    #[default]
    Alone,
    /// Inside an HTML page, which has the [style sheet](crate::stylesheet) and the background.
    Page,
}

/// An event or a range of time with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// Microseconds since 1970, of the same kind as the times of the data.
    pub from: i64,
    /// The end of a range.
    pub to: Option<i64>,
    /// The text.
    pub text: String,
}

/// How much earlier the times of a comparison are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shift {
    /// Calendar months.
    pub months: i64,
    /// Calendar days.
    pub days: i64,
}

/// The result of another period.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// What the period is called, such as `previous week`.
    pub label: String,
    /// Its result, with the same columns.
    pub data: ChartData,
    /// How much earlier its times are. They are drawn so much later.
    pub shift: Shift,
}

/// Options of a drawing. All have defaults; set the fields that differ.
///
/// ```
/// use metricd_chart::{Locale, Options};
///
/// let mut options = Options::default();
/// options.width = 480;
/// options.title = Some("Alerts".into());
/// options.locale = Locale::of("de").unwrap_or_default();
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// The width in pixels, at least 160 and at most 4 000. The height follows from the content. 640 by default.
    pub width: u32,
    /// A title that is drawn. Without it, only the accessible name has one.
    pub title: Option<String>,
    /// A line below the title.
    pub description: Option<String>,
    /// The zone in which instants are shown. UTC by default.
    pub time_zone: TimeZone,
    /// How numbers and dates are written.
    pub locale: Locale,
    /// The colours.
    pub theme: Theme,
    /// Where the drawing is shown.
    pub placement: Placement,
    /// The id of the drawing, a prefix of all ids in it. Letters, digits, `_` and `-`; others are dropped.
    pub id: String,
    /// Whether there are more rows than those of the data.
    pub is_truncated: bool,
    /// What an empty result says. `No rows.` by default.
    pub empty: Option<String>,
    /// Events on the axis of time.
    pub annotations: Vec<Annotation>,
    /// When the last period ended that is not complete yet, as microseconds since 1970: its values are dashed.
    pub until: Option<i64>,
    /// The result of another period.
    pub comparison: Option<Comparison>,
    /// Whether weeks begin on Sunday instead of Monday.
    pub weeks_begin_on_sunday: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            width: 640,
            title: None,
            description: None,
            time_zone: TimeZone::default(),
            locale: Locale::default(),
            theme: Theme::default(),
            placement: Placement::default(),
            id: "chart".to_owned(),
            is_truncated: false,
            empty: None,
            annotations: Vec::new(),
            until: None,
            comparison: None,
            weeks_begin_on_sunday: false,
        }
    }
}

impl Options {
    /// The id without characters that would end an attribute or a selector.
    pub(crate) fn safe_id(&self) -> String {
        let kept = self.id.chars().filter(|character| character.is_ascii_alphanumeric() || "_-".contains(*character));
        let id: String = kept.take(64).collect();
        if id.starts_with(|first: char| first.is_ascii_alphabetic()) { id } else { format!("chart{id}") }
    }

    /// The first day of a week: 0 is Monday.
    pub(crate) fn first_weekday(&self) -> i64 {
        if self.weeks_begin_on_sunday { 6 } else { 0 }
    }
}

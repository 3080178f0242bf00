//! Draws the result of a metric as SVG: columns, rows and options in, text out.
//!
//! [`ChartData`] has the columns and rows of a result. [`choose`] decides which [`ChartKind`] shows it, and says why in a
//! [`Choice`]; [`choose_kind`] takes the kind from the caller and validates it. [`draw`] returns an SVG document. What
//! the caller decides about it is in [`Options`]: width, title, time zone, locale, theme, annotations, a comparison.
//!
//! ```
//! use metricd_chart::{ChartData, Options, Placement, Theme, choose, draw, stylesheet};
//! use metricd_domain::{Contract, ContractColumn, ContractParts};
//!
//! let columns = vec![ContractColumn::new("country", "text"), ContractColumn::new("revenue", "numeric")];
//! let contract = Contract::new(ContractParts { columns, ..ContractParts::default() })?;
//! let mut data = ChartData::of_contract(&contract);
//! data.columns_mut()[1].unit = Some("EUR".into());
//! data.push_texts(&[Some("Germany"), Some("1284310.55")])?;
//! data.push_texts(&[Some("Austria"), Some("310200.00")])?;
//!
//! // Inside a page that has the style sheet in its own file: no inline style, and ids that begin with the given one.
//! let mut options = Options::default();
//! (options.placement, options.id) = (Placement::Page, "revenue-by-country".into());
//! let svg = draw(&data, &choose(&data), &options);
//! assert!(svg.contains("aria-labelledby=\"revenue-by-country-title revenue-by-country-desc\""));
//! assert!(!svg.contains("<style>") && stylesheet(Theme::Auto).starts_with(".metricd-chart{"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The rules of the choice and of the drawings are in `docs/charts.md`; a test compares its table with the code.
//!
//! The crate does no input or output. It reads no font: texts are measured by a table of widths. It reads no clock: what
//! is incomplete is an option. Equal input gives equal bytes on every machine.

mod calendar;
mod choose;
mod data;
mod draw;
mod frame;
mod gaps;
mod kind;
mod locale;
mod math;
mod number;
mod options;
#[cfg(test)]
mod properties;
mod reduce;
mod roles;
mod scale;
mod series;
mod shape;
mod svg;
mod text;
mod theme;
mod time_text;
mod time_ticks;
mod zone;

pub use choose::{Choice, UnfitKind, choose, choose_kind, rules};
pub use data::{Cell, ChartColumn, ChartData, ColumnType, Number, WrongRowLength};
pub use draw::draw;
pub use kind::{ChartKind, UnknownKind};
pub use locale::Locale;
pub use options::{Annotation, Comparison, Options, Placement, Shift, Theme};
pub use theme::stylesheet;

/// The examples of the README, which `cargo test --doc` runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;

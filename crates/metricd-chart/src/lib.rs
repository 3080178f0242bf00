//! Draws the result of a metric as SVG: columns, rows and options in, text out.

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

pub use choose::{Choice, UnfitKind, choose, choose_kind};
pub use data::{Cell, ChartColumn, ChartData, ColumnType, Number, WrongRowLength};
pub use draw::draw;
pub use kind::{ChartKind, UnknownKind};
pub use locale::Locale;
pub use options::{Annotation, Comparison, Options, Placement, Shift, Theme};
pub use theme::stylesheet;

//! Colours, and the style sheet that has them.

use std::fmt::Write as _;

use crate::options::Theme;

/// How many series have a colour of their own.
pub(crate) const SERIES: usize = 8;

/// How many classes a heat map has.
pub(crate) const CLASSES: usize = 6;

/// The colours of one theme.
pub(crate) struct Palette {
    /// The background; that of the page, for a drawing inside it.
    pub(crate) background: &'static str,
    /// Titles, labels and values.
    pub(crate) ink: &'static str,
    /// Ticks, notes and units.
    pub(crate) dim: &'static str,
    pub(crate) grid: &'static str,
    /// The line at zero, and rules.
    pub(crate) axis: &'static str,
    /// Comparisons and others.
    pub(crate) muted: &'static str,
    pub(crate) series: [&'static str; SERIES],
    /// From few to much.
    pub(crate) classes: [&'static str; CLASSES],
}

/// The series colours of both themes were found by a search for the largest distance between any two of them, as seen
/// with full colour vision, protanopia and deuteranopia, among those with enough contrast. The tests check both.
pub(crate) const LIGHT: Palette = Palette {
    background: "#ffffff",
    ink: "#1a1d21",
    dim: "#5c636b",
    grid: "#e6e8eb",
    axis: "#868d95",
    muted: "#868d95",
    series: ["#326ccf", "#9c561b", "#09a289", "#9c84d2", "#8d072b", "#a6902b", "#6f1e80", "#196c71"],
    classes: ["#e3ecfa", "#bcd2f4", "#8fb3ea", "#5f90dd", "#326ccf", "#1b438a"],
};

pub(crate) const DARK: Palette = Palette {
    background: "#14171c",
    ink: "#e6e8eb",
    dim: "#9ba3ac",
    grid: "#2a2f36",
    axis: "#6d757e",
    muted: "#7d858e",
    series: ["#6693fe", "#feab1f", "#4cf0c5", "#d7b0fe", "#e36c63", "#8d630c", "#9e487f", "#0cb3ae"],
    classes: ["#1d2a44", "#25406f", "#2f589d", "#4073cb", "#6693fe", "#b4caff"],
};

/// What does not depend on the colours.
const SHAPES: &str = "\
.metricd-chart{font-family:system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",Arial,sans-serif;\
font-size:12px;font-variant-numeric:tabular-nums}
.metricd-chart .title{font-size:14px;font-weight:600}
.metricd-chart .strong{font-weight:600}
.metricd-chart .large{font-size:32px;font-weight:600}
.metricd-chart .middle{font-size:18px}
.metricd-chart .grid,.metricd-chart .axis,.metricd-chart .edge,.metricd-chart .rule{stroke-width:1;fill:none}
.metricd-chart .edge{stroke-dasharray:5 3}
.metricd-chart .l{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.metricd-chart .thin{stroke-width:1.25}
.metricd-chart .dash{stroke-dasharray:2 4}
.metricd-chart .dots{fill:none;stroke-width:6;stroke-linecap:round}
.metricd-chart .many{stroke-opacity:.7}
.metricd-chart .lead{fill:none;stroke-width:1}
.metricd-chart .open{fill-opacity:.25;stroke-width:1;stroke-dasharray:2 2}
.metricd-chart .under{fill-opacity:.16;stroke:none}
.metricd-chart .over{fill-opacity:.85;stroke:none}
.metricd-chart .previous{stroke-width:2;fill:none}
.metricd-chart .band{fill-opacity:.18}
.metricd-chart .none{fill:none;stroke-width:1}
";

/// The style sheet of drawings that are [placed on a page](crate::Placement::Page).
///
/// Serve it as a file or as part of the page's own. Its rules apply only inside `.metricd-chart`. A page without it shows
/// black shapes.
#[must_use]
pub fn stylesheet(theme: Theme) -> String {
    let mut css = SHAPES.to_owned();
    match theme {
        Theme::Light => colours(&LIGHT, &mut css),
        Theme::Dark => colours(&DARK, &mut css),
        Theme::Auto => {
            colours(&LIGHT, &mut css);
            css.push_str("@media screen and (prefers-color-scheme:dark){\n");
            colours(&DARK, &mut css);
            css.push_str("}\n");
        }
    }
    css
}

fn colours(palette: &Palette, css: &mut String) {
    let mut rule = |selector: &str, declarations: &str| {
        let _ = writeln!(css, ".metricd-chart {selector}{{{declarations}}}");
    };
    let Palette { background, ink, dim, grid, axis, muted, series, classes } = palette;
    rule(".background", &format!("fill:{background}"));
    rule(".ink", &format!("fill:{ink}"));
    rule(".dim", &format!("fill:{dim}"));
    rule(".grid", &format!("stroke:{grid}"));
    rule(".axis", &format!("stroke:{axis}"));
    rule(".edge", &format!("stroke:{dim}"));
    rule(".rule", &format!("stroke:{dim}"));
    rule(".previous", &format!("stroke:{ink}"));
    rule(".band", &format!("fill:{muted}"));
    rule(".none", &format!("stroke:{grid}"));
    rule(".sm", &format!("fill:{muted}"));
    rule(".lm", &format!("stroke:{muted}"));
    for (index, colour) in series.iter().enumerate() {
        rule(&format!(".s{index}"), &format!("fill:{colour}"));
        rule(&format!(".l{index}"), &format!("stroke:{colour}"));
    }
    for (index, colour) in classes.iter().enumerate() {
        rule(&format!(".h{index}"), &format!("fill:{colour}"));
    }
}

/// The class that fills with the colour of a series; `sm` for all after the last.
pub(crate) fn fill(series: usize) -> String {
    if series < SERIES { format!("s{series}") } else { "sm".to_owned() }
}

/// The class that strokes with the colour of a series; `lm` for all after the last.
pub(crate) fn stroke(series: usize) -> String {
    if series < SERIES { format!("l{series}") } else { "lm".to_owned() }
}

#[cfg(test)]
mod tests;

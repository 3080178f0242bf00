use super::*;

/// Red, green and blue, linear from 0 to 1.
fn linear(colour: &str) -> [f64; 3] {
    [1, 3, 5].map(|start| {
        let value = f64::from(u8::from_str_radix(&colour[start..start + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    })
}

fn times(matrix: [[f64; 3]; 3], vector: [f64; 3]) -> [f64; 3] {
    matrix.map(|row| row.iter().zip(vector).map(|(left, right)| left * right).sum())
}

/// The contrast of WCAG 2.
fn contrast(one: &str, other: &str) -> f64 {
    let luminance = |colour| {
        let [red, green, blue] = linear(colour);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// The colour in Oklab, by Björn Ottosson.
fn oklab(linear: [f64; 3]) -> [f64; 3] {
    let cones = times(
        [
            [0.412_221_470_8, 0.536_332_536_3, 0.051_445_992_9],
            [0.211_903_498_2, 0.680_699_545_1, 0.107_396_956_6],
            [0.088_302_461_9, 0.281_718_837_6, 0.629_978_700_5],
        ],
        linear.map(|value| value.clamp(0.0, 1.0)),
    );
    times(
        [
            [0.210_454_255_3, 0.793_617_785_0, -0.004_072_046_8],
            [1.977_998_495_1, -2.428_592_205_0, 0.450_593_709_9],
            [0.025_904_037_1, 0.782_771_766_2, -0.808_675_766_0],
        ],
        cones.map(f64::cbrt),
    )
}

/// Full colour vision, and the simulations of Machado, Oliveira and Fernandes (2009) for the severity 1.
const VISIONS: [(&str, [[f64; 3]; 3]); 3] = [
    ("full", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    (
        "protanopia",
        [[0.152_286, 1.052_583, -0.204_868], [0.114_503, 0.786_281, 0.099_216], [-0.003_882, -0.048_116, 1.051_998]],
    ),
    (
        "deuteranopia",
        [[0.367_322, 0.860_646, -0.227_968], [0.280_085, 0.672_501, 0.047_413], [-0.011_820, 0.042_940, 0.968_881]],
    ),
];

#[test]
fn texts_have_contrast_four_and_a_half_and_marks_three() {
    for palette in [&LIGHT, &DARK] {
        for colour in [palette.ink, palette.dim] {
            assert!(contrast(colour, palette.background) >= 4.5, "{colour}");
        }
        for colour in palette.series.iter().chain([&palette.axis, &palette.muted]) {
            assert!(contrast(colour, palette.background) >= 3.0, "{colour}: {}", contrast(colour, palette.background));
        }
    }
}

#[test]
fn series_stay_apart_for_the_colour_blind() {
    for palette in [&LIGHT, &DARK] {
        for (vision, matrix) in VISIONS {
            let seen = palette.series.map(|colour| oklab(times(matrix, linear(colour))));
            for (index, one) in seen.iter().enumerate() {
                for (other_index, other) in seen.iter().enumerate().skip(index + 1) {
                    let distance = one.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                    assert!(distance > 0.095, "{vision}: {index} and {other_index} differ by {distance:.3}");
                }
            }
        }
    }
}

#[test]
fn the_classes_of_a_heat_map_grow_evenly_away_from_the_background() {
    for palette in [&LIGHT, &DARK] {
        let background = oklab(linear(palette.background))[0];
        let distances = palette.classes.map(|colour| (oklab(linear(colour))[0] - background).abs());
        assert!(distances.windows(2).all(|pair| pair[1] - pair[0] > 0.05), "{distances:?}");
    }
}

#[test]
fn a_fixed_theme_asks_for_no_preference() {
    assert!(stylesheet(Theme::Auto).contains("@media screen and (prefers-color-scheme:dark){"));
    for theme in [Theme::Light, Theme::Dark] {
        assert!(!stylesheet(theme).contains("@media"));
    }
    let css = stylesheet(Theme::Auto);
    assert!(
        css.lines().all(|line| line.starts_with(".metricd-chart") || line.starts_with('@') || line == "}"),
        "{css}"
    );
}

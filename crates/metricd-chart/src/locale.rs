//! How numbers and dates are written in a language.

/// How numbers and dates are written.
///
/// The sentences of a chart are English in every locale: metricd speaks one language.
///
/// ```
/// use metricd_chart::Locale;
///
/// assert_eq!(Locale::of("de-AT").unwrap().tag(), "de");
/// assert!(Locale::of("tlh").is_none());
/// assert_eq!(Locale::default().tag(), "und");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Locale(&'static Convention);

/// The conventions of one locale.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Convention {
    tag: &'static str,
    /// Between groups of three digits.
    pub(crate) group: &'static str,
    /// The fewest digits before the point that are grouped.
    pub(crate) grouped_from: usize,
    pub(crate) point: &'static str,
    /// Between a number and `%`.
    pub(crate) before_percent: &'static str,
    /// What stands for a million, a milliard and a billion of the long scale.
    pub(crate) large: [&'static str; 3],
    pub(crate) months: [&'static str; 12],
    /// From Monday.
    pub(crate) weekdays: [&'static str; 7],
    pub(crate) after_day: &'static str,
    pub(crate) month_first: bool,
}

const ENGLISH_MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// ISO 80000: groups by narrow spaces that do not break, as most of the world reads them without doubt.
const NEUTRAL: Convention = Convention {
    tag: "und",
    group: "\u{202f}",
    grouped_from: 4,
    point: ".",
    before_percent: "\u{202f}",
    large: ["M", "bn", "tn"],
    months: ENGLISH_MONTHS,
    weekdays: ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
    after_day: "",
    month_first: false,
};

/// By language; a tag with a region stands before its language.
const CONVENTIONS: [Convention; 12] = [
    Convention { tag: "en-US", month_first: true, ..ENGLISH },
    ENGLISH,
    Convention { tag: "de-CH", group: "’", point: ".", before_percent: "", ..GERMAN },
    GERMAN,
    Convention {
        tag: "fr",
        point: ",",
        large: ["M", "Md", "Bn"],
        months: ["janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."],
        weekdays: ["lun.", "mar.", "mer.", "jeu.", "ven.", "sam.", "dim."],
        ..NEUTRAL
    },
    Convention {
        tag: "es",
        group: ".",
        grouped_from: 5,
        point: ",",
        large: ["M", "mil M", "B"],
        months: ["ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sept", "oct", "nov", "dic"],
        weekdays: ["lun", "mar", "mié", "jue", "vie", "sáb", "dom"],
        ..NEUTRAL
    },
    Convention {
        tag: "it",
        group: ".",
        point: ",",
        before_percent: "",
        large: ["Mln", "Mrd", "Bln"],
        months: ["gen", "feb", "mar", "apr", "mag", "giu", "lug", "ago", "set", "ott", "nov", "dic"],
        weekdays: ["lun", "mar", "mer", "gio", "ven", "sab", "dom"],
        ..NEUTRAL
    },
    Convention {
        tag: "nl",
        group: ".",
        point: ",",
        before_percent: "",
        large: ["mln", "mld", "bln"],
        months: ["jan", "feb", "mrt", "apr", "mei", "jun", "jul", "aug", "sep", "okt", "nov", "dec"],
        weekdays: ["ma", "di", "wo", "do", "vr", "za", "zo"],
        ..NEUTRAL
    },
    Convention {
        tag: "pt",
        group: ".",
        point: ",",
        before_percent: "",
        large: ["M", "mil M", "B"],
        months: ["jan", "fev", "mar", "abr", "mai", "jun", "jul", "ago", "set", "out", "nov", "dez"],
        weekdays: ["seg", "ter", "qua", "qui", "sex", "sáb", "dom"],
        ..NEUTRAL
    },
    Convention {
        tag: "pl",
        grouped_from: 5,
        point: ",",
        before_percent: "",
        large: ["mln", "mld", "bln"],
        months: ["sty", "lut", "mar", "kwi", "maj", "cze", "lip", "sie", "wrz", "paź", "lis", "gru"],
        weekdays: ["pn", "wt", "śr", "cz", "pt", "sob", "ndz"],
        ..NEUTRAL
    },
    Convention {
        tag: "sv",
        point: ",",
        large: ["mn", "md", "bn"],
        months: ["jan", "feb", "mars", "apr", "maj", "juni", "juli", "aug", "sep", "okt", "nov", "dec"],
        weekdays: ["mån", "tis", "ons", "tors", "fre", "lör", "sön"],
        ..NEUTRAL
    },
    Convention {
        tag: "cs",
        point: ",",
        large: ["mil.", "mld.", "bil."],
        months: ["led", "úno", "bře", "dub", "kvě", "čvn", "čvc", "srp", "zář", "říj", "lis", "pro"],
        weekdays: ["po", "út", "st", "čt", "pá", "so", "ne"],
        after_day: ".",
        ..NEUTRAL
    },
];

const ENGLISH: Convention = Convention { tag: "en", group: ",", before_percent: "", ..NEUTRAL };

const GERMAN: Convention = Convention {
    tag: "de",
    group: ".",
    point: ",",
    large: ["Mio.", "Mrd.", "Bio."],
    months: ["Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sep.", "Okt.", "Nov.", "Dez."],
    weekdays: ["Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"],
    after_day: ".",
    ..NEUTRAL
};

impl Locale {
    /// The locale of a language tag such as `de` or `en-US`, or of its language. None if the language is not one of
    /// `cs de en es fr it nl pl pt sv`.
    #[must_use]
    pub fn of(tag: &str) -> Option<Self> {
        let tag = tag.replace('_', "-");
        let language = tag.split('-').next().unwrap_or_default();
        let named = |name: &str| CONVENTIONS.iter().find(|convention| convention.tag.eq_ignore_ascii_case(name));
        named(&tag).or_else(|| named(language)).map(Self)
    }

    /// The language tag, such as `de`. That of the neutral locale is `und`.
    #[must_use]
    pub fn tag(self) -> &'static str {
        self.0.tag
    }

    pub(crate) fn convention(self) -> &'static Convention {
        self.0
    }
}

impl Default for Locale {
    /// The neutral locale: groups are separated by narrow spaces, and the decimal sign is a point, as in `1 234.5`.
    fn default() -> Self {
        Self(&NEUTRAL)
    }
}

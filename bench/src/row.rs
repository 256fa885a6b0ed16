//! One line of the result: a figure, the ceiling it was taken beside, their ratio, and what it should be.

use serde_json::{Value, json};

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// Shown, with no target of its own.
    None,
}

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) case: &'static str,
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) figure: f64,
    /// Of the same run, in the same unit.
    pub(crate) ceiling: Option<f64>,
    /// Of the ratio where there is a ceiling and `on_ratio`, else of the figure.
    pub(crate) target: Target,
    pub(crate) on_ratio: bool,
}

impl Row {
    pub(crate) fn new(
        case: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        figure: f64,
        target: Target,
    ) -> Row {
        Row { case, what: what.into(), unit, figure, ceiling: None, target, on_ratio: false }
    }

    /// Beside a ceiling that the target speaks of.
    pub(crate) fn of_ceiling(self, ceiling: f64) -> Row {
        Row { ceiling: Some(ceiling), on_ratio: true, ..self }
    }

    /// Beside a ceiling that is only shown.
    pub(crate) fn beside(self, ceiling: f64) -> Row {
        Row { ceiling: Some(ceiling), ..self }
    }

    pub(crate) fn ratio(&self) -> Option<f64> {
        self.ceiling.filter(|ceiling| *ceiling > 0.0).map(|ceiling| self.figure / ceiling)
    }

    /// None where there is no target.
    pub(crate) fn is_met(&self) -> Option<bool> {
        let measured = if self.on_ratio { self.ratio()? } else { self.figure };
        match self.target {
            Target::AtLeast(least) => Some(measured >= least),
            Target::AtMost(most) => Some(measured <= most),
            Target::None => None,
        }
    }

    pub(crate) fn target_text(&self) -> String {
        let of = if self.on_ratio { "ratio " } else { "" };
        match self.target {
            Target::AtLeast(least) => format!("{of}≥ {}", number(least)),
            Target::AtMost(most) => format!("{of}≤ {}", number(most)),
            Target::None => String::new(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "case": self.case, "what": self.what, "unit": self.unit, "figure": self.figure, "ceiling": self.ceiling,
            "ratio": self.ratio(), "target": self.target_text(), "met": self.is_met(),
        })
    }
}

/// Three digits that mean something.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => grouped(value.round() as i64),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn grouped(value: i64) -> String {
    let digits = value.abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0 { format!("-{text}") } else { text }
}

/// The middle one; of an even number the lower of the two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len().saturating_sub(1) / 2;
    values.get(middle).copied().unwrap_or(0.0)
}

/// The value that `share` of all are not above.
pub(crate) fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share).ceil() as usize;
    values.get(at.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_speaks_of_the_ratio_where_there_is_a_ceiling() {
        let row = Row::new("x", "x", "/s", 60.0, Target::AtLeast(0.6));
        assert_eq!(row.clone().of_ceiling(100.0).is_met(), Some(true));
        assert_eq!(row.clone().of_ceiling(101.0).is_met(), Some(false));
        assert_eq!(row.clone().beside(1.0).is_met(), Some(true), "of the figure");
        assert_eq!(Row { target: Target::None, ..row }.is_met(), None);
    }

    #[test]
    fn medians_and_quantiles_are_values_that_were_measured() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![2.0, 1.0]), 1.0);
        assert_eq!(median(vec![]), 0.0);
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((quantile(hundred.clone(), 0.5), quantile(hundred, 0.99)), (50.0, 99.0));
    }

    #[test]
    fn numbers_read_well() {
        let texts = [83_700.4, -1_000.0, 123.4, 0.1234].map(number);
        assert_eq!(texts, ["83,700", "-1,000", "123", "0.123"]);
    }
}

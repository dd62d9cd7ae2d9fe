//! Values as people type them: durations (`60s`, `5m`, `2h`), sizes (`512m`, `4g`) and `KEY=VALUE` pairs.

use std::time::Duration;

use crate::agent::window::MARKS_MAX;
use crate::event::Mark;

/// What system text, tools and a turn need at least.
pub const CONTEXT_TOKENS_MIN: u64 = 4_096;
/// The window is rebuilt soon after.
const MARK_PERCENT_MAX: u64 = 94;

/// No limit of ours needs more than a year.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// A number with a unit (`ms`, `s`, `m`, `h`, `d`), or several (`1h30m`). A bare number means seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration; write it like 60s, 5m or 2h");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        seconds += number
            * match &rest[..letters] {
                "ms" => 0.001,
                "s" | "sec" => 1.0,
                "m" | "min" => 60.0,
                "h" => 3600.0,
                "d" => 86400.0,
                "" if digits == text.trim().len() => 1.0,
                _ => return Err(wrong()),
            };
        rest = &rest[letters..];
    }
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if duration.is_zero() => Err(format!("`{text}` is no time at all")),
        Ok(duration) if duration <= DURATION_MAX => Ok(duration),
        Ok(_) | Err(_) => Err(format!("`{text}` is longer than a year")),
    }
}

/// A number with a unit (`k`, `m`, `g`, `t`; powers of 1024), as Docker takes it. A bare number means bytes.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size; write it like 512m or 4g");
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let number: f64 = lower[..digits].parse().map_err(|_| wrong())?;
    let shift = match lower[digits..].trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(wrong()),
    };
    let bytes = number * f64::from(shift).exp2();
    if bytes < 1.0 || bytes > (1u64 << 52) as f64 { Err(wrong()) } else { Ok(bytes as u64) }
}

/// `20,45,70`: percent up to 94, with or without `%`; larger numbers are tokens, `k` is a thousand.
pub fn marks(text: &str) -> Result<Vec<Mark>, String> {
    let marks: Vec<Mark> = text.split(',').map(|part| mark(part.trim())).collect::<Result<_, _>>()?;
    if marks.len() > MARKS_MAX {
        return Err(format!("{} places are more than {MARKS_MAX}", marks.len()));
    }
    Ok(marks)
}

fn mark(text: &str) -> Result<Mark, String> {
    let wrong =
        || format!("`{text}` is neither percent of the window (1 to {MARK_PERCENT_MAX}) nor tokens (1000 or 10k)");
    let (digits, factor) = match (text.strip_suffix('%'), text.strip_suffix(['k', 'K'])) {
        (Some(percent), _) => (percent, None),
        (None, Some(thousands)) => (thousands, Some(1_000)),
        (None, None) => (text, Some(1)),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    match factor {
        None | Some(1) if (1..=MARK_PERCENT_MAX).contains(&number) => Ok(Mark::Percent(number)),
        Some(factor) if number.saturating_mul(factor) >= 1_000 => Ok(Mark::Tokens(number.saturating_mul(factor))),
        Some(_) | None => Err(wrong()),
    }
}

/// `KEY=VALUE`; a value may be empty and may hold `=`.
pub fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not of the form NAME=VALUE"))?;
    let fine = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !fine {
        return Err(format!("`{name}` is not a name for an environment variable"));
    }
    if value.contains('\0') {
        return Err(format!("the value of `{name}` contains a NUL"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// An amount of money: finite and positive.
pub fn dollars(text: &str) -> Result<f64, String> {
    match text.trim_start_matches('$').parse::<f64>() {
        Ok(amount) if amount.is_finite() && amount > 0.0 => Ok(amount),
        Ok(_) | Err(_) => Err(format!("`{text}` is not an amount in US dollars")),
    }
}

/// `1h 05m`, `3.2 s`, `450 ms`: for people.
pub fn show_duration(milliseconds: u64) -> String {
    match milliseconds {
        0..1000 => format!("{milliseconds} ms"),
        1000..60_000 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        60_000..3_600_000 => format!("{}m {:02}s", milliseconds / 60_000, milliseconds / 1000 % 60),
        3_600_000.. => format!("{}h {:02}m", milliseconds / 3_600_000, milliseconds / 60_000 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_percent_or_tokens() {
        let percent = [20, 45, 70].map(Mark::Percent).to_vec();
        assert_eq!(marks("20,45,70"), Ok(percent.clone()));
        assert_eq!(marks("20%, 45% ,70"), Ok(percent));
        assert_eq!(marks("10k,32000"), Ok(vec![Mark::Tokens(10_000), Mark::Tokens(32_000)]));
        for wrong in ["", "0", "95", "99%", "500", "k", "20,", "-3", "1,2,3,4,5,6,7,8,9"] {
            assert!(marks(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_have_units() {
        for (text, milliseconds) in [
            ("60s", 60_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
            ("45", 45_000),
            ("1.5s", 1500),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for bad in ["", "s", "5x", "-3s", "1h30", "9999999h", "0s", "1e9s", "5 parsecs"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(
            (size("512m"), size("4g"), size("1.5k"), size("77")),
            (Ok(512 << 20), Ok(4 << 30), Ok(1536), Ok(77))
        );
        for bad in ["", "g", "4x", "-1", "99999999t", "0"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn variables_are_split_at_the_first_equals_sign() {
        assert_eq!(variable("A=b=c"), Ok(("A".into(), "b=c".into())));
        for bad in ["A", "=x", "1A=x", "A B=x"] {
            assert!(variable(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_shown_in_two_units_at_most() {
        assert_eq!(
            [450, 3210, 65_000, 3_900_000].map(show_duration),
            ["450 ms", "3.2 s", "1m 05s", "1h 05m"].map(String::from)
        );
    }
}

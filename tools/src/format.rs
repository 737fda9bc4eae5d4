//! Figures as people read them.

const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];

/// A count with its thousands apart: `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A rate, as whole things per second.
pub(crate) fn rate(per_second: f64) -> String {
    count(per_second.round() as u64)
}

/// An amount of bytes in the largest unit that leaves at least one: `3.4 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    if number < 1024 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would be printed as 1024.0 of the smaller unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A time that was measured.
pub(crate) fn seconds(number: f64) -> String {
    if number < 1.0 { format!("{:.1} ms", number * 1e3) } else { format!("{number:.1} s") }
}

/// A moment in milliseconds since 1970, for people: UTC, to the second.
pub(crate) fn utc(ms: u64) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(ms.min(253_402_300_799_000));
    pentimento::Retention::name_at(time).trim_start_matches("auto-").replace('T', " ").trim_end_matches('Z').to_owned()
}

/// Bytes that are probably text, such as a path, with everything else escaped.
pub(crate) fn text(bytes: &[u8]) -> String {
    let clean = String::from_utf8_lossy(bytes);
    clean.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(["0", "999", "1,000", "12,345,678"].map(str::to_owned), [0, 999, 1000, 12_345_678].map(count));
    }

    #[test]
    fn sizes_change_their_unit_where_the_figure_would_have_four_digits() {
        let sizes = [0, 1023, 1024, 1536, (1 << 20) - 1, 1 << 20, u64::MAX];
        let texts = ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "1.0 MiB", "16384.0 PiB"];
        assert_eq!(sizes.map(bytes), texts.map(str::to_owned));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(text(b"a\x1b[31m\xff"), "a\u{fffd}[31m\u{fffd}");
    }
}

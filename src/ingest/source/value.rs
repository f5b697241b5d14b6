//! What a variable holds: text, or an instant of a certain precision; and the steps between instants.

use std::str::FromStr;

use chrono::{DateTime, Days, Months, NaiveDate, NaiveDateTime, SecondsFormat, TimeDelta, Utc};

/// What a variable holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Text, or a number as written.
    Text(String),
    /// An instant.
    Time(Time),
}

/// The beginning of a stretch of time, such as a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time {
    pub(super) at: DateTime<Utc>,
    /// How it is written where no pattern says so.
    pub(super) precision: Precision,
    /// The end of the stretch.
    pub(super) until: DateTime<Utc>,
}

/// How much of a time was written down: what it is the beginning of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Precision {
    Year,
    Month,
    Day,
    Hour,
    Second,
}

impl Value {
    /// An instant that nobody wrote down.
    pub(super) fn of_time(at: DateTime<Utc>) -> Self {
        Self::Time(Time { at, precision: Precision::Second, until: at })
    }

    /// As columns and manifests get it: times in RFC 3339.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Time(time) => time.at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        }
    }

    /// As `{x}` writes it: times as precisely as the definition does.
    pub(super) fn plain(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Time(time) => {
                let format = match time.precision {
                    Precision::Year => "%Y",
                    Precision::Month => "%Y-%m",
                    Precision::Day => "%Y-%m-%d",
                    Precision::Hour => "%Y-%m-%dT%H",
                    Precision::Second => "%Y-%m-%dT%H:%M:%SZ",
                };
                time.at.format(format).to_string()
            }
        }
    }

    /// The instant, of text that is one too.
    pub(super) fn time(&self) -> Option<Time> {
        match self {
            Self::Time(time) => Some(*time),
            Self::Text(text) => {
                let (at, precision) = read_time(text).or_else(|| read_compact(text))?;
                Some(Time { at, precision, until: end_of(at, precision)? })
            }
        }
    }

    /// The same as a time, if it can be read as one.
    pub(super) fn into_time(self) -> Self {
        self.time().map_or(self, Self::Time)
    }
}

/// Reads a time as definitions write it: `2024`, `2024-01`, `2024-01-02`, `2024-01-02T03`, `…T03:04`, RFC 3339.
pub(super) fn read_time(text: &str) -> Option<(DateTime<Utc>, Precision)> {
    let text = text.trim();
    let day = |year: &str, month: &str| {
        let (year, month) = (year.parse().ok()?, month.parse().ok()?);
        Some(NaiveDate::from_ymd_opt(year, month, 1)?.and_hms_opt(0, 0, 0)?.and_utc())
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fields: Vec<&str> = text.split('-').collect();
    match fields.as_slice() {
        [year] if year.len() == 4 && digits(year) => return Some((day(year, "1")?, Precision::Year)),
        [year, month] if year.len() == 4 && month.len() == 2 && digits(year) && digits(month) => {
            return Some((day(year, month)?, Precision::Month));
        }
        _ => {}
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some((date.and_hms_opt(0, 0, 0)?.and_utc(), Precision::Day));
    }
    let zoneless = text.trim_end_matches('Z');
    if let Some((date, hour)) = zoneless.split_once(['T', ' '])
        && hour.len() == 2
    {
        let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
        return Some((date.and_hms_opt(hour.parse().ok()?, 0, 0)?.and_utc(), Precision::Hour));
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some((time.to_utc(), Precision::Second));
    }
    ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(zoneless, format).ok())
        .map(|time| (time.and_utc(), Precision::Second))
}

/// Reads a time as upstreams write it into names: `20240102`, `202401`, `2024010203`, `20240102-030405`, `2024-01-02-3`.
pub(super) fn read_compact(text: &str) -> Option<(DateTime<Utc>, Precision)> {
    let midnight = |date: NaiveDate| date.and_hms_opt(0, 0, 0).map(|time| time.and_utc());
    let all_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.len() {
        6 if all_digits => {
            let date = NaiveDate::parse_from_str(&format!("{text}01"), "%Y%m%d").ok()?;
            return Some((midnight(date)?, Precision::Month));
        }
        8 if all_digits => {
            return Some((midnight(NaiveDate::parse_from_str(text, "%Y%m%d").ok()?)?, Precision::Day));
        }
        10 if all_digits => {
            let time = NaiveDateTime::parse_from_str(&format!("{text}00"), "%Y%m%d%H%M").ok()?;
            return Some((time.and_utc(), Precision::Hour));
        }
        _ => {}
    }
    for format in ["%Y%m%d-%H%M%S", "%Y%m%dT%H%M%SZ", "%Y%m%d%H%M%S"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
            return Some((time.and_utc(), Precision::Second));
        }
    }
    let (date, hour) = text.rsplit_once('-')?;
    let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").or_else(|_| NaiveDate::parse_from_str(date, "%Y%m%d"));
    let time = date.ok()?.and_hms_opt(hour.parse().ok()?, 0, 0)?;
    Some((time.and_utc(), Precision::Hour))
}

/// A stretch of time as definitions write it: `15m`, `6h`, `1d`, `2w`, `1mo`, `1y`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    count: u32,
    unit: SpanUnit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SpanUnit {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let bad = || format!("`{text}` is no stretch of time; write `15m`, `1h`, `1d`, `2w`, `1mo` or `1y`");
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = text.split_at_checked(digits).ok_or_else(bad)?;
        let unit = match unit {
            "m" | "min" => SpanUnit::Minute,
            "h" => SpanUnit::Hour,
            "d" => SpanUnit::Day,
            "w" => SpanUnit::Week,
            "mo" => SpanUnit::Month,
            "y" => SpanUnit::Year,
            _ => return Err(bad()),
        };
        let count = count.parse().ok().filter(|count| *count > 0).ok_or_else(bad)?;
        Ok(Self { count, unit })
    }
}

impl Span {
    /// `times` spans after an instant; months are counted from it, so that the 31st does not drift. None past the calendar.
    pub(super) fn after(self, from: DateTime<Utc>, times: u32) -> Option<DateTime<Utc>> {
        let count = self.count.checked_mul(times)?;
        match self.unit {
            SpanUnit::Minute => from.checked_add_signed(TimeDelta::try_minutes(count.into())?),
            SpanUnit::Hour => from.checked_add_signed(TimeDelta::try_hours(count.into())?),
            SpanUnit::Day => from.checked_add_days(Days::new(count.into())),
            SpanUnit::Week => from.checked_add_days(Days::new(u64::from(count) * 7)),
            SpanUnit::Month => from.checked_add_months(Months::new(count)),
            SpanUnit::Year => from.checked_add_months(Months::new(count.checked_mul(12)?)),
        }
    }

    /// How precisely a value has to be written for two of this distance to differ.
    pub(super) fn precision(self) -> Precision {
        match self.unit {
            SpanUnit::Minute => Precision::Second,
            SpanUnit::Hour => Precision::Hour,
            SpanUnit::Day | SpanUnit::Week => Precision::Day,
            SpanUnit::Month => Precision::Month,
            SpanUnit::Year => Precision::Year,
        }
    }
}

/// The first instant after the year, month, day, hour or second that begins at `time`.
pub(super) fn end_of(time: DateTime<Utc>, precision: Precision) -> Option<DateTime<Utc>> {
    match precision {
        Precision::Year => time.checked_add_months(Months::new(12)),
        Precision::Month => time.checked_add_months(Months::new(1)),
        Precision::Day => time.checked_add_days(Days::new(1)),
        Precision::Hour => time.checked_add_signed(TimeDelta::try_hours(1)?),
        Precision::Second => time.checked_add_signed(TimeDelta::try_seconds(1)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_and_upstreams_write_them() {
        let time = |text: &str| Value::Text(text.into()).time().map(|time| Value::Time(time).text());
        for (text, expected) in [
            ("2024", "2024-01-01T00:00:00Z"),
            ("2024-03", "2024-03-01T00:00:00Z"),
            ("2024-03-05", "2024-03-05T00:00:00Z"),
            ("2024-03-05T06", "2024-03-05T06:00:00Z"),
            ("2024-03-05T06Z", "2024-03-05T06:00:00Z"),
            ("2024-03-05 06:07", "2024-03-05T06:07:00Z"),
            ("2024-03-05T06:07:08+02:00", "2024-03-05T04:07:08Z"),
            ("202403", "2024-03-01T00:00:00Z"),
            ("20240305", "2024-03-05T00:00:00Z"),
            ("2024030506", "2024-03-05T06:00:00Z"),
            ("20240305-060708", "2024-03-05T06:07:08Z"),
            ("2024-03-05-6", "2024-03-05T06:00:00Z"),
        ] {
            assert_eq!(time(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "en", "12", "20241305", "2024-13", "12345", "ä-ö", "99999999", "-"] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn spans_are_read_and_counted() {
        let from: DateTime<Utc> = "2024-01-31T00:00:00Z".parse().expect("a time");
        let after =
            |span: &str, times| span.parse::<Span>().expect("a span").after(from, times).map(|t| t.to_rfc3339());
        assert_eq!(after("1mo", 1).as_deref(), Some("2024-02-29T00:00:00+00:00"));
        assert_eq!(after("1mo", 2).as_deref(), Some("2024-03-31T00:00:00+00:00"));
        assert_eq!(after("6h", 5).as_deref(), Some("2024-02-01T06:00:00+00:00"));
        assert_eq!(after("4000000000y", 4), None);
        for bad in ["", "d", "0d", "1 d", "1q", "-1d", "99999999999d"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}

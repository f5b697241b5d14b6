//! Days and times from text: the ISO 8601 forms upstreams write, strptime patterns, epochs; zones where the text names none.

use std::borrow::Cow;

use chrono::{
    Datelike, FixedOffset, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Timelike,
    format::{Item, Parsed, StrftimeItems},
};
use chrono_tz::Tz;

use super::number::{self, Misfit, Reason};

const DAY: i64 = 86_400;
const MICROS: i64 = 1_000_000;

/// A point of time as text says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Days since 1970-01-01 on the wall.
    pub(crate) days: i32,
    /// Microseconds since midnight on the wall; `None` where the text is only a day.
    pub(crate) micros: Option<i64>,
    /// Seconds east of UTC, where the text names a zone.
    pub(crate) offset: Option<i32>,
    /// Whether digits finer than microseconds other than zero were cut off.
    pub(crate) cut: bool,
}

/// How a column's times are read.
#[derive(Debug, Clone, Default)]
pub(crate) struct TimeRules {
    /// `parse`; none: ISO forms.
    pub(crate) pattern: Option<Pattern>,
    /// `timezone`; none: UTC.
    pub(crate) zone: Option<Tz>,
}

/// `parse`.
#[derive(Debug, Clone)]
pub(crate) enum Pattern {
    /// Seconds since 1970, with or without a fraction.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMillis,
    /// strptime, as items.
    Strptime(String, Vec<Item<'static>>),
}

impl Pattern {
    /// Reads `parse`.
    ///
    /// # Errors
    /// In words: what in it is no pattern.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        match text {
            "epoch_s" => return Ok(Self::EpochSeconds),
            "epoch_ms" => return Ok(Self::EpochMillis),
            _ => {}
        }
        // In C-like patterns `%f` after a point is a fraction of a second; chrono's `%f` counts nanoseconds.
        let chrono = text.replace(".%f", "%.f");
        if chrono.replace("%%", "").contains("%f") {
            return Err(format!(
                "`{text}`: write `.%f` for a fraction after a point, or %3f, %6f, %9f for fixed digits"
            ));
        }
        let items = StrftimeItems::new(&chrono).parse_to_owned().map_err(|_| {
            format!("`{text}` is no strptime pattern; examples: `%Y-%m-%d %H:%M`, `%d/%m/%Y`, `epoch_s`, `epoch_ms`")
        })?;
        if !items.iter().any(|item| matches!(item, Item::Numeric(..) | Item::Fixed(_))) {
            return Err(format!("`{text}` has no field such as %Y; or write `epoch_s` or `epoch_ms`"));
        }
        Ok(Self::Strptime(text.to_owned(), items))
    }
}

impl TimeRules {
    /// Microseconds since 1970 UTC of an instant.
    pub(crate) fn instant(&self, text: &[u8]) -> Result<i64, Reason> {
        let moment = match &self.pattern {
            Some(Pattern::EpochSeconds) => return epoch(text, 6),
            Some(Pattern::EpochMillis) => return epoch(text, 3),
            _ => self.moment(text)?,
        };
        let wall = wall(moment)?;
        match (moment.offset, self.zone) {
            (Some(offset), _) => wall.checked_sub(i64::from(offset) * MICROS).ok_or(TOO_FAR),
            (None, None | Some(Tz::UTC)) => Ok(wall),
            (None, Some(zone)) => in_zone(wall, zone),
        }
    }

    /// Microseconds since 1970 on a wall clock without a zone.
    pub(crate) fn wall(&self, text: &[u8]) -> Result<i64, Reason> {
        let moment = match &self.pattern {
            Some(Pattern::EpochSeconds) => return epoch(text, 6),
            Some(Pattern::EpochMillis) => return epoch(text, 3),
            _ => self.moment(text)?,
        };
        if moment.offset.is_some_and(|offset| offset != 0) {
            return Err(Cow::Borrowed("names a zone; declare the column `timestamp`"));
        }
        wall(moment)
    }

    /// Days since 1970.
    pub(crate) fn day(&self, text: &[u8]) -> Result<i32, Reason> {
        let micros = match &self.pattern {
            Some(Pattern::EpochSeconds) => epoch(text, 6)?,
            Some(Pattern::EpochMillis) => epoch(text, 3)?,
            _ => {
                let moment = self.moment(text)?;
                // A pattern was written by someone who wants the day of such times; ISO times must be a plain day.
                return if (moment.micros.unwrap_or_default() == 0 && !moment.cut) || self.pattern.is_some() {
                    Ok(moment.days)
                } else {
                    Err(Cow::Borrowed("has a time of day; declare the column `timestamp` or `datetime`"))
                };
            }
        };
        i32::try_from(micros.div_euclid(DAY * MICROS)).map_err(|_| TOO_FAR)
    }

    fn moment(&self, text: &[u8]) -> Result<Moment, Reason> {
        match &self.pattern {
            Some(Pattern::Strptime(pattern, items)) => std::str::from_utf8(text)
                .ok()
                .and_then(|text| strptime(text.trim_ascii(), items))
                .ok_or_else(|| Cow::Owned(format!("does not match `{pattern}`"))),
            _ => iso(text.trim_ascii()).ok_or(NO_TIME),
        }
    }
}

const TOO_FAR: Reason = Cow::Borrowed("out of range");
const NO_TIME: Reason = Cow::Borrowed("not an ISO 8601 day or time; name its form with `parse`");

/// Wall-clock microseconds of a moment; a mere day is its midnight.
pub(crate) fn wall(moment: Moment) -> Result<i64, Reason> {
    i64::from(moment.days)
        .checked_mul(DAY * MICROS)
        .and_then(|days| days.checked_add(moment.micros.unwrap_or_default()))
        .ok_or(TOO_FAR)
}

/// The instant of a wall clock in a zone: the earlier one where the clock shows it twice, none where it never does.
pub(crate) fn in_zone(wall: i64, zone: Tz) -> Result<i64, Reason> {
    let naive = chrono::DateTime::from_timestamp_micros(wall).ok_or(TOO_FAR)?.naive_utc();
    match zone.from_local_datetime(&naive) {
        LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => Ok(time.timestamp_micros()),
        LocalResult::None => Err(Cow::Owned(format!("does not exist in {zone}: the clocks were put forward"))),
    }
}

fn epoch(text: &[u8], scale: i32) -> Result<i64, Reason> {
    let (value, _) = number::cut(text, scale).map_err(|error| match error {
        Misfit::NoNumber => Cow::Borrowed("not a number of seconds or milliseconds"),
        Misfit::TooLarge | Misfit::Inexact => TOO_FAR,
    })?;
    i64::try_from(value).map_err(|_| TOO_FAR)
}

/// An ISO 8601 day or time: `2024-04-01`, `20240401`, `2024-04-01T10:26:27.337Z`, `2024-04-01 10:26+02`, and MediaWiki's
/// `20141026045023`. Fractions are cut to microseconds.
pub(crate) fn iso(text: &[u8]) -> Option<Moment> {
    let compact = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if compact == text.len() && matches!(compact, 8 | 14) {
        let days = day(number_at(text, 0, 4)?, number_at(text, 4, 2)?, number_at(text, 6, 2)?)?;
        let micros = if compact == 14 {
            Some(clock(number_at(text, 8, 2)?, number_at(text, 10, 2)?, number_at(text, 12, 2)?)?)
        } else {
            None
        };
        return Some(Moment { days, micros, offset: None, cut: false });
    }
    if text.get(4) != Some(&b'-') || text.get(7) != Some(&b'-') {
        return None;
    }
    let days = day(number_at(text, 0, 4)?, number_at(text, 5, 2)?, number_at(text, 8, 2)?)?;
    if text.len() == 10 {
        return Some(Moment { days, micros: None, offset: None, cut: false });
    }
    if !matches!(text.get(10)?, b'T' | b't' | b' ') || text.get(13) != Some(&b':') {
        return None;
    }
    let (hour, minute) = (number_at(text, 11, 2)?, number_at(text, 14, 2)?);
    let mut at = 16;
    let mut second = 0;
    let (mut fraction, mut cut) = (0_i64, false);
    if text.get(at) == Some(&b':') {
        second = number_at(text, at + 1, 2)?;
        at += 3;
        if matches!(text.get(at), Some(b'.' | b',')) {
            at += 1;
            let mut unit = 100_000;
            let start = at;
            while let Some(byte) = text.get(at).filter(|byte| byte.is_ascii_digit()) {
                let digit = i64::from(byte - b'0');
                fraction += digit * unit;
                cut |= unit == 0 && digit != 0;
                unit /= 10;
                at += 1;
            }
            if at == start {
                return None;
            }
        }
    }
    let micros = Some(clock(hour, minute, second)? + fraction);
    let offset = zone(text.get(at..)?)?;
    Some(Moment { days, micros, offset, cut })
}

/// `Z`, `+02`, `+0200`, `+02:00`, ` UTC`, or nothing. The outer `None` is a fault.
fn zone(text: &[u8]) -> Option<Option<i32>> {
    let text = text.trim_ascii();
    let (sign, rest) = match text {
        [] => return Some(None),
        b"Z" | b"z" | b"UTC" | b"GMT" => return Some(Some(0)),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes, seconds) = match rest.len() {
        2 => (number_at(rest, 0, 2)?, 0, 0),
        4 => (number_at(rest, 0, 2)?, number_at(rest, 2, 2)?, 0),
        5 if rest.get(2) == Some(&b':') => (number_at(rest, 0, 2)?, number_at(rest, 3, 2)?, 0),
        // PostgreSQL writes the odd offsets of old local times to the second.
        8 if rest.get(2) == Some(&b':') && rest.get(5) == Some(&b':') => {
            (number_at(rest, 0, 2)?, number_at(rest, 3, 2)?, number_at(rest, 6, 2)?)
        }
        _ => return None,
    };
    (hours <= 23 && minutes <= 59 && seconds <= 59).then(|| Some(sign * (hours * 3600 + minutes * 60 + seconds)))
}

fn number_at(text: &[u8], at: usize, digits: usize) -> Option<i32> {
    let mut value = 0_i32;
    for byte in text.get(at..at + digits)? {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i32::from(digit);
    }
    Some(value)
}

fn clock(hour: i32, minute: i32, second: i32) -> Option<i64> {
    // A leap second is the first of the next minute, as everywhere in POSIX time.
    let leap = second == 60 && minute == 59;
    (hour <= 23 && minute <= 59 && (second <= 59 || leap))
        .then(|| (i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second)) * MICROS)
}

/// Days since 1970 of a day of the (proleptic) Gregorian calendar.
fn day(year: i32, month: i32, day: i32) -> Option<i32> {
    let longest = match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=longest).contains(&day) {
        return None;
    }
    // Counted in years from March, so that the leap day comes last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// What a pattern leaves out is the earliest: January, the first, midnight.
fn strptime(text: &str, items: &[Item<'static>]) -> Option<Moment> {
    let mut parsed = Parsed::new();
    chrono::format::parse(&mut parsed, text, items.iter()).ok()?;
    let offset = parsed.offset();
    if let Some(seconds) = parsed.timestamp() {
        let time = chrono::DateTime::from_timestamp(seconds, parsed.nanosecond().unwrap_or_default())?.naive_utc();
        return Some(moment(time, Some(0)));
    }
    if parsed.hour_div_12().is_none() && parsed.hour_mod_12().is_none() {
        parsed.set_hour(0).ok()?;
    }
    if parsed.minute().is_none() {
        parsed.set_minute(0).ok()?;
    }
    let time: NaiveTime = parsed.to_naive_time().ok()?;
    let date = match parsed.to_naive_date() {
        Ok(date) => date,
        Err(_) => earliest_date(&mut parsed)?,
    };
    Some(moment(NaiveDateTime::new(date, time), offset))
}

fn earliest_date(parsed: &mut Parsed) -> Option<NaiveDate> {
    if parsed.month().is_none() {
        parsed.set_month(1).ok()?;
    }
    if parsed.day().is_none() {
        parsed.set_day(1).ok()?;
    }
    parsed.to_naive_date().ok()
}

fn moment(time: NaiveDateTime, offset: Option<i32>) -> Moment {
    let nanos = i64::from(time.nanosecond());
    let micros = i64::from(time.num_seconds_from_midnight()) * MICROS + nanos / 1000;
    Moment {
        days: time.date().num_days_from_ce() - 719_163,
        micros: Some(micros),
        offset: offset.and_then(FixedOffset::east_opt).map(|offset| offset.local_minus_utc()),
        cut: nanos % 1000 != 0,
    }
}

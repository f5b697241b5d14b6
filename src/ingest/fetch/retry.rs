//! Patience: what is worth another try, and how long to wait before it.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};

use crate::config::FetchSettings;

/// Whether an answer with this status may be different in a while.
pub(super) fn may_pass(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY)
}

/// The wait that `Retry-After` asks for (RFC 9110 §10.2.3): seconds, or a date, taken relative to the answer's own `Date`
/// so that neither clock has to be right.
pub(super) fn asked_for(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let said = httpdate::parse_http_date(headers.get(header::DATE)?.to_str().ok()?).ok()?;
    Some(until.duration_since(said).unwrap_or_default())
}

/// How long to wait before the next try: what upstream asked for, else the backoff doubled with each failure and up to
/// half as much again by chance, so that many clients do not come back together.
pub(super) fn wait(settings: &FetchSettings, failures: u32, asked: Option<Duration>) -> Duration {
    let doubled = settings.backoff.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16)));
    let backoff = doubled.mul_f64(1.0 + fastrand::f64() / 2.0);
    asked.map_or(backoff, |asked| asked.max(settings.backoff)).min(settings.longest_wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("a header value"))).collect()
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        assert_eq!(asked_for(&headers(&[(header::RETRY_AFTER, " 120 ")])), Some(Duration::from_secs(120)));
        let dated = headers(&[
            (header::RETRY_AFTER, "Fri, 07 Nov 2025 10:00:30 GMT"),
            (header::DATE, "Fri, 07 Nov 2025 10:00:00 GMT"),
        ]);
        assert_eq!(asked_for(&dated), Some(Duration::from_secs(30)));
        assert_eq!(asked_for(&headers(&[(header::RETRY_AFTER, "soon")])), None);
        assert_eq!(asked_for(&headers(&[])), None);
    }

    #[test]
    fn waits_double_and_are_capped() {
        let settings = FetchSettings::default();
        let first = wait(&settings, 1, None);
        assert!(first >= Duration::from_secs(1) && first < Duration::from_secs(2), "{first:?}");
        let third = wait(&settings, 3, None);
        assert!(third >= Duration::from_secs(4) && third <= Duration::from_secs(6), "{third:?}");
        assert_eq!(wait(&settings, 60, None), settings.longest_wait);
        assert_eq!(wait(&settings, 1, Some(Duration::from_secs(100_000))), settings.longest_wait);
        assert_eq!(wait(&settings, 5, Some(Duration::from_secs(7))), Duration::from_secs(7));
    }
}

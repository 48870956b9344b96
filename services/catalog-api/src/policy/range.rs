//! Fields that are a number or a duration within a range.

use std::fmt::Display;

use crate::{Invalid, Span};

/// `number`, or the default when it is left out.
pub(super) fn within<T>(
    what: &'static str,
    number: Option<u64>,
    default: T,
    least: T,
    most: T,
) -> Result<T, Invalid>
where
    T: TryFrom<u64> + PartialOrd + Display,
{
    let Some(number) = number else {
        return Ok(default);
    };
    match T::try_from(number) {
        Ok(number) if (&least..=&most).contains(&&number) => Ok(number),
        _ => Err(Invalid::new(
            what,
            format_args!("must be {least} to {most}, not {number}"),
        )),
    }
}

/// `span`, or the default when it is left out.
pub(super) fn lasting(
    what: &'static str,
    span: Option<Span>,
    default: Span,
    range: (Span, Span),
) -> Result<Span, Invalid> {
    let span = span.unwrap_or(default);
    if span < range.0 || span > range.1 {
        return Err(Invalid::new(
            what,
            format_args!("must be {} to {}, not {span}", range.0, range.1),
        ));
    }
    Ok(span)
}

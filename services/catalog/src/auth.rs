//! Who may write: whoever has the token. Reading needs none.

use service_kit::{http::Call, problem::Problem, secret::Secret};

/// Passes a call with the token.
///
/// # Errors
/// 401 without a token, 403 with another one.
pub(crate) fn authorize<E>(call: &Call<E>, token: &Secret) -> Result<(), Problem> {
    match call.bearer() {
        None => Err(Problem::unauthorized(
            "writing needs the catalog's token: send authorization: Bearer <token>",
        )),
        Some(candidate) if token.matches(candidate.as_bytes()) => Ok(()),
        Some(_) => Err(Problem::forbidden("this is not the catalog's token")),
    }
}

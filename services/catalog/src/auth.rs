//! Who may write, and who may call: reading needs nothing, writing the token, and calls what the service asks for.

use catalog_api::CallAccess;
use service_kit::{http::Call, problem::Problem, secret::Secret};

/// What a request showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Nothing.
    None,
    /// Something that is not the catalog's token.
    Other,
    /// The catalog's token.
    Token,
}

/// Passes a call with the token.
///
/// # Errors
/// 401 without a token, 403 with another one.
pub(crate) fn authorize<E>(call: &Call<E>, token: &Secret) -> Result<(), Problem> {
    Credentials::of(call, token).authorize()
}

// === impl Credentials ===

impl Credentials {
    /// Of a request.
    pub(crate) fn of<E>(call: &Call<E>, token: &Secret) -> Self {
        match call.bearer() {
            None => Self::None,
            Some(candidate) if token.matches(candidate.as_bytes()) => Self::Token,
            Some(_) => Self::Other,
        }
    }

    /// Passes the token.
    ///
    /// # Errors
    /// As [`authorize`].
    pub(crate) fn authorize(self) -> Result<(), Problem> {
        match self {
            Self::None => Err(Problem::unauthorized(
                "this needs the catalog's token: send authorization: Bearer <token>",
            )),
            Self::Other => Err(Problem::forbidden("this is not the catalog's token")),
            Self::Token => Ok(()),
        }
    }

    /// Passes who may call a service.
    ///
    /// # Errors
    /// As [`authorize`], and 403 where nobody may.
    pub(crate) fn admit(self, access: CallAccess) -> Result<(), Problem> {
        match access {
            CallAccess::Open => Ok(()),
            CallAccess::Token => self.authorize(),
            CallAccess::Off => Err(Problem::forbidden(
                "the service's policy does not allow calls through the catalog; use its route at the gateway",
            )),
        }
    }
}

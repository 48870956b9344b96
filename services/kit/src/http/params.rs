//! Parameters of a path: the parts of the pattern in braces, decoded.

use percent_encoding::percent_decode_str;

use crate::problem::Problem;

/// Decoded parameters of one request.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PathParams(Vec<(String, String)>);

impl PathParams {
    /// The parameter, percent-decoded; "" when the pattern has none of this name. Decoded means that a value may hold
    /// a `/` or any other character: whoever builds a path or a URL from it encodes again or takes the raw path.
    pub fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    pub(super) fn decode(params: &matchit::Params<'_, '_>) -> Result<Self, Problem> {
        params
            .iter()
            .map(|(name, raw)| match percent_decode_str(raw).decode_utf8() {
                Ok(value) => Ok((name.to_owned(), value.into_owned())),
                Err(_) => Err(Problem::bad_request(format!(
                    "the {name} in the path is not UTF-8 after percent-decoding; encode it as UTF-8"
                ))),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

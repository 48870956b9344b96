//! A set of request methods in one byte.

use catalog_api::Method;

/// Methods a route names. The empty set means "any", extension methods included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MethodSet(u8);

const ALL: [Method; 7] = [
    Method::Get,
    Method::Head,
    Method::Post,
    Method::Put,
    Method::Patch,
    Method::Delete,
    Method::Options,
];

fn bit(method: Method) -> u8 {
    1 << method as u8
}

// === impl MethodSet ===

impl MethodSet {
    /// Whether a request with this method may pass.
    pub fn allows(self, method: &http::Method) -> bool {
        self.is_any()
            || ALL
                .iter()
                .any(|known| self.0 & bit(*known) != 0 && known.as_str() == method.as_str())
    }

    /// Whether there is no condition.
    pub fn is_any(self) -> bool {
        self.0 == 0
    }

    /// Methods of both sets, for the `Allow` field.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The methods as text, for `Allow` and for people.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        ALL.into_iter()
            .filter(move |method| self.0 & bit(*method) != 0)
            .map(Method::as_str)
    }
}

impl FromIterator<Method> for MethodSet {
    fn from_iter<I: IntoIterator<Item = Method>>(methods: I) -> Self {
        let mut set = 0;
        for method in methods {
            set |= bit(method);
            if method == Method::Get {
                // RFC 9110 §9.3.2: HEAD is GET without the content; a route that serves one serves the other.
                set |= bit(Method::Head);
            }
        }
        Self(set)
    }
}

//! The fields of a message on its way through, whichever of the two ways it takes: what the gateway changes in them is written once.

use http::{HeaderName, HeaderValue};
use pingora_error::Result;
use pingora_http::{RequestHeader, ResponseHeader};

/// Fields that can be changed. Names are compared without regard to case.
pub(super) trait Fields {
    /// Every value of a name, in order.
    fn values<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]>;

    /// Takes out every field whose name, in whatever case, is `unwanted`.
    fn remove_where(&mut self, unwanted: impl Fn(&[u8]) -> bool);

    /// Puts a field in the place of all of its name.
    ///
    /// # Errors
    /// When there are more fields than a message can have.
    fn set(&mut self, name: HeaderName, value: HeaderValue) -> Result<()>;

    /// Adds a field.
    ///
    /// # Errors
    /// As [`Fields::set`].
    fn append(&mut self, name: HeaderName, value: HeaderValue) -> Result<()>;
}

macro_rules! fields_of_pingora {
    ($header:ty) => {
        impl Fields for $header {
            fn values<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
                let values = self.headers.get_all(name).into_iter();
                values.map(HeaderValue::as_bytes)
            }

            fn remove_where(&mut self, unwanted: impl Fn(&[u8]) -> bool) {
                let names: Vec<HeaderName> = self
                    .headers
                    .keys()
                    .filter(|name| unwanted(name.as_str().as_bytes()))
                    .cloned()
                    .collect();
                for name in names {
                    self.remove_header(&name);
                }
            }

            fn set(&mut self, name: HeaderName, value: HeaderValue) -> Result<()> {
                self.insert_header(name, value)
            }

            fn append(&mut self, name: HeaderName, value: HeaderValue) -> Result<()> {
                self.append_header(name, value).map(drop)
            }
        }
    };
}

fields_of_pingora!(RequestHeader);
fields_of_pingora!(ResponseHeader);

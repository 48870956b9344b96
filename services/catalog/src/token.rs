//! The token that writes need, when the configuration has none: made once, kept in a file that only its owner can read.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use service_kit::{durable, secret::Secret};

/// Name of the file in the data folder.
pub const FILE_NAME: &str = "catalog-token";

/// Longest token, in bytes. Longer ones do not fit into some proxies' headers.
const TOKEN_BYTES_MAX: usize = 1_024;

/// Permissions of the file.
const MODE: u32 = 0o600;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read, tightened or created.
    #[error("cannot use the token file {}; check its owner and permissions, or set CATALOG_TOKEN", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file's content is no token.
    #[error("the token file {} {reason}; delete it so that a new one is made, or set CATALOG_TOKEN", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
}

/// What is wrong with a text as a token, if anything: it has to fit into a header.
pub(crate) fn check(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        Err("is empty")
    } else if text.len() > TOKEN_BYTES_MAX {
        Err("is longer than 1024 bytes")
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Err("has characters other than printable ASCII")
    } else {
        Ok(())
    }
}

/// Reads the token of a data folder, or makes one. Blocks on the disk.
pub(crate) fn read_or_create(data_dir: &Path) -> Result<(Secret, PathBuf), TokenError> {
    let path = data_dir.join(FILE_NAME);
    let failed = |source| TokenError::File {
        path: path.clone(),
        source,
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let token = Secret::random();
            durable::write_atomically(&path, token.expose().as_bytes(), MODE).map_err(failed)?;
            return Ok((token, path));
        }
        Err(error) => return Err(failed(error)),
    };
    tighten(&path).map_err(failed)?;
    let token = text.trim_end_matches(['\r', '\n']);
    check(token).map_err(|reason| TokenError::Content {
        path: path.clone(),
        reason,
    })?;
    Ok((Secret::new(token.to_owned()), path))
}

/// Takes the file from everyone but its owner.
fn tighten(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    tracing::warn!(
        path = %path.display(),
        mode = format_args!("{mode:o}"),
        "others could read the token file; its mode is 600 now. Make a new token if they may have"
    );
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))
}

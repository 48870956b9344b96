//! Answers out of a folder.

use std::{path::Path, sync::Arc};

use pingora_core::server::ShutdownWatch;
use pingora_error::Result;

use super::{Relay, client::Client, lines::Lines};
use crate::{
    files::{Answer, Content},
    proxy::{fields::Fields as _, forward::X_REQUEST_ID, static_files},
};

// === impl Relay ===

impl<C: Client> Relay<'_, C> {
    /// Answers with what the folder has under the path of the request.
    ///
    /// # Errors
    /// The client is gone, or a file cannot be read to its end.
    pub(super) async fn answer_file(
        &mut self,
        folder: &Path,
        stopping: &ShutdownWatch,
    ) -> Result<()> {
        let files = &self.proxy.files;
        let found = static_files::find(&self.message.header, &self.ctx, files, folder).await;
        self.close_if(stopping);
        match found {
            Ok(answer) => self.send_file(answer).await,
            Err(refused) => self.refuse(refused, stopping).await,
        }
    }

    async fn send_file(&mut self, answer: Answer) -> Result<()> {
        let mut lines = Lines::with_capacity(answer.headers.len());
        lines.push_all(&answer.headers);
        if let Some(id) = &self.ctx.request_id {
            lines.set(X_REQUEST_ID, id.header())?;
        }
        let reason = answer.status.canonical_reason().unwrap_or_default();
        let length = answer.content.length();
        self.begin_own(answer.status, reason, lines, length).await?;
        match answer.content {
            Content::Empty => {}
            Content::Bytes(bytes) => return self.send_own(bytes, true).await,
            Content::File(..) if self.is_head() => {}
            Content::File(file, from, to) => {
                for (from, length) in static_files::pieces(from, to) {
                    let files = &self.proxy.files;
                    let read = files.read(Arc::clone(&file), from, length).await;
                    let piece = read.map_err(static_files::broken)?;
                    self.send_own(piece, from + length == to).await?;
                }
                if from < to {
                    return Ok(());
                }
            }
        }
        self.client.end().await
    }
}

//! Answers out of a folder.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use catalog_api::Method;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::{Context, respond};
use crate::{
    error::GatewayError,
    files::{Content, Files, FilesError, PIECE_BYTES},
    route::RequestPath,
};

/// Answers a request for a file of a folder.
pub(super) async fn answer(
    session: &mut Session,
    ctx: &mut Context,
    files: &Arc<Files>,
    folder: &Path,
) -> Result<()> {
    let request = session.req_header();
    let method = &request.method;
    if !matches!(*method, http::Method::GET | http::Method::HEAD) {
        let allowed = [Method::Get, Method::Head].into_iter().collect();
        return respond::refuse(session, ctx, GatewayError::MethodNotAllowed(allowed)).await;
    }
    let is_head = method == http::Method::HEAD;
    let answer = match (RequestPath::parse(request.uri.path()), &ctx.route) {
        (Ok(path), Some(route)) => {
            let below = route.below_prefix(path.as_str());
            let folders = files.answer(folder, below, path.as_str(), &request.headers);
            folders.await
        }
        _ => Err(FilesError::NotFound),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let error = match error {
                FilesError::NotFound => GatewayError::NoFile,
                FilesError::NoFolder => GatewayError::NoFolder,
                FilesError::Unreadable => GatewayError::Internal,
            };
            return respond::refuse(session, ctx, error).await;
        }
    };
    let mut response = ResponseHeader::build(answer.status, Some(answer.headers.len() + 1))?;
    for (name, value) in &answer.headers {
        response.insert_header(name.clone(), value.clone())?;
    }
    if let Some(id) = &ctx.request_id {
        response.insert_header("x-request-id", id.header())?;
    }
    if session.is_process_shutting_down() {
        session.set_keepalive(None);
    }
    let has_content = !is_head && !matches!(answer.content, Content::Empty);
    session
        .write_response_header(Box::new(response), !has_content)
        .await?;
    if has_content {
        write(session, files, answer.content).await?;
    }
    Ok(())
}

async fn write(session: &mut Session, files: &Files, content: Content) -> Result<()> {
    match content {
        Content::Empty => Ok(()),
        Content::Bytes(mut bytes) => loop {
            let piece = bytes.split_to(bytes.len().min(PIECE_BYTES as usize));
            let is_last = bytes.is_empty();
            session.write_response_body(Some(piece), is_last).await?;
            if is_last {
                return Ok(());
            }
        },
        Content::File(file, mut from, to) => loop {
            let length = (to - from).min(PIECE_BYTES);
            let piece = if length == 0 {
                Bytes::new()
            } else {
                let read = files.read(Arc::clone(&file), from, length).await;
                read.map_err(|error| Error::explain(ErrorType::FileReadError, error.to_string()))?
            };
            from += length;
            session.write_response_body(Some(piece), from == to).await?;
            if from == to {
                return Ok(());
            }
        },
    }
}

//! Answers out of a folder.

use std::{path::Path, sync::Arc};

use catalog_api::Method;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use super::{Context, forward::X_REQUEST_ID, respond};
use crate::{
    error::GatewayError,
    files::{Answer, Content, Files, FilesError, PIECE_BYTES},
    route::RequestPath,
};

/// What a folder has for a request.
///
/// # Errors
/// Why it has nothing, as it is answered.
pub(super) async fn find(
    request: &RequestHeader,
    ctx: &Context,
    files: &Arc<Files>,
    folder: &Path,
) -> Result<Answer, GatewayError> {
    if !matches!(request.method, http::Method::GET | http::Method::HEAD) {
        let allowed = [Method::Get, Method::Head].into_iter().collect();
        return Err(GatewayError::MethodNotAllowed(allowed));
    }
    let path = RequestPath::parse(request.uri.path());
    let (Ok(path), Some(route)) = (path, &ctx.route) else {
        return Err(GatewayError::NoFile);
    };
    let below = route.below_prefix(path.as_str());
    let answer = files.answer(folder, below, path.as_str(), &request.headers);
    answer.await.map_err(|error| match error {
        FilesError::NotFound => GatewayError::NoFile,
        FilesError::NoFolder => GatewayError::NoFolder,
        FilesError::Unreadable => GatewayError::Internal,
    })
}

/// Where the pieces of a part of a file begin, and how long they are.
pub(super) fn pieces(from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
    (from..to)
        .step_by(PIECE_BYTES as usize)
        .map(move |from| (from, (to - from).min(PIECE_BYTES)))
}

/// A file that cannot be read to its end.
pub(super) fn broken(error: FilesError) -> Box<Error> {
    Error::explain(ErrorType::FileReadError, error.to_string())
}

/// Answers a request for a file of a folder.
pub(super) async fn answer(
    session: &mut Session,
    ctx: &mut Context,
    files: &Arc<Files>,
    folder: &Path,
) -> Result<()> {
    let answer = match find(session.req_header(), ctx, files, folder).await {
        Ok(answer) => answer,
        Err(refused) => return respond::refuse(session, ctx, refused).await,
    };
    let mut response = ResponseHeader::build(answer.status, Some(answer.headers.len() + 1))?;
    for (name, value) in &answer.headers {
        response.insert_header(name.clone(), value.clone())?;
    }
    if let Some(id) = &ctx.request_id {
        response.insert_header(X_REQUEST_ID, id.header())?;
    }
    if session.is_process_shutting_down() {
        session.set_keepalive(None);
    }
    let is_head = session.req_header().method == http::Method::HEAD;
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
        Content::Empty => {}
        Content::Bytes(mut bytes) => {
            while !bytes.is_empty() {
                let piece = bytes.split_to(bytes.len().min(PIECE_BYTES as usize));
                session.write_response_body(Some(piece), false).await?;
            }
        }
        Content::File(file, from, to) => {
            for (from, length) in pieces(from, to) {
                let read = files.read(Arc::clone(&file), from, length).await;
                let piece = read.map_err(broken)?;
                session.write_response_body(Some(piece), false).await?;
            }
        }
    }
    session.write_response_body(None, true).await
}

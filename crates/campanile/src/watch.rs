//! Following what a server tells of, until Ctrl-C.

use crate::fail::Fail;
use crate::output::Output;
use tonic::{Response, Status, Streaming};

/// `what` names what is watched; `show` is given each piece of news.
pub async fn follow<T>(
    opening: impl Future<Output = Result<Response<Streaming<T>>, Status>>,
    what: &str,
    output: Output,
    mut show: impl FnMut(T) -> Result<(), Fail>,
) -> Result<(), Fail> {
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    let mut news = tokio::select! {
        answer = opening => answer?.into_inner(),
        _ = &mut interrupted => return Ok(()),
    };
    output.note(&format!("watching {what}, Ctrl-C ends"));
    loop {
        let told = tokio::select! {
            told = news.message() => told?,
            _ = &mut interrupted => return Ok(()),
        };
        let Some(told) = told else {
            return Err(Fail { code: 3, ..Fail::refused("the server is stopping and ended the watch") });
        };
        show(told)?;
    }
}

/// Says what a watch that was too slow did not see.
pub fn note_missed(missed: i64, output: Output) {
    if missed > 0 {
        output.note(&format!("{missed} were missed: this watch was too slow"));
    }
}

//! What estimates and plans have in common: every user is read, page by page, and the caller is told how far that is. Nothing is stored.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use campanile_core::campaign::Campaign;
use campanile_core::limits;
use campanile_core::number::{Shard, UserNo};
use campanile_core::ports::StoredUser;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::deployment::Deployment;
use crate::histories;
use crate::status;

pub type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Tells a caller how far a dry run is. News that the caller has no time for are left out.
pub struct Progress<T> {
    tell: mpsc::Sender<Result<T, Status>>,
    looked_at: AtomicI64,
}

impl<T: Send + 'static> Progress<T> {
    /// Counts what was looked at. Ends the run where nobody waits for it any more.
    pub fn looked_at(
        &self,
        deployment: &Deployment,
        n: usize,
        news: impl FnOnce(i64) -> T,
    ) -> Result<(), Status> {
        if deployment.stopping.is_cancelled() {
            return Err(Status::unavailable("the server is stopping"));
        }
        if self.tell.is_closed() {
            return Err(Status::cancelled("the caller went away"));
        }
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        let all = self.looked_at.fetch_add(n, Ordering::Relaxed) + n;
        let _ = self.tell.try_send(Ok(news(all)));
        Ok(())
    }

    pub fn all(&self) -> i64 {
        self.looked_at.load(Ordering::Relaxed)
    }
}

/// Answers with what `run` tells, and last with what it comes to.
pub fn answers<T, F>(run: impl FnOnce(Arc<Progress<T>>) -> F) -> Answers<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Status>> + Send + 'static,
{
    let (tell, told) = mpsc::channel(1);
    let run = run(Arc::new(Progress { tell: tell.clone(), looked_at: AtomicI64::new(0) }));
    tokio::spawn(async move {
        let last = run.await;
        let _ = tell.send(last).await;
    });
    Box::pin(ReceiverStream::new(told))
}

/// Shows a shard's users to `look`, a page at a time; other work gets its turn after each.
pub async fn everybody(
    deployment: &Deployment,
    campaign: &Campaign,
    shard: Shard,
    mut look: impl FnMut(&[StoredUser]) -> Result<(), Status>,
) -> Result<(), Status> {
    let mut after = UserNo(0);
    loop {
        let mut page =
            deployment.store.list_users(shard, after, limits::ADVANCE_MAX).await.map_err(status::store)?;
        histories::fill(deployment, campaign, shard, &mut page).await?;
        after = page.last().map_or(after, |user| user.no);
        look(&page)?;
        if page.len() < limits::ADVANCE_MAX {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

//! Waits for what becomes of sends. One follower of the log serves everybody who waits in this process, and rests where nobody does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use campanile_core::due_send::SendId;
use campanile_core::log_row::Ended;
use campanile_core::ports::{Store, StoreError};
use campanile_core::sends_query::SendRow;
use futures_util::future::try_join_all;
use tokio::sync::{Mutex, broadcast};
use tokio::time::Instant;

/// How often the log is looked at while somebody waits.
const EVERY: Duration = Duration::from_millis(50);
/// Rows read at once.
const ROWS_MAX: usize = 500;
/// Pages that one who waits may be behind.
const BEHIND_MAX: usize = 256;
/// Sends looked up one by one at the same time.
const LOOKS_AT_ONCE: usize = 16;

pub struct Outcomes {
    is_followed: Arc<Mutex<bool>>,
    news: broadcast::Sender<Arc<Vec<SendRow>>>,
}

impl Default for Outcomes {
    fn default() -> Outcomes {
        Outcomes { is_followed: Arc::default(), news: broadcast::channel(BEHIND_MAX).0 }
    }
}

/// What ends from now on.
pub struct Following {
    store: Arc<dyn Store>,
    news: broadcast::Receiver<Arc<Vec<SendRow>>>,
}

impl Outcomes {
    /// To be called before the sends are made.
    pub async fn follow(&self, store: &Arc<dyn Store>) -> Result<Following, StoreError> {
        let mut is_followed = self.is_followed.lock().await;
        let news = self.news.subscribe();
        if !*is_followed {
            let begins = store.sends_after("", ROWS_MAX).await?.next;
            *is_followed = true;
            let (store, news, is_followed) = (store.clone(), self.news.clone(), self.is_followed.clone());
            tokio::spawn(async move { tell(store.as_ref(), begins, &news, &is_followed).await });
        }
        Ok(Following { store: store.clone(), news })
    }
}

/// Until nobody listens.
async fn tell(
    store: &dyn Store,
    mut after: String,
    news: &broadcast::Sender<Arc<Vec<SendRow>>>,
    is_followed: &Mutex<bool>,
) {
    loop {
        // While the store is away nothing ends; those who wait give up by themselves.
        let rows = match store.sends_after(&after, ROWS_MAX).await {
            Ok(page) => {
                after = page.next;
                page.rows
            }
            Err(_) => Vec::new(),
        };
        let is_quiet = rows.len() < ROWS_MAX;
        if !rows.is_empty() {
            let _ = news.send(Arc::new(rows));
        }
        if is_quiet {
            tokio::time::sleep(EVERY).await;
        }
        let mut is_followed = is_followed.lock().await;
        if news.receiver_count() == 0 {
            *is_followed = false;
            return;
        }
    }
}

impl Following {
    /// The newest row of each of these sends, when all have ended or the time is over; those of which nothing is known are left out.
    /// With `look`, what the log says already is looked up first.
    pub async fn until(
        mut self,
        deadline: Instant,
        sends: &[SendId],
        look: bool,
    ) -> Result<HashMap<SendId, SendRow>, StoreError> {
        let mut open: HashMap<SendId, Option<SendRow>> = sends.iter().map(|id| (*id, None)).collect();
        let mut rows = HashMap::new();
        let mut look = look;
        loop {
            if std::mem::take(&mut look) {
                let ids: Vec<SendId> = open.keys().copied().collect();
                for row in looked_up(self.store.as_ref(), &ids).await? {
                    note(&self.store, row, &mut open, &mut rows);
                }
            }
            if open.is_empty() {
                return Ok(rows);
            }
            match tokio::time::timeout_at(deadline, self.news.recv()).await {
                Ok(Ok(news)) => {
                    for row in news.iter() {
                        note(&self.store, row.clone(), &mut open, &mut rows);
                    }
                }
                Ok(Err(broadcast::error::RecvError::Lagged(_))) => look = true,
                Ok(Err(broadcast::error::RecvError::Closed)) | Err(_) => {
                    rows.extend(open.into_iter().filter_map(|(id, row)| Some((id, row?))));
                    return Ok(rows);
                }
            }
        }
    }
}

async fn looked_up(store: &dyn Store, ids: &[SendId]) -> Result<Vec<SendRow>, StoreError> {
    let mut rows = Vec::new();
    for ids in ids.chunks(LOOKS_AT_ONCE) {
        let trails = try_join_all(ids.iter().map(|id| store.send(id))).await?;
        rows.extend(trails.into_iter().filter_map(|trail| trail.rows.into_iter().next()));
    }
    Ok(rows)
}

fn note(
    store: &Arc<dyn Store>,
    row: SendRow,
    open: &mut HashMap<SendId, Option<SendRow>>,
    rows: &mut HashMap<SendId, SendRow>,
) {
    let id = row.row.send_id(store.layout(), row.shard);
    if !open.contains_key(&id) {
        return;
    }
    if row.row.ended == Ended::Retrying {
        open.insert(id, Some(row));
    } else {
        open.remove(&id);
        rows.insert(id, row);
    }
}

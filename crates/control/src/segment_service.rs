//! The gRPC face of segments and lists. Segments are checked together before one of them is stored: nothing unknown, no circle.

use std::sync::Arc;

use campanile_core::fault::Faults;
use campanile_core::limits;
use campanile_core::segment::{Segment, SegmentRecord};
use campanile_core::segments::Segments;
use campanile_proto::v1 as wire;
use campanile_proto::v1::segment_service_server::SegmentService;
use tonic::{Request, Response, Status, Streaming};

use crate::deployment::Deployment;
use crate::group_use::{Group, used_by};
use crate::read_request::{check_request_id, page_size};
use crate::write_campaign::timestamp;
use crate::{status, user_lists};

pub struct SegmentNames {
    deployment: Arc<Deployment>,
}

impl SegmentNames {
    pub fn new(deployment: Arc<Deployment>) -> SegmentNames {
        SegmentNames { deployment }
    }

    async fn all(&self) -> Result<Arc<Segments>, Status> {
        self.deployment.segments().await.map_err(status::store)
    }

    /// Stores what was checked; somebody else may have been faster.
    async fn save(&self, record: &SegmentRecord) -> Result<(), Status> {
        let saved = self.deployment.store.save_segment(record.clone()).await.map_err(status::store)?;
        if saved {
            return Ok(());
        }
        Err(Status::aborted(format!("the segment {:?} was changed meanwhile: look at it again", record.name)))
    }
}

#[tonic::async_trait]
impl SegmentService for SegmentNames {
    async fn create_segment(
        &self,
        request: Request<wire::CreateSegmentRequest>,
    ) -> Result<Response<wire::CreateSegmentResponse>, Status> {
        let request = request.into_inner();
        check_request_id(&request.request_id)?;
        let asked = request.segment.unwrap_or_default();
        let (all, now) = (self.all().await?, self.deployment.now());
        let record = SegmentRecord {
            name: asked.name,
            title: asked.title,
            condition: asked.r#where,
            revision: 1,
            created_at: now,
            updated_at: now,
        };
        if let Some(there) = all.get(&record.name) {
            if !request.request_id.is_empty() && is_same(&there.record, &record) {
                return Ok(Response::new(wire::CreateSegmentResponse {
                    segment: Some(write(&there.record)),
                }));
            }
            return Err(Status::already_exists(format!("there is a segment {:?} already", record.name)));
        }
        check(&all, &record)?;
        if all.iter().count() >= limits::SEGMENTS_MAX {
            let most = limits::SEGMENTS_MAX;
            return Err(Status::resource_exhausted(format!(
                "there are {most} segments, more are not allowed"
            )));
        }
        if !request.validate_only {
            self.save(&record).await?;
        }
        Ok(Response::new(wire::CreateSegmentResponse { segment: Some(write(&record)) }))
    }

    async fn get_segment(
        &self,
        request: Request<wire::GetSegmentRequest>,
    ) -> Result<Response<wire::GetSegmentResponse>, Status> {
        let name = request.into_inner().name;
        let all = self.all().await?;
        let segment = Some(write(&known(&all, &name)?.record));
        let used_by = Some(used_by(&self.deployment, &all, Group::Segment(&name)).await?);
        Ok(Response::new(wire::GetSegmentResponse { segment, used_by }))
    }

    async fn list_segments(
        &self,
        request: Request<wire::ListSegmentsRequest>,
    ) -> Result<Response<wire::ListSegmentsResponse>, Status> {
        let request = request.into_inner();
        let limit = page_size(request.page_size)?;
        let all = self.all().await?;
        let mut rest = all.iter().filter(|s| s.record.name > request.page_token).peekable();
        let segments: Vec<_> = rest.by_ref().take(limit).map(|segment| write(&segment.record)).collect();
        let next_page_token = match (rest.peek(), segments.last()) {
            (Some(_), Some(last)) => last.name.clone(),
            _ => String::new(),
        };
        Ok(Response::new(wire::ListSegmentsResponse { segments, next_page_token }))
    }

    async fn update_segment(
        &self,
        request: Request<wire::UpdateSegmentRequest>,
    ) -> Result<Response<wire::UpdateSegmentResponse>, Status> {
        let request = request.into_inner();
        check_request_id(&request.request_id)?;
        let asked = request.segment.unwrap_or_default();
        let all = self.all().await?;
        let there = &known(&all, &asked.name)?.record;
        let expected = request.expected_revision;
        if expected != 0 && expected != there.revision {
            let text =
                format!("the segment {:?} is at revision {}, not {expected}", there.name, there.revision);
            return Err(Status::aborted(text));
        }
        let record = SegmentRecord {
            title: asked.title,
            condition: asked.r#where,
            revision: there.revision.saturating_add(1),
            updated_at: self.deployment.now(),
            ..there.clone()
        };
        check(&all, &record)?;
        let used_by = used_by(&self.deployment, &all, Group::Segment(&record.name)).await?;
        if is_same(there, &record) {
            let segment = Some(write(there));
            return Ok(Response::new(wire::UpdateSegmentResponse { segment, used_by: Some(used_by) }));
        }
        // What people call it decides nothing.
        if there.condition != record.condition && !request.allow_in_use && !request.validate_only {
            let hint = ". With allow_in_use it changes for them too";
            Group::Segment(&record.name).not_live(&used_by, hint)?;
        }
        if !request.validate_only {
            self.save(&record).await?;
        }
        let segment = Some(write(&record));
        Ok(Response::new(wire::UpdateSegmentResponse { segment, used_by: Some(used_by) }))
    }

    async fn delete_segment(
        &self,
        request: Request<wire::DeleteSegmentRequest>,
    ) -> Result<Response<wire::DeleteSegmentResponse>, Status> {
        let request = request.into_inner();
        check_request_id(&request.request_id)?;
        let all = self.all().await?;
        let revision = known(&all, &request.name)?.record.revision;
        let group = Group::Segment(&request.name);
        group.unused(&used_by(&self.deployment, &all, group).await?)?;
        if !request.validate_only {
            let deleted = self.deployment.store.delete_segment(&request.name, revision).await;
            if !deleted.map_err(status::store)? {
                let text = format!("the segment {:?} was changed meanwhile: look at it again", request.name);
                return Err(Status::aborted(text));
            }
        }
        Ok(Response::new(wire::DeleteSegmentResponse {}))
    }

    async fn put_user_list(
        &self,
        request: Request<Streaming<wire::PutUserListRequest>>,
    ) -> Result<Response<wire::PutUserListResponse>, Status> {
        user_lists::put(&self.deployment, request.into_inner()).await.map(Response::new)
    }

    async fn get_user_list(
        &self,
        request: Request<wire::GetUserListRequest>,
    ) -> Result<Response<wire::GetUserListResponse>, Status> {
        user_lists::get(&self.deployment, request.into_inner()).await.map(Response::new)
    }

    async fn list_user_lists(
        &self,
        request: Request<wire::ListUserListsRequest>,
    ) -> Result<Response<wire::ListUserListsResponse>, Status> {
        user_lists::list(&self.deployment, request.into_inner()).await.map(Response::new)
    }

    async fn delete_user_list(
        &self,
        request: Request<wire::DeleteUserListRequest>,
    ) -> Result<Response<wire::DeleteUserListResponse>, Status> {
        user_lists::delete(&self.deployment, request.into_inner()).await.map(Response::new)
    }
}

/// All faults at once; of fields that can be read, also what they name.
fn check(all: &Segments, record: &SegmentRecord) -> Result<(), Status> {
    let mut faults = Faults::default();
    if let Some(segment) = Segment::read(record.clone(), &mut faults) {
        all.with(segment).check_segment(&record.name, &mut faults);
    }
    for fault in &mut faults.0 {
        fault.field = format!("segment.{}", fault.field);
    }
    if faults.is_empty() { Ok(()) } else { Err(status::invalid(&faults)) }
}

fn known<'a>(all: &'a Segments, name: &str) -> Result<&'a Arc<Segment>, Status> {
    if name.is_empty() {
        return Err(status::invalid_field("name", "is missing"));
    }
    all.get(name).ok_or_else(|| Status::not_found(format!("there is no segment {name:?}")))
}

/// Whether two say the same.
fn is_same(a: &SegmentRecord, b: &SegmentRecord) -> bool {
    (&a.title, &a.condition) == (&b.title, &b.condition)
}

fn write(record: &SegmentRecord) -> wire::Segment {
    wire::Segment {
        name: record.name.clone(),
        r#where: record.condition.clone(),
        title: record.title.clone(),
        revision: record.revision,
        created_at: Some(timestamp(record.created_at)),
        updated_at: Some(timestamp(record.updated_at)),
    }
}

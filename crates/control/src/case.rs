//! Pure. A case of a campaign's test file: what would come of a made-up user at a made-up time, by the gates that decide for real. Needs no
//! store and no server.

use std::collections::BTreeSet;
use std::sync::Arc;

use campanile_core::campaign::{Campaign, Rules};
use campanile_core::campaign_fields::check_slug;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::deployment_limits::DeploymentLimits;
use campanile_core::due_send::DueSend;
use campanile_core::event::EntryData;
use campanile_core::fault::Faults;
use campanile_core::network::Policy;
use campanile_core::reason::{Refusal, Suppression};
use campanile_core::secret::{Secret, Secrets};
use campanile_core::segment::{Segment, SegmentRecord};
use campanile_core::segments::Segments;
use campanile_core::user::Profile;
use campanile_core::user_list::{UserIds, UserList};
use campanile_core::webhook_headers::headers;
use campanile_proto::v1 as wire;
use jiff::Timestamp;
use url::Url;

use crate::imagined::Imagined;
use crate::preview::first_attempt;
use crate::read_campaign::read_campaign;
use crate::read_items::{read_event, read_user, read_values};
use crate::trial::{Candidate, Fate, NO_SEND, Planned, Trial, as_if_active, entry_of};
use crate::write_stats::{refusal, suppression};

/// Who does not say who.
const SOMEBODY: &str = "somebody";
/// Stands where a secret has its value; a signing key as well.
const STAND_IN: &str = "whsec_c3RhbmQtaW4=";

/// What would come of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    Posted {
        method: String,
        url: String,
        headers: Vec<(String, String)>,
        body: String,
    },
    Refused(Refusal, String),
    Suppressed(Suppression, String),
    Waits(String),
    /// The first of several actions is not for the user.
    Skipped(String),
}

impl Came {
    /// In one line.
    pub fn told(&self) -> String {
        match self {
            Came::Posted { method, url, body, .. } => format!("{method} {url} {body}"),
            Came::Refused(reason, text) => format!("refused, {}: {text}", reason.name()),
            Came::Suppressed(reason, text) => format!("suppressed, {}: {text}", reason.name()),
            Came::Waits(text) => format!("it waits: {text}"),
            Came::Skipped(text) => format!("passed over: {text}"),
        }
    }
}

/// Judges a case of a campaign as it is written. Faults of the case have paths within it, those of the campaign within that.
pub fn judge(
    campaign: &wire::Campaign,
    test: &wire::CampaignTest,
    case: &wire::CampaignCase,
    now: Timestamp,
) -> Result<Came, CaseFaults> {
    let mut faults = Faults::default();
    let now = instant(&case.now, "now", now, &mut faults);
    let imagined = imagine(case, now, &mut faults);
    if !faults.is_empty() {
        return Err(CaseFaults::OfCase(faults));
    }
    let draft = read_campaign(campaign).map_err(CaseFaults::OfCampaign)?;
    let (policy, unchecked) = (Policy::unchecked(), Secrets::unchecked());
    let segments = segments(test, now).map_err(CaseFaults::OfTest)?;
    let rules = Rules { policy: &policy, secrets: &unchecked, segments: &segments, now };
    let compiled = Campaign::compile(draft.clone(), &rules).map_err(CaseFaults::OfCampaign)?;
    let secrets = stand_ins(&compiled, &test.secrets).map_err(CaseFaults::OfTest)?;
    let record = as_if_active(&CampaignRecord::new(draft, now));
    let limits = DeploymentLimits::default();
    let trial = Trial::new((&record, &compiled), (&secrets, &segments), &policy, &limits);
    let entry: Option<EntryData> = entry_of(&compiled, &imagined);
    let (profile, entry) = (imagined.profile.as_ref(), entry.as_ref());
    let candidate = Candidate { profile, entry, at: now, step: None, counted: None };
    if let Some((reason, text)) = trial.refused(&candidate) {
        return Ok(Came::Refused(reason, text));
    }
    let send: DueSend = match trial.planned(&candidate) {
        Ok(send) => send,
        Err((reason, text)) => return Ok(Came::Suppressed(reason, text)),
    };
    let planned = Planned { send: &send, send_id: NO_SEND };
    let course = trial.course(&candidate, planned);
    Ok(match course.fate {
        Fate::Refused(reason, text) => Came::Refused(reason, text),
        Fate::Suppressed(reason, text) => Came::Suppressed(reason, text),
        Fate::Waits(_, text) => Came::Waits(text),
        Fate::Skipped(text) => Came::Skipped(text),
        Fate::Sent(request) => {
            let shown = trial.masked(&candidate, planned, course.at).unwrap_or(request);
            let head = first_attempt(NO_SEND, &record.id, course.at);
            Came::Posted {
                method: shown.method.name().to_owned(),
                headers: headers(&shown, &head, &[]),
                body: String::from_utf8_lossy(&shown.body).into_owned(),
                url: shown.url,
            }
        }
    })
}

/// Whose fault it is.
#[derive(Debug)]
pub enum CaseFaults {
    OfCase(Faults),
    /// Of what stands beside the cases in their file.
    OfTest(Faults),
    OfCampaign(Faults),
}

fn imagine(case: &wire::CampaignCase, now: Timestamp, faults: &mut Faults) -> Imagined {
    let user = case.user.clone().unwrap_or_default();
    let id = if user.id.is_empty() { SOMEBODY.to_owned() } else { user.id };
    let created_at = instant(&user.created_at, "user.created_at", now, faults);
    let mut profile = Profile::new(&id, created_at);
    let change = wire::UserUpdate {
        id: id.clone(),
        attributes: user.attributes,
        time_zone: user.time_zone,
        ..Default::default()
    };
    match read_user(&change) {
        Ok(change) => {
            if let Err(text) = profile.apply(&change) {
                faults.add("user.attributes", text);
            }
        }
        Err(wrong) => beneath("user", wrong, faults),
    }
    let mut event = |written: &wire::TestEvent, path: &str, faults: &mut Faults| {
        let at = instant(&written.at, &format!("{path}.at"), now, faults);
        let event = wire::Event {
            name: written.name.clone(),
            user_id: id.clone(),
            properties: written.properties.clone(),
            value: written.value,
            occurred_at: Some(crate::write_campaign::timestamp(at)),
            ..Default::default()
        };
        match read_event(&event, now, || path.to_owned()) {
            Ok(event) => {
                profile.count(&event, event.occurred_at);
                Some(event)
            }
            Err(wrong) => {
                beneath(path, wrong, faults);
                None
            }
        }
    };
    for (i, did) in user.did.iter().enumerate() {
        event(did, &format!("user.did[{i}]"), faults);
    }
    let event = case.event.as_ref().and_then(|written| event(written, "event", faults));
    let values = read_values(&case.values, "values", faults);
    Imagined { profile: Some(profile), event, values }
}

fn instant(text: &str, field: &str, else_at: Timestamp, faults: &mut Faults) -> Timestamp {
    if text.is_empty() {
        return else_at;
    }
    text.parse().unwrap_or_else(|_| {
        faults.add(field, format!("{text:?} is no instant: write it like 2026-12-01T09:00:00Z"));
        else_at
    })
}

fn beneath(field: &str, wrong: Faults, faults: &mut Faults) {
    wrong.0.into_iter().for_each(|fault| faults.add(format!("{field}.{}", fault.field), fault.text));
}

/// The segments and lists that stand for the stored ones.
fn segments(test: &wire::CampaignTest, now: Timestamp) -> Result<Segments, Faults> {
    let mut faults = Faults::default();
    let mut lists = Vec::new();
    for (i, list) in test.lists.iter().enumerate() {
        let name = check_slug(&list.name).map_err(|text| ("name", text));
        let ids = UserIds::new(list.user_ids.clone()).map_err(|text| ("user_ids", text));
        match name.and(ids) {
            Ok(ids) => lists.push(Arc::new(UserList { record: ids.record(&list.name, 1, now), ids })),
            Err((field, text)) => faults.add(format!("lists[{i}].{field}"), text),
        }
    }
    let mut segments = Vec::new();
    let of_segment = |i: usize, wrong: Faults, faults: &mut Faults| {
        beneath(&format!("segments[{i}]"), wrong, faults);
    };
    for (i, segment) in test.segments.iter().enumerate() {
        let record = SegmentRecord {
            name: segment.name.clone(),
            title: String::new(),
            condition: segment.r#where.clone(),
            revision: 1,
            created_at: now,
            updated_at: now,
        };
        let mut wrong = Faults::default();
        segments.extend(Segment::read(record, &mut wrong));
        of_segment(i, wrong, &mut faults);
    }
    let all = Segments::new(segments, lists);
    for (i, segment) in test.segments.iter().enumerate() {
        let mut wrong = Faults::default();
        all.check_segment(&segment.name, &mut wrong);
        of_segment(i, wrong, &mut faults);
    }
    if faults.is_empty() { Ok(all) } else { Err(faults) }
}

/// A secret for each name that the campaign uses: it may go wherever the campaign is known to send, and where the test says.
fn stand_ins(campaign: &Campaign, given: &[wire::TestSecret]) -> Result<Secrets, Faults> {
    let webhooks = || campaign.actions.iter().flat_map(|action| action.webhooks());
    let host_of = |url: &str| Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    // A secret may be a whole URL, or the host in one.
    let host_in = |value: &str| host_of(value).or_else(|| host_of(&format!("https://{value}")));
    let constant = webhooks().filter_map(|webhook| webhook.constant_destination());
    let mut hosts: BTreeSet<String> = constant.filter_map(|url| host_of(&url)).collect();
    hosts.extend(webhooks().flat_map(|webhook| webhook.allowed_hosts().iter().cloned()));
    let mut faults = Faults::default();
    let names: BTreeSet<&str> =
        webhooks().flat_map(|webhook| webhook.secrets().iter().map(|name| &**name)).collect();
    let mut secrets = Vec::new();
    for name in names {
        let written = given.iter().position(|secret| secret.name == name);
        let (value, more) = match written.and_then(|place| given.get(place)) {
            Some(secret) => (secret.value.clone(), secret.hosts.clone()),
            None => (STAND_IN.to_owned(), Vec::new()),
        };
        let own = hosts.iter().cloned().chain(more).chain(host_in(&value));
        let own: Vec<String> = own.collect();
        let own = if own.is_empty() { vec!["nowhere.invalid".to_owned()] } else { own };
        let path = written.map_or_else(String::new, |place| format!("secrets[{place}]"));
        secrets.extend(Secret::new(name, vec![value], &own, &path, &mut faults));
    }
    if faults.is_empty() { Ok(Secrets::from_iter(secrets)) } else { Err(faults) }
}

/// What is not as the case says it should be, a line each; empty: all is.
pub fn differences(case: &wire::CampaignCase, came: &Came) -> Vec<String> {
    let told = came.told();
    if case.expect_refused() != wire::RefusalReason::Unspecified {
        let is_so = matches!(came, Came::Refused(reason, _) if refusal(*reason) == case.expect_refused());
        let wanted = word(case.expect_refused().as_str_name(), "REFUSAL_REASON_");
        return if is_so { Vec::new() } else { vec![format!("expected refused, {wanted}; it came: {told}")] };
    }
    if case.expect_suppressed() != wire::SuppressionReason::Unspecified {
        let wanted = case.expect_suppressed();
        let is_so = matches!(came, Came::Suppressed(reason, _) if suppression(*reason) == wanted);
        let wanted = word(wanted.as_str_name(), "SUPPRESSION_REASON_");
        return if is_so {
            Vec::new()
        } else {
            vec![format!("expected suppressed, {wanted}; it came: {told}")]
        };
    }
    let expected = case.expect.clone().unwrap_or_default();
    let Came::Posted { method, url, headers, body } = came else {
        return vec![format!("expected a request; it came: {told}")];
    };
    let mut wrong = Vec::new();
    let mut compare = |what: &str, wanted: &str, found: &str| {
        if !wanted.is_empty() && wanted != found {
            wrong.push(format!("{what}: expected {wanted}; it came: {found}"));
        }
    };
    compare("url", &expected.url, url);
    if expected.method() != wire::HttpMethod::Unspecified {
        compare("method", expected.method().as_str_name().trim_start_matches("HTTP_METHOD_"), method);
    }
    compare("body", &expected.body, body);
    for header in &expected.headers {
        let found = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(&header.name));
        let found = found.map_or("no such header", |(_, value)| value);
        compare(&format!("header {}", header.name), &header.value, found);
    }
    if !expected.json.is_empty() {
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        if read(body).is_none() || read(&expected.json) != read(body) {
            wrong.push(format!("json: expected {}; it came: {body}", expected.json));
        }
    }
    wrong
}

fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}

//! Whatever a caller sends is answered with every wrong field at once; the process stays up and nothing is stored by halves.

use campanile_proto::campaign_file;
use campanile_proto::v1 as wire;
use campanile_tests::running::{Running, event};
use campanile_tests::target::Target;
use tonic::{Code, Status};
use tonic_types::StatusExt;

const GOOD: &str = r#"
id: good
delivery: {triggered: seen}
webhook: {url: "https://example.com/hook", data: {a: b}}
"#;

fn good() -> wire::Campaign {
    campaign_file::read(GOOD.as_bytes()).expect("a campaign file").remove(0).campaign
}

fn with(change: impl FnOnce(&mut wire::Campaign)) -> wire::Campaign {
    let mut campaign = good();
    change(&mut campaign);
    campaign
}

fn webhook(campaign: &mut wire::Campaign) -> &mut wire::Webhook {
    campaign.webhook.as_mut().expect("a webhook")
}

fn kind(campaign: &mut wire::Campaign, kind: wire::delivery::Kind) {
    campaign.delivery = Some(wire::Delivery { kind: Some(kind), ..Default::default() });
}

fn recurring(rule: wire::recurring::Rule) -> wire::delivery::Kind {
    wire::delivery::Kind::Recurring(wire::Recurring { rule: Some(rule), ..Default::default() })
}

fn fields(status: &Status) -> Vec<String> {
    let details = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    details.into_iter().map(|violation| violation.field).collect()
}

/// Each with the fields that must be named.
fn bad_campaigns() -> Vec<(&'static str, wire::Campaign, Vec<&'static str>)> {
    use wire::data_row::Content;
    let row = |name: &str, text: &str| wire::DataRow {
        name: name.to_owned(),
        content: Some(Content::Value(text.to_owned())),
    };
    let cron = |text: &str| recurring(wire::recurring::Rule::Cron(text.to_owned()));
    vec![
        ("no id", with(|c| c.id = String::new()), vec!["id"]),
        ("an id of capitals", with(|c| c.id = "Good One".to_owned()), vec!["id"]),
        ("a huge id", with(|c| c.id = "x".repeat(64)), vec!["id"]),
        ("NUL in a title", with(|c| c.title = "a\0b".to_owned()), vec!["title"]),
        ("no delivery", with(|c| c.delivery = None), vec!["delivery"]),
        ("no webhook", with(|c| c.webhook = None), vec!["webhook"]),
        ("no url", with(|c| webhook(c).url = String::new()), vec!["webhook.url"]),
        ("a relative url", with(|c| webhook(c).url = "/hook".to_owned()), vec!["webhook.url"]),
        ("another scheme", with(|c| webhook(c).url = "ftp://example.com/".to_owned()), vec!["webhook.url"]),
        (
            "a metadata address",
            with(|c| webhook(c).url = "https://169.254.169.254/".to_owned()),
            vec!["webhook.url"],
        ),
        (
            "a decimal loopback",
            with(|c| webhook(c).url = "https://2130706433/".to_owned()),
            vec!["webhook.url"],
        ),
        (
            "a broken template",
            with(|c| webhook(c).data = vec![row("a", "{{ user.")]),
            vec!["webhook.data[0]"],
        ),
        (
            "an unknown name",
            with(|c| webhook(c).data = vec![row("a", "{{ usr.x }}")]),
            vec!["webhook.data[0]"],
        ),
        (
            "an unknown filter",
            with(|c| webhook(c).data = vec![row("a", "{{ user.x | shout }}")]),
            vec!["webhook.data[0]"],
        ),
        (
            "ten thousand brackets",
            with(|c| webhook(c).data = vec![row("a", &format!("{{{{ {}1 }}}}", "(".repeat(10_000)))]),
            vec!["webhook.data[0]"],
        ),
        (
            "ten thousand rows",
            with(|c| webhook(c).data = (0..10_000).map(|i| row(&format!("r{i}"), "x")).collect()),
            vec!["webhook.data"],
        ),
        (
            "rows twice",
            with(|c| webhook(c).data = vec![row("a", "1"), row("a", "2")]),
            vec!["webhook.data[1]"],
        ),
        (
            "a refused header",
            with(|c| {
                webhook(c).headers = vec![wire::Header { name: "Host".to_owned(), value: "x".to_owned() }]
            }),
            vec!["webhook.headers[0]"],
        ),
        (
            "deep json",
            with(|c| {
                webhook(c).data.clear();
                webhook(c).json = "[".repeat(10_000)
            }),
            vec!["webhook.json"],
        ),
        ("data and json", with(|c| webhook(c).json = "{}".to_owned()), vec!["webhook"]),
        (
            "an unknown secret",
            with(|c| webhook(c).signing_secret = "nothing".to_owned()),
            vec!["webhook.signing_secret"],
        ),
        ("an unknown method", with(|c| webhook(c).method = 99), vec!["webhook.method"]),
        (
            "a deep audience",
            with(|c| {
                c.audience = Some(wire::Audience {
                    r#where: format!("{}user.x == 1", "not ".repeat(10_000)),
                    ..Default::default()
                })
            }),
            vec!["audience.where"],
        ),
        (
            "a wide audience",
            with(|c| c.audience = Some(wire::Audience { r#where: "(".repeat(10_000), ..Default::default() })),
            vec!["audience.where"],
        ),
        (
            "everybody by default",
            with(|c| kind(c, wire::delivery::Kind::OneTime(wire::OneTime { at: "now".to_owned(), late: 0 }))),
            vec!["audience.where"],
        ),
        (
            "an impossible cron",
            with(|c| kind(c, cron("0 0 30 2 *"))),
            vec!["delivery.recurring.cron", "audience.where"],
        ),
        ("a huge cron", with(|c| kind(c, cron(&"9".repeat(10_000)))), vec!["delivery.recurring.cron"]),
        (
            "a zone that is none",
            with(|c| {
                kind(c, cron("0 9 * * 1"));
                c.delivery.as_mut().expect("set").zone = "Europe/Berlim".to_owned()
            }),
            vec!["delivery.zone"],
        ),
        (
            "no time of day",
            with(|c| {
                kind(
                    c,
                    recurring(wire::recurring::Rule::Every(wire::Every {
                        step: Some(wire::every::Step::Days(1)),
                        ..Default::default()
                    })),
                )
            }),
            vec!["delivery.recurring.every.at"],
        ),
        (
            "a day that is none",
            with(|c| {
                kind(
                    c,
                    recurring(wire::recurring::Rule::Every(wire::Every {
                        step: Some(wire::every::Step::Months(1)),
                        month_days: vec!["32".to_owned()],
                        at: vec!["08:00".to_owned()],
                        ..Default::default()
                    })),
                )
            }),
            vec!["delivery.recurring.every.month_days[0]"],
        ),
        (
            "a time that is none",
            with(|c| {
                kind(c, wire::delivery::Kind::OneTime(wire::OneTime { at: "soon".to_owned(), late: 0 }))
            }),
            vec!["delivery.one_time.at"],
        ),
        (
            "a negative duration",
            with(|c| {
                c.limits = Some(wire::Limits {
                    expiry: Some(prost_types::Duration { seconds: -5, nanos: 0 }),
                    ..Default::default()
                })
            }),
            vec!["limits.expiry"],
        ),
        (
            "who is split in a way nobody can be",
            with(|c| {
                c.audience = Some(wire::Audience { holdback_percent: 0.05, ..Default::default() });
                let hook = c.webhook.take().map(wire::variant::Type::Webhook);
                let variant = wire::Variant { name: "only".to_owned(), weight: 2_000_000, r#type: hook };
                c.actions = vec![wire::Action {
                    name: "a".to_owned(),
                    variants: vec![variant],
                    ..Default::default()
                }];
            }),
            vec!["actions[0].variants", "actions[0].variants[0].weight", "audience.holdback_percent"],
        ),
        (
            "an answer and a body that are judged by nonsense",
            with(|c| {
                webhook(c).success_when = "user.x == 1".to_owned();
                webhook(c).json_schema = r#"{"type": "strin"}"#.to_owned();
            }),
            vec!["webhook.success_when", "webhook.json_schema"],
        ),
        (
            "limits that say nothing",
            with(|c| {
                let quiet = wire::QuietHours { from: "21".to_owned(), to: "08:00".to_owned(), then: 0 };
                let throttle = "50 a second".to_owned();
                c.limits = Some(wire::Limits { throttle, quiet_hours: Some(quiet), ..Default::default() });
            }),
            vec!["limits.throttle", "limits.quiet_hours.from"],
        ),
        (
            "a conversion of nothing",
            with(|c| {
                let (r#where, event) = ("event.value >".to_owned(), String::new());
                let within = Some(prost_types::Duration { seconds: 91 * 24 * 3600, nanos: 0 });
                c.conversion = Some(wire::Conversion { event, r#where, within });
            }),
            vec!["conversion.event", "conversion.where", "conversion.within"],
        ),
        (
            "three at once",
            with(|c| {
                c.id = String::new();
                webhook(c).url = "x".to_owned();
                webhook(c).data = vec![row("a", "{{ user.")]
            }),
            vec!["id", "webhook.url", "webhook.data[0]"],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_campaign_is_refused_by_field_and_none_is_stored() {
    let running = Running::sqlite_with(&[]).await;
    let mut campaigns = running.api.campaigns.clone();
    for (name, campaign, expected) in bad_campaigns() {
        let create = wire::CreateCampaignRequest { campaign: Some(campaign.clone()), ..Default::default() };
        let status = campaigns.create_campaign(create).await.expect_err(name);
        assert_eq!(status.code(), Code::InvalidArgument, "{name}: {status:?}");
        let named = fields(&status);
        for field in expected {
            assert!(named.iter().any(|n| n.starts_with(field)), "{name}: {field} is not among {named:?}");
        }
        let validate = wire::ValidateCampaignRequest { campaign: Some(campaign) };
        let answer = campaigns.validate_campaign(validate).await.expect(name).into_inner();
        assert!(!answer.violations.is_empty(), "{name}");
    }
    let listed = campaigns.list_campaigns(wire::ListCampaignsRequest::default()).await.expect("it is up");
    assert_eq!(listed.into_inner().campaigns, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_states_and_revisions_are_held_to() {
    let running = Running::sqlite_with(&[]).await;
    let mut campaigns = running.api.campaigns.clone();
    let create = |request: &str| wire::CreateCampaignRequest {
        campaign: Some(good()),
        request_id: request.to_owned(),
    };
    campaigns.create_campaign(create("r1")).await.expect("created");
    campaigns.create_campaign(create("r1")).await.expect("the same request again");
    let taken = campaigns.create_campaign(create("r2")).await.expect_err("the id is taken");
    assert_eq!(taken.code(), Code::AlreadyExists);
    let unknown = campaigns
        .get_campaign(wire::GetCampaignRequest { id: "nobody".to_owned(), ..Default::default() })
        .await;
    assert_eq!(unknown.expect_err("unknown").code(), Code::NotFound);
    let pause = wire::PauseCampaignRequest { id: "good".to_owned(), ..Default::default() };
    let draft = campaigns.pause_campaign(pause).await.expect_err("a draft");
    assert_eq!(draft.code(), Code::FailedPrecondition);
    let end = wire::EndCampaignRequest { id: "good".to_owned(), ..Default::default() };
    assert_eq!(fields(&campaigns.end_campaign(end).await.expect_err("no mode")), ["mode"]);
    let update = |paths: &[&str], revision| wire::UpdateCampaignRequest {
        campaign: Some(with(|c| c.title = "new".to_owned())),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|p| (*p).to_owned()).collect() }),
        expected_revision: revision,
        ..Default::default()
    };
    let stale = campaigns.update_campaign(update(&["title"], 7)).await.expect_err("another revision");
    assert_eq!(stale.code(), Code::Aborted);
    let path = campaigns.update_campaign(update(&["titel"], 1)).await.expect_err("no such field");
    assert_eq!(fields(&path), ["update_mask.titel"]);
    let updated = campaigns.update_campaign(update(&["title"], 1)).await.expect("updated").into_inner();
    let updated = updated.campaign.expect("the campaign");
    assert_eq!((updated.revision, updated.title.as_str()), (2, "new"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_items_are_answered_one_by_one_and_the_good_ones_are_taken() {
    let running = Running::sqlite_with(&[]).await;
    let user = |id: &str, attributes: &str| wire::UserUpdate {
        id: id.to_owned(),
        attributes: attributes.to_owned(),
        ..Default::default()
    };
    let users =
        vec![user("ann", r#"{"a": 1}"#), user("", ""), user("bob", "[]"), user("b\0b", ""), user("cy", "")];
    let request = wire::UpsertUsersRequest { users, ..Default::default() };
    let answers = running.api.users.clone().upsert_users(request).await.expect("answered").into_inner().users;
    let faults: Vec<Vec<String>> =
        answers.iter().map(|answer| answer.faults.iter().map(|f| f.field.clone()).collect()).collect();
    assert_eq!(
        faults,
        [vec![], vec!["id".to_owned()], vec!["attributes".to_owned()], vec!["id".to_owned()], vec![]]
    );
    let events = vec![
        event("ann", "seen", r#"{"a": 1}"#),
        event("ann", "", "{"),
        event("ann", "seen", &format!(r#"{{"big": "{}"}}"#, "x".repeat(70_000))),
        event("ann", "seen", &format!("{}1{}", r#"{"a":"#.repeat(200), "}".repeat(200))),
    ];
    let receipts: Vec<_> = running.track(events).await.iter().map(|e| e.receipt()).collect();
    use wire::EventReceipt::{Accepted, Refused};
    assert_eq!(receipts, [Accepted, Refused, Refused, Refused]);
    let many = wire::UpsertUsersRequest { users: vec![user("x", ""); 10_000], ..Default::default() };
    let refused = running.api.users.clone().upsert_users(many).await.expect_err("too many");
    assert_eq!(fields(&refused), ["users"]);
    let gone = running.api.users.clone().get_user(wire::GetUserRequest { id: "x".to_owned() }).await;
    assert_eq!(gone.expect_err("none of it was stored").code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_entries_are_refused_before_anybody_enters() {
    let running = Running::sqlite_with(&[]).await;
    running.activate(&GOOD.replace("triggered: seen", "manual: {}")).await;
    let user =
        |id: &str, values: &str| wire::UserToEnter { user_id: id.to_owned(), values: values.to_owned() };
    for (users, expected) in [
        (vec![], vec!["users"]),
        (vec![user("ann", ""), user("ann", "")], vec!["users[1].user_id"]),
        (vec![user("ann", "{"), user("", "")], vec!["users[0].values", "users[1].user_id"]),
        ((0..10_001).map(|i| user(&format!("u{i}"), "")).collect(), vec!["users"]),
    ] {
        let request = wire::EnterUsersRequest {
            campaign_id: "good".to_owned(),
            users,
            create_missing: true,
            ..Default::default()
        };
        let status = running.api.campaigns.clone().enter_users(request).await.expect_err("refused");
        assert_eq!(fields(&status), expected);
    }
    assert_eq!(running.stats("good").await.triggered, 0);
    let long = wire::EnterUsersRequest {
        campaign_id: "good".to_owned(),
        users: vec![user("ann", "")],
        request_id: "r".repeat(129),
        ..Default::default()
    };
    let status = running.api.campaigns.clone().enter_users(long).await.expect_err("refused");
    assert_eq!(fields(&status), ["request_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_would_run_for_ever_suppresses_its_send() {
    let target = Target::start().await;
    let running = Running::sqlite().await;
    running
        .activate(&format!(
            r#"
id: bomb
delivery: {{triggered: seen}}
webhook: {{url: "{}", raw: {{text: "{{% for i in range(1000000000) %}}x{{% endfor %}}"}}}}
"#,
            target.url("/bomb")
        ))
        .await;
    running.track(vec![event("mary", "seen", "{}")]).await;
    let stats = running.stats_until("bomb", |stats| stats.finished == 1).await;
    assert_eq!(stats.suppressed[0].reason(), wire::SuppressionReason::TemplateError);
    assert_eq!(target.received().len(), 0);
}

/// `UpsertUsersRequest` with an id of any bytes.
#[derive(Clone, PartialEq, prost::Message)]
struct RawUsers {
    #[prost(message, repeated, tag = "1")]
    users: Vec<RawUser>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RawUser {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_not_utf_8_is_refused_by_field_and_the_server_stays_up() {
    let running = Running::sqlite_with(&[]).await;
    let endpoint = tonic::transport::Endpoint::from_shared(running.processes[0].grpc.clone()).expect("a URL");
    let mut client = tonic::client::Grpc::new(endpoint.connect().await.expect("it listens"));
    client.ready().await.expect("ready");
    let request = RawUsers { users: vec![RawUser { id: vec![0xff, 0xfe, b'x'] }] };
    let codec = tonic_prost::ProstCodec::<RawUsers, wire::UpsertUsersResponse>::default();
    let path = "/campanile.v1.UserService/UpsertUsers".parse().expect("a path");
    let status = client.unary(tonic::Request::new(request), path, codec).await.expect_err("it is refused");
    assert!(status.message().contains("UserUpdate.id"), "{status:?}");
    running.users([("ann".to_owned(), String::new())]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_campaign_that_is_changed_keeps_going() {
    let running = Running::sqlite_with(&[]).await;
    let mut campaigns = running.api.campaigns.clone();
    running
        .activate(&GOOD.replace("{triggered: seen}", "{one_time: \"2099-01-01T00:00\"}\naudience: everyone"))
        .await;
    assert_eq!(running.campaign("good").await.state(), wire::CampaignState::Scheduled);
    let titled = wire::UpdateCampaignRequest {
        campaign: Some(with(|c| c.title = "new".to_owned())),
        update_mask: Some(prost_types::FieldMask { paths: vec!["title".to_owned()] }),
        request_id: "r-1".to_owned(),
        ..Default::default()
    };
    let titled = campaigns.update_campaign(titled).await.expect("updated").into_inner().campaign.expect("it");
    assert_eq!((titled.state(), titled.revision), (wire::CampaignState::Scheduled, 2));
    let by_event = wire::UpdateCampaignRequest {
        campaign: Some(good()),
        update_mask: Some(prost_types::FieldMask { paths: vec!["delivery".to_owned()] }),
        request_id: "r-2".to_owned(),
        ..Default::default()
    };
    let moved = campaigns.update_campaign(by_event.clone()).await.expect("updated").into_inner().campaign;
    assert_eq!(moved.expect("it").state(), wire::CampaignState::Active, "it waits for nothing any more");
    let again = campaigns.update_campaign(by_event).await.expect("the same request").into_inner().campaign;
    assert_eq!(again.expect("it").revision, 3);
    running.track(vec![event("mary", "seen", "{}")]).await;
    running.stats_until("good", |stats| stats.entered == 1).await;
}

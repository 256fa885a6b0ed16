//! The console's pages over plain HTTP: what they say, what they hide, and which changes they refuse.

use campanile_proto::v1 as wire;
use campanile_tests::running::{Running, event};
use campanile_tests::target::{Reply, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

crate::on_both_stores!(
    every_page_shows_what_there_is_and_the_command_that_does_the_same,
    a_page_that_is_not_there_says_so,
    a_change_is_made_only_from_a_page_of_ours,
    a_name_that_is_not_ours_is_not_answered,
    credentials_written_out_are_on_no_page_and_survive_an_edit,
    ending_shows_its_counts_first,
    a_page_says_why_and_why_not,
    a_test_send_is_posted_from_a_page_of_ours_and_shows_what_comes_back,
    a_campaign_is_rehearsed_before_a_page_activates_it,
    the_settings_are_changed_on_a_page_of_ours,
);

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The head and the body of an answer.
async fn ask(running: &Running, method: &str, path: &str, headers: &str, body: &str) -> (String, String) {
    let address = running.processes[0].console.replace("http://", "");
    let host =
        if headers.to_lowercase().contains("host:") { String::new() } else { format!("host: {address}\r\n") };
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let request =
        format!("{method} {path} HTTP/1.1\r\n{host}{length}{headers}connection: close\r\n\r\n{body}");
    let mut stream = TcpStream::connect(&address).await.expect("it listens");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_owned(), body.to_owned())
}

async fn check(running: &Running, path: &str, status: u16, said: &[&str]) {
    let (head, body) = ask(running, "GET", path, "", "").await;
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {head}");
    for text in said {
        assert!(body.contains(text), "{path} does not say {text:?}:\n{body}");
    }
    for header in ["default-src 'none'", "frame-ancestors 'none'", "nosniff", "no-referrer"] {
        assert!(head.contains(header), "{path}: {head}");
    }
    assert!(!head.contains("unsafe-inline"), "{head}");
}

/// Posts a form as a page of the console would.
async fn post(running: &Running, path: &str, form: &str) -> (String, String) {
    let headers = format!(
        "content-type: application/x-www-form-urlencoded\r\ncookie: campanile_token={TOKEN}\r\nsec-fetch-site: same-origin\r\n"
    );
    ask(running, "POST", path, &headers, &format!("token={TOKEN}&{form}")).await
}

/// A triggered campaign that has sent once, suppressed once and refused once.
async fn filled(running: &Running, target: &Target) -> String {
    let file = format!(
        "id: first\ntitle: The first one\naudience: user.email is set\ndelivery: {{triggered: {{when: {{event: bought, where: properties.total > 5}}}}}}\n\
         webhook: {{url: \"{}\", data: {{name: \"{{{{ user.name }}}}\"}}}}\n",
        target.url("/hook")
    );
    running.activate(&file).await;
    let user = |id: &str, attributes: &str| (id.to_owned(), attributes.to_owned());
    running
        .users([
            user("mary", r#"{"email": "m@a.example", "name": "Mary"}"#),
            user("tom", r#"{"email": "t@a.example"}"#),
        ])
        .await;
    let total = r#"{"total": 6}"#;
    running
        .track(vec![
            event("mary", "bought", total),
            event("tom", "bought", total),
            event("mary", "bought", "{\"total\": 1}"),
        ])
        .await;
    running.stats_until("first", |stats| stats.delivered == 1 && !stats.suppressed.is_empty()).await;
    let sends = running.sends("first").await;
    sends.into_iter().find(|send| send.user_id == "mary").expect("it was sent").id
}

async fn every_page_shows_what_there_is_and_the_command_that_does_the_same(running: Running) {
    let target = Target::start().await;
    let send = filled(&running, &target).await;
    check(&running, "/", 200, &["first", "The first one", "on bought", "active", "campanile campaign list"])
        .await;
    let said = [
        "template missing value",
        "condition false",
        "`user.name` is missing",
        "properties.total",
        "campanile campaign stats first",
        "campanile campaign refusals first",
        "audience: user.email is set",
        "POST http",
    ];
    check(&running, "/campaigns/first", 200, &said).await;
    check(
        &running,
        "/campaigns/first/sends?state=suppressed",
        200,
        &["not sent", "--state suppressed", "tom"],
    )
    .await;
    check(&running, "/campaigns/first/plan", 200, &["of the latest events that it names, 1 would be sent"])
        .await;
    check(&running, "/campaigns/first/sends?state=failed", 200, &["There is none"]).await;
    check(&running, &format!("/sends/{send}"), 200, &["delivered", "campanile sends show", "answered 204"])
        .await;
    check(&running, "/users/mary", 200, &["m@a.example", "bought", "campanile users show mary", "delivered"])
        .await;
    check(&running, "/new", 200, &["On a schedule", "campanile campaign new"]).await;
    check(&running, "/campaigns/first/edit", 200, &["Edit first", "It is live", "campanile campaign apply"])
        .await;
    let (head, _) = ask(&running, "GET", "/find?q=mary", "", "").await;
    assert!(head.contains("303") && head.contains("location: /users/mary"), "{head}");
    let (head, _) = ask(&running, "GET", &format!("/find?q={send}"), "", "").await;
    assert!(head.contains(&format!("location: /sends/{send}")), "{head}");
    check(&running, "/find?q=nobody", 200, &["neither the id of a user"]).await;
}

async fn a_page_that_is_not_there_says_so(running: Running) {
    let paths = [
        "/nothing",
        "/campaigns/none",
        "/campaigns/none/sends",
        "/campaigns/none/edit",
        "/campaigns/none/end",
        "/campaigns/none/try",
        "/campaigns/none/activate",
        "/users/nobody/explain/none",
        "/sends/xyz",
        "/users/nobody",
    ];
    for path in paths {
        check(&running, path, 404, &["Not found", "All campaigns"]).await;
    }
    check(&running, "/new/file?kind=manual&id=Not%20one&url=http://a", 200, &["The id is 1 to 63"]).await;
}

async fn a_change_is_made_only_from_a_page_of_ours(running: Running) {
    let target = Target::start().await;
    filled(&running, &target).await;
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let cookie = format!("cookie: campanile_token={TOKEN}\r\n");
    let own = "sec-fetch-site: same-origin\r\n";
    let refused = [
        // Another page's form, with and without what it might know.
        (format!("{form}sec-fetch-site: cross-site\r\n{cookie}"), format!("token={TOKEN}")),
        (format!("{form}origin: http://evil.example\r\n{cookie}"), format!("token={TOKEN}")),
        (format!("{form}origin: null\r\n{cookie}"), format!("token={TOKEN}")),
        // Ours, but without the browser's token, or with a wrong one.
        (format!("{form}{own}{cookie}"), "x=1".to_owned()),
        (format!("{form}{own}"), format!("token={TOKEN}")),
        (format!("{form}{own}{cookie}"), format!("token={}", TOKEN.replace('0', "1"))),
        (format!("{form}{own}cookie: campanile_token=\r\n"), "token=".to_owned()),
    ];
    for (headers, body) in refused {
        let (head, page) = ask(&running, "POST", "/campaigns/first/pause", &headers, &body).await;
        assert!(
            head.starts_with("HTTP/1.1 403 ") && page.contains("Nothing was changed"),
            "{headers}: {head}"
        );
    }
    assert_eq!(running.campaign("first").await.state(), wire::CampaignState::Active);
    let (head, _) = ask(&running, "GET", "/campaigns/first/pause", "", "").await;
    assert!(head.starts_with("HTTP/1.1 405 "), "a link changes nothing: {head}");
    let (head, _) = post(&running, "/campaigns/first/pause", "").await;
    assert!(head.contains("303") && head.contains("location: /campaigns/first?done=paused"), "{head}");
    assert_eq!(running.campaign("first").await.state(), wire::CampaignState::Paused);
    let (head, _) = ask(&running, "GET", "/", "", "").await;
    assert!(head.contains("HttpOnly; SameSite=Strict"), "{head}");
}

async fn a_name_that_is_not_ours_is_not_answered(running: Running) {
    for host in ["evil.example", "127.0.0.1.evil.example:7071", ""] {
        let (head, page) = ask(&running, "GET", "/", &format!("host: {host}\r\n"), "").await;
        assert!(head.starts_with("HTTP/1.1 421 "), "{host}: {head}");
        assert!(!page.contains("There is no campaign here"), "{page}");
    }
    let (head, _) = ask(&running, "GET", "/", "host: localhost:1234\r\n", "").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "a forwarded port: {head}");
}

async fn credentials_written_out_are_on_no_page_and_survive_an_edit(running: Running) {
    let target = Target::start().await;
    let url = target.url("/hook?api_key=canary-url").replace("http://", "http://me:canary-user@");
    running
        .activate(&format!(
            "id: kept\ndelivery: {{manual: {{}}}}\nwebhook:\n  url: \"{url}\"\n  headers: {{x-api-key: canary-header}}\n  data: {{a: \"{{{{ user_id }}}}\"}}\n"
        ))
        .await;
    running.users([("mary".to_owned(), "{}".to_owned())]).await;
    for path in ["/campaigns/kept", "/campaigns/kept/edit", "/campaigns/kept/plan"] {
        let (_, page) = ask(&running, "GET", path, "", "").await;
        assert!(page.contains("***") && !page.contains("canary"), "{path}: {page}");
    }
    let shown = url.replace("me:canary-user", "***").replace("canary-url", "***");
    let file = format!(
        "id: kept\ntitle: new\ndelivery: {{manual: {{}}}}\nwebhook:\n  url: \"{shown}\"\n  headers: {{x-api-key: \"***\"}}\n  data: {{a: \"{{{{ user_id }}}}\"}}\n"
    );
    let mut form = String::new();
    campanile_core::encode::form_pair(&mut form, "file", &file);
    let (_, page) = post(&running, "/campaigns/kept/edit", &format!("{form}&user=mary&go=preview")).await;
    assert!(page.contains("This would be sent.") && !page.contains("canary"), "{page}");
    let (head, page) = post(&running, "/campaigns/kept/edit", &format!("{form}&revision=1&go=save")).await;
    assert!(head.contains("done=changed"), "{head}\n{page}");
    let campaign = running.campaign("kept").await;
    assert_eq!((campaign.title.as_str(), campaign.revision), ("new", 2));
    let webhook = campaign.webhook.expect("a webhook");
    assert_eq!((webhook.url, webhook.headers[0].value.as_str()), (url, "canary-header"));
    let (head, page) = post(&running, "/campaigns/kept/edit", &format!("{form}2&revision=1&go=save")).await;
    assert!(head.starts_with("HTTP/1.1 422 "), "somebody else was faster: {head}\n{page}");
}

async fn ending_shows_its_counts_first(running: Running) {
    let file = "id: later\ndelivery: {triggered: {when: bought, delay: 1h}}\nwebhook: {url: \"http://127.0.0.1:9/x\", data: {a: \"1\"}}\n";
    running.activate(file).await;
    running.track(vec![event("mary", "bought", "{}"), event("tom", "bought", "{}")]).await;
    running.stats_until("later", |stats| stats.pending == 2).await;
    check(&running, "/campaigns/later/end", 200, &["2 sends will still go out", "2 sends will not go out"])
        .await;
    let (head, _) = post(&running, "/campaigns/later/end", "").await;
    assert!(head.starts_with("HTTP/1.1 400 "), "a mode must be said: {head}");
    assert_eq!(running.campaign("later").await.state(), wire::CampaignState::Active);
    let (head, _) = post(&running, "/campaigns/later/end", "mode=stop").await;
    assert!(head.contains("done=ended"), "{head}");
    assert_eq!(running.campaign("later").await.state(), wire::CampaignState::Ended);
    check(&running, "/campaigns/later?done=ended", 200, &["ended", "The campaign has ended."]).await;
}

async fn a_page_says_why_and_why_not(running: Running) {
    let target = Target::start().await;
    filled(&running, &target).await;
    let (head, _) = ask(&running, "GET", "/explain?user=tom&campaign=+first", "", "").await;
    assert!(head.contains("303") && head.contains("location: /users/tom/explain/first"), "{head}");
    check(&running, "/explain?user=tom&campaign=", 400, &["name a user and a campaign"]).await;
    // What happened, what would happen now, and what the command line says of it.
    let said = [
        "Not sent: template_missing_value",
        "What happened",
        "If it were now",
        "template missing value",
        "`user.name` is missing",
    ];
    check(&running, "/users/tom/explain/first", 200, &said).await;
    check(&running, "/users/tom/explain/first", 200, &["campanile explain tom first", "With another event"])
        .await;
    let said = ["properties.total", "condition false", "campanile explain mary first --event"];
    check(&running, "/users/mary/explain/first?event=bought&properties=%7B%22total%22%3A1%7D", 200, &said)
        .await;
    let judged = "/users/mary/explain/first?event=bought&properties=%7B%22total%22%3A9%7D";
    check(&running, judged, 200, &["What would be sent", "Mary", "passed"]).await;
    check(&running, "/users/mary/explain/first?event=bought&properties=x", 400, &["properties"]).await;
    check(&running, "/users/mary/explain/frist", 404, &["did you mean first"]).await;
    check(&running, "/users/Mary/explain/first", 404, &["did you mean"]).await;
    // The user's page tells what the user did, what was decided, and leads there.
    let said = [
        "Latest events",
        "{&#34;total&#34;:1}",
        "condition false",
        "entered",
        "/users/mary/explain/first",
        "campanile events list --user mary",
    ];
    check(&running, "/users/mary", 200, &said).await;
    check(&running, "/campaigns/first", 200, &["/users/mary/explain/first", "Why, and why not"]).await;
    assert_eq!(target.received().len(), 1, "pages that explain send nothing");
}

async fn a_test_send_is_posted_from_a_page_of_ours_and_shows_what_comes_back(running: Running) {
    let target = Target::scripted(|received, _| Reply {
        body: format!("<b>{}</b> with {}", received.body, received.header("x-api-key")),
        headers: vec![("x-far-end", "yes".to_owned())],
        ..Reply::status(if received.target == "/wrong" { 415 } else { 202 })
    })
    .await;
    let file = |path: &str| {
        format!(
            "id: first\naudience: user.vip\ndelivery: {{triggered: bought}}\nwebhook: {{url: \"{}\", headers: {{x-api-key: canary}}, data: {{total: \"{{{{ properties.total }}}}\"}}}}\n",
            target.url(path)
        )
    };
    running.create(&file("/stored")).await;
    running.users([("mary".to_owned(), "{}".to_owned())]).await;
    check(&running, "/campaigns/first", 200, &["/campaigns/first/try"]).await;
    let said = ["Test send really posts it", "campanile campaign test-send first --user USER", "bought"];
    check(&running, "/campaigns/first/try", 200, &said).await;
    let form = "user=mary&event=bought&properties=%7B%22total%22%3A5%7D";
    let headers = "content-type: application/x-www-form-urlencoded\r\nsec-fetch-site: same-origin\r\n";
    let (head, _) = ask(&running, "POST", "/campaigns/first/try", headers, &format!("{form}&go=test")).await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    let (_, page) = post(&running, "/campaigns/first/try", &format!("{form}&go=preview")).await;
    assert!(page.contains("The user would not enter.") && page.contains("/stored"), "{page}");
    assert_eq!(target.received().len(), 0, "a preview and a foreign form post nothing");
    let (_, page) = post(&running, "/campaigns/first/try", &format!("{form}&go=test")).await;
    let received = target.wait_for(1).await;
    assert!(received[0].webhook_id().starts_with("test-") && received[0].header("x-api-key") == "canary");
    assert_eq!((received[0].target.as_str(), received[0].body.as_str()), ("/stored", r#"{"total":5}"#));
    let said = [
        "It was posted, and taken",
        "<b>202</b>",
        "x-far-end",
        "&#60;b&#62;",
        "with ***",
        "first byte",
        "The user would not enter.",
    ];
    for text in said {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("canary") && !page.contains("<b>{"), "{page}");
    // The campaign as it is being written, with the credential that is masked on its page.
    let mut written = String::new();
    let hidden = file("/wrong").replace("canary", "\"***\"");
    campanile_core::encode::form_pair(&mut written, "file", &hidden);
    let (_, page) = post(&running, "/campaigns/first/edit", &format!("{written}&{form}&go=test")).await;
    assert!(page.contains("It was posted, and not taken") && page.contains("content_type: form"), "{page}");
    let received = target.wait_for(2).await;
    assert_eq!((received[1].target.as_str(), received[1].header("x-api-key")), ("/wrong", "canary"));
    // What cannot be tried is told, and posts nothing.
    let (_, page) = post(&running, "/campaigns/first/try", "user=&event=bought&go=test").await;
    assert!(page.contains("This could not be tried.") && page.contains("user_id"), "{page}");
    let (_, page) = post(&running, "/campaigns/first/try", "user=mary&event=bought&go=test").await;
    assert!(page.contains("Nothing was posted.") && page.contains("properties.total"), "{page}");
    assert_eq!(target.received().len(), 2);
    assert!(running.sends("first").await.is_empty(), "it leaves no trace");
}

async fn a_campaign_is_rehearsed_before_a_page_activates_it(running: Running) {
    let target = Target::start().await;
    let once = |id: &str, audience: &str| {
        format!(
            "id: {id}\naudience: {audience}\ndelivery: {{one_time: now}}\nwebhook: {{url: \"{}\", data: {{name: \"{{{{ user.name }}}}\"}}}}\n",
            target.url("/once")
        )
    };
    let user = |i: usize, attributes: &str| (format!("u{i}"), attributes.to_owned());
    running.users((0..4).map(|i| user(i, if i == 0 { "{}" } else { r#"{"name": "N"}"# }))).await;
    running.create(&once("some", "everyone")).await;
    let said = [
        "3 would be sent, 1 suppressed",
        "4 users",
        "template missing value",
        "campanile campaign activate some",
    ];
    check(&running, "/campaigns/some/activate", 200, &said).await;
    let said = ["3 would be sent, 1 suppressed", "template missing value", "POST http"];
    check(&running, "/campaigns/some/plan?window=7d", 200, &said).await;
    check(&running, "/campaigns/some/plan?window=7d", 200, &["campanile plan some --window 7d", ">u0<"])
        .await;
    check(&running, "/campaigns/some/plan?window=soon", 400, &["is not a duration"]).await;
    assert_eq!(running.campaign("some").await.state(), wire::CampaignState::Draft, "nothing is started");
    let (head, _) = post(&running, "/campaigns/some/activate", "revision=2").await;
    assert!(head.starts_with("HTTP/1.1 409 "), "not what was looked at: {head}");
    let (head, page) = post(&running, "/campaigns/some/activate", "revision=1").await;
    assert!(head.contains("done=activated"), "{head}\n{page}");
    target.wait_for(3).await;
    // All suppressed: only if somebody says so.
    running.create(&once("none", "user.name is not set")).await;
    check(&running, "/campaigns/none/activate", 200, &["Start it all the same", "--yes"]).await;
    let (head, page) = post(&running, "/campaigns/none/activate", "revision=1").await;
    assert!(head.starts_with("HTTP/1.1 422 ") && page.contains("it would send nothing"), "{head}\n{page}");
    assert_eq!(running.campaign("none").await.state(), wire::CampaignState::Draft);
    let (head, _) = post(&running, "/campaigns/none/activate", "revision=1&yes=yes").await;
    assert!(head.contains("done=activated"), "{head}");
    // More than 1,000: only by their number.
    running
        .users((0..1_001).map(|i| (format!("many{i}"), r#"{"name": "M", "many": true}"#.to_owned())))
        .await;
    running.create(&once("many", "user.many")).await;
    let said = ["Type the number of users", "1001 users", "--audience 1001"];
    check(&running, "/campaigns/many/activate", 200, &said).await;
    for typed in ["", "&audience=7", "&yes=yes"] {
        let (head, page) = post(&running, "/campaigns/many/activate", &format!("revision=1{typed}")).await;
        assert!(head.starts_with("HTTP/1.1 422 ") && page.contains("has 1001 users now"), "{head}\n{page}");
    }
    let (head, _) = post(&running, "/campaigns/many/activate", "revision=1&audience=1%2C001").await;
    assert!(head.contains("done=activated"), "{head}");
}

async fn the_settings_are_changed_on_a_page_of_ours(running: Running) {
    check(&running, "/settings", 200, &["Nothing was set yet", "campanile settings apply"]).await;
    let wrong = "revision=0&file=min_gap%3A+never";
    let (head, body) = post(&running, "/settings", wrong).await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body.contains("min_gap: never"), "{head}{body}");
    let (_, body) = post(&running, "/settings", "revision=0&file=min_gap%3A+90d").await;
    assert!(body.contains("min_gap.gap: expected 1s to 31d"), "{body}");
    let (_, body) = post(&running, "/settings", "revision=0&file=min_gap%3A+2h").await;
    assert!(body.contains("The settings are stored.") && body.contains("Revision 1."), "{body}");
    check(&running, "/settings", 200, &["min_gap: 2h", "Revision 1."]).await;
    let (_, body) = post(&running, "/settings", "revision=0&file=%7B%7D").await;
    assert!(body.contains("Somebody else has changed"), "{body}");
    check(&running, "/settings", 200, &["min_gap: 2h"]).await;
}

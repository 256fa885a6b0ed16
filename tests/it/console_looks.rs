//! How the console looks and whom it trusts: no page is wider than its window or too faint to read, none asks anybody else for
//! anything, and nothing that a user or a far end wrote runs on it.

use campanile_core::encode::component;
use campanile_tests::browser::{Browser, Look, Page};
use campanile_tests::running::{Running, event};
use campanile_tests::target::{Reply, Target};

const HOSTILE: &str =
    "<img src=x onerror='window.ran=1'>\"'&{{7*7}}\u{202e}</textarea></script><script>window.ran=1</script>";

/// Every text against what is behind it, by the formula of WCAG 2; those below 4.5 (3 for large ones).
pub const FAINT: &str = r#"(() => {
  const parse = (c) => { const n = c.match(/[\d.]+/g).map(Number); return { rgb: n.slice(0, 3), a: n.length > 3 ? n[3] : 1 }; };
  const light = ({ rgb }) => { const [r, g, b] = rgb.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.a === 1) return c; } return { rgb: [255, 255, 255] }; };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode()); ) {
    const e = node.parentElement;
    if (!node.textContent.trim() || !e.checkVisibility()) continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(parse(style.color)), light(behind(e))].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (size >= 24 ? 3 : 4.5)) faint.push(`${ratio.toFixed(2)}: ${node.textContent.trim().slice(0, 40)}`);
  }
  return faint.join('\n');
})()"#;

/// Fields without a name, headings that skip a level, and a page without its landmarks.
const UNNAMED: &str = r#"(() => {
  const wrong = [];
  for (const e of document.querySelectorAll('input:not([type=hidden]), textarea, button, a')) {
    const name = e.labels?.length ? [...e.labels].map((l) => l.innerText).join() : e.innerText || e.getAttribute('aria-label') || '';
    if (!name.trim()) wrong.push(e.outerHTML.slice(0, 120));
  }
  for (const one of ['main', 'header', 'footer', 'h1', '[role=search]', 'html[lang]'])
    if (document.querySelectorAll(one).length !== 1) wrong.push(`not one ${one}`);
  return wrong.join('\n');
})()"#;

/// A campaign of every state of interest, one of them with a hostile title, template and answer, and one hostile user.
async fn world() -> (Running, Target, Vec<String>) {
    let running = Running::sqlite().await;
    let target = Target::scripted(|request, _| match request.target.as_str() {
        "/bad" => Reply { body: HOSTILE.to_owned(), ..Reply::status(400) },
        _ => Reply::status(204),
    })
    .await;
    let title = serde_json::Value::from(HOSTILE.replace("{{7*7}}", ""));
    let data = "data: {id: \"{{ user_id }}\", name: \"{{ user.name }}\"}";
    running
        .activate(&format!(
            "id: hostile\ntitle: {title}\ndelivery: {{triggered: bought}}\nwebhook: {{url: \"{}\", {data}}}\n---\n\
             id: a-campaign-with-the-longest-id-that-may-be-given-to-a-campaign\naudience: user.plan == \"pro\"\ndelivery: {{triggered: bought}}\nwebhook: {{url: \"{}\", {data}}}\n---\n\
             id: weekly\naudience: everyone\ndelivery: {{recurring: {{every: {{weeks: 1, weekdays: mon, at: \"09:00\"}}}}, zone: Europe/Berlin}}\nwebhook: {{url: \"{}\", {data}}}\n---\n\
             id: by-hand\ndelivery: {{manual: {{}}}}\nwebhook: {{url: \"{}\", {data}}}\n",
            target.url("/bad"),
            target.url("/fine"),
            target.url("/fine"),
            target.url("/fine"),
        ))
        .await;
    running
        .create(&format!(
            "id: draft\naudience: everyone\ndelivery: {{one_time: now}}\nwebhook: {{url: \"{}\", data: {{name: \"{{{{ user.nothing }}}}\"}}}}\n",
            target.url("/fine")
        ))
        .await;
    let attributes = serde_json::json!({HOSTILE: HOSTILE, "name": HOSTILE, "plan": "pro"}).to_string();
    running.users([(HOSTILE.to_owned(), attributes), ("mary".to_owned(), "{}".to_owned())]).await;
    running
        .track(vec![
            event(HOSTILE, "bought", "{}"),
            event(HOSTILE, HOSTILE, "{}"),
            event("mary", "bought", "{}"),
        ])
        .await;
    running.stats_until("hostile", |stats| stats.failed == 1 && !stats.suppressed.is_empty()).await;
    let long = "a-campaign-with-the-longest-id-that-may-be-given-to-a-campaign";
    running.stats_until(long, |stats| stats.delivered == 1 && !stats.refused.is_empty()).await;
    let sends = running.sends("hostile").await;
    let failed = sends.iter().find(|send| send.attempt_count > 0).expect("it was attempted");
    let paths = [
        "/".to_owned(),
        "/new".to_owned(),
        "/new/file?kind=recurring&id=a&url=http://127.0.0.1:9/x".to_owned(),
        "/campaigns/hostile".to_owned(),
        format!("/campaigns/{long}"),
        "/campaigns/weekly".to_owned(),
        "/campaigns/by-hand".to_owned(),
        "/campaigns/hostile/sends".to_owned(),
        "/campaigns/hostile/edit".to_owned(),
        "/campaigns/hostile/end".to_owned(),
        "/campaigns/hostile/try".to_owned(),
        "/campaigns/draft/activate".to_owned(),
        format!("/sends/{}", failed.id),
        format!("/users/{}", component(HOSTILE)),
        format!("/users/{}/explain/hostile", component(HOSTILE)),
        format!("/users/{}/explain/{long}", component(HOSTILE)),
        "/users/mary/explain/weekly".to_owned(),
        "/users/mary/explain/by-hand".to_owned(),
        format!("/find?q={}", component("a")),
        format!("/find?q={}", component(&HOSTILE.replace("img", "b"))),
        "/campaigns/none".to_owned(),
    ];
    let console = running.processes[0].console.clone();
    let urls = paths.into_iter().map(|path| format!("{console}{path}")).collect();
    (running, target, urls)
}

async fn check_own_requests(page: &Page<'_>, console: &str) {
    let requests = page.requests();
    let foreign: Vec<&String> = requests
        .iter()
        .filter(|url| !url.starts_with(&format!("{console}/")) && !url.starts_with("about:"))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    assert!(requests.len() > 10, "{requests:?}");
}

/// Keeps a picture of the page for people to judge, in `console-pictures` beside the tests' binary.
async fn keep(page: &Page<'_>, url: &str, look: Look) {
    let own = campanile_tests::binary::campanile();
    let folder = own.with_file_name("console-pictures");
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = url.split('/').skip(3).collect::<Vec<_>>().join("-");
    let name: String = path.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
    let scheme = if look.is_dark { "dark" } else { "light" };
    page.picture(&folder.join(format!("{name}-{}-{scheme}.png", look.width))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_fits_its_window_and_can_be_read_by_day_and_by_night() {
    let (running, _target, urls) = world().await;
    let browser = Browser::start();
    let page = browser.open(Look::DESKTOP).await;
    let mut wrong = Vec::new();
    for is_dark in [false, true] {
        for width in [360, 1280] {
            let look = Look { width, is_dark, has_script: true };
            page.look(look).await;
            for url in &urls {
                page.goto(url).await;
                keep(&page, url, look).await;
                let (wide, window) = (
                    page.value("document.documentElement.scrollWidth").await,
                    page.value("innerWidth").await,
                );
                if wide.as_u64() > window.as_u64() || window.as_u64() != Some(u64::from(width)) {
                    wrong.push(format!("{url} at {width}: {wide} of {window} wide"));
                }
                for found in [page.value(FAINT).await, page.value(UNNAMED).await] {
                    if found != "" {
                        wrong.push(format!("{url} at {width}, dark {is_dark}: {found}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    check_own_requests(&page, &running.processes[0].console).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_others_wrote_runs_on_a_page() {
    let (running, _target, urls) = world().await;
    let browser = Browser::start();
    let page = browser.open(Look::DESKTOP).await;
    let mut shown = String::new();
    for url in &urls {
        page.goto(url).await;
        assert!(page.is("window.ran === undefined").await, "{url}");
        assert!(page.is("document.querySelectorAll('main img, main script').length === 0").await, "{url}");
        assert_eq!(page.value("document.scripts.length").await, 1, "{url}");
        shown.push_str(&page.text().await);
    }
    assert!(shown.matches("onerror='window.ran=1'").count() > 10, "it is shown as the text it is:\n{shown}");
    assert!(page.events("Page.javascriptDialogOpening").is_empty());
    let logged = page.events("Log.entryAdded");
    let violations: Vec<_> =
        logged.iter().filter(|e| e.to_string().contains("Content Security Policy")).collect();
    assert!(violations.is_empty(), "a page breaks its own rules: {violations:?}");
    // Even a script that did get onto a page would not run: the browser refuses what the policy does not name.
    page.value("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran=1\">')").await;
    page.value("(() => { const s = document.createElement('script'); s.textContent = 'window.ran=1'; document.body.append(s); })()").await;
    let refused = "Content Security Policy";
    let told = campanile_tests::until::until(campanile_tests::target::DEADLINE, async || {
        page.events("Log.entryAdded").iter().any(|e| e.to_string().contains(refused)).then_some(())
    });
    assert!(told.await.is_some(), "the policy is told of");
    assert!(page.is("window.ran === undefined").await);
    check_own_requests(&page, &running.processes[0].console).await;
}

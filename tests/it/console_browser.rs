//! The console in a real browser: a campaign written, tried, saved, activated and seen to send, with and without a script, by mouse and
//! by keyboard alone.

use campanile_proto::v1 as wire;
use campanile_tests::browser::{Browser, Look, Page};
use campanile_tests::running::{Running, event};
use campanile_tests::target::Target;

use crate::console_looks::FAINT;

async fn mary(running: &Running) {
    running.users([("mary".to_owned(), r#"{"email": "mary@example.com"}"#.to_owned())]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_is_written_tried_activated_and_seen_to_send() {
    let running = Running::sqlite().await;
    let target = Target::start().await;
    mary(&running).await;
    let browser = Browser::start();
    let page = browser.open(Look::DESKTOP).await;
    page.goto(&running.processes[0].console).await;
    page.follow(".top .button").await;
    page.fill("#url", &target.url("/bought")).await;
    page.click("input[value=triggered]").await;
    page.fill("#id", "from-a-page").await;
    page.follow(".ask button").await;
    page.until("document.querySelector('#findings').innerText.includes('Nothing is wrong')").await;

    // What is typed is checked while it is typed, and leads to its place.
    let file = "document.querySelector('#file')";
    let right = page.value(&format!("{file}.value")).await.as_str().expect("a text").to_owned();
    page.fill("#file", &right.replace("event: purchase", "evnt: purchase")).await;
    page.until("document.querySelector('#findings').innerText.includes('evnt')").await;
    page.click("#findings a").await;
    page.until(&format!("{file}.value.slice({file}.selectionStart).startsWith('evnt: purchase')")).await;
    page.fill("#file", &right).await;
    page.until("document.querySelector('#findings').innerText.includes('Nothing is wrong')").await;

    // Tried: nothing is sent, nothing is stored.
    page.fill("#user", "mary").await;
    page.click("button[value=preview]").await;
    page.until("document.querySelector('#tried').innerText.includes('This would be sent.')").await;
    assert!(page.text().await.contains(r#"{"user":"mary"}"#), "{}", page.text().await);
    assert_eq!(page.value("document.querySelector('#user').value").await, "mary", "what was typed stays");

    // Really posted, and what came back is shown; nothing is stored.
    page.click("button[value=test]").await;
    page.until("document.querySelector('#tried').innerText.includes('It was posted, and taken')").await;
    assert!(target.wait_for(1).await[0].webhook_id().starts_with("test-"));

    page.follow("button[value=activate]").await;
    assert_eq!(running.campaign("from-a-page").await.state(), wire::CampaignState::Draft, "first it asks");
    page.follow(".ask button").await;
    assert_eq!(running.campaign("from-a-page").await.state(), wire::CampaignState::Active);
    assert!(page.text().await.contains("The campaign is activated."), "{}", page.text().await);
    assert_eq!(target.received().len(), 1, "up to here nothing but the test was sent");

    // The open page hears of the send.
    page.until("document.querySelector('#sends').innerText.includes('Nothing was sent yet')").await;
    running.track(vec![event("mary", "purchase", "{}")]).await;
    let received = target.wait_for(2).await;
    assert_eq!((received[1].target.as_str(), received[1].body.as_str()), ("/bought", r#"{"user":"mary"}"#));
    page.until("document.querySelector('#totals .delivered').innerText === '1'").await;
    page.until("document.querySelector('#sends').innerText.includes('mary')").await;

    // From the campaign to the reason, and to the user's page, which hears of what the user does.
    page.fill("#about", "mary").await;
    page.follow("section[aria-labelledby=why-title] button").await;
    page.until("document.querySelector('.answer').innerText.startsWith('Sent: ')").await;
    assert!(page.text().await.contains("campanile explain mary from-a-page"), "{}", page.text().await);
    page.follow("h1 a").await;
    page.until("document.querySelector('#lately').innerText.includes('purchase')").await;
    running.track(vec![event("mary", "looked_around", "{}")]).await;
    page.until("document.querySelector('#lately').innerText.includes('looked_around')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_on_a_phone_without_a_script() {
    let running = Running::sqlite().await;
    let target = Target::start().await;
    mary(&running).await;
    let browser = Browser::start();
    let page = browser.open(Look { has_script: false, ..Look::PHONE }).await;
    page.goto(&format!("{}/new", running.processes[0].console)).await;
    page.fill("#url", &target.url("/by-hand")).await;
    page.click("input[value=manual]").await;
    page.fill("#id", "by-hand").await;
    page.follow(".ask button").await;
    let right = page.value("document.querySelector('#file').value").await;
    let right = right.as_str().expect("a text").to_owned();
    page.fill("#file", &right.replace("manual:", "manul:")).await;
    page.follow("button[value=check]").await;
    assert!(page.text().await.contains("manul"), "{}", page.text().await);
    page.fill("#file", &right).await;
    page.fill("#user", "mary").await;
    page.follow("button[value=preview]").await;
    assert!(page.text().await.contains("This would be sent."), "{}", page.text().await);
    page.follow("button[value=test]").await;
    assert!(page.text().await.contains("It was posted, and taken"), "{}", page.text().await);
    assert!(page.is("document.documentElement.scrollWidth <= innerWidth").await, "it fits");
    assert_eq!(page.value(FAINT).await, "", "it can be read");
    page.follow("button[value=save]").await;
    assert!(page.text().await.contains("The draft is saved."), "{}", page.text().await);
    page.follow("a[href$='/activate']").await;
    page.follow(".ask button").await;
    page.fill("#user", "mary").await;
    page.follow(".inline button").await;
    let received = target.wait_for(2).await;
    assert_eq!(received[1].body, r#"{"user":"mary"}"#);
    running.stats_until("by-hand", |stats| stats.delivered == 1).await;
    page.follow("a[href$='/end']").await;
    page.click("input[value=stop]").await;
    page.follow(".ask button").await;
    assert_eq!(running.campaign("by-hand").await.state(), wire::CampaignState::Ended);
}

/// Presses Tab until the expression is true of `e`, the element that has the focus; each one on the way must show that it has it.
async fn tab_to(page: &Page<'_>, expression: &str) {
    for _ in 0..80 {
        page.press("Tab").await;
        let seen = "(() => { const s = getComputedStyle(document.activeElement); return document.activeElement === document.body || s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2; })()";
        assert!(
            page.is(seen).await,
            "the focus is not seen: {}",
            page.value("document.activeElement.outerHTML").await
        );
        if page.is(&format!("(() => {{ const e = document.activeElement; return {expression}; }})()")).await {
            return;
        }
    }
    panic!("Tab does not lead to {expression}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_alone_is_enough() {
    let running = Running::sqlite().await;
    let target = Target::start().await;
    mary(&running).await;
    let browser = Browser::start();
    let page = browser.open(Look::DESKTOP).await;
    page.goto(&running.processes[0].console).await;
    page.press("Tab").await;
    assert_eq!(page.value("document.activeElement.innerText").await, "Skip to content", "the first stop");
    tab_to(&page, "e.innerText === 'Create campaign'").await;
    page.press_to_follow("Enter").await;
    tab_to(&page, "e.name === 'url'").await;
    page.fill(":focus", &target.url("/keys")).await;
    tab_to(&page, "e.name === 'kind'").await;
    page.press("ArrowDown").await;
    page.press("ArrowDown").await;
    page.press("ArrowDown").await;
    assert_eq!(page.value("document.activeElement.value").await, "manual");
    tab_to(&page, "e.name === 'id'").await;
    page.fill(":focus", "keys").await;
    page.press_to_follow("Enter").await;
    tab_to(&page, "e.name === 'file'").await;
    // Tab leaves the text, so that nobody is caught in it.
    tab_to(&page, "e.value === 'activate'").await;
    page.press_to_follow("Enter").await;
    tab_to(&page, "e.innerText === 'Activate'").await;
    page.press_to_follow(" ").await;
    tab_to(&page, "e.name === 'user'").await;
    page.write("mary").await;
    page.press_to_follow("Enter").await;
    assert_eq!(target.wait_for(1).await[0].target, "/keys");
    // From the search box to the user.
    tab_to(&page, "e.name === 'q'").await;
    page.write("mary").await;
    page.press_to_follow("Enter").await;
    assert_eq!(page.value("location.pathname").await, "/users/mary");
}

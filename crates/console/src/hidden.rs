//! Pure. Credentials that somebody wrote into a URL or a header instead of keeping them as a secret: no page shows them. What is edited
//! on a page and saved keeps those that were hidden.

use std::ops::Range;

use campanile_core::secret::MASK;
use campanile_proto::v1 as wire;

/// Header names and query keys that are credentials, and parts of names that tell of one.
const NAMES: [&str; 4] = ["authorization", "cookie", "key", "sig"];
const PARTS: [&str; 9] =
    ["token", "secret", "passw", "api-key", "apikey", "api_key", "-key", "credential", "signature"];
/// What may stand before a credential in a header.
const SCHEMES: [&str; 4] = ["basic", "bearer", "token", "digest"];

/// Masks what is written out in URLs and headers of a campaign; answers whether there was any.
pub(crate) fn hide(campaign: &mut wire::Campaign) -> bool {
    let mut found = false;
    for (_, webhook) in webhooks(campaign) {
        found |= hide_webhook(webhook);
    }
    found
}

fn hide_webhook(webhook: &mut wire::Webhook) -> bool {
    let url = hidden_url(&webhook.url);
    let mut found = url != webhook.url;
    webhook.url = url;
    for header in &mut webhook.headers {
        let value = hidden_header(&header.name, &header.value);
        found |= value != header.value;
        header.value = value;
    }
    found
}

/// Masks a request that is shown, and the same credentials wherever else `beside` repeats them.
pub(crate) fn hide_request(request: &mut wire::RenderedRequest, beside: &mut String) {
    let mut replace = |shown: &mut String, hidden: String| {
        if *shown != hidden {
            *beside = beside.replace(shown.as_str(), &hidden);
            *shown = hidden;
        }
    };
    let url = hidden_url(&request.url);
    replace(&mut request.url, url);
    for header in &mut request.headers {
        let value = hidden_header(&header.name, &header.value);
        replace(&mut header.value, value);
    }
}

/// Puts what `hide` masked in `stored` back into an edited copy: wherever a text is still the masked one of the same place.
pub(crate) fn restore(edited: &mut wire::Campaign, stored: &wire::Campaign) {
    let mut stored = stored.clone();
    let stored = webhooks(&mut stored);
    for (place, webhook) in webhooks(edited) {
        let Some((_, own)) = stored.iter().find(|(own, _)| *own == place) else { continue };
        if webhook.url == hidden_url(&own.url) {
            webhook.url.clone_from(&own.url);
        }
        for header in &mut webhook.headers {
            let mut same = own.headers.iter().filter(|own| own.name.eq_ignore_ascii_case(&header.name));
            if let Some(own) = same.find(|own| hidden_header(&own.name, &own.value) == header.value) {
                header.value.clone_from(&own.value);
            }
        }
    }
}

/// All webhooks with what tells them apart.
fn webhooks(campaign: &mut wire::Campaign) -> Vec<(String, &mut wire::Webhook)> {
    let mut all: Vec<(String, &mut wire::Webhook)> = Vec::new();
    all.extend(campaign.webhook.as_mut().map(|webhook| (String::new(), webhook)));
    for action in &mut campaign.actions {
        let name = action.name.clone();
        if let Some(wire::action::Type::Webhook(webhook)) = &mut action.r#type {
            all.push((name.clone(), webhook));
        }
        for variant in &mut action.variants {
            if let Some(wire::variant::Type::Webhook(webhook)) = &mut variant.r#type {
                all.push((format!("{name}/{}", variant.name), webhook));
            }
        }
    }
    all
}

fn is_credential(name: &str) -> bool {
    let name = name.to_lowercase();
    NAMES.contains(&name.as_str())
        || PARTS.iter().any(|part| name.contains(part))
        || name.ends_with("authorization")
}

fn hidden_header(name: &str, value: &str) -> String {
    if !is_credential(name) || !is_written_out(value) {
        return value.to_owned();
    }
    match value.split_once(' ') {
        Some((scheme, _)) if SCHEMES.contains(&scheme.to_lowercase().as_str()) => format!("{scheme} {MASK}"),
        _ => MASK.to_owned(),
    }
}

fn hidden_url(url: &str) -> String {
    let mut hidden = url.to_owned();
    let mut ranges = credentials(url);
    ranges.sort_by_key(|range| std::cmp::Reverse(range.start));
    for range in ranges {
        if url.get(range.clone()).is_some_and(is_written_out) {
            hidden.replace_range(range, MASK);
        }
    }
    hidden
}

/// User name and password, and the values of query keys that are credentials.
fn credentials(url: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let begins = url.find("://").map_or(0, |at| at + 3);
    let rest = url.get(begins..).unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some(at) = authority.rfind('@') {
        ranges.push(begins..begins + at);
    }
    let Some(query) = url.find('?') else { return ranges };
    let mut at = query + 1;
    for pair in url.get(at..).unwrap_or_default().split_inclusive(['&', '#']) {
        let bare = pair.trim_end_matches(['&', '#']);
        if let Some((name, _)) = bare.split_once('=')
            && is_credential(name)
        {
            ranges.push(at + name.len() + 1..at + bare.len());
        }
        at += pair.len();
    }
    ranges
}

/// The credentials that are written out in a request: what a far end may repeat.
pub(crate) fn written_out(request: &wire::RenderedRequest) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for range in credentials(&request.url) {
        let piece = request.url.get(range).unwrap_or_default();
        pieces.push(piece.to_owned());
        pieces.extend(piece.split_once(':').map(|(_, password)| password.to_owned()));
    }
    for header in request.headers.iter().filter(|header| is_credential(&header.name)) {
        let value = match header.value.split_once(' ') {
            Some((scheme, rest)) if SCHEMES.contains(&scheme.to_lowercase().as_str()) => rest,
            _ => &header.value,
        };
        pieces.push(value.to_owned());
    }
    pieces.retain(|piece| is_written_out(piece));
    pieces
}

/// A text without these pieces.
pub(crate) fn masked(text: &str, pieces: &[String]) -> String {
    pieces.iter().fold(text.to_owned(), |text, piece| text.replace(piece.as_str(), MASK))
}

/// Whether a text has anything but tags, a scheme and separators: `Bearer {{ secrets.api }}` has not.
fn is_written_out(text: &str) -> bool {
    let mut rest = text;
    let mut own = String::new();
    while let Some(begins) = rest.find("{{") {
        own.push_str(rest.get(..begins).unwrap_or_default());
        let after = rest.get(begins..).unwrap_or_default();
        rest = after.find("}}").and_then(|ends| after.get(ends + 2..)).unwrap_or_default();
    }
    own.push_str(rest);
    let own = own.trim().to_lowercase();
    !own.is_empty() && own != ":" && own != MASK && !SCHEMES.contains(&own.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_out_is_masked_and_templates_are_not() {
        let check = |url: &str, expected: &str| assert_eq!(hidden_url(url), expected);
        check("https://a.example/x?y=1", "https://a.example/x?y=1");
        check("https://me:hunter2@a.example/x", "https://***@a.example/x");
        check("https://a.example/x?api_key=abc&b=2#f", "https://a.example/x?api_key=***&b=2#f");
        check("https://a.example/x?token={{ secrets.t }}", "https://a.example/x?token={{ secrets.t }}");
        check(
            "https://{{ secrets.u }}:{{ secrets.p }}@a.example",
            "https://{{ secrets.u }}:{{ secrets.p }}@a.example",
        );
        let check =
            |name: &str, value: &str, expected: &str| assert_eq!(hidden_header(name, value), expected);
        check("Authorization", "Bearer abc", "Bearer ***");
        check("authorization", "abc", "***");
        check("authorization", "Bearer {{ secrets.api }}", "Bearer {{ secrets.api }}");
        check("X-Api-Key", "abc", "***");
        check("X-Auth-Token", "{{ secrets.a }}x", "***");
        check("x-team", "blue", "blue");
    }

    #[test]
    fn what_was_hidden_is_put_back_and_what_was_changed_is_not() {
        let read =
            |text: &str| campanile_proto::campaign_file::read(text.as_bytes()).unwrap().remove(0).campaign;
        let stored = read(
            "id: a\nwebhook: {url: \"https://me:pw@a.example/x\", headers: {x-api-key: abc, x-token: def, x-a: b}}\n",
        );
        let mut edited = stored.clone();
        assert!(hide(&mut edited));
        edited.webhook.as_mut().unwrap().headers[1].value = "new".to_owned();
        restore(&mut edited, &stored);
        let webhook = edited.webhook.unwrap();
        assert_eq!(webhook.url, "https://me:pw@a.example/x");
        let values: Vec<&str> = webhook.headers.iter().map(|header| header.value.as_str()).collect();
        assert_eq!(values, ["abc", "new", "b"]);
    }

    #[test]
    fn what_comes_back_hides_them_too() {
        let header =
            |name: &str, value: &str| wire::Header { name: name.to_owned(), value: value.to_owned() };
        let request = wire::RenderedRequest {
            url: "https://me:hunter2@a.example/?api_key=abc&b=2".to_owned(),
            headers: vec![header("authorization", "Bearer def"), header("x-token", MASK), header("x-a", "b")],
            ..Default::default()
        };
        let pieces = written_out(&request);
        assert_eq!(pieces, ["me:hunter2", "hunter2", "abc", "def"]);
        assert_eq!(masked("hunter2, abc, def, b", &pieces), "***, ***, ***, b");
    }

    #[test]
    fn a_request_that_is_shown_hides_them_everywhere() {
        let header = wire::Header { name: "authorization".to_owned(), value: "Bearer abc".to_owned() };
        let mut request = wire::RenderedRequest { headers: vec![header], ..Default::default() };
        let mut curl = "curl -H 'authorization: Bearer abc'".to_owned();
        hide_request(&mut request, &mut curl);
        assert_eq!(curl, "curl -H 'authorization: Bearer ***'");
        assert_eq!(request.headers[0].value, "Bearer ***");
    }
}

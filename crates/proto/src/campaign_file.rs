//! Pure. The campaign file: YAML or JSON, one campaign a document -> campaigns, or everything that is wrong with it. `filed` reads it.
//! `short_form` is the way back.

use std::collections::BTreeMap;

use crate::file_fault::{FileFault, FilePlace};
use crate::filed::{Filed, place_of, read_as};
use crate::v1::Campaign;

/// A campaign as it was read from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileCampaign {
    /// The message; its output-only fields as the file has them, to be ignored by who stores it.
    pub campaign: Campaign,
    /// Where the document begins.
    pub place: FilePlace,
    places: BTreeMap<String, FilePlace>,
}

impl FileCampaign {
    /// Where a field stands in the file, or the nearest field around it that does; to show faults the server found.
    /// The path is the message's, such as `delivery.triggered.when[0].where`.
    #[must_use]
    pub fn place_of(&self, field: &str) -> FilePlace {
        place_of(&self.places, self.place, field)
    }
}

/// Reads a campaign file: one campaign for each document that is not empty.
///
/// # Errors
/// Every fault that could be found, in the order of the text; at most 100.
pub fn read(bytes: &[u8]) -> Result<Vec<FileCampaign>, Vec<FileFault>> {
    let campaigns = read_as::<Campaign>(bytes, "id: and the campaign's name")?;
    let filed = |Filed { message: campaign, place, places }| FileCampaign { campaign, place, places };
    Ok(campaigns.into_iter().map(filed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use crate::yaml_tree::FAULTS_MAX;
    use proptest::prelude::*;

    /// Reads one campaign and shows a part of its canonical JSON.
    fn part(text: &str, pointer: &str) -> String {
        let read = read(text.as_bytes()).unwrap_or_else(|faults| panic!("{text}\n{faults:?}"));
        let [file] = read.as_slice() else { panic!("{} campaigns", read.len()) };
        let json = json::write_value(&file.campaign).unwrap();
        json.pointer(pointer).map_or("(unset)".to_owned(), ToString::to_string)
    }

    fn faults(text: &str) -> Vec<String> {
        read(text.as_bytes()).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_files_people_write_are_read() {
        let files = read(include_bytes!("../testdata/campaigns.yaml")).unwrap();
        let ids: Vec<&str> = files.iter().map(|file| file.campaign.id.as_str()).collect();
        assert_eq!(
            ids,
            [
                "first",
                "terms-change",
                "weekly-digest",
                "cart-abandonment",
                "win-back",
                "goodwill-credit",
                "migrate-2026"
            ]
        );
        let json: Vec<String> = files.iter().map(|file| json::write(&file.campaign).unwrap()).collect();
        let expected: Vec<&str> = include_str!("../testdata/campaigns.ndjson").lines().collect();
        assert_eq!(json, expected);
    }

    #[test]
    fn canonical_json_is_read_as_the_message_it_is() {
        for line in include_str!("../testdata/campaigns.ndjson").lines() {
            let files = read(line.as_bytes()).unwrap();
            assert_eq!(json::write(&files[0].campaign).unwrap(), line);
        }
        let text = r#"{"id": "a", "title": "\ud83d\ude00 \/", "revision": 3, "state": "CAMPAIGN_STATE_ACTIVE",
            "createdAt": "2026-01-01T00:00:00Z", "audience": null, "webhook": {"json": "{\"b\":null}"}}"#;
        assert_eq!(part(text, "/title"), "\"😀 /\"");
        assert_eq!(part(text, "/createdAt"), "\"2026-01-01T00:00:00Z\"");
        assert_eq!(part(text, "/webhook/json"), r#""{\"b\":null}""#);
    }

    #[test]
    fn convenience_1_a_duration_is_written_with_units() {
        let check = |text: &str, expected: &str| {
            assert_eq!(part(&format!("limits: {{expiry: {text}}}"), "/limits/expiry"), expected, "{text}");
        };
        check("90s", "\"90s\"");
        check("15m", "\"900s\"");
        check("2h", "\"7200s\"");
        check("3d", "\"259200s\"");
        check("1w", "\"604800s\"");
        check("\"1h30m\"", "\"5400s\"");
        check("1.5s", "\"1.500s\"");
    }

    #[test]
    fn convenience_2_an_enum_drops_its_prefix() {
        let check = |word: &str| {
            assert_eq!(
                part(&format!("webhook: {{method: {word}}}"), "/webhook/method"),
                "\"HTTP_METHOD_PUT\""
            )
        };
        check("put");
        check("PUT");
        check("HTTP_METHOD_PUT");
        check("2");
        assert_eq!(part("webhook: {content_type: form}", "/webhook/contentType"), "\"CONTENT_TYPE_FORM\"");
    }

    #[test]
    fn convenience_3_one_value_is_a_list_of_one() {
        assert_eq!(part("tags: vip", "/tags"), r#"["vip"]"#);
        assert_eq!(
            part("delivery: {triggered: {when: {event: a, where: b}}}", "/delivery/triggered/when"),
            r#"[{"event":"a","where":"b"}]"#
        );
        assert_eq!(part("exit_on: {event: a, same: b}", "/exitOn"), r#"[{"event":"a","same":["b"]}]"#);
    }

    #[test]
    fn convenience_4_a_bare_value_is_the_first_field() {
        let check =
            |text: &str, pointer: &str, expected: &str| assert_eq!(part(text, pointer), expected, "{text}");
        check("audience: everyone", "/audience", r#"{"where":"everyone"}"#);
        check("delivery: {recurring: \"0 9 * * 1\"}", "/delivery/recurring", r#"{"cron":"0 9 * * 1"}"#);
        check("delivery: {triggered: purchase}", "/delivery/triggered", r#"{"when":[{"event":"purchase"}]}"#);
        check(
            "delivery: {triggered: [a, b]}",
            "/delivery/triggered",
            r#"{"when":[{"event":"a"},{"event":"b"}]}"#,
        );
        check("delivery: {triggered: {delay: 2h}}", "/delivery/triggered/delay", r#"{"after":"7200s"}"#);
        check("limits: {retry: long}", "/limits/retry", r#"{"preset":"RETRY_PRESET_LONG"}"#);
        check("webhook: {raw: hello}", "/webhook/raw", r#"{"text":"hello"}"#);
    }

    #[test]
    fn convenience_5_a_mapping_is_rows_in_the_order_written() {
        assert_eq!(
            part("webhook: {headers: {b: x, a: 7}}", "/webhook/headers"),
            r#"[{"name":"b","value":"x"},{"name":"a","value":"7"}]"#
        );
        assert_eq!(
            part(
                "webhook: {data: {value: x, name: \"{{ y }}\", n: 1, yes: true, l: [1, a], m: {z: 1, a: 2}}}",
                "/webhook/data"
            ),
            r#"[{"name":"value","value":"x"},{"name":"name","value":"{{ y }}"},{"name":"n","json":"1"},{"name":"yes","json":"true"},{"name":"l","json":"[1,\"a\"]"},{"name":"m","json":"{\"z\":1,\"a\":2}"}]"#
        );
        // rows written out: a value that is no text stands for itself there too
        assert_eq!(
            part(
                "webhook: {data: [{name: a, value: 5}, {name: a, value: \"5\"}, {name: a, json: \"5\"}]}",
                "/webhook/data"
            ),
            r#"[{"name":"a","json":"5"},{"name":"a","value":"5"},{"name":"a","json":"5"}]"#
        );
    }

    #[test]
    fn convenience_6_a_mapping_is_json_text_in_the_order_written() {
        let check = |json: &str, expected: &str| {
            let text = format!("webhook: {{json: {json}}}");
            assert_eq!(part(&text, "/webhook/json"), serde_json::Value::from(expected).to_string(), "{text}");
        };
        check("{z: 1, a: [true, 1.10, x], \"\": {}}", r#"{"z":1,"a":[true,1.10,"x"],"":{}}"#);
        check(
            "{big: 9223372036854775807, id: 123456789012345678901}",
            r#"{"big":9223372036854775807,"id":123456789012345678901}"#,
        );
        check("{hex: 0x10, half: .5}", r#"{"hex":16,"half":0.5}"#);
        check("5", "5");
        check("\"{{ user }}\"", r#""{{ user }}""#);
        check(r#"'{"a": 1}'"#, r#"{"a": 1}"#);
    }

    #[test]
    fn convenience_7_a_number_is_its_text() {
        assert_eq!(part("title: 5", "/title"), "\"5\"");
        assert_eq!(part("title: 1.10", "/title"), "\"1.10\"");
        assert_eq!(part("title: 007", "/title"), "\"007\"");
        assert_eq!(
            part(
                "delivery: {recurring: {every: {months: 1, month_days: [1, 15, last]}}}",
                "/delivery/recurring/every/monthDays"
            ),
            r#"["1","15","last"]"#
        );
    }

    #[test]
    fn unknown_keys_name_the_nearest_known_one() {
        let check = |text: &str, expected: &str| assert_eq!(faults(text), [expected]);
        check("titel: x", "line 1, column 1: titel: unknown key titel: did you mean title");
        check(
            "delivery:\n  triggered:\n    when: [a, {evnt: b}]",
            "line 3, column 16: delivery.triggered.when[1].evnt: unknown key evnt: did you mean event",
        );
        check("url: x", "line 1, column 1: url: unknown key url here: it belongs under webhook");
        check(
            "limits: {retry: lang}",
            "line 1, column 17: limits.retry: unknown value lang: did you mean long",
        );
    }

    #[test]
    fn every_fault_is_answered_at_once() {
        let text = "id: x\ntitel: y\nlimits: {expiry: 5, weight: -1, throttle: [1]}\ndelivery: {manual: ~, one_time: now}\n---\nid: true\ntags: [a, ~]\n";
        assert_eq!(
            faults(text),
            [
                "line 2, column 1: titel: unknown key titel: did you mean title",
                "line 3, column 18: limits.expiry: a duration needs a unit: 5s, 5m, 5h or 5d",
                "line 3, column 29: limits.weight: expected a whole number from 0 to 4294967295",
                "line 3, column 43: limits.throttle: expected text, found a list",
                "line 4, column 20: delivery.manual: null chooses nothing: write manual: {}",
                "line 4, column 23: delivery.one_time: manual and one_time exclude each other: keep one of them",
                "line 6, column 5: id: expected text: write id: \"true\"",
                "line 7, column 11: tags[1]: nothing is written here: leave the key out, or write a value",
            ]
        );
    }

    #[test]
    fn yaml_traps_are_answered_with_what_to_write() {
        let check = |line: &str, expected: &str| {
            let text = format!("id: x\nwebhook:\n  data:\n    {line}\n");
            assert_eq!(faults(&text), [format!("line 4, column {expected}")], "{line}");
        };
        check(
            "channel: #sales",
            "12: webhook.data.channel: a # begins a comment, so this is null: write channel: \"#sales\"",
        );
        check(
            "a: null",
            "8: webhook.data.a: null here: write a: \"\" for an empty text, or the whole document as JSON text if null is meant",
        );
        check(
            "a: ~",
            "8: webhook.data.a: null here: write a: \"\" for an empty text, or the whole document as JSON text if null is meant",
        );
        check("zip: 01067", "10: webhook.data.zip: unquoted, this is the number 1067: write zip: \"01067\"");
        check("tel: +49", "10: webhook.data.tel: unquoted, this is the number 49: write tel: \"+49\"");
        check("a: {b: [1, 007]}", "16: webhook.data.a.b[1]: unquoted, this is the number 7: write \"007\"");
        check("a: .nan", "8: webhook.data.a: JSON has no .nan: write a: \".nan\"");
        check(
            "a: {{ user.x }}",
            "8: webhook.data.a: unquoted, {{ begins a mapping: write a: \"{{ user.x }}\"",
        );
        check(
            "a: {{ user.x }} and more # why",
            "8: webhook.data.a: unquoted, {{ begins a mapping: write a: \"{{ user.x }} and more\"",
        );
        check(
            "a: {{ user[\"x\"] }}",
            "8: webhook.data.a: unquoted, {{ begins a mapping: write a: '{{ user[\"x\"] }}'",
        );
        check("a: *all", "8: webhook.data.a: unquoted, * names an alias: write a: \"*all\"");
        check("a: *all of it", "8: webhook.data.a: unquoted, * names an alias: write a: \"*all of it\"");
        check("a: @here", "8: webhook.data.a: an unquoted value cannot begin with @: write a: \"@here\"");
        check("a: %d", "8: webhook.data.a: an unquoted value cannot begin with %: write a: \"%d\"");
        check(
            "a: Note: this",
            "8: webhook.data.a: unquoted, a colon and a space begin a mapping: write a: \"Note: this\"",
        );
        check(
            "a: \"b\" or c",
            "8: webhook.data.a: a value that begins with a quote ends with it: write a: '\"b\" or c'",
        );
        check(
            "{a: 1, a: 2}",
            "12: webhook.data.a: this key is here twice, also on line 4: remove one of them",
        );
        check(
            "a: !!int 5",
            "14: webhook.data.a: the tag !!int means nothing here: leave it out, or write text in quotes",
        );
    }

    #[test]
    fn what_was_quoted_as_the_answer_says_is_read() {
        let check = |written: &str, expected: &str| {
            let text = format!("webhook:\n  data:\n    a: {written}\n");
            assert_eq!(part(&text, "/webhook/data/0/value"), serde_json::Value::from(expected).to_string());
        };
        check("\"#sales\"", "#sales");
        check("\"01067\"", "01067");
        check("'{{ user[\"x\"] }}'", "{{ user[\"x\"] }}");
        check("\"*all of it\"", "*all of it");
        check("!!str 01067", "01067");
    }

    #[test]
    fn documents_after_a_broken_one_are_read_too() {
        assert_eq!(
            faults("id: a\ntitle: @x\n---\nid: b\n---\nid: c\ntitel: x\n"),
            [
                "line 2, column 8: title: an unquoted value cannot begin with @: write title: \"@x\"",
                "line 7, column 1: titel: unknown key titel: did you mean title",
            ]
        );
    }

    #[test]
    fn nothing_grows_without_bound() {
        let check = |text: &str, expected: &str| {
            let faults = faults(text);
            assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected}: {:?}", faults.first());
            assert!(faults.len() <= FAULTS_MAX);
        };
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            bomb.push_str(&format!(
                "a{level}: &a{level} [{}]\n",
                vec![format!("*a{}", level - 1); 10].join(", ")
            ));
        }
        check(&bomb, "more than 200000 values");
        check("a: &a [*a]", "an alias cannot stand inside what it repeats");
        check(&format!("id: {}x", "[".repeat(10_000)), "not YAML");
        check(&format!("webhook: {{json: {}1{}}}", "[".repeat(100), "]".repeat(100)), "not YAML");
        check(&"- ".repeat(10_000), "not YAML");
        check(&"x: 1\n---\n".repeat(500), "unknown key x");
        check(&"x".repeat((4 << 20) + 1), "more than 4194304 bytes");
        check(&format!("{{{}}}", "a: {{ b }}, ".repeat(1_000)), "twice");
    }

    #[test]
    fn what_is_no_campaign_is_answered() {
        let check = |bytes: &[u8], expected: &str| {
            let faults = read(bytes).unwrap_err();
            assert_eq!(faults[0].to_string(), expected);
        };
        check(b"", "line 1, column 1: no campaign in this file");
        check(b"# only a comment\n---\n", "line 1, column 1: no campaign in this file");
        check(b"hello", "line 1, column 1: expected a mapping that begins with id: and the campaign's name");
        check(b"id: a\nti\xc3\xa4t\xff", "line 2, column 5: not UTF-8 text: save the file as UTF-8");
    }

    #[test]
    fn a_fault_the_server_found_is_placed_in_the_file() {
        let text = "---\nid: a\ndelivery:\n  triggered:\n    when: {event: x, where: nonsense}\nwebhook:\n  data: {a: 1, b: \"{{ x }}\"}\n";
        let files = read(text.as_bytes()).unwrap();
        let check = |field: &str, line: u32, column: u32| {
            assert_eq!(files[0].place_of(field), FilePlace { line, column }, "{field}");
        };
        check("delivery.triggered.when[0].where", 5, 22);
        check("delivery.triggered.when[0].event", 5, 12);
        check("delivery.triggered.delay.after", 4, 3);
        check("webhook.data[1].value", 7, 16);
        check("audience", 2, 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn any_text_is_answered(text in "([a-z_]{1,4}|[-:{}\\[\\],&*!|>'\"%@`#?~ \\n\\t]|\\PC){0,60}") {
            let _ = read(text.as_bytes());
        }

        #[test]
        fn a_damaged_file_is_answered(at in 0usize..4_000, with in "[-:{}\\[\\],&*!|>'\"%@`#?~ \\n\\t\\PC]{0,3}", cut in 0usize..9) {
            let mut text = include_str!("../testdata/campaigns.yaml").to_owned();
            let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let end = (at + cut).min(text.len());
            if text.is_char_boundary(end) {
                text.replace_range(at..end, &with);
            }
            for fault in read(text.as_bytes()).err().unwrap_or_default() {
                prop_assert!(fault.line >= 1 && fault.column >= 1 && !fault.text.is_empty());
            }
        }
    }
}

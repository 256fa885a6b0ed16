//! Pure. Whether a 2xx answer counts as a success: some far ends say 200 and mean no.
//!
//! Between `wire`, which says what happened, and `judge`. Of a success nothing of the body stays: it may echo personal data.

use campanile_core::attempt::Outcome;
use campanile_core::webhook::CompiledWebhook;

use crate::wire::beginning;

/// The outcome by the webhook's `success_when`.
pub fn by_content(outcome: Outcome, webhook: &CompiledWebhook) -> Outcome {
    let Outcome::Answered(mut answer) = outcome else { return outcome };
    if !(200..300).contains(&answer.status) {
        return Outcome::Answered(answer);
    }
    if webhook.accepts(answer.status, &answer.body) {
        answer.body = String::new();
        return Outcome::Answered(answer);
    }
    answer.body = beginning(answer.body.as_bytes());
    Outcome::Refused(answer)
}

#[cfg(test)]
mod tests {
    use campanile_core::attempt::Answer;
    use campanile_core::fault::Faults;
    use campanile_core::network::Policy;
    use campanile_core::secret::Secrets;
    use campanile_core::webhook_draft::Webhook;

    use super::*;

    fn check(success_when: &str, status: u16, body: &str, expected: Outcome) {
        let draft = Webhook {
            url: "https://hooks.example/in".to_owned(),
            success_when: success_when.to_owned(),
            ..Webhook::default()
        };
        let mut faults = Faults::default();
        let (secrets, policy) = (Secrets::unchecked(), Policy::unchecked());
        let webhook = CompiledWebhook::compile(&draft, "webhook", &secrets, &policy, &mut faults).unwrap();
        let outcome = Outcome::Answered(Answer { status, body: body.to_owned(), ..Answer::default() });
        assert_eq!(by_content(outcome, &webhook), expected, "{success_when} of {status} {body}");
    }

    fn answered(status: u16, body: &str) -> Outcome {
        Outcome::Answered(Answer { status, body: body.to_owned(), ..Answer::default() })
    }

    fn refused(status: u16, body: &str) -> Outcome {
        Outcome::Refused(Answer { status, body: body.to_owned(), ..Answer::default() })
    }

    #[test]
    fn a_2xx_is_a_success_if_its_content_says_so_and_keeps_no_body() {
        check("response.ok", 200, r#"{"ok": true, "email": "m@example.com"}"#, answered(200, ""));
        check("status == 202 or response.queued is set", 202, "", answered(202, ""));
        check("", 200, "anything", answered(200, ""));
    }

    #[test]
    fn a_2xx_that_says_no_is_refused_and_keeps_the_beginning_of_its_body() {
        check("response.ok", 200, r#"{"ok": false}"#, refused(200, r#"{"ok": false}"#));
        check("response.ok", 204, "", refused(204, ""));
        check("response.ok", 200, "ok", refused(200, "ok"));
        check("response.ok == true", 200, &"x".repeat(5_000), refused(200, &"x".repeat(1_024)));
    }

    #[test]
    fn what_is_no_2xx_is_not_looked_at() {
        check("response.ok", 500, r#"{"ok": true}"#, answered(500, r#"{"ok": true}"#));
        check("response.ok", 302, "", answered(302, ""));
    }
}

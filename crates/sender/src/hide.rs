//! Pure. Takes what is ours alone out of what a far end says: some echo a request into their error, and that is shown.

use campanile_core::attempt::Outcome;
use campanile_core::secret::{MASK, Secrets};
use campanile_core::webhook::Request;

/// A shorter beginning of a secret, where the answer was cut, tells nothing.
const TELLING_BYTES_MIN: usize = 4;

/// Masks the values of the secrets of these names, and the credentials of `request`, in an answer that is kept.
pub fn hide(outcome: &mut Outcome, request: &Request, names: &[String], secrets: &Secrets) {
    if let Outcome::Answered(answer) | Outcome::Refused(answer) = outcome {
        hide_in(&mut answer.body, request, names, secrets);
    }
}

/// The same in any text of a far end.
pub fn hide_in(text: &mut String, request: &Request, names: &[String], secrets: &Secrets) {
    if text.is_empty() {
        return;
    }
    let credentials = request.authorization.as_deref().and_then(|value| value.split_once(' '));
    let values = names.iter().filter_map(|name| secrets.get(name)).flat_map(|secret| &secret.values);
    for value in values.map(String::as_str).chain(credentials.map(|(_, value)| value)) {
        mask(text, value);
    }
}

fn mask(text: &mut String, value: &str) {
    if value.is_empty() {
        return;
    }
    if text.contains(value) {
        *text = text.replace(value, MASK);
    }
    let longest = (TELLING_BYTES_MIN..value.len()).rev();
    let cut = longest.filter_map(|len| value.get(..len)).find(|start| text.ends_with(start));
    if let Some(start) = cut {
        text.truncate(text.len() - start.len());
        text.push_str(MASK);
    }
}

#[cfg(test)]
mod tests {
    use campanile_core::attempt::Answer;
    use campanile_core::fault::Faults;
    use campanile_core::secret::Secret;
    use campanile_core::webhook_draft::Method;

    use super::*;

    fn check(body: &str, shown: &str) {
        let values = vec!["s3cr3t-new".to_owned(), "s3cr3t-old".to_owned()];
        let hosts = ["h.example".to_owned()];
        let secret = Secret::new("KEY", values, &hosts, "", &mut Faults::default()).unwrap();
        let request = Request {
            method: Method::Post,
            url: "https://h.example/".to_owned(),
            headers: vec![],
            content_type: None,
            authorization: Some("Basic dTpw".to_owned()),
            body: vec![],
        };
        let mut outcome =
            Outcome::Answered(Answer { status: 400, body: body.to_owned(), ..Answer::default() });
        hide(&mut outcome, &request, &["KEY".to_owned()], &Secrets::from_iter([secret]));
        let Outcome::Answered(answer) = outcome else { panic!("{outcome:?}") };
        assert_eq!(answer.body, shown);
    }

    #[test]
    fn an_echo_of_secrets_and_credentials_is_masked() {
        check("", "");
        check("wrong key", "wrong key");
        check("wrong s3cr3t-new, once s3cr3t-old: s3cr3t-new", "wrong ***, once ***: ***");
        check("authorization: Basic dTpw\r\n", "authorization: Basic ***\r\n");
    }

    #[test]
    fn an_echo_that_was_cut_is_masked_too() {
        check("you sent s3cr3t-", "you sent ***");
        check("you sent s3c", "you sent s3c");
    }
}

//! What is sent: users of ten attributes, a campaign that renders about 300 bytes of JSON from them, and the body it must make.

use std::fmt::Write;

use campanile_core::signature::{self, Key};

/// What the campaigns of this bench sign with.
pub(crate) const SIGNING_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const CITIES: [&str; 4] = ["Berlin", "Lyon", "Porto", "Graz"];
const PLANS: [&str; 2] = ["pro", "team"];

pub(crate) fn user_id(n: u64) -> String {
    format!("user-{n:08}")
}

/// A line of an import, an identify call, or the traits alone: ten attributes. `matches` is what the audience asks for.
pub(crate) fn traits(n: u64, matches: bool) -> String {
    let (first, last, email, plan, city) = facts(n);
    let country = if matches { "DE" } else { "FR" };
    format!(
        "{{\"first_name\":\"{first}\",\"last_name\":\"{last}\",\"email\":\"{email}\",\"plan\":\"{plan}\",\"city\":\"{city}\",\
         \"age\":{},\"country\":\"{country}\",\"credit\":{},\"consent\":true,\"renews_on\":\"2027-03-{:02}\"}}",
        18 + n % 60,
        n % 1000,
        1 + n % 28
    )
}

fn facts(n: u64) -> (String, String, String, &'static str, &'static str) {
    let plan = PLANS[(n % 2) as usize];
    let city = CITIES[(n % 4) as usize];
    (format!("Mary{}", n % 500), format!("Doe{}", n % 900), format!("mary.{n}@example.com"), plan, city)
}

/// Three criteria.
pub(crate) const AUDIENCE: &str =
    r#"user.country == "DE" and user.age >= 18 and user.plan in ["pro", "team"]"#;

/// The webhook of every campaign here, as YAML within a campaign.
pub(crate) fn webhook(port: u16) -> String {
    format!(
        r#"webhook:
  url: "http://127.0.0.1:{port}/hooks/{{{{ user_id }}}}"
  signing_secret: bench
  json:
    user: "{{{{ user_id }}}}"
    name: "{{{{ user.first_name }}}} {{{{ user.last_name }}}}"
    email: "{{{{ user.email }}}}"
    age: "{{{{ user.age }}}}"
    city: "{{{{ user.city }}}}"
    text: "Hello {{{{ user.first_name }}}}, your {{{{ user.plan }}}} plan renews on {{{{ user.renews_on }}}} and you have {{{{ user.credit }}}} credits left to spend on anything you like in our shop, online or around the corner."
    due: "{{{{ due_at }}}}"
"#
    )
}

/// Writes what the body of user `n` begins with; what follows is the due instant.
fn write_expected(n: u64, body: &mut String) {
    let (first, last, email, plan, city) = facts(n);
    body.clear();
    let _ = write!(
        body,
        "{{\"user\":\"user-{n:08}\",\"name\":\"{first} {last}\",\"email\":\"{email}\",\"age\":{},\"city\":\"{city}\",\
         \"text\":\"Hello {first}, your {plan} plan renews on 2027-03-{:02} and you have {} credits left to spend on anything you like in our shop, online or around the corner.\",\
         \"due\":\"",
        18 + n % 60,
        1 + n % 28,
        n % 1000
    );
}

/// A whole body, as the ceiling posts it.
pub(crate) fn body(n: u64) -> String {
    let mut body = String::new();
    write_expected(n, &mut body);
    body.push_str("2026-11-24T12:00:00Z\"}");
    body
}

/// Checks bodies, without a new buffer for each.
#[derive(Default)]
pub(crate) struct Checker {
    expected: String,
}

impl Checker {
    /// Whose body it is, and its due instant as text. `Err`: no campaign of this bench makes such a body.
    pub(crate) fn check<'b>(&mut self, body: &'b [u8]) -> Result<(u64, &'b str), String> {
        let wrong = || format!("not expected: {}", String::from_utf8_lossy(body));
        let text = std::str::from_utf8(body).map_err(|_| wrong())?;
        let n = text.get("{\"user\":\"user-".len()..).and_then(|rest| rest.get(..8)).ok_or_else(wrong)?;
        let n: u64 = n.parse().map_err(|_| wrong())?;
        write_expected(n, &mut self.expected);
        let due = text.strip_prefix(self.expected.as_str()).and_then(|rest| rest.strip_suffix("\"}"));
        due.map(|due| (n, due)).ok_or_else(wrong)
    }
}

/// Whether the headers sign the body.
pub(crate) fn is_signed(id: &str, timestamp: &str, signature: &str, body: &[u8]) -> bool {
    let keys = Key::read(SIGNING_SECRET).into_iter().collect::<Vec<_>>();
    timestamp.parse().is_ok_and(|timestamp| signature::verify(&keys, id, timestamp, body, signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_checked_to_the_last_byte() {
        let mut checker = Checker::default();
        let good = body(1234);
        assert!((280..380).contains(&good.len()), "{} bytes", good.len());
        assert_eq!(checker.check(good.as_bytes()).unwrap(), (1234, "2026-11-24T12:00:00Z"));
        for bad in ["", "{}", &good[1..], &good[..good.len() - 1], &good.replace("credits", "Credits")] {
            assert!(checker.check(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}

//! Pure. What scope a call of the control API needs. What is not named here needs `admin`.

use campanile_core::access::Scope;

/// `path` is `/campanile.v1.CampaignService/CreateCampaign`. `None`: anybody who has a token may call it.
pub(crate) fn needed(path: &str) -> Option<Scope> {
    let path = path.trim_start_matches('/');
    if path.starts_with("grpc.reflection.") {
        return None;
    }
    let (service, method) = path.split_once('/').unwrap_or((path, ""));
    let service = service.strip_prefix("campanile.v1.").unwrap_or_default();
    let looks = ["Get", "List", "Watch", "Explain", "Validate", "Preview", "Estimate", "Plan"];
    let is_look = looks.iter().any(|verb| method.starts_with(verb));
    Some(match (service, method) {
        ("TokenService" | "AuditService", _) => Scope::Admin,
        ("UserService", "UpsertUsers" | "ImportUsers") => Scope::Ingest,
        ("EventService", "TrackEvents" | "StreamEvents") => Scope::Ingest,
        ("SecretService", "ListSecrets") => Scope::Campaigns,
        ("SecretService", _) => Scope::Admin,
        (_, _) if is_look => Scope::Read,
        ("CampaignService" | "SegmentService" | "SendService", _) => Scope::Campaigns,
        _ => Scope::Admin,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_needs_what_the_page_about_security_says() {
        let check = |path: &str, expected: Option<Scope>| assert_eq!(needed(path), expected, "{path}");
        check("/campanile.v1.CampaignService/ListCampaigns", Some(Scope::Read));
        check("/campanile.v1.CampaignService/PreviewSend", Some(Scope::Read));
        check("/campanile.v1.CampaignService/CreateCampaign", Some(Scope::Campaigns));
        check("/campanile.v1.CampaignService/SendTest", Some(Scope::Campaigns));
        check("/campanile.v1.SegmentService/CreateSegment", Some(Scope::Campaigns));
        check("/campanile.v1.SendService/RedriveSends", Some(Scope::Campaigns));
        check("/campanile.v1.SendService/ExplainSend", Some(Scope::Read));
        check("/campanile.v1.UserService/UpsertUsers", Some(Scope::Ingest));
        check("/campanile.v1.UserService/GetUser", Some(Scope::Read));
        check("/campanile.v1.UserService/DeleteUser", Some(Scope::Admin));
        check("/campanile.v1.EventService/StreamEvents", Some(Scope::Ingest));
        check("/campanile.v1.EventService/WatchEvents", Some(Scope::Read));
        check("/campanile.v1.SecretService/ListSecrets", Some(Scope::Campaigns));
        check("/campanile.v1.SecretService/PutSecret", Some(Scope::Admin));
        check("/campanile.v1.SettingsService/GetSettings", Some(Scope::Read));
        check("/campanile.v1.SettingsService/UpdateSettings", Some(Scope::Admin));
        check("/campanile.v1.DestinationService/ListDestinations", Some(Scope::Read));
        check("/campanile.v1.DestinationService/UpdateDestination", Some(Scope::Admin));
        check("/campanile.v1.TokenService/ListTokens", Some(Scope::Admin));
        check("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", None);
        check("/evil.CampaignService/ListCampaigns", Some(Scope::Read));
        check("/x", Some(Scope::Admin));
        check("", Some(Scope::Admin));
    }
}

//! What a campaign looks at that is not there: most often a slip of the pen. Attributes are of no schema, so some users are looked at.

use std::collections::BTreeSet;

use campanile_core::campaign::Campaign;
use campanile_core::limits::USERS_LOOKED_AT_MAX;
use campanile_core::number::UserNo;
use campanile_proto::file_keys::nearest;
use campanile_proto::v1 as wire;
use tonic::Status;

use crate::deployment::Deployment;
use crate::status;

/// A warning for each attribute that the campaign names and that none of some users has; none where there are no users yet.
pub async fn unknown_attributes(
    deployment: &Deployment,
    campaign: &Campaign,
) -> Result<Vec<wire::Finding>, Status> {
    let mentioned = mentioned(campaign);
    if mentioned.is_empty() {
        return Ok(Vec::new());
    }
    let (mut known, mut looked_at) = (BTreeSet::new(), 0);
    for shard in deployment.store.layout().shards() {
        let users =
            deployment.store.list_users(shard, UserNo(0), USERS_LOOKED_AT_MAX.saturating_sub(looked_at));
        let users = users.await.map_err(status::store)?;
        looked_at += users.len();
        known.extend(
            users.into_iter().flat_map(|user| user.profile.attributes.into_iter().map(|(name, _)| name)),
        );
        if looked_at >= USERS_LOOKED_AT_MAX {
            break;
        }
    }
    Ok(unknown(&mentioned, &known, looked_at))
}

/// Each attribute with the field that names it.
fn mentioned(campaign: &Campaign) -> Vec<(String, String)> {
    let mut mentioned = Vec::new();
    for (field, expression) in campaign.expressions() {
        mentioned.extend(expression.names().attributes.into_iter().map(|name| (field.clone(), name)));
    }
    for action in &campaign.actions {
        let attributes = action.webhooks().flat_map(|webhook| webhook.attributes());
        let field = if campaign.is_chain() { &action.name } else { "webhook" };
        mentioned.extend(attributes.map(|name| (field.to_owned(), name)));
    }
    mentioned
}

/// A warning for each campaign whose history is asked for and that does not exist: nobody received it.
pub async fn unknown_campaigns(
    deployment: &Deployment,
    campaign: &Campaign,
) -> Result<Vec<wire::Finding>, Status> {
    let mut told = Vec::new();
    for (field, expression) in campaign.expressions() {
        for id in expression.names().campaigns {
            let is_there = id == campaign.draft.id
                || deployment.store.campaign(&id).await.map_err(status::store)?.is_some();
            if !is_there {
                let text =
                    format!("there is no campaign {id}, so nobody received it and it failed for nobody");
                told.push(status::finding(&field, &text));
            }
        }
    }
    Ok(told)
}

fn unknown(mentioned: &[(String, String)], known: &BTreeSet<String>, looked_at: usize) -> Vec<wire::Finding> {
    if looked_at == 0 {
        return Vec::new();
    }
    let strange = mentioned.iter().filter(|(_, name)| !known.contains(name));
    let told = strange.map(|(field, name)| {
        let near = nearest(name, known.iter().map(String::as_str));
        let near = near.map(|near| format!(": did you mean {near}?")).unwrap_or_default();
        status::finding(
            field,
            &format!("none of the {looked_at} users looked at has an attribute {name}{near}"),
        )
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_that_nobody_has_is_told_with_the_nearest_that_somebody_has() {
        let known: BTreeSet<String> =
            ["email", "name", "plan"].iter().map(|name| (*name).to_owned()).collect();
        let check = |name: &str, looked_at: usize, expected: &[&str]| {
            let mentioned = [("audience.where".to_owned(), name.to_owned())];
            let found = unknown(&mentioned, &known, looked_at);
            let found: Vec<String> = found.into_iter().map(|finding| finding.description).collect();
            assert_eq!(found, expected, "{name}");
        };
        check("email", 9, &[]);
        check("emial", 9, &["none of the 9 users looked at has an attribute emial: did you mean email?"]);
        check("Email", 9, &["none of the 9 users looked at has an attribute Email: did you mean email?"]);
        check("zzz", 9, &["none of the 9 users looked at has an attribute zzz"]);
        check("emial", 0, &[]);
    }
}

//! Policies. Each is compiled here as the server compiles it, so that a dry run tells the same
//! refusals, and what is there already is compared by its meaning.

use scaivault_core::acl::{Compiled, Mounts, Refusal, compile, is_policy_name, parse};
use serde::Deserialize;
use serde_json::json;

use super::context::{Halt, Pair, at_source, at_target};
use super::report::{Kind, Outcome, Report};
use super::trouble::Trouble;

const FIXED: [&str; 2] = ["root", "default"];

#[derive(Deserialize)]
struct Shown {
    data: Text,
}

#[derive(Deserialize)]
struct Text {
    #[serde(default)]
    policy: String,
}

/// Copies all of them.
///
/// # Errors
/// When going on makes no sense.
pub(crate) async fn copy(pair: &Pair<'_>, mounts: &Mounts, report: &Report) -> Result<(), Trouble> {
    let names = match pair.source.list("sys/policies/acl").await {
        Ok(names) => names,
        Err(trouble) if trouble.is_general() => return Err(trouble),
        Err(trouble) => {
            let halt = at_source(trouble);
            let why = format!("policies cannot be listed: {}", halt.text());
            report.say(Kind::Policy, halt.outcome(), "sys/policies/acl", why);
            return Ok(());
        }
    };
    for name in names {
        if FIXED.contains(&name.as_str()) {
            if name == "default" {
                let why = "fixed here, see docs/vault-api.md: what was added to it in the source has to \
                           be a policy of its own";
                report.say(Kind::Policy, Outcome::Note, &name, why);
            }
            continue;
        }
        match one(pair, mounts, report, &name).await {
            Ok((outcome, why)) => report.say(Kind::Policy, outcome, &name, why),
            Err(halt) => report.halted(Kind::Policy, &name, halt)?,
        }
    }
    Ok(())
}

async fn one(
    pair: &Pair<'_>,
    mounts: &Mounts,
    report: &Report,
    name: &str,
) -> Result<(Outcome, String), Halt> {
    let path = format!("sys/policies/acl/{name}");
    let there = async {
        let answer = pair.source.read(&path).await?;
        Ok(answer.parse::<Shown>()?.data.policy)
    };
    let there = there.await.map_err(at_source)?;
    if !is_policy_name(name) {
        let why = "no policy can be called so here".to_owned();
        return Ok((Outcome::Refused, why));
    }
    let compiled = match compiled(&there, mounts) {
        Ok(compiled) => compiled,
        Err(refusals) => return Ok((Outcome::Refused, lines(&refusals))),
    };
    for note in &compiled.notes {
        report.say(Kind::Policy, Outcome::Note, name, note.clone());
    }
    let here = pair.target.find(&path).await.map_err(at_target)?;
    if let Some(here) = here {
        let here = here.parse::<Shown>().map_err(at_target)?.data.policy;
        let is_same = here == there
            || self::compiled(&here, mounts)
                .is_ok_and(|one| one.rules == compiled.rules && one.scopes == compiled.scopes);
        if is_same {
            return Ok((Outcome::Same, String::new()));
        }
        if !pair.overwrite {
            let why = "another policy of this name is here".to_owned();
            return Ok((Outcome::Conflict, why));
        }
    }
    if !pair.target.is_dry() {
        let written = pair.target.put(&path, &json!({ "policy": there })).await;
        written.map_err(at_target)?;
    }
    Ok((Outcome::Copied, String::new()))
}

fn compiled(text: &str, mounts: &Mounts) -> Result<Compiled, Vec<Refusal>> {
    compile(&parse(text)?, mounts)
}

/// Every refusal, each on a line of its own with its place in the policy.
fn lines(refusals: &[Refusal]) -> String {
    let lines: Vec<String> = refusals.iter().map(Refusal::to_string).collect();
    lines.join("\n")
}

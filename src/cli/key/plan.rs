//! `holdfast key plan`

use serde_json::json;

use super::{PlanArg, read};
use crate::{
    cli::{
        Context, Format,
        failure::{Exit, Failure},
    },
    host::{clock, error::chain},
    key::{
        ceremony::{CeremonyError, Named, sign_command},
        plan::{NAMESPACE, RoleName},
    },
    report,
};

pub(super) fn run(context: &Context, args: &PlanArg) -> Result<Exit, Failure> {
    let named = read(context, &args.plan)?;
    let plan = named.plan();
    let is_over = plan.valid_until.is_over(clock::today());
    let signatures = RoleName::ALL.map(|role| (role, named.signed(role)));
    let good = !is_over && signatures.iter().all(|(_, signed)| signed.is_ok());
    match context.format {
        Format::Json => {
            let signatures: Vec<_> = signatures
                .iter()
                .map(|(role, signed)| {
                    json!({
                        "role": role.as_str(),
                        "name": plan.role(*role).name,
                        "good": signed.is_ok(),
                        "touched": signed.as_ref().is_ok_and(|(good, _)| good.touched),
                        "fault": signed.as_ref().err().map(|fault| chain(fault)),
                    })
                })
                .collect();
            let body = json!({
                "good": good, "digest": named.digest, "name": plan.name, "over": is_over, "custodians": plan.custodians, "signatures": signatures,
            });
            context.out.raw(&report::json::document("key plan", body))?;
        }
        Format::Text => {
            context.out.line(format!("plan {} {}", plan.name, named.digest))?;
            for line in summary(&named) {
                context.out.line(line)?;
            }
            if is_over {
                context.out.line(format!("it ended on {}", plan.valid_until))?;
            }
            for (role, signed) in &signatures {
                let who = format!("{} {}", role.as_str(), plan.role(*role).name);
                context.out.line(match signed {
                    Ok((good, _)) if good.touched => {
                        format!("signed by the {who}, hardware key touched")
                    }
                    Ok(_) => format!("signed by the {who}"),
                    Err(CeremonyError::Unsigned { .. }) => {
                        let to = named.signature(*role);
                        let command = sign_command(NAMESPACE, &named.path, &to);
                        format!("not signed by the {who}: {command}")
                    }
                    Err(fault) => chain(fault),
                })?;
            }
        }
    }
    Ok(if good { Exit::Ok } else { Exit::Findings })
}

fn summary(named: &Named) -> Vec<String> {
    let plan = named.plan();
    let mut lines = Vec::new();
    for key in &plan.keys {
        let public = key.public.as_ref().map_or("not said", |text| text.as_str());
        lines.push(format!("key {}, public half {public}", key.name));
    }
    for custodian in &plan.custodians {
        lines.push(format!("custodian {}, recipient {}", custodian.name, custodian.recipient));
    }
    for medium in &plan.media {
        let serial = medium.serial.as_ref().map_or("any", |text| text.as_str());
        lines.push(format!(
            "medium {} for {}, serial number {serial}, bag {}, on {}",
            medium.name, medium.custodian, medium.bag, medium.path
        ));
    }
    for exception in &plan.exceptions {
        lines.push(format!("exception {}: {}", exception.check.id(), exception.reason));
    }
    lines.push(format!("until {}, next drill by {}", plan.valid_until, plan.next_drill));
    lines
}

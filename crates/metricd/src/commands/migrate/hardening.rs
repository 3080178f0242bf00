//! `metricd migrate --harden` and `--undo-hardening`: print what changes for which roles, ask for confirmation, change it.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal};

use anyhow::{Result, bail, ensure};
use metricd_database::{DatabaseUrl, harm_of};
use metricd_postgres::{HardeningPlan, Right, plan_hardening, plan_undoing, undo_hardening};

use crate::arguments::{MigrateArguments, PlanFormat};
use crate::output;

/// Revokes harmful privileges from PUBLIC.
pub(super) fn harden(owner: &DatabaseUrl, call: MigrateArguments) -> Result<()> {
    let plan = plan_hardening(owner)?;
    if call.format == PlanFormat::Sql {
        output::print(&plan.to_sql(owner.database()));
        return Ok(());
    }
    if plan.rights.is_empty() {
        output::print(&format!("the database {owner} is hardened: PUBLIC has no privilege to revoke\n"));
        return Ok(());
    }
    output::print(&format!("PUBLIC has privileges on {owner} that do harm even in a read-only transaction.\n"));
    output::print(&list_privileges(&plan, "would be revoked"));
    output::print(&list_roles(&plan.rights));
    if call.dry_run {
        return Ok(());
    }
    confirm("Revoke them?", call)?;
    let done = metricd_postgres::harden(owner)?;
    output::print(&format!(
        "{} privileges were revoked; `metricd migrate --undo-hardening` grants them back\n",
        done.rights.len()
    ));
    Ok(())
}

/// Grants the revoked privileges back to PUBLIC.
pub(super) fn undo(owner: &DatabaseUrl, call: MigrateArguments) -> Result<()> {
    let plan = plan_undoing(owner)?;
    if call.format == PlanFormat::Sql {
        output::print(&plan.to_sql(owner.database()));
        return Ok(());
    }
    if plan.rights.is_empty() {
        output::print(&format!("no privilege was revoked from PUBLIC on {owner}: there is nothing to grant back\n"));
        return Ok(());
    }
    output::print(&list_privileges(&plan, "would be granted back to PUBLIC"));
    if call.dry_run {
        return Ok(());
    }
    confirm("Grant them back?", call)?;
    let done = undo_hardening(owner)?;
    output::print(&format!("{} privileges were granted back to PUBLIC\n", done.rights.len()));
    Ok(())
}

/// Lists the privileges by class, each class with the harm that its functions do.
fn list_privileges(plan: &HardeningPlan, what: &str) -> String {
    let mut lines = vec![format!("{} privileges {what}:", plan.rights.len())];
    for rights in plan.rights.chunk_by(|one, next| one.class == next.class) {
        let class = &rights[0].class;
        lines.push(format!("\n  {class}: they {}", harm_of(class)));
        lines.extend(rights.iter().map(|right| format!("    {} on {}", right.privilege, right.object)));
    }
    lines.join("\n") + "\n"
}

/// Lists the roles that lose privileges, and those that keep them.
fn list_roles(rights: &[Right]) -> String {
    let mut losers: BTreeMap<&str, usize> = BTreeMap::new();
    for role in rights.iter().flat_map(|right| &right.losers) {
        *losers.entry(role).or_default() += 1;
    }
    let mut lines = vec!["\nRoles that have these privileges only through PUBLIC, and would lose them:".to_owned()];
    lines.extend(losers.iter().map(|(role, count)| match rights.len() - count {
        0 => format!("    `{role}`: all"),
        kept => format!("    `{role}`: all but {kept}"),
    }));
    if losers.is_empty() {
        lines.push("    none that can log in".to_owned());
    }
    let keeper = rights.iter().find_map(|right| right.keeper.as_deref());
    let kept = keeper
        .map(|keeper| format!(", and so does `{keeper}`, to which they are granted explicitly"))
        .unwrap_or_default();
    lines.push(format!("Superusers keep them{kept}. Other databases of the server are not changed.\n"));
    lines.join("\n")
}

/// Asks for confirmation on the terminal. Without a terminal, `--yes` is required.
fn confirm(question: &str, call: MigrateArguments) -> Result<()> {
    if call.yes {
        return Ok(());
    }
    let stdin = io::stdin();
    ensure!(stdin.is_terminal(), "nothing was changed: there is no terminal to confirm on; give --yes");
    output::print(&format!("\n{question} [y/N] "));
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    if !["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        bail!("nothing was changed");
    }
    Ok(())
}

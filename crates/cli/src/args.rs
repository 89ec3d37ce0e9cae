//! The command line as a whole. Each command's own arguments are in its file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    audit, auth, config, dynamic, import, lease, policy, role, rotation, secret_policy, secrets,
    store, target, tenancy, token, webhook,
};
use crate::token::Token;

const EXIT_CODES: &str = "\
Exit codes:
  0  ok
  1  anything else (no connection, a conflict, an invalid audit chain)
  2  authentication: no token, or one that is not accepted
  3  authorization: the token or its policies do not allow it
  4  not found
  5  invalid input, this command line included
  6  a campaign ended and some of its secrets were not rotated
  7  a campaign waits for a person, or longer than --timeout
  8  a store was copied whole, but its source went on meanwhile: run it again
  9  an import ended and something is missing: its report names it
`dynamic run` ends with the code of the program it runs.";

/// Keeps secrets, rotates them, and accounts for every read.
#[derive(Parser)]
#[command(name = "scaivault", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) flags: Flags,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command. A flag comes before the environment, that before the config file.
/// The environment is read in `settings`, so that where a value comes from stays known.
#[derive(Args, Default)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Flags {
    /// The server [env: SCAIVAULT_URL] [default: http://127.0.0.1:8200]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The token; other users of this machine can see it here, so prefer the environment or
    /// `auth login` [env: SCAIVAULT_TOKEN]
    #[arg(long, global = true, value_name = "TOKEN")]
    pub(crate) token: Option<Token>,
    /// Act in this tenant [env: SCAIVAULT_TENANT_ID]
    #[arg(long, global = true, value_name = "ID")]
    pub(crate) tenant_id: Option<String>,
    /// The tenant's partner [env: SCAIVAULT_PARTNER_ID]
    #[arg(long, global = true, value_name = "ID")]
    pub(crate) partner_id: Option<String>,
    /// PEM certificates to trust besides the system's [env: SCAIVAULT_CA_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// PEM certificate to show to the server, in place of a token or beside it
    /// [env: SCAIVAULT_CLIENT_CERT]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) client_cert: Option<PathBuf>,
    /// Its key, PEM [env: SCAIVAULT_CLIENT_KEY] [default: the file of the certificate]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) client_key: Option<PathBuf>,
    /// Say on stderr what is asked and answered, without values [env: SCAIVAULT_DEBUG]
    #[arg(long, global = true)]
    pub(crate) debug: bool,
    /// Print the server's JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Read, write and manage secrets
    #[command(subcommand)]
    Secrets(secrets::Secrets),
    /// Create, list and revoke tokens
    #[command(subcommand)]
    Token(token::Tokens),
    /// Let machines log in by a role id and a secret id
    #[command(subcommand)]
    Role(role::Roles),
    /// Say who may do what to which paths
    #[command(subcommand)]
    Policy(policy::Policies),
    /// Write recipes for values that the server makes
    #[command(subcommand)]
    SecretPolicy(secret_policy::SecretPolicies),
    /// Replace values on a schedule or at once
    #[command(subcommand)]
    Rotation(rotation::Rotations),
    /// Describe the systems whose credentials are rotated, and check them
    #[command(subcommand)]
    Target(target::Targets),
    /// Make credentials on request, for a program or a person
    #[command(subcommand)]
    Dynamic(dynamic::Dynamic),
    /// See, prolong and end credentials that were made on request
    #[command(subcommand)]
    Lease(lease::Leases),
    /// Send events elsewhere, as signed JSON or as Slack messages
    #[command(subcommand)]
    Webhook(webhook::Webhooks),
    /// Make, suspend and activate tenants
    #[command(subcommand)]
    Tenant(tenancy::tenant::Tenants),
    /// Make, suspend and activate partners, the owners of tenants
    #[command(subcommand)]
    Partner(tenancy::partner::Partners),
    /// Move, back up and restore what a server keeps
    #[command(subcommand)]
    Store(store::Stores),
    /// Bring what another manager of secrets keeps
    #[command(subcommand)]
    Import(import::Imports),
    /// See who did what, and check that the record is whole
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Keep a token for later commands
    #[command(subcommand)]
    Auth(auth::Auth),
    /// Settings kept in ~/.scaivault/config.json
    #[command(subcommand)]
    Config(config::Config),
    /// Start a development server on this machine
    #[cfg(feature = "server")]
    Dev(crate::commands::serve::Dev),
    /// Start the server
    #[cfg(feature = "server")]
    Server(crate::commands::serve::Server),
    /// Prepare a new server: root key and first token
    #[cfg(feature = "server")]
    Init(crate::commands::serve::Init),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    /// The parser keeps both under one name: the value of one would be taken for the other's.
    #[test]
    fn no_command_has_an_option_named_as_one_of_all() {
        fn walk(command: &clap::Command, of_all: &[&str]) {
            for argument in command.get_arguments() {
                let id = argument.get_id().as_str();
                // The token to log in with is the token of all.
                let is_meant = (command.get_name(), id) == ("login", "token");
                assert!(
                    is_meant || !of_all.contains(&id),
                    "{}: {id}",
                    command.get_name()
                );
            }
            for inner in command.get_subcommands() {
                walk(inner, of_all);
            }
        }
        let whole = Cli::command();
        let of_all: Vec<&str> = whole
            .get_arguments()
            .map(|argument| argument.get_id().as_str())
            .collect();
        assert!(of_all.contains(&"url"));
        for command in whole.get_subcommands() {
            walk(command, &of_all);
        }
    }

    #[test]
    fn options_may_stand_before_and_after_the_command() {
        for line in [
            "scaivault --url http://h --token t --json secrets read a/b",
            "scaivault secrets --json read a/b --url http://h --token t",
        ] {
            let cli = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(cli.flags.url.as_deref(), Some("http://h"));
            assert_eq!(cli.flags.token, Some(Token::new("t")));
            assert!(cli.flags.json);
        }
    }

    #[test]
    fn every_documented_command_parses() {
        for line in [
            "secrets read a --version 3 --field password",
            "secrets write a k=v l=@file m=-",
            "secrets write a --type json --json-file - --expires-in 30d --tag x --tag y \
             --description d --max-versions 5 --cas 0",
            "secrets list --prefix p --tag t --limit 10",
            "secrets delete a --hard",
            "secrets undelete a",
            "secrets versions a",
            "secrets rotate a",
            "secrets expiring --days 30 --prefix p",
            "secrets consumers a",
            "token create --identity sa:x --scope secrets:read --scope a,b --ttl 90d \
             --description d",
            "token list",
            "token revoke tok_1",
            "policy list",
            "policy show pol_1",
            "policy create --file -",
            "policy bind pol_1 --identity group:sre --expires-at 2027-01-01T00:00:00Z",
            "policy delete pol_1 --force",
            "rotation policy create --name n --interval 90d --grace-period 48h \
             --warn-before 7d,1d --auto-generate --webhook wh_1",
            "rotation policy list",
            "rotation assign a/b --policy rot_1",
            "rotation list --path a/b",
            "rotation show rtn_1",
            "target create orders --connector postgresql --setting host=db --setting port=5432 \
             --settings-file - --manager db/manager --description d",
            "target list --limit 5",
            "target show orders",
            "target update orders --setting port=5433 --remove-setting tls --manager m --name n",
            "target delete tgt_1",
            "target check orders",
            "target check orders --overlap none --account account=app",
            "target connectors",
            "rotation campaign start --identity sa:x --containment --exclude a --wait",
            "rotation campaign start --leaked-token tok_1 --keep-token --dry-run --note n",
            "rotation campaign start --policy rot_1 --wait --timeout 60",
            "rotation campaign start --group g --webhook wh_1",
            "rotation campaign start --path a --path b --containment-path b",
            "rotation campaign list",
            "rotation campaign show cmp_1",
            "rotation campaign watch cmp_1 --timeout 5",
            "rotation campaign pause cmp_1",
            "rotation campaign resume cmp_1",
            "rotation campaign end cmp_1",
            "webhook create --name n --to https://h --secret - --event rotation.failed \
             --format slack",
            "webhook list",
            "webhook format wh_1 slack",
            "webhook test wh_1",
            "webhook delete wh_1",
            "rotation abandon rtn_1",
            "rotation abandon rtn_1 --force",
            "rotation debts --limit 5",
            "rotation debt retry dbt_1",
            "rotation debt write-off dbt_1 --reason gone",
            "target rehearse orders --strategy two_users",
            "target sweep orders",
            "dynamic engine create orders --plugin postgresql --connection-url postgresql://db/o \
             --root db/root --setting tls=off --default-ttl 1h --max-ttl 24h --no-verify",
            "dynamic engine create orders --plugin postgresql --target orders --type database",
            "dynamic engine create bastion --plugin ssh --root ssh/ca",
            "dynamic engine list --limit 5",
            "dynamic engine show orders",
            "dynamic engine update orders --connection-url u --root p --remove-setting tls",
            "dynamic engine health orders",
            "dynamic engine sweep orders",
            "dynamic engine revoke-all orders --role reader --yes",
            "dynamic engine rotate-root orders --policy databases",
            "dynamic engine public-key bastion",
            "dynamic engine revocation-list bastion --out revoked",
            "dynamic engine delete orders",
            "dynamic role create orders/reader --creation @make.sql --creation x --revocation y \
             --renewal z --rollback w --owned-objects drop --username-template t --default-ttl 1h",
            "dynamic role put orders/reader --creation -",
            "dynamic role update orders/reader --max-ttl 2h",
            "dynamic role list orders",
            "dynamic role show orders/reader",
            "dynamic role delete orders/reader",
            "dynamic creds orders/reader",
            "dynamic creds orders/reader --ttl 5m --format shell --prefix DB_ --param a=b",
            "dynamic creds orders/reader --format env --env PGUSER=username --env U={{username}}",
            "dynamic run orders/reader --env PGUSER=username -- psql -h db orders",
            "dynamic run orders/reader --restart --grace 5 --keep-token -- serve",
            "lease list --engine orders --role r --status active,revoking --identity sa:x --failing",
            "lease show lse_1",
            "lease renew lse_1 --increment 30m",
            "lease revoke lse_1 lse_2 --wait",
            "import vault --addr https://h:1 --token-file f --namespace n --mount secret \
             --mount kv/ --rename a=b --only kv,policies --dry-run --report r --concurrency 4",
            "import vault --addr http://h --overwrite --database-password-file mydb=f --no-verify \
             --source-ca-file a --source-client-cert b --source-client-key c",
            "store reconcile",
            "store resume --without-look",
            "tenant create Acme --slug acme --region eu --partner ptn_1 --id tnt_1",
            "tenant list --partner ptn_1 --page 2",
            "tenant suspend tnt_1",
            "partner create Acme",
            "partner list",
            "partner activate ptn_1",
            "audit verify",
            "audit logs --path p --identity sa:x --action read,write --since 24h --limit 5",
            "auth login --token t",
            "auth login --token -",
            "auth login --token",
            "auth login",
            "auth whoami",
            "auth login --certificate --client-cert c.pem --client-key k.pem",
            "auth logout",
            "config set base_url http://h",
            "config show",
        ] {
            if let Err(error) = parse(&format!("scaivault {line}")) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "",
            "secrets",
            "secrets read",
            "secrets read a --version x",
            "secrets write a",
            "secrets write a k=v --json-file f",
            "secrets expiring",
            "token create",
            "rotation assign a",
            "target create orders",
            "target check orders --overlap none",
            "target check orders --account account=app",
            "rotation campaign start",
            "rotation campaign start --identity sa:x --group g",
            "rotation campaign start --identity sa:x --keep-token",
            "rotation debt write-off dbt_1",
            "dynamic engine create orders --plugin postgresql --target t --connection-url u",
            "dynamic engine create orders --plugin postgresql --target t --setting a=b",
            "dynamic role create orders",
            "dynamic creds orders/reader --env 1=username",
            "dynamic creds orders/reader --format yaml",
            "dynamic run orders/reader",
            "dynamic run orders/reader psql",
            "lease revoke",
            "config set token t",
            "nonsense",
        ] {
            assert!(parse(&format!("scaivault {line}")).is_err(), "{line}");
        }
    }

    #[test]
    fn help_tells_the_exit_codes_and_no_token() {
        let help = Cli::command().render_long_help().to_string();
        assert!(help.contains("Exit codes:"));
        assert!(help.contains("SCAIVAULT_TOKEN"));
    }

    #[cfg(feature = "server")]
    #[test]
    fn server_commands_parse() {
        for line in [
            "dev",
            "dev --listen 127.0.0.1:9000 --data d --root-token t",
            "server --config f",
            "server --print-config",
            "init --config f --data d --key-file k",
            "init --passphrase",
            "store copy --from a.db --to postgresql://u:p@h/d --key-file k",
            "store copy --from @f --to sqlite:///b.db --passphrase-file p",
            "store backup --from a.db --to b.db",
            "store restore --from b.db --to c.db",
            "store mark-restored --store a.db",
        ] {
            if let Err(error) = parse(&format!("scaivault {line}")) {
                panic!("{line}: {error}");
            }
        }
        assert!(parse("scaivault dev --listen nowhere").is_err());
    }
}

//! What `create` and `update` say of a role alike.

use clap::Args;

#[derive(Args, Default)]
pub(crate) struct Fields {
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub(super) description: Option<String>,
    /// Group of its tokens, such as group:builders; may be repeated or separated by commas
    #[arg(long = "group", value_name = "GROUP", value_delimiter = ',')]
    pub(super) groups: Vec<String>,
    /// Whether a login shows a secret id [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(super) bind_secret_id: Option<bool>,
    /// How long secret ids live at most
    #[arg(long, value_name = "DURATION")]
    pub(super) secret_id_ttl: Option<String>,
    /// Logins that a secret id serves at most
    #[arg(long, value_name = "N")]
    pub(super) secret_id_num_uses: Option<u64>,
    /// Address or range that logins come from; may be repeated or separated by commas
    #[arg(long = "secret-id-cidr", value_name = "CIDR", value_delimiter = ',')]
    pub(super) secret_id_cidrs: Vec<String>,
    /// How long its tokens live [default: 1h]
    #[arg(long, value_name = "DURATION")]
    pub(super) token_ttl: Option<String>,
    /// How long renewals may make them live
    #[arg(long, value_name = "DURATION")]
    pub(super) token_max_ttl: Option<String>,
    /// They live for so long, at first and with each renewal
    #[arg(long, value_name = "DURATION")]
    pub(super) token_period: Option<String>,
    /// Requests that a token serves
    #[arg(long, value_name = "N")]
    pub(super) token_num_uses: Option<u64>,
    /// Address or range that tokens are used from; may be repeated or separated by commas
    #[arg(long = "token-cidr", value_name = "CIDR", value_delimiter = ',')]
    pub(super) token_cidrs: Vec<String>,
}

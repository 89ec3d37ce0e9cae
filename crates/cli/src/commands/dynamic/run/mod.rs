//! `scaivault dynamic run`: a program with a credential of its own, for as long as it runs.
//!
//! The credential is in the program's environment and nowhere else. Its lease is renewed while the
//! program runs and given back when it ends, whichever way this program can know of. What kills
//! this program without asking (SIGKILL) leaves a lease that nobody renews.

mod keeper;
mod program;
mod signals;

use std::time::Duration;

use clap::Args;
use scaivault_api::dynamic::{Credential, CredentialBody, Lease};
use scaivault_client::{Call, ClientError};

use self::keeper::{Act, Keeper};
use self::program::{Ended, Program};
use self::signals::Signals;
use super::variables::Variables;
use super::{Session, Wanted};
use crate::exit::CliError;
use crate::output::note;
use crate::table::plain;

/// How long giving a lease back may keep the caller waiting.
const GIVING_BACK_MAX: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(crate) struct Run {
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    variables: Variables,
    /// Start the program anew with another credential when this one cannot be renewed any further
    #[arg(long)]
    restart: bool,
    /// How long it may take to end when it is started anew, before it is killed
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 10,
        requires = "restart"
    )]
    grace: u64,
    /// Leave SCAIVAULT_TOKEN in the program's environment
    #[arg(long)]
    keep_token: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    program: Vec<String>,
}

/// Why a life of the program is over.
enum Over {
    Program(Ended),
    /// This credential is for its next life.
    Replaced(Box<Credential>),
}

/// A request that is under way while the program runs.
enum Asked {
    Renewal(<Call<Lease> as IntoFuture>::IntoFuture),
    New(<Call<Credential> as IntoFuture>::IntoFuture),
}

/// What came of it.
enum Answer {
    Renewed(Box<Result<Lease, ClientError>>),
    New(Result<Box<Credential>, ClientError>),
}

/// Waits for the answer; for ever, where nothing was asked.
async fn answered(asked: &mut Option<Asked>) -> Answer {
    match asked {
        Some(Asked::Renewal(asked)) => Answer::Renewed(Box::new(asked.await)),
        Some(Asked::New(asked)) => Answer::New(asked.await.map(Box::new)),
        None => std::future::pending().await,
    }
}

/// Nobody needs the answer any more. A credential that comes of it is given back.
async fn forget(session: &Session, asked: Option<Asked>) {
    if let Some(Asked::New(asked)) = asked
        && let Ok(Ok(made)) = tokio::time::timeout(GIVING_BACK_MAX, asked).await
    {
        give_back(session, &made).await;
    }
}

/// Takes note of what came of a renewal.
fn keep(keeper: &mut Keeper, made: &Credential, renewed: Result<Lease, ClientError>) {
    match renewed {
        Ok(lease) => keeper.renewed(&lease),
        Err(error) => {
            note(&format!(
                "the lease {} was not renewed: {}",
                plain(&made.lease_id),
                plain(&error.to_string())
            ));
            match is_over(&error) {
                true => keeper.over(),
                false => keeper.failed(),
            }
        }
    }
}

impl Run {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        self.variables.check()?;
        let body = self.wanted.body()?;
        let mut signals = Signals::listen()?;
        let mut made = self.first(session, &body, &mut signals).await?;
        loop {
            let over = self.live(session, &body, &made, &mut signals).await;
            give_back(session, &made).await;
            match over? {
                Over::Replaced(next) => made = *next,
                Over::Program(Ended(0)) => return Ok(()),
                Over::Program(Ended(code)) => return Err(CliError::Program(code).into()),
            }
        }
    }

    /// The first credential. Whoever is asked to end meanwhile ends with what came of it given
    /// back; asked twice, at once.
    async fn first(
        &self,
        session: &Session,
        body: &CredentialBody,
        signals: &mut Signals,
    ) -> anyhow::Result<Credential> {
        let mut asked = std::pin::pin!(self.wanted.call(session, body).into_future());
        let mut ending = None;
        loop {
            tokio::select! {
                made = &mut asked => {
                    let made = made?;
                    let Some(signal) = ending.or_else(|| signals.ending()) else { return Ok(made) };
                    give_back(session, &made).await;
                    return Err(CliError::Program(signals::code(signal)).into());
                }
                signal = signals.next() => {
                    if !signals::ends(signal) {
                        continue;
                    }
                    if ending.replace(signal).is_some() {
                        return Err(CliError::Program(signals::code(signal)).into());
                    }
                    note("a credential is being made: waiting for it to give it back");
                }
            }
        }
    }

    /// One life of the program. It waits for the server and for the program at once: signals are
    /// passed on, and its end is seen, while a request is under way.
    async fn live(
        &self,
        session: &Session,
        body: &CredentialBody,
        made: &Credential,
        signals: &mut Signals,
    ) -> anyhow::Result<Over> {
        let variables = self.variables.of(made)?;
        let mut keeper = Keeper::new(made);
        let mut program = Program::start(&self.program, variables, self.keep_token)?;
        let mut asked: Option<Asked> = None;
        loop {
            tokio::select! {
                ended = program.ended() => {
                    forget(session, asked).await;
                    return Ok(Over::Program(ended?));
                }
                signal = signals.next() => program.pass(signal, signals),
                act = keeper.due(), if asked.is_none() => match act {
                    Act::Renew => asked = Some(self.renewal(session, made)),
                    Act::Last if self.restart => {
                        let call = self.wanted.call(session, body);
                        asked = Some(Asked::New(call.into_future()));
                    }
                    Act::Last => {
                        note(&format!(
                            "the credential of the lease {} ends at {} and cannot be renewed any \
                             further",
                            plain(&made.lease_id), plain(keeper.until()),
                        ));
                        keeper.rest();
                    }
                },
                answer = answered(&mut asked) => {
                    asked = None;
                    match answer {
                        Answer::Renewed(renewed) => keep(&mut keeper, made, *renewed),
                        Answer::New(Ok(next)) => {
                            return self.replace(session, program, *next, signals).await;
                        }
                        Answer::New(Err(error)) => {
                            note(&format!("no new credential: {}", plain(&error.to_string())));
                            keeper.failed();
                        }
                    }
                }
            }
        }
    }

    fn renewal(&self, session: &Session, made: &Credential) -> Asked {
        let dynamic = session.client.dynamic();
        let call = dynamic.renew(&made.lease_id, self.wanted.ttl.as_deref());
        Asked::Renewal(call.into_future())
    }

    /// Ends the program, for it to begin anew. One that ended by itself meanwhile does not.
    async fn replace(
        &self,
        session: &Session,
        mut program: Program,
        next: Credential,
        signals: &mut Signals,
    ) -> anyhow::Result<Over> {
        note("the credential cannot be renewed any further: the program is started anew");
        let grace = Duration::from_secs(self.grace);
        match program.stop(grace, signals).await {
            Ok(None) => Ok(Over::Replaced(Box::new(next))),
            Ok(Some(ended)) => {
                give_back(session, &next).await;
                Ok(Over::Program(ended))
            }
            Err(error) => {
                give_back(session, &next).await;
                Err(error.into())
            }
        }
    }
}

/// Whether no later attempt can renew the lease.
fn is_over(error: &ClientError) -> bool {
    matches!(
        error.code(),
        Some("lease_ended" | "lease_not_found" | "role_not_found" | "engine_not_found")
    )
}

/// Gives a lease back. What cannot be given back ends by itself.
async fn give_back(session: &Session, made: &Credential) {
    let revoked = session.client.dynamic().revoke(&made.lease_id);
    let why = match tokio::time::timeout(GIVING_BACK_MAX, revoked.into_future()).await {
        Ok(Ok(_)) => return,
        Ok(Err(error)) if error.code() == Some("lease_not_found") => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the server did not answer".to_owned(),
    };
    note(&format!(
        "the lease {} was not given back: {}; nobody renews it any more",
        plain(&made.lease_id),
        plain(&why)
    ));
}

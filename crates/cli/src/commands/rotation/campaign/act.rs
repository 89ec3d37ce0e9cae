//! `scaivault rotation campaign show`, `pause`, `resume`, `end`

use clap::Args;

use super::details;
use crate::commands::Session;

macro_rules! acts {
    ($($name:ident = $call:ident;)*) => {$(
        #[derive(Args)]
        pub(crate) struct $name {
            /// The campaign's id (cmp_…)
            id: String,
        }

        impl $name {
            pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
                let call = session.client.campaigns().$call(&self.id);
                session.output.answer(call, details).await
            }
        }
    )*};
}

acts! {
    Show = get;
    Pause = pause;
    Resume = resume;
    End = end;
}

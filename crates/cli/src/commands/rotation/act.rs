//! `scaivault rotation resume`, `rollback`, `approve`

use clap::Args;

use crate::commands::Session;

macro_rules! acts {
    ($($name:ident => $call:ident;)*) => {$(
        #[derive(Args)]
        pub(crate) struct $name {
            /// The rotation's id (rtn_…)
            id: String,
        }

        impl $name {
            pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
                let call = session.client.rotation().$call(&self.id);
                session.output.answer(call, super::details).await
            }
        }
    )*};
}

acts! {
    Resume => resume;
    Rollback => roll_back;
    Approve => approve;
}

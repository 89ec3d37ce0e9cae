//! `scaivault rotation resume`, `rollback`, `approve`

use clap::Args;

use crate::commands::Session;

macro_rules! acts {
    ($($name:ident => $call:ident;)*) => {$(
        #[derive(Args)]
        pub(crate) struct $name {
            /// The rotation's id (rtn_…), or the path of a secret: its newest rotation
            rotation: String,
        }

        impl $name {
            pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
                let id = super::named::rotation_id(session, self.rotation).await?;
                let call = session.client.rotation().$call(&id);
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

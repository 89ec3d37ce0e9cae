//! PgBouncer in front of a PostgreSQL. It asks the server for the verifier of whoever logs in
//! (`auth_query`), so that it follows changes of passwords by itself.

use crate::postgresql::{Postgresql, hand_over, unprivileged};
use crate::process::{Server, free_port, program};

/// The account that asks for verifiers, and its password.
const ASKER: (&str, &str) = ("pgbouncer", "asks-for-verifiers");

/// What makes the server answer PgBouncer's question: only for accounts that may log in. For the
/// others there is no row; a row of nulls would be taken for an error of the configuration.
const LOOKUP: &str = "
    CREATE ROLE pgbouncer LOGIN PASSWORD 'asks-for-verifiers';
    CREATE FUNCTION public.pgbouncer_lookup(who text)
        RETURNS TABLE (uname text, phash text) LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
        AS 'SELECT rolname::text, rolpassword FROM pg_authid
            WHERE rolname = who AND rolcanlogin AND NOT rolsuper';
    REVOKE EXECUTE ON FUNCTION public.pgbouncer_lookup(text) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION public.pgbouncer_lookup(text) TO pgbouncer;";

/// A running PgBouncer.
pub struct Pgbouncer {
    server: Server,
}

impl Pgbouncer {
    /// Starts one that pools transactions of the database `postgres` of `upstream`.
    pub fn start(upstream: &Postgresql) -> Self {
        upstream.sql(LOOKUP);
        let dir = Server::directory("pgbouncer").expect("a directory");
        let port = free_port();
        let users = dir.path().join("users");
        std::fs::write(&users, format!("\"{}\" \"{}\"\n", ASKER.0, ASKER.1)).expect("users");
        let config = format!(
            "[databases]\npostgres = host=127.0.0.1 port={} dbname=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = {}\nauth_user = {}\n\
             auth_query = SELECT uname, phash FROM public.pgbouncer_lookup($1)\n\
             pool_mode = transaction\n",
            upstream.port(),
            users.display(),
            ASKER.0,
        );
        let file = dir.path().join("pgbouncer.ini");
        std::fs::write(&file, config).expect("a configuration");
        hand_over(dir.path());
        let also_in = ["/usr/sbin"];
        let mut command = unprivileged(&program("pgbouncer", &also_in));
        command.current_dir(dir.path()).arg(&file);
        Self {
            server: Server::start(command, dir, port),
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }
}

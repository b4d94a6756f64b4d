//! `dsfuzz-client-postgres`: PostgreSQL, CockroachDB and YugabyteDB. What it carries out, and its settings: docs/sql-client.md.
#![forbid(unsafe_code)]
use dsfuzz_client_postgres::Postgres;
use dsfuzz_client_sql::SqlClient;
use std::process::ExitCode;

fn main() -> ExitCode {
    dsfuzz_client::run::<SqlClient<Postgres>>()
}

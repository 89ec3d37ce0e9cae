/** The program in the documentation runs as it is written; it was compiled beside this one. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { psql, ROOT, until, Vault } from "./support.js";

test("the page runs as one program", async () => {
  await psql("CREATE ROLE keeper LOGIN CREATEROLE PASSWORD 'of-the-root'");
  await psql("GRANT pg_signal_backend, pg_read_all_stats TO keeper");
  const vault = new Vault();
  await vault.start();
  try {
    const program = fileURLToPath(new URL("./page.js", import.meta.url));
    const env = { ...process.env, SCAIVAULT_URL: vault.url, SCAIVAULT_TOKEN: ROOT };
    const { stdout } = await promisify(execFile)(process.execPath, [program], { env, timeout: 60_000 });
    const said = stdout.trim().split("\n");
    assert.equal(said[0], "1 3MVG9");
    assert(!stdout.includes("client_secret"));
    assert(stdout.includes("somebody was here first; it is at version "));
    assert(said.includes("secret.updated app/other 2"));
    const account = said.find((line) => line.startsWith("account v_reader_"))?.split(" ")[1];
    assert(account !== undefined);
    const look = `SELECT count(*) FROM pg_roles WHERE rolname = '${account}'`;
    await until(async () => (await psql(look)) === "0", "the account is gone");
    assert.equal(said.at(-1), "401");
  } finally {
    await vault.stop();
  }
});

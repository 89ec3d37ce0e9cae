// What scripts/oidc-provider runs: provider, server and load in one process and its child.
import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Provider from 'oidc-provider';

const ROTATIONS = Number(process.env.SCAIVAULT_ROTATIONS ?? 10);
const CLIENTS = 4;
const AUDIENCE = 'scaivault';

// The provider keeps the keys it was made with, so a rotation is another provider on the same port
// with a new key before the old one. Kinds of keys take turns.
let made = 0;
let keys = [];
let provider;
let issuer;

function newKey() {
  const kinds = [
    ['rsa', { modulusLength: 2048 }, 'RS256'],
    ['ec', { namedCurve: 'P-256' }, 'ES256'],
    ['ed25519', {}, 'EdDSA'],
  ];
  const [kind, options, alg] = kinds[made % kinds.length];
  const { privateKey } = generateKeyPairSync(kind, options);
  made += 1;
  return { ...privateKey.export({ format: 'jwk' }), kid: `key-${made}`, use: 'sig', alg };
}

function rotate() {
  keys = [newKey(), ...keys].slice(0, 2);
  const alg = keys[0].alg;
  const clients = [];
  for (let number = 0; number < CLIENTS; number += 1) {
    clients.push({
      client_id: `client-${number}`,
      client_secret: `secret-of-client-${number}-in-this-test`,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: alg,
    });
  }
  provider = new Provider(issuer, {
    clients,
    jwks: { keys },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256', 'EdDSA'] },
    scopes: ['secrets:read', 'secrets:list'],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: 'secrets:read secrets:list',
          audience: AUDIENCE,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 300,
          jwt: { sign: { alg } },
        }),
      },
    },
    extraTokenClaims: (_, token) => ({ tenant_id: 'tnt_default', groups: ['robots', token.clientId] }),
  });
}

async function tokenOf(number) {
  const answer = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${btoa(`client-${number}:secret-of-client-${number}-in-this-test`)}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      resource: 'urn:scaivault',
      scope: 'secrets:read',
    }),
  });
  const body = await answer.json();
  if (answer.status !== 200) throw new Error(`the provider gives no token: ${JSON.stringify(body)}`);
  return body.access_token;
}

const home = mkdtempSync(join(tmpdir(), 'scaivault-oidc-'));
const web = createServer((request, response) => provider.callback()(request, response));
await new Promise((listening) => web.listen(0, '127.0.0.1', listening));
issuer = `http://127.0.0.1:${web.address().port}`;
rotate();

const file = join(home, 'issuers.toml');
writeFileSync(
  file,
  `[[issuer]]
name = "provider"
url = "${issuer}"
audiences = ["${AUDIENCE}"]
algorithms = ["RS256", "ES256", "EdDSA"]
claims = { identity = "client_id" }
identity_prefix = "sa:"
refresh_pause = "1s"
[[exchange]]
name = "robots"
issuer = "provider"
subject = "client-*"
identity = "sa:exchanged-{client_id}"
scopes = ["secrets:read"]
`,
);

const server = spawn(
  process.env.SCAIVAULT_BINARY,
  ['dev', '--listen', '127.0.0.1:0', '--root-token', 'skt_root_of_oidc_0123456789'],
  {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      HOME: home,
      TMPDIR: home,
      SCAIVAULT_IDENTITY_ISSUERS_FILE: file,
      SCAIVAULT_RATE_LIMITS_AUTH: '1000000',
    },
  },
);
let log = '';
server.stderr.on('data', (text) => { log += text; });

let failed = false;
try {
  const url = await new Promise((found, failed) => {
    let out = '';
    server.stdout.on('data', (text) => {
      out += text;
      const line = /ScaiVault dev server: (http:\S+)/.exec(out);
      if (line) found(line[1]);
    });
    server.on('exit', () => failed(new Error(`the server does not start:\n${log}`)));
  });

  const served = new Array(CLIENTS).fill(0);
  const algorithms = new Set();
  let done = false;
  const client = async (number) => {
    while (!done) {
      const token = await tokenOf(number);
      algorithms.add(JSON.parse(Buffer.from(token.split('.')[0], 'base64url')).alg);
      const answer = await fetch(`${url}/v1/auth/whoami`, {
        headers: { authorization: `Bearer ${token}` },
      });
      const who = await answer.json();
      if (answer.status !== 200 || who.identity_id !== `sa:client-${number}`) {
        throw new Error(`a valid token was refused: ${answer.status} ${JSON.stringify(who)}\n${log}`);
      }
      if (!who.groups.includes('group:robots') || who.scopes.join() !== 'secrets:read') {
        throw new Error(`its claims were read otherwise: ${JSON.stringify(who)}`);
      }
      const exchanged = await fetch(`${url}/v1/auth/exchange`, {
        method: 'POST',
        body: new URLSearchParams({
          grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
          subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
          subject_token: token,
        }),
      });
      const given = await exchanged.json();
      if (exchanged.status !== 200 || given.identity_id !== `sa:exchanged-client-${number}`) {
        throw new Error(`no exchange: ${exchanged.status} ${JSON.stringify(given)}\n${log}`);
      }
      served[number] += 1;
    }
  };
  const clients = Array.from({ length: CLIENTS }, (_, number) => client(number));
  const load = Promise.all(clients);
  const rotations = (async () => {
    for (let number = 0; number < ROTATIONS; number += 1) {
      // Everybody is served by the key there is before it is replaced.
      const before = [...served];
      while (served.some((count, at) => count < before[at] + 3)) {
        await new Promise((next) => setTimeout(next, 20));
      }
      rotate();
    }
    const before = [...served];
    while (served.some((count, at) => count < before[at] + 3)) {
      await new Promise((next) => setTimeout(next, 20));
    }
    done = true;
  })();
  await Promise.race([load, rotations]);
  await load;
  const total = served.reduce((sum, count) => sum + count, 0);
  console.log(
    `${total} tokens of ${[...algorithms].sort().join(', ')} over ${ROTATIONS} rotations: all taken and exchanged`,
  );
} catch (error) {
  failed = true;
  console.error(String(error?.stack ?? error));
}
server.removeAllListeners('exit');
server.kill('SIGTERM');
await new Promise((gone) => server.once('exit', gone));
web.close();
web.closeAllConnections();
rmSync(home, { recursive: true, force: true });
process.exit(failed ? 1 : 0);

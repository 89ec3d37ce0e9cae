// The calls that tutorials of node-vault make, against the server in VAULT_ADDR with its root token.
'use strict';
const assert = require('node:assert/strict');
const nodeVault = require('node-vault');

const root = nodeVault({ apiVersion: 'v1', endpoint: process.env.VAULT_ADDR, token: process.env.VAULT_TOKEN });
// Who logs in, or makes a token, goes on with what it got: a client of its own for each of these.
const as = (token) => nodeVault({ apiVersion: 'v1', endpoint: process.env.VAULT_ADDR, token });
const refused = (promise, status) =>
  assert.rejects(promise, (error) => {
    assert.equal(error.response?.statusCode, status, error.message);
    return true;
  });

const tests = {
  async health() {
    const health = await root.health();
    assert.deepEqual([health.initialized, health.sealed], [true, false]);
    assert.deepEqual(await root.initialized(), { initialized: true });
    assert.equal((await root.status()).sealed, false);
  },

  async 'sys/mounts'() {
    await root.mount({ mount_point: 'node', type: 'kv', description: 'of node', options: { version: '1' } });
    const mounts = await root.mounts();
    assert.equal(mounts.data['node/'].description, 'of node');
    assert.equal(mounts['secret/'].options.version, '2');
    await root.write('node/a', { value: 'world', lease: '1s' });
    const read = await root.read('node/a');
    assert.equal(read.data.value, 'world');
    assert.deepEqual((await root.list('node')).data.keys, ['a']);
    await refused(root.update('node/a', { value: 'more' }), 405);
    await root.delete('node/a');
    await refused(root.read('node/a'), 404);
    await root.unmount({ mount_point: 'node' });
    await refused(root.remount({ from: 'secret', to: 'other' }), 400);
  },

  async 'kv version 2'() {
    await root.write('secret/data/node/hello', { data: { value: 'world' } });
    const second = await root.write('secret/data/node/hello', { data: { value: 'more' }, options: { cas: 1 } });
    assert.equal(second.data.version, 2);
    await refused(root.write('secret/data/node/hello', { data: {}, options: { cas: 1 } }), 400);
    assert.equal((await root.read('secret/data/node/hello')).data.data.value, 'more');
    assert.equal((await root.read('secret/data/node/hello?version=1')).data.data.value, 'world');
    await root.update('secret/data/node/hello', { data: { patched: 'x' } });
    assert.deepEqual((await root.read('secret/data/node/hello')).data.data, { value: 'more', patched: 'x' });
    await root.write('secret/metadata/node/hello', { custom_metadata: { team: 'x' } });
    assert.deepEqual((await root.list('secret/metadata/node')).data.keys, ['hello']);
    await root.delete('secret/data/node/hello');
    await refused(root.read('secret/data/node/hello'), 404);
    await root.write('secret/undelete/node/hello', { versions: [3] });
    await root.write('secret/destroy/node/hello', { versions: [1] });
    const told = (await root.read('secret/metadata/node/hello')).data;
    assert.deepEqual([told.current_version, told.versions[1].destroyed], [3, true]);
    await root.delete('secret/metadata/node/hello');
    await refused(root.list('secret/metadata/node'), 404);
  },

  async policies() {
    const rules = 'path "secret/data/node/*" { capabilities = ["read"] }';
    await root.addPolicy({ name: 'node', rules });
    assert.ok((await root.policies()).data.keys.includes('node'));
    assert.match((await root.getPolicy({ name: 'node' })).data.rules, /secret\/data\/node\/\*/);
    await root.write('secret/data/node/seen', { data: { a: 'b' } });
    const made = await as(process.env.VAULT_TOKEN).tokenCreate({ policies: ['node'], ttl: '1h', renewable: true });
    const weak = as(made.auth.client_token);
    assert.equal((await weak.read('secret/data/node/seen')).data.data.a, 'b');
    await refused(weak.write('secret/data/node/seen', { data: {} }), 403);
    await refused(weak.read('secret/data/other'), 403);
    await root.removePolicy({ name: 'node' });
    await refused(weak.read('secret/data/node/seen'), 403);
  },

  async tokens() {
    const made = (await as(process.env.VAULT_TOKEN).tokenCreate({ ttl: '1h', policies: ['default'] })).auth;
    assert.ok((await root.tokenAccessors()).data.keys.includes(made.accessor));
    assert.equal((await root.tokenLookup({ token: made.client_token })).data.accessor, made.accessor);
    assert.equal((await root.tokenLookupAccessor({ accessor: made.accessor })).data.id, '');
    const own = as(made.client_token);
    assert.deepEqual((await own.tokenLookupSelf()).data.policies, ['default']);
    assert.ok((await own.tokenRenewSelf({ increment: '10m' })).auth.lease_duration <= 3600);
    await as(process.env.VAULT_TOKEN).tokenRenew({ token: made.client_token, increment: '20m' });
    await root.tokenRevokeAccessor({ accessor: made.accessor });
    await refused(own.tokenLookupSelf(), 403);
    const other = (await as(process.env.VAULT_TOKEN).tokenCreateOrphan({ policies: ['default'] })).auth;
    await as(other.client_token).tokenRevokeSelf();
    await refused(as(other.client_token).tokenLookupSelf(), 403);
  },

  async approle() {
    const mounted = await root.auths();
    if (!mounted['approle/']) throw new Error('it is not listed');
    await root.enableAuth({ mount_point: 'approle', type: 'approle', description: 'Approle auth' });
    await root.write('secret/data/node/role', { data: { a: 'b' } });
    await root.addPolicy({ name: 'of-role', rules: 'path "secret/data/node/*" { capabilities = ["read"] }' });
    await root.addApproleRole({ role_name: 'node-role', policies: 'of-role', token_ttl: 600 });
    assert.equal((await root.getApproleRole({ role_name: 'node-role' })).data.token_ttl, 600);
    const role = await root.getApproleRoleId({ role_name: 'node-role' });
    const secret = await root.getApproleRoleSecret({ role_name: 'node-role' });
    const login = await as(process.env.VAULT_TOKEN).approleLogin({ role_id: role.data.role_id, secret_id: secret.data.secret_id });
    const own = as(login.auth.client_token);
    assert.equal((await own.read('secret/data/node/role')).data.data.a, 'b');
    await refused(as('').approleLogin({ role_id: role.data.role_id, secret_id: 'wrong' }), 400);
    assert.ok((await root.approleSecretAccessors({ role_name: 'node-role' })).data.keys.length >= 1);
    await root.deleteApproleRole({ role_name: 'node-role' });
  },

  async userpass() {
    await root.enableAuth({ mount_point: 'userpass', type: 'userpass' });
    await root.write('auth/userpass/users/ann', { password: 'of-ann-1234', policies: 'default' });
    const login = await as('').userpassLogin({ username: 'ann', password: 'of-ann-1234' });
    assert.equal((await as(login.auth.client_token).tokenLookupSelf()).data.meta.username ?? 'ann', 'ann');
    await refused(as('').userpassLogin({ username: 'ann', password: 'wrong' }), 400);
  },

  async wrapping() {
    const paper = nodeVault({
      endpoint: process.env.VAULT_ADDR,
      token: process.env.VAULT_TOKEN,
      requestOptions: { headers: { 'X-Vault-Wrap-TTL': '1m' } },
    });
    const wrapped = await paper.tokenCreate({ policies: ['default'] });
    const opened = await as(wrapped.wrap_info.token).unwrap({});
    assert.equal(opened.auth.accessor, wrapped.wrap_info.wrapped_accessor);
    await refused(root.unwrap({ token: wrapped.wrap_info.token }), 400);
  },
};

(async () => {
  for (const [name, test] of Object.entries(tests)) {
    try {
      await test();
    } catch (error) {
      error.message = `${name}: ${error.message}`;
      throw error;
    }
  }
  console.log(`${Object.keys(tests).length} passed`);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});

/** Identities, tokens and access policies. */

import { type CallOptions, segment } from "./core.js";
import { Group, type ListOptions, type Pages } from "./group.js";
import { decodeCertificateLogin, decodeExchangedToken, decodeLogin, decodeNewSecretId, decodeNewToken, given } from "./json.js";
import type {
  Binding,
  CertificateLogin,
  ExchangedToken,
  Identity,
  Introspection,
  Login,
  NewSecretId,
  NewToken,
  Policy,
  PolicyDecision,
  PolicyItem,
  RenewedToken,
  Role,
  Rule,
  SecretIdRecord,
  Token,
} from "./types.js";

/** Who a token speaks for. */
export class Auth extends Group {
  /** The identity, tenant and scopes of the client's own token. */
  async whoami(options?: CallOptions): Promise<Identity> {
    return this.get("/v1/auth/whoami", options);
  }

  /** What another token is; one that is not valid is `active: false`. */
  async introspect(token: string, options?: CallOptions): Promise<Introspection> {
    return this.act("POST", "/v1/auth/introspect", "read", { token }, options);
  }

  /** A token for a foreign workload's own, by the operator's rules (RFC 8693). */
  async exchange(
    subjectToken: string,
    how: { scopes?: readonly string[] | undefined; rule?: string | undefined } = {},
    options?: CallOptions,
  ): Promise<ExchangedToken> {
    const body = given({ subjectToken, scope: how.scopes?.join(" "), rule: how.rule });
    const call = { method: "POST", route: "/v1/auth/exchange", body, decode: decodeExchangedToken };
    return this.send({ ...call, repeat: "harmful" }, options);
  }

  /** A token for the client certificate that this client shows. */
  async certificateLogin(options?: CallOptions): Promise<CertificateLogin> {
    const call = { method: "POST", route: "/v1/auth/certificate/login", decode: decodeCertificateLogin };
    return this.send({ ...call, repeat: "harmful", anonymous: true }, options);
  }
}

/** What a role may say; what is not given has the server's default. */
export interface RoleFields {
  /** Made by the server when it is not given. */
  roleId?: string | undefined;
  description?: string | null | undefined;
  groups?: readonly string[] | undefined;
  /** `false`: the role id and an address in `secretIdBoundCidrs` are enough. */
  bindSecretId?: boolean | undefined;
  secretIdTtl?: string | null | undefined;
  secretIdNumUses?: number | null | undefined;
  /** Where logins come from. */
  secretIdBoundCidrs?: readonly string[] | undefined;
  tokenTtl?: string | undefined;
  tokenMaxTtl?: string | null | undefined;
  /** In place of `tokenTtl`: how long a token lives, at first and with each renewal. */
  tokenPeriod?: string | null | undefined;
  tokenNumUses?: number | null | undefined;
  tokenBoundCidrs?: readonly string[] | undefined;
  isActive?: boolean | undefined;
}

/** Machines that log in: roles, their secret ids, and the login. */
export class Machines extends Group {
  /** A token for a role id and a secret id. It needs no token of the client's own. */
  async login(
    how: { roleId: string; secretId?: string | undefined },
    options?: CallOptions,
  ): Promise<Login> {
    const call = { method: "POST", route: "/v1/auth/login", body: given(how), decode: decodeLogin };
    return this.send({ ...call, repeat: "harmful", anonymous: true }, options);
  }

  /** All roles, by name. */
  list(options?: ListOptions): Pages<Role> {
    return this.paged("/v1/auth/roles", "roles", options);
  }

  /** A new role. */
  async create(
    role: RoleFields & {
      name: string;
      identityType: "user" | "service_account" | (string & {});
      identityId: string;
      scopes: readonly string[];
    },
    options?: CallOptions,
  ): Promise<Role> {
    return this.act("POST", "/v1/auth/roles", "harmful", given(role), options);
  }

  /** One role. */
  async read(name: string, options?: CallOptions): Promise<Role> {
    return this.get(roleRoute(name), options);
  }

  /** Changes what is given, from the next login on; `null` takes a limit away. */
  async update(
    name: string,
    changes: RoleFields & {
      identityType?: "user" | "service_account" | (string & {}) | undefined;
      identityId?: string | undefined;
      scopes?: readonly string[] | undefined;
    },
    options?: CallOptions,
  ): Promise<Role> {
    return this.act("PATCH", roleRoute(name), "harmless", given(changes), options);
  }

  /** Removes a role and its secret ids. Tokens that it gave live on. */
  async delete(name: string, options?: CallOptions): Promise<void> {
    return this.remove(roleRoute(name), options);
  }

  /** A new secret id: the only time it is shown. */
  async createSecretId(
    role: string,
    how: {
      /** Texts to know it by. */
      metadata?: Record<string, string> | undefined;
      ttl?: string | undefined;
      /** Logins it serves. */
      numUses?: number | undefined;
      boundCidrs?: readonly string[] | undefined;
      tokenBoundCidrs?: readonly string[] | undefined;
    } = {},
    options?: CallOptions,
  ): Promise<NewSecretId> {
    const call = { method: "POST", route: secretIds(role), body: given(how), decode: decodeNewSecretId };
    return this.send({ ...call, repeat: "harmful" }, options);
  }

  /** The records of a role's secret ids. */
  secretIds(role: string, options?: ListOptions): Pages<SecretIdRecord> {
    return this.paged(secretIds(role), "secret_ids", options);
  }

  /** The record of one secret id. */
  async secretId(role: string, accessor: string, options?: CallOptions): Promise<SecretIdRecord> {
    return this.get(secretIds(role, `/${segment(accessor)}`), options);
  }

  /** The record of a secret id that somebody has. */
  async lookUpSecretId(role: string, secretId: string, options?: CallOptions): Promise<SecretIdRecord> {
    return this.act("POST", secretIds(role, "/lookup"), "read", given({ secretId }), options);
  }

  /** Ends a secret id at once. */
  async revokeSecretId(role: string, accessor: string, options?: CallOptions): Promise<void> {
    return this.remove(secretIds(role, `/${segment(accessor)}`), options);
  }
}

/** The server's own tokens. */
export class Tokens extends Group {
  /** A new token: the only time it is shown. */
  async create(
    token: {
      identityType: "user" | "service_account" | (string & {});
      identityId: string;
      scopes: readonly string[];
      /** `tenant_admin`, `partner_admin`, `super_admin`. */
      roles?: readonly string[] | undefined;
      ttl?: string | undefined;
      description?: string | undefined;
      /** Requests it serves. */
      uses?: number | undefined;
      /** Address ranges it may be used from. */
      allowedAddresses?: readonly string[] | undefined;
      /** It lives on when the token that makes it ends. */
      noParent?: boolean | undefined;
    },
    options?: CallOptions,
  ): Promise<NewToken> {
    const call = { method: "POST", route: "/v1/auth/tokens", body: given(token), decode: decodeNewToken };
    return this.send({ ...call, repeat: "harmful" }, options);
  }

  /** All tokens' records, ended and revoked ones included. */
  list(options?: ListOptions): Pages<Token> {
    return this.paged("/v1/auth/tokens", "tokens", options);
  }

  /** Ends a token at once. */
  async revoke(id: string, options?: CallOptions): Promise<void> {
    return this.remove(`/v1/auth/tokens/${segment(id)}`, options);
  }

  /** Counts the lifetime of the client's own token again from now. */
  async renewSelf(options?: CallOptions): Promise<RenewedToken> {
    return this.act("POST", "/v1/auth/tokens/self/renew", "harmless", undefined, options);
  }
}

/** Access policies and their bindings. */
export class Policies extends Group {
  /** Policies, with counts instead of rules and bindings. */
  list(
    query: ListOptions & { includeInactive?: boolean | undefined; scope?: string | undefined } = {},
  ): Pages<PolicyItem> {
    const { signal, limit, ...filters } = query;
    return this.paged("/v1/policies", "policies", { signal, limit }, filters);
  }

  /** A new policy. */
  async create(
    policy: {
      name: string;
      rules: readonly Rule[];
      description?: string | undefined;
      isActive?: boolean | undefined;
      scope?: string | undefined;
    },
    options?: CallOptions,
  ): Promise<Policy> {
    return this.act("POST", "/v1/policies", "harmful", policyBody(policy), options);
  }

  /** One policy with its rules and bindings. */
  async read(id: string, options?: CallOptions): Promise<Policy> {
    return this.get(route(id), options);
  }

  /** Replaces name, description and rules; the bindings stay. */
  async replace(
    id: string,
    policy: {
      name: string;
      rules: readonly Rule[];
      description?: string | undefined;
      isActive?: boolean | undefined;
    },
    options?: CallOptions,
  ): Promise<Policy> {
    return this.act("PUT", route(id), "harmless", policyBody(policy), options);
  }

  /** Changes what is given. */
  async update(
    id: string,
    changes: {
      name?: string | undefined;
      rules?: readonly Rule[] | undefined;
      description?: string | undefined;
      isActive?: boolean | undefined;
    },
    options?: CallOptions,
  ): Promise<Policy> {
    return this.act("PATCH", route(id), "harmless", policyBody(changes), options);
  }

  /** Deletes a policy; one with bindings only by `force`, which drops them. */
  async delete(id: string, options: CallOptions & { force?: boolean | undefined } = {}): Promise<void> {
    return this.remove(route(id), options, options.force === true ? { force: true } : {});
  }

  /** Whom it reaches. */
  async bindings(id: string, options?: CallOptions): Promise<Binding[]> {
    return this.getList(route(id, "/bindings"), "bindings", options);
  }

  /** Binds it to an identity, until `expiresAt`. */
  async bind(
    id: string,
    binding: {
      identityType: "user" | "service_account" | "group" | (string & {});
      identityId: string;
      expiresAt?: Date | string | undefined;
    },
    options?: CallOptions,
  ): Promise<Binding> {
    return this.act("POST", route(id, "/bindings"), "harmful", given(binding), options);
  }

  /** Takes a binding away. */
  async unbind(id: string, bindingId: string, options?: CallOptions): Promise<void> {
    return this.remove(route(id, `/bindings/${segment(bindingId)}`), options);
  }

  /** What the decision would be; leaves no audit row. */
  async test(
    question: {
      identityId: string;
      path: string;
      permission: string;
      context?:
        | {
            sourceIp?: string | undefined;
            mfaVerified?: boolean | undefined;
            timestamp?: Date | string | undefined;
            groups?: readonly string[] | undefined;
          }
        | undefined;
    },
    options?: CallOptions,
  ): Promise<PolicyDecision> {
    const context = question.context === undefined ? undefined : given(question.context);
    return this.act("POST", "/v1/policies/test", "read", given({ ...question, context }), options);
  }
}

function policyBody(policy: { rules?: readonly Rule[] | undefined }): Record<string, unknown> {
  return given({ ...policy, rules: policy.rules?.map((rule) => given(rule)) });
}

function roleRoute(name: string, suffix = ""): string {
  return `/v1/auth/roles/${segment(name)}${suffix}`;
}

function secretIds(role: string, suffix = ""): string {
  return roleRoute(role, `/secret-ids${suffix}`);
}

function route(id: string, suffix = ""): string {
  return `/v1/policies/${segment(id)}${suffix}`;
}

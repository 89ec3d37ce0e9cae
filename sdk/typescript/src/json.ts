/** From the API's JSON to the types, and back. */

import { inspect } from "node:util";

import { isRecord } from "./errors.js";
import type {
  Batch,
  CertificateLogin,
  Credential,
  ExchangedToken,
  Login,
  NewSecretId,
  NewToken,
  Secret,
  SecretPolicyPreview,
} from "./types.js";

// What users or connectors name themselves is left as it is.
const OPAQUE = new Set([
  "data",
  "metadata",
  "settings",
  "account",
  "extra_data",
  "conditions",
  "calendar",
  "details",
  "checks",
  "errors",
  "by_action",
  "by_identity",
  "config",
  "entropy_bits",
]);
const TIME_KEY = /(^|_)(at|until|since|ends|timestamp)$|^(from|to)$/;
const TIME = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

/** Decodes an answer: camel case, times as `Date`s. Never fails; what is not known is kept. */
export function decode<T>(value: unknown): T {
  return (isRecord(value) ? decodeObject(value) : {}) as T;
}

function decodeObject(value: Record<string, unknown>): Record<string, unknown> {
  const decoded: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) define(decoded, camel(key), decodeField(key, inner));
  return decoded;
}

function decodeField(key: string, value: unknown): unknown {
  if (OPAQUE.has(key)) return value;
  // A rotation policy's rules are settings; an access policy's are objects of the API.
  if (key === "rules" && !Array.isArray(value)) return value;
  if (typeof value === "string" && TIME_KEY.test(key) && TIME.test(value)) {
    const time = new Date(value);
    return Number.isNaN(time.getTime()) ? value : time;
  }
  if (Array.isArray(value)) return value.map((item) => (isRecord(item) ? decodeObject(item) : item));
  return isRecord(value) ? decodeObject(value) : value;
}

function define(object: Record<string, unknown>, key: string, value: unknown): void {
  // Also a key like __proto__ is only a key.
  Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
}

/** A list that is not paged. */
export function decodeList<T>(value: unknown, key?: string): T[] {
  const items = key !== undefined && isRecord(value) ? value[key] : value;
  return Array.isArray(items) ? items.map((item) => decode<T>(item)) : [];
}

/** A secret whose value is neither logged nor copied. */
export function decodeSecret(value: unknown): Secret {
  return hideData(decode<Secret>(value));
}

/** A sample that is neither logged nor copied. */
export function decodePreview(value: unknown): SecretPolicyPreview {
  return hideData(decode<SecretPolicyPreview>(value));
}

function hideData<T extends { readonly data: unknown }>(secret: T): T {
  const data = isRecord(secret.data) ? secret.data : {};
  const count = Object.keys(data).length;
  const shown = `<${count} secret field${count === 1 ? "" : "s"}>`;
  Object.defineProperty(data, inspect.custom, { value: () => shown, enumerable: false });
  return hide(secret, "data", data);
}

/** A new token that is neither logged nor copied. */
export function decodeNewToken(value: unknown): NewToken {
  const token = decode<NewToken>(value);
  return hide(token, "token", token.token);
}

export function decodeExchangedToken(value: unknown): ExchangedToken {
  const token = decode<ExchangedToken>(value);
  return hide(token, "accessToken", token.accessToken);
}

export function decodeNewSecretId(value: unknown): NewSecretId {
  const made = decode<NewSecretId>(value);
  return hide(made, "secretId", made.secretId);
}

export function decodeCertificateLogin(value: unknown): CertificateLogin {
  const login = decode<CertificateLogin>(value);
  return hide(login, "token", login.token);
}

/** A credential that is neither logged nor copied. */
export function decodeCredential(value: unknown): Credential {
  const made = hideData(decode<Credential>(value));
  return hide(made, "password", made.password);
}

export function decodeLogin(value: unknown): Login {
  const login = decode<Login>(value);
  return hide(login, "token", login.token);
}

function hide<T extends object>(object: T, key: keyof T, value: unknown): T {
  return Object.defineProperty(object, key, { value, enumerable: false, writable: false });
}

/** Entries of a batch are keyed by path; the objects here name theirs. */
export function decodeBatch<T>(value: unknown, one: (entry: unknown) => T): Batch<T> {
  const body = isRecord(value) ? value : {};
  const secrets: Record<string, unknown> = {};
  for (const [path, entry] of Object.entries(isRecord(body["secrets"]) ? body["secrets"] : {})) {
    define(secrets, path, one(isRecord(entry) ? { path, ...entry } : { path }));
  }
  const errors = isRecord(body["errors"]) ? body["errors"] : {};
  return { secrets: secrets as Record<string, T>, errors: errors as Batch<T>["errors"] };
}

function camel(key: string): string {
  return key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** A body of the arguments that were given, in the API's names. Values are left as they are. */
export function given(values: object): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(values)) {
    if (value === undefined) continue;
    body[key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)] =
      value instanceof Date ? value.toISOString() : value;
  }
  return body;
}

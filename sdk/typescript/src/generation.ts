/** Secret policies: recipes for values that the server makes. */

import { type CallOptions, segment } from "./core.js";
import { Group, type ListOptions, type Pages } from "./group.js";
import { decodePreview, given } from "./json.js";
import type { RecipeField, SecretPolicy, SecretPolicyPreview } from "./types.js";

const ROUTE = "/v1/secret-policies";

/** What a recipe is made of. */
export interface SecretPolicyFields {
  name: string;
  fields: readonly RecipeField[];
  policyType?: string | undefined;
  description?: string | undefined;
  isActive?: boolean | undefined;
}

/** Recipes for values, by id or by name. */
export class SecretPolicies extends Group {
  /** All recipes. */
  list(query: ListOptions = {}): Pages<SecretPolicy> {
    return this.paged(ROUTE, "secret_policies", query, {});
  }

  /** A new recipe. */
  async create(policy: SecretPolicyFields, options?: CallOptions): Promise<SecretPolicy> {
    return this.act("POST", ROUTE, "harmful", given(policy), options);
  }

  /** One recipe. */
  async read(policy: string, options?: CallOptions): Promise<SecretPolicy> {
    return this.get(policyRoute(policy), options);
  }

  /** Replaces all of it. */
  async replace(policy: string, by: SecretPolicyFields, options?: CallOptions): Promise<SecretPolicy> {
    return this.act("PUT", policyRoute(policy), "harmless", given(by), options);
  }

  /** Changes what is given. */
  async update(
    policy: string,
    changes: Partial<SecretPolicyFields>,
    options?: CallOptions,
  ): Promise<SecretPolicy> {
    return this.act("PATCH", policyRoute(policy), "harmless", given(changes), options);
  }

  /** Deletes it; with `force` also while something refers to it. */
  async delete(policy: string, options: CallOptions & { force?: boolean | undefined } = {}): Promise<void> {
    return this.remove(policyRoute(policy), options, options.force === true ? { force: true } : {});
  }

  /** A sample of what it makes. Not for use: it is kept nowhere, and was shown. */
  async preview(policy: string, options?: CallOptions): Promise<SecretPolicyPreview> {
    return this.sample(policyRoute(policy, "/preview"), undefined, options);
  }

  /** The same for a recipe that is not stored. */
  async previewOf(fields: readonly RecipeField[], options?: CallOptions): Promise<SecretPolicyPreview> {
    return this.sample(`${ROUTE}/preview`, given({ fields }), options);
  }

  private async sample(
    route: string,
    body: Record<string, unknown> | undefined,
    options?: CallOptions,
  ): Promise<SecretPolicyPreview> {
    const call = { method: "POST", route, decode: decodePreview, body };
    return this.send({ ...call, repeat: "harmless" }, options);
  }
}

function policyRoute(policy: string, rest = ""): string {
  return `${ROUTE}/${segment(policy)}${rest}`;
}

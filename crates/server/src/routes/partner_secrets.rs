//! `/v1/partner/secrets…`: the operations of `/v1/secrets…` that a partner's secrets have. The
//! prefix is taken off at the entrance; what is left is answered there.

use scaivault_api::secret::{
    DeletedSecret, PatchMetadata, PutSecret, Secret, SecretList, SecretValue, VersionList,
};

use crate::openapi::Operation;

const TAG: &str = "Partner secrets";
const ALL: &str = "/v1/partner/secrets";
const ONE: &str = "/v1/partner/secrets/{path}";

pub(super) fn operations() -> Vec<Operation> {
    let reads = ["invalid_path", "access_denied", "secret_not_found"];
    let writes = [
        "invalid_path",
        "validation_error",
        "access_denied",
        "forbidden",
        "secret_not_found",
    ];
    vec![
        Operation::get(
            ALL,
            "listPartnerSecrets",
            TAG,
            "The partner's secrets that the caller may list",
        )
        .scope("secrets:list")
        .query("prefix", "string", "Text prefix of the path")
        .query(
            "tag",
            "string",
            "Only with this tag; several times: with all of them",
        )
        .paged()
        .answers::<SecretList>(200)
        .fails(&["invalid_path", "invalid_cursor"]),
        Operation::get(
            ONE,
            "readPartnerSecret",
            TAG,
            "Read a value that belongs to the partner",
        )
        .scope("secrets:read")
        .query("version", "integer", "Version number")
        .answers::<SecretValue>(200)
        .fails(&reads)
        .fails(&["version_not_found", "secret_expired"]),
        Operation::put(
            ONE,
            "writePartnerSecret",
            TAG,
            "Write one more version; partner admins",
        )
        .scope("secrets:write")
        .takes::<PutSecret>()
        .answers::<Secret>(200)
        .answers::<Secret>(201)
        .fails(&writes)
        .fails(&[
            "invalid_secret_type",
            "invalid_duration",
            "secret_exists",
            "version_conflict",
            "rotation_policy_not_found",
            "secret_policy_not_found",
        ]),
        Operation::delete(ONE, "deletePartnerSecret", TAG, "Delete; partner admins")
            .scope("secrets:delete")
            .query("permanent", "boolean", "Delete for good")
            .answers::<DeletedSecret>(200)
            .fails(&writes),
        Operation::get(
            "/v1/partner/secrets/{path}/versions",
            "listPartnerSecretVersions",
            TAG,
            "Versions, newest first, without values",
        )
        .scope("secrets:list")
        .answers::<VersionList>(200)
        .fails(&reads),
        Operation::get(
            "/v1/partner/secrets/{path}/metadata",
            "readPartnerSecretMetadata",
            TAG,
            "Everything but the value",
        )
        .scope("secrets:list")
        .answers::<Secret>(200)
        .fails(&reads),
        Operation::patch(
            "/v1/partner/secrets/{path}/metadata",
            "updatePartnerSecretMetadata",
            TAG,
            "Change metadata without a new version; partner admins",
        )
        .scope("secrets:write")
        .takes::<PatchMetadata>()
        .answers::<Secret>(200)
        .fails(&writes)
        .fails(&["secret_policy_not_found"]),
        Operation::post(
            "/v1/partner/secrets/{path}/undelete",
            "undeletePartnerSecret",
            TAG,
            "Bring a deleted secret back; partner admins",
        )
        .scope("secrets:delete")
        .answers::<Secret>(200)
        .fails(&writes),
    ]
}

"""Every way to log in to a real Vault, and credentials that Vault makes for one pod."""

from __future__ import annotations

from tests.e2e.scenarios import pods
from tests.e2e.scenarios.system import store
from tests.e2e.testbed.vault import AUDIENCE


def test_every_login_method_reads_and_dynamic_credentials_share_one_lease(
    system, tenant, vault, postgres, inside
):
    """jwt, AppRole, tokens plain and wrapped deliver; a user and its password belong together."""
    namespace = tenant.namespace
    tenant.put_vault("db", password="pass word")
    path = postgres.offer(vault, namespace)
    vault.policy(f"{namespace}-all", f"secret/data/{namespace}/*", path)
    vault.jwt_role(namespace, f"{namespace}-all", namespace=namespace)
    role_id, secret_id = vault.approle(namespace, f"{namespace}-all")
    plain, wrapped = (token(vault, f"{namespace}-all", wrap=wrap) for wrap in ("", "600s"))
    given = {"secret-id": secret_id, "token": plain, "wrapped": wrapped}
    tenant.put_secret("logins", given)
    logins = {
        "jwt": {"jwt": {"role": namespace}},
        "approle": {"appRole": {"roleId": role_id, "secretId": secret("secret-id")}},
        "token": {"token": {"token": secret("token")}},
        "wrapped": {"token": {"token": secret("wrapped"), "wrapped": True}},
    }
    names = {login: f"{namespace}-{login}" for login in logins}
    connection = {"address": vault.address, "caBundle": vault.ca_pem}
    system.define(
        *[
            store(names[login], {"vault": {**connection, "auth": auth}, "audience": AUDIENCE})
            for login, auth in logins.items()
        ]
    )
    env = {
        login.upper(): f"#{{{name}:secret/{namespace}/db#password}}"
        for login, name in names.items()
    }
    env["DYNAMIC"] = f"#{{{names['jwt']}:{path}#username}} #{{{names['jwt']}:{path}#password}}"

    tenant.apply(pods.pod("logins", pods.app(), annotations=pods.asking(env=env)))
    found = inside("logins").environ("app")

    user, _, password = found[b"DYNAMIC"].decode().partition(" ")
    assert {login: found[login.upper().encode()] for login in logins} == dict.fromkeys(
        logins, b"pass word"
    )
    assert postgres.query("SELECT current_user", user=user, password=password) == user
    used = [each for each in given.values() if each.encode() in b"".join(found.values())]
    assert used == []


def secret(key):
    """Return the reference to a key of the tenant's Secret."""
    return {"secretRef": {"name": "logins", "key": key}}


def token(vault, policy, *, wrap):
    """Return a token with the policy, wrapped for so long if asked."""
    body = {"policies": [policy], "no_parent": True}
    answer = vault.request("POST", "auth/token/create", body, wrap=wrap)
    return answer["wrap_info"]["token"] if wrap else answer["auth"]["client_token"]

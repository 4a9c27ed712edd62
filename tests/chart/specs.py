"""Right specs of our kinds: together they use every field and every member of every union.

The chart's schemas and the code's parsers must both accept each of them, and know no field that is
not here; the end-to-end tests hand them to a real API server.
"""

from tests import authorities

_SECRET = {"secretRef": {"name": "credentials", "key": "value"}}
_CONFIG_MAP = {"configMapRef": {"name": "encrypted", "key": "secrets.age"}}
_POOLS = "projects/123/locations/global/workloadIdentityPools"
_UUID = "01234567-89ab-cdef-0123-456789abcdef"
_CA_BUNDLE = authorities.FIRST
_COMMON = {
    "allowedNamespaces": ["shop", "team-*"],
    "audience": "https://vault.example.org",
    "timeout": "500ms",
    "retry": {"attempts": 3, "base": "100ms", "cap": "1m"},
}
_VAULT = {
    "address": "https://vault.example.org:8200/base",
    "namespace": "platform/shop",
    "caBundle": _CA_BUNDLE,
    "tlsServerName": "vault.internal",
    "systemPaths": ["identity/oidc/token/app", "sys/health"],
    "fallbacks": [
        {
            "address": "https://vault-2.example.org:8200",
            "caBundle": _CA_BUNDLE,
            "tlsServerName": "vault-2.internal",
        },
        {"address": "https://vault-3.example.org:8200"},
    ],
}
_AWS = {
    "region": "eu-central-1",
    "endpoint": "https://vpce.example.org",
    "stsEndpoint": "https://sts.example.org",
    "fallbacks": [
        {
            "region": "eu-west-1",
            "endpoint": "https://vpce-1.example.org",
            "stsEndpoint": "https://sts-1.example.org",
        }
    ],
    "fips": False,
    "caBundle": _CA_BUNDLE,
    "roleArn": "arn:aws:iam::123456789012:role/shared",
    "externalId": "shop-7",
}
_SELECTOR = {
    "matchLabels": {"stage": "prod"},
    "matchExpressions": [
        {"key": "team", "operator": "In", "values": ["shop", "billing"]},
        {"key": "legacy", "operator": "DoesNotExist"},
    ],
}

STORES = (
    {
        **_COMMON,
        "vault": {**_VAULT, "auth": {"kubernetes": {"mountPath": "k8s/prod", "role": "app"}}},
    },
    {"vault": {**_VAULT, "auth": {"jwt": {"mountPath": "jwt", "role": "{namespace}-app"}}}},
    {
        "vault": {
            "address": "http://127.0.0.1:8200",
            "auth": {"appRole": {"mountPath": "approle", "roleId": "r-1", "secretId": _SECRET}},
        }
    },
    {
        "vault": {
            "address": "https://[2001:db8::1]",
            "auth": {"token": {"token": _SECRET, "wrapped": True}},
        }
    },
    *(
        {kind: {**_AWS, "auth": auth}}
        for kind in ("awsSecretsManager", "awsParameterStore")
        for auth in (
            {"webIdentity": {"roleArn": "arn:aws:iam::123456789012:role/{namespace}-app"}},
            {"podIdentity": {}},
            {
                "keys": {
                    "accessKeyId": _SECRET,
                    "secretAccessKey": _SECRET,
                    "sessionToken": _SECRET,
                }
            },
            {"keys": {"accessKeyId": _CONFIG_MAP, "secretAccessKey": _SECRET}},
        )
    ),
    {"awsSecretsManager": {"region": "us-gov-west-1", "fips": True, "auth": {"podIdentity": {}}}},
    {
        "azureKeyVault": {
            "address": "https://shop.vault.azure.cn",
            "fallbacks": [{"address": "https://shop-2.vault.azure.cn"}],
            "vaultSuffix": "vault.azure.cn",
            "authorityHost": "https://login.chinacloudapi.cn",
            "tenantId": "example.org",
            "caBundle": _CA_BUNDLE,
            "allowExpired": True,
            "auth": {"workloadIdentity": {"clientId": _UUID}},
        }
    },
    {
        "azureKeyVault": {
            "address": "https://shop.vault.azure.net",
            "tenantId": _UUID,
            "auth": {"clientSecret": {"clientId": _UUID, "secret": _SECRET}},
        }
    },
    {
        "gcpSecretManager": {
            "project": "shop-prod",
            "location": "europe-west3",
            "fallbacks": [
                {"location": "europe-west4", "endpoint": "https://west4.example.org"},
                {"location": "europe-west1"},
            ],
            "caBundle": _CA_BUNDLE,
            "endpoints": {
                "secretManager": "https://secretmanager.example.org",
                "sts": "https://sts.example.org",
                "iamCredentials": "https://iam.example.org",
            },
            "auth": {
                "workloadIdentity": {
                    "provider": f"{_POOLS}/pool/providers/kube",
                    "serviceAccount": "app@shop-prod.iam.gserviceaccount.com",
                }
            },
        }
    },
    {
        "gcpSecretManager": {
            "auth": {
                "workloadIdentity": {
                    "provider": "identitynamespace:shop-prod.svc.id.goog:https://gke.example.org/x"
                }
            }
        }
    },
    {"gcpSecretManager": {"auth": {"serviceAccountKey": {"key": _SECRET}}}},
    {"local": {"file": _CONFIG_MAP, "identity": _SECRET}},
    {"local": {"file": _SECRET, "identity": _SECRET}},
    {"local": {"file": {"imagePath": "/secrets/shop.age"}, "identity": _SECRET}},
    {"sops": {"file": {"imagePath": "/secrets/shop.yaml"}, "identity": _SECRET}},
    {"sops": {"file": _CONFIG_MAP, "format": "yaml", "identity": _SECRET}},
    {"sops": {"file": _SECRET, "format": "json", "identity": _SECRET}},
    *(
        {"sops": {"file": _CONFIG_MAP, "format": "yaml", "kms": {**_AWS, "auth": auth}}}
        for auth in (
            {"webIdentity": {"roleArn": "arn:aws:iam::123456789012:role/{namespace}-app"}},
            {"podIdentity": {}},
            {
                "keys": {
                    "accessKeyId": _SECRET,
                    "secretAccessKey": _SECRET,
                    "sessionToken": _SECRET,
                }
            },
            {"keys": {"accessKeyId": _CONFIG_MAP, "secretAccessKey": _SECRET}},
        )
    ),
    {"k8s": {}},
)

SERVICES = (
    {
        "env": {
            "__import_svc": "$base",
            "DATABASE_URL": "postgres://#{$/USER}:#{vault:prod/db#pw | urlencode}@#{$/HOST}/app",
            "API_KEY": {
                "value": "#{$other.shop/API_KEY}",
                "required": False,
                "default": "",
                "matches": "^[a-z]+$",
                "notAfter": "2027-01-01",
            },
        },
        "files": {
            "tls.key": {"value": "#{vault:pki/app#key}", "mode": "0400", "path": "tls/key.pem"},
            "motd": "hello",
        },
        "from": [
            {"from": "vault:secret/shop@3", "keys": ["*"], "prefix": "DB_", "strict": True},
            {
                "from": "k8s:mail",
                "keys": ["user", "SMTP_*"],
                "rename": {"user": "SMTP_USER"},
                "required": False,
            },
        ],
        "presets": [
            {
                "type": "postgres",
                "source": "vault:database/creds/app",
                "prefix": "MAIN_",
                "host": "@db:5432",
                "database": "app",
                "userField": "user",
                "passwordField": "pass",
            },
            {"type": "registry", "source": "k8s:regcred", "url": "https://registry.example.org"},
        ],
        "exports": [{"to": {"namespaces": ["billing"], "services": ["*"]}, "keys": ["API_*"]}],
    },
    {"env": {"__import_svc": ["$base", {"from": "$other.shop", "keys": ["API_KEY"]}]}},
    {},
)

ENVIRONMENTS = (
    {"namespaceSelector": _SELECTOR, "env": {"DB_HOST": "db.example.org"}},
    {"namespaceSelector": {}, "env": {"DB_USER": {"value": "#{vault:prod/db#user}"}}},
)

POLICIES = (
    {
        "match": {
            "namespaceSelector": _SELECTOR,
            "podSelector": _SELECTOR,
            "serviceAccounts": ["app-*"],
        },
        "action": "Warn",
        "rules": {
            "stores": {"allow": ["vault-*"], "deny": ["vault-old"]},
            "paths": [{"store": "vault-*", "allow": ["kv/{namespace}/*", "shared/**"]}],
            "keys": {"deny": ["AWS_*"]},
            "env": "forbidden",
            "modes": ["launcher", "init"],
            "imports": {"from": ["platform", "shop/base-*"]},
            "versions": "pinned",
            "maxDeadline": "10m",
            "maxRefresh": "1h",
        },
        "defaults": {"env-mode": "launcher"},
        "final": ["DATABASE_URL", "env-mode"],
    },
    {"rules": {"env": "allowed", "versions": "any"}},
)

BY_KIND = {
    "ClusterInjectionPolicy": POLICIES,
    "ClusterSecretStore": STORES,
    "EnvironmentSecrets": ENVIRONMENTS,
    "ServiceSecrets": SERVICES,
}

"""Moto behind a gate: the part of AWS that moto leaves out, which is who may come in.

Moto answers like Secrets Manager, Parameter Store, KMS, IAM and STS, and lets everybody do
everything. The gate adds what AWS documents: a request must be signed with a key that was given out
(by STS, or known from the start), and signed right; keys expire; an identity may be denied actions.
Error bodies are those of the API references: JSON 1.1 for the stores, XML for IAM and STS.
"""

import json
import re
import threading
from urllib.parse import parse_qs

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from moto.moto_api._internal import moto_api_backend
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>[^,]+),"
    r" SignedHeaders=(?P<signed>[^,]+), Signature=(?P<signature>[0-9a-f]{64})"
)
_GIVEN = re.compile(
    r"<AccessKeyId>(?P<key>[^<]+)</AccessKeyId>\s*"
    r"<SecretAccessKey>(?P<secret>[^<]+)</SecretAccessKey>\s*"
    r"<SessionToken>(?P<token>[^<]+)</SessionToken>"
)


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log(self, *_):
        pass


class Aws:
    """A server on 127.0.0.1: `keys` maps what may sign to its secret, `web_tokens` who may log in.

    `refusals` maps an action to the error code it is answered with; `actions` is what was asked.
    """

    def __init__(self):
        moto_api_backend.reset()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self.keys, self.dead_keys = {"AKIASETUP": "setup"}, set()
        self.web_tokens, self.refusals, self.roles = set(), {}, {}
        self.actions, self.asked = [], []
        self._server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet
        )
        self.server_address = self._server.server_address
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def client(self, service, region="eu-central-1"):
        """Return boto3's client of a service, for a test to set up what it needs."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id="AKIASETUP",
            aws_secret_access_key="setup",
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )

    def expire_keys(self):
        """Let every key that STS gave expire."""
        self.dead_keys |= {key for key in self.keys if key.startswith("ASIA")}

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ, start):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = _Body(body)
        if environ.get("HTTP_X_AMZ_TARGET") is None and body.startswith(b"Action="):
            return self._query(environ, start, parse_qs(body.decode()))
        key, refusal = self._refusal(environ, body)
        action = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")[2]
        if key != "AKIASETUP":
            self.actions.append(action)
            self.asked.append((action, json.loads(body)))
            refusal = refusal or self.refusals.get(action)
        if callable(refusal):
            refusal = refusal(json.loads(body))
        if refusal is not None:
            return _json_error(start, *refusal)
        return self._moto(environ, start)

    def _query(self, environ, start, query):
        action = query["Action"][0]
        self.actions.append(action)
        self.asked.append((action, {name: values[0] for name, values in query.items()}))
        refusal = self.refusals.get(action)
        if action == "AssumeRoleWithWebIdentity":
            if query["WebIdentityToken"][0] not in self.web_tokens:
                refusal = refusal or (403, "AccessDenied", "Not authorized to perform")
        else:
            environ_body = environ["wsgi.input"].data
            refusal = self._refusal(environ, environ_body)[1] or refusal
        if refusal is not None:
            return _xml_error(start, *refusal)
        answer = b"".join(self._moto(environ, start))
        if found := _GIVEN.search(answer.decode()):
            self.keys[found["key"]] = found["secret"]
            self.roles[found["key"]] = query["RoleArn"][0]
        return [answer]

    def _refusal(self, environ, body):
        """Return the key and why the request is not to be trusted, or None."""
        found = _AUTHORIZATION.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
        if found is None:
            return None, (403, "MissingAuthenticationTokenException", "Missing token")
        key = found["key"]
        if key in self.dead_keys:
            return key, (400, "ExpiredTokenException", "The security token is expired")
        if key not in self.keys:
            return key, (400, "UnrecognizedClientException", "The security token is invalid")
        if self._signature(environ, body, found) != found["signature"]:
            return key, (400, "InvalidSignatureException", "The signature does not match CANARY")
        return key, None

    def _signature(self, environ, body, found):
        """Compute the signature with botocore's signer, over the headers named as signed."""
        headers = {}
        for name in found["signed"].split(";"):
            of_wsgi = name.upper().replace("-", "_")  # PEP 3333 has two without HTTP_ before them
            is_plain = of_wsgi in ("CONTENT_LENGTH", "CONTENT_TYPE")
            headers[name] = environ[of_wsgi if is_plain else f"HTTP_{of_wsgi}"]
        _, region, service, _ = found["scope"].split("/")
        request = AWSRequest("POST", f"http://{headers['host']}/", headers=headers, data=body)
        request.context["timestamp"] = headers["x-amz-date"]
        signer = SigV4Auth(Credentials(found["key"], self.keys[found["key"]]), service, region)
        canonical = signer.canonical_request(request)
        return signer.signature(signer.string_to_sign(request, canonical), request)


class _Body:
    def __init__(self, data):
        self.data, self._at = data, 0

    def read(self, size=-1):
        end = len(self.data) if size is None or size < 0 else self._at + size
        piece, self._at = self.data[self._at : end], min(end, len(self.data))
        return piece

    def readline(self, size=-1):
        return self.read(size)


def _json_error(start, status, code, message):
    body = json.dumps({"__type": code, "message": message}).encode()
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))]
    start(f"{status} X", headers)
    return [body]


def _xml_error(start, status, code, message):
    body = (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>{message}</Message></Error>"
        "<RequestId>0</RequestId></ErrorResponse>"
    ).encode()
    start(f"{status} X", [("Content-Type", "text/xml"), ("Content-Length", str(len(body)))])
    return [body]

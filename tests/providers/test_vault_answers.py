"""What each bad state of a real Vault reads as: recorded answers in, our words out."""

import pytest

from injector.core import errors
from injector.providers.vault import answers
from tests.providers.recorded import answer, recordings
from tests.providers.rigs import VaultRig

RECORDED = recordings("vault") | recordings("vault-published")
WORDS = {
    "mount": "kubernetes",
    "role": "shop",
    "account": "default",
    "namespace": "web",
    "audience": "vault",
}
DENIED = (
    'nothing is mounted at auth/kubernetes, or the role "shop" does not bind ServiceAccount default'
    " of namespace web, or Vault could not have the token reviewed"
)
NO_ENTRY = (
    'nothing is mounted at auth/kubernetes, or the role "shop" does not let ServiceAccount default'
    " of namespace web in"
)
NOT_CONFIGURED = "the auth method at auth/kubernetes is not configured"
NO_ROLE = 'there is no role "shop" at auth/kubernetes'
ISSUER = "the auth method at auth/kubernetes wants another issuer than the token has"
AUDIENCE = "the token is for another audience than the role wants"
SIGNATURE = "the keys of the auth method at auth/kubernetes did not sign the token"
CLAIMS = (
    'bound_claims of role "shop" do not match the token of ServiceAccount default of namespace web'
)
LOGINS = {
    "kubernetes: no such mount": DENIED,
    "kubernetes: review says no": DENIED,
    "kubernetes: reviewer may not review": DENIED,
    "kubernetes: reviewer not known": DENIED,
    "kubernetes: reviewer not reached": DENIED,
    "kubernetes: no jwt": DENIED,
    "kubernetes: not configured": NOT_CONFIGURED,
    "kubernetes: no such role": NO_ROLE,
    "kubernetes: service account not bound": (
        'the role "shop" does not list ServiceAccount default of namespace web'
    ),
    "kubernetes: namespace not bound": 'the role "shop" does not list namespace web',
    "kubernetes: audience": AUDIENCE,
    "kubernetes: issuer": ISSUER,
    "kubernetes: issuer, before 1.9": ISSUER,
    "kubernetes: expired": "the token has expired; are both clocks right?",
    "kubernetes: not yet valid": "the token is not valid yet; are both clocks right?",
    "jwt: not configured": NOT_CONFIGURED,
    "jwt: no such role": NO_ROLE,
    "jwt: role without audiences": (
        'the role "shop" has no bound_audiences, and the token has an audience'
    ),
    "jwt: audience": AUDIENCE,
    "jwt: claim does not match": CLAIMS,
    "jwt: claim missing": CLAIMS,
    "jwt: subject": 'bound_subject of role "shop" is not ServiceAccount default of namespace web',
    "jwt: user claim missing": 'the token has no claim that user_claim of role "shop" names',
    "jwt: issuer": ISSUER,
    "jwt: expired": "the token has expired; are both clocks right?",
    "jwt: not yet valid": "the token is not valid yet; are both clocks right?",
    "jwt: signature": SIGNATURE,
    "jwt: no jwt": SIGNATURE,
    "approle: secret id used up": "role id or secret id is wrong, used up or expired",
    "approle: wrong secret id": "role id or secret id is wrong, used up or expired",
    "approle: wrong role id": "role id or secret id is wrong, used up or expired",
    "token: unwrapped twice": "the wrapping token was used before, or has expired",
}
CLOSED = "no policy lets us read this path"
DEAD = "the token has expired or was revoked"
NO_MOUNT = "no policy lets us into this mount, or there is no such mount"
READS = {
    "token: dead": (errors.EXPIRED, DEAD),
    "token: dead, at the mounts": (errors.EXPIRED, DEAD),
    "token: dead, at all mounts": (errors.EXPIRED, DEAD),
    "token: dead, revoked again": (errors.EXPIRED, DEAD),
    "token: no token of Vault": (errors.EXPIRED, DEAD),
    "token: none": (errors.FORBIDDEN, CLOSED),
    "token: alive, at itself": (errors.FORBIDDEN, CLOSED),
    "mount: none there": (errors.FORBIDDEN, NO_MOUNT),
    "mount: no policy": (errors.FORBIDDEN, NO_MOUNT),
    "kv 2: no such secret": (errors.MISSING, "no such secret"),
    "kv 2: no such version": (errors.MISSING, "no such secret"),
    "kv 2: deleted": (errors.MISSING, "version 2 was deleted"),
    "kv 2: destroyed": (errors.MISSING, "version 1 was destroyed"),
    "kv 2: policy lacks the path": (errors.FORBIDDEN, CLOSED),
    "kv 2: data/ in the reference": (errors.FORBIDDEN, CLOSED),
    "kv 2: policy without data/": (errors.FORBIDDEN, CLOSED),
    "kv 1: no such secret": (errors.MISSING, "no such secret"),
    "kv 1: policy lacks the path": (errors.FORBIDDEN, CLOSED),
    "database: no such role": (errors.MISSING, "the engine has no such role"),
    "transit: cannot be read": (errors.CONTENT, "this path cannot be read"),
    "pki: no such path": (errors.CONTENT, "this path cannot be read"),
    "root: no such mount": (errors.MISSING, "nothing is mounted at this path"),
    "server: rate limit": (errors.THROTTLED, "a rate limit is exceeded"),
    "server: not initialized": (errors.DOWN, "it is sealed"),
    "server: sealed": (errors.DOWN, "it is sealed"),
}


@pytest.mark.parametrize("state", LOGINS)
def test_a_refused_login_says_which_setting_refuses_it(state):
    """The failure is final, names what is to be changed, and says how to look at it."""
    method = state.partition(":")[0]

    failure = answers.login_judge(method, WORDS)(answer(RECORDED[state]))

    wanted = NO_ENTRY if method == "jwt" and LOGINS[state] == DENIED else LOGINS[state]
    assert (failure.code, failure.what) == (errors.UNAUTHENTICATED, f"login refused: {wanted}")
    assert failure.hint
    assert not failure.is_passing
    assert "{" not in failure.what + failure.hint


def test_a_login_that_is_only_denied_names_three_causes():
    """Vault says no more; its debug log does."""
    judge = answers.login_judge("kubernetes", WORDS)

    failure = judge(answer(RECORDED["kubernetes: reviewer may not review"]))

    assert failure.what == f"login refused: {DENIED}"
    assert failure.hint == (
        "vault auth list shows the mounts: compare mountPath and namespace of the store;"
        " vault read auth/kubernetes/role/shop shows whom the role lets in; a review needs"
        " kubernetes_host, system:auth-delegator for the reviewer, and an API server that takes"
        ' audience "vault"; Vault\'s debug log tells which it is'
    )


def test_a_jwt_login_that_is_only_denied_names_no_review():
    """Nobody reviews a token that is checked by keys."""
    failure = answers.login_judge("jwt", WORDS)(answer(RECORDED["kubernetes: no such mount"]))

    assert failure.what == f"login refused: {NO_ENTRY}"
    assert "review" not in failure.hint


def test_a_mount_path_written_as_in_the_command_line_gets_the_one_to_write():
    """`vault auth list` and other tools write auth/kubernetes; the field wants kubernetes."""
    judge = answers.login_judge("kubernetes", {**WORDS, "mount": "auth/kubernetes"})

    failure = judge(answer(RECORDED["kubernetes: no such mount"]))

    assert failure.hint == "mountPath is written without auth/: kubernetes"


@pytest.mark.parametrize("state", ["server: sealed", "server: rate limit"])
def test_a_login_that_meets_a_server_in_trouble_may_be_tried_again(state):
    """Who we are has nothing to do with it."""
    assert answers.login_judge("kubernetes", WORDS)(answer(RECORDED[state])).is_passing


@pytest.mark.parametrize("state", READS)
def test_a_refused_read_says_what_the_server_means(state):
    """By status, and by the phrases that real servers use."""
    failure = answers.judge(answer(RECORDED[state]))

    assert (failure.code, failure.what) == READS[state]


def test_every_refusal_that_was_recorded_has_its_words_here():
    """A new recording needs a claim; what a writer meets is tested with the writer."""
    refused = {name for name, found in RECORDED.items() if found["status"] >= 400}

    others = {"kv 2: changed meanwhile", "token: batch, revoked", "root: mount none there"}
    assert refused - others == {*LOGINS, *READS}


def test_a_method_that_is_not_configured_is_no_outage(tmp_path):
    """It answers with 500 for ever; nothing is tried again."""
    rig = VaultRig(tmp_path)
    rig.vault.login_state = "kubernetes: not configured"
    try:
        (found,) = rig.read("a")
    finally:
        rig.close()

    assert found.code is errors.UNAUTHENTICATED
    assert found.what == "login refused: the auth method at auth/kubernetes is not configured"
    assert rig.waits == []

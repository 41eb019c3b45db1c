"""digest.py and challenges.py: what a server challenges is read, and answered as RFC 7616 has it."""

from __future__ import annotations

import re
import time

import pytest

from crawler.fetch.auth.challenges import Challenge, parse_challenges
from crawler.fetch.auth.digest import Digest, best_digest

# RFC 7616 section 3.9.1.
REALM = {
    "realm": "http-auth@example.org",
    "qop": "auth, auth-int",
    "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "opaque": "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
}
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


def answered(parameters: dict[str, str], *, user: str = "Mufasa", password: str = "Circle of Life") -> dict[str, str]:
    answer = Digest(parameters, cnonce=lambda: CNONCE).answer("GET", "/dir/index.html", user, password)
    (challenge,) = parse_challenges([answer])
    assert challenge.scheme == "digest"
    return challenge.parameters


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_the_standard(algorithm: str, response: str) -> None:
    """RFC 7616 section 3.9.1."""
    answer = answered({**REALM, "algorithm": algorithm})
    assert answer["response"] == response
    assert (answer["nc"], answer["qop"], answer["uri"], answer["username"]) == (
        "00000001", "auth", "/dir/index.html", "Mufasa",
    )  # fmt: skip
    assert (answer["algorithm"], answer["opaque"]) == (algorithm, REALM["opaque"])


def test_an_old_server() -> None:
    """Without a qop the answer is that of RFC 2069 (its section 2.4, with the digest that its errata name)."""
    digest = Digest(
        {
            "realm": "testrealm@host.com",
            "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            "opaque": "5ccc069c403ebaf9f0171e9517f40e41",
        }
    )
    answer = digest.answer("GET", "/dir/index.html", "Mufasa", "CircleOfLife")
    assert 'response="1949323746fe6a43ef61f9606e7febea"' in answer
    assert not re.search("qop|nc=|algorithm", answer)


def test_a_hidden_user() -> None:
    """RFC 7616 section 3.9.2: with userhash the name is not sent, and a name may have any characters."""
    parameters = {
        "realm": "api@example.org",
        "qop": "auth",
        "algorithm": "SHA-512-256",
        "nonce": "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        "opaque": "HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS",
        "charset": "UTF-8",
    }
    answer = answered({**parameters, "userhash": "true"}, user="Jäsøn Doe", password="Secret, or not?")
    assert len(answer["username"]) == 64
    assert answer["userhash"] == "true"
    plain = answered(parameters, user="Jäsøn Doe", password="Secret, or not?")
    assert plain["username*"] == "UTF-8''J%C3%A4s%C3%B8n%20Doe"
    assert "username" not in plain
    assert plain["response"] == answer["response"]


def test_a_nonce_is_used_again_and_counted() -> None:
    digest = Digest({**REALM, "algorithm": "MD5-sess"})
    answers = [parse_challenges([digest.answer("GET", f"/{number}", "a", "b")])[0].parameters for number in range(3)]
    assert [answer["nc"] for answer in answers] == ["00000001", "00000002", "00000003"]
    assert len({answer["cnonce"] for answer in answers}) == 1  # a session has one secret
    assert len({answer["response"] for answer in answers}) == 3


@pytest.mark.parametrize(
    "parameters",
    [
        {"realm": "x"},
        {"nonce": "x"},
        {**REALM, "qop": "auth-int"},
        {**REALM, "algorithm": "SHA-3"},
        {**REALM, "algorithm": "token"},
        {**REALM, "opaque": "x" * 5_000},
    ],
)
def test_what_cannot_be_answered(parameters: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=" "):
        Digest(parameters)


def test_the_first_that_can_be_answered() -> None:
    """In the order of the server; bytes beyond ASCII go back as they came."""
    first = 'Digest realm="a", nonce="n", algorithm=SHA-9, Digest realm="\xc3\xa4", nonce="m", algorithm=SHA-256, stale=TRUE'
    found = best_digest(parse_challenges(["Basic realm=x", first, 'Digest realm="c", nonce="o"']))
    assert found is not None
    digest, is_stale = found
    assert is_stale
    assert 'realm="ä", nonce="m"' in digest.answer("GET", "/", "u", "p")
    assert best_digest(parse_challenges(["Basic realm=x", "Negotiate"])) is None


@pytest.mark.parametrize(
    ("values", "challenges"),
    [
        (["Basic"], [Challenge("basic", {})]),
        (['Basic realm="a \\"b\\" c"'], [Challenge("basic", {"realm": 'a "b" c'})]),
        (
            ['Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"'],  # RFC 9110 section 11.6.1
            [Challenge("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}), Challenge("basic", {"realm": "simple"})],
        ),
        (["Negotiate YWJj==, Basic Realm = x"], [Challenge("negotiate", {}), Challenge("basic", {"realm": "x"})]),
        ([", ,Digest nonce=a,,nonce=b ,"], [Challenge("digest", {"nonce": "a"})]),
        (["", "=x", 'Digest realm="no end', "Digest a=b"], [Challenge("digest", {}), Challenge("digest", {"a": "b"})]),
    ],
)  # fmt: skip
def test_challenges(values: list[str], challenges: list[Challenge]) -> None:
    assert parse_challenges(values) == challenges


@pytest.mark.parametrize("split", [1, 500])
@pytest.mark.parametrize(
    "piece", ["a", "a ", 'a="', "a=b,", '"\\', "Digest ", ",,  ", "=", 'x="\\"', "Digest realm=a,nonce=b,"]
)
def test_challenges_take_little_time(piece: str, split: int) -> None:
    """Whatever a server sends: of a quarter of a megabyte so much is read as the reactor may be held, and no more."""
    values = ["Digest " + piece * (256 * 1024 // len(piece) // split)] * split
    best = 1.0
    for _ in range(3):
        began = time.process_time()
        best_digest(parse_challenges(values))
        best = min(best, time.process_time() - began)
    assert best < 0.03

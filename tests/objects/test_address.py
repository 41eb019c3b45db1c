"""crawler.objects.address: what names an object, and what is refused in words."""

from __future__ import annotations

import pytest

from crawler.config.config import Config, ConfigError
from crawler.objects.address import Address, is_object, local_name, local_path, parse_address


def test_an_address_is_a_bucket_and_a_key():
    """The key is taken as it is written: nothing in it is decoded."""
    assert parse_address("s3://bucket/a/b c%20.jsonl") == Address("s3", "bucket", "a/b c%20.jsonl")
    assert parse_address("GS://bucket/key").url == "gs://bucket/key"
    assert parse_address("az://container/some/prefix/", prefix=True).key == "some/prefix/"
    assert parse_address("s3://bucket", prefix=True).key == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("s3://", "names no bucket"),
        ("s3:///key", "names no bucket"),
        ("s3://bucket", "names no object"),
        ("s3://bucket/folder/", "names no object"),
        ("s3://bucket/a//b", "empty parts"),
        ("s3://bucket/../b", "empty parts"),
        ("s3://bucket/a\nb", "a key that stores do not take"),
        ("s3://bucket/" + "x" * 1100, "a key that stores do not take"),
        ("s3://key:hunter2@bucket/x", "credentials come from the environment"),
    ],
)
def test_what_is_no_address_is_refused(text, words):
    with pytest.raises(ValueError, match=words) as refusal:
        parse_address(text)
    assert "hunter2" not in str(refusal.value)


def test_file_urls_are_paths():
    """They name files of this machine, for every output: no store is asked."""
    assert local_path("file:///folder/a%20b.jsonl") == "/folder/a b.jsonl"
    assert local_path("file://localhost/x") == "/x"
    assert local_path("plain.jsonl") == "plain.jsonl"
    assert Config.build(output=["file:///folder/x.jsonl"]).output == ("/folder/x.jsonl",)
    for other in ("file://server/x", "file://x", "file:///x?y"):
        with pytest.raises(ValueError, match="no file of this machine"):
            local_path(other)


def test_local_names_are_different_for_different_objects():
    """And have the same suffix, which says the format; in a job one of them is the file that becomes the object."""
    names = [local_name(url) for url in ("s3://a/b/c.csv.gz", "s3://a-b/c.csv.gz", "gs://a/b/c.csv.gz")]
    assert len(set(names)) == 3
    assert all(name.endswith("-c.csv.gz") for name in names)
    assert len(local_name("s3://a/" + "x" * 1000 + ".jsonl")) < 120


def test_only_outputs_may_be_objects():
    """What is not put there says so, instead of a file in a folder `s3:`."""
    assert is_object("s3://b/k")
    assert not is_object("s3:/b/k")
    for name in ("report", "stats", "job"):
        with pytest.raises(ConfigError, match="is in an object store"):
            Config.build(**{name: "s3://bucket/x"})

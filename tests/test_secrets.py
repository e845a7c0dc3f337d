"""Credentials are in nothing that is printed."""

from __future__ import annotations

import pytest

from pipeline.sources.secrets import hide_secrets, reveal_url, scrub, typed_options


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sftp://ann:p@host:22/var/log", "sftp://ann@host:22/var/log"),
        ("sftp://ann:p@ss@host/x", "sftp://ann@host/x"),
        ("zip://*::sftp://ann:pw@host/x.zip", "zip://*::sftp://ann@host/x.zip"),
        ("sftp://ann:pw@host/log", "sftp://ann@host/log"),
        ("sftp://ann:pw@host", "sftp://ann@host"),
        ("https://h/x.log?X-Amz-Signature=ab12&v=1", "https://h/x.log?X-Amz-Signature=***&v=1"),
        ("https://h/x.log?sv=1&sig=ab%3D", "https://h/x.log?sv=1&sig=***"),
        ("s3://bucket/a:b@c/key", "s3://bucket/a:b@c/key"),
        ("s3://bucket/key?token=x", "s3://bucket/key?token=x"),
    ],
)
def test_urls_are_shown_without_secrets_and_open_with_them(url, shown):
    """What is shown brings back the whole, for what lies below it, too."""
    seen, options = hide_secrets(url)

    assert shown == seen
    assert url == reveal_url(seen, options)
    if "@host/" in url and "::" not in url:
        below = "/other" if url.endswith("/log") else ""
        assert url + below == reveal_url(seen + below, options)


def test_options_are_what_they_look_like_and_secrets_stay_text():
    """``anon=false`` is no text that counts as true."""
    given_ = {
        "anon": "false", "use_ssl": "True", "port": "2222", "key": "123", "password": "true1",
        "client_kwargs": '{"region_name": "eu"}', "username": "007", "profile": "null",
        "broken": "{", "\0hidden": "x",
    }  # fmt: skip

    assert {
        "anon": False, "use_ssl": True, "port": 2222, "key": "123", "password": "true1",
        "client_kwargs": {"region_name": "eu"}, "username": "007", "profile": None, "broken": "{",
    } == typed_options(given_)  # fmt: skip


def test_messages_are_scrubbed():
    """Of secret options, nested ones and hidden parts of URLs."""
    _, hidden = hide_secrets("sftp://ann:hunter2@host/x")
    _, signed = hide_secrets("https://h/x?sig=abcdef")
    options = {"secret": "s3cr3t", "client_kwargs": '{"auth": {"token": "t0k3n"}}', "region": "eu"}

    text = scrub("s3cr3t t0k3n hunter2 abcdef eu ann", options | hidden | signed)

    assert "*** *** *** *** eu ann" == text


def test_a_task_does_not_show_its_storage_options():
    """Neither in a traceback nor in another library's log."""
    from pipeline.model import SourceFile
    from pipeline.settings import Settings

    assert "hunter2" not in repr(SourceFile("s3://b/k", 1, options=(("secret", "hunter2"),)))
    assert "hunter2" not in repr(Settings(storage_options={"secret": "hunter2"}))

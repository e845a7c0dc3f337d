"""Profiles of clusters, as text."""

from __future__ import annotations

from cluster.profile import read_profile


def profile_of(tmp_path, text, **options):
    path = tmp_path / "my.toml"
    path.write_text(text)
    return read_profile(str(path), **options)
